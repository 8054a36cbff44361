/**
 * Register: one value on three machines, read and written by a majority of two (Attiya, Bar-Noy and Dolev, 1995): a small protocol
 * that is right under every fault of the network, so that the network's twin can be judged by it, and by its mistakes.
 */
import { fromUtf8, toUtf8 } from "../../src/base/bytes.ts"
import { hashBytes } from "../../src/base/hash.ts"
import type { SimulatedNetwork } from "../../sim/Network.ts"
import type { Random } from "../../sim/Random.ts"
import { Life, type Timeline } from "../../sim/Timeline.ts"
import type { Operation, SequentialModel } from "../../spec/Linearizability.ts"

/** What somebody might forget. */
export const mistakes = ["checks no hash", "takes older values", "reads without writing back", "counts any answer", "asks one machine", "sends once"] as const
export type Mistake = (typeof mistakes)[number]

type Stamp = readonly [count: number, client: string]

interface Message {
  readonly kind: "Read" | "Write" | "Value" | "Written"
  /** Client, operation and round. */
  readonly round: string
  readonly stamp: Stamp
  readonly value: string
}

export type RegisterInput = { readonly _tag: "Read" } | { readonly _tag: "Write"; readonly value: string }

export const registerModel: SequentialModel<{ readonly value: string }, RegisterInput, string> = {
  initial: { value: "" },
  step: (state, input, output) => {
    if (input._tag === "Write") return [{ value: input.value }]
    return output === undefined || output === state.value ? [state] : []
  },
  isRead: (input) => input._tag === "Read",
  keyOf: ({ value }) => value
}

const isNewer = (a: Stamp, b: Stamp): boolean => a[0] > b[0] || (a[0] === b[0] && a[1] > b[1])

const hashSize = 32

const encode = (message: Message): Uint8Array => {
  const body = toUtf8(JSON.stringify(message))
  return Buffer.concat([hashBytes(body), body])
}

/** Undefined where its hash is not its own. */
const decode = (bytes: Uint8Array, checks: boolean): Message | undefined => {
  const body = bytes.subarray(hashSize)
  const text = fromUtf8(body)
  if (text === undefined || (checks && Buffer.compare(hashBytes(body), bytes.subarray(0, hashSize)) !== 0)) return undefined
  if (checks) return JSON.parse(text) as Message
  try {
    const { kind, round, stamp, value } = JSON.parse(text) as Message
    return typeof round === "string" && Array.isArray(stamp) ? { kind, round, stamp, value } : undefined
  } catch (error) {
    if (error instanceof Error) return undefined
    throw error
  }
}

export interface Scene {
  readonly timeline: Timeline
  readonly network: SimulatedNetwork
  readonly random: Random
  readonly mistake: Mistake | undefined
  readonly note: (line: string) => void
}

const machines = ["m0", "m1", "m2"] as const

/** What it holds outlives its power. */
export class Holder {
  readonly #scene: Scene
  readonly #address: string
  #stamp: Stamp = [0, ""]
  #value = ""
  #life = new Life()

  constructor(scene: Scene, address: string) {
    this.#scene = scene
    this.#address = address
    this.powerOn()
  }

  powerOn(): void {
    this.#life = new Life()
    this.#scene.network.attach(this.#address, this.#life, ({ bytes, from }) => this.#hear(from, bytes))
  }

  powerOff(): void {
    this.#life.end()
  }

  #hear(from: string, bytes: Uint8Array): boolean {
    const { mistake, network, note } = this.#scene
    const message = decode(bytes, mistake !== "checks no hash")
    if (message === undefined) return true
    note(`${this.#address} ${from} ${message.kind} ${message.round}`)
    if (message.kind === "Write" && (isNewer(message.stamp, this.#stamp) || mistake === "takes older values")) {
      this.#stamp = message.stamp
      this.#value = message.value
    }
    const kind = message.kind === "Read" ? "Value" : "Written"
    network.send(this.#address, from, encode({ kind, round: message.round, stamp: this.#stamp, value: this.#value }))
    return true
  }
}

interface Round {
  readonly name: string
  readonly ask: Omit<Message, "round">
  readonly answers: Map<string, Message>
  readonly heard: (answers: ReadonlyArray<Message>) => void
}

/** One operation after another, each asked again until a majority has answered. */
export class Client {
  readonly history: Array<Operation<RegisterInput, string>> = []
  isDone = false
  readonly #scene: Scene
  readonly #address: string
  readonly #life = new Life()
  #left: number
  #rounds = 0
  #round: Round | undefined

  constructor(scene: Scene, address: string, operations: number) {
    this.#scene = scene
    this.#address = address
    this.#left = operations
    scene.network.attach(address, this.#life, ({ bytes, from }) => this.#hear(from, bytes))
    this.#next()
  }

  /** What was called and not answered, too. */
  #next(): void {
    const { random, timeline } = this.#scene
    if (this.#left === 0) {
      this.isDone = true
      return
    }
    this.#left -= 1
    const input: RegisterInput = random.chance(0.5) ? { _tag: "Read" } : { _tag: "Write", value: `${this.#address}-${this.#left}` }
    const index = this.history.push({ input, calledAt: timeline.nowUs }) - 1
    this.#perform(input, (output) => {
      this.history[index] = { ...this.history[index]!, answer: { output, at: timeline.nowUs } }
      timeline.after(random.below(300_000), () => this.#next(), this.#life)
    })
  }

  #perform(input: RegisterInput, done: (output: string) => void): void {
    const { mistake } = this.#scene
    this.#ask({ kind: "Read", stamp: [0, ""], value: "" }, (values) => {
      const newest = values.reduce((a, b) => (isNewer(b.stamp, a.stamp) ? b : a))
      if (input._tag === "Read" && mistake === "reads without writing back") return done(newest.value)
      const [stamp, value]: readonly [Stamp, string] = input._tag === "Read" ? [newest.stamp, newest.value] : [[newest.stamp[0] + 1, this.#address], input.value]
      this.#ask({ kind: "Write", stamp, value }, () => done(value))
    })
  }

  #ask(ask: Round["ask"], heard: Round["heard"]): void {
    this.#rounds += 1
    this.#round = { name: `${this.#address}:${this.#rounds}`, ask, answers: new Map(), heard }
    this.#send(this.#round)
  }

  #send(round: Round): void {
    if (this.#round !== round) return
    const { mistake, network, random, timeline } = this.#scene
    for (const machine of machines) network.send(this.#address, machine, encode({ ...round.ask, round: round.name }))
    if (mistake !== "sends once") timeline.after(100_000 + random.below(300_000), () => this.#send(round), this.#life)
  }

  #hear(from: string, bytes: Uint8Array): boolean {
    const { mistake, note } = this.#scene
    const message = decode(bytes, mistake !== "checks no hash")
    const round = this.#round
    if (message === undefined || round === undefined) return true
    note(`${this.#address} ${from} ${message.kind} ${message.round}`)
    const wanted = round.ask.kind === "Read" ? "Value" : "Written"
    if (mistake !== "counts any answer" && (message.round !== round.name || message.kind !== wanted)) return true
    round.answers.set(from, message)
    if (round.answers.size < (mistake === "asks one machine" ? 1 : 2)) return true
    this.#round = undefined
    round.heard([...round.answers.values()])
    return true
  }
}

/** Machines that lose their power and get it back, until `until`. */
export const makeHolders = (scene: Scene, untilUs: number): void => {
  const { random, timeline } = scene
  for (const address of machines) {
    const holder = new Holder(scene, address)
    const fall = (): void => {
      if (timeline.nowUs >= untilUs) return
      holder.powerOff()
      timeline.after(random.below(2_000_000), () => {
        holder.powerOn()
        timeline.after(random.below(10_000_000), fall)
      })
    }
    if (random.chance(0.5)) timeline.after(random.below(10_000_000), fall)
  }
}
