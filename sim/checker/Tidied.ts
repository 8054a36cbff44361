/**
 * Tidied: a store that nothing hinders any more seals all that its journal has, and knows of no damage
 * (P8). It sits between a store at rest and its housework. Where faults took what was synced, none of it need be.
 */
import { Effect } from "effect"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { Scrub } from "../../src/scrub.ts"
import { Settle } from "../../src/settle.ts"
import { claim, Violation } from "../Violation.ts"
import type { AtRest, Checker, MakeChecker } from "./Checker.ts"

const live = (condition: boolean, what: string): void => {
  if (!condition) throw new Violation("liveness", what)
}

/** What the journal has is sealed. */
export const checkSealed = Effect.gen(function*() {
  const settle = yield* Settle
  const namespace = yield* Namespace
  yield* Effect.catch(settle.settleNow, (error) => Effect.sync(() => live(false, `the store at rest does not seal: ${error.message}`)))
  const { damaged } = settle.status()
  claim(damaged.length === 0, `${damaged.length} chunks are called damaged in a journal that nothing harmed`)
  const { journaledBytes } = namespace.counts()
  live(journaledBytes === 0, `${journaledBytes} bytes stay in the journal of a store at rest`)
})

/** Everything is read, and whole. */
export const checkSound = Effect.gen(function*() {
  const scrub = yield* Scrub
  yield* scrub.passNow
  const { damagedChunks, findings: all, lastError } = scrub.status()
  // The newest checkpoint may have been harmed: there is another one.
  const findings = all.filter(({ where }) => !where.startsWith("checkpoints/"))
  claim(findings.length === 0, `scrub finds damage in a store that nothing harmed: ${findings.map(({ what, where }) => `${where}: ${what}`).join("; ")}`)
  claim(damagedChunks === 0, `${damagedChunks} chunks are called damaged in a store that nothing harmed`)
  claim(lastError === undefined, `scrub failed: ${lastError}`)
})

class Tidied implements Checker {
  readonly name = "tidied"

  readonly atRest = ({ merciless }: AtRest) => (merciless ? Effect.void : Effect.andThen(checkSealed, checkSound))
}

export const tidiedChecker: MakeChecker = () => new Tidied()
