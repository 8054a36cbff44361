/**
 * World: one seed's story: a node on a simulated machine, workloads at work beside faults and crashes, then the healed end:
 * faults off, the node ready within a bound, what the workloads insist on, and the whole store at rest.
 *
 * Everything happens in `run`, in one go: no promise, no timer, nothing that is not on the timeline.
 */
import { Cause, Effect, Exit, type Fiber } from "effect"
import { listenToProbes } from "../src/base/probes.ts"
import type { AtRest, Checker } from "./checker/Checker.ts"
import { checkedWorld, journalEyes } from "./CheckedWorld.ts"
import { isSound, type Outcome, type Request, type SimulatedClient } from "./Client.ts"
import { makeClient } from "./ClientConnection.ts"
import { CrashPlan, type Ending } from "./faults/CrashPlan.ts"
import { Strikes } from "./faults/Strikes.ts"
import { lingersUsMost, WorldFaults } from "./faults/WorldFaults.ts"
import { MemoryKeyValue } from "./KeyValue.ts"
import { Lulls } from "./Lulls.ts"
import { Machine } from "./Machine.ts"
import { NodeMachine } from "./NodeMachine.ts"
import { drawTraits, isFleeting } from "./NodeTraits.ts"
import { operationsOf, type Profile, profiles } from "./Profile.ts"
import { type Random, seededRandom } from "./Random.ts"
import { underStandIns } from "./StandIns.ts"
import { Supervisor } from "./Supervisor.ts"
import { Timeline } from "./Timeline.ts"
import { Trace } from "./Trace.ts"
import { DamagedStarts, isIndexDamage, violationOf } from "./Failure.ts"
import { Violation } from "./Violation.ts"
import { sharesOf, type Workload, type WorkloadContext } from "./workload/Workload.ts"
import type { WorldOptions, WorldReport } from "./WorldReport.ts"

export type { WorldReport } from "./WorldReport.ts"

/** Of simulated time, for each part of a world's life. */
const minuteUs = 60_000_000
const setupUsMax = 30 * minuteUs
const workUsMax = 24 * 60 * minuteUs
const readyUsMax = 5 * minuteUs
const checkUsMax = 120 * minuteUs
/** A world that has no end by then is stuck in a circle that takes no time. */
const eventsMax = 50_000_000

interface AtWork {
  readonly workload: Workload
  readonly context: WorkloadContext
}

class World {
  readonly #options: WorldOptions
  readonly #profile: Profile
  /** Requests that the workloads share. */
  readonly #share: number
  readonly #random: Random
  readonly #timeline = new Timeline()
  readonly #trace: Trace
  readonly #clients: Machine
  readonly #node: NodeMachine
  readonly #supervisor: Supervisor
  readonly #faults: WorldFaults
  readonly #strikes: Strikes
  readonly #checkers: ReadonlyArray<Checker>
  readonly #workloads: ReadonlyArray<AtWork>
  readonly #probes = new Map<string, number>()
  /** Requests that were sent, and those of them that were answered or may have been: a refused connection is no operation. */
  #requests = 0
  #operations = 0
  /** Of requests under way, as the trace names them. */
  readonly #numbers = new WeakMap<Request, number>()
  #violation: Violation | undefined
  #isHarmed = false
  readonly #damagedStarts = new DamagedStarts()
  /** Why the last start failed, where it says what was harmed for good. */
  #refusal: string | undefined

  constructor(options: WorldOptions) {
    this.#options = options
    const profile = profiles[options.profile]
    const operations = operationsOf(profile.name, options.workloads.length)
    this.#profile = profile
    this.#share = Math.min(operations, options.operations ?? operations)
    this.#strikes = new Strikes(options.strikes)
    this.#trace = new Trace(options.keepsTrace ?? false)
    const random = seededRandom(options.seed)
    this.#random = random
    const traits = drawTraits(random.fork(), profile.name)
    this.#checkers = options.checkers.map((make) => make())
    this.#faults = new WorldFaults(random.fork(), this.#timeline, this.#strikes, { merciless: options.merciless ?? false, isFleeting: isFleeting(traits) })
    this.#faults.struck = (what) => this.#supervisor.struck(what)
    this.#clients = new Machine(this.#timeline, { clock: { offsetMs: 0, drift: 0 }, disorder: 0, taskUs: 0, epochMs: traits.machine.epochMs },
      random.fork(), () => undefined, "None")
    this.#supervisor = new Supervisor(this.#timeline, random.fork(), {
      note: (line) => this.#note(line),
      strikes: (ending) => this.#strikes.allows(ending),
      startFailed: (cause) => this.#startFailed(cause),
      crashed: (ending, wasReady) => this.#faults.saw(wasReady ? ending : `${ending}InRecovery`),
      between: (ending) => this.#between(ending)
    })
    this.#node = new NodeMachine(this.#timeline, traits, random.fork(), options.crc64, {
      begins: (node) => this.#faults.arm(node, (operation, path) => this.#supervisor.diskOperation(operation, path)),
      log: (event) => this.#logged(String(event.message), event.logLevel, event.cause),
      applied: (entry, answer) => this.#guarded(() => {
        for (const checker of this.#checkers) checker.applied?.(entry, answer)
      }),
      journal: journalEyes(this.#checkers, (chunks) => this.#node.appended(chunks)),
      died: (ending) => this.#guarded(() => {
        for (const checker of this.#checkers) checker.died?.(ending)
        if (ending === "Stop" && !this.#faults.counts.has("IndexFailed")) this.#damagedStarts.closed(this.#node.lives, this.#node.index)
      }),
      ready: () => {
        this.#refusal = undefined
        this.#damagedStarts.clear()
        this.#supervisor.ready()
      },
      failed: (cause) => this.#supervisor.failed(cause),
      harm: this.#faults
    })
    this.#supervisor.mind(this.#node)
    for (const checker of this.#checkers) checker.begin?.(checkedWorld(this.#node, this.#timeline, this.#faults))
    this.#workloads = this.#makeWorkloads()
  }

  run(): WorldReport {
    listenToProbes((name) => {
      this.#node.place()
      this.#probe(name)
    })
    try {
      this.#live()
    } catch (error) {
      this.#fail(error instanceof Violation ? error : new Violation("crash", error instanceof Error ? error.stack ?? error.message : String(error)))
    } finally {
      listenToProbes(undefined)
    }
    // A last draw: whoever drew once more or once less anywhere shows here.
    this.#note(`ends ${this.#violation === undefined ? "well" : `by ${this.#violation.kind}`}, ${this.#random.uint32()}`)
    const story = this.#options.keepsTrace === true ? this.#trace.lines : this.#trace.lines.slice(-linesOfStory)
    return {
      seed: this.#options.seed, profile: this.#options.profile, workloads: this.#workloads.map(({ workload }) => workload.name), trace: this.#trace.digest(), story,
      simulatedMs: this.#timeline.nowMs, operations: this.#operations, crashes: this.#supervisor.crashes, lives: this.#node.lives,
      events: this.#timeline.ran, faults: this.#faults.counts, probes: this.#probes, violation: this.#violation,
      strikes: this.#strikes.happened
    }
  }

  /** Setup, start beside faults, heal, check. */
  #live(): void {
    const { crashesMin } = this.#profile
    this.#supervisor.start()
    this.#until(this.#clients.fork(Effect.callback<void>((resume) => this.#supervisor.whenReady(() => resume(Effect.void)))), readyUsMax, "the first start")
    this.#all("setup", setupUsMax, ({ workload, context }) => workload.setup(context))
    this.#isHarmed = true
    this.#faults.begin(this.#node)
    this.#supervisor.harm(new CrashPlan(this.#random.fork(), this.#share, crashesMin))
    this.#tend()
    this.#all("start", workUsMax, ({ workload, context }) => workload.start(context))
    while (this.#supervisor.crashes < crashesMin) {
      this.#wait(1000 * (1 + this.#random.below(2000)))
      this.#supervisor.crashNow()
    }
    this.#heal()
    // What is lost is named, by a node that serves nothing: there is no more to see.
    if (this.#refusal !== undefined) return
    this.#all("check", checkUsMax, ({ workload, context }) => workload.check(context))
    this.#atRest((checker, rest) => checker.atRest?.(rest) ?? Effect.void)
    this.#stop()
    // What the merciless took of checkpoints nobody makes again.
    if (this.#faults.merciless) return
    if (this.#random.chance(chances.rebuild)) this.#rebuild()
    else if (this.#random.chance(chances.later)) this.#later()
    else if (this.#random.chance(chances.hurt)) this.#again(() => this.#atRest((checker, rest) => checker.hurt?.(rest) ?? Effect.void))
  }

  #makeWorkloads(): ReadonlyArray<AtWork> {
    const lulls = new Lulls(this.#timeline, this.#random.fork(), this.#profile.name)
    const workloads = this.#options.workloads.map((make) => make())
    const shares = sharesOf(this.#share, this.#profile.name, workloads)
    return workloads.map((workload, index) => {
      const random = this.#random.fork()
      const client = makeClient({
        machine: this.#clients, random: random.fork(), dateMs: () => this.#clients.clock.currentTimeMillisUnsafe(), http: () => this.#node.http, holdUs: () => (this.#isHarmed ? lulls.holdUs() : 0),
        delayUs: () => this.#faults.wireUs(), cuts: () => this.#faults.cuts(), sent: (request) => this.#sent(request), heard: (request, outcome) => this.#heard(request, outcome)
      })
      const context: WorkloadContext = {
        random, client, profile: this.#profile.name, operations: shares[index]!, nowMs: () => this.#clients.clock.currentTimeMillisUnsafe(), lives: () => this.#node.lives,
        isFleeting: isFleeting(this.#node.traits), merciless: this.#faults.merciless, note: (line) => this.#note(line), probe: (name) => this.#probe(name)
      }
      return { workload, context }
    })
  }

  #all(what: string, usMax: number, act: (one: AtWork) => Effect.Effect<void>): void {
    this.#until(this.#clients.fork(Effect.forEach(this.#workloads, act, { concurrency: "unbounded", discard: true })), usMax, what)
  }

  /** Until the fiber has ended; a Violation that it died of is the world's. */
  #until<A, E>(fiber: Fiber.Fiber<A, E>, usMax: number, what: string): A {
    const endUs = this.#timeline.nowUs + usMax
    for (;;) {
      if (this.#violation !== undefined) throw this.#violation
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) {
        if (Exit.isSuccess(exit)) return exit.value
        throw violationOf(exit.cause, "crash", what)
      }
      if (!this.#timeline.step()) throw new Violation("liveness", `${what}: nothing is going to happen any more`)
      if (this.#timeline.nowUs > endUs) throw new Violation("liveness", `${what} has no end after ${usMax / minuteUs} minutes`)
      if (this.#timeline.ran > eventsMax) throw new Violation("liveness", `${what}: no end after ${eventsMax} events`)
    }
  }

  #wait(us: number): void {
    this.#until(this.#clients.fork(Effect.sleep(us / 1000)), us + minuteUs, `waiting until ${this.#timeline.nowUs + us}`)
  }

  /** Nothing happens to its requests. */
  #operator(): SimulatedClient {
    return makeClient({
      machine: this.#clients, random: this.#random.fork(), dateMs: () => 0, http: () => this.#node.http, holdUs: () => 0,
      delayUs: () => 100, cuts: () => false, sent: () => undefined, heard: () => undefined
    })
  }

  /** Looks now and then whether the node says that it is well; one that does not for long is restarted. */
  #tend(): void {
    const client = this.#operator()
    const look = Effect.gen({ self: this }, function* () {
      for (let ill = 0; this.#isHarmed;) {
        yield* Effect.sleep(10_000)
        const { lives } = this.#node
        const outcome = yield* client.send({ method: "GET", path: "/health/ready", to: "admin" })
        const isIll = this.#node.running !== undefined && lives === this.#node.lives && !isSound(outcome)
        ill = isIll ? ill + 1 : 0
        if (ill < illLooksMax || !this.#isHarmed) continue
        ill = 0
        this.#note(`is not well: ${outcome._tag === "Answered" ? outcome.status : outcome.why}: restarted`)
        this.#faults.saw("OperatorRestart")
        this.#supervisor.restart(this.#random.pick(["Kill", "Stop"] as const), this.#random.below(2000))
      }
    })
    this.#clients.fork(look).addObserver((exit) => {
      if (Exit.isFailure(exit)) this.#fail(violationOf(exit.cause, "crash", "looking after the node"))
    })
  }

  /** Faults stop; then the node must get well, with at most one restart that it asks for: what of its index is gone a start may not see, and a read does. */
  #heal(): void {
    this.#note("heals")
    this.#isHarmed = false
    this.#supervisor.heal()
    this.#faults.heal(this.#node)
    // Whose clock was put right while it ran destroys nothing until a restart says that it is right now (R6).
    const distrustsTime = this.#node.startedOffMs !== 0 || this.#node.readyOffMs !== 0
    const restart = (): void => this.#supervisor.restart(this.#random.pick(["Kill", "Stop", "PowerCut"] as const), 100)
    const isReady = this.#node.isOn && this.#node.running !== undefined
    let hasAsked = isReady && !distrustsTime && !this.#isWell()
    if (!isReady || distrustsTime || hasAsked || this.#random.chance(0.5)) restart()
    const endUs = this.#timeline.nowUs + readyUsMax
    for (this.#wait(2 * lingersUsMost); !this.#isWell(["index", "journal"]); this.#wait(1_000_000)) {
      if (this.#refusal !== undefined) return this.#note("refuses to start")
      if (this.#timeline.nowUs > endUs) throw new Violation("liveness", `the node is not ready ${readyUsMax / minuteUs} minutes after faults have stopped`)
      if (hasAsked || this.#node.running === undefined || this.#isWell()) continue
      hasAsked = true
      restart()
    }
  }

  #isWell(checks: ReadonlyArray<string> = ["index"]): boolean {
    if (this.#node.running === undefined) return false
    const client = this.#operator()
    return isSound(this.#until(this.#clients.fork(client.send({ method: "GET", path: "/health/ready", to: "admin" })), checkUsMax, "the health check"), checks)
  }

  #rebuild(): void {
    this.#note("starts without an index")
    this.#node.index = new MemoryKeyValue()
    // The last one first: it compares with what it found last, before others collect.
    this.#again(() => this.#atRest((checker, rest) => checker.rebuilt?.(rest) ?? Effect.void, this.#checkers.toReversed()))
  }

  /** Once more, after the machine was off for so long that retention is over for everything. */
  #later(): void {
    this.#note("is off for long")
    // More than any world keeps history.
    this.#node.traits.machine.clock.offsetMs += 40 * 24 * 3_600_000
    this.#again(() => this.#atRest((checker, rest) => checker.later?.(rest) ?? Effect.void))
  }

  #again(act: () => void): void {
    this.#supervisor.start()
    this.#until(this.#clients.fork(Effect.callback<void>((resume) => this.#supervisor.whenReady(() => resume(Effect.void)))), readyUsMax, "one more start")
    act()
    this.#stop()
  }

  #atRest(look: (checker: Checker, rest: AtRest) => ReturnType<NonNullable<Checker["atRest"]>>, checkers = this.#checkers): void {
    const { running } = this.#node
    if (running === undefined) throw new Violation("liveness", "the node is gone once faults have stopped")
    const { disk, index } = this.#node
    for (const checker of checkers) {
      if (checker.atRest === undefined) continue
      const rest = {
        rooms: running.rooms, disk, index, random: this.#random.fork(), merciless: this.#faults.merciless, note: (line: string) => this.#note(line), probe: (name: string) => this.#probe(name)
      }
      this.#until(this.#node.machine.fork(Effect.provide(look(checker, rest), running.rooms)), checkUsMax, `${checker.name} at rest`)
    }
  }

  #stop(): void {
    const stopped = Effect.callback<void>((resume) => this.#node.stop(() => resume(Effect.void)))
    this.#until(this.#clients.fork(stopped), readyUsMax, "the clean stop")
    this.#note("stopped")
  }

  #between(ending: Ending): void {
    this.#damagedStarts.clear()
    this.#note(`is off: ${ending}`)
    this.#faults.between(this.#node, (line) => this.#note(line))
  }

  #sent(request: Request): void {
    const { method, path, query } = request
    this.#requests += 1
    this.#numbers.set(request, this.#requests)
    this.#note(`> ${this.#requests} ${method} ${path}${query === undefined ? "" : ` ${JSON.stringify(query)}`}`)
    this.#guarded(() => {
      for (const checker of this.#checkers) checker.sent?.(request)
    })
    this.#supervisor.requestSent()
  }

  #heard(request: Request, outcome: Outcome): void {
    const { method, path } = request
    if (outcome._tag !== "Refused" && this.#numbers.has(request)) this.#operations += 1
    this.#guarded(() => {
      for (const checker of this.#checkers) checker.heard?.(request, outcome)
    })
    const what = outcome._tag === "Answered" ? `${outcome.status} ${outcome.headers.get("etag") ?? ""} ${outcome.headers.get("x-ouroboros-commit") ?? ""}` : outcome._tag
    this.#note(`< ${this.#numbers.get(request) ?? 0} ${method} ${path} ${what}`)
    this.#faults.count(`Outcome${outcome._tag === "Answered" ? outcome.status : outcome._tag}`)
  }

  #startFailed(cause: Cause.Cause<unknown>): void {
    const why = violationOf(cause, "crash", "a start failed")
    this.#note(why.message.split("\n")[0] ?? "")
    const stuck = this.#damagedStarts.saw(why)
    if (stuck !== undefined) this.#fail(stuck)
    this.#refusal = !Cause.hasDies(cause) && this.#faults.isNamedBy(why.message) ? why.message : undefined
    if (Cause.hasDies(cause) && !isIndexDamage(cause) || !this.#faults.explainFailures) this.#fail(why)
  }

  /** A defect that somebody has caught and logged is a defect. */
  #logged(message: string, level: string, cause: Cause.Cause<unknown>): void {
    this.#damagedStarts.met(cause, this.#node.lives)
    if (Cause.hasDies(cause) && !(this.#faults.explainFailures && isIndexDamage(cause))) this.#fail(violationOf(cause, "crash", message))
    if (level !== "Info" && level !== "Debug" && level !== "Trace") this.#note(`log ${level} ${message}`)
  }

  #guarded(act: () => void): void {
    try {
      act()
    } catch (error) {
      this.#fail(error instanceof Violation ? error : new Violation("crash", String(error)))
    }
  }

  #probe(name: string): void {
    this.#probes.set(name, (this.#probes.get(name) ?? 0) + 1)
  }

  #note(line: string): void {
    this.#trace.note(`${this.#timeline.nowUs} ${line}`)
  }

  #fail(violation: Violation): void {
    this.#violation ??= violation
  }
}

/** A start from checkpoint and journal alone costs as much as many operations. */
const chances = { rebuild: 0.3, later: 0.5, hurt: 0.5 }
const illLooksMax = 3
const linesOfStory = 40

/** Short worlds with cheap kernels (StandIns), full ones with the real ones. */
export const runWorld = (options: WorldOptions): WorldReport => {
  const run = (): WorldReport => new World(options).run()
  return options.profile === "short" ? underStandIns(run) : run()
}
