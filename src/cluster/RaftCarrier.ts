/**
 * RaftCarrier: consensus over the carrier: messages of many groups over the one session that two nodes have. Between raft's runners and the carrier.
 *
 * 1. What a group hears comes from the node whose replica said it, as the members' table has it, and is for this node's replica.
 * 2. Votes, heartbeats and what answers them are of level 0, entries of level 1: no batch of entries holds back an election.
 * 3. Nothing here waits: what finds no room is lost, and consensus says it again.
 */
import { Effect, Queue, type Scope } from "effect"
import { assert } from "../base/assert.ts"
import { raftInboxMax, raftTellMs, raftTellsMax } from "../base/raftLimits.ts"
import { carrierFrameBytesMax } from "../base/clusterLimits.ts"
import type { GroupId } from "../base/ids.ts"
import type { CarrierInterface, Handler } from "../carrier/CarrierService.ts"
import type { NodeId } from "../membership/Identity.ts"
import type { ReplicaId } from "../raft/Entry.ts"
import type { Message, MessageBody } from "../raft/Message.ts"
import { RaftFormatError } from "../raft/RaftBytes.ts"
import { decodeMessage, encodeMessage } from "../raft/RaftFormat.ts"
import type { RaftNetwork } from "../raft/RaftService.ts"
import { topics } from "./Topics.ts"

/** Malformed: no message. UnknownGroup: no replica of it runs here. Misaddressed: of another node's replica, or for another replica. Full: too much waits. NoWay: nobody knows where that replica is. Lost: it was not taken. */
export type RaftDrop = "Malformed" | "UnknownGroup" | "Misaddressed" | "Full" | "NoWay" | "Lost"

export interface RaftCarrierInterface {
  /** The network of this node's replica of a group, until the scope closes. One replica a group. */
  readonly group: (group: GroupId, replica: ReplicaId) => Effect.Effect<RaftNetwork, never, Scope.Scope>
  /** Messages that were not handed on. */
  readonly dropped: () => ReadonlyMap<RaftDrop, number>
}

export interface RaftCarrierOptions {
  readonly carrier: CarrierInterface
  /** Whose replica that is; undefined: nobody's that is a member. */
  readonly nodeOf: (group: GroupId, replica: ReplicaId) => NodeId | undefined
}

interface Group {
  readonly id: GroupId
  readonly replica: ReplicaId
  readonly inbox: Queue.Queue<Message>
}

interface Room extends RaftCarrierOptions {
  readonly groups: Map<GroupId, Group>
  readonly drops: Map<RaftDrop, number>
  readonly scope: Scope.Scope
  /** Messages of more than one frame under way. */
  tells: number
}

/** Serves until the scope closes. */
export const raftOverCarrier = Effect.fnUntraced(function*(options: RaftCarrierOptions): Effect.fn.Return<RaftCarrierInterface, never, Scope.Scope> {
  const room: Room = { ...options, groups: new Map(), drops: new Map(), scope: yield* Effect.scope, tells: 0 }
  yield* options.carrier.serve(topics.raft, hear(room))
  return { group: (id, replica) => Effect.map(join(room, id, replica), (group) => networkOf(room, group)), dropped: () => new Map(room.drops) }
})

const join = ({ groups }: Room, id: GroupId, replica: ReplicaId): Effect.Effect<Group, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.gen(function*() {
      assert(!groups.has(id), `group ${id} has one replica on a node`)
      const group: Group = { id, replica, inbox: yield* Queue.dropping<Message>(raftInboxMax) }
      groups.set(id, group)
      return group
    }),
    ({ inbox }) => Effect.andThen(Effect.sync(() => groups.delete(id)), Queue.shutdown(inbox))
  )

const drop = ({ drops }: Room, why: RaftDrop): void => void drops.set(why, (drops.get(why) ?? 0) + 1)

const nothing = new Uint8Array(0)

const hear = (room: Room): Handler => ({ bytes, from }) =>
  Effect.sync(() => {
    const why = take(room, bytes, from)
    if (why !== undefined) drop(room, why)
    return nothing
  })

const take = (room: Room, bytes: Uint8Array, from: NodeId): RaftDrop | undefined => {
  const said = decodeMessage(bytes)
  if (said instanceof RaftFormatError) return "Malformed"
  const group = room.groups.get(said.group)
  if (group === undefined) return "UnknownGroup"
  if (room.nodeOf(said.group, said.message.from) !== from || said.message.to !== group.replica) return "Misaddressed"
  return Queue.offerUnsafe(group.inbox, said.message) ? undefined : "Full"
}

const networkOf = (room: Room, group: Group): RaftNetwork => ({
  receive: Queue.take(group.inbox),
  send: (message) => Effect.suspend(() => {
    const to = room.nodeOf(group.id, message.to)
    if (to === undefined) return Effect.sync(() => drop(room, "NoWay"))
    const bytes = encodeMessage({ group: group.id, message })
    if (bytes.length <= carrierFrameBytesMax) return room.carrier.note(to, topics.raft, bytes, levelOf(message.body))
    return tell(room, to, bytes)
  })
})

/** Longer than a frame: in pieces, which come all or not at all. Its sender waits for nothing. */
const tell = (room: Room, to: NodeId, bytes: Uint8Array): Effect.Effect<unknown> => {
  if (room.tells >= raftTellsMax) return Effect.sync(() => drop(room, "Lost"))
  room.tells += 1
  const told = Effect.matchEffect(room.carrier.tell(to, topics.raft, bytes, { level: 1, deadlineMs: raftTellMs }), {
    onSuccess: () => Effect.void,
    onFailure: (error) => Effect.andThen(Effect.sync(() => drop(room, "Lost")), Effect.logDebug(`raft: ${error.message}`))
  })
  return Effect.map(Effect.forkIn(told, room.scope), (fiber) => fiber.addObserver(() => { room.tells -= 1 }))
}

const levelOf = (body: MessageBody): 0 | 1 =>
  (body._tag === "Append" && body.entries.length > 0) || body._tag === "EntriesWanted" || body._tag === "EntriesFound" || body._tag === "Offer" || body._tag === "StateFound" ? 1 : 0
