/**
 * Lineages: history, rollback, branch and diff as the admin address asks for them, in terms of the namespace's commits. Each begins with a fence: what any member has answered
 * shows, and "now" is no older than the question.
 */
import { Effect } from "effect"
import { type BucketId, idBytes, idOf, type Sequence } from "../base/ids.ts"
import type { NodeControl } from "../gateway/admin/AdminHandler.ts"
import type { LineageControl } from "../gateway/admin/LineageRoutes.ts"
import type { AsOf } from "../namespace/Model.ts"
import { Namespace, type NamespaceService } from "../namespace/Namespace.ts"
import { Entropy } from "../ports/Entropy.ts"

/** The one principal that the admin address lets in. */
const author = "root"

type Within = <A, E>(effect: Effect.Effect<A, E, Namespace | Entropy>) => Effect.Effect<A, E>

const fenced = Effect.tap(Namespace, ({ quorum }) => quorum?.fence() ?? Effect.void)

export const historyControl = (within: Within): Pick<NodeControl, "history" | "children"> => {
  const at = <A, E>(asOf: AsOf | undefined, read: (namespace: NamespaceService, sequence: Sequence) => Effect.Effect<A, E>) =>
    within(Effect.flatMap(fenced, (namespace) => Effect.flatMap(namespace.resolve(asOf), (sequence) => read(namespace, sequence))))
  return {
    history: (bucket, query, asOf) => at(asOf, (namespace, sequence) => namespace.history(bucket, query, sequence)),
    children: (bucket, vertex, asOf) => at(asOf, (namespace, sequence) => namespace.children(bucket, vertex, sequence))
  }
}

export const lineageControl = (within: Within): LineageControl => ({
  rollback: (bucket, asOf) => within(Effect.gen(function* () {
    const namespace = yield* fenced
    const to = yield* namespace.resolve(asOf)
    return { to, committed: yield* namespace.propose({ _tag: "Rollback", bucket, to }, undefined, author) }
  })),
  branch: (source, bucket, asOf) => within(Effect.gen(function* () {
    const namespace = yield* fenced
    const from = yield* namespace.resolve(asOf)
    const id = idOf<BucketId>((yield* Entropy).bytes(idBytes))
    return { to: from, committed: yield* namespace.propose({ _tag: "Branch", bucket, source, id, owner: author, from }, undefined, author) }
  })),
  lineage: (bucket, asOf) => within(Effect.gen(function* () {
    const namespace = yield* fenced
    return yield* namespace.lineage(bucket, yield* namespace.resolve(asOf))
  })),
  diff: (from, to, query) => within(Effect.gen(function* () {
    const namespace = yield* fenced
    const before = { bucket: from.bucket, at: yield* namespace.resolve(from.asOf) }
    const after = { bucket: to.bucket, at: yield* namespace.resolve(to.asOf) }
    return { from: before, to: after, page: yield* namespace.diff(before, after, query) }
  }))
})
