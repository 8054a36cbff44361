/**
 * StatePlan: what a state consists of that one replica fetches from another: files in pieces, a hash for each piece, all of it named by one hash. Between who serves
 * a state (StateServer) and who fetches it (StateFetch). Deterministic CBOR, as membership's messages (Wire).
 */
import { Schema } from "effect"
import { equalBytes } from "../base/bytes.ts"
import { raftMembersMax, raftReplicaIdBytesMax, stateFilesMax, statePieceBytesMax, statePiecesMax, statePlanBytesMax } from "../base/raftLimits.ts"
import { hashBytes, hashOf } from "../base/hash.ts"
import type { GroupId } from "../base/ids.ts"
import { CountField, decodeRecord, encodeRecord, HexField } from "../membership/Wire.ts"
import type { SnapshotPlace } from "../raft/Entry.ts"

const pieceHashBytes = 32

const Replicas = Schema.Array(Schema.String.check(Schema.isMaxLength(raftReplicaIdBytesMax))).check(Schema.isMaxLength(raftMembersMax))
/** Names that are names of files, and lead nowhere else. */
const File = Schema.Struct({ name: Schema.String.check(Schema.isPattern(/^[a-z0-9][a-z0-9._-]{0,63}$/)), bytes: CountField, pieces: Schema.Uint8Array })
const Plan = Schema.Struct({
  version: Schema.Literal(1), group: HexField(32), index: CountField, term: CountField, voters: Replicas, outgoing: Replicas, learners: Replicas, pieceBytes: CountField,
  files: Schema.Array(File).check(Schema.isMaxLength(stateFilesMax))
})
const PlanAsk = Schema.Struct({ version: Schema.Literal(1), group: HexField(32), index: CountField })
const PiecesAsk = Schema.Struct({ version: Schema.Literal(1), plan: HexField(64), from: CountField, to: CountField })

export interface PlannedFile {
  readonly name: string
  readonly bytes: number
}

/** One piece of one file. Pieces are numbered through all files, in their order. */
export interface Piece {
  readonly number: number
  readonly file: string
  readonly offset: number
  readonly bytes: number
  readonly hash: Uint8Array
}

export interface StatePlan {
  /** Of its bytes: 64 hex digits. */
  readonly id: string
  readonly encoded: Uint8Array
  readonly group: GroupId
  readonly place: SnapshotPlace
  readonly files: ReadonlyArray<PlannedFile>
  readonly pieces: ReadonlyArray<Piece>
}

/** Where the pieces of files lie, without their hashes: all of pieceBytes but each file's last. Empty files have none. */
export const piecesOf = (files: ReadonlyArray<PlannedFile>, pieceBytes: number): ReadonlyArray<Omit<Piece, "hash">> => {
  const pieces: Array<Omit<Piece, "hash">> = []
  for (const { bytes, name } of files) {
    for (let offset = 0; offset < bytes; offset += pieceBytes) pieces.push({ number: pieces.length, file: name, offset, bytes: Math.min(pieceBytes, bytes - offset) })
  }
  return pieces
}

export const encodePlan = (group: GroupId, { configuration, index, term }: SnapshotPlace, files: ReadonlyArray<PlannedFile>, pieceBytes: number, hashes: ReadonlyArray<Uint8Array>): Uint8Array => {
  let next = 0
  const rows = files.map(({ bytes, name }) => {
    const count = Math.ceil(bytes / pieceBytes)
    next += count
    return { name, bytes, pieces: Uint8Array.from(Buffer.concat(hashes.slice(next - count, next))) }
  })
  const { learners, outgoing, voters } = configuration
  return encodeRecord({ version: 1, group, index, term, voters, outgoing, learners, pieceBytes, files: rows })
}

/** The plan, or why these bytes are none: lengths and counts are checked against each other, and against what there may be. */
export const decodePlan = (encoded: Uint8Array): StatePlan | string => {
  const plan = decodeRecord(Plan, encoded, statePlanBytesMax)
  if (typeof plan === "string") return plan
  const { files, group, index, learners, outgoing, pieceBytes, term, voters } = plan
  if (pieceBytes < 1 || pieceBytes > statePieceBytesMax) return `pieces of ${pieceBytes} bytes`
  if (new Set(files.map(({ name }) => name)).size !== files.length) return "two files of one name"
  const counts = files.map(({ bytes }) => Math.ceil(bytes / pieceBytes))
  if (counts.reduce((sum, count) => sum + count, 0) > statePiecesMax) return `more than ${statePiecesMax} pieces`
  if (files.some(({ pieces }, at) => pieces.length !== counts[at]! * pieceHashBytes)) return "hashes that are not those of its pieces"
  const hashes = Buffer.concat(files.map(({ pieces }) => pieces))
  const pieces = piecesOf(files, pieceBytes).map((piece) => ({ ...piece, hash: Uint8Array.from(hashes.subarray(piece.number * pieceHashBytes, (piece.number + 1) * pieceHashBytes)) }))
  return {
    id: hashOf(encoded), encoded, group: group as GroupId, place: { index, term, configuration: { voters, outgoing, learners } },
    files: files.map(({ bytes, name }) => ({ name, bytes })), pieces
  }
}

/** What lies there is the piece that was planned. */
export const isPiece = (piece: Piece, bytes: Uint8Array): boolean => bytes.length === piece.bytes && equalBytes(hashBytes(bytes), piece.hash)

export const encodePlanAsk = (group: GroupId, index: number): Uint8Array => encodeRecord({ version: 1, group, index })
export const decodePlanAsk = (bytes: Uint8Array): typeof PlanAsk.Type | string => decodeRecord(PlanAsk, bytes, 256)
/** Pieces from `from` on, up to and without `to`. */
export const encodePiecesAsk = (plan: string, from: number, to: number): Uint8Array => encodeRecord({ version: 1, plan, from, to })
export const decodePiecesAsk = (bytes: Uint8Array): typeof PiecesAsk.Type | string => decodeRecord(PiecesAsk, bytes, 256)
