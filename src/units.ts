/**
 * Units: a body in pieces of bounded size, each of which goes to a lane as a whole (unitKernel.ts). They sit between the
 * gateway's body and ingest.
 */
import { Effect } from "effect"
import { assert } from "./base/assert.ts"
import { copyInto, copyOf, isShared, release } from "./base/bytes.ts"
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
  /** What a unit left uncut: the next one starts with a copy of it. */
  readonly carryOver: (rest: Uint8Array) => void
  /** A unit's bytes for who keeps them: not in a slot. */
  readonly taken: (unit: Unit) => Uint8Array
  /** Bytes of the body that the units so far hold. */
  readonly readBytes: () => number
}

/** Units of `slots.slotBytes`. */
export const unitsOf = (slots: PageSlots, body: Body): Units => {
  const { slotBytes } = slots
  /** Bytes of the last pull that the unit before had no room for. */
  let left: Uint8Array | undefined
  let readBytes = 0
  const small = body.sizeBytes !== undefined && body.sizeBytes < slotBytes
  let buffer: Uint8Array | undefined
  let filled = 0

  const carryOver = (rest: Uint8Array): void => {
    if (rest.length === 0) return
    assert(rest.length < slotBytes, "a unit is cut at least once")
    buffer = slots.take()
    buffer.set(rest)
    filled = rest.length
  }

  const next = Effect.gen(function*() {
    const target = buffer ?? (small ? new Uint8Array(Math.max(1, body.sizeBytes)) : slots.take())
    buffer = undefined
    const carriedBytes = filled
    let at = filled
    filled = 0
    let final = false
    // A body that is longer than it said goes on into the next unit; whoever made it complains.
    while (at < target.length) {
      const bytes = left ?? (yield* body.next)
      left = undefined
      if (bytes === undefined) {
        final = true
        break
      }
      const taken = Math.min(bytes.length, target.length - at)
      copyInto(target, at, taken === bytes.length ? bytes : bytes.subarray(0, taken))
      if (taken < bytes.length) left = bytes.subarray(taken)
      else release(bytes)
      at += taken
      readBytes += taken
    }
    // Whether this was all of a body as long as it said: then there is no unit after this one.
    if (!final && readBytes === body.sizeBytes) {
      const bytes = left ?? (yield* body.next)
      left = bytes
      final = bytes === undefined
    }
    const bytes = at === target.length || isShared(target) ? target.subarray(0, at) : copyOf(target.subarray(0, at))
    return { bytes, carriedBytes, final } satisfies Unit
  })

  const taken = ({ bytes }: Unit): Uint8Array => {
    if (!isShared(bytes)) return bytes
    const own = copyOf(bytes)
    slots.give(bytes)
    return own
  }
  return { next, carryOver, taken, readBytes: () => readBytes }
}
