/**
 * HeldBack: which entries of a log count, for a replay. A log tells those that were durable; until journals wrote an append whole, one
 * that was lost could leave its first entries there, and the next append gave their sequences to others, which were acknowledged. So an
 * entry counts once as much has followed it as one append can have, and none with its sequence. Pure.
 */
import { copyOf } from "../base/bytes.ts"
import type { Sequence } from "../base/ids.ts"
import { commitBytesMax, proposalBatchBytesMax, proposalBatchMax } from "../base/limits.ts"
import type { LoggedEntry } from "./CommitLog.ts"
import { sequenceOf } from "./LoggedEntry.ts"

interface Held extends LoggedEntry {
  readonly sequence: Sequence
}

const heldBytesMax = proposalBatchBytesMax + commitBytesMax

export class HeldBack {
  readonly #held: Array<Held> = []
  #bytes = 0

  /** The next entry of the log; gives those that count by now, in order. Throws FormatError where it has no sequence. */
  take({ after, bytes }: LoggedEntry): ReadonlyArray<LoggedEntry> {
    const sequence = sequenceOf(bytes)
    for (let last = this.#held.at(-1); last !== undefined && last.sequence >= sequence; last = this.#held.at(-1)) this.#let(this.#held.pop()!)
    // A window of the journal's bytes must not stay for one entry of it.
    this.#held.push({ sequence, after, bytes: copyOf(bytes) })
    this.#bytes += bytes.length
    const counting: Array<LoggedEntry> = []
    while (this.#held.length > proposalBatchMax || this.#bytes > heldBytesMax) counting.push(this.#let(this.#held.shift()!))
    return counting
  }

  /** The log has ended: nothing more can supersede them. */
  rest(): ReadonlyArray<LoggedEntry> {
    this.#bytes = 0
    return this.#held.splice(0)
  }

  #let(entry: Held): Held {
    this.#bytes -= entry.bytes.length
    return entry
  }
}
