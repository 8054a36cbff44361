/**
 * JoinToken: what an operator carries from a cluster to a node that shall join it: a secret that is good once and not for long, and the hash of the
 * cluster's authority. So each proves itself to the other before anything else is said: who knows the secret was invited, and
 * whose authority has that hash is who invited. Between `cluster invite` and `cluster join`.
 */
import { concatBytes, copyOf, equalBytes, fromHex, getU64, putU64, toHex } from "../base/bytes.ts"
import { joinTokenLettersMax } from "../base/clusterLimits.ts"
import { deriveKey } from "../base/hash.ts"
import type { ClusterId } from "./Identity.ts"
import { type MembershipError, refusalOf } from "./MembershipError.ts"

export interface JoinToken {
  readonly cluster: ClusterId
  /** Of authorityHashOf. */
  readonly authority: string
  /** 32 hex digits; may be shown and logged. */
  readonly id: string
  /** 32 random bytes. */
  readonly secret: Uint8Array
  readonly expiresMs: number
}

const title = "ouroboros-join-1."
const checksumBytes = 6
const payloadBytes = 16 + 32 + 16 + 32 + 8
export const tokenIdBytes = 16
export const tokenSecretBytes = 32
const refuse = refusalOf("join token")

const checksumOf = (payload: Uint8Array): Uint8Array => deriveKey("ouroborosdb 2026 join token 1 checksum", payload).subarray(0, checksumBytes)

/** One word that can be pasted: cluster, authority, id, secret, expiry, checksum in base64url. */
export const joinTokenText = ({ authority, cluster, expiresMs, id, secret }: JoinToken): string => {
  const expires = new Uint8Array(8)
  putU64(expires, 0, expiresMs)
  const payload = concatBytes([fromHex(cluster), fromHex(authority), fromHex(id), secret, expires])
  return title + Buffer.from(concatBytes([payload, checksumOf(payload)])).toString("base64url")
}

/** The token of a text with spaces around or within it, as terminals break lines. No error holds a letter of it. */
export const readJoinToken = (text: string, nowMs: number): JoinToken | MembershipError => {
  const word = text.length > joinTokenLettersMax ? "" : text.replaceAll(/\s/g, "")
  if (!word.startsWith(title)) return refuse("Malformed", `a join token begins with ${title}: copy what \`ouroboros cluster invite\` printed`)
  const bytes = Buffer.from(word.slice(title.length), "base64url")
  const payload = bytes.subarray(0, payloadBytes)
  const isWhole = bytes.length === payloadBytes + checksumBytes && bytes.toString("base64url") === word.slice(title.length)
  if (!isWhole || !equalBytes(checksumOf(payload), bytes.subarray(payloadBytes))) return refuse("Damaged", "the join token is not whole: copy it again")
  const expiresMs = getU64(payload, payloadBytes - 8)
  if (expiresMs === undefined) return refuse("Malformed", "the join token expires at no time")
  if (nowMs > expiresMs) return refuse("Expired", "the join token has expired: ask for another (`ouroboros cluster invite`)")
  const [cluster, authority, id] = [payload.subarray(0, 16), payload.subarray(16, 48), payload.subarray(48, 64)].map(toHex) as [string, string, string]
  return { cluster: cluster as ClusterId, authority, id, secret: copyOf(payload.subarray(64, 96)), expiresMs }
}

/** Keys that both who invited and who was invited derive; `use` is a constant of the program. 32 bytes. */
export const joinKey = ({ authority, cluster, id, secret }: Pick<JoinToken, "authority" | "cluster" | "id" | "secret">, use: "ask" | "answer"): Uint8Array =>
  deriveKey(`ouroborosdb 2026 join token 1 ${use}`, concatBytes([secret, fromHex(cluster), fromHex(authority), fromHex(id)]))
