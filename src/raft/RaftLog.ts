/**
 * RaftLog: a replica's log in memory, behind the snapshot that stands for its beginning. Between the machine, which decides
 * what is appended, and the configurations that lie in it. An entry that its disk could not read is a gap: known to be there,
 * never taken for absent, and filled only with what must have been there (Alagappan et al., FAST '18).
 *
 * 1. Slots are dense: slot n has index snapshot.index + 1 + n.
 * 2. Terms that are known never fall from one slot to the next.
 * 3. A gap counts as an entry that may be as new as its replica's term: whoever is asked for a vote goes by that.
 * 4. Between two terms that are known and the same none is lost: it follows (`concludeTerms`).
 */
import { assert } from "../base/assert.ts"
import { type Configuration, membersOf, noConfiguration } from "./Configuration.ts"
import type { Entry, LogIndex, ReplicaId, SnapshotPlace, Term } from "./Entry.ts"

/** An entry that was there and cannot be read. Its term may have been kept beside it. */
export interface Gap {
  readonly index: LogIndex
  readonly term: Term | undefined
  readonly body: undefined
}

export type Slot = Entry | Gap

export const isGap = (slot: Slot): slot is Gap => slot.body === undefined

export interface RaftLog {
  snapshot: SnapshotPlace
  readonly slots: Array<Slot>
  /** No gap up to here, as was seen once: a log that is whole is not looked through at every step. */
  wholeTo?: LogIndex
}

export const noSnapshot: SnapshotPlace = { index: 0, term: 0, configuration: noConfiguration }

export const firstIndexOf = ({ snapshot }: RaftLog): LogIndex => snapshot.index + 1

export const lastIndexOf = ({ slots, snapshot }: RaftLog): LogIndex => snapshot.index + slots.length

export const slotAt = ({ slots, snapshot }: RaftLog, index: LogIndex): Slot | undefined => slots[index - snapshot.index - 1]

/** Undefined: not in the log, compacted, or a gap whose term is lost. */
export const termAt = (log: RaftLog, index: LogIndex): Term | undefined =>
  index === log.snapshot.index ? log.snapshot.term : slotAt(log, index)?.term

/** The term of the last entry; `atMost` where that is a gap whose term is lost. */
export const lastTermOf = (log: RaftLog, atMost: Term): Term => termAt(log, lastIndexOf(log)) ?? atMost

/** The first entry that cannot be read; undefined: all can. */
export const firstGapOf = (log: RaftLog): LogIndex | undefined => {
  const last = lastIndexOf(log)
  let whole = Math.max(log.wholeTo ?? 0, log.snapshot.index)
  while (whole < last && !isGap(slotAt(log, whole + 1)!)) whole += 1
  log.wholeTo = whole
  return whole < last ? whole + 1 : undefined
}

/** Entries from `from` on, up to a gap, `to` or so many bytes; the first whatever its size. */
export const entriesFrom = (log: RaftLog, from: LogIndex, to: LogIndex, bytesMax: number, bytesOf: (entry: Entry) => number): ReadonlyArray<Entry> => {
  const entries: Array<Entry> = []
  let bytes = 0
  for (let index = from; index <= to; index += 1) {
    const slot = slotAt(log, index)
    if (slot === undefined || isGap(slot)) break
    bytes += bytesOf(slot)
    if (entries.length > 0 && bytes > bytesMax) break
    entries.push(slot)
  }
  return entries
}

export const append = (log: RaftLog, entry: Entry): void => {
  assert(entry.index === lastIndexOf(log) + 1, "an entry follows the last one")
  assert(entry.term >= lastTermOf(log, 0), "terms do not fall")
  log.slots.push(entry)
}

/** Nothing from `from` on is left. */
export const truncate = (log: RaftLog, from: LogIndex): void => {
  assert(from > log.snapshot.index, "what a snapshot stands for is committed")
  log.slots.length = Math.min(log.slots.length, from - log.snapshot.index - 1)
  if (log.wholeTo !== undefined) log.wholeTo = Math.min(log.wholeTo, from - 1)
}

/** Puts an entry where a gap is. */
export const fill = (log: RaftLog, entry: Entry): void => {
  const slot = slotAt(log, entry.index)
  assert(slot !== undefined && isGap(slot) && (slot.term ?? entry.term) === entry.term, "a gap is filled with the entry that it was")
  log.slots[entry.index - log.snapshot.index - 1] = entry
}

/** Of a gap whose term was lost. */
export const learnTerm = (log: RaftLog, index: LogIndex, term: Term): void => {
  const slot = slotAt(log, index)
  assert(slot !== undefined && isGap(slot) && (slot.term ?? term) === term, "a gap has the term that it had")
  log.slots[index - log.snapshot.index - 1] = { index, term, body: undefined }
}

/**
 * Lost terms between two slots of one term, or between the snapshot's end and a slot of its term: terms do not fall, so it is that
 * one. Nothing is concluded between two terms that differ, or behind the last that is known.
 */
export const concludeTerms = ({ slots, snapshot }: RaftLog): void => {
  let known = -1
  let term = snapshot.term
  for (const [at, slot] of slots.entries()) {
    if (slot.term === undefined) continue
    if (slot.term === term) for (let lost = known + 1; lost < at; lost += 1) slots[lost] = { index: snapshot.index + 1 + lost, term, body: undefined }
    known = at
    term = slot.term
  }
}

/** A snapshot stands for everything up to its index. */
export const compact = (log: RaftLog, snapshot: SnapshotPlace): void => {
  assert(snapshot.index >= log.snapshot.index, "snapshots do not go back")
  log.slots.splice(0, snapshot.index - log.snapshot.index)
  log.snapshot = snapshot
}

/**
 * Whether what stands where a snapshot ends may be what it stands for, and what is behind it of the same history. Of a gap whose
 * term was lost only what follows can tell: terms do not fall.
 */
export const mayGoOn = ({ slots, snapshot }: RaftLog, { index, term }: SnapshotPlace): boolean => {
  const [slot, ...behind] = slots.slice(index - snapshot.index - 1)
  if (slot === undefined || (slot.term ?? term) !== term) return false
  return (behind.find((later) => later.term !== undefined)?.term ?? term) >= term
}

/** As of the newest entry up to `index` that has one, committed or not. */
export const configurationAt = (log: RaftLog, index = lastIndexOf(log)): { readonly configuration: Configuration; readonly index: LogIndex } => {
  for (let at = index; at > log.snapshot.index; at -= 1) {
    const slot = slotAt(log, at)
    if (slot?.body?._tag === "Configuration") return { configuration: slot.body.configuration, index: at }
  }
  return { configuration: log.snapshot.configuration, index: log.snapshot.index }
}

/** The last index up to `index` whose term is at most `term`, and its term: where two logs may agree. */
export const lastUpTo = (log: RaftLog, index: LogIndex, term: Term): readonly [LogIndex, Term] => {
  for (let at = Math.min(index, lastIndexOf(log)); at > log.snapshot.index; at -= 1) {
    const known = termAt(log, at)
    if (known !== undefined && known <= term) return [at, known]
  }
  return [log.snapshot.index, log.snapshot.term]
}

/** Whoever belongs to a configuration of the log: they may have what this replica lacks. */
export const everyoneIn = ({ slots, snapshot }: RaftLog): ReadonlySet<ReplicaId> =>
  new Set([snapshot.configuration, ...slots.flatMap(({ body }) => (body?._tag === "Configuration" ? [body.configuration] : []))].flatMap(membersOf))
