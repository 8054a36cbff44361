/**
 * RaftReplica: one replica as its trace shows it: its log in memory, its disk, and what is on its way there; and arithmetic of
 * configurations and logs. Between RaftMonitor.ts, which judges a group, and the steps of RaftTrace.ts. It counts majorities by itself.
 */
import type { After, Conf, Found, Place, Said, Slot, Written } from "./RaftTrace.ts"

/** A step that cannot be, or after which something does not hold that must. */
export class Broken extends Error {
  /** Of tla/raft; "Steps": the step is none of its actions. */
  readonly invariant: string
  constructor(invariant: string, why: string) {
    super(`${invariant}: ${why}`)
    this.invariant = invariant
  }
}

export function must(invariant: string, holds: boolean, why: () => string): asserts holds {
  if (!holds) throw new Broken(invariant, why())
}

export const noConf: Conf = { voters: [], outgoing: [], learners: [] }
export const isConf = ({ learners, outgoing, voters }: Conf): boolean => voters.length + outgoing.length + learners.length > 0
export const isJoint = ({ outgoing }: Conf): boolean => outgoing.length > 0
export const votersOf = ({ outgoing, voters }: Conf): ReadonlyArray<string> => [...new Set([...voters, ...outgoing])]
export const membersOf = (conf: Conf): ReadonlyArray<string> => [...new Set([...votersOf(conf), ...conf.learners])].sort()
const sameIds = (a: ReadonlyArray<string>, b: ReadonlyArray<string>): boolean => a.length === b.length && a.every((id, at) => id === b[at])
export const sameConf = (a: Conf, b: Conf): boolean => a === b || (sameIds(a.voters, b.voters) && sameIds(a.outgoing, b.outgoing) && sameIds(a.learners, b.learners))
export const samePlace = (a: Place, b: Place): boolean => a.i === b.i && a.t === b.t && sameConf(a.c, b.c)
export const sameSlot = (a: Slot, b: Slot): boolean => a === b || (a.t === b.t && a.ok === b.ok && a.what === b.what && sameConf(a.c, b.c))

const most = (ids: ReadonlyArray<string>, has: (id: string) => boolean): boolean => 2 * ids.filter(has).length > ids.length
export const decides = ({ outgoing, voters }: Conf, has: (id: string) => boolean): boolean => most(voters, has) && (outgoing.length === 0 || most(outgoing, has))
export const reachedBy = (conf: Conf, of: (id: string) => number): number =>
  Math.max(0, ...votersOf(conf).map(of).filter((value) => decides(conf, (id) => of(id) >= value)))
export const towards = (now: Conf, target: Conf): Conf => (sameIds(now.voters, target.voters) ? target : { ...target, outgoing: now.voters })
export const settled = (conf: Conf): Conf => ({ ...conf, outgoing: [] })

/** A log behind the place up to which a state stands for it. */
export class Log {
  readonly #slots: Array<Slot>
  #place: Place
  #gap: number | undefined
  #conf: { readonly conf: Conf; readonly index: number } | undefined

  constructor(place: Place, slots: ReadonlyArray<Slot>) {
    this.#place = place
    this.#slots = [...slots]
  }

  get copy(): Log {
    return new Log(this.#place, this.#slots)
  }

  get place(): Place {
    return this.#place
  }

  get slots(): ReadonlyArray<Slot> {
    return this.#slots
  }

  get last(): number {
    return this.#place.i + this.#slots.length
  }

  /** 0: it has none. */
  get gap(): number {
    if (this.#gap === undefined) {
      const at = this.#slots.findIndex(({ ok }) => !ok)
      this.#gap = at < 0 ? 0 : this.#place.i + 1 + at
    }
    return this.#gap
  }

  /** Up to where it can be read. */
  get readable(): number {
    const { gap } = this
    return gap === 0 ? this.last : gap - 1
  }

  get isDense(): boolean {
    return !(this.#slots as ReadonlyArray<Slot | undefined>).includes(undefined)
  }

  at(index: number): Slot | undefined {
    return this.#slots[index - this.#place.i - 1]
  }

  /** -1: lost; undefined: not there, or a state stands for it. */
  termAt(index: number): number | undefined {
    return index === this.#place.i ? this.#place.t : this.at(index)?.t
  }

  /** The term of its last entry; `atMost` where that is lost. */
  lastTerm(atMost: number): number {
    const term = this.termAt(this.last)!
    return term < 0 ? atMost : term
  }

  /** The newest one, and where it stands. */
  get newest(): { readonly conf: Conf; readonly index: number } {
    this.#conf ??= this.confAt(this.last)
    return this.#conf
  }

  /** The newest one up to there. */
  confAt(index: number): { readonly conf: Conf; readonly index: number } {
    for (let at = index; at > this.#place.i; at -= 1) {
      const slot = this.at(at)
      if (slot !== undefined && slot.ok && isConf(slot.c)) return { conf: slot.c, index: at }
    }
    return { conf: this.#place.c, index: this.#place.i }
  }

  /** The last place up to there whose term is known and at most that: where two logs may agree. */
  lastUpTo(index: number, term: number): number {
    for (let at = Math.min(index, this.last); at > this.#place.i; at -= 1) {
      const known = this.at(at)!.t
      if (known >= 0 && known <= term) return at
    }
    return this.#place.i
  }

  placeAt(index: number): Place {
    return { i: index, t: this.termAt(index) ?? -1, c: this.confAt(index).conf }
  }

  /** Whether what stands at a state's place may be what it stands for, and what is behind it of the same history. */
  mayGoOn({ i, t }: Place): boolean {
    const { i: begin, t: term } = this.#place
    const [slot, ...behind] = i === begin ? [{ t: term }, ...this.#slots] : this.#slots.slice(Math.max(0, i - begin - 1))
    if (i < begin || slot === undefined || (slot.t >= 0 && slot.t !== t)) return false
    return (behind.find((later) => later.t >= 0)?.t ?? t) >= t
  }

  #forget(): void {
    this.#gap = undefined
    this.#conf = undefined
  }

  /** At its place, over what may be there. */
  put(index: number, slot: Slot): void {
    this.#slots[index - this.#place.i - 1] = slot
    this.#forget()
  }

  /** Terms do not fall: one that is lost between two that are the same is that one. */
  conclude(): void {
    if (!this.#slots.some(({ t }) => t < 0)) return
    const known = [this.#place.t, ...this.#slots.map(({ t }) => t)]
    for (const [at, slot] of this.#slots.entries()) {
      if (slot.t >= 0) continue
      const before = known.slice(0, at + 1).findLast((t) => t >= 0)!
      if (known.slice(at + 1).find((t) => t >= 0) === before) this.#slots[at] = { ...slot, t: before }
    }
  }

  /** Nothing from there on is left. */
  cut(from: number): void {
    this.#slots.length = Math.max(0, Math.min(this.#slots.length, from - this.#place.i - 1))
    this.#forget()
  }

  /** A state stands for what is up to there. */
  rebase(place: Place): void {
    this.#slots.splice(0, place.i - this.#place.i)
    this.#place = place
    this.#forget()
  }

  /** What a Persist says, in its order; of its entries so many. */
  write({ cut, entries, place }: Written, count = entries.length, withPlace = true): void {
    if (cut > 0) this.cut(cut)
    for (const { e, i } of entries.slice(0, count)) if (i > this.#place.i) this.put(i, e)
    const [to] = withPlace ? place : []
    if (to !== undefined && to.i >= this.#place.i) this.rebase(to)
  }
}

export interface Disk {
  term: number
  vote: string
  log: Log
}

const written = ({ log, ...hard }: Disk, one: Written, count = one.entries.length, isWhole = true): Disk => {
  const image = { ...hard, ...one.hard[0], log: log.copy }
  image.log.write(one, count, isWhole)
  return image
}

/** A gap of the same term, or of a lost one, may be what has become of an entry. */
const mayRot = (was: Slot, now: Slot): boolean => sameSlot(was, now) || (!now.ok && (now.t < 0 || now.t === was.t))

export class Replica {
  readonly id: string
  after: After
  /** In memory. */
  log: Log
  disk: Disk
  /** Where the state stands that is on its disk. */
  saved: Place
  pending: Array<Written> = []
  /** What the start has changed in memory, and the next step writes. */
  isUnwritten = false
  /** Votes and copies that it may say once they are written: what it has come to in this term. */
  readonly owed = new Set<string>()
  /** Votes that it counts, its own apart. */
  readonly votes = new Set<string>()
  /** Who refused it, since it asked last. */
  readonly refusals = new Set<string>()
  /** Of the leader of this term: who it is, and its rounds that were heard. */
  readonly heardRounds = new Set<string>()
  /** Of the newest Persist of this life. */
  ticket = 0
  /** Entries of its leader that show nothing yet. */
  proving: ReadonlyArray<Slot> = []
  /** Of a leader: reads that wait, and the round that answers them; 0: to come. */
  readonly reads: Array<{ readonly read: number; round: number; index: number }> = []

  constructor(id: string, found: Found, after: After) {
    this.id = id
    this.after = after
    this.disk = { term: found.term, vote: found.vote, log: new Log(found.place, found.slots) }
    this.saved = found.saved
    this.log = this.disk.log.copy
    this.start()
  }

  get conf(): Conf {
    return this.log.newest.conf
  }

  /** From its disk. */
  start(): void {
    const { disk, saved } = this
    const log = disk.log.copy
    log.conclude()
    const isOfLog = saved.i < log.place.i || log.mayGoOn(saved)
    const isHealed = isOfLog && log.gap > 0 && log.gap <= saved.i
    this.log = isOfLog ? log : new Log(saved, [])
    if (isHealed) this.log.rebase(saved)
    this.log.conclude()
    this.isUnwritten = !isOfLog || isHealed
    this.pending = []
    this.ticket = 0
    this.owed.clear()
    this.forget()
  }

  /** What belongs to a term and a role. */
  forget(): void {
    this.forgetVotes()
    this.reads.length = 0
    this.heardRounds.clear()
    this.proving = []
  }

  forgetVotes(): void {
    this.votes.clear()
    this.refusals.clear()
  }

  /** The oldest of what is on its way is there. */
  persist(): Written | undefined {
    const first = this.pending.shift()
    if (first !== undefined) this.disk = written(this.disk, first)
    return first
  }

  /** Whether a crash may have left this: some of what was on its way, of the next one its first parts; entries may rot, and never are none. */
  mayBeLeft({ place, slots, term, vote }: Found): boolean {
    const fits = (image: Disk): boolean =>
      image.term === term && image.vote === vote && samePlace(image.log.place, place) && image.log.slots.length === slots.length && slots.every((slot, at) => mayRot(image.log.slots[at]!, slot))
    let image = this.disk
    if (fits(image)) return true
    for (const next of this.pending) {
      for (let count = 0; count <= next.entries.length; count += 1) if (fits(written(image, next, count, false)) || fits(written(image, next, count))) return true
      if (fits(written(image, { ...next, cut: 0 }, 0, false))) return true
      image = written(image, next)
      if (fits(image)) return true
    }
    return false
  }

  /** All up to here is on the disk, as it is in memory. */
  get durable(): number {
    return this.durableBefore(0)
  }

  /** The same without the newest so many. */
  durableBefore(newest: number): number {
    const under = newest === 0 ? this.pending : this.pending.slice(0, -newest)
    return Math.min(this.log.last, ...under.flatMap(({ cut, entries }) => [...(cut > 0 ? [cut - 1] : []), ...entries.slice(0, 1).map(({ i }) => i - 1)]))
  }
}

/** What is said to one alone, and what to whom it is kept for. */
export const keyOf = (said: Said): string => (said.m === "Appended" ? `${said.from} ${said.to} ${said.term} ${said.match}` : JSON.stringify(said))
