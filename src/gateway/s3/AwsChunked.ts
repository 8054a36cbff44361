/**
 * AwsChunked: decodes the aws-chunked framing of streaming uploads, and verifies its chain of signatures. It sits
 * between the bytes of a request and the digests; pure: bytes in, bytes or a fault out.
 *
 *   SIZE-HEX[;chunk-signature=HEX] CRLF  DATA CRLF  …  0[;chunk-signature=HEX] CRLF  (NAME:VALUE CRLF)*  CRLF
 *
 * Source: Amazon S3 API reference, "Signature Calculations for the Authorization Header: Transferring Payload in
 * Multiple Chunks" and "… Including Trailing Headers". Data is handed out before its chunk's signature is known: only
 * `end` says whether all of it may be trusted.
 */
import { createHash, type Hash } from "node:crypto"
import { chunkedLineBytesMax, chunkedTrailerBytesMax } from "../../base/limits.ts"
import type { BodyError } from "../../ports/Body.ts"
import type { ChunkSigning } from "./Authentication.ts"
import { emptySha256, equalSignatures, sha256Hex, signature } from "./SigV4.ts"

export interface Fault {
  readonly reason: BodyError["reason"]
  readonly detail: string
}

const LF = 10
const CR = 13
const HEADER = /^([0-9a-fA-F]{1,13})(?:;(.*))?$/
const CHUNK_SIGNATURE = /(?:^|;)\s*chunk-signature=([0-9a-f]{64})\s*(?:;|$)/

export class ChunkedDecoder {
  /** Lower-case names, trimmed values; complete once `end` answers undefined. */
  readonly trailers: Map<string, string> = new Map()
  private readonly signing: ChunkSigning | undefined
  private readonly takesTrailers: boolean
  private state: "Header" | "Data" | "DataEnd" | "Trailer" | "Done" = "Header"
  /** Bytes of the current line so far; at most chunkedLineBytesMax. */
  private line = ""
  private remaining = 0
  private previous: string
  private claimed = ""
  private hash: Hash | undefined = undefined
  private trailerBytes = 0
  private trailerText = ""
  private trailerSignature: string | undefined = undefined

  constructor(signing: ChunkSigning | undefined, takesTrailers: boolean) {
    this.signing = signing
    this.takesTrailers = takesTrailers
    this.previous = signing?.seed ?? ""
  }

  /** The data among these bytes, as views of them. */
  feed(bytes: Uint8Array): ReadonlyArray<Uint8Array> | Fault {
    const slices: Array<Uint8Array> = []
    let at = 0
    while (at < bytes.length) {
      if (this.state === "Done") return { reason: "Malformed", detail: "bytes after the last chunk" }
      if (this.state === "Data") {
        const slice = bytes.subarray(at, at + Math.min(this.remaining, bytes.length - at))
        at += slice.length
        this.remaining -= slice.length
        this.hash?.update(slice)
        slices.push(slice)
        if (this.remaining === 0) this.state = "DataEnd"
        continue
      }
      const end = bytes.indexOf(LF, at)
      const stop = end < 0 ? bytes.length : end
      if (this.line.length + stop - at > chunkedLineBytesMax) return { reason: "Malformed", detail: "a chunk header or trailer is too long" }
      this.line += Buffer.from(bytes.buffer, bytes.byteOffset + at, stop - at).toString("latin1")
      at = stop + 1
      if (end < 0) break
      const line = this.line.charCodeAt(this.line.length - 1) === CR ? this.line.slice(0, -1) : this.line
      this.line = ""
      const fault = this.onLine(line)
      if (fault !== undefined) return fault
    }
    return slices
  }

  /** After the last byte: undefined where everything is complete and verified. */
  end(): Fault | undefined {
    if (this.state === "Trailer" && this.line === "") return this.onEnd()
    if (this.state === "Done") return undefined
    return { reason: "TooShort", detail: "the body ends before its last chunk" }
  }

  private onLine(line: string): Fault | undefined {
    switch (this.state) {
      case "Header":
        return this.onHeader(line)
      case "DataEnd":
        if (line !== "") return { reason: "Malformed", detail: "a chunk is longer than its header says" }
        this.state = "Header"
        return this.onChunkEnd()
      default:
        return this.onTrailer(line)
    }
  }

  private onHeader(line: string): Fault | undefined {
    const match = HEADER.exec(line)
    if (match === null) return { reason: "Malformed", detail: "a chunk header is not SIZE-HEX[;chunk-signature=HEX]" }
    this.remaining = Number.parseInt(match[1] ?? "", 16)
    if (this.signing !== undefined) {
      const claimed = CHUNK_SIGNATURE.exec(match[2] ?? "")?.[1]
      if (claimed === undefined) return { reason: "Unverified", detail: "a chunk has no chunk-signature" }
      this.claimed = claimed
      this.hash = this.remaining === 0 ? undefined : createHash("sha256")
    }
    if (this.remaining > 0) {
      this.state = "Data"
      return undefined
    }
    this.state = "Trailer"
    return this.onChunkEnd()
  }

  private onChunkEnd(): Fault | undefined {
    if (this.signing === undefined) return undefined
    const { amzDate, key, scope } = this.signing
    const digest = this.hash === undefined ? emptySha256 : this.hash.digest("hex")
    this.hash = undefined
    const expected = signature(key, `AWS4-HMAC-SHA256-PAYLOAD\n${amzDate}\n${scope}\n${this.previous}\n${emptySha256}\n${digest}`)
    if (!equalSignatures(expected, this.claimed)) return { reason: "Unverified", detail: "a chunk-signature does not match its chunk" }
    this.previous = expected
    return undefined
  }

  private onTrailer(line: string): Fault | undefined {
    this.trailerBytes += line.length
    if (this.trailerBytes > chunkedTrailerBytesMax) return { reason: "Malformed", detail: "the trailers are too long" }
    if (line === "") {
      // Some clients put an empty line between the trailers and their signature.
      const waits = this.signing !== undefined && this.takesTrailers && this.trailers.size > 0 && this.trailerSignature === undefined
      return waits ? undefined : this.onEnd()
    }
    const colon = line.indexOf(":")
    if (!this.takesTrailers || colon < 1) return { reason: "Malformed", detail: "the last chunk is followed by something that is no trailer" }
    const name = line.slice(0, colon).trim().toLowerCase()
    const value = line.slice(colon + 1).trim()
    if (name === "x-amz-trailer-signature") {
      this.trailerSignature = value
      return undefined
    }
    this.trailers.set(name, value)
    this.trailerText += `${name}:${value}\n`
    return undefined
  }

  private onEnd(): Fault | undefined {
    this.state = "Done"
    if (this.signing === undefined || !this.takesTrailers) return undefined
    const { amzDate, key, scope } = this.signing
    const expected = signature(key, `AWS4-HMAC-SHA256-TRAILER\n${amzDate}\n${scope}\n${this.previous}\n${sha256Hex(this.trailerText)}`)
    return equalSignatures(expected, this.trailerSignature ?? "")
      ? undefined
      : { reason: "Unverified", detail: "x-amz-trailer-signature does not match the trailers" }
  }
}
