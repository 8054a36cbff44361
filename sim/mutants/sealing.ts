/** Mutants of sealing and of blocks: what is written where, and when the journal may let go of it. */
import { type Mutant, mutant } from "./Mutant.ts"

const settle = "settle.ts"
const block = "block/BlockService.ts"
const blockWriter = "block/BlockWriterService.ts"
const chunks = "namespace/ApplyChunks.ts"

/*
 * Not planted, because nothing can tell: that a start with a torn tail keeps blocks that no commit names. The segment that this
 * start itself begins is durable before (the journal serves nothing sooner), and proves where the log ends: the tail is never
 * taken in again. The rule keeps such files for people. Nor that a move compares the place that a chunk's copy has by
 * then: a chunk is sealed to the same bytes every time, so that one copy is as good as another. Nor that a block is read back past the page cache as long as
 * it is written past it: both guards are planted away together.
 */

export const sealingMutants: ReadonlyArray<Mutant> = [
  mutant("sealing", "released-before-sealed", "the journal lets go of chunks that only it has (R11)", settle,
    `  if (journaled?._tag === "Journal") places.push(journaled)\n`, `  if (journaled?._tag === "Journal" && places.length > 9) places.push(journaled)\n`),
  mutant("sealing", "pins-ignored", "the journal lets go of chunks whose commit is under way", settle,
    `    places.push(pinned)\n`, `    if (places.length > 9) places.push(pinned)\n`),
  mutant("sealing", "head-taken-for-mark", "the journal lets go up to the newest chunk that waits, not the oldest", settle,
    `comparePlaces(place, least) < 0 ? place : least)\n  assert(places.every((place) => comparePlaces(keepFrom, place) <= 0), "the journal is kept from the lowest place")`,
    `comparePlaces(place, least) > 0 ? place : least)\n  assert(places.every((place) => comparePlaces(keepFrom, place) >= 0), "the journal is kept from the highest place")`),
  mutant("sealing", "sealed-unintended", "a block under way is not announced to the collector (R1)", settle,
    `yield* Effect.scoped(Effect.andThen(rooms.intents.open, writeAndName(rooms, progress, whole)))`, `yield* writeAndName(rooms, progress, whole)`),
  mutant("sealing", "moved-meanwhile-forgotten", "a chunk whose copy is elsewhere by the time it is moved loses that copy (R10)", chunks,
    `if (row === undefined || index < 0) return this.#waste(to)`,
    `if (row === undefined) return this.#waste(to)\n    if (index < 0) return this.#set(id, { ...row, copies: [] })`),
  mutant("sealing", "place-of-neighbour", "the last two chunks of a block are named at each other's places", "settle.ts",
    `to: written.places[index]! }))`, `to: written.places[index < 2 ? whole.length - 1 - index : index] ?? written.places[index]! }))`),
  mutant("sealing", "swept-under-way", "a block's file is swept though whoever writes it has not named it yet (R1)", "sweep.ts",
    `if (oldest !== undefined && oldest <= at) continue`, `if (oldest !== undefined && oldest <= at - 1_000_000) continue`),
  mutant("blocks", "block-not-synced", "a block is named before its bytes are durable (P1)", blockWriter,
    `Effect.all([file.sync, syncFolderOf(block)]`, `Effect.all([sizeBytes === 0 ? file.sync : Effect.void, syncFolderOf(block)]`),
  mutant("blocks", "block-name-not-synced", "a block is named by a commit before its file's name is durable", blockWriter,
    `Effect.all([file.sync, syncFolderOf(block)]`, `Effect.all([file.sync, sizeBytes === 0 ? syncFolderOf(block) : Effect.void]`),
  mutant("blocks", "block-folder-not-synced", "the name of a new folder of blocks is not synced", block,
    `    yield* disk.syncFolder(folder)\n    synced.add(path)`, `    synced.add(path)`),
  mutant("blocks", "block-not-read-back", "a block that the disk lost or put elsewhere is taken for written (R2)", blockWriter,
    `Effect.all([readBack(block, growingPathOf(block), tail.frameHash), close]`, `Effect.all([sizeBytes === 0 ? readBack(block, growingPathOf(block), tail.frameHash) : Effect.void, close]`),
  mutant("blocks", "held-end-forgotten", "what is no whole page yet is not written in front of what comes next", blockWriter,
    `  const [pages, rest] = cutAt([growing.held, ...padded(chunks)], whole)\n`, `  const [pages, rest] = cutAt([growing.held.fill(0, Math.min(growing.held.length, 2048)), ...padded(chunks)], whole)\n`),
  {
    id: "block-through-cache", room: "blocks", what: "a block is written to the page cache, and read back from there (R2)",
    edits: [
      { file: blockWriter, find: `disk.open(path, "create", { direct: true })`, replace: `disk.open(path, "create")` },
      { file: block, find: `const file = yield* disk.open(path, "read", { direct: true })\n    const directory`, replace: `const file = yield* disk.open(path, "read")\n    const directory` }
    ]
  },
  mutant("blocks", "region-unverified", "what a block's region holds is served unchecked (P3)", block,
    `return equalBytes(hashBytes(sealed), fromHex(region.sealedHash)) ?`, `return sealed.length > 0 || equalBytes(hashBytes(sealed), fromHex(region.sealedHash)) ?`),
  mutant("blocks", "file-removed-first", "a dropped block's file goes before the commit that drops it", "compact.ts",
    `  const { bytes, items } = yield* collectAll(namespace, { _tag: "DropBlock", block })\n`,
    `  yield* Effect.ignore(blocks.remove(block))\n  const { bytes, items } = yield* collectAll(namespace, { _tag: "DropBlock", block })\n`),
  mutant("blocks", "live-block-dropped", "a block goes though chunks have copies in it (P5)", "namespace/ApplyGarbage.ts",
    `  for (const _ of draft.scan(regions, afterPrefix(regions))) return nothing\n`,
    `  for (const [key] of draft.scan(regions, afterPrefix(regions))) if (key.length === 0) return nothing\n`),
  mutant("blocks", "fresh-block-dropped", "a block that an upload under way has named is taken for nobody's (R1)", "compact.ts",
    `if (load === undefined || !isSettled(rooms, load)) continue`, `if (load === undefined || (load.sizeBytes < 0 && !isSettled(rooms, load))) continue`),
  mutant("blocks", "half-compacted", "a sparse block is dropped when half of what lives in it has moved", "compact.ts",
    `  for (const use of batch) moving.push(...yield* readLive(rooms, compacting, use))`,
    `  for (const use of batch) moving.push(...(yield* readLive(rooms, compacting, use)).filter((_, index) => index % 4 !== 3))`)
]
