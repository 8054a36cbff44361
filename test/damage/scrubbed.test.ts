/** What scrub remembers between runs: its file as it always was, and any bytes in its place. */
import { Effect, References } from "effect"
import fc from "fast-check"
import { readFileSync } from "node:fs"
import { expect, it } from "vitest"
import { MemoryDisk } from "../../sim/Disk.ts"
import { seededRandom } from "../../sim/Random.ts"
import { toUtf8 } from "../../src/base/bytes.ts"
import type { BlockId } from "../../src/base/ids.ts"
import { scrubFindingsMax } from "../../src/base/limits.ts"
import { readScrubbed, type ScrubMemory, scrubFile, writeScrubbed } from "../../src/scrubbed.ts"
import { mutateBytes, nastyTexts } from "../fuzz/Mutation.ts"

const golden = readFileSync(new URL("golden/scrub.v1.json", import.meta.url)).subarray(0, -1)

const memory: ScrubMemory = {
  place: { pass: 3, startedMs: 1_800_000_000_000, after: "21".repeat(16) as BlockId, bytes: 123_456_789, finishedMs: undefined },
  findings: [
    { kind: "Damaged", where: "blocks/21/21212121212121212121212121212121.block", what: "region 4: its hash is another", sinceMs: 1_799_999_999_999, block: "21".repeat(16) as BlockId },
    { kind: "Missing", where: "checkpoints/0000000000000009.delta", what: "é", sinceMs: 0 }
  ]
}

const read = (bytes: Uint8Array): Promise<ScrubMemory> => Effect.runPromise(Effect.gen(function*() {
  const disk = new MemoryDisk()
  yield* Effect.scoped(Effect.flatMap(disk.service.open(scrubFile, "create"), (file) => file.write(0, [bytes])))
  return yield* readScrubbed(disk.service)
}).pipe(Effect.provideService(References.MinimumLogLevel, "None")))

it("scrub: its file is written as it always was, and read back", async () => {
  const disk = new MemoryDisk()
  await Effect.runPromise(writeScrubbed(disk.service, memory))
  expect(Buffer.from(disk.contents().get(scrubFile)!).toString()).toBe(golden.toString())
  expect(await read(golden)).toEqual(memory)
})

it("scrub: any bytes as its file are a place and findings within their bounds, or nothing", async () => {
  const number = fc.oneof(fc.integer(), fc.double(), fc.constantFrom(-1, 1e300, 2 ** 53, 0.5))
  const harmed = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.constantFrom(...nastyTexts, "1e999").map((text) => toUtf8(text)),
    fc.json().map((text) => toUtf8(text)),
    fc.record({ pass: number, startedMs: number, bytes: number, finishedMs: number }, { requiredKeys: ["pass", "startedMs", "bytes"] })
      .map((fields) => toUtf8(JSON.stringify({ format: 1, findings: [], ...fields }).replace("1e+300", "1e999"))),
    fc.nat().map((seed) => mutateBytes(seededRandom(seed), golden))
  )
  await fc.assert(fc.asyncProperty(harmed, async (bytes) => {
    const { findings, place } = await read(bytes)
    expect(findings.length).toBeLessThanOrEqual(scrubFindingsMax)
    for (const value of [place?.pass, place?.startedMs, place?.bytes, place?.finishedMs]) {
      expect(value === undefined || (Number.isSafeInteger(value) && value >= 0), String(value)).toBe(true)
    }
  }), { numRuns: 600 })
})
