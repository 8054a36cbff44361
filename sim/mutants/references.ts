/** Mutants of references, deletion and history: what counts as needed, and when it goes. */
import { type Mutant, mutant } from "./Mutant.ts"

const chunks = "namespace/ApplyChunks.ts"

export const referenceMutants: ReadonlyArray<Mutant> = [
  mutant("references", "free-without-compare", "a chunk is freed though it was named and condemned again since (R1)", chunks,
    `row.references > 0 || row.condemnedAt !== condemnedAt) return undefined`, `row.references > 0 || row.condemnedAt === undefined || condemnedAt < 0) return undefined`),
  mutant("references", "named-chunk-freed", "a chunk is freed though something names it (P5)", chunks,
    `if (row === undefined || row.references > 0 || row.condemnedAt !== condemnedAt)`, `if (row === undefined || (row.references === 0 && row.condemnedAt !== condemnedAt))`),
  mutant("references", "intents-ignored", "chunks are freed that an upload or a read under way counts on (R1, R12)", "free.ts",
    `return Math.min(old, intents.oldest() ?? head)`, `return intents.count() < 0 ? 0 : Math.min(old, head)`),
  mutant("references", "condemned-is-a-hit", "deduplication counts on a chunk that may be freed any moment (R1)", "ingest.ts",
    `row.copies.length > 0 && row.condemnedAt === undefined`, `row.copies.length > 0`),
  mutant("references", "upload-without-intent", "uploads open no intent (R1)", "ingest.ts",
    `  yield* rooms.intents.open\n`, ``),
  mutant("references", "freed-page-keeps-its-chunks", "a page of a manifest that goes does not let go of what it lists (P5)", chunks,
    `      this.#releaseEntries(stagedPageRow.decode(bytes).entries)\n`, ``),
  {
    id: "renewed-without-time", room: "references", what: "a chunk that arrives again keeps the time of its condemnation (R1)",
    edits: [
      { file: chunks, find: `        this.renew(id)\n        continue`, replace: `        continue` },
      { file: "namespace/Apply.ts", find: `  chunks.renew(page)\n`, replace: `` }
    ]
  },
  mutant("references", "healed-keeps-damaged", "new bytes of a damaged chunk are taken for those that it has (R1)", chunks,
    `      if (!old.copies.some(({ place }) => samePlace(place, arrival.place))) this.#set(`, `      if (old.copies.some(({ place }) => samePlace(place, arrival.place))) this.#set(`),
  mutant("references", "waste-not-noted", "bytes of a moved or freed chunk are not noted as nobody's: the block stays for ever (P5)", chunks,
    `    if (this.#draft.get(key) !== undefined) this.#draft.remove(key)\n    this.#waste(place)`, `    if (place.offset < 0) this.#draft.remove(key)\n    this.#waste(place)`),
  mutant("references", "purge-ignores-branches", "history is purged that a branch still shows (R5)", "namespace/QueryPurge.ts",
    `users.add(lineageUserOf(key))`, `void lineageUserOf(key)`),
  mutant("references", "purge-beyond-horizon", "rows are purged that a readable commit shows (R5)", "namespace/QueryPurge.ts",
    `const at = Math.max(this.horizon, from)`, `const at = Math.max(this.horizon, from) + 2`),
  {
    id: "drop-readable-commits", room: "references", what: "commits behind the horizon go with those before it (R5)",
    edits: [
      { file: "namespace/ApplyPurge.ts", find: `commitKey(Math.min(before, horizon))`, replace: `commitKey(Math.min(before, horizon + 3))` },
      { file: "purge.ts", find: `Math.min(before, namespace.oldestReadable())`, replace: `Math.min(before, namespace.oldestReadable() + 3)` }
    ]
  },
  mutant("references", "rollback-off-by-one", "a rollback shows one commit too many", "namespace/ApplyHistory.ts",
    `const lineage = extended(then, view.bucket, sequence, lastChangeOf(draft, view, sequence - 1))`, `const lineage = extended(then, view.bucket, sequence - 1, lastChangeOf(draft, view, sequence - 1))`),
  mutant("references", "late-arrival-in-view", "a view shows one commit more of an interval than it has (R5)", "namespace/QueryView.ts",
    `if (interval.source === source && interval.from <= sequence && sequence <= interval.to) return true`,
    `if (interval.source === source && interval.from <= sequence && sequence <= interval.to + 1) return true`),
  mutant("references", "parts-leak", "the first part of an ended upload is dropped without letting go of its chunks (P5)", "namespace/ApplyUploads.ts",
    `    chunks.release(manifest)\n    draft.remove(key)`, `    if (dropped > 0) chunks.release(manifest)\n    draft.remove(key)`),
  // Subtle ones.
  mutant("references", "duplicate-not-noted", "bytes of a chunk that came twice at once are not noted as nobody's: the block stays sparse (P5)", chunks,
    `if (!old.copies.some((copy) => samePlace(copy.place, place))) this.#waste(place)`, `if (old.references === 0 && !old.copies.some((copy) => samePlace(copy.place, place))) this.#waste(place)`),
  mutant("references", "late-move-not-noted", "a chunk that is freed while its block is written leaves bytes there that nobody notes (P5)", chunks,
    `    if (row === undefined || index < 0) return this.#waste(to)\n`, `    if (row === undefined) return\n    if (index < 0) return this.#waste(to)\n`),
  mutant("references", "same-part-counted-twice", "a part that is sent again counts its chunks again, and lets go of them once (P5)", "namespace/ApplyUploads.ts",
    `if (old !== undefined) chunks.release(`, `if (old !== undefined && partRow.decode(old).etag !== content.etag) chunks.release(`),
  mutant("references", "part-keeps-no-upload", "a part keeps its upload from being stale for a minute less (P5)", "namespace/QueryGarbage.ts",
    `.modified >= before) return false`, `.modified >= before + (60_000n << 16n)) return false`),
  mutant("references", "stale-as-looked-up", "an upload that was stale when it was looked up is aborted, whatever came since (P1)", "namespace/ApplyUploads.ts",
    `row !== undefined && isIdleSince(commit.draft, upload, uploadRow.decode(row), before)`, `row !== undefined && uploadRow.decode(row).started < before`)
]
