/** ObjectWrite: PUT and DELETE of objects, one and many. It sits between the router and put, namespace. */
import { Effect } from "effect"
import { deleteObjectsMax, deleteTargetsPerCommitMax, keyBytesMax, singlePutBytesMax } from "../../base/limits.ts"
import { toUtf8 } from "../../base/bytes.ts"
import { expiryOf } from "../../base/timeToLive.ts"
import type { DeleteOutcome, DeleteTarget } from "../../namespace/Model.ts"
import type { Refused, Unavailable } from "../../namespace/Namespace.ts"
import type { Stored } from "../../put.ts"
import { checksumHeaders } from "./Checksums.ts"
import { parseEtags, writeCondition } from "./Conditions.ts"
import { expiryHeaders, readAttributes, refuseHeaders } from "./ObjectAttributes.ts"
import { onceOf, onceOfBody } from "./Once.ts"
import { bucketAt, type Call, type Header, type Operation, orFail, payloadOf, type Reply, reply, type Rooms, versionIdOf, xmlOf, xmlReply } from "./Operation.ts"
import { codeOfRefusal, messageOf, type OperationError, S3Error, s3Error } from "./S3Error.ts"
import { childrenOf, textOf, type XmlNode } from "./XmlIn.ts"
import { document, element, wrap } from "./XmlOut.ts"

export const storedHeaders = (stored: Stored): Array<Header> => [
  ["etag", `"${stored.etag}"`],
  ...(stored.versionId === undefined ? [] : [["x-amz-version-id", stored.versionId] as const]),
  ...checksumHeaders(stored.checksum)
]

export const tooLarge = (sizeBytes: number): S3Error =>
  new S3Error({ code: "EntityTooLarge", extra: [["ProposedSize", String(sizeBytes)], ["MaxSizeAllowed", String(singlePutBytesMax)]] })

export const putObject: Operation = (rooms, call) =>
  Effect.suspend((): Effect.Effect<Reply, OperationError> => {
    const refused = refuseHeaders(call.request)
    if (refused !== undefined) return Effect.fail(refused)
    const attributes = readAttributes(call.request, rooms.ttlDefaultSeconds)
    if (attributes instanceof S3Error) return Effect.fail(attributes)
    const payload = payloadOf(rooms, call, { part: false })
    if (payload instanceof S3Error) return Effect.fail(payload)
    if (payload.sizeBytes > singlePutBytesMax) return Effect.fail(tooLarge(payload.sizeBytes))
    const condition = writeCondition(call.request)
    // Without its bucket no byte of the body need come; apply judges again.
    const written = Effect.andThen(bucketAt(rooms, call, rooms.namespace.head().sequence), rooms.put.object({
      bucket: call.bucket, key: call.key, attributes, ...payload, ...onceOfBody(call, "PutObject", attributes, condition),
      ...(condition === undefined ? {} : { condition })
    }))
    return Effect.map(written, (stored) =>
      reply(200, stored.sequence, [...storedHeaders(stored), ...expiryHeaders(expiryOf(attributes.headers, stored.modifiedMs))]))
  })

interface Deleted {
  readonly outcomes: ReadonlyArray<DeleteOutcome>
  readonly sequence: number
}

/** `at`: which commit of its request it is. */
const propose = (rooms: Rooms, call: Call, targets: ReadonlyArray<DeleteTarget>, at: number): Effect.Effect<Deleted, Refused | Unavailable> =>
  Effect.map(rooms.namespace.propose({ _tag: "DeleteObjects", bucket: call.bucket, targets }, undefined, undefined, onceOf(call, "DeleteObjects", at, targets).once), ({ answer, sequence }) => ({
    outcomes: answer._tag === "Deleted" ? answer.outcomes : [],
    sequence
  }))

/** Deleting what is not there succeeds in S3. */
const isAbsence = (outcome: DeleteOutcome): boolean =>
  outcome.refusal === "NoSuchKey" || outcome.refusal === "NoSuchVersion" || outcome.refusal === "DeleteMarker"

const outcomeHeaders = (outcome: DeleteOutcome | undefined): Array<Header> => {
  const versionId = outcome?.deleteMarkerVersionId ?? outcome?.versionId
  return [
    ...(outcome?.deleteMarker === true ? [["x-amz-delete-marker", "true"] as const] : []),
    ...(versionId === undefined ? [] : [["x-amz-version-id", versionId] as const])
  ]
}

export const deleteObject: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const versionId = yield* orFail(versionIdOf(call.request.query.get("versionId")))
  const condition = writeCondition(call.request)
  const target: DeleteTarget = {
    key: call.key,
    ...(versionId === undefined ? {} : { versionId }),
    ...(condition === undefined ? {} : { condition })
  }
  const { outcomes, sequence } = yield* propose(rooms, call, [target], 0)
  const outcome = outcomes[0]
  if (outcome?.refusal !== undefined && (condition !== undefined || !isAbsence(outcome))) {
    return yield* new S3Error({ code: codeOfRefusal(outcome.refusal), commit: sequence })
  }
  return reply(204, sequence, outcomeHeaders(outcome))
})

const readTarget = (node: XmlNode): DeleteTarget | S3Error => {
  const key = textOf(node, "Key")
  const named = textOf(node, "VersionId")
  const etag = textOf(node, "ETag")
  if (key === undefined || key === "") return s3Error("MalformedXML", "Every Object must have a Key.")
  if (node.children.has("LastModifiedTime") || node.children.has("Size")) return s3Error("NotImplemented", "Deletes can be conditional on ETag only.")
  const versionId = versionIdOf(named === "" ? undefined : named)
  if (versionId instanceof S3Error) return versionId
  return {
    key,
    ...(versionId === undefined ? {} : { versionId }),
    ...(etag === undefined ? {} : { condition: { ifMatch: parseEtags(etag)[0] ?? "" } })
  }
}

const errorElement = (target: { readonly key: string; readonly versionId?: string }, code: string, message: string): string =>
  wrap("Error", element("Key", target.key) + element("VersionId", target.versionId) + element("Code", code) + element("Message", message))

const outcomeElement = (target: DeleteTarget, outcome: DeleteOutcome, quiet: boolean): string => {
  if (outcome.refusal !== undefined && (target.condition !== undefined || !isAbsence(outcome))) {
    const code = codeOfRefusal(outcome.refusal)
    return errorElement(target, code, messageOf(code))
  }
  if (quiet) return ""
  const marker = outcome.deleteMarkerVersionId ?? (outcome.deleteMarker ? target.versionId : undefined)
  return wrap("Deleted", element("Key", target.key) + element("VersionId", target.versionId) +
    (outcome.deleteMarker ? element("DeleteMarker", true) + element("DeleteMarkerVersionId", marker) : ""))
}

/** POST ?delete: each target stands for itself; they go in commits of bounded size, in order. */
export const deleteObjects: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const root = yield* xmlOf(rooms, call, "Delete")
  const nodes = childrenOf(root, "Object")
  if (nodes.length === 0 || nodes.length > deleteObjectsMax) return yield* s3Error("MalformedXML", `A Delete names 1 to ${deleteObjectsMax} objects.`)
  const quiet = textOf(root, "Quiet")?.trim().toLowerCase() === "true"
  const targets: Array<DeleteTarget> = []
  let inner = ""
  for (const node of nodes) {
    const target = readTarget(node)
    if (target instanceof S3Error) {
      // A version id that cannot be one spoils its own entry only.
      if (target.code !== "InvalidArgument") return yield* target
      inner += errorElement({ key: textOf(node, "Key") ?? "", versionId: textOf(node, "VersionId") ?? "" }, "NoSuchVersion", messageOf("NoSuchVersion"))
    } else if (toUtf8(target.key).length > keyBytesMax) {
      inner += errorElement(target, "KeyTooLongError", messageOf("KeyTooLongError"))
    } else {
      targets.push(target)
    }
  }
  let commit = rooms.namespace.head().sequence
  if (targets.length === 0) yield* rooms.namespace.bucket(call.bucket, commit)
  for (let from = 0; from < targets.length; from += deleteTargetsPerCommitMax) {
    const batch = targets.slice(from, from + deleteTargetsPerCommitMax)
    const { outcomes, sequence } = yield* propose(rooms, call, batch, from)
    commit = sequence
    for (const [index, target] of batch.entries()) {
      const outcome = outcomes[index]
      if (outcome !== undefined) inner += outcomeElement(target, outcome, quiet)
    }
  }
  return xmlReply(commit, document("DeleteResult", inner))
})
