/**
 * ClusterWorld: what one seed does to a store of several members, everything at once: clients at any of them, power cuts, the network's harm, clocks that are off, drift and jump, one
 * disk at a time that errs, and in half of the worlds an operator who lets members in, sends them away and removes the dead, consensus brought behind the table by whoever leads. And
 * what is held against it: MemberWorld's judgement; every commit and request once, the same on all; nobody fails of himself; and once it is calm all is whole again, and answered.
 */
import { drawNetworkPlan, calmPlan } from "../../sim/faults/NetworkPlan.ts"
import { listenToProbes } from "../../src/base/probes.ts"
import { type Random, seededRandom } from "../../sim/Random.ts"
import { underStandIns } from "../../sim/StandIns.ts"
import { makeBucket } from "../pipeline/operations.ts"
import { tiny } from "../pipeline/store.ts"
import { GrowingMembers } from "./GrowingMembers.ts"
import { type Host, Members } from "./Members.ts"
import { client, judge, type Scene, sceneOf, type Seen } from "./MemberWorld.ts"
import { Once } from "./Once.ts"
import { Operator } from "./Operator.ts"
import { Spread } from "./Spread.ts"
import { drawUpgrade, type Upgrading } from "./Upgrading.ts"
import { Usurpers } from "./Usurpers.ts"
import { WeakDisk } from "./WeakDisk.ts"

export interface Size {
  readonly troubleMs: number
  readonly membersMost: ReadonlyArray<number>
  /** Of a configuration that stays. */
  readonly members: ReadonlyArray<number>
  readonly calmMs: number
  readonly clients: number
  readonly bodies: ReadonlyArray<number>
  readonly asksMax: number
  /** What was taken is spared for minutes; then it is swept. */
  readonly isSwept: boolean
  /** Cipher and compression are those of sim/StandIns. */
  readonly hasStandIns: boolean
}

export const sizes = {
  short: { troubleMs: 30_000, membersMost: [2, 3, 3, 3, 4], members: [2, 3, 3, 3], calmMs: 5_000, clients: 6, bodies: [10, 150, 900, 2500, 8000, 20_000], asksMax: 200, isSwept: false, hasStandIns: true },
  full: {
    troubleMs: 240_000, membersMost: [3, 5, 7], members: [2, 3, 3, 5], calmMs: 12 * 60_000, clients: 3, bodies: [10, 150, 900, 5000, 30_000, 60_000], asksMax: Number.POSITIVE_INFINITY, isSwept: true, hasStandIns: false
  }
} as const satisfies Readonly<Record<string, Size>>

const upgradeSeeds = 0x5eed_0f_02

/** After the calm everything is whole within that time. */
const wholeMs = 300_000

export interface WorldSeen extends Seen {
  readonly commits: number
  /** Changes of who belongs. */
  readonly changes: number
  readonly faults: Readonly<Record<string, number>>
  readonly probes: Readonly<Record<string, number>>
  readonly simulatedMs: number
}

const clockOf = ({ station }: Host): { offsetMs: number; drift: number } => station.machine.traits.clock

/** Power cuts: mostly of a minority. */
const cuts = (scene: Scene, operator: Operator, random: Random, untilUs: number): void => {
  const { members } = scene
  const { timeline } = members.country
  const strike = (): void => {
    if (timeline.nowUs > untilUs) return
    const hosts = operator.hosts.filter((host) => !operator.buried.has(host))
    const on = hosts.filter(({ station }) => station.life.isOn)
    const off = hosts.filter(({ station }) => !station.life.isOn)
    if (off.length > 0 && random.chance(0.7)) members.start(random.pick(off))
    else if (on.length > 0 && (on.length * 2 > hosts.length + 1 || random.chance(0.2))) {
      const host = random.pick(on)
      if (random.chance(0.3)) members.kill(host)
      else members.cut(host)
      scene.cuts += 1
    }
    timeline.after(random.below(8_000_000), strike)
  }
  timeline.after(random.below(8_000_000), strike)
}

/** A wall clock that is set, now and then. */
const jumps = (members: Members, random: Random, untilUs: number, count: () => void): void => {
  const { timeline } = members.country
  const jump = (): void => {
    if (timeline.nowUs > untilUs) return
    const ms = random.pick([10, 1000, 5000, 60_000, 300_000])
    clockOf(random.pick(members.hosts)).offsetMs = random.below(2 * ms) - ms
    count()
    timeline.after(random.below(20_000_000), jump)
  }
  timeline.after(random.below(10_000_000), jump)
}

export const runCluster = (seed: number, size: Size): WorldSeen => {
  const probes = new Map<string, number>()
  listenToProbes((name) => void probes.set(name, (probes.get(name) ?? 0) + 1))
  try {
    const run = (): Omit<WorldSeen, "probes"> => runWorld(seed, size)
    return { ...(size.hasStandIns ? underStandIns(run) : run()), probes: Object.fromEntries(probes) }
  } finally {
    listenToProbes(undefined)
  }
}

const runWorld = (seed: number, size: Size): Omit<WorldSeen, "probes"> => {
  const random = seededRandom(seed)
  const plan = random.chance(0.25) ? calmPlan : drawNetworkPlan(random.fork())
  const isGrowing = random.chance(0.6)
  const weak = new WeakDisk(random.fork(), isGrowing)
  const once = new Once()
  const drifts = random.chance(0.5)
  const clocks = random.fork()
  // Of its own, so that stories of other worlds are as they were.
  const upgrade = drawUpgrade(seededRandom((seed ^ upgradeSeeds) >>> 0))
  const options = {
    settings: { ...tiny.settings!, retentionDays: random.pick([1, 1000, 3_600_000]) / 86_400_000 }, namespace: { applied: once.applied },
    gc: { intervalMs: random.pick([500, 4000]), graceMs: random.pick([0, 3000]), reserveBytes: 0, compactBytesPerSecond: 0, sweepMs: random.pick([2000, 20_000]) }
  }
  const starts = (host: Host): void => {
    // A quartz is as it is; the machine is off while this is said.
    if (drifts && clockOf(host).drift === 0) clockOf(host).drift = (clocks.below(400) - 200) / 1_000_000
    weak.starts(host)
    upgrade?.starts(host)
  }
  const membersMost = random.pick(size.membersMost)
  const growing = isGrowing ? new GrowingMembers(membersMost + 5, seed, plan, options, { starts, ...upgrade?.program }) : undefined
  const members = growing?.members ?? new Members(random.pick(size.members), seed, plan, options, { starts, ...upgrade?.program })
  const scene = sceneOf(members, random.fork(), size)
  const { country } = members
  const isOver = (): boolean => country.timeline.nowUs > untilUs
  const weakChance = random.chance(0.3) ? 0 : random.pick([0.2, 0.5])
  const operator = new Operator({ scene, members, growing, weak, random: random.fork(), membersMost, weakChance, isOver })
  const faults = new Map<string, number>()
  const spread = new Spread(() => members.hosts, () => weak.host === undefined, isGrowing ? 3 : 2)
  scene.heard.add(() => spread.look())
  members.do(members.hosts[0]!, makeBucket)
  const untilUs = country.timeline.nowUs + size.troubleMs * 1000
  for (let left = size.clients; left > 0; left -= 1) client(scene, isOver)
  if (random.chance(0.8)) cuts(scene, operator, random.fork(), untilUs)
  if (random.chance(0.4)) jumps(members, random.fork(), untilUs, () => void faults.set("ClockJump", (faults.get("ClockJump") ?? 0) + 1))
  const usurpers = random.chance(0.5) ? new Usurpers(members, random.fork(), untilUs) : undefined
  operator.begin()
  country.network.begin()
  country.pass(size.troubleMs)
  calm(scene, operator, size, upgrade)
  for (const [name, count] of [...weak.counts, ...operator.counts, ...usurpers?.counts ?? [], ...upgrade?.counts ?? [], ["blocks looked at", spread.count] as const]) faults.set(name, count)
  const changes = ["admitted", "left", "removed"].reduce((sum, name) => sum + (operator.counts.get(name) ?? 0), 0)
  return {
    problems: [...new Set([...(members.watch?.problem === undefined ? [] : [members.watch.problem]), ...operator.problems, ...upgrade?.problems ?? [], ...once.problems, ...spread.problems, ...scene.problems])], operations: scene.count, acknowledged: scene.acknowledged, cuts: scene.cuts,
    commits: once.commits, changes, faults: Object.fromEntries(faults), simulatedMs: country.nowMs
  }
}

/** Everything heals, and is judged. */
const calm = (scene: Scene, operator: Operator, { calmMs, isSwept }: Size, upgrade: Upgrading | undefined): void => {
  const { members, problems } = scene
  const { country } = members
  country.network.heal()
  for (const host of members.hosts) clockOf(host).offsetMs = 0
  const beganMs = country.nowMs
  for (const host of operator.hosts) if (upgrade?.isOld(host) === true && host.station.life.isOn) members.kill(host)
  upgrade?.end()
  const lacks = (): string | undefined => operator.lacks() ?? upgrade?.lacks(operator.hosts)
  const isLate = (): boolean => country.nowMs - beganMs > wholeMs
  while (!isLate() && !(operator.isDone && scene.open.size === 0 && lacks() === undefined)) {
    for (const host of operator.hosts) if (!host.station.life.isOn && !operator.buried.has(host)) members.start(host)
    country.pass(1000)
    if (operator.isDone) for (const host of members.hosts) if (!operator.hosts.includes(host) && host.station.life.isOn) members.cut(host)
  }
  if (isLate()) {
    problems.push(`not whole ${wholeMs / 1000} s after everything healed: ${operator.isDone ? "" : "the operator has not done; "}${lacks() ?? ""} ${[...scene.open].join(", ")}`)
    return operator.end()
  }
  country.pass(calmMs)
  const { hosts } = operator
  operator.end()
  try {
    judge(scene, hosts, isSwept)
  } catch (error) {
    // What a member answers in the calm is what it must; a world does not end a swarm.
    problems.push(`in the calm: ${error instanceof Error ? error.stack?.slice(0, 600) ?? error.message : JSON.stringify(error)}`)
  }
}
