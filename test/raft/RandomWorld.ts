/**
 * RandomWorld: a cluster that a seed drives: any order, loss, repetition, crash, change of membership, damage; then calm, and progress.
 * Every step is judged by spec/RaftMonitor.ts.
 */
import { ok } from "node:assert"
import { seededRandom, type Random } from "../../sim/Random.ts"
import type { RaftStep, RaftTrace } from "../../spec/RaftTrace.ts"
import { isVoter } from "../../src/raft/Configuration.ts"
import { isGap } from "../../src/raft/RaftLog.ts"
import { Cluster, wayOf } from "./Cluster.ts"

interface Weather {
  readonly loss: number
  readonly twice: number
  readonly disorder: number
  readonly crashes: number
  readonly changes: number
  readonly damage: number
  /** There are always three voters or more: the others decide without one whose disk is damaged. */
  readonly spares: boolean
  /** How far the clock goes at once: near to a time-out everyone stands all the time. */
  readonly strideMs: number
  /** How often the replicas fall apart in two, or are one again. */
  readonly splits: number
}

const drawWeather = (random: Random): Weather => ({
  loss: random.pick([0, 0.05, 0.3]), twice: random.pick([0, 0.1]), disorder: random.pick([0, 0.2, 0.8]),
  crashes: random.pick([0, 0.002, 0.01]), changes: random.pick([0, 0.003, 0.01]), damage: random.pick([0, 0, 0.3, 1]), spares: random.chance(0.5),
  strideMs: random.pick([60, 60, 600]), splits: random.pick([0, 0.001, 0.004])
})

const fractionOf = (random: Random): number => random.below(1_000_000) / 1_000_000

const names = ["a", "b", "c", "d", "e"]

/**
 * What a disk cannot read any more, of a replica that is off. One replica alone is damaged, and only where others have what is
 * harmed, or decide without it: else nobody could know it again, and the right end is that nobody leads.
 */
const damage = (cluster: Cluster, random: Random, id: string, spares: boolean): void => {
  const { slots } = cluster.of(id).disk
  const all = [...cluster.replicas.values()]
  if (slots.length === 0 || all.some(({ disk }) => disk.slots.some(isGap))) return
  const atEnd = random.chance(0.5)
  for (let count = 1 + random.below(random.pick([3, 9])); count > 0; count -= 1) {
    const at = atEnd ? Math.max(0, slots.length - 1 - random.below(4)) : random.below(slots.length)
    const { index, term } = slots[at]!
    const having = all.filter(({ disk }) => disk.snapshot.index >= index || disk.slots[index - disk.snapshot.index - 1]?.term === term)
    const isLast = at === slots.length - 1
    if (index <= cluster.committed.length ? having.length > (spares ? 1 : 2) : spares) slots[at] = { index, term: (isLast && !spares) || random.chance(0.5) ? term : undefined, body: undefined }
  }
}

const act = (cluster: Cluster, random: Random, weather: Weather, side: Map<string, boolean>): void => {
  const { wire } = cluster
  if (random.chance(weather.splits)) for (const name of names) side.set(name, random.chance(0.6) || random.chance(0.4))
  const id = random.pick([...cluster.replicas.keys()])
  const draw = fractionOf(random)
  if (draw < 0.6 && wire.length > 0) {
    const at = random.chance(weather.disorder) ? random.below(wire.length) : 0
    const { from, to } = wire[at]!
    if (side.get(from) !== side.get(to) || random.chance(weather.loss)) wire.splice(at, 1)
    else cluster.deliver(at, random.chance(weather.twice))
    if (wire.length > 500) wire.splice(0, 100)
  } else if (draw < 0.75) cluster.written(id)
  else if (draw < 0.87) {
    cluster.nowMs += random.below(weather.strideMs)
    cluster.tick(id)
  } else if (draw < 0.92) cluster.propose(random.chance(0.8) ? cluster.leader ?? id : id, random.chance(0.3) ? "long".repeat(20) : undefined)
  else if (draw < 0.95) cluster.read(random.chance(0.5) ? id : random.pick([id, ...cluster.leading]))
  else if (draw < 0.96) cluster.install(id)
  else if (draw < 0.965 && cluster.of(id).isOn) cluster.checkpoint(id, cluster.of(id).applied.length - random.below(3))
  else if (draw < 0.97) cluster.event(cluster.leader ?? id, { _tag: "TransferLeadership", to: id })
  if (random.chance(weather.changes)) {
    const voters = names.filter(() => random.chance(weather.spares ? 0.8 : 0.6))
    if (!weather.spares || voters.length > 2) cluster.change(cluster.leader ?? id, voters, names.filter(() => random.chance(0.2)))
  }
  if (random.chance(weather.crashes) && cluster.of(id).isOn) {
    cluster.crash(id, random.below(cluster.of(id).disk.writing.length + 1))
    if (random.chance(weather.damage)) damage(cluster, random, id, weather.spares)
  }
  if (!cluster.of(id).isOn && random.chance(0.05)) cluster.start(id)
}

/** Everyone is back, and nothing is lost any more: somebody leads, everyone has everything, reads are answered. */
const calm = (cluster: Cluster, what: string): void => {
  for (const [id, { isOn }] of cluster.replicas) if (!isOn) cluster.start(id)
  cluster.wire.length = 0
  cluster.run(8000)
  // Nobody need propose anything for damage to heal.
  const gaps = cluster.leader === undefined ? undefined : [...cluster.replicas].find(([id, { disk }]) => isVoter(cluster.of(cluster.leader!).state.configuration, id) && disk.slots.some(isGap))
  ok(gaps === undefined, `${what}: ${gaps?.[0]} has its gaps still, and somebody leads`)
  for (let tries = 0; tries < 20; tries += 1) {
    cluster.run(1000)
    if (cluster.leader !== undefined) cluster.propose(cluster.leader)
  }
  cluster.run(1000)
  const { leader } = cluster
  ok(leader !== undefined, `${what}: nobody leads after all is calm`)
  const { configuration } = cluster.of(leader).state
  ok(configuration.outgoing.length === 0, `${what}: membership is on its way still`)
  ok(configuration.voters.includes(leader), `${what}: ${leader} leads and has no vote`)
  for (const id of [...configuration.voters, ...configuration.learners]) {
    ok(cluster.of(id).applied.length === cluster.committed.length, `${what}: ${id} has ${cluster.of(id).applied.length} of ${cluster.committed.length}`)
    ok(!cluster.of(id).state.log.slots.some(isGap), `${what}: ${id} has its gaps still`)
  }
  const before = cluster.answered.length
  for (const id of configuration.voters) cluster.read(id)
  cluster.run(500)
  ok(cluster.answered.length === before + configuration.voters.length, `${what}: reads are not answered`)
}

/**
 * One replica hears its leader no more, only the others: nobody's term changes by that. Then the leader hears nobody: it leads no longer,
 * and lets no client wait, and somebody else does where there is a majority.
 */
const unsettle = (cluster: Cluster, random: Random, what: string): void => {
  const leader = cluster.leader!
  const { configuration: { voters }, term } = cluster.of(leader).state
  const deaf = random.pick([...cluster.replicas.keys()].filter((id) => id !== leader))
  cluster.cuts.add(wayOf(leader, deaf))
  cluster.run(4000)
  const isStill = cluster.leader === leader && cluster.of(leader).state.term === term
  ok(isStill || voters.length < 2 || (voters.length === 2 && voters.includes(deaf)), `${what}: ${deaf}, who does not hear ${leader}, unseats it`)
  cluster.cuts.clear()
  if (voters.length < 2) return
  for (const id of cluster.replicas.keys()) cluster.cuts.add(wayOf(id, leader))
  cluster.run(3000)
  ok(cluster.of(leader).state.role !== "Leader", `${what}: ${leader} leads on, and nobody answers`)
}

/** What a world did; throws with its seed where something broke. Mute: only the monitor looks, besides what the machine claims of itself. */
export const world = (seed: number, isMute = false): { readonly committed: number; readonly terms: number } => {
  const random = seededRandom(seed)
  const weather = drawWeather(random)
  const first = names.slice(0, random.pick(weather.spares ? [3, 3, 5] : [1, 2, 3, 3, 5]))
  const cluster = new Cluster(names, () => fractionOf(random), first, isMute)
  const side = new Map<string, boolean>()
  try {
    for (let count = 0; count < 3000; count += 1) act(cluster, random, weather, side)
    calm(cluster, `seed ${seed}`)
    unsettle(cluster, random, `seed ${seed}`)
    ok(cluster.watched > 30, `the monitor saw ${cluster.watched} steps`)
  } catch (error) {
    throw new Error(`seed ${seed} (${JSON.stringify(weather)})\n${cluster.describe()}`, { cause: error })
  }
  return { committed: cluster.committed.length, terms: cluster.leaders.size }
}

/** What the replicas of a world do within so many turns: a short one, in which time is short and more befalls them. Three of five vote at first. */
export const traceOfWorld = (seed: number, turns: number): RaftTrace => {
  const random = seededRandom(seed)
  const weather = { ...drawWeather(random), crashes: random.pick([0, 0.01, 0.02]), changes: random.pick([0, 0.01, 0.02]), damage: random.pick([0, 1]), strideMs: 600, spares: true }
  const cluster = new Cluster(names, () => fractionOf(random), names.slice(0, 3))
  const side = new Map<string, boolean>()
  const steps: Array<RaftStep> = [...cluster.begun]
  cluster.traced = (step) => void steps.push(step)
  for (let count = 0; count < turns; count += 1) act(cluster, random, weather, side)
  return [...steps, { action: "Finish", at: "", steps: steps.length }]
}
