/**
 * How long an object is to live. Sits between the header by which a client says so, which travels among the object's
 * headers, and the namespace, which alone knows the time from which it counts: that of the commit.
 */
import { ttlSecondsMax } from "./limits.ts"

export const ttlHeader = "x-ouroboros-ttl"

/** Whole seconds, 1 to ttlSecondsMax; undefined: not that. */
export const parseTtl = (text: string): number | undefined => {
  const seconds = /^[0-9]{1,10}$/.test(text) ? Number(text) : 0
  return seconds >= 1 && seconds <= ttlSecondsMax ? seconds : undefined
}

/** The millisecond at which what is committed at `committedMs` expires; undefined: never. What does not parse was never let in. */
export const expiryOf = (headers: Readonly<Record<string, string>>, committedMs: number): number | undefined => {
  const text = headers[ttlHeader]
  const seconds = text === undefined ? undefined : parseTtl(text)
  return seconds === undefined ? undefined : committedMs + seconds * 1000
}
