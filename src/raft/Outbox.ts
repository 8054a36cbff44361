/**
 * Outbox: what a step wants done, in order. Messages that promise something (a vote, a copy) are held until what they promise is
 * on the disk; all others leave at once. Between the machine's parts and the runner.
 */
import type { Entry, LogIndex, ReplicaId } from "./Entry.ts"
import type { Message, MessageBody } from "./Message.ts"
import { append, configurationAt, firstGapOf, isGap, lastIndexOf, slotAt, truncate } from "./RaftLog.ts"
import { durableIndexOf, type RaftCommand, type RaftState } from "./RaftState.ts"

export type Out = Array<RaftCommand>

export const messageTo = ({ id, term }: RaftState, to: ReplicaId, body: MessageBody, inTerm = term): Message => ({ from: id, to, term: inTerm, body })

export const send = (state: RaftState, out: Out, to: ReplicaId, body: MessageBody, inTerm?: number): void =>
  void out.push({ _tag: "Send", message: messageTo(state, to, body, inTerm) })

/** Leaves once everything that was decided until now is on the disk. */
export const hold = (state: RaftState, to: ReplicaId, body: MessageBody): void => void state.unsaved.held.push(messageTo(state, to, body))

export const hardStateChanged = (state: RaftState): void => { state.unsaved.hardState = true }

export const store = (state: RaftState, entry: Entry): void => {
  append(state.log, entry)
  state.unsaved.entries.set(entry.index, entry)
  if (entry.body._tag !== "Configuration") return
  state.configuration = entry.body.configuration
  state.configurationIndex = entry.index
}

/** An entry that was a gap. */
export const filled = (state: RaftState, entry: Entry): void => void state.unsaved.entries.set(entry.index, entry)

export const cutFrom = (state: RaftState, from: LogIndex): void => {
  const { log, unsaved } = state
  truncate(log, from)
  for (const index of unsaved.entries.keys()) if (index >= from) unsaved.entries.delete(index)
  unsaved.truncateFrom = Math.min(unsaved.truncateFrom ?? from, from)
  lookAtConfiguration(state)
}

export const lookAtConfiguration = (state: RaftState): void => {
  const { configuration, index } = configurationAt(state.log)
  state.configuration = configuration
  state.configurationIndex = index
}

/** Ends a step: what changed is to be written, what may be said is said, what is committed and stored here is to be applied. */
export const flush = (state: RaftState, out: Out): void => {
  const { pending, unsaved } = state
  const entries = [...unsaved.entries.values()].sort((a, b) => a.index - b.index)
  const changed = [...(unsaved.truncateFrom === undefined ? [] : [unsaved.truncateFrom]), ...entries.slice(0, 1).map(({ index }) => index)]
  const held = unsaved.held.splice(0)
  if (unsaved.hardState || changed.length > 0 || unsaved.snapshot !== undefined) {
    const ticket = state.ticketNext
    state.ticketNext += 1
    pending.push({ ticket, from: changed.length === 0 ? undefined : Math.min(...changed), held })
    out.push({
      _tag: "Persist", ticket, entries, hardState: unsaved.hardState ? { term: state.term, vote: state.vote } : undefined, truncateFrom: unsaved.truncateFrom,
      snapshot: unsaved.snapshot
    })
    unsaved.hardState = false
    unsaved.truncateFrom = undefined
    unsaved.snapshot = undefined
    unsaved.entries.clear()
  } else if (pending.length > 0) pending.at(-1)!.held.push(...held)
  else for (const message of held) out.push({ _tag: "Send", message })
  apply(state, out)
}

const apply = (state: RaftState, out: Out): void => {
  const { log } = state
  const entries: Array<Entry> = []
  for (const to = Math.min(state.commit, durableIndexOf(state), (firstGapOf(log) ?? lastIndexOf(log) + 1) - 1); state.handed < to;) {
    const slot = slotAt(log, state.handed + 1)
    if (slot === undefined || isGap(slot)) break
    entries.push(slot)
    state.handed += 1
  }
  if (entries.length > 0) out.push({ _tag: "Apply", entries })
}
