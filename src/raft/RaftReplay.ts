/**
 * RaftReplay: what the records of the groups of one node mean, read in the journal's order, rotten ones among them. Pure; between
 * the journal's replay and what RaftState.ts wants at its start.
 *
 * 1. Steps of a group have numbers without a hole, and every record says of its step all but the other entries: so it shows
 *    when something was there that cannot be read, and mostly what.
 * 2. An entry that cannot be read is a gap: of the term that its step names, else of an unknown one.
 * 3. A step of which nothing can be read leaves no doubt about hard state and snapshot once a later one says them anew; about
 *    entries it does: all that were there before are gaps then. Where no later one is, the hard state is lost, and so the replica.
 * 4. What is missing at the end, and not rotten, was cut off by a crash: nobody was told of it.
 */
import type { GroupId } from "../base/ids.ts"
import type { WalPosition } from "../wal/WalRecord.ts"
import type { Configuration } from "./Configuration.ts"
import type { Entry, HardState, LogIndex, ReplicaId, SnapshotPlace, Term } from "./Entry.ts"
import type { RaftRecord, StepHead, StepItem } from "./RaftFormat.ts"

export interface FoundSlot {
  readonly term: Term | undefined
  /** Undefined: a gap. */
  readonly entry: Entry | undefined
  /** Of its record, or of the one that names the gap; undefined: no record says what is found here. */
  readonly at: WalPosition | undefined
}

export interface FoundGroup {
  readonly group: GroupId
  readonly replica: ReplicaId
  /** The newest that the journal accepted; the next one has the number after it. */
  readonly step: number
  readonly hardState: HardState
  readonly snapshot: SnapshotPlace
  /** Dense behind the snapshot. */
  readonly slots: ReadonlyArray<FoundSlot>
  /** Of the newest step's own record; undefined: it, or the same one again, is rotten, or was not accepted, or a crash cut the step off. */
  readonly stepAt: WalPosition | undefined
  /** Of the newest step that is there twice, both whole: with it more than one record says the snapshot's configuration; undefined: none does. */
  readonly twiceAt: WalPosition | undefined
  /** Its newest steps are rotten, so that votes may have been given that nobody knows of any more. */
  readonly isLost: boolean
  /** Of the oldest record that was read of it. */
  readonly oldestAt: WalPosition | undefined
}

export interface FoundRaft {
  readonly groups: ReadonlyMap<GroupId, FoundGroup>
  /** Rotten records of steps of which nothing can be read: a group that has no record may have been theirs. */
  readonly orphans: ReadonlyArray<WalPosition>
}

interface Group {
  head: StepHead
  /** Of the newest step that the journal accepted. */
  step: number
  /** Undefined: nothing that can be read says it. */
  configuration: Configuration | undefined
  readonly slots: Map<LogIndex, FoundSlot>
  last: LogIndex
  /** Of its newest step: the last record read, and what its own record lists. */
  ordinal: number
  items: ReadonlyArray<StepItem> | undefined
  stepAt: WalPosition | undefined
  twiceAt: WalPosition | undefined
  /** Ordinal and index of an entry of it behind `keepTo`: those follow one another. */
  sample: readonly [ordinal: number, index: LogIndex] | undefined
  /** Rotten records of the newest step, by ordinal. */
  readonly rotten: Map<number, WalPosition>
  /** Steps of unknown groups were rotten since. */
  hasOrphans: boolean
  readonly oldestAt: WalPosition | undefined
}

export class RaftReplay {
  readonly #groups = new Map<GroupId, Group>()
  readonly #orphans: Array<WalPosition> = []
  /** Rotten since the last record that was read. */
  #rotten: Array<WalPosition> = []
  #current: Group | undefined
  /** A record of the doubtful tail could not be read: what follows it was never said, but for hard states. */
  #isCut = false

  /** The next record; undefined: of a tail that the journal did not accept. What is wrong with it, if something is. */
  read(record: RaftRecord, at: WalPosition | undefined): string | undefined {
    const { head, ordinal } = record
    const known = this.#groups.get(head.group)
    const isSame = known !== undefined && known.head.step === head.step
    if (known !== undefined && (head.step < known.head.step || (isSame && (this.#current !== known || ordinal <= known.ordinal)))) {
      return `step ${head.step}, record ${ordinal}, of group ${head.group} behind step ${known.head.step}, record ${known.ordinal}`
    }
    const rotten = this.#rotten.splice(0)
    const before = isSame ? rotten.length : rotten.length - Math.min(rotten.length, ordinal)
    this.#attribute(rotten.slice(0, before))
    const group = isSame ? known : this.#begin(known, record, at)
    for (const [index, place] of rotten.slice(before).entries()) group.rotten.set(ordinal - (rotten.length - before) + index, place)
    this.#take(group, record, at)
    this.#current = group
    return undefined
  }

  /** The next record cannot be read. */
  damaged(at: WalPosition): void {
    this.#rotten.push(at)
  }

  /**
   * The next record of a tail that the journal did not accept (R4): cut short by a crash, or rotten since. Taken as having come true up
   * to the first that cannot be read (undefined); behind it terms and votes alone.
   */
  doubtful(record: RaftRecord | undefined): string | undefined {
    if (record !== undefined && !this.#isCut) {
      const known = this.#groups.get(record.head.group)
      const { head: { step }, ordinal } = record
      const goesOn = known !== undefined && known === this.#current && step === known.head.step && ordinal === known.ordinal + 1
      if (goesOn || (ordinal === 0 && step === (known?.head.step ?? 0) + 1)) return this.read(record, undefined)
    }
    this.#isCut = true
    const group = record === undefined ? undefined : this.#groups.get(record.head.group)
    if (record === undefined || group === undefined || group.head.replica !== record.head.replica) return undefined
    const { term, vote } = record.head.hardState
    const isNewer = term > group.head.hardState.term || (term === group.head.hardState.term && group.head.hardState.vote === undefined && vote !== undefined)
    if (!isNewer) return undefined
    group.head = { ...group.head, hardState: { term, vote } }
    group.stepAt = undefined
    return undefined
  }

  finish(): FoundRaft {
    this.#attribute(this.#rotten.splice(0))
    const groups = new Map<GroupId, FoundGroup>()
    for (const [id, group] of this.#groups) groups.set(id, foundOf(group))
    return { groups, orphans: this.#orphans }
  }

  /** Rotten records that follow on the last one read: the rest of its step, and then steps of nobody knows whom. */
  #attribute(rotten: ReadonlyArray<WalPosition>): void {
    const current = this.#current
    const left = current === undefined ? 0 : Math.min(rotten.length, current.head.records - 1 - current.ordinal)
    for (let index = 0; index < left; index += 1) current!.rotten.set(current!.ordinal + 1 + index, rotten[index]!)
    const orphans = rotten.slice(left)
    if (orphans.length === 0) return
    this.#orphans.push(...orphans)
    for (const group of this.#groups.values()) group.hasOrphans = true
  }

  /** A step of which nothing was read so far. */
  #begin(known: Group | undefined, { head }: RaftRecord, at: WalPosition | undefined): Group {
    if (known === undefined) {
      const group: Group = {
        head, step: 0, configuration: undefined, slots: new Map(), last: Math.max(head.keepTo, head.snapshotIndex), ordinal: -1, items: undefined, stepAt: undefined, twiceAt: undefined,
        sample: undefined, rotten: new Map(), hasOrphans: false, oldestAt: at
      }
      this.#groups.set(head.group, group)
      return group
    }
    settle(known)
    if (head.replica !== known.head.replica) known.slots.clear()
    else if (head.step > known.head.step + 1) {
      doubt(known.slots)
      this.#orphans.length = 0
    }
    if (head.snapshotIndex !== known.head.snapshotIndex || head.snapshotTerm !== known.head.snapshotTerm || head.replica !== known.head.replica) {
      known.configuration = undefined
      known.twiceAt = undefined
    }
    for (const index of known.slots.keys()) if (index > head.keepTo || index <= head.snapshotIndex) known.slots.delete(index)
    known.last = Math.max(head.keepTo, head.snapshotIndex)
    known.head = head
    known.ordinal = -1
    known.items = undefined
    known.stepAt = undefined
    known.sample = undefined
    known.hasOrphans = false
    return known
  }

  #take(group: Group, record: RaftRecord, at: WalPosition | undefined): void {
    group.ordinal = record.ordinal
    if (at !== undefined) group.step = record.head.step
    if (record._tag === "Entry") {
      const { entry } = record
      if (entry.index > record.head.keepTo) group.sample = [record.ordinal, entry.index]
      return put(group, entry.index, { term: entry.term, entry, at })
    }
    const isFirst = group.items === undefined
    group.configuration = record.configuration
    group.items = record.items
    group.stepAt ??= at
    if (isFirst) for (const { index, isGap, term } of record.items) if (isGap) put(group, index, { term, entry: undefined, at })
  }
}

const put = (group: Group, index: LogIndex, slot: FoundSlot): void => {
  group.last = Math.max(group.last, index)
  if (index > group.head.snapshotIndex) group.slots.set(index, slot)
}

const doubt = (slots: Map<LogIndex, FoundSlot>): void => {
  for (const index of slots.keys()) slots.set(index, { term: undefined, entry: undefined, at: undefined })
}

/** The step is over: its rotten entries are gaps, where it shows which they were; else any entry may have been replaced. */
const settle = (group: Group): void => {
  const { head, rotten } = group
  const entriesEnd = head.records - (head.isTwice ? 1 : 0)
  if (rotten.has(0) || rotten.has(entriesEnd) || group.ordinal !== head.records - 1) group.stepAt = undefined
  if (head.isTwice) group.twiceAt = group.stepAt
  const ordinals = [...rotten.keys()].filter((ordinal) => ordinal > 0 && ordinal < entriesEnd)
  rotten.clear()
  const known = ordinals.map((ordinal) => placeOf(group, ordinal))
  for (const place of known) if (place !== undefined) put(group, place.index, { term: place.term, entry: undefined, at: undefined })
  if (!known.includes(undefined)) return
  doubt(group.slots)
  group.last = Math.max(group.last, head.keepTo + entriesEnd - 1)
}

/** Of an entry that cannot be read: what its step lists, or where it must have been between those behind `keepTo`. */
const placeOf = ({ head, items, sample }: Group, ordinal: number): { readonly index: LogIndex; readonly term: Term | undefined } | undefined => {
  if (items !== undefined) return items.filter(({ isGap }) => !isGap)[ordinal - 1]
  const index = sample === undefined ? 0 : sample[1] + ordinal - sample[0]
  return index > head.keepTo ? { index, term: undefined } : undefined
}

const foundOf = (group: Group): FoundGroup => {
  settle(group)
  const { configuration, hasOrphans, head, last, oldestAt, slots, stepAt, twiceAt } = group
  const { hardState, replica, snapshotIndex, snapshotTerm } = head
  const dense: Array<FoundSlot> = []
  for (let index = snapshotIndex + 1; index <= last; index += 1) dense.push(slots.get(index) ?? { term: undefined, entry: undefined, at: undefined })
  return {
    group: head.group, replica, step: group.step, hardState, slots: dense, stepAt, twiceAt, oldestAt, isLost: hasOrphans || configuration === undefined,
    snapshot: { index: snapshotIndex, term: snapshotTerm, configuration: configuration ?? { voters: [], outgoing: [], learners: [] } }
  }
}
