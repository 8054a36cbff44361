/**
 * CarrierService: runs the machine of one node's carrier: brings it events, carries out its commands, and hands what was heard to whoever serves its topic. Between
 * the rooms that have something to say to other nodes, and the Network port. One fiber steps and waits for nothing; what takes its time (the network, handlers)
 * has fibers of its own and comes back as an event.
 *
 * 1. Every ask and every tell ends: answered, failed by its reason, or interrupted, which the peer is told.
 * 2. Whoever asks sets the pace: an answer that is not taken narrows the window of those to come, and a handler waits while its asker has a window of them to hear.
 * 3. Nothing from outside waits without bound: asks and notes are refused where the inbox is long, handlers of one peer are so many at most.
 * 4. A handler that dies answers so; it takes nobody along.
 */
import { Cause, Clock, Deferred, Effect, Exit, Fiber, Queue, type Scope } from "effect"
import { assert, unreachable } from "../base/assert.ts"
import { carrierFrameBytesMax, carrierHandlersMax, carrierMessageBytesMax, carrierRefusalLogMs, carrierStreamWindowBytes, carrierTickMs } from "../base/clusterLimits.ts"
import type { RestartId } from "../base/ids.ts"
import { idOf } from "../base/ids.ts"
import type { ClusterId, Identity, NodeId } from "../membership/Identity.ts"
import type { EntropyService } from "../ports/Entropy.ts"
import { watched } from "../ports/Health.ts"
import type { KeyPairsService } from "../ports/KeyPairs.ts"
import type { Datagram, NetworkError, NetworkService } from "../ports/Network.ts"
import { type AnswerRefusal, doneAnswer, failedAnswer } from "./Answer.ts"
import { answered, type AskOptions, type Asks, asksOf, closeAsks, failed, type Happening, isFull, opened, pull, unexpected } from "./AsksService.ts"
import { makeCarrier, step } from "./Carrier.ts"
import { AnswerRefused, type CarrierError } from "./CarrierError.ts"
import type { Priority } from "./CarrierFormat.ts"
import type { CarrierCommand, CarrierEvent, CarrierState, Instant, Members, Refusal } from "./CarrierState.ts"
import { type CarrierStatus, statusOf } from "./CarrierStatus.ts"
import { unheardOf } from "./Streams.ts"

export interface Heard {
  readonly from: NodeId
  readonly topic: number
  readonly level: Priority
  /** The handler's own. */
  readonly bytes: Uint8Array
  /** How long an answer is waited for; 0: none is. */
  readonly deadlineMs: number
}

/**
 * Returns the last bytes of its answer; before them, as many messages as it likes by `more`, which waits while the asker has a window of them to hear. It is
 * interrupted where nobody waits any more. What it returns to a note or a tell goes nowhere.
 */
export type Handler = (heard: Heard, more: (bytes: Uint8Array) => Effect.Effect<void>) => Effect.Effect<Uint8Array, AnswerRefused>

/** One answer after another, as they are pulled; undefined: there are no more. Pulling says that the one before is done with. */
export interface Answers {
  readonly next: Effect.Effect<Uint8Array | undefined, CarrierError>
}

/** Bytes that are handed in must not change any more. */
export interface CarrierInterface {
  /** At most one frame (carrierFrameBytesMax); may be lost, comes once. Does not wait. */
  readonly note: (to: NodeId, topic: number, bytes: Uint8Array, level: Priority) => Effect.Effect<void>
  /** Succeeds once all of it has come. */
  readonly tell: (to: NodeId, topic: number, bytes: Uint8Array, options: AskOptions) => Effect.Effect<void, CarrierError>
  /** Of topics that answer in one message. */
  readonly ask: (to: NodeId, topic: number, bytes: Uint8Array, options: AskOptions) => Effect.Effect<Uint8Array, CarrierError>
  /** Of topics that answer in many; given up when the scope closes. */
  readonly open: (to: NodeId, topic: number, bytes: Uint8Array, options: AskOptions) => Effect.Effect<Answers, CarrierError, Scope.Scope>
  /** Until the scope closes; one handler a topic. */
  readonly serve: (topic: number, handler: Handler) => Effect.Effect<void, never, Scope.Scope>
  readonly setMembers: (members: Members) => Effect.Effect<void>
  readonly status: () => CarrierStatus
}

export interface CarrierRunOptions {
  readonly cluster: ClusterId
  readonly self: Identity
  readonly members: Members
  readonly network: NetworkService
  readonly pairs: KeyPairsService
  readonly entropy: EntropyService
  readonly tickMs?: number
  /** A frame of that peer was believed: failure detection. */
  readonly heard?: (from: NodeId, at: Instant) => void
  /** Told after every step: invariants in tests, traces in simulation. */
  readonly observe?: (state: CarrierState, event: CarrierEvent, commands: ReadonlyArray<CarrierCommand>) => void
}

/** To one peer, in order. */
interface Wire {
  readonly frames: Queue.Queue<Uint8Array>
  readonly fiber: Fiber.Fiber<unknown>
  sentBytes: number
  failure: string | undefined
}

/** A handler that waits until its asker has heard more. */
interface Waiter {
  readonly to: NodeId
  readonly request: number
  readonly room: Deferred.Deferred<void>
}

interface Room {
  readonly run: CarrierRunOptions
  readonly state: CarrierState
  readonly scope: Scope.Scope
  readonly inbox: Queue.Queue<Happening>
  readonly wires: Map<NodeId, Wire>
  readonly asks: Asks
  readonly handlers: Map<number, Handler>
  readonly requests: Map<number, Fiber.Fiber<unknown>>
  /** Handlers under way, by whose message it is. */
  readonly busy: Map<NodeId, number>
  readonly waiters: Set<Waiter>
  readonly refused: Map<Refusal, number>
  dropped: number
  loggedMs: number
  unlogged: number
}

/** Runs a carrier until the scope closes. */
export const runCarrier = Effect.fnUntraced(function*(run: CarrierRunOptions): Effect.fn.Return<CarrierInterface, NetworkError, Scope.Scope> {
  const { cluster, entropy, members, network, pairs, self } = run
  const scope = yield* Effect.scope
  const state = makeCarrier({ cluster, self, members, pairs, restart: idOf<RestartId>(entropy.bytes(16)), secret: entropy.bytes(32) })
  const inbox = yield* Effect.acquireRelease(Queue.unbounded<Happening>(), Queue.shutdown)
  const room: Room = {
    run, state, scope, inbox, wires: new Map(), asks: asksOf((happening) => Queue.offerUnsafe(inbox, happening), () => Queue.sizeUnsafe(inbox)), handlers: new Map(), requests: new Map(),
    busy: new Map(), waiters: new Set(), refused: new Map(), dropped: 0, loggedMs: Number.NEGATIVE_INFINITY, unlogged: 0
  }
  const datagrams = yield* network.listen(self.id)
  const fork = (name: string, loop: Effect.Effect<unknown>) => Effect.forkScoped(watched(`carrier: ${name}`, Effect.forever(loop)))
  yield* fork("steps", Effect.flatMap(Queue.takeAll(room.inbox), (happenings) => stepAll(room, happenings)))
  yield* fork("hears", Effect.flatMap(Queue.takeAll(datagrams), (some) => hear(room, some)))
  yield* fork("ticks", Effect.andThen(Effect.sync(() => tell(room, { _tag: "Ticked" })), Effect.sleep(run.tickMs ?? carrierTickMs)))
  // The last to be added is the first to run: whoever asks hears of it before anything is torn down.
  yield* Effect.addFinalizer(() => Effect.sync(() => closeAsks(room.asks)))
  return interfaceOf(room)
})

/** What happens within is never refused: it has its bounds in the machine. */
const tell = (room: Room, happening: Happening): void => void Queue.offerUnsafe(room.inbox, happening)

const instant: Effect.Effect<Instant> = Effect.map(Effect.all([Clock.monotonicTimeNanos, Clock.currentTimeMillis]), ([nanos, wallMs]) => ({ nowMs: Number(nanos / 1000n) / 1000, wallMs: Math.floor(wallMs) }))

/** The network holds back what comes beyond: a step comes before the next few. */
const hear = (room: Room, datagrams: ReadonlyArray<Datagram>): Effect.Effect<void> => {
  for (const { bytes, from } of datagrams) tell(room, { _tag: "Received", from: from as NodeId, bytes })
  return Effect.yieldNow
}

const stepAll = Effect.fnUntraced(function*(room: Room, happenings: ReadonlyArray<Happening>) {
  const at = yield* instant
  for (const happening of happenings) {
    const event: CarrierEvent = { ...happening, at }
    const commands = step(room.state, event)
    room.run.observe?.(room.state, event, commands)
    if (event._tag === "Received" && room.state.peers.get(event.from)?.heardMs === at.nowMs) room.run.heard?.(event.from, at)
    if (event._tag === "MembersChanged") yield* closeWires(room)
    for (const command of commands) yield* carryOut(room, command, at)
  }
  // Whoever goes on may wait again at once, for what is not stepped yet.
  const waiters = [...room.waiters]
  for (const waiter of waiters) {
    if ((unheardOf(room.state, waiter.to, waiter.request) ?? 0) >= carrierStreamWindowBytes) continue
    room.waiters.delete(waiter)
    Deferred.doneUnsafe(waiter.room, Effect.void)
  }
})

const carryOut = (room: Room, command: CarrierCommand, at: Instant): Effect.Effect<unknown> => {
  switch (command._tag) {
    case "Transmit":
      return transmit(room, command.to, command.bytes)
    case "Deliver":
      return deliver(room, command)
    case "Answered":
      return Effect.sync(() => answered(room.asks, command))
    case "Failed":
      return Effect.sync(() => failed(room.asks, command))
    case "Cancelled":
      return Effect.sync(() => room.requests.get(command.request)?.interruptUnsafe())
    case "Connected":
      return Effect.logInfo(`carrier: a session with node ${command.to.slice(0, 12)} has begun`)
    case "Disconnected":
      return Effect.logInfo(`carrier: the session with node ${command.to.slice(0, 12)} has ended: ${command.why}`)
    case "Refused":
      return refused(room, command, at)
    case "ClockOff":
      return Effect.logWarning(`carrier: the clock of node ${command.of.slice(0, 12)} is ${Math.round(command.offsetMs)} ms ahead of this node's: set one of them`)
    case "ClockRight":
      return Effect.logInfo(`carrier: the clock of node ${command.of.slice(0, 12)} is right again`)
    default:
      return unreachable(command)
  }
}

const refused = (room: Room, { detail, from, reason }: Extract<CarrierCommand, { readonly _tag: "Refused" }>, { nowMs }: Instant): Effect.Effect<void> => {
  room.refused.set(reason, (room.refused.get(reason) ?? 0) + 1)
  if (nowMs < room.loggedMs + carrierRefusalLogMs) {
    room.unlogged += 1
    return Effect.void
  }
  const others = room.unlogged === 0 ? "" : ` (${room.unlogged} more since the last such line)`
  Object.assign(room, { loggedMs: nowMs, unlogged: 0 })
  return Effect.logWarning(`carrier: refused a frame of node ${from.slice(0, 12)}: ${reason}: ${detail}${others}`)
}

const transmit = Effect.fnUntraced(function*(room: Room, to: NodeId, bytes: Uint8Array) {
  const wire = room.wires.get(to) ?? (yield* openWire(room, to))
  Queue.offerUnsafe(wire.frames, bytes)
})

const openWire = Effect.fnUntraced(function*(room: Room, to: NodeId) {
  const frames = yield* Queue.unbounded<Uint8Array>()
  const send = Effect.fnUntraced(function*(bytes: Uint8Array) {
    const exit = yield* Effect.exit(room.run.network.send(to, bytes))
    const wire = room.wires.get(to)
    if (wire !== undefined) {
      wire.sentBytes += bytes.length
      // A frame that could not be sent is one that was lost: it goes again, and status says why it did not go.
      wire.failure = Exit.isSuccess(exit) ? undefined : String(Cause.squash(exit.cause))
    }
    tell(room, { _tag: "Sent", to, bytes: bytes.length })
  })
  const loop = Effect.forever(Effect.flatMap(Queue.take(frames), send))
  const wire: Wire = { frames, fiber: yield* Effect.forkIn(watched(`carrier: sends to ${to}`, loop), room.scope), sentBytes: 0, failure: undefined }
  room.wires.set(to, wire)
  return wire
})

/** To those who are no members any more. */
const closeWires = Effect.fnUntraced(function*(room: Room) {
  for (const [id, { fiber }] of room.wires) {
    if (room.state.peers.has(id)) continue
    room.wires.delete(id)
    yield* Effect.forkIn(Fiber.interrupt(fiber), room.scope)
  }
})

const deliver = (room: Room, command: Extract<CarrierCommand, { readonly _tag: "Deliver" }>): Effect.Effect<unknown> => {
  const { bytes, deadlineMs, from, priority, request, topic } = command
  const handler = room.handlers.get(topic)
  const busy = room.busy.get(from) ?? 0
  if (handler === undefined || busy >= carrierHandlersMax) {
    room.dropped += 1
    if (request !== undefined) end(room, from, request, handler === undefined ? "NoHandler" : "Busy", handler === undefined ? `nobody serves topic ${topic} there` : `${busy} messages are under way there`)
    return Effect.sync(() => tell(room, { _tag: "Taken", from, bytes: bytes.length }))
  }
  room.busy.set(from, busy + 1)
  const more = (some: Uint8Array): Effect.Effect<void> => (request === undefined ? Effect.void : answerMore(room, from, request, some))
  const handled = Effect.suspend(() => handler({ from, topic, level: priority, bytes, deadlineMs }, more))
  return Effect.map(Effect.forkIn(Effect.flatMap(Effect.exit(handled), (exit) => ended(room, command, exit)), room.scope), (fiber) => {
    if (request !== undefined) room.requests.set(request, fiber)
    // One that was interrupted before it began too.
    fiber.addObserver(() => forget(room, command))
  })
}

const forget = (room: Room, { bytes, from, request }: Extract<CarrierCommand, { readonly _tag: "Deliver" }>): void => {
  const busy = (room.busy.get(from) ?? 1) - 1
  if (busy === 0) room.busy.delete(from)
  else room.busy.set(from, busy)
  if (request !== undefined) room.requests.delete(request)
  tell(room, { _tag: "Taken", from, bytes: bytes.length })
}

const ended = (room: Room, { from, request, topic }: Extract<CarrierCommand, { readonly _tag: "Deliver" }>, exit: Exit.Exit<Uint8Array, AnswerRefused>): Effect.Effect<void> => {
  if (Exit.isSuccess(exit)) {
    if (request === undefined) return Effect.void
    if (exit.value.length >= carrierMessageBytesMax) end(room, from, request, "TooLarge", `an answer of ${exit.value.length} bytes: it goes in pieces`)
    else tell(room, { _tag: "Answer", to: from, request, bytes: doneAnswer(exit.value), isLast: true })
    return Effect.void
  }
  const error = Cause.squash(exit.cause)
  if (error instanceof AnswerRefused) {
    if (request !== undefined) end(room, from, request, "Refused", error.detail)
    return Effect.void
  }
  if (request !== undefined) end(room, from, request, "Died", "its handler has failed; the log there says how")
  return Cause.hasInterruptsOnly(exit.cause) ? Effect.void : Effect.logError(`carrier: the handler of topic ${topic} has died of a message of node ${from.slice(0, 12)}`, exit.cause)
}

const end = (room: Room, to: NodeId, request: number, reason: AnswerRefusal, detail: string): void =>
  tell(room, { _tag: "Answer", to, request, bytes: failedAnswer(reason, detail), isLast: true })

const answerMore = (room: Room, to: NodeId, request: number, bytes: Uint8Array): Effect.Effect<void> =>
  Effect.suspend(() => {
    assert(bytes.length <= carrierMessageBytesMax, `an answer has ${carrierMessageBytesMax} bytes at most, not ${bytes.length}: it goes in pieces`)
    tell(room, { _tag: "Answer", to, request, bytes, isLast: false })
    const waiter: Waiter = { to, request, room: Deferred.makeUnsafe<void>() }
    room.waiters.add(waiter)
    return Effect.onInterrupt(Deferred.await(waiter.room), () => Effect.sync(() => void room.waiters.delete(waiter)))
  })

const interfaceOf = (room: Room): CarrierInterface => ({
  note: (to, topic, bytes, level) => Effect.sync(() => {
    assert(bytes.length <= carrierFrameBytesMax, `a note has ${carrierFrameBytesMax} bytes at most, not ${bytes.length}: tell it`)
    if (isFull(room.asks)) room.dropped += 1
    else tell(room, { _tag: "Note", to, topic, priority: level, bytes })
  }),
  tell: (to, topic, bytes, options) => Effect.scoped(Effect.flatMap(opened(room.asks, to, topic, bytes, options, true), (asking) => Effect.asVoid(pull(room.asks, asking)))),
  ask: (to, topic, bytes, options) => Effect.scoped(Effect.gen(function*() {
    const asking = yield* opened(room.asks, to, topic, bytes, options, false)
    const answer = yield* pull(room.asks, asking)
    if (answer?.isLast !== true) return yield* unexpected(asking, "it answers in many messages")
    return answer.bytes
  })),
  open: (to, topic, bytes, options) => Effect.map(opened(room.asks, to, topic, bytes, options, false), (asking) => ({
    next: Effect.map(pull(room.asks, asking), (answer) => (answer === undefined || (answer.isLast && answer.bytes.length === 0) ? undefined : answer.bytes))
  })),
  serve: (topic, handler) => Effect.acquireRelease(
    Effect.sync(() => {
      assert(!room.handlers.has(topic), `topic ${topic} is served once`)
      room.handlers.set(topic, handler)
    }),
    () => Effect.sync(() => void room.handlers.delete(topic))
  ),
  setMembers: (members) => Effect.sync(() => tell(room, { _tag: "MembersChanged", members })),
  status: () => statusOf(room.state, { wires: room.wires, refused: room.refused, dropped: room.dropped })
})
