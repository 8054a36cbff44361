/** Verification on the twin: what is harmed is named, exactly that, and what it does not name is right. */
import { Effect, Exit } from "effect"
import { describe, expect, test } from "vitest"
import { assert } from "../../src/base/assert.ts"
import { toHex } from "../../src/base/bytes.ts"
import type { Finding } from "../../src/damage.ts"
import { Get } from "../../src/get.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { Settle } from "../../src/settle.ts"
import { Verify, type VerifyEvent } from "../../src/verify.ts"
import { type Random, seededRandom } from "../../sim/Random.ts"
import { makeBucket, put } from "../pipeline/operations.ts"
import { type Machine, newMachine, readAll, withStore } from "../pipeline/store.ts"

interface Written {
  readonly key: string
  readonly sequence: number
  readonly bytes: Uint8Array
}

/** Objects of every shape, some overwritten, settled and not, over a few generations of checkpoints. */
const fill = (seed: number) => Effect.gen(function*() {
  const random = seededRandom(seed)
  const namespace = yield* Namespace
  const settle = yield* Settle
  yield* makeBucket
  const written: Array<Written> = []
  const write = Effect.fnUntraced(function*(key: string, bytes: Uint8Array) {
    yield* put(key, bytes)
    written.push({ key, sequence: namespace.head().sequence, bytes })
  })
  const shared = random.bytes(6000)
  for (let round = 0; round < 4; round++) {
    yield* write(`small${round}`, random.bytes(random.below(200)))
    yield* write("again", random.bytes(900 + random.below(9000)))
    yield* write(`large${round}`, random.bytes(10_000 + random.below(40_000)))
    yield* write(`shared${round}`, Buffer.concat([shared, random.bytes(random.below(500))]))
    if (round < 3) yield* settle.settleNow
    if (round < 2) yield* namespace.checkpoint(true)
  }
  // Many pages of a manifest, and pages of pages.
  yield* write("tree", random.bytes(330_000))
  if (random.chance(0.5)) yield* settle.settleNow
  yield* write("last", random.bytes(3000))
  return written
})

const verified = Effect.gen(function*() {
  const events: Array<VerifyEvent> = []
  const summary = yield* (yield* Verify).run((event) => Effect.sync(() => void events.push(event)))
  const findings = events.flatMap((event): ReadonlyArray<Finding> => event._tag === "Finding" ? [event.finding] : [])
  assert(events.at(-1)?._tag === "Summary" && summary.findings === findings.length, "the summary comes last, and has counted them all")
  return { findings, summary, notes: events.flatMap((event) => event._tag === "Note" ? [event.text] : []) }
})

/** Versions that cannot be read; wrong bytes fail the test. */
const unreadable = (written: ReadonlyArray<Written>) => Effect.gen(function*() {
  const namespace = yield* Namespace
  const get = yield* Get
  const lost: Array<string> = []
  for (const { bytes, key, sequence } of written) {
    const read = yield* Effect.exit(Effect.gen(function*() {
      return yield* readAll(yield* get.open(yield* namespace.object("b", key, undefined, sequence)))
    }))
    if (Exit.isSuccess(read)) expect(toHex(read.value) === toHex(bytes), `${key} at ${sequence}`).toBe(true)
    else lost.push(`${key} ${sequence}`)
  }
  return lost.sort()
})

const versionsOf = (findings: ReadonlyArray<Finding>): ReadonlyArray<string> =>
  findings.flatMap(({ version }) => version === undefined ? [] : [`${version.key} ${version.sequence}`]).sort()

const files = (machine: Machine, folder: string): ReadonlyArray<string> =>
  [...machine.disk.contents()].filter(([path, bytes]) => path.startsWith(`${folder}/`) && bytes.length > 0).map(([path]) => path)

/** One byte of a file anywhere; says where. */
const rotAnywhere = (machine: Machine, random: Random, folder: string): string => {
  const path = random.pick(files(machine, folder))
  const offset = random.below(machine.disk.contents().get(path)!.length)
  machine.disk.corrupt(path, offset, (byte) => byte ^ (1 << random.below(8)))
  return `${path}:${offset}`
}

const seeds = Array.from({ length: 6 }, (_, seed) => seed)

describe("verify", () => {
  test("of a whole store: no finding, everything looked at, and again after a restart", async () => {
    for (const seed of seeds.slice(0, 3)) {
      const machine = newMachine(seed)
      const written = await withStore(machine, Effect.gen(function*() {
        const all = yield* fill(seed)
        const { findings, notes, summary } = yield* verified
        expect([findings, notes]).toEqual([[], []])
        expect(summary).toMatchObject({ blocksUnnamed: 0, references: { versions: all.length, versionsHarmed: 0, chunksLost: 0, passes: 1 } })
        expect(summary.checkpoints).toBeGreaterThan(1)
        expect(summary.segments).toBeGreaterThan(1)
        expect(summary.blocks).toBeGreaterThan(5)
        expect(summary.nodes).toBeGreaterThan(3)
        return all
      }))
      await withStore(machine, Effect.gen(function*() {
        expect((yield* verified).findings).toEqual([])
        expect(yield* unreadable(written)).toEqual([])
      }))
    }
  }, 60_000)

  test.each(seeds)("a byte that rots anywhere in a block is named with exactly the versions that cannot be read (seed %i)", (seed) => {
    const machine = newMachine(seed)
    return withStore(machine, Effect.gen(function*() {
      const written = yield* fill(seed)
      const random = seededRandom(1000 + seed)
      const where = Array.from({ length: 1 + random.below(3) }, () => rotAnywhere(machine, random, "blocks"))
      const { findings, summary } = yield* verified
      for (const place of where) expect(findings.map((finding) => finding.where), place).toContain(`block ${/([0-9a-f]{32})\.block/.exec(place)![1]}`)
      const lost = yield* unreadable(written)
      expect(versionsOf(findings), where.join()).toEqual(lost)
      expect(summary.references?.versionsHarmed).toBe(lost.length)
    }))
  })

  test.each(seeds)("a block that is gone, cut or unreadable is named with exactly the versions that cannot be read (seed %i)", async (seed) => {
    const machine = newMachine(seed)
    const written = await withStore(machine, fill(seed))
    const random = seededRandom(2000 + seed)
    const path = random.pick(files(machine, "blocks"))
    const { service } = machine.disk
    const harms = [
      ["Missing", service.remove(path)],
      ["Damaged", Effect.scoped(Effect.flatMap(service.open(path, "write"), (file) => file.truncate(machine.disk.contents().get(path)!.length >> 1)))],
      ["Unreadable", Effect.sync(() => void (machine.disk.fault = (operation, at) => operation === "read" && at === path ? "Io" : undefined))]
    ] as const
    const [kind, harm] = harms[seed % 3]!
    await Effect.runPromise(harm)
    await withStore(machine, Effect.gen(function*() {
      const { findings } = yield* verified
      expect(findings[0]).toMatchObject({ kind, where: `block ${/([0-9a-f]{32})\.block/.exec(path)![1]}` })
      const lost = yield* unreadable(written)
      expect(versionsOf(findings)).toEqual(lost)
      expect(lost.length).toBeGreaterThan(0)
    }))
  })

  test.each(seeds)("a byte that rots in what is proven of the journal is named, with exactly the versions that cannot be read (seed %i)", (seed) => {
    const machine = newMachine(seed)
    return withStore(machine, Effect.gen(function*() {
      const written = yield* fill(seed)
      const place = rotAnywhere(machine, seededRandom(3000 + seed), "journal")
      const { findings } = yield* verified
      expect(findings.length, place).toBeGreaterThan(0)
      expect(findings[0]!.where, place).toMatch(/^journal \d+:\d+$/)
      expect(versionsOf(findings), place).toEqual(yield* unreadable(written))
    }))
  })

  test.each(seeds)("a byte that rots in a checkpoint is named, and harms no object; the next checkpoint is a base (seed %i)", (seed) => {
    const machine = newMachine(seed)
    return withStore(machine, Effect.gen(function*() {
      const written = yield* fill(seed)
      const place = rotAnywhere(machine, seededRandom(4000 + seed), "checkpoints")
      const { findings } = yield* verified
      expect(findings.map(({ kind, where }) => [kind, where])).toEqual([["Damaged", place.split(":")[0]]])
      expect(yield* unreadable(written)).toEqual([])
      yield* (yield* Namespace).checkpoint(true)
      expect(files(machine, "checkpoints").some((path) => path.endsWith(".base"))).toBe(true)
    }))
  })
})
