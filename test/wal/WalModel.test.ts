/** The journal against its reference: any appends, reads, releases, stops, power cuts and failed syncs, in any order. */
import { Effect, Exit } from "effect"
import fc from "fast-check"
import { deepStrictEqual, strictEqual } from "node:assert"
import { it } from "vitest"
import { toHex } from "../../src/base/bytes.ts"
import { isWhole } from "../../src/wal/Wal.ts"
import { placeAfter, type WalPlace, type WalPosition } from "../../src/wal/WalRecord.ts"
import type { Ticket } from "../../src/wal/WalService.ts"
import { Journal, type Logged } from "../../spec/Journal.ts"
import { MemoryDisk } from "../../sim/Disk.ts"
import { seededRandom } from "../../sim/Random.ts"
import { idOfPayload, recordOf, type Running, run, startWal } from "./scene.ts"

interface Open {
  readonly ticket: Ticket
  readonly records: ReadonlyArray<Logged>
}

class Real {
  disk = new MemoryDisk()
  readonly positions = new Map<number, WalPosition>()
  open: Array<Open> = []
  keepFrom: WalPlace | undefined
  #lives = 0
  #running: Running | undefined
  readonly #run: <A, E>(effect: Effect.Effect<A, E>) => Promise<A>

  constructor(runIn: <A, E>(effect: Effect.Effect<A, E>) => Promise<A>) {
    this.#run = runIn
  }

  do<A, E>(effect: (running: Running) => Effect.Effect<A, E>): Promise<A> {
    return this.#run(effect(this.#running!))
  }

  /** What it replays, then it serves. */
  async start(): Promise<ReadonlyArray<{ readonly id: number; readonly text: string }>> {
    this.#lives += 1
    this.#running = await this.#run(startWal(this.disk, this.#lives))
    const replayed: Array<{ readonly id: number; readonly text: string }> = []
    await this.do(({ wal }) => wal.replay(this.keepFrom, ({ payload, position }) => Effect.sync(() => {
      const id = idOfPayload(payload)
      this.positions.set(id, position)
      replayed.push({ id, text: toHex(payload) })
    })))
    return replayed
  }
}

type Command = fc.AsyncCommand<Journal, Real>

const begin = async (model: Journal, real: Real, clean: boolean): Promise<void> => {
  real.open = []
  model.failed = false
  const replayed = await real.start()
  strictEqual(model.faultOf(replayed, clean), undefined)
  model.adopt(new Set(replayed.map(({ id }) => id)))
}

const append = (sizes: ReadonlyArray<number>): Command => ({
  check: () => true,
  run: async (model, real) => {
    const all = sizes.map((size, index) => recordOf(model.idNext + index, size))
    const bytes = sizes.reduce((sum, size) => sum + size, 0)
    // What is no chunk, and too long for one batch, goes without the rest.
    const drawn = !isWhole(all) || await real.do(({ wal }) => Effect.sync(() => wal.takes(all.length, bytes))) ? all : all.slice(0, 1)
    const records = model.append(drawn.map(({ payload }) => toHex(payload)), isWhole(drawn))
    const ticket = await real.do(({ wal }) => wal.append(drawn))
    for (const [index, { id }] of records.entries()) real.positions.set(id, ticket.positions[index]!)
    real.open.push({ ticket, records })
  },
  toString: () => `append ${sizes.join(", ")} bytes`
})

/** Waits for what is under way; each record comes true, or its writer hears that it does not. */
const settle = async (model: Journal, real: Real): Promise<void> => {
  for (const { records, ticket } of real.open.splice(0)) {
    const exit = await real.do(() => Effect.exit(ticket.durable))
    for (const record of records) {
      record.acknowledged = Exit.isSuccess(exit)
      record.lost = !record.acknowledged
    }
    if (Exit.isSuccess(exit)) model.failed = false
  }
}

const wait: Command = { check: () => true, run: (model, real) => settle(model, real), toString: () => "wait" }

const failSync: Command = {
  check: (model) => !model.failed,
  run: async (model, real) => {
    const asked = real.open.length > 0
    let armed = asked
    real.disk.fault = (operation) => {
      if (!armed || operation !== "sync") return undefined
      armed = false
      return "DroppedSync"
    }
    await settle(model, real)
    // Whether it met one: nothing may have been under way any more.
    model.failed = asked && !armed
    real.disk.fault = undefined
  },
  toString: () => "wait, a sync fails"
}

const readBack = (pick: number): Command => ({
  check: (model) => model.acknowledged.length > 0,
  run: async (model, real) => {
    const { acknowledged } = model
    const asked = [acknowledged[pick % acknowledged.length]!, acknowledged.at(-1)!]
    const payloads = await real.do(({ wal }) => wal.readMany(asked.map(({ id }) => real.positions.get(id)!)))
    deepStrictEqual(payloads.map(toHex), asked.map(({ text }) => text))
  },
  toString: () => `read ${pick}`
})

const release = (pick: number): Command => ({
  check: (model) => model.acknowledged.length > 0,
  run: async (model, real) => {
    const last = model.acknowledged[pick % model.acknowledged.length]!
    real.keepFrom = placeAfter(real.positions.get(last.id)!)
    model.keepFromId = last.id + 1
    await real.do(({ wal }) => Effect.andThen(wal.release("state", real.keepFrom!), wal.release("ingest", real.keepFrom!)))
  },
  toString: () => `release up to ${pick}`
})

const restart: Command = {
  check: () => true,
  run: async (model, real) => {
    await real.do(({ stop }) => stop)
    await settle(model, real)
    await begin(model, real, true)
  },
  toString: () => "stop and start"
}

const crash = (seed: number, kill: boolean): Command => ({
  check: () => true,
  run: async (model, real) => {
    const random = seededRandom(seed)
    real.disk = kill ? real.disk.kill(random) : real.disk.crash(random)
    await begin(model, real, false)
  },
  toString: () => `${kill ? "kill" : "power cut"} ${seed}`
})

it("wal: any appends, reads, releases, stops, crashes and failed syncs are the reference's", async () => {
  const size = fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 8, max: 900 }) }, { weight: 1, arbitrary: fc.integer({ min: 8, max: 20_000 }) })
  const commands = fc.commands<Journal, Real, false>([
    fc.array(size, { minLength: 1, maxLength: 4 }).map(append),
    fc.array(size, { minLength: 1, maxLength: 4 }).map(append),
    fc.constant(wait),
    fc.constant(failSync),
    fc.nat(50).map(readBack),
    fc.nat(50).map(release),
    fc.constant(restart),
    fc.tuple(fc.nat(1000), fc.boolean()).map(([seed, kill]) => crash(seed, kill))
  ], { maxCommands: 40, size: "max" })
  await fc.assert(fc.asyncProperty(commands, (drawn) => run(Effect.gen(function*() {
    const context = yield* Effect.context()
    const real = new Real((effect) => Effect.runPromiseWith(context)(effect))
    yield* Effect.promise(async () => {
      await real.start()
      await fc.asyncModelRun(() => ({ model: new Journal(), real }), drawn)
      await real.do(({ stop }) => stop)
    })
  }))), { numRuns: 80 })
}, 60_000)
