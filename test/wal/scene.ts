/** What the journal's tests share: a journal on the Disk twin, records that can be told apart, a world that stops. */
import { Context, Effect, Exit, type Fiber, Layer, References, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { RestartId, StoreId } from "../../src/base/ids.ts"
import type { WalSizes } from "../../src/wal/Wal.ts"
import { invariants } from "../../src/wal/WalInvariants.ts"
import type { WalPlace, WalRecord } from "../../src/wal/WalRecord.ts"
import { layer, Wal, type WalInterface, type WalOptions } from "../../src/wal/WalService.ts"
import type { MemoryDisk } from "../../sim/Disk.ts"

export const storeId = "5e".repeat(16) as StoreId
export const restartId = (run: number): RestartId => run.toString(16).padStart(32, "0") as RestartId

/** Small segments, so that tests cross their ends. */
export const smallSizes: WalSizes = { segmentBytes: 64 * 1024, batchBytesMax: 32 * 1024 }

export const segmentPath = (segment: number): string => `wal/${String(segment).padStart(8, "0")}.seg`

export interface Running {
  readonly wal: WalInterface
  readonly stop: Effect.Effect<void>
}

/** Starts a journal; the clock stands still unless the test moves it. */
export const startWal = (disk: MemoryDisk, run: number, options: Partial<WalOptions> = {}) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const built = layer({ folder: "wal", storeId, restartId: restartId(run), sizes: smallSizes, observe: invariants, ...options })
    const context = yield* Layer.buildWithScope(Layer.provide(built, disk.layer), scope)
    const running: Running = { wal: Context.get(context, Wal), stop: Scope.close(scope, Exit.void) }
    return running
  })

/** A clock that stands still, and no log: tests read statuses and transcripts. */
export const quietClock = Layer.mergeAll(
  TestClock.layer({ warningDelay: "1 day" }),
  Layer.succeed(References.MinimumLogLevel, "None")
)

export const onTestClock = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.provide(effect, quietClock)

/** A record that carries its id: told from every other, and whole or not. */
export const recordOf = (id: number, bytes: number, kind: WalRecord["kind"] = id % 3 === 0 ? "Commit" : "Chunk"): WalRecord => {
  const payload = new Uint8Array(Math.max(8, bytes))
  for (let index = 0; index < payload.length; index++) payload[index] = (id * 31 + index * 7) & 255
  new DataView(payload.buffer).setUint32(0, id)
  new DataView(payload.buffer).setUint32(4, payload.length)
  return { kind, payload }
}

export const idOfPayload = (payload: Uint8Array): number =>
  new DataView(payload.buffer, payload.byteOffset).getUint32(0)

/** What a journal replays from a place on: ids in order. */
export const replayIds = (wal: WalInterface, from?: WalPlace) =>
  Effect.gen(function*() {
    const ids: Array<number> = []
    yield* wal.replay(from, ({ payload }) => Effect.sync(() => void ids.push(idOfPayload(payload))))
    return ids
  })

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Runs the effect until it ends or the disk stops for good; whatever hangs then is left hanging, as in a power cut. */
export const untilStopped = async <A, E>(
  disk: MemoryDisk,
  effect: Effect.Effect<A, E>,
  fork: (effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E> = (forked) => Effect.runFork(onTestClock(forked))
): Promise<Exit.Exit<A, E> | undefined> => {
  const fiber = fork(effect)
  while (fiber.pollUnsafe() === undefined && !disk.stopped) await turn()
  for (let turns = 0; fiber.pollUnsafe() === undefined && turns < 5; turns++) await turn()
  return fiber.pollUnsafe()
}

export const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(onTestClock(effect))
