/** The disk fills up: writes are refused by name, reads and deletions go on, and everything goes on once space returns. */
import { Effect, Exit } from "effect"
import { expect, test } from "vitest"
import { toHex } from "../../src/base/bytes.ts"
import { MiB, walReserveBytes } from "../../src/base/limits.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { Settle } from "../../src/settle.ts"
import { Wal } from "../../src/wal/WalService.ts"
import { seededRandom } from "../../sim/Random.ts"
import { get, makeBucket, put } from "./operations.ts"
import { type Machine, newMachine, tiny, withStore } from "./store.ts"

const bytes = seededRandom(7).bytes(3000)
const inline = seededRandom(8).bytes(100)

const reserveFileBytes = 256 * 1024
const options = { settings: { ...tiny.settings, reserveFileBytes } }

/** So much is free from now on. */
const leave = ({ disk }: Machine, freeBytes: number) => Effect.sync(() => { disk.capacityBytes = disk.usedBytes + freeBytes })

/** Until the node has looked at its disk again. */
const untilLow = Effect.gen(function*() {
  const wal = yield* Wal
  while (!wal.spaceLow()) yield* Effect.sleep(20)
})

const untilRoom = Effect.gen(function*() {
  const wal = yield* Wal
  while (wal.spaceLow() || wal.status().phase !== "Running") yield* Effect.sleep(20)
})

const remove = (key: string) => Effect.flatMap(Namespace, (namespace) =>
  namespace.propose({ _tag: "DeleteObjects", bucket: "b", targets: [{ key }] }))

const refusal = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(effect), (exit) => Exit.isFailure(exit) ? String(exit.cause) : "accepted")

const keysNow = Effect.gen(function*() {
  const namespace = yield* Namespace
  const page = yield* namespace.listObjects("b", { prefix: "", delimiter: "", after: "", limit: 100 }, namespace.head().sequence)
  return page.versions.map(({ key }) => key)
})

test("full disk: within the reserve nothing new is taken, deletions and sealing go on, and the end of it needs no restart", async () => {
  const machine = newMachine(1)
  await withStore(machine, Effect.gen(function*() {
    yield* makeBucket
    for (const key of ["a", "b", "c"]) yield* put(key, bytes)
    yield* leave(machine, walReserveBytes - MiB)
    yield* untilLow
    expect(yield* refusal(put("large", seededRandom(9).bytes(5000)))).toContain("DiskFull")
    expect(yield* refusal(put("small", inline))).toContain("DiskFull")
    expect(toHex(yield* get("a"))).toBe(toHex(bytes))
    yield* remove("b")
    yield* Effect.flatMap(Settle, (settle) => settle.settleNow)
    expect(yield* keysNow).toEqual(["a", "c"])
    yield* leave(machine, 2 * walReserveBytes)
    yield* untilRoom
    yield* put("large", bytes)
    expect(yield* keysNow).toEqual(["a", "c", "large"])
  }), options)
}, 20_000)

test("full disk: somebody else took the last byte: reads and deletions go on by the reserve file, then reads alone, and it comes back by itself", async () => {
  const machine = newMachine(2)
  await withStore(machine, Effect.gen(function*() {
    yield* makeBucket
    for (const key of ["a", "b", "c", "d"]) yield* put(key, bytes)
    while (machine.disk.names.get("journal/reserve") === undefined) yield* Effect.sleep(20)
    yield* leave(machine, 0)
    yield* untilLow
    // The first one meets the full disk and says so; the reserve file makes room for the next.
    const first = yield* refusal(remove("a"))
    if (first !== "accepted") yield* remove("a")
    yield* remove("b")
    expect(machine.disk.names.get("journal/reserve")).toBeUndefined()
    expect(toHex(yield* get("c"))).toBe(toHex(bytes))
    // That room is eaten, too.
    yield* leave(machine, 0)
    yield* Effect.forEach([1, 2, 3], () => refusal(remove("c")))
    expect(yield* refusal(remove("c"))).toContain("NoSpace")
    expect((yield* Wal).status().phase).toBe("Full")
    expect(toHex(yield* get("d"))).toBe(toHex(bytes))
    yield* leave(machine, 2 * walReserveBytes)
    yield* untilRoom
    yield* remove("c")
    yield* put("e", bytes)
    expect(yield* keysNow).toEqual(["d", "e"])
  }), options)
  // What was answered is what a restart finds.
  await withStore(machine, Effect.map(keysNow, (keys) => expect(keys).toEqual(["d", "e"])), options)
}, 30_000)
