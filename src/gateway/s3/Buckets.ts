/** Buckets: create, head, list, delete, location, versioning, ACL. It sits between the router and namespace. */
import { Effect } from "effect"
import { idOf, type BucketId, idBytes } from "../../base/ids.ts"
import { formatIso } from "./HttpDate.ts"
import { refuseHeaders } from "./ObjectAttributes.ts"
import { findVersion, versionHeaders } from "./ObjectRead.ts"
import { onceOf } from "./Once.ts"
import { bucketAt, bytesOf, type Call, numberOf, type Operation, orFail, pointOf, reply, type Rooms, xmlOf, xmlReply } from "./Operation.ts"
import { s3Error } from "./S3Error.ts"
import { parseXml, textOf } from "./XmlIn.ts"
import { document, element, wrap } from "./XmlOut.ts"

const NAME = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/

/** S3's rules for general purpose buckets; names double as host names. */
export const isBucketName = (name: string): boolean =>
  NAME.test(name) && !name.includes("..") && !/^\d+\.\d+\.\d+\.\d+$/.test(name)

export const ownerElement = (name: string, owner: string): string => wrap(name, element("ID", owner) + element("DisplayName", owner))

export const listBuckets: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const at = yield* pointOf(rooms, call)
  const limit = yield* orFail(numberOf(call, "max-buckets", 1, 10_000, 10_000))
  const prefix = call.request.query.get("prefix") ?? ""
  const after = call.request.query.get("continuation-token") ?? ""
  const all = yield* rooms.namespace.buckets(at)
  const matching = all.filter((bucket) => bucket.name.startsWith(prefix) && bucket.name > after)
  const page = matching.slice(0, limit)
  const buckets = page.map((bucket) =>
    wrap("Bucket", element("Name", bucket.name) + element("CreationDate", formatIso(bucket.createdMs)) + element("BucketRegion", rooms.region)))
  return xmlReply(at, document("ListAllMyBucketsResult",
    ownerElement("Owner", call.identity.principal) + wrap("Buckets", buckets.join("")) +
    (matching.length > page.length ? element("ContinuationToken", page.at(-1)?.name) : "") +
    (prefix === "" ? "" : element("Prefix", prefix))))
})

export const createBucket: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const { headers } = call.request
  if (headers.get("x-amz-bucket-object-lock-enabled")?.toLowerCase() === "true") return yield* s3Error("NotImplemented", "Object lock is not implemented.")
  const refused = refuseHeaders(call.request)
  if (refused !== undefined) return yield* refused
  const bytes = yield* bytesOf(rooms, call)
  // Any LocationConstraint is taken: this store is one region, whatever clients call it.
  if (bytes.length > 0) yield* orFail(parseXml(bytes, "CreateBucketConfiguration", "CreateBucketRequest"))
  const committed = yield* rooms.namespace.propose({
    _tag: "CreateBucket", bucket: call.bucket, id: idOf<BucketId>(rooms.entropy.bytes(idBytes)), owner: call.identity.principal
  }, undefined, undefined, onceOf(call, "CreateBucket").once)
  return reply(200, committed.sequence, [["location", `/${call.bucket}`]])
})

export const headBucket: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const at = yield* pointOf(rooms, call)
  yield* bucketAt(rooms, call, at)
  return reply(200, at, [["x-amz-bucket-region", rooms.region], ["x-amz-access-point-alias", "false"]])
})

export const deleteBucket: Operation = (rooms, call) =>
  Effect.map(rooms.namespace.propose({ _tag: "DeleteBucket", bucket: call.bucket }, undefined, undefined, onceOf(call, "DeleteBucket").once), ({ sequence }) => reply(204, sequence))

/** us-east-1 has the empty location, as in S3. */
export const getBucketLocation: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const at = yield* pointOf(rooms, call)
  yield* bucketAt(rooms, call, at)
  return xmlReply(at, document("LocationConstraint", rooms.region === "us-east-1" ? "" : rooms.region))
})

export const getBucketVersioning: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const at = yield* pointOf(rooms, call)
  const bucket = yield* bucketAt(rooms, call, at)
  return xmlReply(at, document("VersioningConfiguration", bucket.versioning === "Unversioned" ? "" : element("Status", bucket.versioning)))
})

export const putBucketVersioning: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const root = yield* xmlOf(rooms, call, "VersioningConfiguration")
  const status = textOf(root, "Status")?.trim()
  if (textOf(root, "MfaDelete")?.trim() === "Enabled") return yield* s3Error("NotImplemented", "MFA delete is not implemented.")
  if (status !== "Enabled" && status !== "Suspended") return yield* s3Error("IllegalVersioningConfigurationException", "The Status must be Enabled or Suspended.")
  const committed = yield* rooms.namespace.propose({ _tag: "SetVersioning", bucket: call.bucket, status })
  return reply(200, committed.sequence)
})

const XSI = "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\""

/** There is one grant: everything, to the owner. */
const aclDocument = (owner: string): Uint8Array =>
  document("AccessControlPolicy", ownerElement("Owner", owner) + wrap("AccessControlList", wrap("Grant",
    `<Grantee ${XSI} xsi:type="CanonicalUser">${element("ID", owner)}${element("DisplayName", owner)}</Grantee>` +
    element("Permission", "FULL_CONTROL"))))

export const getBucketAcl: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const at = yield* pointOf(rooms, call)
  const bucket = yield* bucketAt(rooms, call, at)
  return xmlReply(at, aclDocument(bucket.owner))
})

export const getObjectAcl: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const at = yield* pointOf(rooms, call)
  const bucket = yield* bucketAt(rooms, call, at)
  const version = yield* findVersion(rooms, call, at)
  return xmlReply(at, aclDocument(bucket.owner), yield* versionHeaders(rooms, call.bucket, version, at))
})

/** A canned ACL that says what holds anyway is accepted; any other is refused, and a policy in XML is not built. */
export const putAcl: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const refused = refuseHeaders(call.request)
  if (refused !== undefined) return yield* refused
  if (!call.request.headers.has("x-amz-acl")) return yield* s3Error("NotImplemented", "Only canned ACLs (x-amz-acl: private) are accepted.")
  const at = rooms.namespace.head().sequence
  yield* bucketAt(rooms, call, at)
  if (call.key !== "") yield* findVersion(rooms, call, at)
  return reply(200, at)
})

/** Objects have no tags yet: copying clients ask, and the empty set is true. */
export const getObjectTagging: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const at = yield* pointOf(rooms, call)
  const version = yield* findVersion(rooms, call, at)
  return xmlReply(at, document("Tagging", "<TagSet></TagSet>"), yield* versionHeaders(rooms, call.bucket, version, at))
})

