/** The keyring and the exported key: the right secret opens, nothing else does, and no message holds a key. */
import { blake3 } from "@noble/hashes/blake3.js"
import { argon2id } from "@noble/hashes/argon2.js"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { defaultTenant } from "../../src/base/ids.ts"
import { exportKey, importKey } from "../../src/sealer/KeyText.ts"
import {
  type KeyringProtection,
  type KeyringSecret,
  argon2CostDefault,
  changeProtection,
  createKeyring,
  keyringBytes,
  openKeyring,
  readKeyringHeader
} from "../../src/sealer/Keyring.ts"
import { KeyringError } from "../../src/sealer/KeyringError.ts"
import { hashRawSync } from "@node-rs/argon2"
import { keysOf, noise } from "./fixtures.ts"

const { vaultId, master } = keysOf(1)
const cost = { memoryKiB: 64, passes: 1, lanes: 1 }
const passphrase = (text: string): KeyringProtection => ({ _tag: "Passphrase", passphrase: text, cost })
const keyFile = (seed: number): KeyringSecret => ({ _tag: "KeyFile", key: noise(32, seed) })

let draws = 0
const random = (count: number): Uint8Array => noise(count, ++draws)

const create = (protection: KeyringProtection): Uint8Array => {
  const bytes = createKeyring({ vaultId, master, protection, random })
  if (bytes instanceof KeyringError) throw bytes
  return bytes
}

const reasonOf = (result: unknown): string => (result instanceof KeyringError ? result.reason : "opened")

describe("keyring", () => {
  it("sealer: created under a passphrase or a key file, opened with it: the same keys", () => {
    const keys = { tenantId: defaultTenant, vaultId, generation: 1, master }
    expect(openKeyring(create(passphrase("correct horse")), passphrase("correct horse"))).toEqual(keys)
    expect(openKeyring(create(keyFile(1)), keyFile(1))).toEqual(keys)
    expect(openKeyring(create({ _tag: "Passphrase", passphrase: "at full cost" }), passphrase("at full cost"))).toEqual(keys)
    expect(argon2CostDefault).toEqual({ memoryKiB: 65_536, passes: 3, lanes: 1 })
  })

  it("sealer: wrong passphrase, wrong key file, the other kind of secret: a sentence that says so and no key", () => {
    const [words, file] = [create(passphrase("right")), create(keyFile(1))]
    const messages = [
      openKeyring(words, passphrase("wrong")),
      openKeyring(words, keyFile(1)),
      openKeyring(file, keyFile(2)),
      openKeyring(file, passphrase("right")),
      openKeyring(file, { _tag: "KeyFile", key: noise(31, 1) }),
      openKeyring(words, passphrase(""))
    ].map((result) => (result as KeyringError).message)
    expect(messages).toEqual([
      "vault key: wrong passphrase",
      "vault key: the keyring is under a passphrase: give it",
      "vault key: this key file belongs to another keyring",
      "vault key: the keyring is under a key file, not a passphrase",
      "vault key: a key file has 32 bytes, this one has 31",
      "vault key: the passphrase is empty: give one with at least a character"
    ])
  })

  it("sealer: a passphrase typed on another keyboard, its accents composed otherwise, opens", () => {
    expect(reasonOf(openKeyring(create(passphrase("caf\u00e9")), passphrase("cafe\u0301")))).toBe("opened")
  })

  it("sealer: protection changed: the new secret opens the same keys, the old one nothing, no byte of salt is kept", () => {
    const before = create(keyFile(1))
    const after = changeProtection(before, keyFile(1), passphrase("new"), random) as Uint8Array
    expect(openKeyring(after, passphrase("new"))).toEqual(openKeyring(before, keyFile(1)))
    expect(reasonOf(openKeyring(after, keyFile(1)))).toBe("WrongProtection")
    expect(reasonOf(changeProtection(after, passphrase("guess"), keyFile(2), random))).toBe("WrongSecret")
    const again = changeProtection(after, passphrase("new"), passphrase("new"), random) as Uint8Array
    expect(again.subarray(56, keyringBytes)).not.toEqual(after.subarray(56, keyringBytes))
  })

  it("sealer: any byte of a keyring changed or cut off: refused, the checksum mended or not", () => {
    for (const protection of [passphrase("right"), keyFile(1)]) {
      const bytes = create(protection)
      for (let at = 0; at < bytes.length; at++) {
        const changed = Uint8Array.from(bytes)
        changed[at] = (changed[at] ?? 0) ^ 0x04
        // Behind the magic it is a keyring that rotted, whatever its version says; whole, it is of another one.
        expect(reasonOf(openKeyring(changed, protection)), `byte ${at}`).toBe(at < 4 ? "UnknownFormat" : "Damaged")
        expect(reasonOf(openKeyring(bytes.subarray(0, at), protection))).toMatch(/Damaged|UnknownFormat/)
      }
    }
  })

  it("sealer: a whole keyring of another version or suite is told from a damaged one", () => {
    for (const at of [4, 5]) {
      const bytes = Buffer.from(create(keyFile(1)))
      bytes[at] = 9
      expect(reasonOf(openKeyring(mend(bytes), keyFile(1)))).toBe("UnknownFormat")
    }
  })

  it("sealer: a keyring that asks for a terabyte of memory is refused before any of it is taken", () => {
    const bytes = Buffer.from(create(passphrase("right")))
    bytes.writeUInt32BE(0xffff_ffff, 44)
    expect(reasonOf(openKeyring(mend(bytes), passphrase("right")))).toBe("UnknownFormat")
    const costly = createKeyring({ vaultId, master, random, protection: { ...passphrase("x"), cost: { ...cost, memoryKiB: 1 << 30 } } })
    expect(reasonOf(costly)).toBe("BadSecret")
  })

  it("sealer: a vault or generation rewritten by someone who can mend checksums: authentication refuses", () => {
    for (const at of [8, 24, 43, 56, 72, 84, 116]) {
      const bytes = Buffer.from(create(keyFile(1)))
      bytes.writeUInt8(bytes.readUInt8(at) ^ 2, at)
      expect(reasonOf(openKeyring(mend(bytes), keyFile(1))), `byte ${at}`).toBe("WrongSecret")
    }
  })

  it("sealer: any bytes as a keyring: an error", () => {
    const start = create(keyFile(1)).subarray(0, 8)
    const input = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ minLength: 156, maxLength: 156 }).map((rest) => mend(Buffer.concat([start, rest]))))
    fc.assert(
      fc.property(input, (bytes) => {
        expect(openKeyring(bytes, keyFile(1))).toBeInstanceOf(KeyringError)
      }),
      { numRuns: 300 }
    )
  })

  it("sealer: the header tells vault and protection without the secret", () => {
    expect(readKeyringHeader(create(keyFile(1)))).toEqual({ protection: "KeyFile", tenantId: defaultTenant, vaultId, generation: 1 })
  })

  it("sealer: Argon2id of the binding equals another implementation's", () => {
    const salt = noise(16, 5)
    const ours = hashRawSync(Buffer.from("words"), { memoryCost: 64, timeCost: 2, parallelism: 1, outputLen: 32, salt })
    expect(Buffer.from(argon2id(Buffer.from("words"), salt, { m: 64, t: 2, p: 1, dkLen: 32 }))).toEqual(Buffer.from(ours))
  })

  it("sealer: no error of keyring or text holds a byte of the key or a word of the passphrase", () => {
    const bytes = create(passphrase("xyzzy-1"))
    const groups = exportKey(keysOf(1)).slice(14).split(/[-\n]/).filter((group) => group !== "")
    const typed = [...groups.slice(0, -1), "UUUUU"]
    const secrets = [Buffer.from(master).toString("hex"), Buffer.from(master).toString("base64"), "xyzzy", ...groups]
    for (const result of [openKeyring(bytes, passphrase("xyzzy-2")), openKeyring(bytes, keyFile(3)), importKey(typed.join(" ")), importKey(groups.slice(1).join(" "))]) {
      expect(result).toBeInstanceOf(KeyringError)
      const { message, stack = "" } = result as KeyringError
      const seen = JSON.stringify(result) + message + stack
      expect(secrets.filter((secret) => seen.includes(secret))).toEqual([])
    }
  })
})

/** Writes the checksum that the bytes before it should have. */
const mend = (bytes: Buffer): Buffer => {
  const body = bytes.subarray(0, keyringBytes - 32)
  return Buffer.concat([body, blake3(body)])
}

describe("exported key", () => {
  it("sealer: exported and imported: the same keys, however it is typed", () => {
    const keys = { tenantId: defaultTenant, ...keysOf(1) }
    const text = exportKey(keys)
    expect(text.split("\n").map((line) => line.length)).toEqual([13, 35, 35, 35, 35, 0])
    const body = text.slice(14)
    for (const typed of [text, body, body.toLowerCase(), body.replaceAll("-", " "), `  ${text.replaceAll("\n", "\r\n")}`, body.replaceAll("0", "o").replaceAll("1", "l")]) {
      expect(importKey(typed)).toEqual(keys)
    }
  })

  it("sealer: any letter wrong, two swapped, one missing: refused", () => {
    const text = exportKey(keysOf(2)).slice(14)
    for (let at = 0; at < text.length; at++) {
      if (!/[0-9A-Z]/.test(text[at] ?? "")) continue
      const wrong = text.slice(0, at) + (text[at] === "7" ? "8" : "7") + text.slice(at + 1)
      expect(importKey(wrong)).toBeInstanceOf(KeyringError)
      expect(importKey(text.slice(0, at) + text.slice(at + 1))).toBeInstanceOf(KeyringError)
      const [one = "", two = ""] = [text[at], text[at + 1]]
      const swapped = text.slice(0, at) + two + one + text.slice(at + 2)
      const refused = importKey(swapped) instanceof KeyringError
      expect(refused).toBe(one !== two && /[0-9A-Z]/.test(two))
    }
    expect((importKey(`!${text.slice(1)}`) as KeyringError).message).toContain("letter 1 of group 1")
  })

  it("sealer: any text: an error", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (input) => {
        expect(importKey(input)).toBeInstanceOf(KeyringError)
      }),
      { numRuns: 200 }
    )
    expect(importKey("0".repeat(1 << 20))).toBeInstanceOf(KeyringError)
  })
})
