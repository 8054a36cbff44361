/**
 * Units: a body in pieces of bounded size, each of which goes to a lane as a whole (unitKernel.ts). They sit between the
 * gateway's body and ingest.
 */
import { Effect, Fiber } from "effect"
import { assert } from "./base/assert.ts"
import { concatBytes, copyInto, copyOf, isShared, release } from "./base/bytes.ts"
import { unitCarryShare } from "./base/limits.ts"
import type { PageSlots } from "./base/PageSlots.ts"
import type { Body, BodyError } from "./ports/Body.ts"

export interface Unit {
  /** In a slot or, where the whole body is smaller than one, in a buffer of its own; starts where a chunk starts. */
  readonly bytes: Uint8Array
  /** How many of them, at the start, are a copy of what the unit before left uncut. */
  readonly carriedBytes: number
  readonly final: boolean
}

/** Reads a body unit by unit. */
export interface Units {
  readonly next: Effect.Effect<Unit, BodyError>
  /** Begins to read the next unit while this one, which is not the last, is cut. Before `carryOver`. */
  readonly readAhead: Effect.Effect<void>
  /** What a unit left uncut: the next one starts with a copy of it. */
  readonly carryOver: (rest: Uint8Array) => void
  /** A unit's bytes for who keeps them: not in a slot. */
  readonly taken: (unit: Unit) => Uint8Array
  /** Bytes of the body that the units so far hold. */
  readonly readBytes: () => number
}

/** Memory that is filled from `from` on, up to `to`. */
interface Filling {
  readonly memory: Uint8Array
  readonly from: number
  to: number
  ended: boolean
}

/** A unit that is read while the one before is cut. */
interface Ahead {
  readonly filling: Filling
  readonly fiber: Fiber.Fiber<void, BodyError>
  /** What is carried over: before `filling.from`, or in memory of its own where there is no room for it. */
  carriedBytes: number
  carried: Uint8Array | undefined
}

/** Fills memory with the bytes of a body. */
class BodyReader {
  readonly #body: Body
  /** Bytes that the memory before had no room for. */
  #left: Uint8Array | undefined
  readBytes = 0

  constructor(body: Body) {
    this.#body = body
  }

  readonly readInto = Effect.fnUntraced(function*(this: BodyReader, filling: Filling) {
    const { memory } = filling
    // A body that is longer than it said goes on into the next unit; whoever made it complains.
    while (filling.to < memory.length) {
      const bytes = this.#left ?? (yield* this.#nextInto(memory.subarray(filling.to)))
      this.#left = undefined
      if (bytes === undefined) {
        filling.ended = true
        return
      }
      const taken = Math.min(bytes.length, memory.length - filling.to)
      if (bytes.buffer === memory.buffer) assert(taken === bytes.length && bytes.byteOffset === memory.byteOffset + filling.to, "bytes lie where they were asked for")
      else copyInto(memory, filling.to, taken === bytes.length ? bytes : bytes.subarray(0, taken))
      if (taken < bytes.length) this.#left = bytes.subarray(taken)
      else if (bytes.buffer !== memory.buffer) release(bytes)
      filling.to += taken
      this.readBytes += taken
    }
    // Whether this was all of a body as long as it said: then there is no unit after this one.
    if (this.readBytes !== this.#body.sizeBytes) return
    this.#left ??= yield* this.#body.next
    filling.ended = this.#left === undefined
  })

  #nextInto(memory: Uint8Array): Body["next"] {
    return this.#body.nextInto?.(memory) ?? this.#body.next
  }

  /** They come again. */
  putBack(bytes: Uint8Array): void {
    this.readBytes -= bytes.length
    this.#left = this.#left === undefined ? bytes : concatBytes([bytes, this.#left])
  }
}

/** Units of `slots.slotBytes` at most. */
export const unitsOf = (slots: PageSlots, body: Body): Units => {
  const { slotBytes } = slots
  /** Room for what is carried over to a unit that is read before anybody knows what that is. */
  const carryBytes = Math.floor(slotBytes * unitCarryShare)
  const reader = new BodyReader(body)
  const small = body.sizeBytes !== undefined && body.sizeBytes < slotBytes
  let ahead: Ahead | undefined

  const readAhead = Effect.suspend(() => {
    assert(ahead === undefined, "one unit is read ahead")
    const filling: Filling = { memory: slots.take(), from: carryBytes, to: carryBytes, ended: false }
    return Effect.map(Effect.forkChild(reader.readInto(filling)), (fiber) => {
      ahead = { filling, fiber, carriedBytes: 0, carried: undefined }
    })
  })

  const carryOver = (rest: Uint8Array): void => {
    if (rest.length === 0) return
    assert(rest.length < slotBytes && ahead !== undefined, "a unit that is full is cut at least once, and the next one is on its way")
    ahead.carriedBytes = rest.length
    if (rest.length > carryBytes) ahead.carried = slots.take()
    const [memory, at] = ahead.carried === undefined ? [ahead.filling.memory, carryBytes - rest.length] : [ahead.carried, 0]
    copyInto(memory, at, rest)
  }

  /** What is too long to be put before what was read: that is put behind it, as far as there is room. */
  const joinBehind = (carried: Uint8Array, carriedBytes: number, { ended, from, memory, to }: Filling): Unit => {
    const room = Math.min(to - from, slotBytes - carriedBytes)
    copyInto(carried, carriedBytes, memory.subarray(from, from + room))
    const rest = copyOf(memory.subarray(from + room, to))
    if (rest.length > 0) reader.putBack(rest)
    slots.give(memory)
    return { bytes: carried.subarray(0, carriedBytes + room), carriedBytes, final: ended && rest.length === 0 }
  }

  const next = Effect.gen(function*() {
    if (ahead !== undefined) {
      const { carried, carriedBytes, fiber, filling } = ahead
      yield* Fiber.join(fiber)
      ahead = undefined
      if (carried !== undefined) return joinBehind(carried, carriedBytes, filling)
      return { bytes: filling.memory.subarray(filling.from - carriedBytes, filling.to), carriedBytes, final: filling.ended } satisfies Unit
    }
    // A short one, so that the lanes begin before there is a whole one; whatever of it stays uncut has room before the next.
    const memory = small ? new Uint8Array(Math.max(1, body.sizeBytes)) : slots.take().subarray(0, carryBytes)
    const filling: Filling = { memory, from: 0, to: 0, ended: false }
    yield* reader.readInto(filling)
    const bytes = filling.to === memory.length || isShared(memory) ? memory.subarray(0, filling.to) : copyOf(memory.subarray(0, filling.to))
    return { bytes, carriedBytes: 0, final: filling.ended } satisfies Unit
  })

  const taken = ({ bytes }: Unit): Uint8Array => {
    if (!isShared(bytes)) return bytes
    const own = copyOf(bytes)
    slots.give(bytes)
    return own
  }
  return { next, readAhead, carryOver, taken, readBytes: () => reader.readBytes }
}
