/** AsOf: a point of history as a person writes it: a commit sequence, an ISO 8601 time, or an age such as 2h. */
import { DateTime } from "effect"
import { UsageError } from "./Location.ts"

const iso = (ms: number): string => DateTime.formatIso(DateTime.makeUnsafe(ms))

const unitMs: Readonly<Record<string, number>> = {
  s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 7 * 86_400_000
}

/** The value of the header x-ouroboros-as-of. */
export const asOfHeader = (text: string, nowMs: number, flag = "--as-of"): string | UsageError => {
  if (/^\d{1,15}$/.test(text)) return text
  const age = /^(\d{1,9}(?:\.\d{1,3})?)([smhdw])$/.exec(text)
  if (age !== null) return iso(nowMs - Number(age[1]) * (unitMs[age[2] ?? ""] ?? 0))
  const ms = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(ms)
    ? new UsageError({ detail: `${flag} "${text}": a commit sequence (1234), a time (2026-01-31T12:00:00Z) or an age (90s, 15m, 2h, 3d, 1w)` })
    : iso(ms)
}
