/**
 * Garbage: what must be true of a store that has collected everything: nothing that can be read is gone, and nothing else
 * is left but what history and a block's frame take.
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
import type { Random } from "../../sim/Random.ts"
import { claim } from "../../sim/Violation.ts"
import { checkAll } from "./reads.ts"
import type { World } from "./world.ts"

/** Collects to the end on a machine that does not fail, and looks at everything again. */
export const collectAll = (world: World, random: Random) =>
  Effect.gen(function*() {
    if (world.faulty || world.disk.stopped) return
    const { remaining } = yield* (yield* Gc).run(true)
    world.note(`collected, ${remaining.condemnedChunks} chunks are left condemned`)
    claim((yield* Intents).count() === 0, "nobody is at work any more")
    claim(remaining.condemnedChunks === 0, `${remaining.condemnedChunks} condemned chunks are left: ${remaining.waiting.join("; ")}`)
    yield* checkLeft
    yield* checkAll(world, random, 20)
  })

const checkLeft = Effect.gen(function*() {
  const { reader } = yield* State
  for (const [key, value] of reader.scan(table.chunk, afterPrefix(table.chunk))) {
    claim(chunkRow.decode(value).references > 0, `chunk ${toHex(fromByteString(key.slice(17)))} is named by nothing, and is left`)
  }
  const named = new Set<BlockId>(blocksAfter(reader, undefined, Number.MAX_SAFE_INTEGER))
  // After a torn tail, what lies behind it may have named a block: its file stays until a start without one (settle.ts).
  const mayBeUnnamed = (yield* Wal).status().tornTail !== undefined
  for (const block of yield* (yield* Blocks).list) claim(mayBeUnnamed || named.has(block), `block ${block} has a file, and no commit names it`)
  for (const block of named) {
    const use = blockUse(reader, block)
    claim(use !== undefined && liveShare(use) >= compactBelowDefault, `block ${block} is left with ${use?.liveBytes} of ${use?.sizeBytes} bytes live`)
  }
})
