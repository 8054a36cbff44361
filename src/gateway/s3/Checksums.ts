/**
 * Checksums: which digests a request claims for its body (Content-MD5, x-amz-checksum-*), and the incremental hashes
 * that prove them. It sits between headers (base64 texts) and Payload, which feeds the bytes.
 */
import { crc32, crc32c } from "@node-rs/crc32"
import { createCRC64, type IHasher } from "hash-wasm"
import { createHash } from "node:crypto"
import { Effect } from "effect"
import { fromBase64, fromHex, toBase64 } from "../../base/bytes.ts"
import type { Checksum, ChecksumAlgorithm } from "../../namespace/Model.ts"
import { type S3Error, s3Error } from "./S3Error.ts"

export const algorithms: ReadonlyArray<ChecksumAlgorithm> = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]
const SIZES: Readonly<Record<ChecksumAlgorithm, number>> = { CRC32: 4, CRC32C: 4, CRC64NVME: 8, SHA1: 20, SHA256: 32 }

export const headerOf = (algorithm: ChecksumAlgorithm): string => `x-amz-checksum-${algorithm.toLowerCase()}`

/** Element of S3's XML. */
export const elementOf = (algorithm: ChecksumAlgorithm): string => `Checksum${algorithm}`

export const algorithmOf = (name: string): ChecksumAlgorithm | undefined =>
  algorithms.find((algorithm) => algorithm === name.toUpperCase())

export interface Hasher {
  readonly update: (bytes: Uint8Array) => void
  readonly digest: () => Uint8Array
}

/** The one CRC64 engine of a handler; streams take turns on it by saving and loading its 12 bytes of state. */
export type Crc64 = IHasher

/** CRC-64/NVME: reflected polynomial 9a6c9329ac4bc9b5. WASM starts asynchronously, once. */
export const makeCrc64: Effect.Effect<Crc64> = Effect.callback((resume) => {
  createCRC64("9a6c9329ac4bc9b5").then(
    (engine) => resume(Effect.succeed(engine)),
    (error: unknown) => resume(Effect.die(error))
  )
})

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const crcHasher = (crc: typeof crc32): Hasher => {
  let state = 0
  return {
    update: (bytes) => {
      state = crc(asBuffer(bytes), state)
    },
    digest: () => {
      const result = Buffer.alloc(4)
      result.writeUInt32BE(state >>> 0)
      return result
    }
  }
}

const crc64Hasher = (engine: Crc64): Hasher => {
  let state = engine.init().save()
  return {
    update: (bytes) => {
      state = engine.load(state).update(bytes).save()
    },
    digest: () => fromHex(engine.load(state).digest())
  }
}

export const nodeHasher = (name: "md5" | "sha1" | "sha256"): Hasher => {
  const hash = createHash(name)
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest() }
}

export const makeHasher = (algorithm: ChecksumAlgorithm, crc64: Crc64): Hasher => {
  switch (algorithm) {
    case "CRC32":
      return crcHasher(crc32)
    case "CRC32C":
      return crcHasher(crc32c)
    case "CRC64NVME":
      return crc64Hasher(crc64)
    case "SHA1":
      return nodeHasher("sha1")
    case "SHA256":
      return nodeHasher("sha256")
  }
}

/** Exactly `sizeBytes` bytes in canonical base64. */
const isBase64 = (text: string, sizeBytes: number): boolean => {
  const bytes = fromBase64(text)
  return bytes.length === sizeBytes && toBase64(bytes) === text
}

export interface ChecksumClaim {
  readonly algorithm: ChecksumAlgorithm
  /** Base64; undefined where it comes as a trailer, or where the client only named the algorithm. */
  readonly value: string | undefined
  readonly trailer: boolean
}

/** S3Error InvalidRequest where the text cannot be a checksum of that algorithm. */
export const checkValue = (algorithm: ChecksumAlgorithm, value: string): S3Error | undefined =>
  isBase64(value, SIZES[algorithm]) ? undefined : s3Error("InvalidRequest", `Value for ${headerOf(algorithm)} header is invalid.`)

type Headers = ReadonlyMap<string, string>

/** The checksum that a body comes with. S3Error InvalidRequest: two of them, or one that is no base64 of its size. */
export const claimOf = (headers: Headers): ChecksumClaim | S3Error | undefined => {
  let claim: ChecksumClaim | undefined
  const trailers = (headers.get("x-amz-trailer") ?? "").toLowerCase().split(",").map((name) => name.trim())
  for (const algorithm of algorithms) {
    const name = headerOf(algorithm)
    const value = headers.get(name)
    const trailer = trailers.includes(name)
    if (value === undefined && !trailer) continue
    if (claim !== undefined) return s3Error("InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    const wrong = value === undefined ? undefined : checkValue(algorithm, value)
    if (wrong !== undefined) return wrong
    claim = { algorithm, value, trailer: value === undefined }
  }
  const named = headers.get("x-amz-sdk-checksum-algorithm")
  if (claim !== undefined || named === undefined || named === "") return claim
  const algorithm = algorithmOf(named)
  if (algorithm === undefined) return s3Error("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
  return { algorithm, value: undefined, trailer: false }
}

/** S3Error InvalidDigest where Content-MD5 is not 16 bytes in base64. */
export const contentMd5Of = (headers: Headers): string | S3Error | undefined => {
  const value = headers.get("content-md5")
  if (value === undefined) return undefined
  return isBase64(value, 16) ? value : s3Error("InvalidDigest")
}

/** x-amz-checksum-algorithm of CreateMultipartUpload and CopyObject. */
export const requestedAlgorithm = (headers: Headers): ChecksumAlgorithm | S3Error | undefined => {
  const named = headers.get("x-amz-checksum-algorithm")
  if (named === undefined || named === "") return undefined
  return algorithmOf(named) ?? s3Error("InvalidRequest", "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
}

/** The two headers by which an answer carries a checksum. */
export const checksumHeaders = (checksum: Checksum | undefined): ReadonlyArray<readonly [string, string]> =>
  checksum === undefined ? [] : [[headerOf(checksum.algorithm), checksum.value], ["x-amz-checksum-type", checksum.type]]
