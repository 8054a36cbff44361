/**
 * Sessions: exactly once (R14; Ongaro's dissertation, 6.3). Who asks opens a session, whose id no other ever has, and numbers his
 * requests; the state keeps what the last of them came to. Pure; between apply, which asks before and records after, and the rows.
 *
 * 1. A number whose answer is kept is never run again; nor is one before the window, nor one of a session that is not there.
 * 2. A number in the window without an answer was never run: all that ran in the window are kept. It is not run either where its name has an answer.
 * 3. Sessions go by the log's time and their own number alone, so on every replica at the same entry. An id never comes back.
 */
import { equalBytes } from "../base/bytes.ts"
import { namedAnswersMax, namedKeptMs, sessionIdleMs, sessionsMax, sessionTouchMs, sessionWindow } from "../base/replicaLimits.ts"
import type { RowChange, StateReader } from "../namespace/State.ts"
import { keepNamed, namedDone } from "./NamedAnswers.ts"
import { keptKey, keptRange, keptRow, sessionKey, sessionRow, type SessionRow, type SessionRules, sessionsKey, sessionsRow, usedKey, usedRange, usedRow } from "./ReplicaRows.ts"
import type { Done, RequestId, SessionId } from "./Request.ts"

export const sessionRules: SessionRules = { window: sessionWindow, sessionsMax, idleMs: sessionIdleMs, touchMs: sessionTouchMs, namedMax: namedAnswersMax, namedMs: namedKeptMs }

export type Verdict =
  | { readonly _tag: "Free"; readonly row: SessionRow }
  | { readonly _tag: "Answered"; readonly done: Done }
  | { readonly _tag: "Refused"; readonly reason: "Expired" | "Forgotten" | "Misused" }

/** Whether a request may run, as the state is now. */
export const judge = (state: StateReader, { digest, name, number, session }: RequestId, { window }: SessionRules): Verdict => {
  const bytes = state.get(sessionKey(session))
  if (bytes === undefined) return { _tag: "Refused", reason: "Expired" }
  const row = sessionRow.decode(bytes)
  if (number + window <= row.high) return { _tag: "Refused", reason: "Forgotten" }
  const kept = state.get(keptKey(session, number))
  if (kept === undefined) {
    const done = namedDone(state, name)
    return done === undefined ? { _tag: "Free", row } : { _tag: "Answered", done }
  }
  const { digest: asked, done } = keptRow.decode(kept)
  return equalBytes(asked, digest) ? { _tag: "Answered", done } : { _tag: "Refused", reason: "Misused" }
}

/** What a request that ran leaves: its answer, and those that fall out of the window. Then one session goes, if it has been idle for too long. */
export const record = (state: StateReader, { digest, name, number, session }: RequestId, row: SessionRow, done: Done, timeMs: number, rules: SessionRules): ReadonlyArray<RowChange> => {
  const high = Math.max(row.high, number)
  const usedMs = touched(Math.max(timeMs, row.usedMs), rules)
  const changes: Array<RowChange> = [[keptKey(session, number), keptRow.encode({ digest, done })], [sessionKey(session), sessionRow.encode({ usedMs, high })]]
  for (let gone = Math.max(1, row.high - rules.window + 1); gone <= high - rules.window; gone += 1) {
    const key = keptKey(session, gone)
    if (state.get(key) !== undefined) changes.push([key, undefined])
  }
  if (usedMs !== row.usedMs) changes.push([usedKey(row.usedMs, session), undefined], [usedKey(usedMs, session), usedRow.encode({ session })])
  if (name !== undefined) changes.push(...keepNamed(state, name, done, rules))
  const idle = oldest(state)
  if (idle === undefined || idle.session === session || idle.usedMs + rules.idleMs > timeMs) return changes
  return [...changes, ...drop(state, idle), [sessionsKey, sessionsRow.encode({ count: countOf(state) - 1 })]]
}

/** A new one; where there are too many, the one that was used longest ago goes. */
export const open = (state: StateReader, session: SessionId, timeMs: number, rules: SessionRules): ReadonlyArray<RowChange> => {
  const usedMs = touched(timeMs, rules)
  const leaving = oldest(state)
  const isGoing = leaving !== undefined && (countOf(state) >= rules.sessionsMax || leaving.usedMs + rules.idleMs <= timeMs)
  return [
    ...(isGoing ? drop(state, leaving) : []),
    [sessionKey(session), sessionRow.encode({ usedMs, high: 0 })], [usedKey(usedMs, session), usedRow.encode({ session })],
    [sessionsKey, sessionsRow.encode({ count: countOf(state) + (isGoing ? 0 : 1) })]
  ]
}

const touched = (timeMs: number, { touchMs }: SessionRules): number => timeMs - (timeMs % touchMs)

export const countOf = (state: StateReader): number => {
  const bytes = state.get(sessionsKey)
  return bytes === undefined ? 0 : sessionsRow.decode(bytes).count
}

interface Oldest {
  readonly session: SessionId
  readonly usedMs: number
}

const oldest = (state: StateReader): Oldest | undefined => {
  const first = state.first(...usedRange)
  if (first === undefined) return undefined
  const { session } = usedRow.decode(first[1])
  return { session, usedMs: sessionRow.decode(state.get(sessionKey(session))!).usedMs }
}

/** Its window at most of rows, and two. */
const drop = (state: StateReader, { session, usedMs }: Oldest): ReadonlyArray<RowChange> => [
  [sessionKey(session), undefined], [usedKey(usedMs, session), undefined],
  ...[...state.scan(...keptRange(session))].map(([key]): RowChange => [key, undefined])
]
