/**
 * Damage: what was found not to be as it was written, in the words of an operator. It sits between the rooms that look
 * at what lies on the disk, and scrub and verification, which report it.
 */
import { Effect } from "effect"
import type { BlockId } from "./base/ids.ts"
import type { BlockError, BlockInspected, BlocksService, RegionsJudge } from "./block/BlockService.ts"
import type { BlockArrival } from "./namespace/Model.ts"
import type { NamespaceService } from "./namespace/Namespace.ts"
import type { VersionNamed } from "./namespace/QueryCensus.ts"
import type { StateError } from "./namespace/State.ts"
import type { WalFault } from "./wal/WalInspectService.ts"

/** Damaged: not what was written. Missing: gone. Unreadable: the disk refuses. Mismatch: two records disagree. */
export type FindingKind = "Damaged" | "Missing" | "Unreadable" | "Mismatch"

export interface Finding {
  readonly kind: FindingKind
  /** A file or place: "block 0a1b…", "journal 3:4096", "checkpoints/….delta", "index", "chunk …", or the object. */
  readonly where: string
  readonly what: string
  /** The version of an object that cannot be read as a whole. */
  readonly version?: VersionNamed
}

export const blockFinding = (error: BlockError, block: BlockId): Finding => {
  const kind = error._tag === "BlockMissing" ? "Missing" : error._tag === "DiskError" ? "Unreadable" : "Damaged"
  return { kind, where: `block ${block}`, what: error._tag === "BlockDamaged" ? `${error.what}${error.chunk === undefined ? "" : ` (chunk ${error.chunk})`}` : error.message }
}

export const journalFinding = ({ offset, segment, what }: WalFault): Finding =>
  ({ kind: "Damaged", where: `journal ${segment}:${offset}`, what })

export const checkpointFinding = (path: string, error: StateError): Finding => {
  const kind = error.reason !== "Disk" ? "Damaged" : error.detail.includes("NotFound") ? "Missing" : "Unreadable"
  return { kind, where: path, what: error.detail }
}

interface Rooms {
  readonly blocks: BlocksService
  readonly namespace: NamespaceService
}

/** A block compared with its row, as the disk has it. */
export interface BlockExamined {
  /** Absent where not even the directory can be read. */
  readonly inspected: BlockInspected | undefined
  readonly findings: ReadonlyArray<Finding>
}

/**
 * Reads a block and compares it with what its row says. Undefined where a commit has dropped the block meanwhile: that
 * is no finding. What cannot be read is read twice, so that one failed read of a disk is none either.
 */
export const examineBlock = Effect.fnUntraced(function*(rooms: Rooms, named: BlockArrival, judge?: RegionsJudge) {
  const { block } = named
  const inspect = rooms.blocks.inspect(block, judge)
  const seen = yield* Effect.catchTag(inspect, "DiskError", () => inspect).pipe(Effect.catch((error) => Effect.succeed(error)))
  if (rooms.namespace.block(block) === undefined) return undefined
  if ("_tag" in seen) {
    const lost: BlockExamined = { inspected: undefined, findings: [blockFinding(seen, block)] }
    return lost
  }
  const { damages, directory } = seen
  const differs = directory.hash !== named.hash || directory.sizeBytes !== named.sizeBytes || directory.regions.length !== named.regions
  const findings = damages.map((damage) => blockFinding(damage, block))
  const other: Finding = { kind: "Mismatch", where: `block ${block}`, what: "it is whole, and not the block that its commit named" }
  const examined: BlockExamined = { inspected: seen, findings: differs ? [other, ...findings] : findings }
  return examined
})
