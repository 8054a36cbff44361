/**
 * NodeMachine: a machine that runs a node, life after life: disk and index outlive its processes, each of which starts
 * what `serve` starts, on the twins of the ports. It sits between a World, which decides when it dies, and startNode.
 */
import { type Cause, Effect, Exit, Scope } from "effect"
import { Meters } from "../src/base/Meters.ts"
import type { Crc64 } from "../src/gateway/s3/Checksums.ts"
import { type RunningNode, startNode } from "../src/node/Node.ts"
import type { StoreOptions } from "../src/node/StoreLayer.ts"
import { simulatedCompute } from "./Compute.ts"
import { MemoryDisk } from "./Disk.ts"
import { seededEntropy } from "./Entropy.ts"
import { SimulatedHttp } from "./HttpListener.ts"
import { MemoryKeyValue } from "./KeyValue.ts"
import type { Ending } from "./faults/CrashPlan.ts"
import { Machine } from "./Machine.ts"
import type { NodeTraits } from "./NodeTraits.ts"
import { twinsLayer } from "./Ports.ts"
import type { Random } from "./Random.ts"
import type { Pace } from "./Scheduler.ts"
import type { Timeline } from "./Timeline.ts"

/** More than the least that a version's row takes: its pages are still to be staged. */
const chunksOpenMin = 4

/** Where the code says that it is: at a request's span; at a probe or a phase of its housework; with several chunks in the journal that no commit names. */
export type Place = "Request" | "Housework" | "Journal"

/** What befalls its kernels and its fibers. */
export interface Harm {
  readonly computeFault: (kernel: string) => string | undefined
  /** How long a fiber that could go on is kept waiting, mostly 0. */
  readonly lateUs: () => number
  /** How long whoever is at a place that has a name waits there. */
  readonly lingerUs: (place: Place) => number
  /** How a fiber goes that is seen for the first time; undefined: as all do. */
  readonly paceOf: (() => Pace | undefined) | undefined
}

/** What a node's owner hears of it. */
export interface NodeEvents {
  /** A process is about to begin, on the disk and the index that it will find. */
  readonly begins: (node: NodeMachine) => void
  readonly log: ConstructorParameters<typeof Machine>[3]
  readonly applied: NonNullable<NonNullable<StoreOptions["namespace"]>["applied"]>
  /** Eyes of the journal. */
  readonly journal: Partial<NonNullable<StoreOptions["wal"]>>
  readonly died: (ending: Ending) => void
  readonly ready: () => void
  /** The process ended by itself: it could not start. */
  readonly failed: (cause: Cause.Cause<unknown>) => void
  readonly harm: Harm
}

export class NodeMachine {
  readonly machine: Machine
  readonly traits: NodeTraits
  disk = new MemoryDisk()
  index = new MemoryKeyValue()
  /** Why the index's file cannot be opened at the next start, which begins an empty one. */
  indexDamage: string | undefined
  http: SimulatedHttp | undefined
  /** Once it serves. */
  running: RunningNode | undefined
  lives = 0
  /** How far off its wall clock was when the present life began. */
  startedOffMs = 0
  /** And when it was ready. */
  readyOffMs = 0
  readonly #random: Random
  readonly #crc64: Crc64
  readonly #events: NodeEvents
  #scope: Scope.Closeable | undefined

  constructor(timeline: Timeline, traits: NodeTraits, random: Random, crc64: Crc64, events: NodeEvents) {
    this.traits = traits
    this.#random = random
    this.#crc64 = crc64
    this.#events = events
    const { harm } = events
    this.machine = new Machine(timeline, { ...traits.machine, lateUs: () => harm.lateUs(), named: () => this.#linger("Request"), ...(harm.paceOf === undefined ? {} : { paceOf: harm.paceOf }) }, random.fork(), events.log, traits.settings.logLevel)
    this.machine.powerOff()
  }

  get isOn(): boolean {
    return this.machine.isOn
  }

  /** As adapters/Lmdb does at an opening, where an earlier run met a page that could not be read. */
  #throwIndexAway(): void {
    this.index = new MemoryKeyValue()
    this.indexDamage = "a page could not be read"
  }

  /** A process begins. */
  start(): void {
    this.lives += 1
    this.startedOffMs = this.traits.machine.clock.offsetMs
    this.machine.powerOn()
    if (this.index.isFoundDamaged) this.#throwIndexAway()
    this.#events.begins(this)
    const { processor } = this.machine
    const { traits } = this
    const http = new SimulatedHttp(processor)
    const random = this.#random.fork()
    const took = ([least, more]: readonly [number, number]): number => least + random.below(more)
    const scope = Scope.makeUnsafe()
    const twins = twinsLayer({
      disk: this.disk.service,
      entropy: seededEntropy(this.#random.fork()),
      http: http.service,
      compute: simulatedCompute(traits.lanes, (kernel) => this.#events.harm.computeFault(kernel), () => processor.delay(took(traits.kernelUs))),
      index: { service: this.index.service, damage: this.indexDamage },
      memory: () => ({ residentBytes: 0, limitBytes: 1 << 28 })
    })
    this.indexDamage = undefined
    this.http = http
    this.#scope = scope
    const store = {
      ...traits.store, get: traits.get, wal: { ...traits.store.wal, ...this.#events.journal }, namespace: { applied: this.#events.applied },
      settle: { ...traits.store.settle, observe: this.place }, gc: { ...traits.store.gc, observe: this.place }
    }
    const started = startNode(traits.settings, { serveS3: true, store, crc64: this.#crc64 }, new Meters()).pipe(
      Effect.provide(twins), Scope.provide(scope)
    )
    const { life } = processor
    this.machine.fork(started).addObserver((exit) => {
      if (!life.isOn) return
      if (Exit.isFailure(exit)) return this.#events.failed(exit.cause)
      this.running = exit.value
      this.readyOffMs = this.traits.machine.clock.offsetMs
      this.#events.ready()
    })
  }

  /** A probe, or a phase of its housework. */
  readonly place = (): void => this.#linger("Housework")

  /** Whoever runs has put so many chunks into the journal: where they are several, their pages come after them. */
  readonly appended = (chunks: number): void => this.#linger(chunks >= chunksOpenMin ? "Journal" : "Request")

  #linger(place: Place): void {
    const us = this.#events.harm.lingerUs(place)
    if (us > 0) this.machine.processor.halt(us)
  }

  /** What runs on the node's own machine, beside its rooms. */
  run<A, E>(effect: Effect.Effect<A, E>, done: (exit: Exit.Exit<A, E>) => void): void {
    const { life } = this.machine.processor
    this.machine.fork(effect).addObserver((exit) => {
      if (life.isOn) done(exit)
    })
  }

  /** As SIGTERM does; `done` once everything is closed and the process gone. */
  stop(done: () => void): void {
    const scope = this.#scope
    if (scope === undefined) return done()
    this.running?.stopping()
    this.running = undefined
    this.run(Scope.close(scope, Exit.void), (exit) => {
      if (Exit.isFailure(exit)) this.#events.failed(exit.cause)
      this.#end("stopped")
      const { random } = this.machine
      this.disk = this.disk.kill(random)
      this.index = this.index.kill()
      this.#events.died("Stop")
      done()
    })
  }

  /** SIGKILL: the page cache survives. */
  kill(): void {
    this.#end("killed")
    this.disk = this.disk.kill(this.#random)
    this.index = this.index.kill()
    this.#events.died("Kill")
  }

  powerCut(): void {
    this.#end("power cut")
    this.disk = this.disk.crash(this.#random)
    this.index = this.index.crash(this.#random)
    this.#events.died("PowerCut")
  }

  #end(why: string): void {
    this.machine.powerOff()
    this.http?.cutAll(why)
    this.http = undefined
    this.running = undefined
    this.#scope = undefined
  }
}
