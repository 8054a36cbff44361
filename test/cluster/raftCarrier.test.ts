/**
 * Replicas of two groups on three nodes, each with one carrier for both: logs that agree through power cuts, partitions and loss; one that was away for long fetches a
 * state. RAFT_SEEDS, RAFT_FROM.
 */
import { Effect, type Scope } from "effect"
import { ok } from "node:assert/strict"
import { describe, expect, it } from "vitest"
import { MemoryDisk } from "../../sim/Disk.ts"
import { seededEntropy } from "../../sim/Entropy.ts"
import { calmPlan, drawNetworkPlan } from "../../sim/faults/NetworkPlan.ts"
import { seededRandom } from "../../sim/Random.ts"
import { fromUtf8, toUtf8 } from "../../src/base/bytes.ts"
import { MiB } from "../../src/base/limits.ts"
import type { GroupId } from "../../src/base/ids.ts"
import type { CarrierInterface } from "../../src/carrier/CarrierService.ts"
import { type RaftCarrierInterface, raftOverCarrier } from "../../src/cluster/RaftCarrier.ts"
import { peersOver, servePeers } from "../../src/cluster/PeersCarrier.ts"
import { topics } from "../../src/cluster/Topics.ts"
import { configurationOf } from "../../src/raft/Configuration.ts"
import type { SnapshotPlace } from "../../src/raft/Entry.ts"
import { encodeMessage } from "../../src/raft/RaftFormat.ts"
import { configurationAt, noSnapshot, termAt } from "../../src/raft/RaftLog.ts"
import { type RaftInterface, runRaft, type StateMachine } from "../../src/raft/RaftService.ts"
import type { RaftState } from "../../src/raft/RaftState.ts"
import { Country, type Station } from "../carrier/Stations.ts"
import { options } from "../raft/Cluster.ts"
import { startRaft } from "../raft/journalScene.ts"

const groups: ReadonlyArray<GroupId> = ["60".repeat(16) as GroupId, "61".repeat(16) as GroupId]
const raftOptions = { ...options, uncommittedBytesMax: 1_000_000, appendBytesMax: 150_000 }

/** One replica: what it has applied, and what of that is on its disk. */
class Replica {
  applied: Array<string> = []
  saved: { readonly entries: ReadonlyArray<string>; readonly place: SnapshotPlace }
  raft: RaftInterface<number> | undefined
  state: RaftState | undefined
  fetched = 0

  constructor(place: SnapshotPlace) {
    this.saved = { entries: [], place }
  }
}

class Member {
  disk = new MemoryDisk()
  lives = 0
  over: RaftCarrierInterface | undefined
  readonly station: Station
  readonly replicas: ReadonlyMap<GroupId, Replica>
  readonly #village: Village

  constructor(village: Village, station: Station) {
    this.#village = village
    this.station = station
    const first = { ...noSnapshot, configuration: configurationOf(village.country.stations.map(({ id }) => id)) }
    this.replicas = new Map(groups.map((group) => [group, new Replica(first)]))
  }

  start(): void {
    this.lives += 1
    for (const replica of this.replicas.values()) Object.assign(replica, { raft: undefined, applied: [...replica.saved.entries] })
    this.station.start((_, carrier) => Effect.orDie(this.#run(carrier)))
  }

  powerOff(): void {
    this.station.powerOff()
    const { random } = this.#village.country
    this.disk = random.chance(0.5) ? this.disk.crash(random) : this.disk.kill(random)
    for (const replica of this.replicas.values()) replica.raft = undefined
  }

  /** The state of now is on the disk, and the log before it is not needed. */
  save(group: GroupId): void {
    const replica = this.replicas.get(group)!
    const { raft, state } = replica
    if (raft === undefined || state === undefined) return
    const index = raft.status().applied
    const term = termAt(state.log, index)
    if (term === undefined || index <= replica.saved.place.index) return
    replica.saved = { entries: [...replica.applied], place: { index, term, configuration: configurationAt(state.log, index).configuration } }
    this.station.run(raft.compact(index))
  }

  *#started(carrier: CarrierInterface) {
    const { random } = this.#village.country
    yield* servePeers(carrier, (group) => Effect.sync(() => toUtf8(JSON.stringify(this.replicas.get(fromUtf8(group) as GroupId)!.saved))))
    const over = yield* raftOverCarrier({ carrier, nodeOf: (_, replica) => this.#village.nodeOf(replica) })
    this.over = over
    const { raft: journal } = yield* startRaft(this.disk, this.lives, { forwardSegments: 2, segmentBytes: 4 * MiB, sizes: { segmentBytes: 4 * MiB, batchBytesMax: MiB } })
    for (const [group, replica] of this.replicas) {
      replica.raft = yield* runRaft({
        group, id: this.station.id, journal, network: yield* over.group(group, this.station.id), machine: this.#machineOf(group, replica, carrier), entropy: seededEntropy(random.fork()),
        begin: { ...noSnapshot, configuration: configurationOf(this.#village.country.stations.map(({ id }) => id)) }, options: raftOptions, observe: (state) => { replica.state = state }
      })
    }
  }

  #run(carrier: CarrierInterface) {
    return Effect.gen({ self: this }, function*() { yield* this.#started(carrier) }) as Effect.Effect<void, never, Scope.Scope>
  }

  #machineOf(group: GroupId, replica: Replica, carrier: CarrierInterface): StateMachine<number> {
    const peers = peersOver({ carrier, nodeOf: (other) => this.#village.nodeOf(other) })
    return {
      applied: replica.saved.place,
      apply: (entries) => Effect.sync(() => entries.map(({ body, index, term }) => {
        replica.applied[index - 1] = `${term}:${body._tag === "Command" ? fromUtf8(body.bytes)!.slice(0, 20) : body._tag}`
        this.#village.check(group, index, replica.applied[index - 1]!)
        return index
      })),
      install: (from, wanted) => Effect.gen(function*() {
        // A state as small as these are comes in one answer.
        const answer = yield* peers.ask(from, toUtf8(group))
        const saved = JSON.parse(fromUtf8(answer)!) as Replica["saved"]
        if (saved.place.index < wanted.index) return undefined
        replica.saved = saved
        replica.applied = [...saved.entries]
        replica.fetched += 1
        return saved.place
      }).pipe(Effect.catchTag("PeerError", (error) => Effect.as(Effect.logInfo(error.message), undefined)))
    }
  }
}

class Village {
  readonly country: Country
  readonly members: ReadonlyArray<Member>
  readonly #history = new Map<string, string>()

  constructor(seed: number, plan = calmPlan) {
    this.country = new Country(3, seed, plan)
    this.members = this.country.stations.map((station) => new Member(this, station))
    for (const member of this.members) member.start()
  }

  nodeOf(replica: string) {
    return this.country.stations.find(({ id }) => id === replica)?.id
  }

  /** No two replicas apply different entries at one place. */
  check(group: GroupId, index: number, text: string): void {
    const place = `${group} ${index}`
    const other = this.#history.get(place)
    ok(other === undefined || other === text, `${text} at ${index}, where another applied ${other}`)
    this.#history.set(place, text)
  }

  leaderOf(group: GroupId): Member | undefined {
    return this.members.find((member) => member.station.life.isOn && member.replicas.get(group)!.raft?.status().role === "Leader")
  }

  /** Whether it was committed. */
  propose(group: GroupId, bytes: Uint8Array) {
    const leader = this.leaderOf(group)
    return leader?.station.run(leader.replicas.get(group)!.raft!.propose(bytes))
  }

  areSame(group: GroupId): boolean {
    const [first, ...rest] = this.members.map(({ replicas }) => JSON.stringify(replicas.get(group)!.applied))
    return rest.every((one) => one === first)
  }

  settle(): void {
    for (const group of groups) {
      this.country.passUntil(() => this.leaderOf(group) !== undefined)
      this.country.passUntil(() => this.propose(group, toUtf8("last")) !== undefined && (this.country.pass(2000), this.areSame(group)))
    }
  }
}

const appliedIn = (village: Village, group: GroupId): number => village.members[0]!.replicas.get(group)!.applied.length

describe("consensus over the carrier", () => {
  it("raft: two groups over one session a pair: both elect, commit and agree; entries longer than a frame too", () => {
    const village = new Village(1)
    village.settle()
    for (const [index, group] of groups.entries()) {
      const running = [village.propose(group, toUtf8(`short ${index}`)), village.propose(group, seededRandom(1).bytes(300_000).fill(65))]
      village.country.passUntil(() => running.every((one) => one?.exit !== undefined))
      expect(running.map((one) => one!.exit!._tag)).toEqual(["Success", "Success"])
    }
    village.settle()
    const dropped = village.members.map(({ over }) => Object.fromEntries(over!.dropped()))
    for (const one of dropped) expect(Object.keys(one).filter((why) => why !== "UnknownGroup")).toEqual([])
    for (const { station } of village.members) expect(station.carrier!.status().peers.every(({ hasSession }) => hasSession)).toBe(true)
  })

  it("raft: what is no message, of no group here, of another's replica or for another: dropped, counted, and nobody is harmed", () => {
    const village = new Village(2)
    village.settle()
    const [a, b, c] = village.members as [Member, Member, Member]
    const before = b.over!.dropped()
    const from = (replica: string, to: string, group = groups[0]!) => encodeMessage({ group, message: { from: replica, to, term: 1_000_000, body: { _tag: "Heard", round: 1 } } })
    const notes = [seededRandom(1).bytes(50), from(a.station.id, b.station.id, "77".repeat(16) as GroupId), from(c.station.id, b.station.id), from("nobody", b.station.id), from(a.station.id, c.station.id)]
    for (const bytes of notes) a.station.run(a.station.carrier!.note(b.station.id, topics.raft, bytes, 0))
    village.country.pass(1000)
    const after = b.over!.dropped()
    expect((["Malformed", "UnknownGroup", "Misaddressed"] as const).map((why) => (after.get(why) ?? 0) - (before.get(why) ?? 0))).toEqual([1, 1, 3])
    // A term of a million would have made everybody a follower of nobody.
    for (const { replicas } of village.members) for (const { raft } of replicas.values()) expect(raft!.status().term).toBeLessThan(100)
  })

  it("raft: who was away for longer than the log is kept fetches a state over the same session, and follows on", () => {
    const village = new Village(3)
    village.settle()
    const away = village.members.find((member) => groups.every((group) => village.leaderOf(group) !== member))!
    away.powerOff()
    for (let count = 0; count < 30; count += 1) {
      for (const group of groups) village.propose(group, toUtf8(`entry ${count}`))
      village.country.pass(100)
    }
    for (const member of village.members) if (member !== away) for (const group of groups) member.save(group)
    village.country.pass(3000)
    away.start()
    village.settle()
    for (const group of groups) expect(away.replicas.get(group)!.fetched).toBe(1)
    expect(appliedIn(village, groups[0]!)).toBeGreaterThan(30)
  })

  it("raft: through partitions, loss and power cuts no two replicas apply different entries, and once all is calm all apply the same", { timeout: 180_000 }, () => {
    const from = Number(process.env["RAFT_FROM"] ?? 1)
    const count = Number(process.env["RAFT_SEEDS"] ?? 4)
    let [applied, fetched] = [0, 0]
    for (let seed = from; seed < from + count; seed += 1) {
      const village = new Village(seed, drawNetworkPlan(seededRandom(seed)))
      const { country } = village
      const { random } = country
      country.network.begin()
      for (let turn = 0; turn < 200; turn += 1) {
        country.pass(100)
        const group = random.pick(groups)
        if (random.chance(0.5)) village.propose(group, random.chance(0.1) ? random.bytes(100_000).fill(66) : toUtf8(`${seed} ${turn}`))
        const member = random.pick(village.members)
        if (random.chance(0.03) && member.station.life.isOn) {
          member.powerOff()
          country.timeline.after(random.below(4_000_000), () => { if (!member.station.life.isOn) member.start() })
        }
        if (random.chance(0.05)) member.save(group)
      }
      country.network.heal()
      country.pass(6000)
      try {
        village.settle()
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error })
      }
      applied += appliedIn(village, groups[0]!)
      fetched += village.members.reduce((sum, { replicas }) => sum + [...replicas.values()].reduce((one, replica) => one + replica.fetched, 0), 0)
    }
    expect(applied).toBeGreaterThan(10 * count)
    expect(fetched).toBeGreaterThan(0)
  })
})
