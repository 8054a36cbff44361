/** A whole store on twins, for tests: the same composition as a node's, with bounds so small that everything happens. */
import { Clock, Context, Effect, Exit, type Fiber, Layer, Logger, Scope } from "effect"
import { fromHex, concatBytes } from "../../src/base/bytes.ts"
import type { BucketId, StoreId, VaultId } from "../../src/base/ids.ts"
import type { Body } from "../../src/ports/Body.ts"
import { BodyError } from "../../src/ports/Body.ts"
import { Compute, type ComputeService } from "../../src/ports/Compute.ts"
import { Entropy } from "../../src/ports/Entropy.ts"
import { Disk } from "../../src/ports/Disk.ts"
import { KeyValue } from "../../src/ports/KeyValue.ts"
import { type StoreOptions, storeLayer } from "../../src/node/StoreLayer.ts"
import type { VaultKeys } from "../../src/sealer/VaultKeys.ts"
import { MemoryDisk } from "../../sim/Disk.ts"
import { seededEntropy } from "../../sim/Entropy.ts"
import { MemoryKeyValue } from "../../sim/KeyValue.ts"
import { type Random, seededRandom } from "../../sim/Random.ts"

export const storeId = "0102030405060708090a0b0c0d0e0f10" as StoreId
export const vaultId = "1112131415161718191a1b1c1d1e1f20" as VaultId
export const bucketId = "2122232425262728292a2b2c2d2e2f30" as BucketId
export const keys: VaultKeys = { vaultId, generation: 1, master: fromHex("42".repeat(32)) }

/** Kernels inline; what is transferred is taken away from the caller, as a lane would. */
export const inlineCompute: ComputeService = {
  lanes: 2,
  run: (kernel, input) =>
    Effect.suspend(() => {
      const transfer = [...kernel.transfersIn(input)]
      return Effect.andThen(Effect.yieldNow, Effect.sync(() => kernel.run(structuredClone(input, { transfer }))))
    })
}

/** Chunks of about 1 KiB, units of 4 KiB, blocks of 16 KiB, pages of 16 entries. */
export const tiny: Pick<StoreOptions, "settings" | "sizes" | "wal" | "settle"> = {
  settings: { chunks: { minBytes: 512, averageBytes: 1024, maxBytes: 4096 } },
  sizes: { unitBytes: 4096, inlineBytesMax: 200, blockBytesTarget: 16_384, pageEntriesMax: 16, inlineEntriesMax: 4 },
  wal: { sizes: { segmentBytes: 48 * 1024, batchBytesMax: 24 * 1024 }, idleMs: 3_600_000 },
  settle: { blockBytesTarget: 16_384, pollMs: 3_600_000 }
}

export interface Machine {
  readonly disk: MemoryDisk
  readonly index: MemoryKeyValue
  readonly random: Random
}

export const newMachine = (seed: number): Machine => ({ disk: new MemoryDisk(), index: new MemoryKeyValue(), random: seededRandom(seed) })

const portsOf = (machine: Machine) =>
  Layer.mergeAll(
    Layer.succeed(Disk, machine.disk.service),
    Layer.succeed(KeyValue, machine.index.service),
    Layer.succeed(Entropy, seededEntropy(machine.random)),
    Layer.succeed(Compute, inlineCompute),
    Logger.layer([])
  )

export const storeOn = (machine: Machine, options: Partial<StoreOptions> = {}) =>
  storeLayer({ store: storeId, keys, ...tiny, ...options }).pipe(Layer.provideMerge(portsOf(machine)))

export type Rooms = Layer.Success<ReturnType<typeof storeOn>>

/** Runs a program on a store that starts, and stops cleanly at its end. */
export const withStore = <A, E>(
  machine: Machine, program: Effect.Effect<A, E, Rooms | Scope.Scope>, options: Partial<StoreOptions> = {}, clock?: Clock.Clock
): Promise<A> => {
  const run = Effect.scoped(Effect.provide(program, storeOn(machine, options))) as Effect.Effect<A>
  return Effect.runPromise(clock === undefined ? run : Effect.provideService(run, Clock.Clock, clock))
}

/** Once it has ended, how; undefined where the disk has stopped and nothing moves any more. */
export const restOf = async <A, E>({ disk }: Machine, fiber: Fiber.Fiber<A, E>): Promise<Exit.Exit<A, E> | undefined> => {
  for (let quiet = 0, before = -1; fiber.pollUnsafe() === undefined && quiet < 40;) {
    await new Promise((resolve) => setImmediate(resolve))
    quiet = disk.stopped && disk.operations === before ? quiet + 1 : 0
    before = disk.operations
  }
  return fiber.pollUnsafe()
}

/** Runs a program until it ends or the disk stops; what was running then is left hanging, as after a power cut. */
export const untilDead = async <E>(
  machine: Machine, program: Effect.Effect<void, E, Rooms | Scope.Scope>, options: Partial<StoreOptions> = {}
): Promise<"Ended" | "Died"> => {
  const scope = Scope.makeUnsafe()
  const run = Effect.gen(function*() {
    const context = yield* Layer.buildWithScope(storeOn(machine, options), scope)
    yield* Effect.provide(program, Context.merge(context, Context.make(Scope.Scope, scope)))
  })
  const fiber = Effect.runFork(run as Effect.Effect<void>)
  const exit = await restOf(machine, fiber)
  if (exit !== undefined && Exit.isFailure(exit) && !machine.disk.stopped) throw new Error(String(exit.cause))
  return machine.disk.stopped ? "Died" : "Ended"
}

/** A body of these bytes in pulls of random size. */
export const bodyOf = (bytes: Uint8Array, random: Random = seededRandom(1), pullMax = 3000): Body => {
  let at = 0
  return {
    sizeBytes: bytes.length,
    next: Effect.sync(() => {
      if (at === bytes.length) return undefined
      const taken = bytes.slice(at, at + 1 + random.below(pullMax))
      at += taken.length
      return taken
    })
  }
}

/** A body that breaks off after some bytes. */
export const brokenBody = (bytes: Uint8Array): Body => {
  let done = false
  return {
    sizeBytes: bytes.length + 1,
    next: Effect.suspend((): Effect.Effect<Uint8Array | undefined, BodyError> => {
      if (done) return Effect.fail(new BodyError({ reason: "Aborted", detail: "the client went away" }))
      done = true
      return Effect.succeed(bytes.slice())
    })
  }
}

export const readAll = (body: Body): Effect.Effect<Uint8Array, BodyError> =>
  Effect.gen(function*() {
    const parts: Array<Uint8Array> = []
    for (let bytes = yield* body.next; bytes !== undefined; bytes = yield* body.next) {
      if (bytes.length === 0) throw new Error("a body gives no empty bytes")
      parts.push(bytes)
    }
    return concatBytes(parts)
  })
