/**
 * The whole store, its power cut between any two disk operations: what was acknowledged is there bit for bit, what was
 * not is there or not and never half (P1, P3), and the store goes on.
 */
import { Effect } from "effect"
import { describe, expect, test } from "vitest"
import { toHex } from "../../src/base/bytes.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { Settle, type SettlePhase } from "../../src/settle.ts"
import { seededRandom } from "../../sim/Random.ts"
import { get, makeBucket, put } from "./operations.ts"
import { type Machine, newMachine, untilDead, withStore } from "./store.ts"

/** What a client knows: the last acknowledged bytes of each key, and what it asked for since. */
interface Known {
  readonly acknowledged: Map<string, Uint8Array>
  readonly asked: Map<string, Array<Uint8Array>>
  bucket: boolean
}

const known = (): Known => ({ acknowledged: new Map(), asked: new Map(), bucket: false })

const client = (state: Known, key: string, bytes: Uint8Array) =>
  Effect.gen(function*() {
    const asked = state.asked.get(key) ?? []
    state.asked.set(key, [...asked, bytes])
    yield* put(key, bytes)
    state.acknowledged.set(key, bytes)
    state.asked.set(key, [])
  })

/** Inline, small, several blocks; overwrites, duplicates; settling and a checkpoint in between. */
const workload = (state: Known, seed: number) =>
  Effect.gen(function*() {
    const random = seededRandom(seed)
    if (!state.bucket) {
      yield* Effect.catchTag(makeBucket, "Refused", () => Effect.void)
      state.bucket = true
    }
    const shared = random.bytes(6000)
    yield* client(state, "inline", random.bytes(100))
    yield* client(state, "small", random.bytes(3000))
    yield* client(state, "large", random.bytes(45_000))
    yield* client(state, "shared", shared)
    yield* (yield* Settle).settleNow
    yield* Effect.all([
      client(state, "again", shared), client(state, "small", random.bytes(2500)), client(state, "other", random.bytes(9000))
    ], { concurrency: "unbounded" })
    yield* (yield* Namespace).checkpoint(true)
    yield* client(state, "small", random.bytes(500))
    yield* (yield* Settle).settleNow
    // Checkpoints overtake the chunks, so that settling is what lets the journal go.
    for (let round = 0; round < 4; round++) {
      yield* client(state, `last${round}`, random.bytes(15_000))
      yield* (yield* Namespace).checkpoint(true)
    }
    yield* (yield* Settle).settleNow
    yield* client(state, "inline", random.bytes(50))
  })

const checkAll = (state: Known, what: string) =>
  Effect.gen(function*() {
    for (const key of new Set([...state.acknowledged.keys(), ...state.asked.keys()])) {
      const acknowledged = state.acknowledged.get(key)
      const allowed = [...(acknowledged === undefined ? [] : [acknowledged]), ...state.asked.get(key) ?? []].map(toHex)
      const got = yield* Effect.catchTag(get(key), "Refused", () => Effect.succeed(undefined))
      if (got === undefined) expect(acknowledged, `${what}: ${key} was acknowledged and is gone`).toBeUndefined()
      else expect(allowed.includes(toHex(got)), `${what}: ${key} has ${got.length} bytes that nobody asked for`).toBe(true)
    }
  })

const restarted = (machine: Machine, seed: number, power: "Cut" | "Kill"): Machine => {
  const random = seededRandom(seed)
  return power === "Cut"
    ? { disk: machine.disk.crash(random), index: machine.index.crash(random), random: seededRandom(seed + 1) }
    : { disk: machine.disk.kill(random), index: machine.index.kill(), random: seededRandom(seed + 1) }
}

/** Runs until the n-th operation, then twice more: everything is there, also after settling, and new writes work. */
const crashAt = async (stop: number, seed: number, power: "Cut" | "Kill"): Promise<SettlePhase> => {
  const what = `operation ${stop}, seed ${seed}, ${power}`
  const state = known()
  const first = newMachine(seed)
  first.disk.stopAfter(stop)
  let phase: SettlePhase = "Idle"
  const observe = (now: SettlePhase) => { phase = now }
  await untilDead(first, workload(state, seed), { settle: { blockBytesTarget: 16_384, pollMs: 3_600_000, observe } })
  const second = restarted(first, seed * 7919 + stop, power)
  await withStore(second, Effect.gen(function*() {
    if (!state.bucket) yield* Effect.catchTag(makeBucket, "Refused", () => Effect.void)
    yield* checkAll(state, `${what}, after the restart`)
    yield* client(state, "new", seededRandom(stop).bytes(5000))
    yield* (yield* Settle).settleNow
    yield* checkAll(state, `${what}, after settling`)
  }))
  const third = restarted(second, seed * 104_729 + stop, "Cut")
  await withStore(third, checkAll(state, `${what}, after the second restart`))
  return phase
}

describe("the whole store", () => {
  test("power cut or kill between any two disk operations: acknowledged objects are there, bit for bit", async () => {
    const whole = newMachine(1)
    await untilDead(whole, workload(known(), 1))
    const total = whole.disk.operations
    const stride = Math.max(1, Math.floor(total / 70))
    const phases = new Set<SettlePhase>()
    let runs = 0
    for (let stop = 4; stop <= total; stop += stride) {
      phases.add(await crashAt(stop, 1 + (runs % 3), runs % 4 === 3 ? "Kill" : "Cut"))
      runs++
    }
    for (const phase of ["Idle", "Reading", "Writing", "Committing", "Releasing"] as const) {
      expect(phases.has(phase), `no crash fell into ${phase}: ${[...phases].join(", ")}`).toBe(true)
    }
    expect(runs).toBeGreaterThan(60)
  }, 60_000)
})
