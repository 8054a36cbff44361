/**
 * Timeline: the one heap of what is going to happen in a simulated world, by true time and then in the order in which it
 * was asked for. It sits under every machine of a world.
 *
 * Whatever comes to a machine from outside its processor (a disk's answer, a kernel's result, a packet, a timer) is an
 * event of the life that asked for it, and is dropped once that life is over: after a power-off nothing happens any more.
 */

/** From power-on to power-off of one machine: what began in it ends with it. */
export class Life {
  #isOn = true

  get isOn(): boolean {
    return this.#isOn
  }

  end(): void {
    this.#isOn = false
  }
}

export interface TimelineEvent {
  readonly atUs: number
  readonly order: number
  readonly life: Life | undefined
  /** Undefined once it has run, or was cancelled. */
  run: (() => void) | undefined
}

export class Timeline {
  /** Microseconds since the world began. */
  nowUs = 0
  /** Events that ran. */
  ran = 0
  readonly #heap: Array<TimelineEvent> = []
  #order = 0

  get nowMs(): number {
    return Math.floor(this.nowUs / 1000)
  }

  /** Not before now. Without a life it is the world's own. */
  at(atUs: number, run: () => void, life?: Life): TimelineEvent {
    this.#order += 1
    const event: TimelineEvent = { atUs: Math.max(this.nowUs, Math.ceil(atUs)), order: this.#order, life, run }
    const heap = this.#heap
    let index = heap.length
    heap.push(event)
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!isBefore(event, heap[parent]!)) break
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = event
    return event
  }

  after(delayUs: number, run: () => void, life?: Life): TimelineEvent {
    return this.at(this.nowUs + delayUs, run, life)
  }

  cancel(event: TimelineEvent): void {
    event.run = undefined
  }

  /** When the next event is; undefined where nothing is going to happen. */
  get nextUs(): number | undefined {
    this.#dropDead()
    return this.#heap[0]?.atUs
  }

  /** Goes to the next event and runs it; false where there is none. */
  step(): boolean {
    this.#dropDead()
    const event = this.#pop()
    if (event === undefined) return false
    this.nowUs = event.atUs
    this.ran += 1
    const { run } = event
    event.run = undefined
    run?.()
    return true
  }

  #dropDead(): void {
    for (let first = this.#heap[0]; first !== undefined && (first.run === undefined || first.life?.isOn === false); first = this.#heap[0]) this.#pop()
  }

  #pop(): TimelineEvent | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1
      if (!isBefore(heap[child]!, last)) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = last
    return first
  }
}

const isBefore = (a: TimelineEvent, b: TimelineEvent): boolean => a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order)
