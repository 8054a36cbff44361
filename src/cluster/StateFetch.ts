/**
 * StateFetch: fetches a state from another replica: its plan, then its pieces, each checked against its hash before it is written, from where it stands after every
 * session that is lost; at last all of them are read back, and only then is it used. Between StateServer's node and a SnapshotSink.
 */
import { Data, Effect, type Scope } from "effect"
import { stateAttemptsMax, statePiecesMs, statePlanMs, stateRetryMs } from "../base/raftLimits.ts"
import type { GroupId } from "../base/ids.ts"
import type { CarrierError } from "../carrier/CarrierError.ts"
import type { CarrierInterface } from "../carrier/CarrierService.ts"
import type { NodeId } from "../membership/Identity.ts"
import type { LogIndex, SnapshotPlace } from "../raft/Entry.ts"
import { decodePlan, encodePiecesAsk, encodePlanAsk, isPiece, type Piece, type StatePlan } from "./StatePlan.ts"
import { topics } from "./Topics.ts"

/** Refused: it has no such state, or cannot read it. Unreachable: too many attempts in a row brought nothing. Malformed: what it says is no plan, or not the one that was asked for. Damaged: pieces that are not what the plan says, again and again. Sink: it cannot be kept here. */
export type StateFetchReason = "Refused" | "Unreachable" | "Malformed" | "Damaged" | "Sink"

export class StateFetchError extends Data.TaggedError("StateFetchError")<{ readonly from: NodeId; readonly reason: StateFetchReason; readonly detail: string }> {
  override get message(): string {
    return `a state of node ${this.from.slice(0, 12)}: ${this.reason}: ${this.detail}`
  }
}

export class SinkError extends Data.TaggedError("SinkError")<{ readonly detail: string }> {}

/** Where a state is put together. Nothing of it is used before `commit`; without it, the scope's end may leave it for the next attempt. */
export interface StateSink {
  /** Pieces that an earlier attempt at this plan has left, from the first on. They are read back like all others. */
  readonly have: number
  readonly write: (piece: Piece, bytes: Uint8Array) => Effect.Effect<void, SinkError>
  readonly read: (piece: Piece) => Effect.Effect<Uint8Array, SinkError>
  /** All of it is there, and synced: from now on it is this replica's. */
  readonly commit: Effect.Effect<void, SinkError>
}

export interface SnapshotSink {
  readonly begin: (plan: StatePlan) => Effect.Effect<StateSink, SinkError, Scope.Scope>
}

export interface StateFetchOptions {
  readonly carrier: CarrierInterface
  readonly from: NodeId
  readonly group: GroupId
  /** It must stand for the log up to there at least. */
  readonly index: LogIndex
  readonly sink: SnapshotSink
}

interface Fetch {
  readonly options: StateFetchOptions
  readonly plan: StatePlan
  readonly sink: StateSink
  /** Attempts in a row that have brought nothing, and why the last of all ended. */
  vain: number
  why: CarrierError | undefined
}

/** What it then stands for. */
export const fetchState = (options: StateFetchOptions): Effect.Effect<SnapshotPlace, StateFetchError> =>
  Effect.scoped(Effect.gen(function*() {
    const plan = yield* planOf(options)
    const sink = yield* Effect.mapError(options.sink.begin(plan), sinkFailed(options))
    const fetch: Fetch = { options, plan, sink, vain: 0, why: undefined }
    yield* fetchPieces(fetch, sink.have, plan.pieces.length)
    yield* readBack(fetch)
    yield* Effect.mapError(sink.commit, sinkFailed(options))
    return plan.place
  }))

const failure = ({ from }: StateFetchOptions, reason: StateFetchReason, detail: string): StateFetchError => new StateFetchError({ from, reason, detail })
const sinkFailed = (options: StateFetchOptions) => ({ detail }: SinkError): StateFetchError => failure(options, "Sink", detail)

/** What was refused is so the next time too; the rest may be the network's. */
const isFinal = ({ reason }: CarrierError): boolean => reason === "Refused" || reason === "NoHandler" || reason === "NotMember" || reason === "Closed" || reason === "Unexpected"

const carrierFailed = (options: StateFetchOptions, error: CarrierError): StateFetchError => failure(options, isFinal(error) ? "Refused" : "Unreachable", error.message)

const planOf = Effect.fnUntraced(function*(options: StateFetchOptions) {
  const { carrier, from, group, index } = options
  const ask = carrier.ask(from, topics.statePlan, encodePlanAsk(group, index), { level: 3, deadlineMs: statePlanMs })
  const again = (attempt: number): typeof ask =>
    Effect.catch(ask, (error) => (isFinal(error) || attempt >= stateAttemptsMax ? Effect.fail(error) : Effect.andThen(Effect.sleep(stateRetryMs), again(attempt + 1))))
  const plan = decodePlan(yield* Effect.mapError(again(1), (error) => carrierFailed(options, error)))
  if (typeof plan === "string") return yield* failure(options, "Malformed", plan)
  if (plan.group !== group || plan.place.index < index) return yield* failure(options, "Malformed", `a plan of group ${plan.group} up to ${plan.place.index}, not of ${group} up to ${index}`)
  return plan
})

/** From `at` to `end`, in as many asks as it takes. */
const fetchPieces = Effect.fnUntraced(function*(fetch: Fetch, at: number, end: number) {
  let next = at
  while (next < end) {
    const before = next
    next = yield* fetchSome(fetch, next, end)
    fetch.vain = next > before ? 0 : fetch.vain + 1
    if (next >= end) return
    if (fetch.vain >= stateAttemptsMax) return yield* inVain(fetch, next)
    yield* Effect.sleep(stateRetryMs)
    if (fetch.why?.reason === "Refused") yield* planAgain(fetch)
  }
})

const inVain = ({ options, plan, vain, why }: Fetch, next: number): StateFetchError =>
  failure(options, why?.reason === "Refused" ? "Refused" : "Unreachable", `${vain} attempts brought nothing, after piece ${next} of ${plan.pieces.length}: ${why?.message ?? "it ended too soon"}`)

/** It may have been started anew, and know nothing of the plan: the same state has the same one. */
const planAgain = Effect.fnUntraced(function*({ options, plan }: Fetch) {
  const { id, place } = yield* planOf(options)
  if (id !== plan.id) return yield* failure(options, "Refused", `it has another state by now, which stands for the log up to ${place.index}: fetch that`)
})

/** Up to where it came: the next attempt goes on from there. */
const fetchSome = Effect.fnUntraced(function*(fetch: Fetch, at: number, end: number) {
  const { options, plan, sink } = fetch
  let next = at
  fetch.why = undefined
  const pulled = Effect.scoped(Effect.gen(function*() {
    const answers = yield* options.carrier.open(options.from, topics.statePieces, encodePiecesAsk(plan.id, at, end), { level: 3, deadlineMs: statePiecesMs })
    while (next < end) {
      const bytes = yield* answers.next
      const piece = plan.pieces[next]!
      if (bytes === undefined) return
      // The session has a tag on every frame: whoever sends other bytes has read them so.
      if (!isPiece(piece, bytes)) return yield* failure(options, "Damaged", `piece ${next} of ${plan.pieces.length} is not what the plan says`)
      yield* Effect.mapError(sink.write(piece, bytes), sinkFailed(options))
      next += 1
    }
  }))
  yield* Effect.catchTag(pulled, "CarrierError", (error) => {
    fetch.why = error
    return isFinal(error) && error.reason !== "Refused" ? Effect.fail(carrierFailed(options, error)) : Effect.logDebug(`a state is fetched on from piece ${next}: ${error.message}`)
  })
  return next
})

/** Everything, as the disk has it: what it has not kept is fetched once more, and once again only if that helps. */
const readBack = Effect.fnUntraced(function*(fetch: Fetch) {
  for (const piece of fetch.plan.pieces) {
    for (let attempt = 1; !isPiece(piece, yield* Effect.mapError(fetch.sink.read(piece), sinkFailed(fetch.options))); attempt += 1) {
      if (attempt >= stateAttemptsMax) return yield* failure(fetch.options, "Damaged", `${piece.file} at ${piece.offset} does not stay as it was written: look at this node's disk`)
      yield* fetchPieces(fetch, piece.number, piece.number + 1)
    }
  }
})
