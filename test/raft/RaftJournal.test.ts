/** Raft's part of the journal against its reference: any writes, crashes, failed syncs, and rot, in any order. */
import { Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { deepStrictEqual, ok } from "node:assert"
import { it } from "vitest"
import { MemoryDisk } from "../../sim/Disk.ts"
import { seededRandom } from "../../sim/Random.ts"
import { raftForwardShare } from "../../src/base/raftLimits.ts"
import type { RaftFound, RaftGroup, RaftJournalError, RaftJournalInterface } from "../../src/raft/RaftJournalService.ts"
import type { WalPosition } from "../../src/wal/WalRecord.ts"
import type { WalInterface, WalOptions } from "../../src/wal/WalService.ts"
import { run, segmentPath, smallSizes, startWal } from "../wal/scene.ts"
import { drawPersist, firstSnapshot, group, type Kept, keptOf, lastOf, nothingKept, type Persist, persisted, startRaft } from "./journalScene.ts"

interface Open {
  readonly persist: Persist
  readonly durable: Effect.Effect<void, RaftJournalError>
}

/** What was acknowledged, and what may have come true besides. Without gaps: `truth`; with those that were found: `known`. */
class Model {
  truth: Kept = nothingKept("a")
  known: Kept = this.truth
  open: Array<Persist> = []

  get drawn(): Kept {
    return this.open.reduce((kept, persist) => persisted(kept, persist), this.known)
  }

  acknowledge(): void {
    for (const persist of this.open.splice(0)) {
      this.truth = persisted(this.truth, persist)
      this.known = persisted(this.known, persist)
    }
  }

  /** Which beginning of what was not acknowledged came true. */
  adopt(found: Kept): void {
    const tries: Array<readonly [Kept, Kept]> = [[this.truth, this.known]]
    for (const persist of this.open.splice(0)) {
      const [truth, known] = tries.at(-1)!
      for (let count = 0; count <= persist.entries.length; count += 1) tries.push([persisted(truth, persist, count), persisted(known, persist, count)])
    }
    const fits = tries.find(([, known]) => isSame(known, found))
    if (fits === undefined) deepStrictEqual(found, tries.map(([, known]) => known), "none of these is what was found")
    ;[this.truth, this.known] = fits!
  }
}

const textOf = (value: unknown): string => JSON.stringify(value, (_, part: unknown) => part instanceof Uint8Array ? Buffer.from(part).toString("hex") : part)
const isSame = (a: unknown, b: unknown): boolean => textOf(a) === textOf(b)

class Real {
  disk = new MemoryDisk()
  open: Array<Open> = []
  handle!: RaftGroup
  raft!: RaftJournalInterface
  wal!: WalInterface
  #lives = 0
  #tickets = 0
  #stop: Effect.Effect<void> = Effect.void
  readonly #run: <A, E>(effect: Effect.Effect<A, E>) => Promise<A>

  constructor(runIn: <A, E>(effect: Effect.Effect<A, E>) => Promise<A>) {
    this.#run = runIn
  }

  do<A, E>(effect: Effect.Effect<A, E>): Promise<A> {
    return this.#run(effect)
  }

  async start(): Promise<RaftFound> {
    this.#lives += 1
    const { raft, stop, wal } = await this.do(startRaft(this.disk, this.#lives, { forwardSegments: 2, segmentBytes: smallSizes.segmentBytes, tendMs: 1000 }))
    this.raft = raft
    this.wal = wal
    this.#stop = stop
    this.handle = await this.do(raft.group(group))
    return this.handle.found
  }

  async persist(persist: Persist): Promise<void> {
    this.open.push({ persist, durable: await this.do(this.handle.persist(persist)) })
  }

  get ticket(): number {
    this.#tickets += 1
    return this.#tickets
  }

  stop(): Promise<void> {
    return this.do(this.#stop)
  }

  /** Where Raft's records lie: told by a journal that is started for it. */
  async positions(): Promise<ReadonlyArray<WalPosition>> {
    this.#lives += 1
    const positions: Array<WalPosition> = []
    const { stop, wal } = await this.do(startWal(this.disk, this.#lives))
    await this.do(wal.replay(wal.found().oldest, ({ kind, position }) => Effect.sync(() => {
      if (kind === "Raft") positions.push(position)
    }), () => Effect.void))
    await this.do(stop)
    return positions
  }
}

type Command = fc.AsyncCommand<Model, Real>

const begin = async (model: Model, real: Real): Promise<void> => {
  real.open = []
  model.adopt(keptOf(await real.start()))
}

const persist = (seed: number): Command => ({
  check: () => true,
  run: async (model, real) => {
    const drawn = drawPersist(seededRandom(seed), model.drawn, real.ticket)
    model.open.push(drawn)
    await real.persist(drawn)
  },
  toString: () => `persist ${seed}`
})

const settle = async (model: Model, real: Real): Promise<void> => {
  for (const { durable } of real.open.splice(0)) {
    const exit = await real.do(Effect.exit(durable))
    ok(Exit.isSuccess(exit), `what a segment's end lost is written again: ${String(exit)}`)
  }
  model.acknowledge()
}

const wait: Command = { check: () => true, run: settle, toString: () => "wait" }

/** One sync fails: the journal begins a new segment, and Raft writes there again what was on its way. */
const failSync: Command = {
  check: () => true,
  run: async (model, real) => {
    let isArmed = true
    real.disk.fault = (operation) => {
      if (!isArmed || operation !== "sync") return undefined
      isArmed = false
      return "DroppedSync"
    }
    await settle(model, real)
    real.disk.fault = undefined
  },
  toString: () => "wait, a sync fails"
}

const restart: Command = {
  check: () => true,
  run: async (model, real) => {
    await settle(model, real)
    await real.stop()
    await begin(model, real)
    deepStrictEqual(model.open, [])
  },
  toString: () => "stop and start"
}

const crash = (seed: number, isKill: boolean): Command => ({
  check: () => true,
  run: async (model, real) => {
    const random = seededRandom(seed)
    real.disk = isKill ? real.disk.kill(random) : real.disk.crash(random)
    await begin(model, real)
  },
  toString: () => `${isKill ? "kill" : "power cut"} ${seed}`
})

/** What others do meanwhile. */
const turns = Effect.forEach(Array.from({ length: 300 }), () => Effect.yieldNow, { discard: true })

/** Large writes, several at once, and the power goes somewhere among them. */
const cut = (seed: number, isKill: boolean): Command => ({
  check: () => true,
  run: async (model, real) => {
    const random = seededRandom(seed)
    real.disk.stopAfter(real.disk.operations + random.below(12))
    for (let count = 1 + random.below(4); count > 0; count -= 1) {
      const drawn = drawPersist(random, model.drawn, real.ticket, 20_000)
      model.open.push(drawn)
      await real.persist(drawn)
    }
    await real.do(turns)
    real.disk = isKill ? real.disk.kill(random) : real.disk.crash(random)
    await begin(model, real)
  },
  toString: () => `${isKill ? "kill" : "power cut"} within writes ${seed}`
})

/** Others fill the journal, and let go of all of theirs; some seconds pass: what Raft has must not keep old segments, nor leave with them. */
const time = (bytes: number): Command => ({
  check: () => true,
  run: async (model, real) => {
    await settle(model, real)
    const { wal } = real
    for (let count = 0; count < 4; count += 1) {
      const ticket = await real.do(wal.append([{ kind: "Chunk", payload: new Uint8Array(bytes) }]))
      await real.do(ticket.durable)
      await real.do(Effect.andThen(wal.release("state", wal.head()), wal.release("ingest", wal.head())))
    }
    await real.do(TestClock.adjust(1000))
    await real.do(turns)
    const liveBytes = model.known.slots.reduce((sum, { body }) => sum + (body?._tag === "Command" ? body.bytes.length : 0) + 800, 2000)
    const old = wal.head().segment - real.raft.status().mark.segment
    ok(old <= 3 + raftForwardShare * liveBytes / smallSizes.segmentBytes, `nothing old keeps segments: ${old} of them, for ${liveBytes} bytes`)
    await settle(model, real)
  },
  toString: () => `time, beside ${bytes} bytes`
})

/** A byte of one record rots while the node is off. Whatever it was, hard state and snapshot are there, and an entry is what it was or a gap. */
const rot = (seed: number): Command => ({
  check: () => true,
  run: async (model, real) => {
    await settle(model, real)
    await real.stop()
    const random = seededRandom(seed)
    const { length, offset, segment } = random.pick(await real.positions())
    real.disk.corrupt(segmentPath(segment), offset + random.below(length), (byte) => byte ^ (1 << random.below(8)))
    real.open = []
    const found = keptOf(await real.start())
    judge(found, model.truth)
    model.known = found
  },
  toString: () => `rot ${seed}`
})

/** Nothing is wrong: an entry is as it was, or a gap whose term is not another. */
const judge = (found: Kept, truth: Kept): void => {
  deepStrictEqual([found.replica, found.hardState, found.snapshot, lastOf(found)], [truth.replica, truth.hardState, truth.snapshot, lastOf(truth)])
  for (const [at, slot] of found.slots.entries()) {
    const was = truth.slots[at]!
    ok(slot.body === undefined ? (slot.term ?? was.term) === was.term : isSame(slot, was), `entry ${was.index} is not what it was: ${textOf(slot)}`)
  }
}

/** What a leader sends again takes its place. */
const fill: Command = {
  check: (model) => model.known.slots.some(({ body }) => body === undefined),
  run: async (model, real) => {
    await settle(model, real)
    const entries = model.truth.slots.filter((slot, at) => slot.body !== undefined && model.known.slots[at]?.body === undefined)
    const filling = { _tag: "Persist", ticket: real.ticket, hardState: undefined, truncateFrom: undefined, snapshot: undefined, entries } as Persist
    model.open.push(filling)
    await real.persist(filling)
  },
  toString: () => "fill the gaps"
}

const runs = Number(process.env["RAFT_JOURNAL_RUNS"] ?? 60)

it("raft's journal: after any writes, crashes, failed syncs and time what was acknowledged is there, with a beginning of what was not; what rots is a gap, and no vote is forgotten", { timeout: 240_000 }, async () => {
  const commands = fc.commands<Model, Real, false>([
    ...Array.from({ length: 5 }, () => fc.nat(1_000_000).map(persist)),
    fc.constant(wait), fc.constant(failSync), fc.constant(restart), fc.constant(fill),
    fc.tuple(fc.nat(1000), fc.boolean()).map(([seed, isKill]) => crash(seed, isKill)),
    fc.tuple(fc.nat(1_000_000), fc.boolean()).map(([seed, isKill]) => cut(seed, isKill)),
    fc.integer({ min: 1000, max: 25_000 }).map(time),
    fc.nat(1_000_000).map(rot)
  ], { maxCommands: 40, size: "max" })
  await fc.assert(fc.asyncProperty(commands, (drawn) => run(Effect.gen(function*() {
    const context = yield* Effect.context()
    const real = new Real((effect) => Effect.runPromiseWith(context)(effect))
    yield* Effect.promise(async () => {
      deepStrictEqual(await real.start(), { _tag: "Absent" })
      await real.do(real.handle.begin("a", firstSnapshot))
      await fc.asyncModelRun(() => ({ model: new Model(), real }), drawn)
      await real.stop()
    })
  }))), { numRuns: runs })
})

const base = { _tag: "Persist" as const, ticket: 1, hardState: undefined, truncateFrom: undefined, entries: [], snapshot: undefined }
const voteOf = (term: number, vote: string): Persist => ({ ...base, hardState: { term, vote } })

/** Writes in one life, which ends by a kill; where Raft's records lie, as the disk twin was told. */
const written = async (persists: ReadonlyArray<Persist>, isStopped: boolean, chunks = 0) => {
  const disk = new MemoryDisk()
  const positions: Array<WalPosition> = []
  await run(Effect.gen(function*() {
    const observe: NonNullable<WalOptions["observe"]> = (_, __, commands) => {
      for (const command of commands) if (command._tag === "Assign") positions.push(...command.positions)
    }
    const { raft, stop, wal } = yield* startRaft(disk, 1, { observe })
    const handle = yield* raft.group(group)
    yield* handle.begin("a", firstSnapshot)
    for (const one of persists) yield* yield* handle.persist(one)
    for (let count = 0; count < chunks; count += 1) yield* (yield* wal.append([{ kind: "Chunk", payload: new Uint8Array(25_000) }])).durable
    if (isStopped) yield* stop
  }))
  return { disk: disk.kill(), positions }
}

const hurt = (disk: MemoryDisk, { offset, segment }: WalPosition): void => disk.corrupt(segmentPath(segment), offset + 40)

const foundAfter = (disk: MemoryDisk, run2: number) => run(Effect.gen(function*() {
  const { raft, stop } = yield* startRaft(disk, run2)
  const { begin: anew, found } = yield* raft.group(group)
  const again = yield* Effect.exit(anew("a", firstSnapshot))
  yield* stop
  return { found, again }
}))

it("raft's journal: where all that says the newest vote is rotten the replica is lost, however often the node starts, until it comes back as another", async () => {
  const { disk, positions } = await written([voteOf(1, "a"), voteOf(2, "b")], true)
  for (const position of positions.slice(-2)) hurt(disk, position)
  for (const life of [2, 3]) {
    const { again, found } = await foundAfter(disk, life)
    deepStrictEqual(found, { _tag: "Lost", replica: "a" })
    ok(Exit.isFailure(again), "under its old name it might vote a second time")
  }
  await run(Effect.gen(function*() {
    const { raft, stop } = yield* startRaft(disk, 4)
    const handle = yield* raft.group(group)
    yield* handle.begin("a2", firstSnapshot)
    yield* yield* handle.persist(voteOf(7, "c"))
    yield* stop
  }))
  const { found } = await foundAfter(disk, 5)
  deepStrictEqual(keptOf(found), { ...nothingKept("a2"), hardState: { term: 7, vote: "c" } })
})

it("raft's journal: of a group of which nothing can be read it is not said that it is absent", async () => {
  const { disk, positions } = await written([], true)
  for (const position of positions) hurt(disk, position)
  deepStrictEqual((await foundAfter(disk, 2)).found, { _tag: "Lost", replica: undefined })
})

it("raft's journal: a vote in a last batch that rots before anything proves it is known all the same, and on the disk before anyone hears of it", async () => {
  const entries = [{ index: 1, term: 2, body: { _tag: "Command" as const, bytes: new Uint8Array(50) } }]
  for (const [which, expected] of [[0, 0], [1, 0], [undefined, 1]] as const) {
    const { disk, positions } = await written([voteOf(1, "a"), { ...base, hardState: { term: 2, vote: "b" }, entries }], false)
    if (which !== undefined) hurt(disk, positions.at(which - 2)!)
    for (const life of [2, 3]) {
      const kept = keptOf((await foundAfter(disk, life)).found)
      deepStrictEqual([which, kept.hardState, kept.slots.length], [which, { term: 2, vote: "b" }, expected])
    }
  }
})

it("raft's journal: a step that the journal lost is written again whole: nothing of the first try is there to contradict it", async () => {
  const disk = new MemoryDisk()
  const bytes = 8_000
  const entries = [1, 2, 3, 4, 5, 6].map((index) => ({ index, term: 1, body: { _tag: "Command" as const, bytes: new Uint8Array(bytes) } }))
  let failed = 0
  await run(Effect.gen(function*() {
    const { raft, stop, wal } = yield* startRaft(disk, 1)
    const handle = yield* raft.group(group)
    yield* handle.begin("a", firstSnapshot)
    // Not all of the next step fits the rest of the segment, and the one behind it cannot be opened at first.
    yield* (yield* wal.append([{ kind: "Chunk", payload: new Uint8Array(25_000) }])).durable
    disk.fault = (operation) => operation === "open" && failed++ === 0 ? "Io" : undefined
    yield* yield* handle.persist({ ...base, hardState: { term: 1, vote: "a" }, entries })
    yield* stop
  }))
  ok(failed > 0, "a segment could not be opened")
  const { slots } = keptOf((await foundAfter(disk.kill(), 2)).found)
  deepStrictEqual(slots.length, entries.length)
})

it("raft's journal: what is known by one record alone stays, also while nobody asks for its group", async () => {
  const { disk, positions } = await written([voteOf(1, "a"), voteOf(2, "b")], true, 9)
  hurt(disk, positions[4]!)
  await run(Effect.gen(function*() {
    const { stop, wal } = yield* startRaft(disk, 2, { tendMs: 1000 })
    for (let count = 0; count < 9; count += 1) {
      yield* (yield* wal.append([{ kind: "Chunk", payload: new Uint8Array(25_000) }])).durable
      yield* Effect.andThen(wal.release("state", wal.head()), wal.release("ingest", wal.head()))
      yield* Effect.andThen(TestClock.adjust(1000), turns)
    }
    yield* stop
  }))
  deepStrictEqual(keptOf((await foundAfter(disk, 3)).found).hardState, { term: 2, vote: "b" })
})

it("raft's journal: the snapshot's configuration is said by more than one record, also once old segments have left", async () => {
  const entryOf = (term: number): Persist => ({ ...base, hardState: { term, vote: "a" }, truncateFrom: 1, entries: [{ index: 1, term, body: { _tag: "Nothing" } }] })
  const disk = new MemoryDisk()
  let newest: WalPosition | undefined
  await run(Effect.gen(function*() {
    const { raft, stop, wal } = yield* startRaft(disk, 1, {
      tendMs: 1000, forwardSegments: 100, observe: (_, __, commands) => {
        for (const command of commands) if (command._tag === "Assign" && command.positions.length === 2) newest = command.positions[0]
      }
    })
    const handle = yield* raft.group(group)
    yield* handle.begin("a", firstSnapshot)
    for (let term = 1; term < 9; term += 1) {
      yield* (yield* wal.append([{ kind: "Chunk", payload: new Uint8Array(25_000) }])).durable
      yield* yield* handle.persist(entryOf(term))
      yield* Effect.andThen(wal.release("state", wal.head()), wal.release("ingest", wal.head()))
      yield* Effect.andThen(TestClock.adjust(1000), turns)
    }
    yield* stop
  }))
  const killed = disk.kill()
  hurt(killed, newest!)
  const kept = keptOf((await foundAfter(killed, 2)).found)
  deepStrictEqual([kept.hardState.term, kept.snapshot, lastOf(kept)], [8, firstSnapshot, 1])
})
