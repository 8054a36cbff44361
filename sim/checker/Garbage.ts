/**
 * Garbage: what must be true of a store that has collected everything (P5): nothing that is named is gone, and nothing else
 * is left but what history and a block's frame take. It sits between a store at rest and its collector.
 */
import { Effect } from "effect"
import { fromByteString, toHex } from "../../src/base/bytes.ts"
import { type BlockId } from "../../src/base/ids.ts"
import { compactBelowDefault } from "../../src/base/limits.ts"
import { Blocks } from "../../src/block/BlockService.ts"
import { liveShare } from "../../src/compact.ts"
import { Gc } from "../../src/gc.ts"
import { Intents } from "../../src/intents.ts"
import { blocksAfter, blockUse } from "../../src/namespace/QueryGarbage.ts"
import { afterPrefix, table } from "../../src/namespace/Rows.ts"
import { chunkRow } from "../../src/namespace/RowsValue.ts"
import { State } from "../../src/namespace/State.ts"
import { Wal } from "../../src/wal/WalService.ts"
import { claim } from "../Violation.ts"
import type { AtRest, Checker, MakeChecker } from "./Checker.ts"

/** Of a store that has collected to the end, with nobody at work. */
export const checkLeft = Effect.gen(function*() {
  const { reader } = yield* State
  for (const [key, value] of reader.scan(table.chunk, afterPrefix(table.chunk))) {
    const row = chunkRow.decode(value)
    claim(row.references > 0, `chunk ${toHex(fromByteString(key.slice(17)))} is named by nothing, and is left`)
    claim(row.copies.length > 0, `chunk ${toHex(fromByteString(key.slice(17)))} is named ${row.references} times, and has no copy`)
  }
  const named = new Set<BlockId>(blocksAfter(reader, undefined, Number.MAX_SAFE_INTEGER))
  const list = yield* (yield* Blocks).list
  // After a torn tail, what lies behind it may have named a block: its file stays until a start without one (settle.ts).
  const mayBeUnnamed = (yield* Wal).status().tornTail !== undefined
  for (const block of list) claim(mayBeUnnamed || named.has(block), `block ${block} has a file, and no commit names it`)
  const files = new Set<BlockId>(list)
  for (const block of named) {
    claim(files.has(block), `block ${block} is named, and has no file`)
    const use = blockUse(reader, block)
    claim(use !== undefined && liveShare(use) >= compactBelowDefault, `block ${block} is left with ${use?.liveBytes} of ${use?.sizeBytes} bytes live`)
  }
})

/** Collects to the end; what is left condemned, and why. */
export const collect = Effect.gen(function*() {
  const { remaining } = yield* (yield* Gc).run(true)
  claim((yield* Intents).count() === 0, "nobody is at work any more")
  claim(remaining.condemnedChunks === 0, `${remaining.condemnedChunks} condemned chunks are left: ${remaining.waiting.join("; ")}`)
  yield* checkLeft
})

class Garbage implements Checker {
  readonly name = "garbage"

  /** Where faults took what was synced, blocks may be kept for what they still have. */
  readonly atRest = ({ merciless }: AtRest) => (merciless ? Effect.void : collect)

  readonly rebuilt = ({ merciless }: AtRest) => (merciless ? Effect.void : collect)
}

export const garbageChecker: MakeChecker = () => new Garbage()
