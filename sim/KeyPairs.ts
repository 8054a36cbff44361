/**
 * KeyPairs: the twin of adapters/NodeKeyPairs: lengths as they are, and what was signed or agreed on for one key, use or text fits no
 * other. Whoever knows a public key could forge: in a world nobody does. Without chance: what is encapsulated is counted.
 */
import { Layer } from "effect"
import { equalBytes, toUtf8 } from "../src/base/bytes.ts"
import { incrementalHash } from "../src/base/hash.ts"
import { agreementCiphertextBytes, agreementPublicBytes, KeyPairs, type KeyPairsService, signatureBytes, signingPublicBytes } from "../src/ports/KeyPairs.ts"

/** `count` bytes that all of the parts decide. */
const spread = (count: number, name: string, ...parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const hash = incrementalHash()
  hash.update(toUtf8(`${name} ${parts.map((part) => part.length).join(" ")}\n`))
  for (const part of parts) hash.update(part)
  const digest = Buffer.from(hash.digest(), "hex")
  return Uint8Array.from({ length: count }, (_, index) => digest[index % digest.length]! ^ Math.floor(index / digest.length))
}

const signatureOf = (publicKey: Uint8Array, context: string, bytes: Uint8Array): Uint8Array => spread(signatureBytes, "signature", publicKey, toUtf8(context), bytes)

/** The last 32 bytes of a ciphertext are the hash of the key that it is for and of the others. */
const sealOf = (publicKey: Uint8Array, body: Uint8Array): Uint8Array => spread(32, "ciphertext", publicKey, body)

export const makeKeyPairs = (): KeyPairsService => {
  let count = 0
  return {
    signing: (seed) => {
      const publicKey = spread(signingPublicBytes, "signing", seed)
      return { publicKey, sign: (context, bytes) => signatureOf(publicKey, context, bytes) }
    },
    agreement: (seed) => {
      const publicKey = spread(agreementPublicBytes, "agreement", seed)
      return {
        publicKey,
        open: (ciphertext) => {
          if (ciphertext.length !== agreementCiphertextBytes) return undefined
          const body = ciphertext.subarray(0, -32)
          return equalBytes(sealOf(publicKey, body), ciphertext.subarray(-32)) ? spread(32, "secret", publicKey, body) : spread(32, "another secret", publicKey, ciphertext)
        }
      }
    },
    verify: (publicKey, context, bytes, signature) => equalBytes(signatureOf(publicKey, context, bytes), signature),
    encapsulate: (publicKey) => {
      if (publicKey.length !== agreementPublicBytes) return undefined
      count += 1
      const body = spread(agreementCiphertextBytes - 32, "encapsulated", toUtf8(String(count)))
      return { ciphertext: Uint8Array.from([...body, ...sealOf(publicKey, body)]), secret: spread(32, "secret", publicKey, body) }
    }
  }
}

export const layer = (): Layer.Layer<KeyPairs> => Layer.succeed(KeyPairs, makeKeyPairs())
