/** Listing: pages of a bucket's keys as one stream, AS OF where asked. */
import { Effect, Option, Stream } from "effect"
import type { ClientFailure, Headers, Query, S3Client, Xml } from "./S3Client.ts"

export interface ListedObject {
  readonly key: string
  readonly sizeBytes: number
  readonly modified: string
  readonly etag: string
}

export interface ListedPage {
  readonly objects: ReadonlyArray<ListedObject>
  readonly prefixes: ReadonlyArray<string>
  readonly commit: string | undefined
}

const many = (value: unknown): ReadonlyArray<Xml> => (Array.isArray(value) ? (value as ReadonlyArray<Xml>) : [])
export const text = (value: unknown): string => (typeof value === "string" ? value : "")
/** Keys come percent-encoded (encoding-type=url): XML cannot carry every character. */
const decodeKey = (value: unknown): string => decodeURIComponent(text(value).replaceAll("+", "%20"))

const parsePage = (xml: Xml): ListedPage & { readonly next: string | undefined } => {
  const result = (xml["ListBucketResult"] ?? {}) as Xml
  const objects = many(result["Contents"]).map((entry) => ({
    key: decodeKey(entry["Key"]),
    sizeBytes: Number(text(entry["Size"])),
    modified: text(entry["LastModified"]),
    etag: text(entry["ETag"]).replaceAll("\"", "")
  }))
  const prefixes = many(result["CommonPrefixes"]).map((entry) => decodeKey(entry["Prefix"]))
  const next = text(result["IsTruncated"]) === "true" ? text(result["NextContinuationToken"]) : undefined
  return { objects, prefixes, next, commit: undefined }
}

export interface ListOptions {
  readonly bucket: string
  readonly prefix: string
  readonly recursive: boolean
  readonly asOf: string | undefined
}

export const asOfHeaders = (asOf: string | undefined): Headers => (asOf === undefined ? [] : [["x-ouroboros-as-of", asOf]])

/** Pages until the end; all of one commit. */
export const listPages = (client: S3Client, options: ListOptions): Stream.Stream<ListedPage, ClientFailure> =>
  Stream.paginate(undefined as string | undefined, (token) => {
    const query: Query = [
      ...(token === undefined ? [] : [["continuation-token", token] as const]),
      ...(options.recursive ? [] : [["delimiter", "/"] as const]),
      ["encoding-type", "url"],
      ["list-type", "2"],
      ["prefix", options.prefix]
    ]
    return client.xml({ method: "GET", bucket: options.bucket, query, headers: asOfHeaders(options.asOf) }).pipe(
      Effect.map((xml) => {
        const { next, ...page } = parsePage(xml)
        return [[page], Option.fromUndefinedOr(next)] as const
      })
    )
  })

export const listBuckets = (client: S3Client, asOf: string | undefined) =>
  Effect.map(client.xml({ method: "GET", bucket: "", headers: asOfHeaders(asOf) }), (xml) => {
    const result = (xml["ListAllMyBucketsResult"] ?? {}) as Xml
    return many((result["Buckets"] as Xml | undefined)?.["Bucket"]).map((bucket) => ({
      name: text(bucket["Name"]),
      created: text(bucket["CreationDate"])
    }))
  })
