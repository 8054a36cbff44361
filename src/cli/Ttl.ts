/** Ttl: how long an upload is to live, as people say it, into the header that says so. Between the flag and requests. */
import { Effect } from "effect"
import { ttlSecondsMax } from "../base/limits.ts"
import { parseTtl, ttlHeader } from "../base/timeToLive.ts"
import { UsageError } from "./Location.ts"
import type { Headers } from "./S3Client.ts"

const unitSeconds: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }

/** "" is not given. A count of seconds, minutes, hours, days or weeks; or none. */
export const ttlHeaders = (text: string): Effect.Effect<Headers, UsageError> => {
  if (text === "") return Effect.succeed([])
  if (text === "none") return Effect.succeed([[ttlHeader, text]])
  const match = /^(\d{1,10})([smhdw]?)$/.exec(text)
  const seconds = String(Number(match?.[1] ?? 0) * (unitSeconds[match?.[2] ?? ""] ?? 0))
  return parseTtl(seconds) === undefined
    ? Effect.fail(new UsageError({ detail: `--ttl ${text}: give seconds, or 90m, 12h, 7d, 4w, from 1 second to ${ttlSecondsMax / 86_400} days; or none` }))
    : Effect.succeed([[ttlHeader, seconds]])
}
