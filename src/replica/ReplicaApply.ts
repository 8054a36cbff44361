/**
 * ReplicaApply: the namespace as Raft's state machine: from one entry of the log to changed rows, the stamp that goes with them, and what
 * came of it. Pure and deterministic; between Raft, which gives out what is committed, and namespace/Apply, which judges the change.
 *
 * 1. The stamp's place is the entry's index, and moves with every entry, in the same write as its rows.
 * 2. A commit changes something only in the term in which it was stamped, under the next sequence, at a later time than all before, and
 *    once (R6, R14). Else it changes nothing, on every replica alike, and its proposer hears so.
 */
import { unreachable } from "../base/assert.ts"
import { hybridTime, millisOf } from "../base/time.ts"
import type { MembershipRecord } from "../membership/Membership.ts"
import { apply } from "../namespace/Apply.ts"
import type { ApplyContext } from "../namespace/ApplyCommit.ts"
import type { Entry as Commit } from "../namespace/Entry.ts"
import { openEntry, sequenceOf } from "../namespace/LoggedEntry.ts"
import type { RowChange, Stamp, StateReader, ValueSealer } from "../namespace/State.ts"
import type { Entry, LogIndex } from "../raft/Entry.ts"
import { type FeatureLevels, raisedTo } from "./FeatureLevel.ts"
import { applyMembers } from "./MembersTable.ts"
import { commandFormat, requestIdOf } from "./ReplicaFormat.ts"
import { configurationKey, configurationRow, type SessionRules, settledKey, settledRow, termKey, termRow } from "./ReplicaRows.ts"
import type { Command, Done, Reply } from "./Request.ts"
import { judge, open, record } from "./Sessions.ts"

export interface ReplicaContext extends ApplyContext {
  /** Seals entries in the log, as NamespaceOptions has it. */
  readonly sealer: ValueSealer
  readonly sessions: SessionRules
  /** What this program reads, and changes need. */
  readonly levels: FeatureLevels
}

export interface AppliedEntry {
  readonly rows: ReadonlyArray<RowChange>
  readonly stamp: Stamp
  readonly reply: Reply
  /** What was committed by it; undefined: no commit. */
  readonly commit: { readonly entry: Commit; readonly done: Done } | undefined
  /** The record of members after it, where it changed that. */
  readonly members?: MembershipRecord
}

/** A replicated state's places lie in one segment; its journal is Raft's log. */
export const logSegment = 1
export const placeOf = (index: LogIndex): Stamp["wal"] => (index === 0 ? { segment: 0, offset: 0 } : { segment: logSegment, offset: index })
export const indexOf = ({ wal }: Stamp): LogIndex => wal.offset

/** Throws FormatError where this version cannot read the entry: the replica stops (R9). */
export const applyEntry = (state: StateReader, before: Stamp, entry: Entry, context: ReplicaContext): AppliedEntry => {
  const stamp: Stamp = { ...before, wal: placeOf(entry.index) }
  const terms: ReadonlyArray<RowChange> = termOf(state) === entry.term ? [] : [[termKey, termRow.encode({ term: entry.term })]]
  const { body } = entry
  switch (body._tag) {
    case "Nothing":
      return { rows: terms, stamp, reply: nothing, commit: undefined }
    case "Configuration":
      return { rows: [...terms, [configurationKey, configurationRow.encode(body.configuration)]], stamp, reply: nothing, commit: undefined }
    case "Command": {
      const applied = applyCommand(state, stamp, entry, commandFormat.decode(body.bytes), context)
      return { ...applied, rows: [...terms, ...applied.rows] }
    }
    default:
      return unreachable(body)
  }
}

const nothing: Reply = { _tag: "Settled" }
const stale: Reply = { _tag: "Again", reason: "Stale" }

export const termOf = (state: StateReader): number => {
  const bytes = state.get(termKey)
  return bytes === undefined ? 0 : termRow.decode(bytes).term
}

/** The last millisecond that no commit to come may have; undefined: nobody asked. */
export const settledOf = (state: StateReader): number | undefined => {
  const bytes = state.get(settledKey)
  return bytes === undefined ? undefined : settledRow.decode(bytes).timeMs
}

/** No commit may have a time at or before this one. */
export const timeBefore = (state: StateReader, stamp: Stamp): bigint => {
  const settled = settledOf(state)
  const floor = settled === undefined ? 0n : hybridTime(settled, 0xffff)
  return floor > stamp.time ? floor : stamp.time
}

const applyCommand = (state: StateReader, stamp: Stamp, { index, term }: Entry, command: Command, context: ReplicaContext): AppliedEntry => {
  switch (command._tag) {
    case "Commit":
      return command.term === term ? applyCommit(state, stamp, command.sealed, context) : { rows: [], stamp, reply: stale, commit: undefined }
    case "OpenSession": {
      const timeMs = Math.max(command.timeMs, millisOf(stamp.time))
      return { rows: open(state, index, timeMs, context.sessions), stamp, reply: { _tag: "Opened", session: index }, commit: undefined }
    }
    case "Settle": {
      const isLater = command.timeMs > (settledOf(state) ?? -1)
      return { rows: isLater ? [[settledKey, settledRow.encode({ timeMs: command.timeMs })]] : [], stamp, reply: { _tag: "Settled" }, commit: undefined }
    }
    case "Members": {
      const { record: members, refused, rows } = applyMembers(state, command.bytes)
      const reply: Reply = refused === undefined ? { _tag: "Membered", index } : { _tag: "MembersRefused", index, what: refused.what, reason: refused.reason, detail: refused.detail }
      return { rows, stamp, reply, commit: undefined, ...(members === undefined ? {} : { members }) }
    }
    case "Raise":
      return { rows: raisedTo(state, command.level, context.levels), stamp, reply: nothing, commit: undefined }
    default:
      return unreachable(command)
  }
}

const applyCommit = (state: StateReader, stamp: Stamp, sealed: Uint8Array, context: ReplicaContext): AppliedEntry => {
  const unchanged = (reply: Reply): AppliedEntry => ({ rows: [], stamp, reply, commit: undefined })
  if (sequenceOf(sealed) !== stamp.sequence + 1) return unchanged(stale)
  const entry = openEntry(context.sealer, sealed)
  const { sequence, time } = entry
  if (time <= timeBefore(state, stamp)) return unchanged(stale)
  const request = requestIdOf(entry)
  const verdict = judge(state, request, context.sessions)
  if (verdict._tag === "Answered") return unchanged({ _tag: "Done", ...verdict.done })
  if (verdict._tag === "Refused") return unchanged(verdict)
  const { answer, rows } = apply(state, entry, context)
  const done: Done = { sequence, time, answer }
  return {
    rows: [...rows, ...record(state, request, verdict.row, done, millisOf(time), context.sessions)],
    stamp: { ...stamp, sequence, time }, reply: { _tag: "Done", ...done }, commit: { entry, done }
  }
}
