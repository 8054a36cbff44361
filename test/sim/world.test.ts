/** Worlds: one seed is one story, whoever tells it; what must not happen is reported with its kind and its replay. */
import { spawnSync } from "node:child_process"
import { Effect } from "effect"
import { describe, expect, test } from "vitest"
import { makeCrc64 } from "../../src/gateway/s3/Checksums.ts"
import { underTraps } from "../../sim/Ambient.ts"
import { drawTraits } from "../../sim/NodeTraits.ts"
import { seededRandom } from "../../sim/Random.ts"
import { Violation } from "../../sim/Violation.ts"
import type { ProfileName } from "../../sim/Profile.ts"
import { runWorld } from "../../sim/World.ts"
import { canary } from "../../sim/workload/Canary.ts"
import { makeFewKeysWorkload } from "../../sim/workload/FewKeysWorkload.ts"
import { type MakeWorkload, sharesOf } from "../../sim/workload/Workload.ts"

const crc64 = await Effect.runPromise(makeCrc64)
const run = (seed: number, workloads: ReadonlyArray<MakeWorkload> = [makeFewKeysWorkload], profile: ProfileName = "short") =>
  underTraps(() => runWorld({ seed, profile, workloads, checkers: [], crc64, keepsTrace: true }))

/** A workload that does one thing in its check. */
const checking = (check: () => void): MakeWorkload => () => ({
  name: "checking", setup: () => Effect.void, start: () => Effect.void, check: () => Effect.sync(check)
})

describe("a world's size", () => {
  const made = [{ name: "dear" }, { name: "cheap", perCost: 3 }].map((one) => ({ ...one, setup: () => Effect.void, start: () => Effect.void, check: () => Effect.void }))

  test("is shared by workloads: of a short one each has as many operations, of a long one as much of its time", () => {
    expect(sharesOf(140, "short", made)).toEqual([70, 70])
    expect(sharesOf(2780, "full", made)).toEqual([695, 2085])
    expect(sharesOf(3070, "full", made.slice(0, 1))).toEqual([3070])
  })

  test("chunks are cut coarsely in long worlds alone, and only where a unit holds the largest", () => {
    const drawn = (profile: ProfileName) => Array.from({ length: 60 }, (_, seed) => drawTraits(seededRandom(seed), profile))
    for (const { settings: { chunks }, store } of [...drawn("short"), ...drawn("full")]) expect(chunks.maxBytes).toBeLessThanOrEqual(store.sizes?.unitBytes ?? 0)
    const finest = (profile: ProfileName) => new Set(drawn(profile).map(({ settings }) => settings.chunks.minBytes))
    expect(finest("short")).toEqual(new Set([512]))
    expect(finest("full")).toEqual(new Set([512, 1024]))
  })
})

describe("a world", () => {
  test("is the same story to the last line, twice; another seed is another one (P9)", { timeout: 60_000 }, () => {
    const [once, again, other] = [run(3), run(3), run(4)]
    expect(once.violation).toBeUndefined()
    expect(again.story).toEqual(once.story)
    expect(again.trace).toBe(once.trace)
    expect(once.trace).toMatch(/^[0-9a-f]{64}$/)
    expect(other.trace).not.toBe(once.trace)
  })

  test("goes through 200 operations in the median, and 3 crashes always, and its node lives on after each", { timeout: 60_000 }, () => {
    const counts: Array<number> = []
    for (const seed of [5, 6, 7, 8, 9, 10, 11, 12, 13]) {
      const { crashes, lives, operations, violation } = run(seed)
      expect(violation).toBeUndefined()
      expect(crashes).toBeGreaterThanOrEqual(3)
      expect(lives).toBeGreaterThan(crashes)
      counts.push(operations)
    }
    counts.sort((a, b) => a - b)
    expect(counts[0]).toBeGreaterThanOrEqual(150)
    expect(counts[counts.length >> 1]).toBeGreaterThanOrEqual(200)
  })

  test("counts what was answered, or may have been: a refused connection is no operation", { timeout: 60_000 }, () => {
    let refusals = 0
    for (const seed of [9, 10, 11]) {
      const { faults, operations, story } = run(seed)
      const heard = story.filter((line) => /^\d+ < [1-9]/.test(line))
      const refused = heard.filter((line) => line.endsWith(" Refused"))
      expect(refused.length).toBe(faults.get("OutcomeRefused") ?? 0)
      expect(operations).toBe(heard.length - refused.length)
      refusals += refused.length
    }
    expect(refusals).toBeGreaterThan(0)
  })

  test("in which a workload is told what must not be ends by it", () => {
    expect(run(1, [canary]).violation).toMatchObject({ kind: "safety", message: "the canary fails, as it must" })
  })

  test("in which code breaks by itself ends as a crash, and names the place", () => {
    const { violation } = run(1, [checking(() => { throw new TypeError("no such thing") })])
    expect(violation).toMatchObject({ kind: "crash" })
    expect(violation?.message).toMatch(/no such thing[^]*world\.test\.ts/)
  })

  test("that never comes to an end is a liveness violation", () => {
    const waits: MakeWorkload = () => ({ name: "waits", setup: () => Effect.void, start: () => Effect.void, check: () => Effect.never })
    expect(run(1, [waits]).violation).toMatchObject({ kind: "liveness" })
  })

  test("in which somebody reads this machine's clock ends by it, with the place", () => {
    const { violation } = run(1, [checking(() => void Date.now())])
    expect(violation).toMatchObject({ kind: "crash" })
    expect(violation?.message).toMatch(/Date\.now was reached[^]*world\.test\.ts/)
  })

  test("acknowledges nothing that it does not show: a workload that lies about what it wrote is caught by its own check", () => {
    let asked = 0
    const liar: MakeWorkload = () => ({
      name: "liar", setup: ({ client }) => Effect.asVoid(client.send({ method: "PUT", path: "/liar" })), start: () => Effect.void,
      check: ({ client }) => Effect.gen(function* () {
        asked += 1
        const outcome = yield* client.send({ method: "GET", path: "/liar/never" })
        if (outcome._tag === "Answered" && outcome.status === 404) throw new Violation("safety", "never is gone")
      })
    })
    expect(run(2, [liar]).violation?.message).toBe("never is gone")
    expect(asked).toBe(1)
  })
})

describe("npm run sim", () => {
  const sim = (...words: ReadonlyArray<string>) => {
    const { status, stdout } = spawnSync("node", ["sim/main.ts", ...words], { encoding: "utf8" })
    return { status, lines: stdout.trimEnd().split("\n") }
  }

  test("ends with its trace and its verdict, the same every time and for any number of workers", { timeout: 120_000 }, () => {
    const once = sim("--seeds", "3", "--from", "11", "--workload", "few-keys")
    const again = sim("--seeds", "3", "--from", "11", "--workload", "few-keys", "--workers", "2")
    expect(once.status).toBe(0)
    expect(once.lines.at(-1)).toBe("ok: 3 worlds")
    expect(once.lines.at(-2)).toMatch(/^trace [0-9a-f]{64}$/)
    expect(again.lines.at(-2)).toBe(once.lines.at(-2))
  })

  test("rings when a world fails: its story, one command that shows it again, and 11 for safety", { timeout: 60_000 }, () => {
    const { lines, status } = sim("--seed", "9", "--workload", "canary")
    expect(status).toBe(11)
    expect(lines).toContain("again: npm run sim -- --seed 9 --profile short --workload canary")
    expect(lines.at(-2)).toMatch(/^trace [0-9a-f]{64}$/)
    expect(lines.at(-1)).toMatch(/^safety: /)
  })

  test("refuses what it does not know, with 2", { timeout: 60_000 }, () => {
    for (const words of [["--sed", "1"], ["--seed", "x"], ["--seed"], ["--seed", "1", "--seeds", "2"], ["--profile", "long"], ["--workload", "nobody"]]) expect(sim(...words).status, words.join(" ")).toBe(2)
  })
})
