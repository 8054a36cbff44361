/** Streaming uploads: AWS's published chunks, every way to cut them, and everything that must be refused. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ChunkedDecoder } from "../../src/gateway/s3/AwsChunked.ts"
import { signingKey } from "../../src/gateway/s3/SigV4.ts"
import { chunked, secretKey } from "./sign.ts"

const amzDate = "20130524T000000Z"
const scope = "20130524/us-east-1/s3/aws4_request"
const key = signingKey(secretKey, "20130524", "us-east-1", "s3")
const data = Buffer.alloc(66_560, "a")

const line = (size: number, signature: string): string => `${size.toString(16)};chunk-signature=${signature}\r\n`

/** "Signature Calculations …: Transferring Payload in Multiple Chunks", as published. */
const published = Buffer.concat([
  Buffer.from(line(65_536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648")), data.subarray(0, 65_536), Buffer.from("\r\n"),
  Buffer.from(line(1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497")), data.subarray(65_536), Buffer.from("\r\n"),
  Buffer.from(line(0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9")), Buffer.from("\r\n")
])
const seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"

/** "… Including Trailing Headers", as published. */
const publishedTrailer = Buffer.concat([
  Buffer.from(line(65_536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2")), data.subarray(0, 65_536), Buffer.from("\r\n"),
  Buffer.from(line(1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7")), data.subarray(65_536), Buffer.from("\r\n"),
  Buffer.from(line(0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992")),
  Buffer.from("x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n")
])
const trailerSeed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"

interface Decoded {
  readonly bytes: Uint8Array
  readonly fault: string | undefined
  readonly trailers: ReadonlyMap<string, string>
}

const decode = (decoder: ChunkedDecoder, pieces: ReadonlyArray<Uint8Array>): Decoded => {
  const out: Array<Uint8Array> = []
  for (const piece of pieces) {
    const slices = decoder.feed(piece)
    if (!Array.isArray(slices)) return { bytes: Buffer.concat(out), fault: (slices as { reason: string }).reason, trailers: decoder.trailers }
    out.push(...slices as ReadonlyArray<Uint8Array>)
  }
  return { bytes: Buffer.concat(out), fault: decoder.end()?.reason, trailers: decoder.trailers }
}

const signing = (from: string) => ({ key, amzDate, scope, seed: from })
const signed = (bytes: Uint8Array): Decoded => decode(new ChunkedDecoder(signing(seed), false), [bytes])
const unsigned = (text: string, trailers = true): Decoded => decode(new ChunkedDecoder(undefined, trailers), [Buffer.from(text, "latin1")])

const cut = (bytes: Uint8Array, sizes: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const pieces: Array<Uint8Array> = []
  let at = 0
  for (const size of sizes) {
    pieces.push(bytes.subarray(at, at + size))
    at += size
  }
  return [...pieces, bytes.subarray(at)]
}

describe("aws-chunked: what AWS publishes", () => {
  it("three signed chunks decode to the data", () => {
    const result = signed(published)
    expect(result.fault).toBeUndefined()
    expect(data.equals(result.bytes)).toBe(true)
  })
  it("signed chunks with a signed trailer", () => {
    const result = decode(new ChunkedDecoder(signing(trailerSeed), true), [publishedTrailer])
    expect(result.fault).toBeUndefined()
    expect(data.equals(result.bytes)).toBe(true)
    expect(result.trailers.get("x-amz-checksum-crc32c")).toBe("sOO8/Q==")
  })
  it("one flipped bit anywhere is noticed", () => {
    for (const at of [40, 100, 65_700, published.length - 20]) {
      const bytes = Buffer.from(published)
      bytes[at] = (bytes[at] ?? 0) ^ 1
      expect(signed(bytes).fault, `bit at ${at}`).toBeDefined()
    }
  })
  it("a trailer changed under way is noticed", () => {
    const bytes = Buffer.from(publishedTrailer.toString("latin1").replace("sOO8/Q==", "AAAAAA=="), "latin1")
    expect(decode(new ChunkedDecoder(signing(trailerSeed), true), [bytes]).fault).toBe("Unverified")
  })
  it("a signed trailer without its signature is noticed", () => {
    const text = publishedTrailer.toString("latin1").replace(/x-amz-trailer-signature:.*\r\n/, "")
    expect(decode(new ChunkedDecoder(signing(trailerSeed), true), [Buffer.from(text, "latin1")]).fault).toBe("Unverified")
  })
})

describe("aws-chunked: framing", () => {
  it("however the network cuts it, the same bytes come out", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.integer({ min: 1, max: 90 }), { maxLength: 5 }), fc.array(fc.integer({ min: 0, max: 70 }), { maxLength: 12 }),
      (body, sizes, cuts) => {
        const total = sizes.reduce((sum, size) => sum + size, 0)
        const real = total >= body.length ? sizes.filter((_, index) => sizes.slice(0, index).reduce((sum, size) => sum + size, 0) < body.length) : [...sizes, body.length - total]
        const wire = chunked(body, real, { seed, scope, date: amzDate }, [["x-amz-checksum-crc32", "AAAAAA=="]])
        const result = decode(new ChunkedDecoder(signing(seed), true), cut(wire, cuts))
        expect(result.fault).toBeUndefined()
        expect(Buffer.from(body).equals(result.bytes)).toBe(true)
        expect(result.trailers.get("x-amz-checksum-crc32")).toBe("AAAAAA==")
      }), { numRuns: 150 })
  })
  it("any bytes at all end in data or a fault, within bounds", () => {
    const piece = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constantFrom("5\r\nhello\r\n", "0\r\n", "\r\n", "ffffffffffffff\r\n", "a:b\r\n", ";\r\n", "1\n").map((text) => Buffer.from(text)))
    fc.assert(fc.property(fc.array(piece, { maxLength: 12 }), fc.boolean(), (pieces, trailers) => {
      const result = decode(new ChunkedDecoder(undefined, trailers), pieces)
      expect(result.bytes.length).toBeLessThanOrEqual(pieces.reduce((sum, bytes) => sum + bytes.length, 0))
    }), { numRuns: 500 })
  })
  it("bodies that stop early are too short, wherever they stop", () => {
    const wire = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AA==\r\n\r\n"
    for (let end = 0; end < wire.indexOf("0\r\nx-amz") + 3; end++) expect(unsigned(wire.slice(0, end)).fault, `at ${end}`).toBe("TooShort")
    expect(unsigned(wire).fault).toBeUndefined()
  })
  it("some clients leave out the last empty line", () => {
    expect(unsigned("5\r\nhello\r\n0\r\n").fault).toBeUndefined()
  })
  it("malformed framing is refused", () => {
    expect(unsigned("zz\r\n").fault).toBe("Malformed")
    expect(unsigned("-5\r\nhello\r\n0\r\n\r\n").fault).toBe("Malformed")
    expect(unsigned("5\r\nhello!\r\n0\r\n\r\n").fault).toBe("Malformed")
    expect(unsigned("ffffffffffffffff\r\n").fault).toBe("Malformed")
    expect(unsigned("0\r\n\r\nmore").fault).toBe("Malformed")
    expect(unsigned("0\r\nno colon\r\n\r\n").fault).toBe("Malformed")
    expect(unsigned("0\r\na:b\r\n\r\n", false).fault).toBe("Malformed")
    expect(unsigned(`5;${"x".repeat(9000)}\r\n`).fault).toBe("Malformed")
    expect(unsigned(`0\r\n${"a:b\r\n".repeat(9000)}`).fault).toBe("Malformed")
  })
  it("a signed stream without chunk signatures is unverified", () => {
    expect(signed(Buffer.from("5\r\nhello\r\n0\r\n\r\n")).fault).toBe("Unverified")
  })
})
