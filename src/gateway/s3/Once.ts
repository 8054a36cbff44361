/**
 * Once: the name under which a write is done once, however often its client sends it: from what the client calls it, and all that it asks for. It sits
 * between a request's headers and `once` of put and namespace.
 */
import { toUtf8 } from "../../base/bytes.ts"
import { hashBytes } from "../../base/hash.ts"
import { requestIdBytesMax } from "../../base/limits.ts"
import type { Call } from "./Operation.ts"
import { invalidArgument, type S3Error } from "./S3Error.ts"

export const requestIdHeader = "x-ouroboros-request-id"
/** The SDKs of AWS send the same UUID with every attempt at one call. */
const sdkHeader = "amz-sdk-invocation-id"

const isId = (text: string): boolean => text.length > 0 && text.length <= requestIdBytesMax && /^[\x21-\x7e]+$/.test(text)

/** What a client calls its request, whichever attempt it is. An SDK's id that is none counts as none; S3Error InvalidArgument where our own header's is. */
export const invocationOf = (headers: ReadonlyMap<string, string>): string | undefined | S3Error => {
  const own = headers.get(requestIdHeader)
  if (own !== undefined) return isId(own) ? `own ${own}` : invalidArgument(requestIdHeader, own, `A request's id is 1 to ${requestIdBytesMax} visible ASCII characters.`)
  const sdks = headers.get(sdkHeader)
  return sdks !== undefined && isId(sdks) ? `sdk ${sdks}` : undefined
}

/** `asks`: all that the operation takes from the request, beyond bucket and key. Another request under the same id has another name, and is done. */
const nameOf = ({ bucket, identity, key }: Call, invocation: string, asks: ReadonlyArray<unknown>): Uint8Array =>
  hashBytes(toUtf8(JSON.stringify(["ouroborosdb/request v1", identity.principal, invocation, bucket, key, ...asks])))

export const onceOf = (call: Call, ...asks: ReadonlyArray<unknown>): { readonly once?: Uint8Array } =>
  call.invocation === undefined ? {} : { once: nameOf(call, call.invocation, asks) }

/** Of a write whose body comes first: two bodies are two requests. */
export const onceOfBody = (call: Call, ...asks: ReadonlyArray<unknown>): { readonly once?: (etag: string) => Uint8Array } => {
  const { invocation } = call
  return invocation === undefined ? {} : { once: (etag) => nameOf(call, invocation, [...asks, etag]) }
}
