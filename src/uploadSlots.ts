/**
 * UploadSlots: memory that all bodies on their way in use in turn. It sits under ingest: units lie in slots as they came,
 * and in others as they were sealed, until they are on the disk.
 */
import { Effect, type Scope } from "effect"
import { isShared, release } from "./base/bytes.ts"
import { sealedSlotExtraBytes, sealedSlotsKeptIdle, sealedSlotsKeptMax, unitSlotsKeptIdle, unitSlotsKeptMax } from "./base/limits.ts"
import { PageSlots } from "./base/PageSlots.ts"

export interface UploadSlots {
  /** Slots of units as they came, and of units as they were sealed: never the same memory. */
  readonly units: PageSlots
  readonly sealed: PageSlots
  /** Uploads that may hold slots. */
  readonly uploads: { count: number }
  /** How many chunks of a slot of `sealed` are still on their way to the disk. */
  readonly inSlots: WeakMap<ArrayBufferLike, number>
}

export const makeSlots = ({ unitBytes }: { readonly unitBytes: number }): UploadSlots => ({
  uploads: { count: 0 },
  units: new PageSlots(unitBytes, unitSlotsKeptMax, unitSlotsKeptMax),
  sealed: new PageSlots(unitBytes + sealedSlotExtraBytes, sealedSlotsKeptMax, sealedSlotsKeptMax),
  inSlots: new WeakMap()
})

/** After the last upload, memory for one is kept. */
export const holdSlots = (slots: UploadSlots): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => void (slots.uploads.count += 1)),
    () => Effect.sync(() => {
      slots.uploads.count -= 1
      if (slots.uploads.count > 0) return
      slots.units.trim(unitSlotsKeptIdle)
      slots.sealed.trim(sealedSlotsKeptIdle)
    })
  )

/** A unit whose bytes nobody needs any more. */
export const giveBack = (slots: UploadSlots, bytes: Uint8Array): void => isShared(bytes) ? slots.units.give(bytes) : release(bytes)

/** These sealed chunks are on the disk. A slot goes back with the last of its chunks. */
export const letGo = (slots: UploadSlots, chunks: ReadonlyArray<Uint8Array>): void => {
  for (const bytes of chunks) {
    const left = slots.inSlots.get(bytes.buffer)
    if (left === undefined) release(bytes)
    else if (left > 1) slots.inSlots.set(bytes.buffer, left - 1)
    else {
      slots.inSlots.delete(bytes.buffer)
      slots.sealed.give(bytes)
    }
  }
}
