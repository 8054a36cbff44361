/** Nodes of the index are garbage, and nothing notices before a room reads them while it begins. */
import { Cause, Effect, Exit } from "effect"
import { expect, test } from "vitest"
import { toHex } from "../../src/base/bytes.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { State } from "../../src/namespace/State.ts"
import { nodeTable } from "../../src/namespace/TreeStore.ts"
import { Settle } from "../../src/settle.ts"
import { MemoryKeyValue } from "../../sim/KeyValue.ts"
import { seededRandom } from "../../sim/Random.ts"
import { get, makeBucket, put } from "./operations.ts"
import { type Machine, newMachine, storeOn, withStore } from "./store.ts"

const bytes = seededRandom(1).bytes(20_000)
/** Names that are not inline, so that the rows fill some nodes. */
const keys = Array.from({ length: 40 }, (_, index) => `key-${index}-${"x".repeat(300)}`)

const filled = async (): Promise<Machine> => {
  const machine = newMachine(1)
  await withStore(machine, Effect.gen(function*() {
    yield* makeBucket
    for (const key of keys) yield* put(key, bytes)
    yield* (yield* Settle).settleNow
    yield* (yield* Namespace).checkpoint(true)
  }))
  return machine
}

const nodesOf = ({ index }: Machine) => index.entries().filter(([name]) => name === nodeTable).map(([, key]) => key)

const spoil = ({ index }: Machine, key: Uint8Array): Promise<void> =>
  Effect.runPromise(Effect.orDie(index.service.commit([{ _tag: "Put", table: nodeTable, key, value: new Uint8Array(40).fill(9) }])))

const readAll = Effect.map(Effect.forEach(keys, (key) => get(key)), (bodies) => bodies.every((got) => toHex(got) === toHex(bytes)))

/** Whether a start fails of it, by its name; or whoever reads does. The next one has everything. */
const heals = async (machine: Machine, between: (machine: Machine) => Machine): Promise<boolean> => {
  const exit = await Effect.runPromiseExit(Effect.scoped(Effect.provide(Effect.void, storeOn(machine)) as Effect.Effect<void>))
  if (Exit.isFailure(exit)) {
    expect(Cause.hasDies(exit.cause), Cause.pretty(exit.cause)).toBe(false)
    expect(Cause.squash(exit.cause)).toMatchObject({ _tag: "StateError", reason: "Index" })
  } else await Effect.runPromiseExit(Effect.scoped(Effect.provide(Effect.exit(readAll), storeOn(machine)) as Effect.Effect<unknown>))
  await withStore(between(machine), Effect.gen(function*() {
    expect(Exit.isSuccess(exit) || (yield* State).status().rebuilt).toBe(true)
    expect(yield* readAll).toBe(true)
  }))
  return Exit.isFailure(exit)
}

test("whichever node it is: the start fails by its name, or nothing was in its way; the next one has everything", { timeout: 60_000 }, async () => {
  let failed = 0
  const count = nodesOf(await filled()).length
  expect(count).toBeGreaterThan(3)
  for (let number = 0; number < count; number += 1) {
    const machine = await filled()
    await spoil(machine, nodesOf(machine)[number]!)
    if (await heals(machine, () => machine)) failed += 1
  }
  expect(failed).toBeGreaterThan(0)
})

/** As the adapter does at an opening. */
const thrownAway = (machine: Machine): Machine => (machine.index.isFoundDamaged ? { ...machine, index: new MemoryKeyValue() } : machine)

test("whichever row cannot be read: the start fails by its name, or nothing was in its way; the next one, which throws the index away, has everything", { timeout: 60_000 }, async () => {
  let failed = 0
  const count = (await filled()).index.entries().length
  for (let number = 0; number < count; number += 1) {
    const machine = await filled()
    let row = 0
    expect(machine.index.spoil(() => row++ === number)).toBe(1)
    if (await heals(machine, thrownAway)) failed += 1
  }
  expect(failed).toBeGreaterThan(1)
})
