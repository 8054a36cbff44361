/**
 * S3Request: an HTTP request with its bucket, key and query told apart. It sits between the listener's raw target and
 * everything that judges it; nothing here normalises a path: "..", "//" and a leading slash are parts of keys.
 */
import type { Body } from "../../ports/Body.ts"
import type { HttpRequest } from "../../ports/HttpListener.ts"
import { type S3Error, s3Error } from "./S3Error.ts"

/** Decoded names and values in the order of the wire; a name without "=" has the value "". */
export type QueryPairs = ReadonlyArray<readonly [name: string, value: string]>

export interface S3Request {
  readonly method: string
  /** Path as sent, percent-encoding untouched: part of what a client signs. */
  readonly rawPath: string
  /** The decoded path: what the canonical request encodes again. */
  readonly path: string
  readonly pairs: QueryPairs
  /** First value by name. */
  readonly query: ReadonlyMap<string, string>
  /** By lower-case name; repeated ones joined with ",". Values have one character a byte. */
  readonly headers: ReadonlyMap<string, string>
  readonly bucket: string | undefined
  readonly key: string | undefined
  readonly secure: boolean
  readonly body: Body
}

/** Bytes above 0x7f in a target (illegal, but sent by some) become percent-encoded, so that one rule decodes all. */
const asciiOnly = (target: string): string =>
  // oxlint-disable-next-line no-control-regex
  /^[\u0000-\u007f]*$/.test(target)
    ? target
    : target.replace(/[\u0080-\u00ff]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)

/** Percent-decodes UTF-8; undefined where an escape or the UTF-8 is broken. */
export const percentDecode = (text: string): string | undefined => {
  if (!text.includes("%")) return text
  try {
    return decodeURIComponent(text)
  } catch (error) {
    if (error instanceof URIError) return undefined
    throw error
  }
}

/** "+" in a query is a space, as S3 has it; in a path it is a plus. */
export const parseQuery = (raw: string): QueryPairs | undefined => {
  const pairs: Array<readonly [string, string]> = []
  for (const part of raw.split("&")) {
    if (part === "") continue
    const at = part.indexOf("=")
    const name = percentDecode((at < 0 ? part : part.slice(0, at)).replaceAll("+", " "))
    const value = at < 0 ? "" : percentDecode(part.slice(at + 1).replaceAll("+", " "))
    if (name === undefined || value === undefined) return undefined
    pairs.push([name, value])
  }
  return pairs
}

const headerMap = (headers: HttpRequest["headers"]): Map<string, string> => {
  const map = new Map<string, string>()
  for (const [name, value] of headers) {
    const before = map.get(name)
    map.set(name, before === undefined ? value : `${before},${value}`)
  }
  return map
}

/** BUCKET where the host is BUCKET.DOMAIN[:port]; undefined for path style. Host names ignore case. */
export const bucketOfHost = (host: string | undefined, domains: ReadonlyArray<string>): string | undefined => {
  if (host === undefined) return undefined
  const name = (host.startsWith("[") ? host : host.replace(/:\d*$/, "")).toLowerCase()
  for (const domain of domains) {
    if (name.length > domain.length + 1 && name.endsWith(`.${domain.toLowerCase()}`)) return name.slice(0, -domain.length - 1)
  }
  return undefined
}

/** Told apart, or S3Error InvalidURI. Whether names are valid is the router's question. */
export const readRequest = (http: HttpRequest, domains: ReadonlyArray<string>): S3Request | S3Error => {
  const headers = headerMap(http.headers)
  const absolute = /^https?:\/\/[^/?]*/i.exec(http.target)
  const target = asciiOnly(absolute === null ? http.target : http.target.slice(absolute[0].length) || "/")
  const mark = target.indexOf("?")
  const rawPath = mark < 0 ? target : target.slice(0, mark)
  const path = percentDecode(rawPath)
  const pairs = mark < 0 ? [] : parseQuery(target.slice(mark + 1))
  if (path === undefined || pairs === undefined || !path.startsWith("/")) {
    return s3Error("InvalidURI", "The request target is not a path with valid percent-encoded UTF-8.")
  }
  const query = new Map<string, string>()
  for (const [name, value] of pairs) if (!query.has(name)) query.set(name, value)
  let bucket = bucketOfHost(headers.get("host"), domains)
  let rest = path.slice(1)
  if (bucket === undefined) {
    const slash = rest.indexOf("/")
    bucket = slash < 0 ? rest : rest.slice(0, slash)
    rest = slash < 0 ? "" : rest.slice(slash + 1)
  }
  return {
    method: http.method,
    rawPath,
    path,
    pairs,
    query,
    headers,
    bucket: bucket === "" ? undefined : bucket,
    key: rest === "" ? undefined : rest,
    secure: http.secure,
    body: http.body
  }
}
