/** Lineages: rollback, branch and diff as the admin address asks for them, in terms of the namespace's commits. */
import { Effect } from "effect"
import { type BucketId, idBytes, idOf } from "../base/ids.ts"
import type { LineageControl } from "../gateway/admin/LineageRoutes.ts"
import { Namespace } from "../namespace/Namespace.ts"
import { Entropy } from "../ports/Entropy.ts"

/** The one principal that the admin address lets in. */
const author = "root"

type Within = <A, E>(effect: Effect.Effect<A, E, Namespace | Entropy>) => Effect.Effect<A, E>

export const lineageControl = (within: Within): LineageControl => ({
  rollback: (bucket, asOf) => within(Effect.gen(function* () {
    const namespace = yield* Namespace
    const to = yield* namespace.resolve(asOf)
    return { to, committed: yield* namespace.propose({ _tag: "Rollback", bucket, to }, undefined, author) }
  })),
  branch: (source, bucket, asOf) => within(Effect.gen(function* () {
    const namespace = yield* Namespace
    const from = yield* namespace.resolve(asOf)
    const id = idOf<BucketId>((yield* Entropy).bytes(idBytes))
    return { to: from, committed: yield* namespace.propose({ _tag: "Branch", bucket, source, id, owner: author, from }, undefined, author) }
  })),
  lineage: (bucket, asOf) => within(Effect.gen(function* () {
    const namespace = yield* Namespace
    return yield* namespace.lineage(bucket, yield* namespace.resolve(asOf))
  })),
  diff: (from, to, query) => within(Effect.gen(function* () {
    const namespace = yield* Namespace
    const before = { bucket: from.bucket, at: yield* namespace.resolve(from.asOf) }
    const after = { bucket: to.bucket, at: yield* namespace.resolve(to.asOf) }
    return { from: before, to: after, page: yield* namespace.diff(before, after, query) }
  }))
})
