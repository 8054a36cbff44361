/**
 * FewKeysWorkload: one writer on a handful of keys of its own: put, get, delete and list, judged by content. What a request
 * did whose outcome nobody knows is settled by the next answer.
 */
import { Effect } from "effect"
import { equalBytes, fromUtf8 } from "../../src/base/bytes.ts"
import type { Outcome } from "../Client.ts"
import { claim } from "../Violation.ts"
import { insist } from "./Answer.ts"
import type { Workload, WorkloadContext } from "./Workload.ts"

const bucket = "few-keys"
const keys = ["a", "a/b", "c", "dd"]

/** What a key may hold: one thing where it is known. What nobody knows the outcome of may land as long as its process lives. */
interface Possible {
  readonly value: Uint8Array | undefined
  /** The life in which it was sent, where its outcome is not known. */
  readonly life: number | undefined
}

const isSame = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a === undefined || b === undefined ? a === b : equalBytes(a, b)

class FewKeys implements Workload {
  readonly name = "few keys"
  readonly #possible = new Map<string, ReadonlyArray<Possible>>(keys.map((key) => [key, [{ value: undefined, life: undefined }]]))

  /** Until the bucket is there: nothing fails yet but by bad luck. */
  setup({ client }: WorkloadContext): Effect.Effect<void> {
    return Effect.gen(function* () {
      for (;;) {
        const outcome = yield* client.send({ method: "PUT", path: `/${bucket}` })
        if (outcome._tag === "Answered" && (outcome.status === 200 || outcome.status === 409)) return
        yield* Effect.sleep(100)
      }
    })
  }

  start(context: WorkloadContext): Effect.Effect<void> {
    const { operations, random } = context
    return Effect.gen({ self: this }, function* () {
      for (let left = operations; left > 0; left -= 1) {
        yield* this.#step(context)
        if (random.chance(0.7)) yield* Effect.sleep(random.below(random.pick([10, 500, 4000])))
      }
    })
  }

  check({ client, merciless }: WorkloadContext): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      for (const key of keys) {
        const request = { method: "GET", path: `/${bucket}/${key}` }
        // Where the merciless took what was synced, the node says so. Many ask at once now: who is told to come again does.
        const outcome = yield* (merciless ? client.send(request) : insist(client, request))
        claim(outcome._tag === "Answered", `${key} is asked for at the end, and nobody answers`)
        this.#read(key, outcome)
      }
    })
  }

  #step(context: WorkloadContext): Effect.Effect<void> {
    const { client, random } = context
    const key = random.pick(keys)
    const path = `/${bucket}/${key}`
    const draw = random.below(10)
    if (draw < 5) {
      const body = random.bytes(random.below(random.pick([1, 100, 1000, 5000, 20_000])))
      return Effect.map(client.send({ method: "PUT", path, body }), (outcome) => this.#change(context, key, outcome, body))
    }
    if (draw < 6) return Effect.map(client.send({ method: "DELETE", path }), (outcome) => this.#change(context, key, outcome, undefined))
    if (draw < 7) return Effect.map(client.send({ method: "GET", path: `/${bucket}`, query: { "list-type": "2" } }), (outcome) => this.#list(outcome))
    return Effect.map(client.send({ method: "GET", path }), (outcome) => this.#read(key, outcome))
  }

  #of(key: string): ReadonlyArray<Possible> {
    return this.#possible.get(key) ?? []
  }

  #change({ lives }: WorkloadContext, key: string, outcome: Outcome, value: Uint8Array | undefined): void {
    if (outcome._tag === "Refused") return
    const happened = outcome._tag === "Answered" && (outcome.status === 200 || outcome.status === 204)
    // An answer of failure says nothing of what a failing disk has kept.
    if (happened) this.#possible.set(key, [{ value, life: undefined }, ...this.#of(key).filter(({ life }) => life === lives())])
    else if (outcome._tag === "Unknown" || outcome.status >= 500) this.#possible.set(key, [...this.#of(key), { value, life: lives() }])
    else claim(outcome.status === 403 || outcome.status === 429, `a change of ${key} was answered ${outcome.status}: ${fromUtf8(outcome.body)}`)
  }

  #read(key: string, outcome: Outcome): void {
    if (outcome._tag !== "Answered" || outcome.status >= 500 || outcome.status === 403) return
    claim(outcome.status === 200 || outcome.status === 404, `a read of ${key} was answered ${outcome.status}: ${fromUtf8(outcome.body)}`)
    const found = outcome.status === 200 ? outcome.body : undefined
    claim(this.#of(key).some(({ value }) => isSame(value, found)), `${key} holds ${found?.length ?? "no"} bytes, and of what it may hold nothing is that`)
  }

  #list(outcome: Outcome): void {
    if (outcome._tag !== "Answered" || outcome.status !== 200) return
    const listed = new Set([...(fromUtf8(outcome.body) ?? "").matchAll(/<Key>([^<]*)<\/Key>/g)].map((match) => match[1]))
    for (const key of keys) {
      const isThere = listed.has(key)
      claim(this.#of(key).some(({ value }) => (value !== undefined) === isThere), `${key} is ${isThere ? "" : "not "}listed`)
    }
  }
}

export const makeFewKeysWorkload = (): Workload => new FewKeys()
