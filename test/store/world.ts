/**
 * World: one machine's life after life: a disk, an index and time that outlive processes, a store that starts on them
 * with bounds so small that everything happens, clients at work, and a crash between any two disk operations.
 */
import { Cause, Clock, Context, Effect, Exit, Layer, Logger, Scheduler, type Scope } from "effect"
import { fromHex } from "../../src/base/bytes.ts"
import type { StoreId, VaultId } from "../../src/base/ids.ts"
import type { GcPhase } from "../../src/gc.ts"
import { Disk, type DiskService } from "../../src/ports/Disk.ts"
import { Compute } from "../../src/ports/Compute.ts"
import { Entropy, type EntropyService } from "../../src/ports/Entropy.ts"
import { KeyValue } from "../../src/ports/KeyValue.ts"
import { type StoreOptions, storeLayer } from "../../src/node/StoreLayer.ts"
import type { VaultKeys } from "../../src/sealer/VaultKeys.ts"
import type { SettlePhase } from "../../src/settle.ts"
import { SimulatedClock } from "../../sim/Clock.ts"
import { simulatedCompute } from "../../sim/Compute.ts"
import { MemoryDisk } from "../../sim/Disk.ts"
import { seededEntropy } from "../../sim/Entropy.ts"
import { MemoryKeyValue } from "../../sim/KeyValue.ts"
import { type Random, seededRandom } from "../../sim/Random.ts"
import { SimulatedScheduler } from "../../sim/Scheduler.ts"
import { WalRecorder } from "../../sim/WalRecorder.ts"
import type { WalTrace } from "../../spec/WalTrace.ts"
import { Bodies } from "../../sim/workload/Bodies.ts"
import { Oracle } from "../../sim/checker/Oracle.ts"
import { Violation, claim } from "../../sim/Violation.ts"

const storeId = "0102030405060708090a0b0c0d0e0f10" as StoreId
const vaultId = "1112131415161718191a1b1c1d1e1f20" as VaultId
const keys: VaultKeys = { vaultId, generation: 1, master: fromHex("42".repeat(32)) }

/** What a run plants besides crashes. */
export interface Plan {
  /** What the store gets instead of the disk: the disk, and something wrong with it. */
  readonly disk?: (disk: DiskService) => DiskService
  readonly loseWrite?: MemoryDisk["loseWrite"]
  /** Operations may fail at any time: what is wrong with the disk shows now and then. */
  readonly mayFail?: boolean
  /**
   * Births: lives that are killed just after a folder or a checkpoint got its name, then lives that lose their power.
   * Segments: small ones, and power cuts where they come and go. Absent: lives of all kinds.
   */
  readonly style?: "Births" | "Segments"
}

const hangsAfterMs = 1_800_000
/** Time passes while something is under way, but not hours. */
const hurryMsMax = 1000
const stepsMax = 20_000_000

/** Chunks of about 1 KiB, blocks of 16 KiB, segments of 64 KiB; units, pages and manifests are drawn. */
const smallStore: Omit<StoreOptions, "store" | "keys" | "namespace"> = {
  settings: { chunks: { minBytes: 512, averageBytes: 1024, maxBytes: 4096 }, checkpointRows: 60, retentionDays: 1 / 24 / 60 / 6 },
  wal: { idleMs: 700 },
  settle: { blockBytesTarget: 16_384, pollMs: 200, ageMsMax: 3000 },
  checkpoints: { deltasMax: 3 },
  gc: { intervalMs: 4000, graceMs: 3000, staleUploadMs: 0, reserveBytes: 0, compactBytesPerSecond: 65_536 }
}

/** Ids that begin alike, so that blocks share folders as they do in a store that is older than any test's. */
const fewPrefixes = ({ bytes }: EntropyService, mask: number): EntropyService => ({
  bytes: (count) => {
    const drawn = bytes(count)
    if (count > 0) drawn[0]! &= mask
    return drawn
  }
})

const startStore = (options: StoreOptions) => storeLayer(options)
export type Rooms = Layer.Success<ReturnType<typeof startStore>>

type Ended<A> = { readonly _tag: "Done"; readonly exit: Exit.Exit<A, unknown> } | { readonly _tag: "Dead" }

export class World {
  readonly seed: number
  /** Its clients roll back and branch: not those of every seed, so that the stories of seeds.ts stay what they are. */
  readonly historical: boolean
  readonly random: Random
  readonly oracle = new Oracle()
  readonly bodies = new Bodies()
  /** What the journal does in all lives: judged by spec/WalMonitor.ts at the end. */
  readonly journal = new WalRecorder()
  /** All of it, once the last life is over. */
  journalTrace: WalTrace = []
  disk = new MemoryDisk()
  index = new MemoryKeyValue()
  clock = new SimulatedClock(1_700_000_000_000)
  /** Every answer and every recovery, in order: the same for the same seed (P9). */
  readonly trace: Array<string> = []
  readonly logs: Array<string> = []
  /** What happened, by name and how often: rare paths are shown to have run. */
  readonly counts = new Map<string, number>()
  lives = 0
  /** Operations may fail: the disk of this life does. */
  faulty = false
  /** Rot that nobody has met yet: a start or a read may fail of it once, and the start after that is whole again. */
  indexRotten = false
  /** That this life ends with the machine's power, and not with a kill alone. */
  powerCutChance = 1
  /** What the store's housework is doing. */
  phase: SettlePhase = "Idle"
  gcPhase: GcPhase = "Idle"
  #scheduler: SimulatedScheduler
  #hurry = 0
  readonly #sizes: NonNullable<StoreOptions["sizes"]>
  readonly #plan: Plan

  constructor(seed: number, plan: Plan = {}) {
    this.seed = seed
    this.historical = seed % 3 !== 0 && plan.style === undefined
    this.random = seededRandom(seed)
    this.#plan = plan
    this.#sizes = {
      unitBytes: this.random.pick([4096, 8192, 32_768]), inlineBytesMax: 200, blockBytesTarget: 16_384, blockBytesMin: 6000,
      pageEntriesMax: this.random.pick([8, 16, 64]), inlineEntriesMax: this.random.pick([4, 40])
    }
    this.disk.loseWrite = plan.loseWrite
    this.#scheduler = new SimulatedScheduler(this.random.fork())
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }

  note(line: string): void {
    this.trace.push(`${this.disk.operations} ${line}`)
  }

  /** A process begins: it has threads of its own, and the machine's time. */
  begin(): void {
    this.lives += 1
    this.clock = new SimulatedClock(this.clock.nowMs + this.random.below(5000))
    this.#scheduler = new SimulatedScheduler(this.random.fork(), { disorder: this.random.pick([0, 0.1, 0.5]) })
    this.#hurry = this.random.pick([0, 0.002, 0.02, 0.1])
  }

  /** The store, started on this machine in the scope. */
  store(scope: Scope.Scope): Effect.Effect<Context.Context<Rooms>, unknown> {
    const ports = Layer.mergeAll(
      Layer.succeed(Disk, this.#plan.disk?.(this.disk.service) ?? this.disk.service),
      Layer.succeed(KeyValue, this.index.service),
      Layer.succeed(Entropy, fewPrefixes(seededEntropy(this.random.fork()), this.#plan.style === "Births" ? 0 : 3)),
      Layer.succeed(Compute, simulatedCompute())
    )
    const observe = (phase: SettlePhase): void => {
      this.phase = phase
    }
    const segmentBytes = this.#plan.style === "Segments" ? 32 * 1024 : 64 * 1024
    const settings = { ...smallStore.settings, ...(this.#plan.style === "Births" ? { checkpointRows: 20 } : {}) }
    const layer = startStore({
      store: storeId, keys, ...smallStore, sizes: this.#sizes, settings, wal: { ...smallStore.wal, observe: this.journal.observe, observeRecovery: this.journal.observeRecovery, sizes: { segmentBytes, batchBytesMax: segmentBytes / 2 } }, namespace: { applied: this.oracle.applied }, settle: { ...smallStore.settle, observe },
      gc: { ...smallStore.gc, observe: (phase) => void (this.gcPhase = phase) }
    })
    return Layer.buildWithScope(Layer.provide(layer, ports), scope)
  }

  /** Runs an effect and everything beside it until it ends, or the disk has stopped and nothing moves any more. */
  drive<A>(effect: Effect.Effect<A, unknown>): Ended<A> {
    const logger = Logger.make<unknown, void>((options) => {
      this.logs.push(`${this.disk.operations} ${options.logLevel} ${String(options.message)}`)
    })
    const context = Context.mergeAll(
      Context.make(Scheduler.Scheduler, this.#scheduler),
      Context.make(Clock.Clock, this.clock),
      Context.make(Logger.CurrentLoggers, new Set([logger]))
    )
    const fiber = Effect.runForkWith(context)(effect)
    const untilMs = this.clock.nowMs + hangsAfterMs
    for (let steps = 0; steps < stepsMax; steps += 1) {
      if (this.oracle.broken !== undefined) throw this.oracle.broken
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return { _tag: "Done", exit }
      const hurries = this.#hurry > 0 && this.random.chance(this.#hurry) && (this.clock.waitMs ?? hurryMsMax) < hurryMsMax
      if (hurries && this.clock.advance()) continue
      if (this.#scheduler.step()) continue
      if (this.disk.stopped) return { _tag: "Dead" }
      claim(this.clock.nowMs < untilMs, "nothing came to an end for half an hour")
      claim(this.clock.advance(), "nothing moves, and nobody sleeps")
    }
    throw new Violation("safety", `no end after ${stepsMax} steps`)
  }

  /** The process is gone. What survives: the disk as a power cut or SIGKILL leaves it, and some index, or none. */
  die(): void {
    this.#scheduler.powerOff()
    const { random } = this
    const cut = random.chance(this.powerCutChance)
    this.disk = cut ? this.disk.crash(random) : this.disk.kill(random)
    this.journal.died(cut ? "Crash" : "Kill")
    const index = cut ? this.index.crash(random) : this.index.kill()
    const lost = random.chance(0.1)
    this.index = lost ? new MemoryKeyValue() : index
    this.count(cut ? "PowerCut" : "Killed")
    this.count(`DiedWhile${this.phase}`)
    if (this.gcPhase !== "Idle") this.count(`DiedWhile${this.gcPhase}`)
    this.gcPhase = "Idle"
    if (lost) this.count("IndexLost")
    if (lost) this.indexRotten = false
    this.note(cut ? "power cut" : "killed")
  }
}

/** What went wrong, of a run that was not to fail. */
export const causeOf = (exit: Exit.Exit<unknown, unknown>): string => Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "success"
