/**
 * Scrubbed: what scrub remembers: how far it has come, and what it has found; kept in a small file, so that a restart
 * goes on. It sits between scrub and the Disk port.
 */
import { Data, Effect, Schema } from "effect"
import { fromUtf8, toUtf8 } from "./base/bytes.ts"
import type { BlockId, ChunkId } from "./base/ids.ts"
import { scrubFileBytesMax, scrubFindingsMax } from "./base/limits.ts"
import type { FindingKind } from "./damage.ts"
import type { DiskService } from "./ports/Disk.ts"

export const scrubFile = "scrub.json"

/** A finding that stands. Its chunks are those that rows still seek there; those that are healed or gone are dropped. */
export interface Scrubbed {
  readonly kind: FindingKind
  readonly where: string
  readonly what: string
  readonly sinceMs: number
  /** Where it is a block's. */
  readonly block?: BlockId
}

/** The findings of a file or place; `chunks` are not kept over a restart: the block is looked at again. */
export interface Standing extends Scrubbed {
  readonly chunks: ReadonlyArray<ChunkId>
}

/** Where a pass stands. It goes through blocks in the order of their ids, then checkpoints, then the journal. */
export interface ScrubPlace {
  /** Counts from 1. */
  readonly pass: number
  readonly startedMs: number
  /** The last block looked at; undefined: none yet. */
  readonly after: BlockId | undefined
  readonly bytes: number
  readonly finishedMs: number | undefined
}

/** A count, bytes or milliseconds: what a harmed file says otherwise is not reckoned with. */
const Natural = Schema.Number.pipe(Schema.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }), Schema.isInt()))

const Kept = Schema.Struct({
  format: Schema.Literal(1),
  pass: Natural,
  startedMs: Natural,
  after: Schema.optionalKey(Schema.String.pipe(Schema.check(Schema.isPattern(/^[0-9a-f]{32}$/)))),
  bytes: Natural,
  finishedMs: Schema.optionalKey(Natural),
  findings: Schema.Array(Schema.Struct({
    kind: Schema.Literals(["Damaged", "Missing", "Unreadable", "Mismatch"]), where: Schema.String, what: Schema.String, sinceMs: Natural,
    block: Schema.optionalKey(Schema.String.pipe(Schema.check(Schema.isPattern(/^[0-9a-f]{32}$/))))
  }))
})

export interface ScrubMemory {
  readonly place: ScrubPlace | undefined
  readonly findings: ReadonlyArray<Scrubbed>
}

class NotJson extends Data.TaggedError("NotJson")<{}> {
  override get message(): string {
    return "not JSON"
  }
}

const nothing: ScrubMemory = { place: undefined, findings: [] }

/** What the last run left; nothing where it left nothing, or nothing that can be read: then scrub begins anew. */
export const readScrubbed = (disk: DiskService): Effect.Effect<ScrubMemory> =>
  Effect.scoped(Effect.flatMap(disk.open(scrubFile, "read"), (file) => file.read(0, scrubFileBytesMax))).pipe(
    Effect.flatMap((bytes) => Effect.try({ try: (): unknown => JSON.parse(fromUtf8(bytes) ?? ""), catch: () => new NotJson() })),
    Effect.flatMap(Schema.decodeUnknownEffect(Kept)),
    Effect.map(({ after, bytes, findings, finishedMs, pass, startedMs }): ScrubMemory => ({
      place: { pass, startedMs, bytes, after: after as BlockId | undefined, finishedMs },
      findings: findings.slice(0, scrubFindingsMax).map(({ block, ...rest }) => ({ ...rest, ...(block === undefined ? {} : { block: block as BlockId }) }))
    })),
    Effect.catch((error) => "code" in error && error.code === "NotFound"
      ? Effect.succeed(nothing)
      : Effect.as(Effect.logWarning(`scrub begins anew: ${scrubFile} cannot be read: ${error.message}`), nothing))
  )

/**
 * Replaces the file as a whole for whoever is killed. Not synced: a power cut may leave an older file, none, or one that
 * cannot be read, and then blocks are read again that were read already; findings are found again.
 */
export const writeScrubbed = Effect.fnUntraced(function*(disk: DiskService, { findings, place }: ScrubMemory) {
  if (place === undefined) return
  const draft = `${scrubFile}.new`
  const { after, bytes, finishedMs, pass, startedMs } = place
  const kept: typeof Kept.Type = {
    format: 1, pass, startedMs, bytes, ...(after === undefined ? {} : { after }), ...(finishedMs === undefined ? {} : { finishedMs }),
    findings: findings.map(({ block, kind, sinceMs, what, where }) => ({ kind, where, what: what.slice(0, 400), sinceMs, ...(block === undefined ? {} : { block }) }))
  }
  yield* disk.remove(draft).pipe(Effect.catch((error) => (error.code === "NotFound" ? Effect.void : Effect.fail(error))))
  yield* Effect.scoped(Effect.flatMap(disk.open(draft, "create"), (file) => file.write(0, [toUtf8(JSON.stringify(kept))])))
  yield* disk.rename(draft, scrubFile)
})
