/**
 * ListingToken: the opaque continuation token of ListObjectsV2: the commit and the point of time that all pages of a
 * listing see (R12), and the position. It sits between Listing and the client, who may send anything back.
 *
 *   version 2 (1 byte) | sequence (8, big-endian) | milliseconds (8) | checksum of the rest and the bucket (4, CRC-32C) |
 *   position (UTF-8)
 */
import { concatBytes, fromUtf8, getU64, putU64, toUtf8 } from "../../base/bytes.ts"
import { crc32c } from "../../base/hash.ts"
import { listingTokenCharactersMax } from "../../base/limits.ts"

const FORMAT = 2
const SUM_AT = 17
const HEAD_BYTES = 21

export interface ListingToken {
  readonly sequence: number
  readonly ms: number
  /** `after` of the next page. */
  readonly position: string
}

const checksumOf = (head: Uint8Array, bucket: string, position: Uint8Array): number =>
  crc32c(concatBytes([head.subarray(0, SUM_AT), toUtf8(bucket), position]))

export const encodeToken = (token: ListingToken, bucket: string): string => {
  const head = Buffer.alloc(HEAD_BYTES)
  const position = toUtf8(token.position)
  head[0] = FORMAT
  putU64(head, 1, token.sequence)
  putU64(head, 9, token.ms)
  head.writeUInt32BE(checksumOf(head, bucket, position), SUM_AT)
  return Buffer.concat([head, position]).toString("base64url")
}

/** Undefined where this store did not make the token for that bucket. */
export const decodeToken = (text: string, bucket: string): ListingToken | undefined => {
  if (text.length > listingTokenCharactersMax || !/^[A-Za-z0-9_-]+$/.test(text)) return undefined
  const bytes = Buffer.from(text, "base64url")
  if (bytes.length < HEAD_BYTES || bytes[0] !== FORMAT) return undefined
  const sequence = getU64(bytes, 1)
  const ms = getU64(bytes, 9)
  const rest = bytes.subarray(HEAD_BYTES)
  const position = fromUtf8(rest)
  if (sequence === undefined || ms === undefined || position === undefined) return undefined
  return bytes.readUInt32BE(SUM_AT) === checksumOf(bytes, bucket, rest) ? { sequence, ms, position } : undefined
}
