/** Golden files of every format of the sealer, and its key derivation spelled out with another BLAKE3. */
import { createCipheriv, createDecipheriv } from "node:crypto"
import { readFileSync } from "node:fs"
import { blake3 } from "@noble/hashes/blake3.js"
import { describe, expect, it } from "vitest"
import { defaultTenant } from "../../src/base/ids.ts"
import { type KeyringProtection, createKeyring, openKeyring } from "../../src/sealer/Keyring.ts"
import { exportKey } from "../../src/sealer/KeyText.ts"
import { openVault } from "../../src/sealer/Vault.ts"
import { keysOf, text } from "./fixtures.ts"

const keys = keysOf(1)
const vault = openVault(keys)
const plain = Buffer.from("What is read is what was written.")

const golden = (name: string): string => readFileSync(new URL(`golden/${name}`, import.meta.url), "utf8")
const goldenBytes = (name: string): Buffer => Buffer.from(golden(name).replace(/\s/g, ""), "hex")
const lined = (bytes: Uint8Array): string => `${(Buffer.from(bytes).toString("hex").match(/.{1,64}/g) ?? []).join("\n")}\n`

/** The key hierarchy from its table in the README, with no code of the sealer. */
const derive = (use: string, generation: number, context = ""): Uint8Array => {
  const numbers = Buffer.alloc(5, 1)
  numbers.writeUInt32BE(generation, 1)
  const ids = Buffer.from(defaultTenant + keys.vaultId, "hex")
  return blake3(Buffer.concat([keys.master, numbers, ids, Buffer.from(context)]), { context: Buffer.from(`ouroborosdb 2026 sealer ${use}`) })
}
const keyed = (key: Uint8Array, ...parts: ReadonlyArray<Uint8Array>): Buffer => Buffer.from(blake3(Buffer.concat(parts), { key }))

describe("golden", () => {
  it("sealer: chunk, stored as it is: golden bytes, and each field where the table says", () => {
    const id = vault.nameChunk(plain)
    const { bytes } = vault.sealChunk(id, plain)
    expect(lined(bytes)).toBe(golden("chunk-stored.v1.hex"))
    expect(id).toBe(keyed(derive("vault 1 chunk id", 0), plain).toString("hex"))
    const data = Buffer.from(bytes)
    expect(data.subarray(0, 8).toString("latin1")).toBe("OBSC\u0001\u0001\u0000\u0000")
    expect([8, 12, 16].map((at) => data.readUInt32BE(at))).toEqual([1, plain.length, plain.length])
    expect(data.subarray(20, 68).toString("hex")).toBe(keys.vaultId + id)
    const nonce = keyed(derive("generation 1 chunk nonce", 1), data.subarray(0, 68)).subarray(0, 12)
    expect(data.subarray(68, 80)).toEqual(nonce)
    const cipher = createCipheriv("aes-256-gcm", keyed(derive("generation 1 chunk key", 1), Buffer.from(id, "hex")), nonce)
    cipher.setAAD(data.subarray(0, 68))
    expect(data.subarray(80)).toEqual(Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]))
  })

  it("sealer: chunk, compressed: the golden bytes open, whatever this machine's zstd writes", () => {
    const plaintext = text(4000, 1)
    const opened = vault.openChunk(vault.nameChunk(plaintext), goldenBytes("chunk-zstd.v1.hex"))
    expect(opened).toEqual(Buffer.from(plaintext))
  })

  it("sealer: value: golden bytes, and the derivation that the README describes", () => {
    const associated = Buffer.from("row 7")
    const bytes = Buffer.from(vault.sealValue("golden", associated, plain))
    expect(lined(bytes)).toBe(golden("value.v1.hex"))
    const header = Buffer.from("010100000001", "hex")
    const length = Buffer.alloc(8)
    length.writeUInt32BE(associated.length, 4)
    const salt = keyed(derive("generation 1 value salt", 1, "golden"), length, header, associated, plain).subarray(0, 16)
    expect(bytes.subarray(0, 22)).toEqual(Buffer.concat([header, salt]))
    const decipher = createDecipheriv("aes-256-gcm", keyed(derive("generation 1 value key", 1, "golden"), salt), Buffer.alloc(12))
    decipher.setAAD(Buffer.concat([header, associated]))
    decipher.setAuthTag(bytes.subarray(-16))
    expect(Buffer.concat([decipher.update(bytes.subarray(22, -16)), decipher.final()])).toEqual(plain)
    // Above a KiB it is hashed in pieces; the format is the same.
    const large = text(5000, 2)
    const largeSalt = keyed(derive("generation 1 value salt", 1, "golden"), length, header, associated, large).subarray(0, 16)
    expect(Buffer.from(vault.sealValue("golden", associated, large)).subarray(6, 22)).toEqual(largeSalt)
  })

  it("sealer: vertex hash and gear key are derived as the README says", () => {
    expect(vault.vertexHash(plain)).toBe(keyed(derive("vault 1 vertex hash", 0), plain).toString("hex"))
    expect(Buffer.from(vault.gearKey)).toEqual(Buffer.from(derive("vault 1 gear", 0)))
  })

  it("sealer: keyrings and exported key: golden bytes, and they open", () => {
    const protections: ReadonlyArray<readonly [string, KeyringProtection]> = [
      ["keyring-passphrase.v1.hex", { _tag: "Passphrase", passphrase: "golden", cost: { memoryKiB: 64, passes: 2, lanes: 1 } }],
      ["keyring-file.v1.hex", { _tag: "KeyFile", key: Buffer.alloc(32, 9) }]
    ]
    for (const [name, protection] of protections) {
      const bytes = createKeyring({ ...keys, protection, random: (count) => Buffer.alloc(count, 5) })
      expect(lined(bytes as Uint8Array)).toBe(golden(name))
      expect(openKeyring(goldenBytes(name), protection)).toEqual({ tenantId: defaultTenant, ...keys })
    }
    expect(exportKey(keys)).toBe(golden("key-text.v1.txt"))
  })
})
