/**
 * Run: one seed's story: lives of a store on one machine, each ended by a crash between any two disk operations, a crash
 * in recovery, a failing disk or a clean stop; after every start everything that was acknowledged must be there.
 */
import { Context, Effect, Exit, Scope } from "effect"
import type { MemoryDisk } from "../../sim/Disk.ts"
import type { Random } from "../../sim/Random.ts"
import { clientsAtWork } from "./clients.ts"
import { Broken, claim } from "./Oracle.ts"
import { checkAll } from "./reads.ts"
import { causeOf, type Plan, type Rooms, World } from "./world.ts"

const faultOf = (random: Random, probability: number): MemoryDisk["fault"] => (operation) => {
  if (!random.chance(probability)) return undefined
  if (operation === "sync") return random.pick(["DroppedSync", "DroppedSync", "Io"] as const)
  return random.pick(operation === "write" || operation === "open" ? ["Io", "NoSpace"] as const : ["Io"] as const)
}

const turningPoints = ["makeFolder", "rename", "remove", "syncFolder", "sync", "open"] as const

/** Stops the disk just before or just after the n-th operation of one kind: where names and bytes change hands. */
const stopAtTurn = (disk: MemoryDisk, random: Random, fault: MemoryDisk["fault"]): MemoryDisk["fault"] => {
  const kind = random.pick(turningPoints)
  const after = random.below(3)
  let left = 1 + random.below(random.pick([2, 6, 20]))
  return (operation, path, number) => {
    if (operation === kind) left -= 1
    if (operation === kind && left === 0) disk.stopAfter(number + after - 1)
    return fault?.(operation, path, number)
  }
}

/** How many disk operations of this life complete. Most crashes fall into the work, some into recovery. */
const operationsOf = (random: Random): number => {
  const draw = random.below(10)
  if (draw < 3) return random.below(40)
  if (draw < 7) return random.below(400)
  return random.below(2000)
}

/** One process: starts, shows everything, works, and ends somehow. */
const life = (world: World, last: boolean): "Crashed" | "CrashedInRecovery" | "Stopped" => {
  const { random } = world
  world.begin()
  world.faulty = false
  const crash = last ? "No" : random.pick(["Anywhere", "Anywhere", "AtTurn", "AtTurn", "No"] as const)
  if (crash === "Anywhere") world.disk.stopAfter(world.disk.operations + operationsOf(random))
  const noFault = crash === "AtTurn" ? stopAtTurn(world.disk, random.fork(), undefined) : undefined
  world.disk.fault = noFault
  let serving = false
  const faults = random.chance(0.25) ? random.pick([0.005, 0.03, 0.1]) : 0
  const points = last ? 60 : 8
  const scope = Scope.makeUnsafe()
  const program = Effect.gen(function*() {
    const rooms: Context.Context<Rooms> = yield* world.store(scope)
    serving = true
    world.note(`started at ${world.oracle.head}`)
    yield* Effect.provide(checkAll(world, random.fork(), points), rooms)
    if (!last) {
      world.faulty = faults > 0
      const fault = faults > 0 ? faultOf(random.fork(), faults) : undefined
      if (fault !== undefined) world.disk.fault = crash === "AtTurn" ? stopAtTurn(world.disk, random.fork(), fault) : fault
      yield* Effect.provide(clientsAtWork(world, 4 + random.below(12)), rooms)
      world.disk.fault = noFault
    }
    world.note("stops")
    yield* Scope.close(scope, Exit.void)
  })
  const ended = world.drive(program)
  world.disk.fault = undefined
  if (ended._tag === "Dead") return serving ? "Crashed" : "CrashedInRecovery"
  if (Exit.isFailure(ended.exit)) throw new Broken(`${serving ? "while it served" : "at the start"}: ${causeOf(ended.exit)}`)
  claim(!world.disk.stopped || !last, "the last life ends by itself")
  return "Stopped"
}

export class SeedFailed extends Error {
  override readonly name = "SeedFailed"
}

/** How to see one seed again. */
export const replayOf = (seed: number): string => `OUROBOROS_SEED=${seed} npx vitest run test/store/property.test.ts`

/** Lives through a seed; throws SeedFailed with the story and the command that tells it again. */
export const runSeed = (seed: number, plan: Plan = {}): World => {
  const world = new World(seed, plan)
  try {
    const lives = 2 + world.random.below(5)
    for (let number = 1; number <= lives; number += 1) {
      const last = number === lives
      const end = life(world, last)
      world.note(end)
      if (end === "CrashedInRecovery") world.operations.crashedInRecovery += 1
      if (!last) world.die()
    }
    return world
  } catch (error) {
    const why = error instanceof Error ? error.stack ?? error.message : String(error)
    const logs = world.logs.slice(-12).map((line) => `  log ${line}`)
    const story = [...world.trace.slice(-12).map((line) => `  ${line}`), ...logs]
    throw new SeedFailed(`seed ${seed}, life ${world.operations.lives}: ${why}\n${story.join("\n")}\nagain: ${replayOf(seed)}`)
  }
}
