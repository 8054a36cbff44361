/**
 * History: what clients asked and what they were told, in the order in which it happened: what spec/Linearizability judges.
 * A process that is gone does nothing any more, which bounds when a lost operation took effect.
 */
import type { Operation } from "../../spec/Linearizability.ts"

interface Record<Input, Output> {
  readonly input: Input
  readonly label: string
  readonly calledAt: number
  answer?: { readonly output: Output; readonly at: number }
  deadline?: number
  /** It did not happen. */
  isNone: boolean
  /** Of a lost one: the life of the node in which it was lost. */
  lostIn?: number
}

/** Of one operation that was called. */
export interface Call<Output> {
  readonly answered: (output: Output) => void
  /** Nobody knows, in this life of the node. */
  readonly lost: (life: number) => void
  /** It did not happen, and never will. */
  readonly none: () => void
}

export class History<Input, Output> {
  readonly #records: Array<Record<Input, Output>> = []
  /** Those that may still take effect. */
  #lost: ReadonlyArray<Record<Input, Output>> = []
  #at = 0

  get size(): number {
    return this.#records.length
  }

  /** `life`: the node's now: what was lost in an earlier one has happened by now, or never will. */
  call(input: Input, label: string, life: number): Call<Output> {
    this.#at += 1
    const over = this.#lost.filter(({ lostIn }) => lostIn! < life)
    for (const record of over) record.deadline = this.#at
    if (over.length > 0) this.#lost = this.#lost.filter(({ lostIn }) => lostIn! >= life)
    const record: Record<Input, Output> = { input, label, calledAt: this.#at, isNone: false }
    this.#records.push(record)
    return {
      answered: (output) => {
        this.#at += 1
        record.answer = { output, at: this.#at }
      },
      lost: (now) => {
        record.lostIn = now
        this.#lost = [...this.#lost, record]
      },
      none: () => {
        record.isNone = true
      }
    }
  }

  operations(): ReadonlyArray<Operation<Input, Output>> {
    return this.#records.filter(({ isNone }) => !isNone)
  }
}
