/**
 * ReplicaFormat: the bytes of commands in the log, of what replicas ask each other and answer, and of answers that sessions keep:
 * canonical CBOR (namespace/Canonical.ts), the format's number first. Between the nouns of Request.ts and Raft, carrier and rows.
 */
import { concatBytes, getU64, putU64 } from "../base/bytes.ts"
import { membershipChangeBytesMax } from "../base/clusterLimits.ts"
import { commitBytesMax, deleteTargetsPerCommitMax } from "../base/limits.ts"
import { raftCommandBytesMax, raftReplicaIdBytesMax } from "../base/raftLimits.ts"
import { featureLevelMax, requestDigestBytes, requestNameBytes, stateFilesMax, statePieceBytes } from "../base/replicaLimits.ts"
import type { HybridTime } from "../base/time.ts"
import type { MembershipError, MembershipReason } from "../membership/MembershipError.ts"
import { type Codec, decodeWith, encodeWith, flag, FormatError, list, optional, raw, struct, text, uint, uint64, union, word } from "../namespace/Canonical.ts"
import type { CheckpointKind } from "../namespace/CheckpointFormat.ts"
import { decodeEntry, encodeEntry, type Entry } from "../namespace/Entry.ts"
import type { Answer, Change, DeleteOutcome, Refusal } from "../namespace/Model.ts"
import { checksum, etag, sequence } from "../namespace/ModelFormat.ts"
import type { AgainReason, Ask, Command, Done, OfferedFile, Reply, RequestId, Unstamped } from "./Request.ts"

/** Throws FormatError where the bytes are not exactly those of a value. */
export interface Format<A> {
  readonly encode: (value: A) => Uint8Array
  readonly decode: (bytes: Uint8Array) => A
}

const formatNumber = 1

export const formatOf = <A>(what: string, codec: Codec<A>): Format<A> => {
  const whole: Codec<{ readonly format: number; readonly value: A }> = struct<{ readonly format: number; readonly value: unknown }>({ format: uint(formatNumber), value: codec as Codec<unknown> }) as never
  return {
    encode: (value) => encodeWith(whole, { format: formatNumber, value }),
    decode: (bytes) => {
      const { format, value } = decodeWith(whole, bytes, what)
      if (format !== formatNumber) throw new FormatError(`${what}: unknown format ${format}`)
      return value
    }
  }
}

export const commandFormat: Format<Command> = formatOf<Command>("command", union<Command>({
  Commit: [0, struct({ term: uint(), sealed: raw(raftCommandBytesMax) })],
  OpenSession: [1, struct({ timeMs: uint() })],
  Settle: [2, struct({ timeMs: uint() })],
  Members: [3, struct({ bytes: raw(membershipChangeBytesMax) })],
  Raise: [4, struct({ level: uint(featureLevelMax) })]
}))

/** Grows at its end only. */
const refusals: ReadonlyArray<Refusal> = [
  "NoSuchBucket", "BucketAlreadyOwnedByYou", "BucketNotEmpty", "NoSuchKey", "NoSuchVersion", "NoSuchUpload", "InvalidPart", "InvalidPartOrder", "EntityTooSmall",
  "PreconditionFailed", "ChunkMissing", "DeleteMarker", "BucketBornLater", "CommitInFuture", "CommitBeforeHorizon", "LineageTooLong", "TooManyHides"
]
const refusal = word(refusals)
const versionId = text(64)

type Outcome = Omit<DeleteOutcome, "key">
const outcome = struct<Outcome>({ versionId: optional(versionId), deleteMarker: flag, deleteMarkerVersionId: optional(versionId), refusal: optional(refusal) })

type KeptAnswer = Exclude<Answer, { readonly _tag: "Deleted" }> | { readonly _tag: "Deleted"; readonly outcomes: ReadonlyArray<Outcome> }

const answer = union<KeptAnswer>({
  Done: [0, struct({})],
  Stored: [1, struct<Omit<Extract<Answer, { readonly _tag: "Stored" }>, "_tag">>({ versionId: optional(versionId), etag, checksum: optional(checksum) })],
  Deleted: [2, struct({ outcomes: list(outcome, deleteTargetsPerCommitMax) })],
  Dropped: [3, struct({ remaining: flag })],
  Collected: [4, struct({ items: uint(), bytes: uint(), remaining: flag })],
  Refused: [5, struct({ refusal })]
})

const done = struct<{ readonly sequence: number; readonly time: HybridTime; readonly answer: KeptAnswer }>({ sequence, time: uint64, answer })


/** An answer that was kept, or came over the network, and the change that it answers. */
export const withKeys = (kept: Done, change: Change): Done => {
  const { answer: given } = kept
  if (given._tag !== "Deleted" || change._tag !== "DeleteObjects") return kept
  return { ...kept, answer: { _tag: "Deleted", outcomes: given.outcomes.map((one, at) => ({ ...one, key: change.targets[at]?.key ?? "" })) } }
}

interface KeptDone {
  readonly digest: Uint8Array
  readonly done: Done
}

const doneAs: Codec<Done> = {
  write: (value) => done.write(value),
  read: (node, at) => done.read(node, at) as Done
}

/** Of one request, in its session. */
export const keptFormat: Format<KeptDone> = formatOf<KeptDone>("kept answer", struct<KeptDone>({ digest: raw(requestDigestBytes), done: doneAs }))

/** Of what was done under a name: the name has all that makes the request. */
export const namedFormat: Format<{ readonly done: Done }> = formatOf("named answer", struct<{ readonly done: Done }>({ done: doneAs }))

const replicaId = text(raftReplicaIdBytesMax)
const checkpointKind = word<CheckpointKind>(["base", "delta"])
const identity = raw(32)
const offeredFile = struct<OfferedFile>({ kind: checkpointKind, generation: uint(), sizeBytes: uint(), identity })
const againReason = word<AgainReason>(["NotLeader", "Settling", "Busy", "Stale", "Unknown"])
/** Grows at its end only. */
const unavailableReason = word<Extract<Reply, { readonly _tag: "Unavailable" }>["reason"]>(["JournalFailed", "DiskFull", "LostChunks", "BlockFailed", "CommitTooLarge", "Stopped", "NoQuorum"])

/** Details are for people: cut where they are long. */
const detail: Codec<string> = { ...text(1024), write: (value) => Buffer.from(value.toWellFormed().slice(0, 256), "utf8") }

/** Both grow at their end only. */
const refusedWhat = word<MembershipError["what"]>(["identity", "certificate", "authority", "revocations", "join token", "message", "record"])
const refusedReason = word<MembershipReason>([
  "Malformed", "Damaged", "UnknownFormat", "WrongSecret", "WrongProtection", "BadSecret", "Foreign", "Unsigned", "Expired", "NotYet", "Revoked", "Unknown", "Spent", "Full"
])

export const replyFormat: Format<Reply> = formatOf<Reply>("reply", union<Reply>({
  Done: [0, doneAs],
  Opened: [1, struct({ session: uint() })],
  Settled: [2, struct({})],
  Again: [3, struct<{ readonly reason: AgainReason; readonly leader?: string }>({ reason: againReason, leader: optional(replicaId) })],
  Refused: [4, struct({ reason: word(["Expired", "Forgotten", "Misused"]) })],
  Unavailable: [5, struct({ reason: unavailableReason, detail: { write: detail.write, read: detail.read } })],
  Offered: [6, struct({ generation: uint(), files: list(offeredFile, stateFilesMax) })],
  Piece: [7, struct({ bytes: raw(statePieceBytes) })],
  Gone: [8, struct({})],
  Membered: [9, struct({ index: uint() })],
  MembersRefused: [10, struct({ index: uint(), what: refusedWhat, reason: refusedReason, detail: { write: detail.write, read: detail.read } })],
  Reads: [11, struct({ level: uint(featureLevelMax) })]
}))

const idBytes = 16

/** What an entry has of a request (R14): session, number, and its name where it has one. */
export const requestOf = ({ digest, name, number, session }: RequestId): NonNullable<Entry["request"]> => {
  const id = new Uint8Array(idBytes + (name?.length ?? 0))
  if (name !== undefined) id.set(name, idBytes)
  putU64(id, 0, session)
  putU64(id, 8, number)
  return { id, digest }
}

/** Throws FormatError. */
export const requestIdOf = ({ request }: Entry): RequestId => {
  const isNamed = request?.id.length === idBytes + requestNameBytes
  const isOne = isNamed || request?.id.length === idBytes
  const session = isOne ? getU64(request.id, 0) : undefined
  const number = isOne ? getU64(request.id, 8) : undefined
  if (request === undefined || session === undefined || number === undefined || number === 0 || request.digest.length !== requestDigestBytes) {
    throw new FormatError("an entry of a replicated log names its session, number and digest")
  }
  return { session, number, digest: request.digest, ...(isNamed ? { name: request.id.subarray(idBytes) } : {}) }
}

/** Not stamped: the first sequence, and no time. Undefined: the change is too large for one commit (R9). */
const encodeUnstamped = ({ request, ...change }: Unstamped): Uint8Array | undefined => encodeEntry({ ...change, sequence: 1, time: 0n, request: requestOf(request) })

const unstamped = (bytes: Uint8Array): Unstamped => {
  const { sequence, time, ...entry } = decodeEntry(bytes)
  if (sequence !== 1 || time !== 0n) throw new FormatError(`a change that is asked for has sequence ${sequence} and time ${time}: it is stamped by who leads`)
  return { ...entry, request: requestIdOf({ ...entry, sequence: 1, time: 0n }) }
}

type CodedAsk = Exclude<Ask, { readonly _tag: "Propose" }> | { readonly _tag: "Propose"; readonly entry: Uint8Array }

const askCodec = formatOf<CodedAsk>("ask", union<CodedAsk>({
  Propose: [0, struct({ entry: raw(commitBytesMax) })],
  OpenSession: [1, struct({})],
  Settle: [2, struct({ timeMs: uint() })],
  Offer: [3, struct({ index: uint() })],
  Piece: [4, struct({ kind: checkpointKind, generation: uint(), offset: uint(), lengthBytes: uint(statePieceBytes) })],
  Members: [5, struct({ bytes: raw(membershipChangeBytesMax) })],
  Level: [6, struct({})]
}))

/** Undefined: the change is too large for one commit (R9). */
export const encodeAsk = (ask: Ask): Uint8Array | undefined => {
  if (ask._tag !== "Propose") return askCodec.encode(ask)
  const entry = encodeUnstamped(ask.change)
  return entry === undefined ? undefined : askCodec.encode({ _tag: "Propose", entry })
}

export const decodeAsk = (bytes: Uint8Array): Ask => {
  const ask = askCodec.decode(bytes)
  return ask._tag === "Propose" ? { _tag: "Propose", change: unstamped(ask.entry) } : ask
}

/** What a digest is made of, where a client has none of its own: who asks, and for what. Undefined: too large for one commit. */
export const digestedBytes = (change: Omit<Unstamped, "request">): Uint8Array | undefined => {
  const entry = encodeEntry({ ...change, sequence: 1, time: 0n })
  return entry === undefined ? undefined : concatBytes([Uint8Array.of(formatNumber), entry])
}
