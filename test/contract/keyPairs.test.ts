/** The contract of the KeyPairs port against NodeKeyPairs and the twin; the adapter against its draft's own vectors. */
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { makeKeyPairs } from "../../sim/KeyPairs.ts"
import { service } from "../../src/adapters/NodeKeyPairs.ts"
import { fromHex, toHex } from "../../src/base/bytes.ts"
import { agreementCiphertextBytes, agreementPublicBytes } from "../../src/ports/KeyPairs.ts"
import { keyPairsContract } from "./keyPairs.ts"

keyPairsContract("NodeKeyPairs", () => service)
keyPairsContract("twin", makeKeyPairs)

const vectors = JSON.parse(readFileSync(new URL("xwing.json", import.meta.url), "utf8")) as ReadonlyArray<Readonly<Record<"seed" | "publicKey" | "ciphertext" | "secret", string>>>

describe("key pairs of node:crypto", () => {
  it("key pairs: X-Wing's own test vectors (draft-connolly-cfrg-xwing-kem, appendix C): key from seed, secret from ciphertext", () => {
    for (const { ciphertext, publicKey, secret, seed } of vectors) {
      const key = service.agreement(fromHex(seed))
      expect(toHex(key.publicKey)).toBe(publicKey)
      expect(toHex(key.open(fromHex(ciphertext))!)).toBe(secret)
    }
    expect(vectors.length).toBe(2)
  })

  it("key pairs: a key of lattice or curve that is none gives no secret, and a point of small order neither", () => {
    expect(service.encapsulate(new Uint8Array(agreementPublicBytes).fill(255))).toBeUndefined()
    const good = service.agreement(new Uint8Array(32).fill(1)).publicKey
    expect(service.encapsulate(Uint8Array.from(good, (byte, index) => (index >= 1184 ? 0 : byte)))).toBeUndefined()
    expect(service.agreement(new Uint8Array(32)).open(new Uint8Array(agreementCiphertextBytes))).toBeUndefined()
  })
})
