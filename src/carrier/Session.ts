/**
 * Session: what two nodes share once a handshake is done: a key for each direction, sequences that are used once, and what was heard.
 * Between Handshake, which agrees on the keys, and every frame after it.
 */
import { concatBytes, copyOf, toHex } from "../base/bytes.ts"
import { carrierReplayWindow } from "../base/clusterLimits.ts"
import { deriveKey, keyedHash } from "../base/hash.ts"
import type { RestartId } from "../base/ids.ts"
import { type Tagging, tagBytes } from "./CarrierFormat.ts"

export interface Session {
  /** 32 hex digits. */
  readonly id: string
  readonly restartOfPeer: RestartId
  readonly tagOwn: Tagging
  readonly tagOfPeer: Tagging
  sequence: number
  readonly heard: ReplayWindow
  /** The highest epoch that the peer has shown. */
  epoch: number
}

/** Which sequences have come: all up to `highest - window` count as heard. */
export interface ReplayWindow {
  highest: number
  /** By sequence modulo the window: that sequence, where it has come. */
  readonly seen: Float64Array
}

export const freshWindow = (): ReplayWindow => ({ highest: 0, seen: new Float64Array(carrierReplayWindow) })

/** True the first time. Only for what the tag has proven: else anybody could use up sequences. */
export const isHeardFirst = (window: ReplayWindow, sequence: number): boolean => {
  const at = sequence % carrierReplayWindow
  if (sequence < 1 || sequence <= window.highest - carrierReplayWindow || window.seen[at] === sequence) return false
  window.seen[at] = sequence
  window.highest = Math.max(window.highest, sequence)
  return true
}

/** Both secrets, and all that was said on the way to them. */
export interface Agreed {
  readonly ofHello: Uint8Array
  readonly ofWelcome: Uint8Array
  readonly helloHash: Uint8Array
  readonly welcomeHash: Uint8Array
}

/** Keys of RFC 8446's kind: they are bound to every byte of both handshakes, signatures included. */
export const sessionOf = ({ helloHash, ofHello, ofWelcome, welcomeHash }: Agreed, isInitiator: boolean, restartOfPeer: RestartId): Session => {
  const material = concatBytes([ofHello, ofWelcome, helloHash, welcomeHash])
  const tagging = (use: string): Tagging => {
    const hash = keyedHash(copyOf(deriveKey(`ouroborosdb 2026 carrier 1 ${use}`, material)))
    return (...parts) => hash(...parts).subarray(0, tagBytes)
  }
  const [initiator, responder] = [tagging("initiator"), tagging("responder")]
  return {
    id: toHex(deriveKey("ouroborosdb 2026 carrier 1 session", material)).slice(0, 32), restartOfPeer,
    tagOwn: isInitiator ? initiator : responder, tagOfPeer: isInitiator ? responder : initiator,
    sequence: 0, heard: freshWindow(), epoch: 0
  }
}
