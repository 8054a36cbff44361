/**
 * Operator: whoever runs a cluster: lets members in, sends them away, removes the dead by force, moves leadership, restarts what failed, and replaces whose disk is lost. One change at a
 * time, and the next that may cost a disk only once every block is on all of them again (m = 1). A program on a machine of his own; between a world's seed and its members.
 */
import { Effect, type Exit } from "effect"
import { Machine } from "../../sim/Machine.ts"
import type { Random } from "../../sim/Random.ts"
import { blocksNamed } from "../../src/namespace/QueryCensus.ts"
import { State } from "../../src/namespace/State.ts"
import { Member } from "../../src/node/MemberLayer.ts"
import type { GrowingMembers } from "./GrowingMembers.ts"
import type { Host, Members, Rooms } from "./Members.ts"
import type { Scene } from "./MemberWorld.ts"
import type { WeakDisk } from "./WeakDisk.ts"

export interface Work {
  readonly scene: Scene
  readonly members: Members
  /** Undefined: who belongs never changes. */
  readonly growing: GrowingMembers | undefined
  readonly weak: WeakDisk
  readonly random: Random
  /** Members that he wants, at most. */
  readonly membersMost: number
  /** Of his acts that a disk begins to err. */
  readonly weakChance: number
  readonly isOver: () => boolean
}

/** Silence after which the others know that it is gone, and a bit. */
const deadMs = 8_000
const patienceMs = 90_000
/** So long a write is waited for. */
const writerMs = 5_000

export class Operator {
  readonly problems: Array<string> = []
  readonly counts = new Map<string, number>()
  /** They are not started again. */
  readonly buried = new Set<Host>()
  isDone = false
  readonly #work: Work
  readonly #machine: Machine
  /** Members that he waits for, since when. */
  readonly #awaited = new Map<Host, number>()

  constructor(work: Work) {
    this.#work = work
    const { timeline } = work.members.country
    const traits = { disorder: 0, taskUs: 1, clock: { offsetMs: 0, drift: 0 }, epochMs: Date.UTC(2026, 10, 22) }
    this.#machine = new Machine(timeline, traits, work.random.fork(), () => undefined, "None")
  }

  begin(): void {
    this.#machine.fork(Effect.andThen(this.#acts(), Effect.sync(() => { this.isDone = true })))
    this.#machine.fork(Effect.forever(Effect.andThen(Effect.sleep(1000), Effect.sync(() => this.#supervise()))))
  }

  end(): void {
    this.#machine.powerOff()
  }

  /** Members by now that he has started. */
  get hosts(): ReadonlyArray<Host> {
    const { growing, members } = this.#work
    return growing === undefined ? members.hosts : members.hosts.filter((host) => growing.known.has(host) && growing.isMember(host))
  }

  /** Everybody is there, the configuration is as the table wants it, and every block that a commit names is on every disk. */
  isWhole(): boolean {
    return this.lacks() === undefined
  }

  /** What is not well. */
  lacks(): string | undefined {
    const { hosts } = this
    const { growing } = this.#work
    const ill = hosts.find((host) => !isOn(host) || host.rooms === undefined || statusOf(host)?.failure !== undefined)
    if (ill !== undefined) return `member ${nameOf(ill)} does not run: ${ill.failure ?? statusOf(ill)?.failure ?? (isOn(ill) ? "its rooms have not begun" : "it is off")}`
    const leader = this.#leader()
    if (leader === undefined) return "nobody leads"
    if (growing !== undefined && !growing.isSettled(leader)) return `the configuration is not as the table wants it: ${JSON.stringify(statusOf(leader)?.configuration)}, members ${[...growing.record.members.keys()].join()}`
    const commit = statusOf(leader)!.commit
    const behind = hosts.find((host) => statusOf(host)!.applied + 20 < commit)
    if (behind !== undefined) return `member ${nameOf(behind)} is behind: ${statusOf(behind)!.applied} of ${commit}`
    const named = Effect.runSync(Effect.provide(Effect.map(State, ({ reader }) => [...blocksNamed(reader)].map(({ block }) => block as string)), leader.rooms!))
    const poor = hosts.find(({ disk }) => {
      const here = new Set([...disk.sizes().keys()].filter((path) => path.startsWith("blocks/")).map((path) => path.slice(path.lastIndexOf("/") + 1, -".block".length)))
      return !named.every((block) => here.has(block))
    })
    return poor === undefined ? undefined : `member ${nameOf(poor)} lacks blocks`
  }

  #leader(): Host | undefined {
    return this.hosts.filter((host) => isOn(host) && host.rooms !== undefined && statusOf(host)?.role === "Leader").sort((a, b) => statusOf(b)!.term - statusOf(a)!.term)[0]
  }

  #count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }

  /** What it came to; undefined: it does not answer. */
  #ask<A, E>(host: Host, effect: Effect.Effect<A, E, Rooms>): Effect.Effect<Exit.Exit<A, E> | undefined> {
    return Effect.gen(function*() {
      if (!isOn(host) || host.rooms === undefined) return undefined
      const { life } = host.station
      const running = host.run(effect)
      for (let left = 300; left > 0 && running.exit === undefined && life.isOn; left -= 1) yield* Effect.sleep(100)
      return running.exit
    })
  }

  #until(isSo: () => boolean, ms = patienceMs): Effect.Effect<boolean> {
    return Effect.gen(function*() {
      for (let left = ms; left > 0 && !isSo(); left -= 250) yield* Effect.sleep(250)
      return isSo()
    })
  }

  #acts(): Effect.Effect<void> {
    const { growing, isOver, random, weak, weakChance } = this.#work
    return Effect.gen({ self: this }, function*() {
      while (!isOver()) {
        yield* Effect.sleep(random.below(4000))
        if (!(yield* this.#until(() => isOver() || this.isWhole()))) continue
        if (isOver()) break
        if (this.hosts.length >= 3 && random.chance(weakChance)) yield* this.#weaken()
        else if (growing !== undefined) yield* this.#change(growing)
        else yield* this.#transfer()
      }
      weak.end()
    })
  }

  #change(growing: GrowingMembers): Effect.Effect<void> {
    const { membersMost, random } = this.#work
    const { hosts } = this
    const { length } = hosts
    if (length < 3 && membersMost > length || (length < membersMost && random.chance(0.4))) return this.#admit(growing)
    const kind = random.below(4)
    if (kind === 0 && length > 3) return this.#dismiss(growing, random.pick(hosts), false)
    if (kind <= 1 && length > 1) return this.#dismiss(growing, random.chance(0.3) ? this.#leader() ?? hosts[0]! : random.pick(hosts), false)
    if (kind === 2 && length >= 3) return random.chance(0.5) ? this.#loseWriter(growing) : this.#dismiss(growing, random.pick(hosts), true)
    return this.#transfer()
  }

  /** Whoever acknowledges the next write is gone for good that very moment, and its disk with it. */
  #loseWriter(growing: GrowingMembers): Effect.Effect<void> {
    const { members, scene } = this.#work
    const { hosts } = this
    return Effect.gen({ self: this }, function*() {
      let lost: Host | undefined
      const strike = (host: Host): void => {
        if (lost !== undefined || !hosts.includes(host) || !isOn(host)) return
        lost = host
        this.buried.add(host)
        members.cut(host)
      }
      scene.heard.add(strike)
      yield* this.#until(() => lost !== undefined, writerMs)
      scene.heard.delete(strike)
      if (lost === undefined) return
      this.#count("writers lost")
      yield* this.#dismiss(growing, lost, true)
    })
  }

  #admit(growing: GrowingMembers): Effect.Effect<void> {
    const { members, random } = this.#work
    const next = members.hosts.find((host) => !growing.known.has(host))
    if (next === undefined) return Effect.void
    return Effect.gen({ self: this }, function*() {
      const by = random.pick(this.hosts)
      yield* this.#ask(by, growing.admission(next, by))
      this.#letIn(growing)
    })
  }

  /** Whoever did not hear the answer looks at the table, now and later: what it asked for may come true yet. */
  #letIn(growing: GrowingMembers): void {
    for (const host of this.#work.members.hosts) {
      if (growing.known.has(host) || !growing.isMember(host)) continue
      growing.begin(host, growing.record)
      this.#count("admitted")
    }
  }

  /** It leaves, or, `isForced`, is dead and its disk gone for good; until it is no member any more. */
  #dismiss(growing: GrowingMembers, host: Host, isForced: boolean): Effect.Effect<void> {
    const { members, random } = this.#work
    return Effect.gen({ self: this }, function*() {
      if (isForced) {
        this.buried.add(host)
        if (isOn(host)) members.cut(host)
        yield* Effect.sleep(deadMs)
      }
      while (growing.isMember(host)) {
        const others = this.hosts.filter((other) => other !== host || !isForced)
        if (growing.record.members.get(host.station.id)?.leaving === undefined) yield* this.#ask(random.pick(others), growing.leaving(host, isForced))
        yield* Effect.sleep(1000)
      }
      this.#count(isForced ? "removed" : "left")
      yield* Effect.sleep(random.below(5000))
      this.buried.add(host)
      if (isOn(host)) members.cut(host)
    })
  }

  #transfer(): Effect.Effect<void> {
    const { random } = this.#work
    const leader = this.#leader()
    const others = this.hosts.filter((host) => host !== leader)
    if (leader === undefined || others.length === 0) return Effect.void
    this.#count("handed over")
    return Effect.asVoid(this.#ask(leader, Effect.flatMap(Member, ({ raft }) => raft.transfer(random.pick(others).station.id))))
  }

  /** For a while the disk of one errs; then it errs no more, or the member is replaced. */
  #weaken(): Effect.Effect<void> {
    const { growing, isOver, members, random, weak } = this.#work
    const host = random.pick(this.hosts)
    return Effect.gen({ self: this }, function*() {
      this.#count("weak disks")
      weak.begin(host)
      const isLost = (): boolean => weak.failedStarts > 3 || (weak.isHarmed && random.chance(0.02))
      yield* this.#until(() => isOver() || isLost(), 5000 + random.below(30_000))
      const isBeyond = weak.isHarmed || weak.failedStarts > 3
      if (growing !== undefined && isBeyond) {
        this.#count("replaced")
        yield* this.#dismiss(growing, host, true)
        weak.end()
        return yield* this.#admit(growing)
      }
      weak.end()
      // As after any fault of a disk: what it may have kept of it in memory goes with the process.
      if (isOn(host) && random.chance(0.5)) members.kill(host)
      if (!isOn(host)) members.start(host)
    })
  }

  /** What a service manager does: whoever has failed begins again. */
  #supervise(): void {
    const { growing, members, weak } = this.#work
    const { nowMs } = members.country
    if (growing !== undefined) this.#letIn(growing)
    for (const host of this.hosts) {
      if (!isOn(host) || this.buried.has(host)) continue
      const failure = host.failure ?? statusOf(host)?.failure ?? host.station.log.find((line) => line.includes("ended by a defect"))
      if (host.rooms !== undefined && failure === undefined) this.#awaited.delete(host)
      else if (!this.#awaited.has(host)) this.#awaited.set(host, nowMs)
      const isLate = nowMs - (this.#awaited.get(host) ?? nowMs) > patienceMs && weak.host === host
      if (failure === undefined && !isLate) continue
      if (weak.host === host) weak.failedStarts += 1
      else if (!weak.explains(host)) this.problems.push(`member ${nameOf(host)} has failed: ${failure}`)
      this.#count("restarted")
      this.#awaited.delete(host)
      host.station.log.length = 0
      members.kill(host)
      members.start(host)
    }
  }
}

const isOn = ({ station }: Host): boolean => station.life.isOn
export const nameOf = ({ station }: Host): string => station.id.slice(0, 6)
export const statusOf = ({ replica }: Host) => replica?.raft.status()
