/**
 * KeyText: a vault's keys as text that a human can copy, print and type. Sits between VaultKeys and paper: whoever has
 * the text reads everything.
 */
import { concatBytes, equalBytes, toHex } from "../base/bytes.ts"
import { deriveKey } from "../base/hash.ts"
import { type TenantId, type VaultId, defaultTenant, rawId } from "../base/ids.ts"
import { KeyringError } from "./KeyringError.ts"
import { type VaultKeys, masterBytes, suiteByte } from "./VaultKeys.ts"

const formatVersion = 1
const payloadBytes = 6 + 16 + 16 + masterBytes
const checksumBytes = 5
const title = "ouroboros-key"
/** Crockford's base32: no I, L, O, U. */
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
const groupLetters = 5
const groupsPerLine = 6
/** Longer texts are no keys; nothing is done with them. */
const textLettersMax = 4096

const checksumOf = (payload: Uint8Array): Uint8Array => deriveKey("ouroborosdb 2026 key text 1 checksum", payload).subarray(0, checksumBytes)

/** 75 bytes are 120 letters without rest: 24 groups of five in four lines, under a line that says what it is. */
export const exportKey = (keys: VaultKeys): string => {
  const head = Buffer.alloc(6)
  head.writeUInt8(formatVersion, 0)
  head.writeUInt8(suiteByte, 1)
  head.writeUInt32BE(keys.generation, 2)
  const payload = concatBytes([head, rawId(keys.tenantId ?? defaultTenant), rawId(keys.vaultId), keys.master])
  const bits = [...concatBytes([payload, checksumOf(payload)])].map((byte) => byte.toString(2).padStart(8, "0")).join("")
  const letters = (bits.match(/.{5}/g) ?? []).map((group) => alphabet[Number.parseInt(group, 2)]).join("")
  const groups = letters.match(new RegExp(`.{${groupLetters}}`, "g")) ?? []
  const lines = Array.from({ length: groups.length / groupsPerLine }, (_, line) =>
    groups.slice(line * groupsPerLine, (line + 1) * groupsPerLine).join("-")
  )
  return [title, ...lines, ""].join("\n")
}

/** The keys of an exported text, however it is spaced, hyphenated or cased; O is read as 0, I and L as 1. */
export const importKey = (text: string): Required<VaultKeys> | KeyringError => {
  const refuse = (reason: KeyringError["reason"], detail: string): KeyringError => new KeyringError({ reason, detail })
  if (text.length > textLettersMax) return refuse("UnknownFormat", `${text.length} letters are too many for an exported key`)
  const untitled = text.trimStart().toLowerCase().startsWith(title) ? text.trimStart().slice(title.length) : text
  const letters = untitled.replace(/[\s-]/g, "").toUpperCase().replace(/O/g, "0").replace(/[IL]/g, "1")
  const expected = ((payloadBytes + checksumBytes) * 8) / 5
  if (letters.length !== expected) return refuse("Damaged", `an exported key has ${expected} letters and digits, this one has ${letters.length}`)
  const values = Array.from(letters, (letter) => alphabet.indexOf(letter))
  const stranger = values.indexOf(-1)
  if (stranger !== -1) return refuse("Damaged", `letter ${(stranger % groupLetters) + 1} of group ${Math.floor(stranger / groupLetters) + 1} is never used in a key`)
  const bits = values.map((value) => value.toString(2).padStart(5, "0")).join("")
  const bytes = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)))
  const payload = bytes.subarray(0, payloadBytes)
  if (!equalBytes(checksumOf(payload), bytes.subarray(payloadBytes))) {
    return refuse("Damaged", "the checksum does not fit: some letter of the exported key is wrong")
  }
  const generation = payload.readUInt32BE(2)
  if (payload.readUInt8(0) !== formatVersion || payload.readUInt8(1) !== suiteByte || generation === 0) {
    return refuse("UnknownFormat", `the exported key has version ${payload.readUInt8(0)}, suite ${payload.readUInt8(1)}: use the program that wrote it`)
  }
  return {
    tenantId: toHex(payload.subarray(6, 22)) as TenantId,
    vaultId: toHex(payload.subarray(22, 38)) as VaultId,
    generation,
    master: Uint8Array.from(payload.subarray(38))
  }
}
