/** What tests of Raft's journal share: a journal of groups on the Disk twin, what a machine may want written, and what must come of it. */
import { Context, Effect, Exit, Layer, Scope } from "effect"
import type { Random } from "../../sim/Random.ts"
import type { MemoryDisk } from "../../sim/Disk.ts"
import type { GroupId } from "../../src/base/ids.ts"
import { configurationOf } from "../../src/raft/Configuration.ts"
import type { Entry, HardState, LogIndex, ReplicaId, SnapshotPlace } from "../../src/raft/Entry.ts"
import type { RaftFound } from "../../src/raft/RaftJournalService.ts"
import { RaftJournal, type RaftJournalOptions } from "../../src/raft/RaftJournalService.ts"
import { noSnapshot, type Slot } from "../../src/raft/RaftLog.ts"
import type { RaftCommand } from "../../src/raft/RaftState.ts"
import { makeValueSealer } from "../../src/sealer/SealedValue.ts"
import type { WalOptions } from "../../src/wal/WalService.ts"
import { keysOf } from "../sealer/fixtures.ts"
import { startWal } from "../wal/scene.ts"

export type Persist = Extract<RaftCommand, { readonly _tag: "Persist" }>

export const group = "60".repeat(16) as GroupId
export const sealer = makeValueSealer(keysOf(7), "raft")

/** A journal and Raft's part in it; their clock stands still unless the test moves it. */
export const startRaft = (disk: MemoryDisk, run: number, options: Partial<WalOptions> & Partial<RaftJournalOptions> = {}) =>
  Effect.gen(function*() {
    const { stop: stopWal, wal } = yield* startWal(disk, run, options)
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(RaftJournal.layer({ wal, sealer, ...options }), scope)
    return { wal, raft: Context.get(context, RaftJournal), stop: Effect.andThen(Scope.close(scope, Exit.void), stopWal) }
  })

/** What a replica has, as plainly as it can be said. */
export interface Kept {
  readonly replica: ReplicaId
  readonly hardState: HardState
  readonly snapshot: SnapshotPlace
  readonly slots: ReadonlyArray<Slot>
}

export const firstSnapshot: SnapshotPlace = { ...noSnapshot, configuration: configurationOf(["a", "b", "c"]) }
export const nothingKept = (replica: ReplicaId, snapshot = firstSnapshot): Kept => ({ replica, hardState: { term: 0, vote: undefined }, snapshot, slots: [] })

/** Of the entries only so many: a crash cuts a write off. */
export const persisted = (kept: Kept, { entries, hardState, snapshot, truncateFrom }: Persist, count = entries.length): Kept => {
  const slots = [...kept.slots]
  if (truncateFrom !== undefined) slots.length = Math.max(0, Math.min(slots.length, truncateFrom - kept.snapshot.index - 1))
  for (const entry of entries.slice(0, count)) slots[entry.index - kept.snapshot.index - 1] = entry
  const place = snapshot ?? kept.snapshot
  slots.splice(0, place.index - kept.snapshot.index)
  return { replica: kept.replica, hardState: hardState ?? kept.hardState, snapshot: place, slots }
}

export const keptOf = (found: RaftFound): Kept => {
  if (found._tag !== "Found") throw new Error(`the group is ${found._tag}`)
  const { hardState, replica, slots, snapshot } = found
  return { replica, hardState, snapshot, slots }
}

export const lastOf = ({ slots, snapshot }: Kept): LogIndex => snapshot.index + slots.length

const entryAt = (random: Random, index: LogIndex, term: number, bytesMax: number): Entry => {
  const kind = random.below(10)
  if (kind === 0) return { index, term, body: { _tag: "Nothing" } }
  if (kind === 1) return { index, term, body: { _tag: "Configuration", configuration: configurationOf(["a", "b", `c${random.below(5)}`]) } }
  return { index, term, body: { _tag: "Command", bytes: random.bytes(random.below(bytesMax)) } }
}

/** What a machine that has this may want written next. */
export const drawPersist = (random: Random, kept: Kept, ticket: number, bytesMax = 600): Persist => {
  const { hardState, slots, snapshot } = kept
  const last = lastOf(kept)
  const base = { _tag: "Persist" as const, ticket, hardState: undefined, truncateFrom: undefined, entries: [], snapshot: undefined }
  const kind = random.below(20)
  const newer: HardState = { term: hardState.term + 1, vote: random.pick([undefined, "a", "b"]) }
  if (kind < 4) return { ...base, hardState: random.chance(0.3) ? { ...hardState, vote: hardState.vote ?? "c" } : newer }
  if (kind === 4 && slots.length > 0) {
    const index = snapshot.index + 1 + random.below(slots.length)
    const gap = slots.slice(0, index - snapshot.index).some(({ body }) => body === undefined)
    if (!gap) return { ...base, snapshot: { index, term: slots[index - snapshot.index - 1]!.term!, configuration: configurationOf(["a", `s${random.below(9)}`]) } }
  }
  if (kind === 5) return { ...base, truncateFrom: snapshot.index + 1, snapshot: { index: last + 1 + random.below(5), term: hardState.term, configuration: configurationOf(["a", "z"]) } }
  const cuts = kind < 9 && slots.length > 0
  const from = cuts ? last - random.below(Math.min(slots.length, 5)) : last + 1
  const isNew = cuts || random.chance(0.2)
  const term = isNew ? newer.term : Math.max(hardState.term, slots.at(-1)?.term ?? 0)
  const entries = Array.from({ length: 1 + random.below(6) }, (_, at) => entryAt(random, from + at, term, bytesMax))
  return { ...base, hardState: isNew ? newer : undefined, truncateFrom: cuts ? from : undefined, entries }
}
