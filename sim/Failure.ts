/** Failure: what a cause of Effect's says of a world: a Violation that somebody threw, a defect, or an index that is damaged. */
import { Cause } from "effect"
import { equalBytes } from "../src/base/bytes.ts"
import { headTable, rebuildKey } from "../src/namespace/CheckpointHead.ts"
import { StateError } from "../src/namespace/State.ts"
import type { MemoryKeyValue } from "./KeyValue.ts"
import { claim, Violation } from "./Violation.ts"

/** What a read throws where the index is garbage: it is marked, and rebuilt at the next start (R8). */
export const isIndexDamage = (cause: Cause.Cause<unknown>): boolean =>
  Cause.hasDies(cause) && cause.reasons.every((reason) =>
    Cause.isInterruptReason(reason) || (Cause.isDieReason(reason) && reason.defect instanceof StateError && reason.defect.reason === "Index"))

/** What a fiber died of: the Violation that somebody threw, or a defect of the code. */
export const violationOf = (cause: Cause.Cause<unknown>, kind: "crash" | "safety", what: string): Violation => {
  for (const reason of cause.reasons) if (Cause.isDieReason(reason) && reason.defect instanceof Violation) return reason.defect
  return new Violation(kind, `${what}: ${Cause.pretty(cause)}`)
}

/** The mark that calls for a rebuild may fail to be written, now and then. */
const startsMax = 6

/** Starts in a row that ended because the index is damaged, with no night between them in which it could have come to other harm. */
export class DamagedStarts {
  #count = 0
  /** The last life in which a read met damage. */
  #metIn = 0

  clear(): void {
    this.#count = 0
  }

  /** Somebody in this life died of this, and it was logged. */
  met(cause: Cause.Cause<unknown>, life: number): void {
    if (Cause.hasDies(cause) && isIndexDamage(cause)) this.#metIn = life
  }

  /** A life was closed as it should be: what it met of damage is marked by now, in an index that takes writes. */
  closed(life: number, index: MemoryKeyValue): void {
    const isMarked = index.entries().some(([table, key]) => table === headTable && equalBytes(key, rebuildKey))
    claim(this.#metIn !== life || isMarked, `life ${life} met a damaged index, and closed without a mark that has the next start rebuild it`)
  }

  /** What it means that one start more has failed; undefined: nothing yet. */
  saw({ message }: Violation): Violation | undefined {
    this.#count = message.includes("the index is rebuilt at the next start") ? this.#count + 1 : 0
    return this.#count < startsMax ? undefined : new Violation("liveness", `${this.#count} starts in a row were told that the index is damaged, and none has rebuilt it: ${message}`)
  }
}
