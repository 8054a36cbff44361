/** TreeWriteService: drives folds and builds, and writes their nodes to the index in bounded transactions, letting others run. */
import { Effect } from "effect"
import { nodeCommitBytes, nodesBetweenYields } from "../base/limits.ts"
import { type KeyValueChange, KeyValueError, type KeyValueService } from "../ports/KeyValue.ts"
import { attempt } from "./CheckpointReadService.ts"
import { StateError } from "./State.ts"
import type { NodeSink } from "./TreeBuilder.ts"
import type { Folded } from "./TreeFold.ts"
import { nodeTable } from "./TreeStore.ts"

/** A commit is atomic: one that fails leaves the index as it was. Of a failed flush nothing is known. */
export const indexError = ({ message, operation }: KeyValueError): StateError =>
  new StateError({ reason: "Index", detail: message, unchanged: operation === "commit" })

/** What a read of the index gives, or that it cannot be read. */
export const readIndex = <A>(read: () => A): A | StateError => {
  try {
    return read()
  } catch (error) {
    if (error instanceof KeyValueError) return indexError(error)
    throw error
  }
}

/** Writes what the sink has gathered. */
export const drainSink = (index: KeyValueService, sink: NodeSink): Effect.Effect<void, StateError> =>
  Effect.suspend(() => {
    const changes = sink.take().map(({ key, value }): KeyValueChange => ({ _tag: "Put", table: nodeTable, key, value }))
    return changes.length === 0 ? Effect.void : index.commit(changes).pipe(Effect.mapError(indexError))
  })

/** Runs a fold to its end; all its nodes are in the index then, and nothing refers to them yet. */
export const runFold = Effect.fnUntraced(function*(index: KeyValueService, sink: NodeSink, steps: Generator<void, Folded>) {
  for (;;) {
    const step = yield* attempt(() => {
      let current = steps.next()
      for (let count = 1; count < nodesBetweenYields && current.done !== true && sink.bytes < nodeCommitBytes; count++) current = steps.next()
      return current
    })
    if (step.done === true || sink.bytes >= nodeCommitBytes) yield* drainSink(index, sink)
    if (step.done === true) return step.value
    yield* Effect.yieldNow
  }
})
