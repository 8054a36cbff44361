/**
 * ReplicaService: the namespace of a store with several members: the same service as NamespaceService has, over Raft. Between put, get and
 * the gateway on one side, RaftService, the slots of the state and the other replicas on the other.
 *
 * 1. Whichever replica is asked: a change goes to the leader, under a number of this replica's session, until it is answered (R14).
 * 2. Reads look at the rows here. After `fence` they see all that was answered before it began, anywhere (R12).
 * 3. A replica whose state its log cannot bring up to now fetches one before it begins.
 */
import { Effect } from "effect"
import type { GroupId } from "../base/ids.ts"
import { askPauseMs, askPauseMsMax, readMsMax, sessionWindow } from "../base/replicaLimits.ts"
import { hybridTime } from "../base/time.ts"
import type { MembershipRecord } from "../membership/Membership.ts"
import { entryFormat } from "../namespace/Entry.ts"
import { FormatError } from "../namespace/Canonical.ts"
import type { AsOf, Change } from "../namespace/Model.ts"
import { AsOfRefused, type Committed, type NamespaceService, Refused, Unavailable } from "../namespace/Namespace.ts"
import type { NamespaceOptions } from "../namespace/NamespaceService.ts"
import { makeReads } from "../namespace/ReadService.ts"
import { StateError, type StateService } from "../namespace/State.ts"
import { Disk } from "../ports/Disk.ts"
import { Entropy } from "../ports/Entropy.ts"
import { watched } from "../ports/Health.ts"
import { KeyValue } from "../ports/KeyValue.ts"
import type { ReplicaId, SnapshotPlace } from "../raft/Entry.ts"
import type { RaftJournalInterface } from "../raft/RaftJournalService.ts"
import { type RaftInterface, type RaftNetwork, type RaftRunOptions, runRaft } from "../raft/RaftService.ts"
import { type Asking, askLeader, byLead } from "./AskService.ts"
import { monotonicMs, offerOf, pieceOf } from "./FetchService.ts"
import { type FeatureLevels, featureLevels, levelOf, tooNew, tooOld } from "./FeatureLevel.ts"
import { makeLead } from "./LeadService.ts"
import { raising } from "./LevelService.ts"
import { makeMachine, type MachineOptions, type ReplicaMachine } from "./MachineService.ts"
import { type Members, membersOver } from "./MembersService.ts"
import type { Peers } from "./Peers.ts"
import { indexOf, timeBefore } from "./ReplicaApply.ts"
import { decodeAsk, replyFormat, withKeys } from "./ReplicaFormat.ts"
import type { SessionRules } from "./ReplicaRows.ts"
import type { Ask, Reply, RequestId, SessionId, Unstamped } from "./Request.ts"
import { makeOwnSession } from "./OwnSessionService.ts"
import { startSlot } from "./StartService.ts"
import { sessionRules } from "./Sessions.ts"
import type { SlotOptions } from "./SlotService.ts"

export interface ReplicaOptions extends NamespaceOptions {
  readonly group: GroupId
  readonly id: ReplicaId
  readonly journal: RaftJournalInterface
  readonly network: RaftNetwork
  readonly peers: Peers
  readonly state: Omit<SlotOptions, "disk" | "index" | "sealer">
  /** Of a replica that has nothing yet (RaftRunOptions). */
  readonly begin?: SnapshotPlace
  readonly raft?: Pick<RaftRunOptions<Reply>, "options" | "tickMs" | "began" | "observe">
  /** Told at once of the record of members: at start, where there is one, after each entry that changes it, and after another state came. */
  readonly membersChanged?: (record: MembershipRecord) => void
  readonly spaceLow?: () => boolean
  /** Small in tests, and the same on all replicas. */
  readonly sessions?: SessionRules
  /** Another program than this one, in tests. */
  readonly levels?: FeatureLevels
  readonly machine?: Pick<MachineOptions, "observe" | "logBytesMax" | "pieceBytes">
}

export interface Replica {
  /** Reads look at the rows of now, here: `fence` first, where what others were answered must show. */
  readonly namespace: NamespaceService
  readonly state: StateService
  /** Membership, status, hand-over. */
  readonly raft: Pick<RaftInterface<Reply>, "change" | "transfer" | "status">
  /**
   * Once it succeeds reads here see all that was answered when it was called (linearizable); with `ageMsMax`, at least all that was answered so many
   * milliseconds ago (bounded staleness, by this machine's monotonic clock alone). Unavailable NoQuorum where none answers.
   */
  readonly fence: (ageMsMax?: number) => Effect.Effect<void, Unavailable>
  /** For a client with numbers of his own: what he asks under them is done once. */
  readonly openSession: Effect.Effect<SessionId, Unavailable>
  /** The same request again has the same answer. Refused: RequestRefused, where nothing happened under this number now. */
  readonly request: (id: RequestId, change: Change, author: string) => Effect.Effect<Committed | RequestRefused, Refused | Unavailable>
  readonly members: Members
  /** What another replica asked (Peers.ask): its answer's bytes. */
  readonly answer: (ask: Uint8Array) => Effect.Effect<Uint8Array>
}

/** Expired: its session is over. Forgotten: it is too old, and whether it was done is not known any more. Misused: its number was another request's. */
export interface RequestRefused {
  readonly _tag: "RequestRefused"
  readonly reason: "Expired" | "Forgotten" | "Misused"
  /** No earlier attempt at it, by this call, can have come true. */
  readonly isSure: boolean
}

interface Room {
  readonly options: ReplicaOptions
  readonly slots: SlotOptions
  readonly machine: ReplicaMachine
  readonly raft: RaftInterface<Reply>
  readonly asking: Asking
  /** When the newest fence that was answered began. */
  freshMs: number
}

/** Recovers the replica and runs it until the scope closes. */
export const runReplica = Effect.fnUntraced(function*(options: ReplicaOptions) {
  const slots: SlotOptions = { ...options.state, disk: yield* Disk, index: yield* KeyValue, sealer: options.sealer }
  const { begin, group, id, journal, levels = featureLevels, network, peers } = options
  const { founding, open } = yield* startSlot({ slots, journal, group, id, peers, begin })
  const why = tooOld(levelOf(open.state.reader), levels)
  if (why !== undefined) return yield* Effect.andThen(open.close, new StateError({ reason: "UnknownFormat", detail: why }))
  const machine = makeMachine({
    slots, peers, sealer: options.sealer, vertexHash: options.vertexHash, sessions: options.sessions ?? sessionRules, levels, applied: options.applied ?? (() => undefined),
    ...(options.membersChanged === undefined ? {} : { membersChanged: options.membersChanged }), ...options.machine
  }, open, founding)
  // Once Raft has ended: nothing is applied any more.
  yield* Effect.addFinalizer(() => Effect.andThen(machine.atStop, Effect.suspend(() => machine.open().close)))
  const raft = yield* runRaft<Reply>({ group, id, journal, network, machine, entropy: yield* Entropy, ...(begin === undefined ? {} : { begin }), ...options.raft })
  yield* Effect.forkScoped(machine.begin(raft.compact))
  const lead = yield* makeLead({ machine, raft, sealer: options.sealer, vertexHash: options.vertexHash, sessions: options.sessions ?? sessionRules, levels, spaceLow: options.spaceLow ?? (() => false) })
  const room: Room = { options, slots, machine, raft, asking: { id, status: raft.status, peers, lead }, freshMs: Number.NEGATIVE_INFINITY }
  yield* Effect.forkScoped(watched("the cluster's feature level", raising({ id, peers, raft, levels, lead, state: machine.state.reader })))
  const replica: Replica = {
    namespace: namespaceOf(room), state: machine.state, raft, fence: (ageMsMax = 0) => fence(room, ageMsMax), openSession: openSession(room),
    request: (request, change, author) => requested(room, request, change, author), answer: (ask) => answer(room, ask), members: membersOver(room)
  }
  return replica
})

const namespaceOf = (room: Room): NamespaceService => {
  const { machine, options } = room
  const { state } = machine
  const reads = makeReads({ ...options, state, settledAt: () => Effect.void })
  const settled = (asOf: AsOf | undefined): Effect.Effect<void, AsOfRefused> =>
    asOf?._tag === "Time" ? settle(room, asOf.ms, () => new AsOfRefused({ reason: "Future", asked: `${asOf.ms} ms`, oldestReadable: reads.oldestReadable(), head: reads.head().sequence })) : Effect.void
  const own = makeOwnSession(options.sessions?.window ?? sessionWindow, openSession(room))
  return {
    ...reads,
    resolve: (asOf) => Effect.andThen(settled(asOf), reads.resolve(asOf)),
    momentOf: (asOf) => Effect.andThen(settled(asOf), reads.momentOf(asOf)),
    lastChange: machine.lastChange,
    checkpoint: (now = false) => machine.checkpoint(now),
    propose: (change, _, author, once) => own((request) => requested(room, once === undefined ? request : { ...request, name: once }, change, author ?? options.author))
  }
}

const openSession = ({ asking }: Room): Effect.Effect<SessionId, Unavailable> =>
  Effect.flatMap(askLeader(asking, { _tag: "OpenSession" }), ({ reply }) => (reply._tag === "Opened" ? Effect.succeed(reply.session) : Effect.fail(odd(reply))))

const odd = (reply: Reply): Unavailable =>
  reply._tag === "Unavailable" ? new Unavailable({ reason: reply.reason, detail: reply.detail }) : new Unavailable({ reason: "Stopped", detail: `the leader answered ${reply._tag} to what asked for something else: another version?` })

const requested = Effect.fnUntraced(function*({ asking, machine, options }: Room, request: RequestId, change: Change, author: string) {
  const { levels = featureLevels, tenant, vault } = options
  // Whoever leads may be too old to understand what it is asked for.
  const tooSoon = tooNew(machine.state.reader, change, levels)
  if (tooSoon !== undefined) return yield* new Unavailable({ reason: "Stopped", detail: tooSoon })
  const unstamped: Unstamped = { format: entryFormat, group: 0, tenant, vault, author, change, request }
  const { isSure, reply } = yield* askLeader(asking, { _tag: "Propose", change: unstamped })
  if (reply._tag === "Refused") {
    const refused: RequestRefused = { _tag: "RequestRefused", reason: reply.reason, isSure }
    return refused
  }
  if (reply._tag !== "Done") return yield* odd(reply)
  const { answer: given, sequence, time } = withKeys(reply, change)
  if (given._tag !== "Refused") {
    const committed: Committed = { sequence, time, answer: given }
    return committed
  }
  // A branch's new name is at fault only where it is taken.
  const ofSource = change._tag === "Branch" && given.refusal !== "BucketAlreadyOwnedByYou"
  const bucket = ofSource ? change.source : "bucket" in change ? change.bucket : ""
  return yield* new Refused({ refusal: given.refusal, bucket, sequence, ...("key" in change ? { key: change.key } : {}) })
})

/** A commit of that time or before is there, or never will be: known here, or asked of the leader and then waited for. */
const settle = (room: Room, timeMs: number, refusal: () => AsOfRefused): Effect.Effect<void, AsOfRefused> =>
  Effect.suspend(() => {
    const { asking, machine: { state } } = room
    const isKnown = (): boolean => hybridTime(Math.max(0, Math.floor(timeMs)), 0xffff) <= timeBefore(state.reader, state.stamp())
    if (isKnown()) return Effect.void
    return askLeader(asking, { _tag: "Settle", timeMs: Math.max(0, Math.floor(timeMs)) }).pipe(
      Effect.flatMap(({ reply }) => (reply._tag === "Settled" ? fence(room, 0) : Effect.fail(odd(reply)))),
      // Nobody can promise yet that this time is over.
      Effect.mapError(refusal)
    )
  })

const fence = Effect.fnUntraced(function*(room: Room, ageMsMax: number) {
  const beganMs = yield* monotonicMs
  if (ageMsMax > 0 && beganMs - room.freshMs <= ageMsMax) return
  for (let pauseMs = askPauseMs;; pauseMs = Math.min(2 * pauseMs, askPauseMsMax)) {
    const askedMs = yield* monotonicMs
    // Where a quorum has answered and what it named does not come, the read itself has no end.
    const tried = yield* Effect.timeoutOption(Effect.result(room.raft.read), Math.max(0, beganMs + readMsMax - askedMs) + askPauseMsMax)
    if (tried._tag === "None") {
      const { applied } = room.raft.status()
      return yield* new Unavailable({ reason: "NoQuorum", detail: `this member has applied what was committed up to ${applied} and got no further in ${readMsMax} ms: it catches up, or has no room for more; ask another, and look at this one's health` })
    }
    const read = tried.value
    if (read._tag === "Success") {
      room.freshMs = Math.max(room.freshMs, askedMs)
      return
    }
    if (askedMs - beganMs >= readMsMax) {
      return yield* new Unavailable({ reason: "NoQuorum", detail: `no quorum of the cluster's voters answered a read in ${readMsMax} ms (${read.failure.message}); look at the cluster's status` })
    }
    yield* Effect.sleep(pauseMs)
  }
})

const answer = (room: Room, bytes: Uint8Array): Effect.Effect<Uint8Array> =>
  Effect.map(Effect.suspend(() => {
    const ask = askOf(bytes)
    return ask === undefined ? Effect.succeed<Reply>({ _tag: "Refused", reason: "Misused" }) : answerAsk(room, ask)
  }), replyFormat.encode)

/** What is none is refused: its sender is of another version, and hears so. */
const askOf = (bytes: Uint8Array): Ask | undefined => {
  try {
    return decodeAsk(bytes)
  } catch (error) {
    if (error instanceof FormatError) return undefined
    throw error
  }
}

const answerAsk = (room: Room, ask: Ask): Effect.Effect<Reply> => {
  switch (ask._tag) {
    case "Propose": case "OpenSession": case "Settle": case "Members":
      return byLead(room.asking.lead, ask)
    case "Level":
      return Effect.succeed<Reply>({ _tag: "Reads", level: (room.options.levels ?? featureLevels).program })
    case "Offer":
      return orGone(offer(room, ask.index))
    case "Piece":
      return orGone(Effect.map(pieceOf(room.slots, room.machine.open().slot, ask), (bytes): Reply => (bytes === undefined ? gone : { _tag: "Piece", bytes })))
  }
}

const gone: Reply = { _tag: "Gone" }

/** What cannot be read here is not here: whoever asked looks elsewhere. */
const orGone = (reply: Effect.Effect<Reply, { readonly message: string }>): Effect.Effect<Reply> =>
  Effect.catch(reply, (error) => Effect.as(Effect.logWarning(`another replica asked for a state: ${error.message}`), gone))

/** Of the newest checkpoint; where that is too old, and the rows are not, of a new one. */
const offer = Effect.fnUntraced(function*({ machine, slots }: Room, index: number) {
  const first = yield* offerOf(slots, machine.open(), index)
  if (first !== undefined) return { _tag: "Offered", generation: first.generation, files: first.files } satisfies Reply
  if (indexOf(machine.state.stamp()) < index) return gone
  yield* machine.checkpoint(true)
  const second = yield* offerOf(slots, machine.open(), index)
  return second === undefined ? gone : { _tag: "Offered", generation: second.generation, files: second.files } satisfies Reply
})
