/**
 * Turns: who gets what of a bounded amount, as plainly as it can be said: the reference of allowances. Who asks takes what
 * there is, or waits behind all who asked before; the urgent go before the others; each holder gives back as it likes.
 */

interface Waiting {
  readonly holder: number
  readonly amount: number
}

export class Turns {
  readonly total: number
  readonly waitersMax: number
  readonly held = new Map<number, number>()
  readonly ended = new Set<number>()
  urgent: ReadonlyArray<Waiting> = []
  waiting: ReadonlyArray<Waiting> = []
  refused = 0

  constructor(total: number, waitersMax: number) {
    this.total = total
    this.waitersMax = waitersMax
  }

  get used(): number {
    return [...this.held.values()].reduce((sum, amount) => sum + amount, 0)
  }

  heldBy(holder: number): number {
    return this.held.get(holder) ?? 0
  }

  isWaiting(holder: number): boolean {
    return [...this.urgent, ...this.waiting].some((one) => one.holder === holder)
  }

  ask(holder: number, asked: number, urgent: boolean): "has it" | "waits" | "refused" {
    const amount = Math.min(asked, this.total - this.heldBy(holder))
    const first = this.urgent.length + this.waiting.length === 0
    if (amount === 0) return "has it"
    if (first && this.used + amount <= this.total) {
      this.held.set(holder, this.heldBy(holder) + amount)
      return "has it"
    }
    if (!urgent && this.waiting.length >= this.waitersMax) {
      this.refused += 1
      return "refused"
    }
    if (urgent) this.urgent = [...this.urgent, { holder, amount }]
    else this.waiting = [...this.waiting, { holder, amount }]
    this.#admit()
    return this.isWaiting(holder) ? "waits" : "has it"
  }

  giveBack(holder: number, asked: number): void {
    this.held.set(holder, this.heldBy(holder) - Math.min(asked, this.heldBy(holder)))
    this.#admit()
  }

  giveUp(holder: number): void {
    this.urgent = this.urgent.filter((one) => one.holder !== holder)
    this.waiting = this.waiting.filter((one) => one.holder !== holder)
    this.#admit()
  }

  /** What it holds, and what it may still be given, goes back. */
  end(holder: number): void {
    this.ended.add(holder)
    this.giveBack(holder, this.total)
  }

  #admit(): void {
    for (;;) {
      const [first] = [...this.urgent, ...this.waiting]
      if (first === undefined || this.used + first.amount > this.total) return
      this.urgent = this.urgent.filter((one) => one !== first)
      this.waiting = this.waiting.filter((one) => one !== first)
      if (!this.ended.has(first.holder)) this.held.set(first.holder, this.heldBy(first.holder) + first.amount)
    }
  }
}
