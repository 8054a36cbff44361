/**
 * GrowingMembers: whole stores of a cluster that begins with one member: others are let in by the members' own words, leave, and are removed, and the steward brings consensus
 * behind. Between Members, which runs them, and stories. A node's folder has the newest record that it has seen, as a process keeps it.
 */
import { Effect } from "effect"
import { seededEntropy } from "../../sim/Entropy.ts"
import type { NetworkPlan } from "../../sim/faults/NetworkPlan.ts"
import type { CarrierInterface } from "../../src/carrier/CarrierService.ts"
import { followTables } from "../../src/cluster/TableCarrier.ts"
import { membershipOver } from "../../src/cluster/MembershipReplica.ts"
import type { Step } from "../../src/cluster/Steward.ts"
import { encodePublicIdentity, type NodeId } from "../../src/membership/Identity.ts"
import { foundCluster, identitiesIn, type MembershipRecord } from "../../src/membership/Membership.ts"
import { makeMembership, type MembershipInterface } from "../../src/membership/MembershipService.ts"
import { readAnswer, signAsk } from "../../src/membership/Message.ts"
import { Member } from "../../src/node/MemberLayer.ts"
import type { StoreOptions } from "../../src/node/StoreLayer.ts"
import { configurationOf, noConfiguration } from "../../src/raft/Configuration.ts"
import { noSnapshot } from "../../src/raft/RaftLog.ts"
import { grownPlace } from "../../src/replica/GrowService.ts"
import type { Replica } from "../../src/replica/ReplicaService.ts"
import { good, noise, nowMs } from "../membership/fixtures.ts"
import { type Host, Members, type MembersOptions, type Rooms, type Wiring } from "./Members.ts"

/** Silence after which a node counts as gone. */
const silentMs = 4000

export class GrowingMembers {
  readonly members: Members
  /** What each folder has. */
  readonly known = new Map<Host, MembershipRecord>()
  readonly steps: Array<Step> = []
  readonly #heardMs = new Map<Host, Map<string, number>>()

  /** What the first one has, where it was a store of its own: made ready for it (GrowFolder). */
  readonly #alone: Pick<Host, "disk" | "index"> | undefined

  constructor(count: number, seed: number, plan: NetworkPlan, options: Partial<StoreOptions> = {}, { alone, ...more }: Pick<MembersOptions, "starts" | "levels" | "applied"> & { readonly alone?: Pick<Host, "disk" | "index"> } = {}) {
    this.#alone = alone
    this.members = new Members(count, seed, plan, options, { ...more, started: 0, isWatched: alone === undefined, wiring: (host, carrier) => this.#wire(host, carrier) })
    const first = this.members.hosts[0]!
    Object.assign(first, alone)
    const record = this.#founded(first)
    this.begin(first, record)
    this.members.ready([first])
    this.members.do(first, Effect.flatMap(Member, ({ members }) => members.change({ _tag: "Founded", record })))
  }

  #founded({ station: { identity } }: Host): MembershipRecord {
    const { cluster, pairs, seed } = this.#country.scene
    return foundCluster({ pairs, cluster, identity, authoritySeed: seed, serials: [noise(9)(16), noise(10)(16)], name: "first", addresses: [], nowMs })
  }

  get #country() {
    return this.members.country
  }

  #membershipOf(host: Host, replica: Pick<Replica, "members" | "fence">): MembershipInterface {
    const { random, scene } = this.#country
    return makeMembership({ self: host.station.identity, pairs: scene.pairs, entropy: seededEntropy(random.fork()), store: membershipOver(replica) })
  }

  #wire(host: Host, carrier: CarrierInterface): Wiring {
    const { station } = host
    const heardMs = new Map<string, number>()
    this.#heardMs.set(host, heardMs)
    const nowMsOf = (): number => this.#country.nowMs
    station.hears = (from) => void heardMs.set(from, nowMsOf())
    const follow = (record: MembershipRecord): void => {
      // A log that is read again from its beginning does not take anybody's place.
      if (record.epoch < this.known.get(host)!.epoch) return
      this.known.set(host, record)
      station.machine.fork(carrier.setMembers(identitiesIn(record)))
    }
    const tables = followTables(carrier, {
      self: station.id, record: () => this.known.get(host)!, isLed: () => host.replica?.raft.status().leader !== undefined, follow: (record) => Effect.sync(() => follow(record))
    })
    const isFirst = host === this.members.hosts[0]
    const begin = isFirst && this.#alone !== undefined ? grownPlace(configurationOf([station.id])) : { ...noSnapshot, configuration: isFirst ? configurationOf([station.id]) : noConfiguration }
    return {
      before: Effect.andThen(Effect.suspend(() => carrier.setMembers(identitiesIn(this.known.get(host)!))), tables),
      member: {
        nodeOf: (replica) => (this.known.get(host)!.members.has(replica as NodeId) ? replica as NodeId : undefined),
        ...(host.hasBegun ? {} : { begin }),
        wasAlone: isFirst && this.#alone !== undefined,
        membersChanged: follow,
        steward: (replica) => ({
          isUp: (id) => nowMsOf() - (heardMs.get(id) ?? Number.NEGATIVE_INFINITY) < silentMs, remove: (node) => this.#membershipOf(host, replica).remove(node),
          stepped: (step) => void this.steps.push(step)
        })
      }
    }
  }

  /** For a node that shall join, asked of `by`: its record, once it is let in. */
  admission(host: Host, by: Host): Effect.Effect<MembershipRecord, unknown, Rooms> {
    const { scene } = this.#country
    const { identity } = host.station
    return Effect.gen({ self: this }, function*() {
      const replica = yield* Member
      const membership = this.#membershipOf(by, replica)
      const token = yield* membership.invite({ lifeMs: 3_600_000, isApproved: true })
      const atMs = Math.floor(nowMs + this.#country.nowMs)
      const asked = signAsk(identity, {
        _tag: "JoinAsk", version: 1, cluster: scene.cluster, nonce: this.#country.random.bytes(32), atMs, token: token.id, identity: encodePublicIdentity(identity.shown), name: "more", addresses: [], program: "0"
      }, token)
      good(readAnswer(scene.pairs, yield* membership.answer(asked), asked, token, atMs))
      return replica.members.current()!
    })
  }

  /** It begins with what it was told when it was let in. */
  begin(host: Host, record: MembershipRecord): void {
    this.known.set(host, record)
    this.members.start(host)
  }

  /** Let in by `by`, and started. */
  admit(host: Host, by: Host): void {
    this.begin(host, this.members.do(by, this.admission(host, by)))
  }

  leaving(host: Host, isForced: boolean): Effect.Effect<MembershipRecord, unknown, Rooms> {
    return Effect.flatMap(Member, ({ members }) => members.change({ _tag: "Leaving", node: host.station.id, isForced }))
  }

  /** By the newest record that any host has. */
  get record(): MembershipRecord {
    return [...this.known.values()].reduce((newest, one) => (one.epoch > newest.epoch ? one : newest))
  }

  isMember({ station }: Host): boolean {
    return this.record.members.has(station.id)
  }

  /** Who votes, as `by` sees it, is who is a member, and nobody is leaving. */
  isSettled(by: Host): boolean {
    const status = by.rooms === undefined ? undefined : Effect.runSync(Effect.provide(Effect.map(Member, ({ raft }) => raft.status()), by.rooms))
    if (status === undefined || status.configurationIndex > status.commit) return false
    const { members } = this.record
    const { learners, outgoing, voters } = status.configuration
    return learners.length === 0 && outgoing.length === 0 && voters.join() === [...members.keys()].sort().join() && [...members.values()].every(({ leaving }) => leaving === undefined)
  }
}
