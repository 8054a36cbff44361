/**
 * Garbage: what must be true of a store that has collected everything (P5): nothing that is named is gone, and nothing else
 * is left but what history and a block's frame take. It sits between a store at rest and its collector.
 */
import { Effect, Exit } from "effect"
import { fromByteString, toHex } from "../../src/base/bytes.ts"
import type { BlockId, ChunkId, Sequence } from "../../src/base/ids.ts"
import { compactBelowDefault } from "../../src/base/limits.ts"
import { Blocks } from "../../src/block/BlockService.ts"
import { liveShare } from "../../src/compact.ts"
import { Gc, type GcReport } from "../../src/gc.ts"
import { Intents } from "../../src/intents.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { journaledTotal, namings } from "../../src/namespace/QueryCensus.ts"
import { blockLoad, blocksAfter, bucketsAfter, deadBlocks, garbageTotals, mayListPurgeable, purgeable, withSupersededRows } from "../../src/namespace/QueryGarbage.ts"
import { Readable } from "../../src/namespace/QueryPurge.ts"
import { afterPrefix, table } from "../../src/namespace/Rows.ts"
import { chunkRow } from "../../src/namespace/RowsValue.ts"
import { State, type StateReader } from "../../src/namespace/State.ts"
import { Retention } from "../../src/retention.ts"
import { Verify } from "../../src/verify.ts"
import { Wal } from "../../src/wal/WalService.ts"
import { claim } from "../Violation.ts"
import type { AtRest, Checker, MakeChecker } from "./Checker.ts"

function* chunksOf(reader: StateReader) {
  for (const [key, value] of reader.scan(table.chunk, afterPrefix(table.chunk))) yield { id: toHex(fromByteString(key.slice(17))) as ChunkId, ...chunkRow.decode(value) }
}

/** How often each chunk is named: once by each version, part and page that names it. */
const countsOf = (reader: StateReader): Map<ChunkId, number> => {
  const counts = new Map<ChunkId, number>()
  for (const { entries } of namings(reader)) for (const id of new Set(entries.map(({ chunk }) => chunk))) counts.set(id, (counts.get(id) ?? 0) + 1)
  return counts
}

/** Of a store that has collected to the end, with nobody at work. */
export const checkLeft = Effect.gen(function*() {
  const { reader } = yield* State
  const counts = countsOf(reader)
  for (const { copies, id, references } of chunksOf(reader)) {
    claim(references > 0, `chunk ${id} is named by nothing, and is left`)
    claim(copies.length > 0, `chunk ${id} is named ${references} times, and has no copy`)
    claim(references === counts.get(id), `chunk ${id} counts ${references} references, and ${counts.get(id) ?? 0} name it`)
    counts.delete(id)
  }
  for (const [id, count] of counts) claim(false, `chunk ${id} is named by ${count}, and nothing is known of it`)
  const named = new Set<BlockId>(blocksAfter(reader, undefined, Number.MAX_SAFE_INTEGER))
  const list = yield* (yield* Blocks).list
  // After a torn tail, what lies behind it may have named a block: its file stays until a start without one (settle.ts).
  const mayBeUnnamed = (yield* Wal).status().tornTail !== undefined
  for (const block of list) claim(mayBeUnnamed || named.has(block), `block ${block} has a file, and no commit names it`)
  const files = new Set<BlockId>(list)
  for (const block of named) {
    claim(files.has(block), `block ${block} is named, and has no file`)
    const load = blockLoad(reader, block)
    claim(load !== undefined && liveShare(load) >= compactBelowDefault, `block ${block} is left with ${load?.liveBytes} of ${load?.sizeBytes} bytes live`)
  }
  checkTotals(reader)
})

/** What is told of garbage is what the rows add up to. */
const checkTotals = (reader: StateReader): void => {
  const { condemnedBytes, condemnedChunks, deadBytes } = garbageTotals(reader)
  const dead = deadBlocks(reader, undefined, Number.MAX_SAFE_INTEGER).reduce((sum, { bytes }) => sum + bytes, 0)
  claim(condemnedChunks === 0 && condemnedBytes === 0 && deadBytes === dead, `the totals tell of ${condemnedChunks} chunks, ${condemnedBytes} bytes of them and ${deadBytes} bytes of nobody, and the rows of ${dead}`)
  let journaled = 0
  for (const { copies } of chunksOf(reader)) for (const { place } of copies) if (place._tag === "Journal") journaled += place.lengthBytes
  claim(journaledTotal(reader) === journaled, `the totals tell of ${journaledTotal(reader)} bytes in the journal, and the rows of ${journaled}`)
}

/** Rows that no commit shows that could be read when the horizon was there. */
export const checkHistoryLeft = Effect.fnUntraced(function*(horizon: Sequence) {
  const { reader } = yield* State
  const readable = new Readable(reader, horizon)
  const all = Number.MAX_SAFE_INTEGER
  const left = [
    ...purgeable(reader, readable, "hidden", undefined, undefined, all, all).places,
    ...bucketsAfter(reader, undefined, all).filter((bucket) => mayListPurgeable(readable, bucket)).flatMap((bucket) => purgeable(reader, readable, "version", bucket, undefined, all, all).places)
  ]
  claim(left.length === 0, `${left.length} versions are left that nothing from commit ${horizon} on shows, the first of commit ${left[0]?.sequence}`)
  const superseded = withSupersededRows(reader, bucketsAfter(reader, undefined, all), horizon)
  claim(superseded.length === 0, `rows of ${superseded.length} buckets are left that were superseded by commit ${horizon}`)
  const { length } = (yield* Namespace).endedUploads(1)
  claim(length === 0, "parts are left of an upload that has ended")
})

/** Every node, file, region and reference, as they lie there. Checkpoints that were harmed are kept until a new base has their place. */
const verifyAll = Effect.gen(function*() {
  const findings: Array<string> = []
  yield* (yield* Verify).run((event) => Effect.sync(() => {
    if (event._tag === "Finding" && !event.finding.where.startsWith("checkpoints/")) findings.push(`${event.finding.where}: ${event.finding.kind}: ${event.finding.what}`)
  }))
  claim(findings.length === 0, `verification finds ${findings.length}: ${findings.slice(0, 3).join("; ")}`)
})

const checkNobodyWaits = Effect.fnUntraced(function*({ condemnedChunks, waiting }: GcReport["remaining"]) {
  claim((yield* Intents).count() === 0, "nobody is at work any more")
  claim(condemnedChunks === 0, `${condemnedChunks} condemned chunks are left: ${waiting.join("; ")}`)
})

/** A run lets go of what was history when it began: what expires, is sealed or is given up as stale beside it is the next one's. */
const runsMax = 3

/** Collects to the end; what is left condemned, and why. */
export const collect = Effect.gen(function*() {
  const horizon = (yield* Namespace).oldestReadable()
  const gc = yield* Gc
  for (let runs = 1; ; runs += 1) {
    const { remaining } = yield* gc.run(true)
    const left = yield* Effect.exit(Effect.andThen(Effect.andThen(checkNobodyWaits(remaining), checkLeft), checkHistoryLeft(horizon)))
    if (Exit.isSuccess(left)) return
    if (runs === runsMax) return yield* left
    yield* Effect.sleep(1000)
  }
})

/** A verification reads everything: not in every world. */
const verifyChance = 0.3

class Garbage implements Checker {
  readonly name = "garbage"

  /** Where faults took what was synced, blocks may be kept for what they still have. */
  readonly atRest = ({ merciless, random }: AtRest) =>
    merciless ? Effect.void : Effect.andThen(collect, random.chance(verifyChance) ? verifyAll : Effect.void)

  readonly rebuilt = ({ merciless }: AtRest) => (merciless ? Effect.void : collect)

  /** Whatever retention there is, it is over: all of history goes, at once. */
  readonly later = ({ random }: AtRest) => Effect.gen(function*() {
    yield* (yield* Retention).raiseNow
    yield* collect
    if (random.chance(verifyChance)) yield* verifyAll
  })
}

export const garbageChecker: MakeChecker = () => new Garbage()
