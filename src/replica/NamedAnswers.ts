/**
 * NamedAnswers: what was done under a name that its client gave (R14). Sessions are a member's; a client that hears nothing asks another member, in
 * another session: the name is what both have. Pure; between Sessions, which asks before and records after, and the rows.
 *
 * 1. What was done under a name is not done again for as long as its answer is kept; who asks again hears what it came to.
 * 2. What was refused changed nothing and is not kept: whoever asks again is judged by what is there then.
 * 3. Answers go by the log alone: beyond `namedMax` the oldest, and those of `namedMs` ago, a few with each that comes.
 */
import { namedGoneAtOnce } from "../base/replicaLimits.ts"
import { millisOf } from "../base/time.ts"
import type { RowChange, StateReader } from "../namespace/State.ts"
import { namedAtKey, namedAtRange, namedAtRow, namedKey, namedRow, namedsKey, namedsRow, type SessionRules } from "./ReplicaRows.ts"
import type { Done } from "./Request.ts"

export const namedCount = (state: StateReader): number => {
  const bytes = state.get(namedsKey)
  return bytes === undefined ? 0 : namedsRow.decode(bytes).count
}

export const namedDone = (state: StateReader, name: Uint8Array | undefined): Done | undefined => {
  const bytes = name === undefined ? undefined : state.get(namedKey(name))
  return bytes === undefined ? undefined : namedRow.decode(bytes).done
}

/** Under a name that has no answer. */
export const keepNamed = (state: StateReader, name: Uint8Array, done: Done, { namedMax, namedMs }: SessionRules): ReadonlyArray<RowChange> => {
  if (done.answer._tag === "Refused") return []
  const timeMs = millisOf(done.time)
  const changes: Array<RowChange> = []
  let count = namedCount(state) + 1
  let gone = 0
  for (const [key, value] of state.scan(...namedAtRange)) {
    const oldest = namedAtRow.decode(value)
    if (gone === namedGoneAtOnce || (count <= namedMax && oldest.timeMs + namedMs > timeMs)) break
    changes.push([key, undefined], [namedKey(oldest.name), undefined])
    count -= 1
    gone += 1
  }
  return [...changes, [namedKey(name), namedRow.encode({ done })], [namedAtKey(done.sequence), namedAtRow.encode({ timeMs, name })], [namedsKey, namedsRow.encode({ count })]]
}
