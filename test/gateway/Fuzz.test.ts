/** Any bytes, any headers, any XML: an S3 answer or an S3 error, never a defect, never a hang. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { formatAmzDate, formatHttpDate, formatIso, parseAmzDate, parseHttpDate, parseIso } from "../../src/gateway/s3/HttpDate.ts"
import { decodeMetadata, encodeMetadata } from "../../src/gateway/s3/ObjectAttributes.ts"
import { parseCopySource } from "../../src/gateway/s3/ObjectCopy.ts"
import { S3Error } from "../../src/gateway/s3/S3Error.ts"
import { readRequest } from "../../src/gateway/s3/S3Request.ts"
import { parseXml, textOf } from "../../src/gateway/s3/XmlIn.ts"
import { element, escapeXml, wrap } from "../../src/gateway/s3/XmlOut.ts"
import { codeOf, makeScene } from "./scene.ts"
import { bodyOf, sign } from "./sign.ts"

const ms = fc.integer({ min: 0, max: 253_402_300_799_999 })
const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) })

describe("times", () => {
  it("agree with the calendar of the platform, in all four forms", () => {
    fc.assert(fc.property(ms, (time) => {
      const date = new Date(time)
      const whole = Math.floor(time / 1000) * 1000
      expect(formatIso(time)).toBe(date.toISOString())
      expect(formatHttpDate(time)).toBe(date.toUTCString())
      expect(parseIso(formatIso(time))).toBe(time)
      expect(parseHttpDate(formatHttpDate(time))).toBe(whole)
      expect(parseAmzDate(formatAmzDate(time))).toBe(whole)
    }))
  })
  it("the other forms that HTTP allows", () => {
    const noon = Date.UTC(1994, 10, 6, 8, 49, 37)
    for (const text of ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "1994-11-06T08:49:37Z"]) expect(parseHttpDate(text), text).toBe(noon)
    expect(parseIso("2026-11-20")).toBe(Date.UTC(2026, 10, 20))
    expect(parseIso("2026-11-20T01:30:00-0130")).toBe(Date.UTC(2026, 10, 20, 3))
  })
  it("any text is a time or none", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d$/)), (text) => {
      const time = parseHttpDate(text)
      expect(time === undefined || Number.isFinite(time)).toBe(true)
    }))
  })
})

describe("xml", () => {
  it("what is written is read back, whatever the text", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
      const node = parseXml(Buffer.from(wrap("Delete", wrap("Object", element("Key", text)))), "Delete")
      if (node instanceof S3Error) throw node
      const key = node.children.get("Object")?.[0]
      expect(key === undefined ? undefined : textOf(key, "Key")).toBe(text)
    }), { numRuns: 300 })
  })
  it("any bytes are a document or MalformedXML", () => {
    const tokens = fc.constantFrom("<Delete>", "</Delete>", "<Object>", "</Object>", "<Key>", "</Key>", "<", ">", "&", "&#x0;", "&#xD800;", "&amp;", "<![CDATA[", "]]>", "<!--", "-->",
      "<?xml?>", "<__proto__>", "</__proto__>", "<constructor/>", "<toString/>", "\u0000", "a=\"b\"", "<a:b xmlns:a='c'/>", "<!DOCTYPE")
    fc.assert(fc.property(fc.oneof(fc.uint8Array().map((bytes) => Buffer.from(bytes)), fc.array(tokens).map((parts) => Buffer.from(parts.join("")))), (bytes) => {
      const node = parseXml(bytes, "Delete")
      expect(node instanceof S3Error ? node.code : "read").toMatch(/^(MalformedXML|read)$/)
    }), { numRuns: 1000 })
  })
  it("deep and wide documents cost little", () => {
    expect(parseXml(Buffer.from("<Delete>".repeat(200_000)), "Delete")).toBeInstanceOf(S3Error)
    expect(parseXml(Buffer.from(`<Delete>${"<a/>".repeat(50_000)}</Delete>`), "Delete")).not.toBeInstanceOf(S3Error)
  })
  it("no control character is left as it is", () => {
    expect(escapeXml("a\u0000\u0008\r\n\u007f\uffffb<>&\"'")).toBe("a&#x0;&#x8;&#xd;&#xa;&#x7f;&#xffff;b&lt;&gt;&amp;&quot;'")
  })
})

describe("metadata", () => {
  it("Unicode goes out as printable ASCII and comes back", () => {
    fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => {
      const wire = encodeMetadata(text)
      expect(wire).toMatch(/^[ -~]*$/)
      expect(text.includes("=?") || decodeMetadata(wire) === text).toBe(true)
    }))
  })
  it("any header value is some text", () => {
    fc.assert(fc.property(latin1, (value) => {
      expect(typeof decodeMetadata(value)).toBe("string")
    }))
  })
})

describe("requests", () => {
  it("any target is told apart or refused", () => {
    fc.assert(fc.property(latin1, fc.option(fc.webAuthority(), { nil: undefined }), (target, host) => {
      const request = readRequest({ method: "GET", target: `/${target}`, headers: host === undefined ? [] : [["host", host]], body: bodyOf([], 0), secure: false, remote: "" }, ["localhost", "s3.test"])
      expect(request instanceof S3Error ? request.code : "InvalidURI").toBe("InvalidURI")
    }))
  })
  it("any copy source is one or InvalidArgument", () => {
    fc.assert(fc.property(fc.oneof(latin1, fc.constantFrom("/b/k", "b/k?versionId=", "b/%", "b/k?versionId=null")), (header) => {
      const source = parseCopySource(header)
      expect(source instanceof S3Error ? source.code : "InvalidArgument").toBe("InvalidArgument")
    }))
  })
  it("any signed request gets an answer that is no defect", async () => {
    const scene = await makeScene()
    await scene.ask({ method: "PUT", bucket: "photos" })
    const words = fc.constantFrom("versions", "uploads", "uploadId", "partNumber", "acl", "delete", "versioning", "list-type", "max-keys", "prefix", "delimiter", "marker", "key-marker",
      "continuation-token", "encoding-type", "versionId", "version-id-marker", "location", "tagging", "upload-id-marker", "part-number-marker", "start-after")
    const values = fc.oneof(fc.string({ unit: "grapheme", maxLength: 12 }), fc.constantFrom("2", "0", "-1", "null", "url", "true", "/", "0".repeat(20), "0".repeat(32)))
    const names = fc.constantFrom("range", "if-match", "if-none-match", "if-modified-since", "x-amz-copy-source", "x-amz-copy-source-range", "x-amz-metadata-directive", "x-amz-checksum-crc32", "content-md5",
      "x-amz-checksum-algorithm", "x-amz-checksum-type", "x-ouroboros-as-of", "x-amz-meta-a", "content-type", "x-amz-acl", "x-amz-mp-object-size", "x-amz-trailer", "x-amz-decoded-content-length")
    const header = fc.string({ unit: fc.integer({ min: 32, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 20 })
    const body = fc.constantFrom("", "x", "<Delete><Object><Key>a</Key></Object></Delete>", "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>", "<VersioningConfiguration/>")
    await fc.assert(fc.asyncProperty(
      fc.constantFrom("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"), fc.option(fc.constantFrom("photos", "other", "X"), { nil: undefined }),
      fc.option(fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }), { nil: undefined }), fc.array(fc.tuple(words, values), { maxLength: 4 }),
      fc.dictionary(names, fc.oneof(header, values.filter((value) => /^[ -ÿ]*$/.test(value))), { maxKeys: 3 }), body,
      fc.constantFrom(undefined, "UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
      async (method, bucket, key, query, headers, text, payloadHash) => {
        const ask = { method, query, headers, body: text, nowMs: scene.nowMs, ...(bucket === undefined ? {} : { bucket, ...(key === undefined ? {} : { key }) }), ...(payloadHash === undefined ? {} : { payloadHash }) }
        const answer = await scene.send(sign(ask).request)
        expect(answer.status, answer.text).not.toBe(500)
        expect(codeOf(answer)).not.toBe("InternalError")
        expect(answer.headers.get("x-ouroboros-commit")).toMatch(/^\d+$/)
      }
    ), { numRuns: 400 })
  })
})
