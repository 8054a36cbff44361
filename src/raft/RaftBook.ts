/**
 * RaftBook: what one group has in the journal and where: plans the records of what its machine wants written, and knows which
 * records are still needed. Pure; between Persist and the journal's service.
 *
 * 1. `step`, `hardState`, `snapshot` and `last` are those of the newest step planned; places are those of what is written.
 * 2. Whatever is live is at or behind `lowWaterOf`.
 */
import { assert } from "../base/assert.ts"
import type { GroupId } from "../base/ids.ts"
import { raftStepBytesMax, raftStepEntriesMax } from "../base/raftLimits.ts"
import type { WalPlace, WalPosition } from "../wal/WalRecord.ts"
import type { WalInterface } from "../wal/WalService.ts"
import { type Entry, entryBytesOf, type HardState, type LogIndex, type ReplicaId, type SnapshotPlace, type Term } from "./Entry.ts"
import type { RaftRecord, StepHead, StepItem } from "./RaftFormat.ts"
import type { FoundGroup } from "./RaftReplay.ts"

export interface BookSlot {
  readonly term: Term | undefined
  readonly isGap: boolean
  /** Of its record, or of the step's that names the gap. */
  readonly at: WalPosition
}

export interface RaftBook {
  readonly group: GroupId
  replica: ReplicaId
  step: number
  hardState: HardState
  snapshot: SnapshotPlace
  last: LogIndex
  readonly slots: Map<LogIndex, BookSlot>
  /** No slot at or before the one, none behind the other: what need not be looked for. */
  slotsBehind: LogIndex
  slotsTo: LogIndex
  /** Of the newest step's record; undefined before the first. */
  stepAt: WalPosition | undefined
  /** Of the newest step that is there twice: the newest one's record alone would be all that says the snapshot's configuration. */
  twiceAt: WalPosition | undefined
}

/** What is to be written, as `Persist` has it; gaps are those that must be known after what names them now is gone. */
export interface Change {
  readonly hardState?: HardState | undefined
  readonly truncateFrom?: LogIndex | undefined
  readonly entries?: ReadonlyArray<Entry>
  readonly gaps?: ReadonlyArray<StepItem>
  readonly snapshot?: SnapshotPlace | undefined
}

export interface PlannedStep {
  readonly book: RaftBook
  readonly records: ReadonlyArray<RaftRecord>
  readonly items: ReadonlyArray<StepItem>
  readonly keepTo: LogIndex
  readonly snapshotIndex: LogIndex
}

export const newBook = (group: GroupId, replica: ReplicaId, step: number, snapshot: SnapshotPlace): RaftBook =>
  ({ group, replica, step, hardState: { term: 0, vote: undefined }, snapshot, last: snapshot.index, slots: new Map(), slotsBehind: snapshot.index, slotsTo: snapshot.index, stepAt: undefined, twiceAt: undefined })

/** As it was found, and what must be said anew so that nothing depends on what is rotten or was not accepted; undefined: nothing. */
export const bookOf = ({ group, hardState, replica, slots, snapshot, step, stepAt, twiceAt }: FoundGroup): readonly [RaftBook, Change | undefined] => {
  const book: RaftBook = { group, replica, step, hardState, snapshot, last: snapshot.index + slots.length, slots: new Map(), slotsBehind: snapshot.index, slotsTo: snapshot.index + slots.length, stepAt, twiceAt }
  const entries: Array<Entry> = []
  const gaps: Array<StepItem> = []
  for (const [offset, { at, entry, term }] of slots.entries()) {
    const index = snapshot.index + 1 + offset
    if (at !== undefined) book.slots.set(index, { term, isGap: entry === undefined, at })
    else if (entry === undefined) gaps.push({ index, term, isGap: true })
    else entries.push(entry)
  }
  return [book, stepAt === undefined || twiceAt === undefined || gaps.length > 0 || entries.length > 0 ? { entries, gaps } : undefined]
}

/** Whether one append of the journal takes so many records of so many bytes. */
export type Takes = WalInterface["takes"]

/** Plans a change as steps that each fit an append; the book speaks of the newest from now on. */
export const planChange = (book: RaftBook, { entries = [], gaps = [], hardState, snapshot, truncateFrom }: Change, takes: Takes): ReadonlyArray<PlannedStep> => {
  const parts = partsOf(entries, gaps, takes)
  book.hardState = hardState ?? book.hardState
  return parts.map((part, index) => {
    const keepTo = index === 0 && truncateFrom !== undefined ? Math.min(book.last, truncateFrom - 1) : book.last
    const isNew = index === parts.length - 1 && snapshot !== undefined
    return planStep(book, part, keepTo, isNew ? snapshot : book.snapshot)
  })
}

interface Part {
  readonly entries: Array<Entry>
  readonly gaps: Array<StepItem>
}

/** Half of an append for the entries, half for what the step says of them, twice, and for what sealing adds. */
const partsOf = (entries: ReadonlyArray<Entry>, gaps: ReadonlyArray<StepItem>, takes: Takes): ReadonlyArray<Part> => {
  const parts: Array<Part> = [{ entries: [], gaps: [] }]
  let bytes = 0
  let count = 0
  const roomFor = (more: number): Part => {
    const isFull = bytes + more > raftStepBytesMax || !takes(2 * (count + 1), 2 * (bytes + more))
    if (count >= raftStepEntriesMax || (count > 0 && isFull)) {
      parts.push({ entries: [], gaps: [] })
      bytes = count = 0
    }
    bytes += more
    count += 1
    return parts.at(-1)!
  }
  for (const entry of entries) roomFor(entryBytesOf(entry)).entries.push(entry)
  for (const gap of gaps) roomFor(0).gaps.push(gap)
  return parts
}

const planStep = (book: RaftBook, { entries, gaps }: Part, keepTo: LogIndex, snapshot: SnapshotPlace): PlannedStep => {
  const isMoved = snapshot.index !== book.snapshot.index || snapshot.term !== book.snapshot.term || book.stepAt === undefined
  assert(snapshot.index >= book.snapshot.index, "snapshots do not go back")
  book.step += 1
  book.snapshot = snapshot
  book.last = Math.max(keepTo, snapshot.index, entries.at(-1)?.index ?? 0)
  // What only the step's own record says is written twice: one of them may rot, or be let go of before the entries are.
  const isTwice = entries.length === 0 || gaps.length > 0 || isMoved || entries[0]!.index <= keepTo
  const head: StepHead = {
    group: book.group, replica: book.replica, step: book.step, records: entries.length + (isTwice ? 2 : 1), isTwice, hardState: book.hardState,
    snapshotIndex: snapshot.index, snapshotTerm: snapshot.term, keepTo
  }
  const items = [...entries.map(({ index, term }): StepItem => ({ index, term, isGap: false })), ...gaps]
  const step = (ordinal: number): RaftRecord => ({ _tag: "Step", head, ordinal, configuration: snapshot.configuration, items })
  const records: ReadonlyArray<RaftRecord> = [
    step(0), ...entries.map((entry, at): RaftRecord => ({ _tag: "Entry", head, ordinal: at + 1, entry })), ...(isTwice ? [step(head.records - 1)] : [])
  ]
  return { book, records, items, keepTo, snapshotIndex: snapshot.index }
}

/** The step is on the disk, its records at these positions, in order. */
export const stepWritten = ({ book, items, keepTo, records, snapshotIndex }: PlannedStep, positions: ReadonlyArray<WalPosition>): void => {
  if (keepTo < book.slotsTo || snapshotIndex > book.slotsBehind) {
    for (const index of book.slots.keys()) if (index > keepTo || index <= snapshotIndex) book.slots.delete(index)
    book.slotsBehind = Math.max(book.slotsBehind, snapshotIndex)
    book.slotsTo = Math.min(book.slotsTo, keepTo)
  }
  let record = 1
  for (const { index, isGap, term } of items) {
    const at = isGap ? positions[0]! : positions[record++]!
    if (index > snapshotIndex) book.slots.set(index, { term, isGap, at })
    book.slotsTo = Math.max(book.slotsTo, index)
  }
  book.stepAt = positions[0]!
  if (records[0]!.head.isTwice) book.twiceAt = book.stepAt
}

export const isBefore = (a: WalPlace, b: WalPlace): boolean => a.segment < b.segment || (a.segment === b.segment && a.offset < b.offset)

/** Nothing below it is needed; undefined: nothing is needed at all. */
export const lowWaterOf = ({ slots, stepAt, twiceAt }: RaftBook): WalPlace | undefined => {
  let lowest: WalPlace | undefined = twiceAt ?? stepAt
  for (const { at } of slots.values()) if (lowest === undefined || isBefore(at, lowest)) lowest = at
  return lowest
}

/** What its live records take in the journal, about. */
export const liveBytesOf = ({ slots, stepAt }: RaftBook): number => {
  let bytes = stepAt === undefined ? 0 : 2 * (stepAt.length + recordOverheadBytes)
  for (const { at } of slots.values()) bytes += at.length + recordOverheadBytes
  return bytes
}

const recordOverheadBytes = 128

/** The oldest of what lies in segments before this one, so many bytes of it: to be written anew, so that they can leave (R11). */
export const liveBefore = ({ slots, stepAt, twiceAt = stepAt }: RaftBook, segment: number, bytesMax: number): { readonly indexes: ReadonlyArray<LogIndex>; readonly isStepOld: boolean } => {
  const old = [...slots].filter(([, { at }]) => at.segment < segment).sort(([, a], [, b]) => (isBefore(a.at, b.at) ? -1 : 1))
  let bytes = 0
  const indexes: Array<LogIndex> = []
  for (const [index, { at }] of old) {
    if (indexes.length > 0 && (bytes + at.length > bytesMax || indexes.length >= raftStepEntriesMax)) break
    bytes += at.length
    indexes.push(index)
  }
  return { indexes: indexes.sort((a, b) => a - b), isStepOld: twiceAt !== undefined && twiceAt.segment < segment }
}
