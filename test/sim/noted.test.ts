/** Noted in whole worlds: silent over a store that notes what is nobody's, and heard where its notes are others. */
import { Effect } from "effect"
import { describe, expect, test } from "vitest"
import { makeCrc64 } from "../../src/gateway/s3/Checksums.ts"
import { table } from "../../src/namespace/Rows.ts"
import { deadRow } from "../../src/namespace/RowsValue.ts"
import type { RowKey, StateReader } from "../../src/namespace/State.ts"
import { checkers } from "../../sim/Catalogue.ts"
import type { MakeChecker } from "../../sim/checker/Checker.ts"
import { notedChecker } from "../../sim/checker/Noted.ts"
import { returnsWorkload } from "../../sim/workload/Returns.ts"
import { runWorld } from "../../sim/World.ts"

const crc64 = await Effect.runPromise(makeCrc64)

/** What the checker reads in place of a row. */
type Lie = (key: RowKey, value: Uint8Array | undefined) => Uint8Array | undefined

const lyingReader = (reader: StateReader, lie: Lie): StateReader => ({ ...reader, get: (key) => lie(key, reader.get(key)) })

const lying = (lie: Lie): MakeChecker => () => {
  const inner = notedChecker()
  return {
    name: "lied to", applied: inner.applied!,
    begin: (world) => inner.begin?.({ ...world, reader: () => {
      const reader = world.reader()
      return reader === undefined ? undefined : lyingReader(reader, lie)
    } })
  }
}

const violationOf = (make: MakeChecker): string | undefined =>
  runWorld({ seed: 1, profile: "short", workloads: [returnsWorkload], checkers: [make], crc64 }).violation?.message

describe("bytes of nobody", () => {
  test("are noted in every block, and that is looked at in every world", { timeout: 120_000 }, () => {
    expect(checkers).toContain(notedChecker)
    let looked = 0
    expect(violationOf(lying((key, value) => {
      looked += key.startsWith(table.dead) ? 1 : 0
      return value
    }))).toBeUndefined()
    expect(looked).toBeGreaterThan(10)
  })

  test("and are noted nowhere: heard", { timeout: 120_000 }, () => {
    expect(violationOf(lying((key, value) => (key.startsWith(table.dead) ? undefined : value)))).toMatch(/^of \d+ bytes in block [0-9a-f]+ \d+ are somebody's after commit \d+, and 0 are noted as nobody's$/)
  })

  test("and more are noted than there are: heard", { timeout: 120_000 }, () => {
    const more = (value: Uint8Array | undefined): Uint8Array => deadRow.encode({ bytes: 1 + (value === undefined ? 0 : deadRow.decode(value).bytes) })
    expect(violationOf(lying((key, value) => (key.startsWith(table.dead) ? more(value) : value)))).toMatch(/are noted as nobody's$/)
  })
})
