/**
 * Run: one seed's story: lives of a store on one machine, each ended by a crash between any two disk operations, a crash
 * in recovery, a failing disk or a clean stop; after every start everything that was acknowledged must be there.
 */
import { Cause, type Context, Effect, Exit, Scope } from "effect"
import type { KeyValueChange } from "../../src/ports/KeyValue.ts"
import type { MemoryDisk } from "../../sim/Disk.ts"
import type { Random } from "../../sim/Random.ts"
import { judge } from "../../spec/WalMonitor.ts"
import { clientsAtWork } from "./clients.ts"
import { Violation, claim } from "../../sim/Violation.ts"
import { collectAll } from "./garbage.ts"
import { checkAll } from "./reads.ts"
import { causeOf, type Plan, type Rooms, World } from "./world.ts"

const faultOf = (random: Random, probability: number): MemoryDisk["fault"] => (operation) => {
  if (!random.chance(probability)) return undefined
  if (operation === "sync") return random.pick(["DroppedSync", "DroppedSync", "Io"] as const)
  return random.pick(operation === "write" || operation === "open" ? ["Io", "NoSpace"] as const : ["Io"] as const)
}

type Turn = Parameters<NonNullable<MemoryDisk["fault"]>>[0]
const turningPoints: ReadonlyArray<Turn> = ["makeFolder", "rename", "remove", "syncFolder", "sync", "open"]

/** Stops the disk around the n-th operation of a kind, where names and bytes change hands: `after` more complete. */
const stopAtTurn = (disk: MemoryDisk, kind: Turn, nth: number, after: number, prefix = ""): MemoryDisk["fault"] => {
  let left = nth
  return (operation, path, number) => {
    const isTurn = operation === kind && path.startsWith(prefix)
    if (isTurn) left -= 1
    if (isTurn && left === 0) disk.stopAfter(number + after)
    return undefined
  }
}

/** How one life is to end, unless it ends before. */
interface Fate {
  readonly hook: MemoryDisk["fault"]
  readonly powerCutChance: number
}

const fateOf = (world: World, plan: Plan, number: number): Fate => {
  const { disk, random } = world
  if (plan.style === "Births") {
    if (number % 2 === 1) {
      // The fourth folder is the first one for blocks.
      const hook = random.chance(0.5) ? stopAtTurn(disk, "makeFolder", random.pick([1, 2, 3, 4, 4, 4]), 0) : stopAtTurn(disk, "rename", 1, 0)
      return { hook, powerCutChance: 0.1 }
    }
    disk.stopAfter(disk.operations + 20 + random.below(random.pick([40, 300])))
    return { hook: undefined, powerCutChance: 1 }
  }
  if (plan.style === "Segments") {
    const kind = random.pick(["open", "remove"] as const)
    return { hook: stopAtTurn(disk, kind, 1 + random.below(6), 1 + random.below(6), "journal/"), powerCutChance: 1 }
  }
  const draw = random.below(5)
  if (draw < 2) disk.stopAfter(disk.operations + operationsOf(random))
  const hook = draw === 2 || draw === 3
    ? stopAtTurn(disk, random.pick(turningPoints), 1 + random.below(random.pick([2, 6, 20])), random.below(3) - 1) : undefined
  return { hook, powerCutChance: 0.7 }
}

/** How many disk operations of this life complete. Most crashes fall into the work, some into recovery. */
const operationsOf = (random: Random): number => {
  const draw = random.below(10)
  if (draw < 3) return random.below(40)
  if (draw < 7) return random.below(400)
  return random.below(2000)
}

type Ending = "Crashed" | "CrashedInRecovery" | "Stopped" | "IndexDamaged"

/** Some bytes of the index rot while nobody runs. Its pages have no checksums, so every value checks itself (R8). */
const rotIndex = (world: World) =>
  Effect.suspend(() => {
    const { random } = world
    const changes: Array<KeyValueChange> = []
    for (const [table, key, value] of world.index.entries()) {
      if (value.length === 0 || !random.chance(0.2)) continue
      const rotten = value.slice()
      const at = random.below(rotten.length)
      rotten[at] = rotten[at]! ^ (1 + random.below(255))
      changes.push({ _tag: "Put", table, key, value: rotten })
    }
    world.note(`${changes.length} values of the index rot`)
    world.indexRotten = true
    return Effect.andThen(world.index.service.commit(changes), world.index.service.flushed)
  })

/** One process: starts, shows everything, works, and ends somehow. */
const life = (world: World, plan: Plan, number: number, last: boolean): Ending => {
  const { random } = world
  world.begin()
  world.faulty = plan.mayFail === true
  const fate: Fate = last ? { hook: undefined, powerCutChance: 1 } : fateOf(world, plan, number)
  world.powerCutChance = fate.powerCutChance
  world.disk.fault = fate.hook
  let serving = false
  const faults = plan.style === undefined && random.chance(0.35) ? random.pick([0.005, 0.03, 0.1]) : 0
  const rots = !last && plan.style === undefined && random.chance(0.15)
  const points = last ? 60 : 8
  const scope = Scope.makeUnsafe()
  const program = Effect.gen(function*() {
    if (rots) yield* rotIndex(world)
    const rooms: Context.Context<Rooms> = yield* world.store(scope)
    serving = true
    world.note(`started at ${world.oracle.head}`)
    yield* Effect.provide(checkAll(world, random.fork(), points), rooms)
    if (!last) {
      world.faulty ||= faults > 0
      if (faults > 0) world.disk.fault = faultOf(random.fork(), faults)
      yield* Effect.provide(clientsAtWork(world, 4 + random.below(12)), rooms)
      if (faults > 0) world.disk.fault = undefined
    }
    if (last) yield* Effect.provide(collectAll(world, random.fork()), rooms)
    world.note("stops")
    yield* Scope.close(scope, Exit.void)
  })
  const ended = world.drive(program)
  world.disk.fault = undefined
  if (ended._tag === "Dead") return serving ? "Crashed" : "CrashedInRecovery"
  // A damaged node shows when it is read; the index is marked then, and rebuilt by the next start.
  if (world.indexRotten && Exit.isFailure(ended.exit) && /state: Index/.test(causeOf(ended.exit))) {
    claim(serving || !Cause.hasDies(ended.exit.cause), "a start that meets a damaged index fails, and is no defect")
    world.drive(Effect.sleep(1000))
    world.indexRotten = false
    return "IndexDamaged"
  }
  if (Exit.isFailure(ended.exit)) throw new Violation("safety", `${serving ? "while it served" : "at the start"}: ${causeOf(ended.exit)}`)
  claim(!world.disk.stopped || !last, "the last life ends by itself")
  return "Stopped"
}

export class SeedFailed extends Error {
  override readonly name = "SeedFailed"
}

/** How to see one seed again. */
export const replayOf = (seed: number, { style }: Plan): string =>
  `OUROBOROS_SEED=${seed} ${style === undefined ? "" : `OUROBOROS_STYLE=${style} `}npx vitest run test/store/property.test.ts`

/** The last life ended by itself; whatever the journal did in any of them must be what tla/wal allows. */
const judgeJournal = (world: World): void => {
  world.journal.died("Kill")
  world.journalTrace = world.journal.finish()
  const verdict = judge(world.journalTrace)
  if (verdict._tag === "Refused") throw new Violation("safety", `the journal's step ${verdict.index} is refused: ${verdict.why}`)
}

/** Lives through a seed; throws SeedFailed with the story and the command that tells it again. */
export const runSeed = (seed: number, plan: Plan = {}): World => {
  const world = new World(seed, plan)
  try {
    const lives = 2 + world.random.below(5)
    for (let number = 1; number <= lives; number += 1) {
      const last = number === lives
      const end = life(world, plan, number, last)
      world.note(end)
      world.count(end)
      if (!last) world.die()
    }
    judgeJournal(world)
    return world
  } catch (error) {
    const why = error instanceof Error ? error.stack ?? error.message : String(error)
    const logs = world.logs.slice(-12).map((line) => `  log ${line}`)
    const story = [...world.trace.slice(-12).map((line) => `  ${line}`), ...logs]
    throw new SeedFailed(`seed ${seed}, life ${world.lives}: ${why}\n${story.join("\n")}\nagain: ${replayOf(seed, plan)}`)
  }
}
