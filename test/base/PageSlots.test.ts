/** Slots of page-aligned memory: used again, never by two at once, and only what was given back. */
import { describe, expect, it } from "vitest"
import { isShared } from "../../src/base/bytes.ts"
import { PageSlots } from "../../src/base/PageSlots.ts"
import { startsAtPage } from "../../src/base/wasm.ts"

describe("page slots", () => {
  it("slots: of the size asked for, at a page, shared by threads", () => {
    const slot = new PageSlots(100_000, 2).take()
    expect(slot.length).toBe(100_000)
    expect(startsAtPage(slot) && isShared(slot)).toBe(true)
    expect(startsAtPage(slot.subarray(8192))).toBe(true)
    expect(startsAtPage(slot.subarray(8191))).toBe(false)
    expect(startsAtPage(new Uint8Array(8192))).toBe(false)
  })
  it("slots: those that the collector is not called for are as good as the others, and empty as they are", () => {
    const slots = new PageSlots(100_000, 2, 1)
    const taken = [slots.take(), slots.take()]
    for (const slot of taken) {
      expect([slot.length, isShared(slot), startsAtPage(slot), slot.every((byte) => byte === 0)]).toEqual([100_000, true, true, true])
      slots.give(slot)
    }
    expect(slots.take().buffer).toBe(taken[1]!.buffer)
  })
  it("slots: what is given back, by any view of it, is taken again; what is not, never", () => {
    const slots = new PageSlots(4096, 2)
    const [a, b] = [slots.take(), slots.take()]
    expect(a.buffer).not.toBe(b.buffer)
    slots.give(a.subarray(10, 20))
    const again = slots.take()
    expect(again.buffer).toBe(a.buffer)
    expect(again.length).toBe(4096)
    expect([a.buffer, b.buffer]).not.toContain(slots.take().buffer)
  })
  it("slots: no more are kept than the bound, and nothing that is no slot of theirs", () => {
    const slots = new PageSlots(4096, 1)
    const taken = [slots.take(), slots.take()]
    for (const slot of taken) slots.give(slot)
    expect(slots.take().buffer).toBe(taken[0]!.buffer)
    slots.give(new Uint8Array(4096))
    slots.give(new PageSlots(4096, 1).take())
    expect(taken.map(({ buffer }) => buffer)).not.toContain(slots.take().buffer)
  })
  it("slots: trimmed, so many free ones are left", () => {
    const slots = new PageSlots(4096, 9)
    const taken = [slots.take(), slots.take(), slots.take()]
    for (const slot of taken) slots.give(slot)
    slots.trim(1)
    expect(slots.take().buffer).toBe(taken[0]!.buffer)
    expect(taken.map(({ buffer }) => buffer)).not.toContain(slots.take().buffer)
  })
})
