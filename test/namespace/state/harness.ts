/** A state on the twins, and a model of its rows beside it. */
import { Effect, Exit, Logger, type Scope } from "effect"
import { fromByteString } from "../../../src/base/bytes.ts"
import { hybridTime } from "../../../src/base/time.ts"
import type { RowChange, RowKey, Stamp, StateError, StateService } from "../../../src/namespace/State.ts"
import { make } from "../../../src/namespace/StateService.ts"
import { Disk } from "../../../src/ports/Disk.ts"
import { KeyValue, type KeyValueService } from "../../../src/ports/KeyValue.ts"
import { MemoryDisk } from "../../../sim/Disk.ts"
import { MemoryKeyValue } from "../../../sim/KeyValue.ts"
import type { Random } from "../../../sim/Random.ts"
import { twinSealer } from "./sealer.ts"

export const rootKey = new Uint8Array(32).fill(9)
export const folder = "checkpoints"
export const everything = ["", "\u0100"] as const

export const stampOf = (sequence: number): Stamp => ({
  sequence, time: sequence === 0 ? 0n : hybridTime(1000 + sequence, 0), wal: { segment: sequence === 0 ? 0 : 1, offset: sequence * 4096 }
})

export type Model = ReadonlyMap<RowKey, string>

/** The rows as a plain list, for comparing. */
export const rowsOf = (state: StateService): ReadonlyArray<readonly [string, string]> =>
  [...state.reader.scan(...everything)].map(([key, value]) => [key, Buffer.from(value).toString("latin1")])

export const rowsOfModel = (model: Model): ReadonlyArray<readonly [string, string]> => [...model].sort(([a], [b]) => (a < b ? -1 : 1))

/** Random commits: keys of a few tables, some removals; values from nothing to inline size. */
export const drawChanges = (random: Random, count: number, keys: number): ReadonlyArray<RowChange> =>
  Array.from({ length: count }, () => {
    const key = `${random.pick(["b", "v", "c"])}${String(random.below(keys)).padStart(6, "0")}\u00ff${random.below(3)}`
    return [key, random.chance(0.25) ? undefined : fromByteString("v".repeat(random.below(random.chance(0.05) ? 4000 : 120)) + random.uint32())] as const
  })

export const applyTo = (model: Model, changes: ReadonlyArray<RowChange>): Model => {
  const next = new Map(model)
  for (const [key, value] of changes) {
    if (value === undefined) next.delete(key)
    else next.set(key, Buffer.from(value).toString("latin1"))
  }
  return next
}

export class Machine {
  disk = new MemoryDisk()
  index = new MemoryKeyValue()
  /** Index operations after which nothing completes any more. */
  indexStopsAfter = Number.MAX_SAFE_INTEGER
  indexOperations = 0
  /** What the journal is said to hold from its beginning. */
  journalHoldsAll: ((upTo: Stamp["wal"]) => boolean) | undefined
  /** From where on the journal is said to be there. */
  journalReaches: ((from: Stamp["wal"]) => boolean) | undefined
  /** After so many deltas a base is due. */
  deltasMax: number | undefined
  /** The next opening throws the index away. */
  rebuild = false

  #indexService(): KeyValueService {
    const { index } = this
    const counted = <A, E>(operation: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.suspend(() => {
        this.indexOperations += 1
        if (this.indexOperations <= this.indexStopsAfter) return operation
        this.disk.stop()
        return Effect.never
      })
    return {
      ...index.service, commit: (changes) => counted(index.service.commit(changes)), flushed: counted(index.service.flushed),
      wipe: counted(index.service.wipe)
    }
  }

  readonly open = (): Effect.Effect<StateService, StateError, Scope.Scope> =>
    Effect.suspend(() => make({
      sealer: twinSealer(), rootKey, folder, rebuild: this.rebuild, ...(this.deltasMax === undefined ? {} : { deltasMax: this.deltasMax }),
      ...(this.journalReaches === undefined ? {} : { journalReaches: this.journalReaches }),
      ...(this.journalHoldsAll === undefined ? {} : { journalHoldsAll: this.journalHoldsAll })
    })).pipe(
      Effect.provideService(Disk, this.disk.service),
      Effect.provideService(KeyValue, this.#indexService()),
      Effect.provide(Logger.layer([]))
    )

  /** Opens, uses and closes. */
  readonly run = <A, E>(use: (state: StateService) => Effect.Effect<A, E>): Promise<A> =>
    Effect.runPromise(Effect.scoped(Effect.flatMap(this.open(), use)))

  readonly exit = <A, E>(use: (state: StateService) => Effect.Effect<A, E>): Promise<Exit.Exit<A, E | StateError>> =>
    Effect.runPromiseExit(Effect.scoped(Effect.flatMap(this.open(), use)))

  /** Opens and uses until done, or until the power is gone: whatever runs then is left where it stands. */
  readonly runUntilStopped = async (use: (state: StateService) => Effect.Effect<void, StateError>): Promise<"done" | "stopped"> => {
    const fiber = Effect.runFork(Effect.scoped(Effect.flatMap(this.open(), use)))
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve))
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) {
        if (Exit.isFailure(exit)) throw new Error(String(exit.cause))
        return "done"
      }
      if (this.disk.stopped) return "stopped"
    }
  }

  /** A power cut: both ports lose what they may lose. */
  crash(random: Random): void {
    this.disk = this.disk.crash(random)
    this.index = this.index.crash(random)
    this.indexStopsAfter = Number.MAX_SAFE_INTEGER
    this.indexOperations = 0
  }

  files(): ReadonlyArray<string> {
    return [...this.disk.contents().keys()].filter((path) => path.startsWith(folder)).map((path) => path.slice(folder.length + 1)).sort()
  }
}
