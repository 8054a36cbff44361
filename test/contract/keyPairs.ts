/** The contract of the KeyPairs port. Run by keyPairs.test.ts against adapter and twin. */
import { describe, expect, it } from "vitest"
import {
  agreedSecretBytes, agreementCiphertextBytes, agreementPublicBytes, type KeyPairsService, signatureBytes, signingPublicBytes
} from "../../src/ports/KeyPairs.ts"

const seed = (fill: number): Uint8Array => new Uint8Array(32).fill(fill)
const flipped = (bytes: Uint8Array, at: number): Uint8Array => Uint8Array.from(bytes, (byte, index) => (index === at ? byte ^ 1 : byte))
const text = Buffer.from("what is signed")

export const keyPairsContract = (name: string, make: () => KeyPairsService): void => {
  describe(`key pairs contract: ${name}`, () => {
    it("key pairs: one seed, one pair; another seed, another; lengths as the port says", () => {
      const pairs = make()
      expect(pairs.signing(seed(1)).publicKey).toEqual(pairs.signing(seed(1)).publicKey)
      expect(pairs.signing(seed(1)).publicKey).not.toEqual(pairs.signing(seed(2)).publicKey)
      expect(pairs.agreement(seed(1)).publicKey).toEqual(pairs.agreement(seed(1)).publicKey)
      expect(pairs.agreement(seed(1)).publicKey).not.toEqual(pairs.agreement(seed(2)).publicKey)
      expect(pairs.signing(seed(1)).publicKey.length).toBe(signingPublicBytes)
      expect(pairs.signing(seed(1)).sign("a", text).length).toBe(signatureBytes)
      expect(pairs.agreement(seed(1)).publicKey.length).toBe(agreementPublicBytes)
    })

    it("key pairs: a signature is good for its key, use and text, and for no other", () => {
      const pairs = make()
      const key = pairs.signing(seed(1))
      const signature = key.sign("use", text)
      expect(pairs.verify(key.publicKey, "use", text, signature)).toBe(true)
      expect(pairs.verify(key.publicKey, "use 2", text, signature)).toBe(false)
      expect(pairs.verify(key.publicKey, "", text, signature)).toBe(false)
      expect(pairs.verify(pairs.signing(seed(2)).publicKey, "use", text, signature)).toBe(false)
      expect(pairs.verify(key.publicKey, "use", flipped(text, 3), signature)).toBe(false)
      for (const at of [0, 1000, signatureBytes - 1]) expect(pairs.verify(key.publicKey, "use", text, flipped(signature, at))).toBe(false)
    })

    it("key pairs: both sides come to the same secret, fresh each time; another key comes to another", () => {
      const pairs = make()
      const [ours, theirs] = [pairs.agreement(seed(1)), pairs.agreement(seed(2))]
      const first = pairs.encapsulate(ours.publicKey)!
      const second = pairs.encapsulate(ours.publicKey)!
      expect(first.ciphertext.length).toBe(agreementCiphertextBytes)
      expect(first.secret.length).toBe(agreedSecretBytes)
      expect(ours.open(first.ciphertext)).toEqual(first.secret)
      expect(ours.open(second.ciphertext)).toEqual(second.secret)
      expect(second.secret).not.toEqual(first.secret)
      expect(theirs.open(first.ciphertext)).not.toEqual(first.secret)
      for (const at of [0, 1087, 1088, agreementCiphertextBytes - 1]) expect(ours.open(flipped(first.ciphertext, at))).not.toEqual(first.secret)
    })

    it("key pairs: what is no key, signature or ciphertext is refused, not thrown at", () => {
      const pairs = make()
      const key = pairs.signing(seed(1))
      expect(pairs.verify(new Uint8Array(3), "use", text, key.sign("use", text))).toBe(false)
      expect(pairs.verify(key.publicKey, "use", text, new Uint8Array(7))).toBe(false)
      expect(pairs.verify(new Uint8Array(signingPublicBytes).fill(255), "use", text, new Uint8Array(signatureBytes))).toBe(false)
      expect(pairs.encapsulate(new Uint8Array(5))).toBeUndefined()
      expect(pairs.agreement(seed(1)).open(new Uint8Array(9))).toBeUndefined()
    })
  })
}
