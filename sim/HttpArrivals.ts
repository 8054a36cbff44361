/** Arrivals: what has come of a simulated request's body and was not pulled yet. Used by sim/HttpListener. */
import { Effect } from "effect"
import { copyInto } from "../src/base/bytes.ts"
import { type Body, BodyError } from "../src/ports/Body.ts"
import type { Passage } from "../src/ports/HttpListener.ts"
import type { Processor } from "./Processor.ts"

export class Arrivals {
  readonly next: Body["next"]
  readonly nextInto: Required<Body>["nextInto"]
  readonly #processor: Processor
  readonly #passage: Passage
  readonly #stallMs: number
  #pieces: Array<Uint8Array> = []
  #state: "Open" | "Ended" | "Aborted" = "Open"
  #onChange: (() => void) | undefined

  constructor(processor: Processor, passage: Passage, stallMs: number) {
    this.#processor = processor
    this.#passage = passage
    this.#stallMs = stallMs
    this.next = this.#wait()
    this.nextInto = (memory) => Effect.map(this.next, (bytes) => bytes === undefined ? undefined : placed(memory, bytes))
  }

  push(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#pieces.push(bytes)
    this.#onChange?.()
  }

  end(): void {
    if (this.#state === "Open") this.#state = "Ended"
    this.#onChange?.()
  }

  abort(): void {
    if (this.#state === "Open") this.#state = "Aborted"
    this.#onChange?.()
  }

  #poll(): Effect.Effect<Uint8Array | undefined, BodyError> | undefined {
    const piece = this.#pieces.shift()
    if (piece !== undefined) {
      this.#passage.receivedBytes += piece.length
      return Effect.succeed(piece)
    }
    if (this.#state === "Ended") return Effect.succeed(undefined)
    return this.#state === "Aborted" ? Effect.fail(new BodyError({ reason: "Aborted", detail: "the client went away" })) : undefined
  }

  #wait(): Body["next"] {
    return Effect.callback<Uint8Array | undefined, BodyError>((resume) => {
      const there = this.#poll()
      if (there !== undefined) return resume(there)
      const { life, post, timeline } = this.#processor
      const sinceUs = timeline.nowUs
      const release = (): void => {
        timeline.cancel(late)
        this.#passage.waitedMs += (timeline.nowUs - sinceUs) / 1000
        this.#onChange = undefined
      }
      const late = timeline.after(this.#stallMs * 1000, () => {
        release()
        post(() => resume(Effect.fail(new BodyError({ reason: "Stalled", detail: `nothing arrived for ${this.#stallMs} ms` }))))
      }, life)
      this.#onChange = () => {
        const answer = this.#poll()
        if (answer === undefined) return
        release()
        post(() => resume(answer))
      }
      return Effect.sync(release)
    })
  }
}

/** Where it has room for them, as a socket's bytes mostly do. */
const placed = (memory: Uint8Array, bytes: Uint8Array): Uint8Array => {
  if (bytes.length > memory.length) return bytes
  copyInto(memory, 0, bytes)
  return memory.subarray(0, bytes.length)
}
