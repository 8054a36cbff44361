/**
 * PageSlots: page-aligned memory in slots of one size, used again and again, that threads share: what lies in a slot is
 * neither copied nor moved on its way to a lane or to the disk. Sits between who fills slots and who empties them.
 *
 * A slot is given back by its last user, after everything that was asked of it has ended well. One whose work failed or
 * was interrupted is not: a lane or the kernel may still use it, and the collector takes it once nobody can.
 */
import { makePageMemory } from "./wasm.ts"

export class PageSlots {
  readonly slotBytes: number
  readonly #keptMax: number
  readonly #free: Array<Uint8Array> = []
  readonly #slots = new WeakSet<ArrayBufferLike>()
  #uncounted: number

  /**
   * At most `keptMax` free slots are kept; more are left to the collector. It is not called for the first `uncountedMax`: as
   * many as are used again and again. From then on a new one means that others were dropped.
   */
  constructor(slotBytes: number, keptMax: number, uncountedMax = 0) {
    this.slotBytes = slotBytes
    this.#keptMax = keptMax
    this.#uncounted = uncountedMax
  }

  /** A slot; what was in it before may still be there. */
  take(): Uint8Array {
    const free = this.#free.pop()
    if (free !== undefined) return free
    const slot = makePageMemory(this.slotBytes, { kept: this.#uncounted > 0 }).subarray(0, this.slotBytes)
    this.#uncounted = Math.max(0, this.#uncounted - 1)
    this.#slots.add(slot.buffer)
    return slot
  }

  /** Leaves all but so many free slots to the collector. */
  trim(keptCount: number): void {
    this.#free.splice(keptCount)
  }

  /** Gives back the slot that these bytes lie in; nothing happens to other bytes. */
  give(bytes: Uint8Array): void {
    if (this.#slots.has(bytes.buffer) && this.#free.length < this.#keptMax) {
      this.#free.push(new Uint8Array(bytes.buffer, 0, this.slotBytes))
    }
  }
}
