/**
 * Linearizability: whether what clients were told could have come from one copy of the data, each operation taking effect
 * at one instant between its call and its return. It sits between a recorded history and a sequential model of what one
 * key does. Wing and Gong's search ("Testing and Verifying Concurrent Objects", 1993) with Lowe's memory of the
 * configurations that were met ("Testing for linearizability", 2017), one key at a time as in Porcupine (Athalye, 2017).
 *
 * 1. An operation that was answered takes effect exactly once, between its call and its return.
 * 2. One whose outcome is unknown takes effect at most once, after its call: until `deadline` where one is known (its
 *    process is gone by then), else at any time, or never.
 * 3. A read that is possible now is taken now: to wait could only make it impossible. (Not so a write that changes nothing
 *    now, a delete of nothing: later it may.)
 * 4. The search ends: it gives up, "Undecided", after `stepsMax` steps or `configurationsMax` remembered configurations.
 */

/** Steps of one search; undecided beyond. */
export const stepsMaxDefault = 2_000_000
/** Configurations that one search remembers; undecided beyond. Each is some tens to hundreds of bytes. */
export const configurationsMaxDefault = 200_000

/** Times are any numbers that order calls and returns; where two are equal the operations overlap. */
export interface Operation<Input, Output> {
  readonly input: Input
  readonly calledAt: number
  /** Absent: the outcome is unknown. */
  readonly answer?: { readonly output: Output; readonly at: number }
  /** Of an unknown outcome: when it takes no effect any more. */
  readonly deadline?: number
  /** What a report calls it. */
  readonly label?: string
}

export interface SequentialModel<State, Input, Output> {
  readonly initial: State
  /**
   * The states after an input that is answered like this, or, without an output, those of every answer there may be.
   * None: not possible. The state itself (the same reference) where nothing changes.
   */
  readonly step: (state: State, input: Input, output: Output | undefined) => ReadonlyArray<State>
  /** So answered it changes nothing, whatever the state is. */
  readonly isRead: (input: Input, output: Output) => boolean
  /** Equal for equal states, and for no others. */
  readonly keyOf: (state: State) => string
}

export interface Bounds {
  readonly stepsMax?: number
  readonly configurationsMax?: number
}

export interface Sizes {
  readonly operations: number
  readonly steps: number
  readonly configurations: number
}

export type Verdict =
  | { readonly _tag: "Linearizable"; readonly sizes: Sizes }
  /** `order`: the longest one found, by index of operations; `stuck`: what could not come next, though it had to. */
  | { readonly _tag: "Violation"; readonly order: ReadonlyArray<number>; readonly stuck: number; readonly sizes: Sizes }
  | { readonly _tag: "Undecided"; readonly limit: "stepsMax" | "configurationsMax"; readonly sizes: Sizes }

/** A call or a return, in a list from which what has taken effect is taken out, and put back where that led nowhere. */
interface Entry {
  readonly operation: number
  readonly isCall: boolean
  /** Of a call: its return, where there is one. Of a return: its call. */
  partner: Entry | undefined
  before: Entry
  after: Entry | undefined
}

/** One choice on the way: `call` has taken effect in `state`. */
interface Frame<State> {
  readonly call: Entry
  readonly state: State
  /** What it could have led to instead. */
  readonly others: Array<State>
  /** A read, or what never takes effect: there was no choice. */
  readonly final: boolean
}

const endOf = <Input, Output>({ answer, deadline }: Operation<Input, Output>): number | undefined => answer?.at ?? deadline

/** Calls before returns where times are equal. */
const listOf = <Input, Output>(history: ReadonlyArray<Operation<Input, Output>>): Entry => {
  const marks = history.flatMap((operation, index) => {
    const end = endOf(operation)
    return [{ index, at: operation.calledAt, isCall: true }, ...(end === undefined ? [] : [{ index, at: end, isCall: false }])]
  }).sort((a, b) => a.at - b.at || Number(b.isCall) - Number(a.isCall) || a.index - b.index)
  const head = { operation: -1, isCall: true, partner: undefined, after: undefined } as unknown as Entry
  head.before = head
  const calls: Array<Entry> = []
  let last = head
  for (const { index, isCall } of marks) {
    const entry: Entry = { operation: index, isCall, partner: undefined, before: last, after: undefined }
    if (isCall) calls[index] = entry
    else {
      entry.partner = calls[index]
      calls[index]!.partner = entry
    }
    last.after = entry
    last = entry
  }
  return head
}

const takeOut = (entry: Entry): void => {
  entry.before.after = entry.after
  if (entry.after !== undefined) entry.after.before = entry.before
}

const putBack = (entry: Entry): void => {
  entry.before.after = entry
  if (entry.after !== undefined) entry.after.before = entry
}

const lift = (call: Entry): void => {
  takeOut(call)
  if (call.partner !== undefined) takeOut(call.partner)
}

const unlift = (call: Entry): void => {
  if (call.partner !== undefined) putBack(call.partner)
  putBack(call)
}

class Search<State, Input, Output> {
  readonly #history: ReadonlyArray<Operation<Input, Output>>
  readonly #model: SequentialModel<State, Input, Output>
  readonly #head: Entry
  readonly #frames: Array<Frame<State>> = []
  readonly #seen = new Set<string>()
  /** By 16 operations: which are out of the list. */
  readonly #done: Uint16Array
  #state: State
  /** Operations that were answered and have not taken effect. */
  #owed: number
  #steps = 0
  #longest: ReadonlyArray<number> = []
  #stuck = -1

  constructor(history: ReadonlyArray<Operation<Input, Output>>, model: SequentialModel<State, Input, Output>) {
    this.#history = history
    this.#model = model
    this.#head = listOf(history)
    this.#done = new Uint16Array(Math.ceil(history.length / 16))
    this.#state = model.initial
    this.#owed = history.filter(({ answer }) => answer !== undefined).length
  }

  get #sizes(): Sizes {
    return { operations: this.#history.length, steps: this.#steps, configurations: this.#seen.size }
  }

  run({ stepsMax = stepsMaxDefault, configurationsMax = configurationsMaxDefault }: Bounds): Verdict {
    let entry: Entry | undefined = this.#head.after
    while (this.#owed > 0) {
      this.#steps += 1
      if (this.#steps > stepsMax) return { _tag: "Undecided", limit: "stepsMax", sizes: this.#sizes }
      if (this.#seen.size > configurationsMax) return { _tag: "Undecided", limit: "configurationsMax", sizes: this.#sizes }
      if (entry?.isCall === true) {
        entry = this.#tryCall(entry) ? this.#head.after : entry.after
      } else if (entry !== undefined && this.#history[entry.operation]!.answer === undefined) {
        // Its time is over, and it never took effect. What was tried before it stays tried.
        this.#push({ call: entry.partner!, state: this.#state, others: [], final: true })
        entry = entry.after
      } else {
        this.#remember(entry)
        entry = this.#back()
        if (entry === undefined) return { _tag: "Violation", order: this.#longest, stuck: this.#stuck, sizes: this.#sizes }
      }
    }
    return { _tag: "Linearizable", sizes: this.#sizes }
  }

  #remember(blocking: Entry | undefined): void {
    if (blocking === undefined || (this.#stuck >= 0 && this.#frames.length <= this.#longest.length)) return
    this.#longest = this.#frames.map(({ call }) => call.operation)
    this.#stuck = blocking.operation
  }

  /** Takes a call into the order, if it can be next. */
  #tryCall(call: Entry): boolean {
    const { input, answer } = this.#history[call.operation]!
    const next = this.#model.step(this.#state, input, answer?.output)
    if (answer !== undefined && next.length === 1 && next[0] === this.#state && this.#model.isRead(input, answer.output)) {
      this.#push({ call, state: this.#state, others: [], final: true })
      return true
    }
    // An unknown outcome that changes nothing need not be known.
    const others = answer === undefined ? next.filter((state) => state !== this.#state) : [...next]
    return this.#choose(call, this.#state, others)
  }

  /** Goes on with the first of the states that was not met yet with the same operations done. */
  #choose(call: Entry, before: State, others: Array<State>): boolean {
    this.#mark(call.operation)
    for (let state = others.shift(); state !== undefined; state = others.shift()) {
      const configuration = `${String.fromCharCode(...this.#done)}|${this.#model.keyOf(state)}`
      if (this.#seen.has(configuration)) continue
      this.#seen.add(configuration)
      this.#mark(call.operation)
      this.#push({ call, state: before, others, final: false })
      this.#state = state
      return true
    }
    this.#mark(call.operation)
    return false
  }

  #mark(operation: number): void {
    this.#done[operation >> 4]! ^= 1 << (operation & 15)
  }

  #push(frame: Frame<State>): void {
    this.#frames.push(frame)
    this.#mark(frame.call.operation)
    lift(frame.call)
    if (this.#history[frame.call.operation]!.answer !== undefined) this.#owed -= 1
  }

  /** Undoes choices until one of them can be made otherwise; where to go on, or undefined: nowhere. */
  #back(): Entry | undefined {
    for (let frame = this.#frames.pop(); frame !== undefined; frame = this.#frames.pop()) {
      const { call, final, others, state } = frame
      unlift(call)
      this.#mark(call.operation)
      if (this.#history[call.operation]!.answer !== undefined) this.#owed += 1
      this.#state = state
      if (final) continue
      if (this.#choose(call, state, others)) return this.#head.after ?? this.#head
      // The entry after a call always exists here: what is owed has a return.
      if (call.after !== undefined) return call.after
    }
    return undefined
  }
}

/** Judges the history of one key. */
export const checkLinearizable = <State, Input, Output>(
  history: ReadonlyArray<Operation<Input, Output>>, model: SequentialModel<State, Input, Output>, bounds: Bounds = {}
): Verdict => new Search(history, model).run(bounds)

/** Judges each key alone: linearizability is local (Herlihy and Wing, 1990, theorem 1). The first key that is not linearizable, or the sum. */
export const checkByKey = <State, Input, Output>(
  history: ReadonlyArray<Operation<Input, Output>>, partition: (input: Input) => string,
  modelOf: (key: string) => SequentialModel<State, Input, Output>, bounds: Bounds = {}
): { readonly key: string; readonly history: ReadonlyArray<Operation<Input, Output>>; readonly verdict: Verdict } => {
  const byKey = new Map<string, Array<Operation<Input, Output>>>()
  for (const operation of history) {
    const key = partition(operation.input)
    const known = byKey.get(key)
    if (known === undefined) byKey.set(key, [operation])
    else known.push(operation)
  }
  let sizes: Sizes = { operations: 0, steps: 0, configurations: 0 }
  for (const [key, operations] of byKey) {
    const verdict = checkLinearizable(operations, modelOf(key), bounds)
    if (verdict._tag !== "Linearizable") return { key, history: operations, verdict }
    sizes = {
      operations: sizes.operations + verdict.sizes.operations, steps: sizes.steps + verdict.sizes.steps,
      configurations: sizes.configurations + verdict.sizes.configurations
    }
  }
  return { key: "", history, verdict: { _tag: "Linearizable", sizes } }
}

/** A verdict as a person reads it: what was found in which order, and what does not fit. */
export const explain = <Input, Output>(history: ReadonlyArray<Operation<Input, Output>>, verdict: Verdict): string => {
  const { operations, steps, configurations } = verdict.sizes
  const sizes = `${operations} operations, ${steps} steps, ${configurations} configurations`
  if (verdict._tag === "Linearizable") return `linearizable (${sizes})`
  if (verdict._tag === "Undecided") return `undecided: more than ${verdict.limit} (${sizes}); spread the operations over more keys`
  const lineOf = (index: number): string => {
    const { answer, calledAt, input, label } = history[index]!
    const told = answer === undefined ? "unknown" : `${JSON.stringify(answer.output)} at ${answer.at}`
    return `  ${label ?? JSON.stringify(input)} called at ${calledAt}: ${told}`
  }
  const order = verdict.order.slice(-12).map(lineOf)
  return [`not linearizable (${sizes}); the longest order found ends with`, ...order, "and this one fits nowhere after it:", lineOf(verdict.stuck)].join("\n")
}
