/**
 * LeadService: what a leader does with a request: answers it from what its session keeps, or stamps it with sequence and time and proposes
 * it. Between whoever asks, here or at another replica, and RaftService.
 *
 * 1. It stamps once it has applied an entry of its own term: then it knows all that was committed before (the barrier), and all that
 *    follows is stamped by itself. It counts on from one to the next without waiting for them.
 * 2. Where one was not taken, or came to nothing, those behind it have the wrong sequence, change nothing, and are stamped anew by those who
 *    ask: it waits until none is under way, and counts from the state again.
 * 3. Times are later than all that is applied, was stamped, or was read as of (R6).
 * 4. One request is under way once: who asks for it again waits for the same answer.
 *
 * None of this is what keeps a log right: apply judges every entry by what it says. It is what keeps entries from being in vain.
 */
import { Clock, Deferred, Effect, Exit, Fiber, Latch, type Scope, Semaphore } from "effect"
import { commitBytesMax } from "../base/limits.ts"
import { leadInFlightBytesMax, leadInFlightMax, leadQueuedMax, settleAheadMsMax } from "../base/replicaLimits.ts"
import { type HybridTime, hybridTime, millisOf, nextHybridTime } from "../base/time.ts"
import { MembershipError } from "../membership/MembershipError.ts"
import { decodeMembershipChange } from "../membership/RecordFormat.ts"
import type { Entry } from "../namespace/Entry.ts"
import { sealEntry } from "../namespace/LoggedEntry.ts"
import { takesSpace } from "../namespace/SpaceRule.ts"
import type { Sequence } from "../base/ids.ts"
import type { RaftError, RaftInterface } from "../raft/RaftService.ts"
import { type FeatureLevel, tooNew } from "./FeatureLevel.ts"
import type { ReplicaMachine } from "./MachineService.ts"
import { commandFormat, requestOf, withKeys } from "./ReplicaFormat.ts"
import { timeBefore, type ReplicaContext } from "./ReplicaApply.ts"
import type { AgainReason, Command, Reply, RequestId, Unstamped } from "./Request.ts"
import { judge } from "./Sessions.ts"

export interface Leading extends ReplicaContext {
  readonly machine: Pick<ReplicaMachine, "state" | "term">
  readonly raft: RaftInterface<Reply>
  /** The disk is nearly full: only what gives space back is taken (R11). */
  readonly spaceLow: () => boolean
}

/** What a leader does; a replica that is none says who is. Nothing of it fails: a Reply says what came of it. */
export interface Lead {
  readonly commit: (change: Unstamped) => Effect.Effect<Reply>
  readonly openSession: Effect.Effect<Reply>
  readonly settle: (timeMs: number) => Effect.Effect<Reply>
  /** Bytes of a MembershipChange. */
  readonly members: (bytes: Uint8Array) => Effect.Effect<Reply>
  /** From then on the cluster's feature level is at least that. */
  readonly raise: (level: FeatureLevel) => Effect.Effect<Reply>
}

interface Room extends Leading {
  readonly scope: Scope.Scope
  readonly clock: Clock.Clock
  /** Held while one is stamped and given to Raft: their order is the log's. */
  readonly stamping: Semaphore.Semaphore
  readonly underWay: Map<string, Deferred.Deferred<Reply>>
  /** Of the newest that was stamped; undefined: the state's is the last. */
  sequence: Sequence | undefined
  time: HybridTime
  inFlight: number
  bytesInFlight: number
  /** One came to nothing: those behind it have the wrong sequence. */
  isOff: boolean
  /** Whoever has to wait closes it; it opens with the next that is over, or the last one. */
  readonly idle: Latch.Latch
}

export const makeLead = Effect.fnUntraced(function*(leading: Leading) {
  const room: Room = {
    ...leading, scope: yield* Effect.scope, clock: yield* Clock.Clock, stamping: Semaphore.makeUnsafe(1), underWay: new Map(), sequence: undefined, time: 0n, inFlight: 0, bytesInFlight: 0, isOff: false,
    idle: Latch.makeUnsafe(true)
  }
  const lead: Lead = { commit: (change) => commit(room, change), openSession: openSession(room), settle: (timeMs) => settle(room, timeMs), members: (bytes) => members(room, bytes), raise: (level) => raise(room, level) }
  return lead
})

const again = (room: Room, reason: AgainReason): Reply => {
  const { leader } = room.raft.status()
  return leader === undefined ? { _tag: "Again", reason } : { _tag: "Again", reason, leader }
}

/** Why it may not stamp now. */
const whyNot = (room: Room): Reply | undefined => {
  const { role, term } = room.raft.status()
  if (role !== "Leader") return again(room, "NotLeader")
  return room.machine.term() === term ? undefined : again(room, "Settling")
}

const nameOf = ({ number, session }: RequestId): string => `${session}/${number}`

const commit = (room: Room, change: Unstamped): Effect.Effect<Reply> =>
  Effect.suspend(() => {
    const { machine: { state }, sessions, underWay } = room
    const reason = whyNot(room)
    if (reason !== undefined) return Effect.succeed(reason)
    const verdict = judge(state.reader, change.request, sessions)
    if (verdict._tag === "Answered") return Effect.succeed<Reply>({ _tag: "Done", ...withKeys(verdict.done, change.change) })
    if (verdict._tag === "Refused") return refused(room, change, verdict)
    const why = tooNew(state.reader, change.change, room.levels)
    if (why !== undefined) return Effect.succeed<Reply>({ _tag: "Unavailable", reason: "Stopped", detail: why })
    if (takesSpace(change.change) && room.spaceLow()) return Effect.succeed(nearlyFull)
    const name = nameOf(change.request)
    const known = underWay.get(name)
    if (known !== undefined) return Deferred.await(known)
    if (underWay.size >= leadQueuedMax) return Effect.succeed(again(room, "Busy"))
    const answer = Deferred.makeUnsafe<Reply>()
    underWay.set(name, answer)
    return Effect.andThen(Effect.forkIn(carry(room, change, name, answer), room.scope, { startImmediately: true }), Deferred.await(answer))
  })

/** One that leads no longer may not know a session of the next one's: it says so once a quorum has said that it leads. */
const refused = (room: Room, change: Unstamped, verdict: Reply): Effect.Effect<Reply> =>
  Effect.match(room.raft.read, {
    onFailure: () => again(room, "NotLeader"),
    onSuccess: () => (judge(room.machine.state.reader, change.request, room.sessions)._tag === "Refused" ? verdict : again(room, "Settling"))
  })

const nearlyFull: Reply = { _tag: "Unavailable", reason: "DiskFull", detail: "the disk is nearly full, what is left is kept for deletions: delete, or add space, then send it again" }

/** It goes on whoever waits: once proposed it may come true. */
const carry = (room: Room, change: Unstamped, name: string, answer: Deferred.Deferred<Reply>): Effect.Effect<void> =>
  Effect.onExit(Effect.flatMap(room.stamping.withPermit(stamped(room, change)), (proposed) => proposed), (exit) => Effect.sync(() => {
    room.underWay.delete(name)
    const reply: Reply = Exit.isSuccess(exit) ? exit.value : again(room, "Unknown")
    Deferred.doneUnsafe(answer, Exit.succeed(reply._tag === "Done" ? { ...reply, ...withKeys(reply, change.change) } : reply))
  })).pipe(Effect.asVoid)

/** The outer effect stamps and hands over, in turn; the inner one waits for what comes of it. */
const stamped = (room: Room, change: Unstamped): Effect.Effect<Effect.Effect<Reply>> =>
  Effect.suspend(() => {
    if ((room.isOff && room.inFlight > 0) || room.inFlight >= leadInFlightMax || room.bytesInFlight >= leadInFlightBytesMax) {
      room.idle.closeUnsafe()
      return Effect.andThen(room.idle.await, stamped(room, change))
    }
    const reason = whyNot(room)
    if (reason !== undefined) return Effect.succeed(Effect.succeed(reason))
    const entry = stamp(room, change)
    const sealed = sealEntry(room.sealer, entry)
    if (sealed === undefined) return Effect.succeed(Effect.succeed(tooLarge(entry)))
    room.sequence = entry.sequence
    room.time = entry.time
    return handed(room, { _tag: "Commit", term: room.raft.status().term, sealed }, sealed.length, entry.sequence)
  })

const tooLarge = ({ change }: Entry): Reply => ({ _tag: "Unavailable", reason: "CommitTooLarge", detail: `${change._tag} is too large for one commit of ${commitBytesMax} bytes; split it` })

const stamp = (room: Room, { request, ...change }: Unstamped): Entry => {
  const { state } = room.machine
  const at = state.stamp()
  if (room.inFlight === 0) {
    room.sequence = undefined
    room.isOff = false
  }
  const floor = timeBefore(state.reader, at)
  const time = nextHybridTime(room.time > floor ? room.time : floor, room.clock.currentTimeMillisUnsafe())
  return { ...change, sequence: (room.sequence ?? at.sequence) + 1, time, request: requestOf(request) }
}

/** Raft has it once this returns; what it gives waits for it to be applied. */
const handed = (room: Room, command: Command, sizeBytes: number, sequence: Sequence): Effect.Effect<Effect.Effect<Reply>> => {
  room.inFlight += 1
  room.bytesInFlight += sizeBytes
  const proposed = Effect.map(proposing(room, command), (reply) => {
    room.inFlight -= 1
    room.bytesInFlight -= sizeBytes
    // What had been done under its name before took no sequence.
    if (reply._tag !== "Done" || reply.sequence !== sequence) room.isOff = true
    if (room.inFlight === 0 || !room.isOff) room.idle.openUnsafe()
    return reply
  })
  return Effect.map(Effect.forkIn(proposed, room.scope, { startImmediately: true }), Fiber.join)
}

const proposing = (room: Room, command: Command): Effect.Effect<Reply> =>
  Effect.catch(room.raft.propose(commandFormat.encode(command)), ({ reason }) => Effect.succeed(again(room, reasonOf(reason))))

/** A replica whose journal failed, or that is lost, is none that leads. */
const reasonOf = (reason: RaftError["reason"]): AgainReason => {
  switch (reason) {
    case "NotLeader": case "Transferring": case "NoVoters": case "Failed": case "Lost": case "Misused": case "Unanswered":
      return "NotLeader"
    case "Busy": case "UnderWay":
      return "Busy"
    case "Superseded":
      return "Stale"
    case "Unknown":
      return "Unknown"
  }
}

const openSession = (room: Room): Effect.Effect<Reply> =>
  Effect.suspend(() => {
    const reason = whyNot(room)
    return reason === undefined ? proposing(room, { _tag: "OpenSession", timeMs: room.clock.currentTimeMillisUnsafe() }) : Effect.succeed(reason)
  })

const raise = (room: Room, level: FeatureLevel): Effect.Effect<Reply> =>
  Effect.suspend(() => {
    const reason = whyNot(room)
    return reason === undefined ? proposing(room, { _tag: "Raise", level }) : Effect.succeed(reason)
  })

/** What is stamped already may have an earlier time: it is in the log before the word that none may; what is stamped from now on has none. */
const settle = (room: Room, timeMs: number): Effect.Effect<Reply> =>
  Effect.suspend((): Effect.Effect<Reply> => {
    const reason = whyNot(room)
    if (reason !== undefined) return Effect.succeed(reason)
    const { state } = room.machine
    const asked = hybridTime(timeMs, 0xffff)
    if (asked <= timeBefore(state.reader, state.stamp())) return Effect.succeed({ _tag: "Settled" })
    const nowMs = Math.max(room.clock.currentTimeMillisUnsafe(), millisOf(state.stamp().time))
    if (timeMs > nowMs + settleAheadMsMax) return Effect.succeed({ _tag: "Refused", reason: "Misused" })
    if (asked > room.time) room.time = asked
    return proposing(room, { _tag: "Settle", timeMs })
  })

/** What this program cannot read does not go into the log, where every replica would have to. The log judges the rest, also where it is refused. */
const members = (room: Room, bytes: Uint8Array): Effect.Effect<Reply> =>
  Effect.suspend(() => {
    const reason = whyNot(room)
    if (reason !== undefined) return Effect.succeed(reason)
    const change = decodeMembershipChange(bytes)
    return change instanceof MembershipError
      ? Effect.succeed<Reply>({ _tag: "MembersRefused", index: 0, what: change.what, reason: change.reason, detail: change.detail })
      : proposing(room, { _tag: "Members", bytes })
  })
