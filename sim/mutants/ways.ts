/** Mutants of the ways of the data: what puts, reads, completes, collects and expires. */
import { type Edit, type Mutant, mutant } from "./Mutant.ts"

/** What other guards would leave behind is found while the node runs: planted away beside them. */
const unswept: Edit = { file: "sweep.ts", find: `if (!suspects.has(block)) suspects.set(block, seenAt)`, replace: `if (suspects.has(block)) suspects.set(block, seenAt)` }

export const wayMutants: ReadonlyArray<Mutant> = [
  mutant("sealing", "chunks-unpinned", "chunks are appended without a pin: the journal may let go before their commit", "ingest.ts",
    `  yield* rooms.pins.pin\n`, ``),
  mutant("sealing", "epoch-unnamed", "a commit does not say in which epoch its chunks were appended (R3)", "ingest.ts",
    `    return rooms.namespace.propose(change, upload.walEpoch, undefined, once).pipe(`, `    return rooms.namespace.propose(change, upload.entries.length > 1_000_000 ? upload.walEpoch : undefined).pipe(`),
  mutant("sealing", "last-epoch-named", "a commit names the epoch of its last append, not of its first (R3)", "ingest.ts",
    `upload.walEpoch = Math.min(upload.walEpoch ?? ticket.epoch, ticket.epoch)`, `upload.walEpoch = Math.max(upload.walEpoch ?? ticket.epoch, ticket.epoch)`),
  mutant("blocks", "proposed-block-removed", "an upload whose answer is unknown removes blocks that its commit may name", "ingest.ts",
    `    upload.proposed = new Set(blocksOf(change))\n    return rooms`, `    upload.proposed = upload.blocks.length > 1_000 ? new Set(blocksOf(change)) : none\n    return rooms`),
  {
    id: "failed-block-left", room: "blocks", what: "blocks of an upload that fails stay until the next start, and no sweep finds them (P5)",
    edits: [
      { file: "ingest.ts", find: `removeBlocks(rooms, [...upload.finished`, replace: `upload.base >= 0 ? Effect.void : removeBlocks(rooms, [...upload.finished` },
      unswept
    ]
  },
  {
    id: "unnamed-block-kept", room: "blocks", what: "blocks that no commit names stay after a crash, and no sweep finds them (P5)",
    edits: [
      { file: "settle.ts", find: `blocks.filter((block) => rooms.namespace.block(block) === undefined))`, replace: `blocks.filter((block) => rooms.namespace.block(block) === undefined).slice(1))` },
      unswept
    ]
  },
  {
    id: "copy-without-intent", room: "references", what: "a copy counts on chunks that may be freed under it, from its look-up on (R1)",
    edits: [
      { file: "put.ts", find: `  yield* rooms.intents.open\n  const { source, bucket, key, attributes, condition } = request`, replace: `  const { source, bucket, key, attributes, condition } = request` },
      { file: "gateway/s3/ObjectCopy.ts", find: `  yield* rooms.get.hold\n`, replace: `` }
    ]
  },
  mutant("references", "damaged-is-a-hit", "deduplication counts on a chunk that is known to be damaged (R1)", "ingest.ts",
    `row.condemnedAt === undefined && !rooms.fetch.isDamaged(id)`, `row.condemnedAt === undefined && (rooms.sizes.unitBytes > 0 || !rooms.fetch.isDamaged(id))`),
  mutant("references", "page-hit-when-condemned", "a page of a manifest is taken for stored though it may be freed", "pages.ts",
    `const known = isHit(rooms, page, rooms.namespace.chunks([page])[0])`, `const known = isHit(rooms, page, rooms.namespace.chunks([page])[0]) || rooms.namespace.chunks([page])[0] !== undefined`),
  mutant("references", "page-first-named-late", "a page is staged with the arrivals of the entries behind it left out at its border", "pages.ts",
    `upload.arrivals.filter(({ entry }) => entry < end).map`, `upload.arrivals.filter(({ entry }) => entry < end - 1 || end < 2).map`),
  mutant("references", "stale-aborted-young", "uploads are aborted while somebody still goes on with them", "free.ts",
    `Math.max(0, (yield* Clock.currentTimeMillis) - staleMs)`, `Math.max(0, (yield* Clock.currentTimeMillis) + staleMs)`),
  mutant("references", "purge-stops-early", "a pass of purging forgets where it stopped and calls itself whole (P5)", "purge.ts",
    `    pass.from = walk.next\n    if (walk.next === undefined && !nextBucket(reader, readable, pass)) {`, `    pass.from = walk.next\n    if (!nextBucket(reader, readable, pass)) {`),
  mutant("references", "horizon-too-new", "retention keeps half as long as it was told to", "retention.ts",
    `namespace.sequenceAt(wallMs - retentionMs)`, `namespace.sequenceAt(wallMs - retentionMs / 2)`),
  mutant("references", "jump-destroys", "a clock that jumps ahead lets history go (R6)", "retention.ts",
    `if (Math.abs(drift) <= clockDriftMsMax) {`, `if (drift >= -clockDriftMsMax) {`),
  mutant("references", "expired-for-ever", "what has expired is never hidden, and so never freed", "expiry.ts",
    `if (sinceMs === undefined || sinceMs > nowMs) return`, `if (sinceMs === undefined || sinceMs + 86_400_000 > nowMs) return`),
  mutant("references", "freed-before-indexed", "a store frees chunks by the clock of the newest commit alone, without grace", "free.ts",
    `const old = graceMs === 0 ? head :`, `const old = graceMs < 86_400_000 ? head :`),
  mutant("answers", "part-of-another-size", "a range that begins inside a chunk begins a byte late", "get.ts",
    `from: Math.max(0, start - offset)`, `from: Math.max(0, start - offset + (start > offset + 1 ? 1 : 0))`),
  {
    id: "chunk-twice", room: "answers", what: "an object that has a chunk twice hands out the same memory twice, which whoever has the first may write to",
    edits: [
      { file: "get.ts", find: `    return isShared ? copyOf(bytes) : bytes\n`, replace: `    return isShared && bytes.length === 0 ? copyOf(bytes) : bytes\n` },
      { file: "fetch.ts", find: `    if (given.has(id)) return copyOf(plaintext)\n`, replace: `    if (given.has(id) && plaintext.length === 0) return copyOf(plaintext)\n` }
    ]
  },
  mutant("answers", "moved-is-missing", "a chunk that moved while it was read is not looked up again (R12)", "fetch.ts",
    `round < resolveRoundsMax`, `round < Math.min(1, resolveRoundsMax)`),
  mutant("answers", "parts-in-order-of-arrival", "an upload is completed with all its parts, asked for or not", "complete.ts",
    `  if (parts.length === 0) return yield* refuse("InvalidPart")\n`, `  if (parts.length === 0) return yield* refuse("InvalidPart")\n  if (stored.size > parts.length) chosen.push([...stored.values()][0]!)\n`),
  mutant("answers", "carried-over-lost", "the uncut rest of a unit is left out where it fills less than a page", "units.ts",
    `    if (rest.length === 0) return\n`, `    if (rest.length < 64) return\n`),
  // Subtle ones: an order, a wait, a bound, a case that is forgotten.
  mutant("references", "newest-intent-counts", "what was condemned before the newest who is at work is freed, not before the oldest (R1)", "intents.ts",
    `for (const { at } of opened) return at`, `for (const { at } of [...opened].toReversed()) return at`),
  mutant("references", "intents-end-together", "an intent that ends takes the others with it (R1)", "intents.ts",
    `Effect.sync(() => void opened.delete(intent))`, `Effect.sync(() => (opened.has(intent) ? opened.clear() : undefined))`),
  mutant("references", "purge-skips-listed", "listed rows that no readable commit shows are never looked at (P5)", "purge.ts",
    `if (mayListPurgeable(readable, bucket)) return true`, `if (mayListPurgeable(readable, bucket) && pass.from !== undefined) return true`),
  mutant("references", "lone-bucket-kept", "superseded rows of one bucket alone are not worth a commit, and stay (P5)", "purge.ts",
    `if (old.length > 0) purging.historyRows`, `if (old.length > 1) purging.historyRows`),
  mutant("answers", "cache-shares-chunk", "the cache hands out its own bytes, which whoever has them may write to", "chunkCache.ts",
    `bytes === undefined ? undefined : copyOf(bytes)`, `bytes`),
  mutant("answers", "cache-shares-part", "a small range out of the cache is a view of what the cache has", "chunkCache.ts",
    `? copyOf(bytes.subarray(from, to)) : undefined`, `? bytes.subarray(from, to) : undefined`),
  mutant("answers", "cache-keeps-view", "the cache keeps bytes that it was shown, and that belong to somebody", "chunkCache.ts",
    `this.#lru.add(id, copyOf(bytes), sizeBytes)`, `this.#lru.add(id, bytes, sizeBytes)`),
  mutant("answers", "batches-out-of-turn", "a batch that is asked for ahead takes its pieces before the one before it has", "get.ts",
    `before === undefined ? takePieces(source, begun)`, `before === undefined || begun ? takePieces(source, begun)`),
  mutant("references", "intent-one-late", "an intent counts from the commit after the newest on: what the very next one lets go of may be freed under it (R1)", "intents.ts",
    `const intent = { at: namespace.head().sequence }`, `const intent = { at: namespace.head().sequence + 1 }`),
  mutant("references", "free-beyond-intent", "what is condemned by the commit after the oldest intent is freed (R1)", "free.ts",
    `intents.oldest() ?? head)`, `(intents.oldest() ?? head) + 1)`),
  mutant("references", "damaged-page-kept", "a page that came again because it is damaged keeps its damaged copy (R1)", "pages.ts",
    `if (rooms.fetch.isDamaged(page)) upload`, `if (rooms.fetch.isDamaged(page) && level > 9) upload`)
]
