/**
 * ObjectAttributes: the headers by which a client describes an object, into what a version keeps and back. It sits
 * between HTTP headers (one character a byte) and Attributes (standard headers as sent, metadata as Unicode).
 */
import { fromBase64, fromUtf8, toBase64, toUtf8 } from "../../base/bytes.ts"
import { ttlSecondsMax, userMetadataBytesMax } from "../../base/limits.ts"
import { parseTtl, ttlHeader } from "../../base/timeToLive.ts"
import type { Attributes } from "../../namespace/Model.ts"
import { formatHttpDate, formatIso } from "./HttpDate.ts"
import type { Header } from "./Operation.ts"
import { invalidArgument, S3Error, s3Error } from "./S3Error.ts"
import type { S3Request } from "./S3Request.ts"

const KEPT = ["cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires", "x-amz-website-redirect-location"]
const META = "x-amz-meta-"
export const defaultContentType = "binary/octet-stream"

const STORAGE_CLASSES = new Set([
  "STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "GLACIER_IR", "DEEP_ARCHIVE", "EXPRESS_ONEZONE"
])
const ACLS = new Set(["private", "bucket-owner-full-control", "bucket-owner-read"])
/** What these ask for cannot be ignored: a client that sends them relies on it. */
const UNBUILT = ["x-amz-tagging", "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date", "x-amz-object-lock-legal-hold",
  "x-amz-server-side-encryption-customer-algorithm", "x-amz-server-side-encryption-customer-key", "x-amz-server-side-encryption-aws-kms-key-id",
  "x-amz-copy-source-server-side-encryption-customer-algorithm", "x-amz-write-offset-bytes"]

/** Headers of writes that are accepted, refused or not built. */
export const refuseHeaders = (request: S3Request): S3Error | undefined => {
  for (const name of UNBUILT) {
    const value = request.headers.get(name)
    if (value !== undefined && value !== "") return new S3Error({ code: "NotImplemented", extra: [["Header", name]] })
  }
  const encryption = request.headers.get("x-amz-server-side-encryption")
  if (encryption !== undefined && encryption !== "AES256") {
    return new S3Error({ code: "NotImplemented", detail: "Every object is encrypted under the vault's key; no other key can be asked for.", extra: [["Header", "x-amz-server-side-encryption"]] })
  }
  const acl = request.headers.get("x-amz-acl")
  if (acl !== undefined && acl !== "" && !ACLS.has(acl)) return s3Error("AccessControlListNotSupported")
  for (const name of request.headers.keys()) if (name.startsWith("x-amz-grant-")) return s3Error("AccessControlListNotSupported")
  const storageClass = request.headers.get("x-amz-storage-class")
  return storageClass === undefined || STORAGE_CLASSES.has(storageClass) ? undefined : s3Error("InvalidStorageClass")
}

const ENCODED_WORD = /=\?([A-Za-z0-9-]+)\?([BbQq])\?([^?]*)\?=(?:[ \t]+(?==\?))?/g

const decodeWord = (charset: string, encoding: string, text: string): string | undefined => {
  const bytes = encoding.toUpperCase() === "B"
    ? fromBase64(text)
    : Buffer.from(text.replaceAll("_", " ").replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))), "latin1")
  switch (charset.toLowerCase()) {
    case "utf-8":
    case "us-ascii":
      return fromUtf8(bytes)
    case "iso-8859-1":
      return Buffer.from(bytes).toString("latin1")
    default:
      return undefined
  }
}

/** A metadata value as Unicode: RFC 2047 words decoded, raw bytes read as UTF-8 where they are that, else as latin1. */
export const decodeMetadata = (value: string): string => {
  const text = /^[\u0020-\u007e]*$/.test(value) ? value : fromUtf8(Buffer.from(value, "latin1")) ?? value
  return text.includes("=?")
    ? text.replace(ENCODED_WORD, (whole, charset: string, encoding: string, word: string) => decodeWord(charset, encoding, word) ?? whole)
    : text
}

/** Printable ASCII as it is, anything else as one RFC 2047 word, as S3 does. */
export const encodeMetadata = (value: string): string =>
  /^[\u0020-\u007e]*$/.test(value) ? value : `=?UTF-8?B?${toBase64(toUtf8(value))}?=`

const withoutAwsChunked = (value: string): string =>
  value.split(",").map((part) => part.trim()).filter((part) => part !== "" && part.toLowerCase() !== "aws-chunked").join(",")

/** Says that an object is kept for ever, whatever the node's default. */
const FOR_EVER = "none"

/**
 * `x-ouroboros-ttl`: the seconds that the object is to live, as the version keeps them; else the node's default;
 * undefined: for ever. S3Error InvalidArgument for anything but a whole number in bounds, or "none".
 */
export const readTtl = (request: S3Request, defaultSeconds: number | undefined): string | undefined | S3Error => {
  const text = request.headers.get(ttlHeader)?.trim()
  if (text === undefined) return defaultSeconds === undefined ? undefined : String(defaultSeconds)
  if (text === FOR_EVER) return undefined
  const seconds = parseTtl(text)
  return seconds === undefined
    ? invalidArgument(ttlHeader, text, `The time to live must be a whole number of seconds from 1 to ${ttlSecondsMax}, or "${FOR_EVER}".`)
    : String(seconds)
}

/** When a version goes, in our own words and in S3's. */
export const expiryHeaders = (expiresMs: number | undefined): ReadonlyArray<Header> => expiresMs === undefined ? [] : [
  ["x-ouroboros-expires", formatIso(expiresMs)],
  ["x-amz-expiration", `expiry-date="${formatHttpDate(expiresMs)}", rule-id="${ttlHeader}"`]
]

/** What the request says of the object. S3Error MetadataTooLarge: more than 2 KiB of names and values. */
export const readAttributes = (request: S3Request, ttlDefaultSeconds: number | undefined): Attributes | S3Error => {
  const ttl = readTtl(request, ttlDefaultSeconds)
  if (ttl instanceof S3Error) return ttl
  const headers: Array<Header> = ttl === undefined ? [] : [[ttlHeader, ttl]]
  for (const name of KEPT) {
    const value = request.headers.get(name)
    if (value === undefined) continue
    const kept = name === "content-encoding" ? withoutAwsChunked(value) : value
    if (kept !== "") headers.push([name, kept])
  }
  const metadata: Array<Header> = []
  let sizeBytes = 0
  for (const [name, value] of request.headers) {
    if (!name.startsWith(META)) continue
    const decoded = decodeMetadata(value)
    sizeBytes += name.length - META.length + toUtf8(decoded).length
    metadata.push([name.slice(META.length), decoded])
  }
  if (sizeBytes > userMetadataBytesMax) {
    return new S3Error({ code: "MetadataTooLarge", extra: [["Size", String(sizeBytes)], ["MaxSizeAllowed", String(userMetadataBytesMax)]] })
  }
  return { headers: Object.fromEntries(headers), userMetadata: Object.fromEntries(metadata) }
}

/** Response headers that a signed request may override by query. */
const OVERRIDES: ReadonlyArray<readonly [parameter: string, header: string]> = [
  ["response-content-type", "content-type"], ["response-content-language", "content-language"], ["response-expires", "expires"],
  ["response-cache-control", "cache-control"], ["response-content-disposition", "content-disposition"], ["response-content-encoding", "content-encoding"]
]

/** InvalidArgument where an override could not be a header's value (a line break would forge headers). */
export const readOverrides = (request: S3Request): ReadonlyMap<string, string> | S3Error => {
  const overrides = new Map<string, string>()
  if (request.pairs.length === 0) return overrides
  for (const [parameter, header] of OVERRIDES) {
    const value = request.query.get(parameter)
    if (value === undefined || value === "") continue
    // oxlint-disable-next-line no-control-regex
    if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(value)) return invalidArgument(parameter, value, "A response header cannot hold control characters.")
    overrides.set(header, Buffer.from(value, "utf8").toString("latin1"))
  }
  return overrides
}

/** The headers that describe an object in the answer to a GET or HEAD. */
export const writeAttributes = (attributes: Attributes, overrides: ReadonlyMap<string, string>): Array<Header> => {
  const headers: Array<Header> = []
  let typed = false
  for (const name in attributes.headers) {
    if (overrides.has(name)) continue
    typed ||= name === "content-type"
    headers.push([name, attributes.headers[name] ?? ""])
  }
  for (const override of overrides) headers.push(override)
  if (!typed && !overrides.has("content-type")) headers.push(["content-type", defaultContentType])
  for (const name of Object.keys(attributes.userMetadata)) headers.push([META + name, encodeMetadata(attributes.userMetadata[name] ?? "")])
  return headers
}
