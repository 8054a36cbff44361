/**
 * LoggedEntry: an entry as the log holds it: its sequence in clear, so that replay passes what it has without opening
 * it, then the entry sealed under that sequence. It sits between Entry and CommitLog; names are in no log in clear.
 */
import { freshBytes, getU64, putU64 } from "../base/bytes.ts"
import type { Sequence } from "../base/ids.ts"
import { FormatError } from "./Canonical.ts"
import { decodeEntry, encodeEntry, type Entry } from "./Entry.ts"
import type { ValueSealer } from "./State.ts"

const context = "ouroborosdb/namespace/entry"
const sequenceBytes = 8

/** Undefined where the change is too large for one commit (R9). */
export const sealEntry = (sealer: ValueSealer, entry: Entry): Uint8Array | undefined => {
  const plain = encodeEntry(entry)
  if (plain === undefined) return undefined
  const head = new Uint8Array(sequenceBytes)
  putU64(head, 0, entry.sequence)
  const sealed = sealer.sealValue(context, head, plain)
  const bytes = freshBytes(sequenceBytes + sealed.length)
  bytes.set(head)
  bytes.set(sealed, sequenceBytes)
  return bytes
}

/** Throws FormatError where there is none. */
export const sequenceOf = (bytes: Uint8Array): Sequence => {
  const sequence = bytes.length > sequenceBytes ? getU64(bytes, 0) : undefined
  if (sequence === undefined) throw new FormatError(`logged entry: ${bytes.length} bytes without a sequence`)
  return sequence
}

/** Throws FormatError where the bytes are not a sealed entry of that sequence. */
export const openEntry = (sealer: ValueSealer, bytes: Uint8Array): Entry => {
  const sequence = sequenceOf(bytes)
  const plain = sealer.openValue(context, bytes.subarray(0, sequenceBytes), bytes.subarray(sequenceBytes))
  if (!(plain instanceof Uint8Array)) throw new FormatError(`logged entry ${sequence}: ${plain.message}`)
  const entry = decodeEntry(plain)
  if (entry.sequence !== sequence) throw new FormatError(`logged entry ${sequence}: says that it is ${entry.sequence}`)
  return entry
}

