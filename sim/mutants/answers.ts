/** Mutants of what clients are answered: commits, conditions, ranges, history. */
import { type Mutant, mutant } from "./Mutant.ts"

const propose = "namespace/ProposeService.ts"

export const answerMutants: ReadonlyArray<Mutant> = [
  mutant("answers", "read-time-taken-again", "a commit may come to lie before a time that was read AS OF already, after a start with an earlier clock, or a commit that was told lost (P2)", propose,
    `      if (asked < this.#options.state.stamp().time) return Effect.void`, `      if (asked < this.#timeLast + hybridTime(9_000_000, 0)) return Effect.void`),
  mutant("answers", "answered-before-durable", "a commit is applied and answered before the journal has synced it (P1)", propose,
    `          const lost = yield* outcomeOf(batch.ticket.durable)`, `          const lost = yield* outcomeOf(Effect.race(batch.ticket.durable, Effect.yieldNow))`),
  mutant("answers", "lost-epoch-ignored", "a commit names chunks of a segment that was abandoned under them (R3)", propose,
    `if (walEpoch !== undefined && walEpoch !== this.#epoch) {`, `if (walEpoch !== undefined && walEpoch > this.#epoch) {`),
  mutant("answers", "if-none-match-ignored", "If-None-Match lets a second writer through (P2)", "namespace/ApplyVersions.ts",
    `(ifNoneMatch === "*" || ifNoneMatch === etag)) return`, `ifNoneMatch === etag) return`),
  mutant("answers", "if-match-of-any", "If-Match lets a writer through whose version is gone (P2)", "namespace/ApplyVersions.ts",
    `if (ifMatch !== "*" && ifMatch !== etag) return "PreconditionFailed"`, `if (ifMatch !== "*" && ifMatch.length !== etag.length) return "PreconditionFailed"`),
  mutant("answers", "two-null-versions", "an overwritten null version stays listed", "namespace/ApplyVersions.ts",
    `const old = versioning === "Unversioned" ? parent : nullVersionOf(draft, view, key)`, `const old = versioning === "Unversioned" ? parent : ordinal > 99 ? nullVersionOf(draft, view, key) : undefined`),
  mutant("answers", "expired-shown", "what has expired is shown for another while", "namespace/QueryView.ts",
    `row.expiresMs <= view.atMs`, `row.expiresMs + 60_000 <= view.atMs`),
  mutant("answers", "time-goes-back", "a commit's time follows the clock back (R6)", propose,
    `const time = nextHybridTime(this.#timeLast, nowMs)`, `const time = nextHybridTime(hybridTime(0, 0), nowMs)`),
  mutant("answers", "hidden-not-noted", "a version that is hidden is no change of its bucket: a rollback may think that nothing happened since (R5)", "namespace/ApplyVersions.ts",
    `draft.remove(nullVersionKey(view.bucket, key))\n  noteChange(commit, view)\n`, `draft.remove(nullVersionKey(view.bucket, key))\n`)
]
