/** What worlds take for a damaged index, and what for a defect of the code. */
import { Cause } from "effect"
import { expect, test } from "vitest"
import { isIndexDamage } from "../../sim/Failure.ts"
import { StateError } from "../../src/namespace/State.ts"

const dieOf = (reason: StateError["reason"]) => Cause.die(new StateError({ reason, detail: "node 3.0a" }))

test("a read that meets a damaged index is that, its client gone or not; anything else beside it is a defect", () => {
  expect(isIndexDamage(dieOf("Index"))).toBe(true)
  expect(isIndexDamage(Cause.combine(dieOf("Index"), Cause.interrupt()))).toBe(true)
  expect(isIndexDamage(Cause.combine(dieOf("Index"), Cause.die(new TypeError("a bug"))))).toBe(false)
  expect(isIndexDamage(dieOf("Disk"))).toBe(false)
  expect(isIndexDamage(Cause.interrupt())).toBe(false)
  expect(isIndexDamage(Cause.fail(new StateError({ reason: "Index", detail: "" })))).toBe(false)
})
