/** The plan of faults: what seeds draw, that each class happens to a small program, what the merciful leave alone, and the end. */
import { Clock, Context, Effect, Exit, Scheduler } from "effect"
import { assert, describe, it } from "vitest"
import { SimulatedClock } from "../../sim/Clock.ts"
import { MemoryDisk } from "../../sim/Disk.ts"
import type { Mercy } from "../../sim/faults/FaultAtlas.ts"
import { type DiskFaultClass, diskFaultClasses } from "../../sim/faults/FaultClass.ts"
import { FaultPlan } from "../../sim/faults/FaultPlan.ts"
import { MemoryKeyValue } from "../../sim/KeyValue.ts"
import { seededRandom } from "../../sim/Random.ts"
import { SimulatedScheduler } from "../../sim/Scheduler.ts"

const filled = (value: number, length = 8192): Uint8Array => new Uint8Array(length).fill(value)
const folders = ["journal", "blocks", "checkpoints"]

const nameOf = (life: number): string => `${String(life).padStart(16, "0")}.delta`

/** Files as a node has them; every answer may be an error. */
const program = (disk: MemoryDisk, index: MemoryKeyValue, life: number) =>
  Effect.scoped(Effect.gen(function* () {
    for (const path of disk.sizes().keys()) {
      yield* Effect.exit(Effect.flatMap(disk.service.open(path, "read"), (file) => file.read(0, 8192)))
    }
    yield* Effect.exit(disk.service.remove(`blocks/${nameOf(life - 1)}`))
    for (const folder of folders) {
      yield* Effect.exit(disk.service.makeFolder(folder))
      for (const name of [nameOf(life), "kept"]) {
        const path = `${folder}/${name}`
        const opened = yield* Effect.exit(disk.service.open(path, disk.names.get(path) === undefined ? "create" : "write", { direct: true }))
        if (Exit.isFailure(opened)) continue
        for (let turn = 0; turn < 4; turn += 1) {
          yield* Effect.exit(opened.value.write(turn * 4096, [filled(life * 10 + turn)]))
          yield* Effect.exit(opened.value.read(0, 8192))
          if (turn % 2 === 0) yield* Effect.exit(opened.value.sync)
        }
      }
      yield* Effect.exit(disk.service.syncFolder(folder))
    }
    yield* Effect.exit(disk.service.rename("journal/kept", "journal/renamed"))
    for (let key = 0; key < 30; key += 1) {
      yield* Effect.exit(index.service.commit([{ _tag: "Put", table: "t", key: Uint8Array.of(key), value: filled(life, 100) }]))
    }
  }))

/** Runs to its end in simulated time. */
const live = <A>(effect: Effect.Effect<A, unknown>): A => {
  const scheduler = new SimulatedScheduler(seededRandom(1))
  const clock = new SimulatedClock(0)
  const fiber = Effect.runForkWith(Context.mergeAll(Context.make(Scheduler.Scheduler, scheduler), Context.make(Clock.Clock, clock)))(effect)
  while (scheduler.step() || clock.advance()) { /* until nothing moves */ }
  const exit = fiber.pollUnsafe()
  if (exit === undefined || Exit.isFailure(exit)) throw new Error(`it did not end well: ${String(exit)}`)
  return exit.value
}

const run = (seed: number, mercy: Mercy) => {
  const random = seededRandom(seed)
  const plan = new FaultPlan(random.fork(), mercy)
  let disk = new MemoryDisk()
  let index = new MemoryKeyValue()
  const trace: Array<string> = []
  plan.begin(disk)
  for (let life = 1; life <= 6; life += 1) {
    plan.arm(disk, index, { asked: (operation, path) => void trace.push(`${operation} ${path}`) })
    live(program(disk, index, life))
    const isCut = random.chance(0.7)
    disk = isCut ? disk.crash(random) : disk.kill(random)
    index = isCut ? index.crash(random) : index.kill()
    index = plan.between(disk, index).index
  }
  return { plan, disk, index, trace }
}

describe("fault plan", () => {
  it("faults: each class is in at least a quarter of the seeds, and a seed has any number of them", () => {
    const seeds = 2000
    const active = new Map<DiskFaultClass, number>()
    const sizes = new Set<number>()
    for (let seed = 0; seed < seeds; seed += 1) {
      const drawn = [...new FaultPlan(seededRandom(seed), "Merciful").chances].filter(([, chance]) => chance > 0)
      sizes.add(drawn.length)
      for (const [fault] of drawn) active.set(fault, (active.get(fault) ?? 0) + 1)
    }
    for (const fault of diskFaultClasses) assert.isAtLeast(active.get(fault) ?? 0, seeds / 4, fault)
    assert.isTrue(sizes.size > 10 && sizes.has(5))
  })
  for (const mercy of ["Merciful", "Merciless"] as const) {
    it(`faults: ${mercy} plans bring about every class, each only where the seed has it`, () => {
      const seen = new Set<DiskFaultClass>()
      for (let seed = 0; seed < 80; seed += 1) {
        const { plan } = run(seed, mercy)
        for (const [fault] of plan.counts) {
          seen.add(fault)
          const isForced = fault === "IndexLost" && mercy === "Merciful"
          assert.isTrue(isForced || plan.chances.get(fault)! > 0, `seed ${seed} has no ${fault}`)
        }
      }
      assert.deepStrictEqual(diskFaultClasses.filter((fault) => !seen.has(fault)), [])
    })
  }
  it("faults: the merciful harm nothing for good but the newest of two checkpoints; the merciless know what they harmed", () => {
    let harmed = 0
    for (let seed = 0; seed < 30; seed += 1) {
      assert.deepStrictEqual(run(seed, "Merciful").plan.atlas.harms, [])
      harmed += run(seed, "Merciless").plan.atlas.harms.length
    }
    assert.isAbove(harmed, 20)
    const { atlas } = new FaultPlan(seededRandom(1), "Merciful")
    const one = ["journal/00000001.seg", "blocks/0a/0a.block", "checkpoints/0000000000000001.base", "checkpoints/0000000000000001.delta"]
    assert.deepStrictEqual(atlas.harmable(one), [])
    const two = [...one, "checkpoints/0000000000000002.delta"]
    assert.deepStrictEqual(atlas.harmable(two), two.slice(4))
    const aside = (generation: number): string => `checkpoints/000000000000000${generation}.delta.damaged`
    assert.deepStrictEqual(atlas.harmable([...two, aside(2)]), two.slice(4))
    assert.deepStrictEqual(atlas.harmable([...two, aside(3)]), [])
    assert.isFalse(atlas.mayGoAstray("journal/00000001.seg", false))
    assert.isFalse(atlas.mayGoAstray("blocks/0a/0a.block", true))
    atlas.harmed({ fault: "BitRot", path: two[4]!, offset: 0 })
    assert.deepStrictEqual(atlas.harmable(two), [])
  })
  it("faults: an index that was lost may come back, and one of the first night does after many others", () => {
    /** The night that each index is of that somebody puts back, by that in which he does. */
    const nights = (seed: number): { readonly lost: ReadonlySet<number>; readonly returned: ReadonlyMap<number, number> } => {
      const plan = new FaultPlan(seededRandom(seed), "Merciful")
      const disk = new MemoryDisk()
      const [lost, returned] = [new Set<number>(), new Map<number, number>()]
      plan.begin(disk)
      for (let night = 1; night <= 12; night += 1) {
        const before = new MemoryKeyValue()
        live(before.service.commit([{ _tag: "Put", table: "t", key: Uint8Array.of(1), value: filled(night, 100) }]))
        const { index } = plan.between(disk, before)
        const held = index.entries()[0]?.[2][0]
        if (held === undefined) lost.add(night)
        else if (held < night) returned.set(night, held)
      }
      return { lost, returned }
    }
    const seen = Array.from({ length: 150 }, (_, seed) => nights(seed))
    assert.isTrue(seen.some(({ lost, returned }) => [...returned.values()].some((night) => lost.has(night))))
    assert.isTrue(seen.some(({ returned }) => [...returned].some(([night, held]) => held === 1 && night > 6)))
  })
  it("faults: some seeds have one part that is much worse than the rest of their disk, and some have none", () => {
    const times = 400
    const rates = Array.from({ length: 200 }, (_, seed) => {
      const { plan, disk, index } = run(seed, "Merciful")
      plan.begin(disk)
      plan.arm(disk, index)
      const turns = Array.from({ length: times }, (__, turn) => disk.operations + turn + 100_000)
      const failed = (operation: "sync" | "read", path: string): number => turns.filter((number) => disk.fault!(operation, path, number) !== undefined).length / times
      const slow = (path: string): number => turns.filter(() => disk.delayMs!("sync", path) > 0).length / times
      return [
        failed("sync", "journal/a") - failed("sync", "blocks/a"), failed("read", "blocks/a") - failed("read", "checkpoints/a"),
        slow("journal/a") - slow("checkpoints/a"), slow("blocks/a") - slow("checkpoints/a")
      ] as const
    })
    const weak = ([0.04, 0.08, 0.2, 0.2] as const).map((least, part) => rates.filter((rate) => rate[part]! > least).length)
    for (const count of weak) assert.isAbove(count, 3)
    assert.isBelow(weak.reduce((sum, count) => sum + count, 0), 120)
  })
  it("faults: healed, nothing fails any more, and a seed is the same seed again", () => {
    for (let seed = 0; seed < 15; seed += 1) {
      const { plan, disk, index, trace } = run(seed, "Merciful")
      const again = run(seed, "Merciful")
      assert.deepStrictEqual([trace, [...plan.counts]], [again.trace, [...again.plan.counts]])
      plan.arm(disk, index)
      plan.heal(disk, index)
      const before = JSON.stringify([...plan.counts])
      live(Effect.scoped(Effect.gen(function* () {
        const file = yield* disk.service.open("healed", "create")
        for (let turn = 0; turn < 50; turn += 1) {
          yield* file.write(0, [filled(turn)])
          yield* file.sync
          assert.strictEqual((yield* file.read(0, 1))[0], turn)
        }
        yield* disk.service.syncFolder("")
        yield* index.service.commit([{ _tag: "Put", table: "t", key: Uint8Array.of(1), value: filled(1) }])
      })))
      assert.strictEqual(JSON.stringify([...plan.counts]), before)
    }
  })
})
