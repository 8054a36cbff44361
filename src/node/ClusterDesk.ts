/**
 * ClusterDesk: what an operator asks of a node's part of its cluster, answered from the members' table, the replica and the carrier. Between the admin address (ClusterRoutes) and the
 * rooms of membership and cluster.
 */
import { Clock, DateTime, Effect, type Scope } from "effect"
import { askHandOver, type HandingOver, handOverBeforeStop, serveHandOver } from "../cluster/HandOver.ts"
import { type ClusterControl, type ClusterMemberJson, ClusterRefused, type ClusterStatusJson } from "../gateway/admin/ClusterRoutes.ts"
import type { NodeAvailability } from "../membership/Availability.ts"
import { readCertificate } from "../membership/Certificate.ts"
import type { NodeId } from "../membership/Identity.ts"
import { pendingIn } from "../membership/JoinBook.ts"
import { joinTokenText } from "../membership/JoinToken.ts"
import type { MembershipRecord, MemberRow } from "../membership/Membership.ts"
import { MembershipError } from "../membership/MembershipError.ts"
import type { MembershipFailure, MembershipInterface } from "../membership/MembershipService.ts"
import { isJoint } from "../raft/Configuration.ts"
import type { ReplicaId } from "../raft/Entry.ts"
import type { RaftStatus } from "../raft/RaftService.ts"
import type { Replica } from "../replica/ReplicaService.ts"
import type { MemberLink } from "./MemberLink.ts"

export interface ClusterDesk {
  readonly control: ClusterControl
  readonly handOver: Effect.Effect<void>
  /** From here on it can do more than say who is there. */
  readonly begin: (replica: Replica, membership: MembershipInterface) => Effect.Effect<void, never, Scope.Scope>
}

interface Begun {
  readonly replica: Replica
  readonly membership: MembershipInterface
  readonly handing: HandingOver
}

interface Desk {
  readonly self: NodeId
  readonly link: MemberLink
  begun: Begun | undefined
}

export const clusterDesk = ({ link, self }: Pick<Desk, "link" | "self">): ClusterDesk => {
  const desk: Desk = { self, link, begun: undefined }
  const control: ClusterControl = {
    status: status(desk),
    invite: (how) => within(desk, ({ membership }) => Effect.map(membership.invite(how), (token) => ({ token: joinTokenText(token), expiresMs: token.expiresMs }))),
    pending: within(desk, ({ membership }) => membership.pending),
    approve: (node) => within(desk, ({ membership }) => decided(membership, node, membership.approve)),
    deny: (node) => within(desk, ({ membership }) => decided(membership, node, membership.deny)),
    remove: (node, isForced) => within(desk, ({ replica }) =>
      Effect.flatMap(memberNamed(link.record(), node), (id) => Effect.as(replica.members.change({ _tag: "Leaving", node: id, isForced }), { node: id }))),
    transfer: (to) => within(desk, ({ handing }) => Effect.gen(function*() {
      const wanted = to === undefined ? undefined : yield* memberNamed(link.record(), to)
      const leader = yield* Effect.mapError(askHandOver(link.carrier, handing, wanted), ({ message }) => new ClusterRefused({ code: "Refused", detail: message }))
      return { leader }
    }))
  }
  return {
    control,
    handOver: Effect.suspend(() => (desk.begun === undefined ? Effect.void : handOverBeforeStop(desk.begun.handing))),
    begin: (replica, membership) => Effect.gen(function*() {
      const handing: HandingOver = { raft: replica.raft, self, isUp: link.isUp }
      desk.begun = { replica, membership, handing }
      yield* serveHandOver(link.carrier, handing)
    })
  }
}

const refusedAs = (error: ClusterRefused | MembershipFailure): ClusterRefused => {
  if (error instanceof ClusterRefused) return error
  if (error instanceof MembershipError) return new ClusterRefused({ code: "Refused", detail: error.detail })
  return new ClusterRefused({ code: "NoQuorum", detail: `${error.detail}: nothing, or not all, may have happened: look with \`ouroboros cluster status\`, and ask again` })
}

/** Looked at when it is asked: `pending` is made before the replica has begun. */
const within = <A>(desk: Desk, use: (begun: Begun) => Effect.Effect<A, ClusterRefused | MembershipFailure>): Effect.Effect<A, ClusterRefused> =>
  Effect.suspend(() => {
    const { begun } = desk
    return begun === undefined ? Effect.fail(new ClusterRefused({ code: "NoQuorum", detail: "this node has not begun: ask again in a moment" })) : Effect.mapError(use(begun), refusedAs)
  })

const prefixDigits = 8

interface Named {
  readonly node: NodeId
  readonly name: string
}

/** By id, by its beginning, or by name. */
const oneOf = (all: ReadonlyArray<Named>, wanted: string, code: "NoSuchNode" | "NotPending"): Effect.Effect<NodeId, ClusterRefused> => {
  const found = all.filter(({ name, node }) => name === wanted || (wanted.length >= prefixDigits && node.startsWith(wanted)))
  const [first] = found
  if (first !== undefined && found.length === 1) return Effect.succeed(first.node)
  if (found.length > 1) return Effect.fail(new ClusterRefused({ code, detail: `"${wanted}" fits ${found.map(({ node }) => node.slice(0, 12)).join(", ")}: give an id, or its first digits` }))
  return Effect.fail(new ClusterRefused({ code, detail: code === "NoSuchNode" ? `no member is called "${wanted}", by name or by the first ${prefixDigits} or more digits of its id: see \`ouroboros cluster status\`` : `no node "${wanted}" waits to join: see \`ouroboros cluster pending\`` }))
}

/** By its id, the first digits of it, or its name. */
export const memberNamed = ({ members }: MembershipRecord, wanted: string): Effect.Effect<NodeId, ClusterRefused> =>
  oneOf([...members].map(([node, { member: { name } }]) => ({ node, name })), wanted, "NoSuchNode")

const decided = (membership: MembershipInterface, wanted: string, decide: (node: NodeId) => Effect.Effect<void, MembershipFailure>) =>
  Effect.gen(function*() {
    const node = yield* oneOf(yield* membership.pending, wanted, "NotPending")
    yield* decide(node)
    return { node }
  })

const isoOf = (ms: number): string => DateTime.formatIso(DateTime.makeUnsafe(ms))

const certificateUntil = ({ certificate }: MemberRow): string => {
  const read = readCertificate(certificate)
  return read instanceof MembershipError ? "unreadable" : isoOf(read.notAfterMs)
}

const roleOf = (node: ReplicaId, { leaving }: MemberRow, raft: RaftStatus | undefined): ClusterMemberJson["role"] => {
  if (raft?.leader === node) return "leader"
  if (leaving !== undefined) return "leaving"
  if (raft === undefined) return "joining"
  const { learners, outgoing, voters } = raft.configuration
  if ((isJoint(raft.configuration) ? outgoing : voters).includes(node)) return "voter"
  return voters.includes(node) || learners.includes(node) ? "learner" : "joining"
}

/** Until it is over those who voted before it are still needed: a newcomer makes up for none of them. */
const isChanging = ({ commit, configuration, configurationIndex }: RaftStatus): boolean => isJoint(configuration) || configurationIndex > commit

interface Seen {
  readonly self: NodeId
  readonly raft: RaftStatus | undefined
  readonly availability: ReadonlyMap<NodeId, NodeAvailability>
  readonly offsets: ReadonlyMap<NodeId, number>
}

const memberJson = ({ availability, offsets, raft, self }: Seen, node: NodeId, row: MemberRow): ClusterMemberJson => {
  const seen = availability.get(node)
  const offsetMs = offsets.get(node)
  const { addresses, name, sinceEpoch } = row.member
  return {
    node, name, addresses, role: roleOf(node, row, raft), sinceEpoch, certificateUntil: certificateUntil(row),
    standing: node === self ? "self" : seen === undefined ? "unknown" : standings[seen.standing],
    ...(seen === undefined ? {} : { silentMs: Math.round(seen.silentMs), comings: seen.turns.slice(-comingsShown).map(({ atMs, standing }) => ({ at: isoOf(atMs), standing: standings[standing] })) }),
    ...(offsetMs === undefined ? {} : { clockOffsetMs: Math.round(offsetMs) })
  }
}

const comingsShown = 8
const standings = { Unknown: "unknown", Up: "up", Down: "down" } as const

const status = (desk: Desk): Effect.Effect<ClusterStatusJson> =>
  Effect.gen(function*() {
    const { begun, link, self } = desk
    const record = link.record()
    const raft = begun?.replica.raft.status()
    const carrier = link.carrier.status()
    const seen: Seen = {
      self, raft, availability: new Map((yield* link.availability.status).map((one) => [one.node, one])),
      offsets: new Map(carrier.peers.flatMap(({ clock, id }) => (clock === undefined ? [] : [[id, clock.offsetMs] as const])))
    }
    const members = [...record.members].map(([node, row]) => memberJson(seen, node, row))
    const quorum = raft !== undefined && isQuorum(raft, seen)
    return {
      cluster: record.cluster, node: self, epoch: record.epoch, term: raft?.term ?? 0, leader: raft?.leader ?? null, commit: raft?.commit ?? 0, applied: raft?.applied ?? 0,
      quorum, changing: raft !== undefined && isChanging(raft), members, pending: pendingIn(record.book).length, warnings: warningsOf(raft, quorum, members, yield* Clock.currentTimeMillis)
    }
  })

const isQuorum = ({ configuration: { outgoing, voters }, leader }: RaftStatus, { availability, self }: Seen): boolean => {
  const isThere = (id: ReplicaId): boolean => id === self || availability.get(id as NodeId)?.standing === "Up"
  const most = (ids: ReadonlyArray<ReplicaId>): boolean => ids.length === 0 || 2 * ids.filter(isThere).length > ids.length
  return leader !== undefined && most(voters) && most(outgoing)
}

const warnDaysBefore = 14

const warningsOf = (raft: RaftStatus | undefined, quorum: boolean, members: ReadonlyArray<ClusterMemberJson>, nowMs: number): ReadonlyArray<string> => [
  ...(raft === undefined ? ["this node's replica has not begun"] : []),
  ...(raft?.failure === undefined ? [] : [`this node's replica promises nothing any more: ${raft.failure}; restart the node`]),
  ...(raft === undefined || !isChanging(raft) ? [] : ["who votes is being changed: until that is over, those who voted before it are still needed"]),
  ...(raft === undefined || quorum ? [] : ["a majority of the voters is not heard: nothing is read or written until it is"]),
  ...members.filter(({ standing }) => standing === "down").map(({ name, node, silentMs }) => `${name} (${node.slice(0, 12)}) is down, not heard for ${Math.round((silentMs ?? 0) / 1000)} s`),
  ...members.filter(({ certificateUntil: until }) => Date.parse(until) < nowMs + warnDaysBefore * 86_400_000).map(({ certificateUntil: until, name }) => `the certificate of ${name} ends at ${until}, and was not renewed`)
]
