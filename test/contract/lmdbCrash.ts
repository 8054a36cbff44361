/** What the index goes through in lmdbCrash.test.ts: a story of commits from a seed, and how a state of it is named. */
import { createHash } from "node:crypto"
import { toHex } from "../../src/base/bytes.ts"
import type { KeyValueChange, KeyValueService } from "../../src/ports/KeyValue.ts"
import { seededRandom } from "../../sim/Random.ts"
import { bytes, drop, put } from "./keyValue.ts"

export interface Step {
  /** Asked for at once, in this order. */
  readonly commits: ReadonlyArray<ReadonlyArray<KeyValueChange> | "wipe">
  readonly flushes: boolean
}

export const tables: ReadonlyArray<string> = ["t", "u", "w"]

/** Rows small and of many pages, written over and dropped, so that pages come free and are used again. */
export const storyOf = (seed: number): ReadonlyArray<Step> => {
  const random = seededRandom(seed)
  const change = (): KeyValueChange => {
    const [table, key] = [random.pick(tables), bytes(random.below(40), random.below(2))]
    return random.chance(0.25) ? drop(table, key) : put(table, key, random.bytes(random.pick([8, 100, 100, 700, 9000])))
  }
  const commit = (number: number): ReadonlyArray<KeyValueChange> | "wipe" =>
    random.chance(0.04) ? "wipe" : [put("t", bytes(255), bytes(number)), ...Array.from({ length: random.below(6) }, change)]
  let number = 0
  return Array.from({ length: 14 }, () => ({
    commits: Array.from({ length: random.pick([1, 1, 2, 5]) }, () => commit(++number)),
    flushes: random.chance(0.4)
  }))
}

export const entriesOf = (index: KeyValueService): ReadonlyArray<readonly [string, Uint8Array, Uint8Array]> =>
  tables.flatMap((table) => index.range(table, { limit: 1_000_000 }).map(([key, value]) => [table, key, value] as const))

export const digestOf = (entries: ReadonlyArray<readonly [string, Uint8Array, Uint8Array]>): string => {
  const hash = createHash("sha256")
  for (const [table, key, value] of entries) hash.update(`${table} ${toHex(key)} ${toHex(value)}\n`)
  return hash.digest("hex")
}
