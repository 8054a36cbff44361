/** A node's identity: its id, its file, and who can open that. */
import { blake3 } from "@noble/hashes/blake3.js"
import fc from "fast-check"
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { seededRandom } from "../../sim/Random.ts"
import { service } from "../../src/adapters/NodeKeyPairs.ts"
import { decodePublicIdentity, encodePublicIdentity, identityOf, nodeIdOf } from "../../src/membership/Identity.ts"
import { identityFileBytes, openIdentity, readIdentityHeader, sealIdentity } from "../../src/membership/IdentityFile.ts"
import { MembershipError } from "../../src/membership/MembershipError.ts"
import type { KeyringProtection } from "../../src/sealer/Keyring.ts"
import { mutateBytes } from "../fuzz/Mutation.ts"
import { good, noise, reasonOf, seedsOf } from "./fixtures.ts"

const golden = (name: string): string => readFileSync(new URL(`golden/${name}`, import.meta.url), "utf8").replaceAll(/\s/g, "")
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

const keyFile: KeyringProtection = { _tag: "KeyFile", key: noise(77)(32) }
const cheap = { memoryKiB: 64, passes: 1, lanes: 1 }
const passphrase = (words: string): KeyringProtection => ({ _tag: "Passphrase", passphrase: words, cost: cheap })
const identity = identityOf(service, seedsOf(1))
const seal = (protection: KeyringProtection): Uint8Array => good(sealIdentity(identity.id, seedsOf(1), protection, noise(3)))
/** With the checksum that the bytes before it should have. */
const mend = (bytes: Uint8Array): Uint8Array => Buffer.concat([bytes.subarray(0, identityFileBytes - 32), blake3(bytes.subarray(0, identityFileBytes - 32))])

describe("identity", () => {
  it("identity: one pair of seeds, one id, which is the hash of both public keys and of nothing else", () => {
    expect(identity.id).toBe(golden("node-id.v1.txt"))
    const bytes = encodePublicIdentity(identity.shown)
    expect(hex(bytes.subarray(0, 2))).toBe("0101")
    expect(identity.id).toBe(hex(blake3(bytes, { context: Buffer.from("ouroborosdb 2026 node id 1") })))
    expect(good(decodePublicIdentity(bytes)!)).toEqual(identity.shown)
    expect(nodeIdOf({ ...identity.shown, agreement: identityOf(service, seedsOf(2)).shown.agreement })).not.toBe(identity.id)
    expect(nodeIdOf({ ...identity.shown, signing: identityOf(service, seedsOf(2)).shown.signing })).not.toBe(identity.id)
  })

  it("identity: any other bytes are no public identity", () => {
    const bytes = encodePublicIdentity(identity.shown)
    for (const other of [bytes.subarray(1), Buffer.concat([bytes, Buffer.of(0)]), mutatedAt(bytes, 0), mutatedAt(bytes, 1), new Uint8Array(0)]) expect(decodePublicIdentity(other)).toBeUndefined()
  })

  it("identity: golden files of both protections open, and are what is written today", () => {
    expect(hex(seal(keyFile))).toBe(golden("identity-keyfile.v1.hex"))
    expect(hex(seal(passphrase("correct horse")))).toBe(golden("identity-passphrase.v1.hex"))
    for (const [name, protection] of [["identity-keyfile.v1.hex", keyFile], ["identity-passphrase.v1.hex", passphrase("correct horse")]] as const) {
      const opened = good(openIdentity(Buffer.from(golden(name), "hex"), protection))
      expect(opened).toEqual({ id: identity.id, seeds: seedsOf(1) })
      expect(identityOf(service, opened.seeds).id).toBe(opened.id)
    }
  })

  it("identity: fields lie where the table says, and no byte of a seed lies open", () => {
    const bytes = Buffer.from(seal(passphrase("x")))
    expect(bytes.length).toBe(192)
    expect(bytes.subarray(0, 8).toString("latin1")).toBe("OBNI\u0001\u0001\u0001\u0000")
    expect(bytes.subarray(8, 40).toString("hex")).toBe(identity.id)
    expect([40, 44, 48].map((at) => bytes.readUInt32BE(at))).toEqual([64, 1, 1])
    for (const part of [seedsOf(1).subarray(0, 8), seedsOf(1).subarray(32, 40)]) expect(bytes.includes(part)).toBe(false)
    expect(readIdentityHeader(bytes)).toEqual({ id: identity.id, protection: "Passphrase" })
  })

  it("identity: under another passphrase or key file, or another kind of secret, it stays closed", () => {
    expect(reasonOf(openIdentity(seal(passphrase("a")), passphrase("b")))).toBe("WrongSecret")
    expect(reasonOf(openIdentity(seal(keyFile), { _tag: "KeyFile", key: noise(78)(32) }))).toBe("WrongSecret")
    expect(reasonOf(openIdentity(seal(keyFile), passphrase("a")))).toBe("WrongProtection")
    expect(reasonOf(openIdentity(seal(passphrase("a")), keyFile))).toBe("WrongProtection")
    for (const bad of [passphrase(""), passphrase("\ud800"), { _tag: "KeyFile", key: new Uint8Array(31) } as const]) {
      expect(reasonOf(sealIdentity(identity.id, seedsOf(1), bad, noise(3)))).toBe("BadSecret")
      expect(reasonOf(openIdentity(seal(bad._tag === "KeyFile" ? keyFile : passphrase("a")), bad))).toBe("BadSecret")
    }
  })

  it("identity: every flipped bit is found: by the checksum, and by the cipher where someone mends that", () => {
    const bytes = seal(keyFile)
    for (let at = 0; at < bytes.length; at += 1) {
      // Behind the magic it is an identity that rotted, whatever its version says; whole, it is of another one.
      expect(reasonOf(openIdentity(mutatedAt(bytes, at), keyFile)), `byte ${at}`).toBe(at < 4 ? "UnknownFormat" : "Damaged")
      expect(openIdentity(mend(mutatedAt(bytes, at)), keyFile) instanceof MembershipError, `mended byte ${at}`).toBe(at < identityFileBytes - 32)
    }
    for (const at of [4, 5]) expect(reasonOf(openIdentity(mend(mutatedAt(bytes, at)), keyFile))).toBe("UnknownFormat")
  })

  it("identity: any bytes as a file: an error, and none that holds a byte of the key", () => {
    const file = seal(keyFile)
    fc.assert(fc.property(fc.nat(), fc.boolean(), (seed, mends) => {
      const harmed = mutateBytes(seededRandom(seed), file)
      const opened = openIdentity(mends && harmed.length === identityFileBytes ? mend(harmed) : harmed, keyFile)
      if (opened instanceof MembershipError) return !(JSON.stringify(opened) + opened.message).includes(hex(seedsOf(1)).slice(0, 16))
      return hex(opened.seeds) === hex(seedsOf(1))
    }), { numRuns: 300 })
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => openIdentity(bytes, keyFile) instanceof MembershipError), { numRuns: 300 })
  })
})

const mutatedAt = (bytes: Uint8Array, at: number): Uint8Array => Uint8Array.from(bytes, (byte, index) => (index === at ? byte ^ 1 : byte))
