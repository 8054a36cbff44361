/** Garbage: a store collects everything, and is looked at again. Sits between a run's last life and sim/checker/Garbage. */
import { Effect } from "effect"
import type { Random } from "../../sim/Random.ts"
import { collect } from "../../sim/checker/Garbage.ts"
import { checkAll } from "./reads.ts"
import type { World } from "./world.ts"

/** Collects to the end on a machine that does not fail, and looks at everything again. */
export const collectAll = (world: World, random: Random) =>
  Effect.gen(function*() {
    if (world.faulty || world.disk.stopped) return
    yield* collect
    world.note("collected")
    yield* checkAll(world, random, 20)
  })
