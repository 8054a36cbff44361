/** The examples that AWS publishes ("Signature Calculations for the Authorization Header", "… Query Parameters"). */
import { createHmac } from "node:crypto"
import { describe, expect, it } from "vitest"
import { algorithm, emptySha256, presignTarget, sha256Hex, signerOf, signRequest, uriEncode, canonicalQuery } from "../../src/gateway/s3/SigV4.ts"
import { accessKey, secretKey } from "./sign.ts"

const signer = { accessKey, secretKey, region: "us-east-1" }
const nowMs = Date.UTC(2013, 4, 24)
const host = "examplebucket.s3.amazonaws.com"

const signatureOf = (method: string, target: string, headers: ReadonlyArray<readonly [string, string]>, payload = emptySha256): string => {
  const signed = new Map(signRequest({ method, target, host, headers }, signer, nowMs, payload))
  return /Signature=([0-9a-f]+)$/.exec(signed.get("authorization") ?? "")?.[1] ?? ""
}

describe("sigv4: AWS's published examples", () => {
  it("GET of an object with a range", () => {
    expect(signatureOf("GET", "/test.txt", [["range", "bytes=0-9"]])).toBe("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
  })
  it("PUT of an object whose key has a dollar sign", () => {
    const headers = [["date", "Fri, 24 May 2013 00:00:00 GMT"], ["x-amz-storage-class", "REDUCED_REDUNDANCY"]] as const
    expect(signatureOf("PUT", "/test$file.text", headers, sha256Hex("Welcome to Amazon S3."))).toBe("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
  })
  it("a sub-resource without a value", () => {
    expect(signatureOf("GET", "/?lifecycle", [])).toBe("fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
  })
  it("a listing with parameters", () => {
    expect(signatureOf("GET", "/?max-keys=2&prefix=J", [])).toBe("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")
  })
  it("a presigned URL", () => {
    const target = presignTarget({ method: "GET", target: "/test.txt", host, headers: [] }, signer, nowMs, 86_400)
    expect(target).toContain("X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")
    expect(target).toContain(`X-Amz-Algorithm=${algorithm}`)
  })
})

describe("sigv4: canonical forms", () => {
  it("a key that signs often signs as HMAC does, whatever the lengths of key and text", () => {
    for (const keyBytes of [0, 1, 32, 63, 64]) {
      const key = Uint8Array.from({ length: keyBytes }, (_, index) => 7 * index + keyBytes)
      const sign = signerOf(key)
      for (const text of ["", "a", "\u00ff".repeat(63), "b".repeat(64), "c".repeat(200)]) {
        expect(sign(text)).toBe(createHmac("sha256", key).update(text, "latin1").digest("hex"))
      }
    }
  })
  it("everything but unreserved characters is encoded, byte by byte", () => {
    expect(uriEncode("a b+c/d~e!'()*é😀")).toBe("a%20b%2Bc%2Fd~e%21%27%28%29%2A%C3%A9%F0%9F%98%80")
    expect(uriEncode("../a//b/.", true)).toBe("../a//b/.")
  })
  it("pairs are sorted by encoded name, then value, not as one text", () => {
    expect(canonicalQuery([["a-b", "1"], ["a", "2"], ["a", "1"]])).toBe("a=1&a=2&a-b=1")
    expect(canonicalQuery([["prefix", "é"], ["acl", ""]])).toBe("acl=&prefix=%C3%A9")
  })
})
