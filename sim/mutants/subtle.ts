/** Mutants that read like the code: the order of two effects, a wait left out, a bound off by one. Types, lint and unit tests let them pass. */
import { type Mutant, mutant } from "./Mutant.ts"

const gather = "gather.ts"
const pages = "pages.ts"
const compact = "compact.ts"

export const subtleMutants: ReadonlyArray<Mutant> = [
  mutant("sealing", "newest-pin-heeded", "of several pins the journal is kept from the newest (R11)", "pins.ts",
    `comparePlaces(place, oldest) < 0) oldest = place`, `comparePlaces(place, oldest) > 0) oldest = place`),
  mutant("sealing", "pinned-for-its-append", "a pin is given up when the append is over, not when the commit is (R11)", "ingest.ts",
    `  yield* rooms.pins.pin\n`, `  yield* Effect.scoped(rooms.pins.pin)\n`),
  {
    id: "intent-of-one-block", room: "sealing", what: "an intent of settling ends with the block's writing, before its commit (R1)",
    edits: [
      { file: "settle.ts", find: `yield* Effect.scoped(Effect.andThen(rooms.intents.open, writeAndName(rooms, progress, whole)))`, replace: `yield* writeAndName(rooms, progress, whole)` },
      { file: "settle.ts", find: `Effect.mapError(rooms.blocks.write(block, chunks), (error) =>`, replace: `Effect.mapError(Effect.scoped(Effect.andThen(rooms.intents.open, rooms.blocks.write(block, chunks))), (error) =>` }
    ]
  },
  mutant("sealing", "newest-intent-heeded", "chunks and blocks wait for the newest of those at work, not for the oldest (R1)", "intents.ts",
    `        for (const { at } of opened) return at\n        return undefined\n`, `        return [...opened].at(-1)?.at\n`),
  mutant("sealing", "intent-of-its-start", "a block whose file was first seen at the commit at which its upload began is swept (R1)", "sweep.ts",
    `oldest !== undefined && oldest <= at`, `oldest !== undefined && oldest < at`),
  mutant("blocks", "finished-out-of-order", "a block that is finished before the one ahead of it does not wait for that one", gather,
    `  yield* joined(before)\n`, `  if (before?.pollUnsafe() !== undefined) yield* joined(before)\n`),
  mutant("blocks", "finished-while-written", "a block is finished without a wait for what is still being written to it", gather,
    `  yield* joined(block.writing)\n  const { arrival }`, `  if (block.isWritten) yield* joined(block.writing)\n  const { arrival }`),
  mutant("blocks", "blocks-forgotten-at-page", "blocks that are finished while a page is staged are forgotten with those that it named", pages,
    `    upload.blocks = upload.blocks.filter((block) => !blocks.includes(block))\n`, `    upload.blocks = []\n`),
  mutant("blocks", "arrival-at-border", "the first chunk behind a page is taken for named with it", pages,
    `  upload.arrivals = upload.arrivals.filter(({ entry }) => entry >= end)\n`, `  upload.arrivals = upload.arrivals.filter(({ entry }) => entry > end)\n`),
  mutant("blocks", "refused-drop-removes", "a block's file goes though its commit found chunks in it", compact,
    `  if (items === 0) return\n`, `  if (items > 1) return\n`),
  mutant("blocks", "moved-in-turn", "chunks of blocks that are written anew together are named at each other's places", compact,
    `({ chunk: chunk.id, from, to: written.places[index]! })`, `({ chunk: chunk.id, from, to: written.places[moving.length - 1 - index]! })`),
  mutant("blocks", "read-back-before-sync", "a block is read back while it is being synced, and counts before both are over", "block/BlockWriterService.ts",
    `    yield* options.isNamedLast === true ? file.sync : Effect.all([file.sync, syncFolderOf(block)], { concurrency: 2, discard: true })\n    yield* Effect.all([readBack(block, growingPathOf(block), tail.frameHash), close], { concurrency: 2, discard: true })\n`,
    `    yield* Effect.all([Effect.ignore(file.sync), syncFolderOf(block)], { concurrency: 2, discard: true })\n    yield* Effect.all([readBack(block, growingPathOf(block), tail.frameHash), close], { concurrency: 2, discard: true })\n`),
  mutant("journal", "head-for-state", "the journal is let go for the state up to its head, not up to what a checkpoint has (R8)", "node/WalCommitLog.ts",
    `Effect.mapError(wal.release("state", keepFrom), logError)`, `Effect.mapError(wal.release("state", keepFrom.segment === 0 ? keepFrom : wal.head()), logError)`),
  mutant("sealing", "pins-end-together", "a pin that is given up takes the others with it (R11)", "pins.ts",
    `Effect.sync(() => void pinned.delete(pin))`, `Effect.sync(() => (pinned.has(pin) ? pinned.clear() : undefined))`),
  mutant("sealing", "pin-behind-append", "the journal is pinned once the chunks are in it, not before (R11)", "ingest.ts",
    `  yield* rooms.pins.pin\n  const records = chunks.map(({ bytes }) => ({ kind: "Chunk" as const, payload: bytes }))\n  const ticket = yield* Effect.mapError(rooms.wal.append(records), journalFailed)\n`,
    `  const records = chunks.map(({ bytes }) => ({ kind: "Chunk" as const, payload: bytes }))\n  const ticket = yield* Effect.mapError(rooms.wal.append(records), journalFailed)\n  yield* rooms.pins.pin\n`),
  mutant("sealing", "released-in-two-steps", "pins are looked up a step before the journal's head: who pins and appends between the two is passed over (R11)", "settle.ts",
    `  yield* enter(rooms, progress, "Releasing")\n  const keepFrom = keepFromOf(rooms)\n`,
    `  const pinned = rooms.pins.oldest()\n  yield* enter(rooms, progress, "Releasing")\n  const keepFrom = keepFromOf({ ...rooms, pins: { ...rooms.pins, oldest: () => pinned } })\n`),
  {
    id: "intent-behind-its-block", room: "sealing", what: "whoever seals opens his intent once the block is written, not before its first byte (R1)",
    edits: [
      { file: "settle.ts", find: `yield* Effect.scoped(Effect.andThen(rooms.intents.open, writeAndName(rooms, progress, whole)))`, replace: `yield* writeAndName(rooms, progress, whole)` },
      { file: "settle.ts", find: `  yield* nameBlock(rooms, whole, written)\n`, replace: `  yield* Effect.scoped(Effect.andThen(rooms.intents.open, nameBlock(rooms, whole, written)))\n` }
    ]
  },
  mutant("blocks", "unknown-is-refused", "a commit whose outcome is unknown counts as refused: blocks that it may name are removed", "ingest.ts",
    `if (error._tag === "Refused") upload.proposed = none`, `if (error.message.length > 0) upload.proposed = none`)
]
