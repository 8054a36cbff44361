/**
 * Strikes: every fault and every crash of a world in the order in which they come, each with a number. It sits between the
 * plans, which have drawn that one is to happen, and its happening: a world can be run again with only some of them, which
 * is how a failing seed is shrunk. Where all may happen, a world is as if nobody counted.
 */
export interface Strike {
  readonly number: number
  readonly what: string
}

export class Strikes {
  /** What happened. */
  readonly happened: Array<Strike> = []
  readonly #only: ReadonlySet<number> | undefined
  #number = 0

  /** `only`: the numbers of those that may happen; absent: all. */
  constructor(only?: ReadonlySet<number>) {
    this.#only = only
  }

  /** It is about to happen; whether it does. */
  allows(what: string): boolean {
    this.#number += 1
    if (this.#only !== undefined && !this.#only.has(this.#number)) return false
    this.happened.push({ number: this.#number, what })
    return true
  }
}
