/**
 * Wire: records of membership as bytes: deterministic CBOR (RFC 8949, 4.2.1) of what a schema describes, and nothing else: not
 * one key more, not one byte that would be written otherwise. Between Message, Revocations and bytes.
 */
import { decode, encode, rfc8949EncodeOptions } from "cborg"
import { Result, Schema } from "effect"
import { copyOf, equalBytes } from "../base/bytes.ts"
import { certificateBytesMax, nodeAddressesMax, nodeAddressLettersMax, nodeNameLettersMax } from "../base/clusterLimits.ts"
import { isClusterId, isNodeId, publicIdentityBytes } from "./Identity.ts"

export const NodeIdField = Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)).pipe(Schema.refine(isNodeId))
export const ClusterIdField = Schema.String.check(Schema.isPattern(/^[0-9a-f]{32}$/)).pipe(Schema.refine(isClusterId))
export const HexField = (digits: number) => Schema.String.check(Schema.isPattern(new RegExp(`^[0-9a-f]{${digits}}$`)))
export const CountField = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))
export const TextField = (lettersMax: number) => Schema.String.check(Schema.isMaxLength(lettersMax))

const bytesField = (isRight: (length: number) => boolean, what: string) =>
  Schema.Uint8Array.check(Schema.makeFilter(({ length }) => isRight(length) ? undefined : `${length} bytes are no ${what}`))

export const FixedBytes = (count: number, what: string) => bytesField((length) => length === count, what)
export const PublicIdentityField = FixedBytes(publicIdentityBytes, "identity")
export const CertificateField = bytesField((length) => length <= certificateBytesMax, "certificate")
export const SignatureField = FixedBytes(3309, "signature")
/** What an operator calls a node, and where it is to be found: host:port. */
export const NameField = TextField(nodeNameLettersMax)
export const AddressesField = Schema.Array(Schema.String.check(Schema.isMinLength(3), Schema.isMaxLength(nodeAddressLettersMax))).check(Schema.isMaxLength(nodeAddressesMax))

export const encodeRecord = (value: unknown): Uint8Array => copyOf(encode(value, rfc8949EncodeOptions))

/** The value that `bytes` are, or why they are none. */
export const decodeRecord = <A, E>(schema: Schema.Codec<A, E>, bytes: Uint8Array, bytesMax: number): A | string => {
  if (bytes.length > bytesMax) return `${bytes.length} bytes, at most ${bytesMax}`
  const value = parse(bytes)
  if (value === undefined) return "not CBOR, or not in its one form"
  const decoded = Schema.decodeUnknownResult(schema)(value, { onExcessProperty: "error" })
  return Result.isFailure(decoded) ? "not what this program knows by this name" : decoded.success
}

const parse = (bytes: Uint8Array): unknown => {
  try {
    const value: unknown = decode(copyOf(bytes), {
      strict: true, allowIndefinite: false, allowUndefined: false, allowInfinity: false, allowNaN: false, rejectDuplicateMapKeys: true, useMaps: false
    })
    return equalBytes(encodeRecord(value), bytes) ? value : undefined
  } catch (error) {
    // cborg throws errors of many kinds, all of which say that these bytes are none of ours.
    if (error instanceof Error) return undefined
    throw error
  }
}
