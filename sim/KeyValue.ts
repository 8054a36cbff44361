/**
 * MemoryKeyValue: the twin of adapters/Lmdb: ordered tables in memory. A crash keeps a prefix of the commits, at least
 * up to the last `flushed`; a kill keeps them all. Rows that were `spoiled` refuse to be read or changed, and as long as there is one,
 * `wipe` fails too: that is what LMDB does with a page that is not as it wrote it.
 */
import BTreeModule from "sorted-btree"
import { Effect, Layer } from "effect"
import { type ByteString, fromByteString, toByteString } from "../src/base/bytes.ts"
import { KeyValue, type KeyValueChange, KeyValueError, type KeyValueService, type RangeOptions } from "../src/ports/KeyValue.ts"
import type { DiskFaultClass } from "./faults/FaultClass.ts"
import type { Random } from "./Random.ts"

/** A CommonJS package: its class is a property of what Node imports. */
const BTree = BTreeModule.default
type Table = InstanceType<typeof BTree<ByteString, Uint8Array>>
export type Tables = Map<string, Table>

const compare = (a: ByteString, b: ByteString): number => (a < b ? -1 : a > b ? 1 : 0)
const keyBytesMax = 1024

type Commit = ReadonlyArray<KeyValueChange> | "wipe"

export class MemoryKeyValue {
  readonly service: KeyValueService
  readonly layer: Layer.Layer<KeyValue>
  /** Makes the next operations of this kind fail. */
  fault: ((operation: "commit" | "flushed" | "wipe") => boolean) | undefined
  /** Told of each fault when it has had its effect. */
  witness: ((fault: DiskFaultClass) => void) | undefined
  commits = 0
  flushes = 0
  #visible: Tables
  #durable: Tables
  #unflushed: Array<Commit> = []
  /** A spoiled row was met: the adapter would throw all of it away at the next opening. */
  isFoundDamaged = false
  #stopped = false
  #spoiled = new Set<string>()
  #rotten: Array<{ readonly table: string; readonly key: ByteString; readonly value: Uint8Array; readonly rotten: Uint8Array }> = []

  constructor(tables: Tables = new Map()) {
    this.#visible = cloneTables(tables)
    this.#durable = cloneTables(tables)
    this.service = this.#serve()
    this.layer = Layer.succeed(KeyValue, this.service)
  }

  /** The index after a power cut: some prefix of what was not flushed. This one never completes anything again. */
  crash(random: Random): MemoryKeyValue {
    this.#stopped = true
    const kept = random.below(this.#unflushed.length + 1)
    if (kept < this.#unflushed.length) this.witness?.("IndexCut")
    for (const commit of this.#unflushed.slice(0, kept)) apply(this.#durable, commit)
    return this.#successor(this.#durable)
  }

  /** The index after SIGKILL: every commit is there. */
  kill(): MemoryKeyValue {
    this.#stopped = true
    return this.#successor(this.#visible)
  }

  /**
   * Rot while nobody runs: one byte of each value, with this chance, becomes another. Its pages have no checksums (R8):
   * every value must check itself. Returns how many did.
   */
  rot(random: Random, chance: number): number {
    let count = 0
    for (const [table, rows] of [...this.#visible].sort(([a], [b]) => compare(a, b))) {
      for (const [key, value] of rows.toArray()) {
        if (value.length === 0 || !random.chance(chance)) continue
        const rotten = new Uint8Array(value)
        const at = random.below(rotten.length)
        rotten[at] = rotten[at]! ^ (1 + random.below(255))
        this.#rotten.push({ table, key, value, rotten })
        rows.set(key, rotten)
        count += 1
      }
    }
    this.#durable = cloneTables(this.#visible)
    this.#unflushed = []
    return count
  }

  /** While nobody runs: rows lie on pages that cannot be read any more. Returns how many do. */
  spoil(isHit: (table: string, key: ByteString) => boolean): number {
    for (const [table, rows] of [...this.#visible].sort(([a], [b]) => compare(a, b))) {
      for (const key of rows.keysArray()) if (isHit(table, key)) this.#spoiled.add(rowName(table, key))
    }
    return this.#spoiled.size
  }

  /** What is rotten still, and was not written since, is as it was: the last rot first, for it may lie on an older one. */
  mend(): void {
    this.#spoiled.clear()
    this.isFoundDamaged = false
    for (const tables of [this.#visible, this.#durable]) this.#mendIn(tables)
    this.#rotten = []
  }

  /** The newest harm first: what was harmed twice is as it was before the first. */
  #mendIn(tables: Tables): void {
    for (const { table, key, value, rotten } of this.#rotten.toReversed()) {
      const rows = tables.get(table)
      if (rows?.get(key) === rotten) rows.set(key, value)
    }
  }

  #successor(tables: Tables): MemoryKeyValue {
    const index = new MemoryKeyValue(tables)
    index.#rotten = this.#rotten
    index.#spoiled = this.#spoiled
    index.isFoundDamaged = this.isFoundDamaged
    index.witness = this.witness
    return index
  }

  /** Everything visible, for comparisons: table, key, value. */
  entries(): ReadonlyArray<readonly [table: string, key: Uint8Array, value: Uint8Array]> {
    return [...this.#visible].sort(([a], [b]) => compare(a, b)).flatMap(([table, rows]) =>
      rows.toArray().map(([key, value]) => [table, fromByteString(key), value.slice()] as const)
    )
  }

  /** Rows of a table. */
  count(table: string): number {
    return this.#visible.get(table)?.size ?? 0
  }

  /** What is there now, to come back one day; whole, where it is rotten. */
  snapshot(): Tables {
    const tables = cloneTables(this.#visible)
    this.#mendIn(tables)
    return tables
  }

  /**
   * While nobody runs: values that were others at an earlier time are those again, with this chance each, as if their
   * pages had never been written since. Returns how many are.
   */
  revert(random: Random, chance: number, earlier: Tables): number {
    let count = 0
    for (const [table, rows] of [...this.#visible].sort(([a], [b]) => compare(a, b))) {
      for (const [key, value] of rows.toArray()) {
        const old = earlier.get(table)?.get(key)
        if (old === undefined || Buffer.compare(old, value) === 0 || !random.chance(chance)) continue
        this.#rotten.push({ table, key, value, rotten: old })
        rows.set(key, old)
        count += 1
      }
    }
    this.#durable = cloneTables(this.#visible)
    this.#unflushed = []
    return count
  }

  #serve(): KeyValueService {
    const get = (table: string, key: Uint8Array): Uint8Array | undefined => {
      const name = toByteString(key)
      this.#read(table, [name])
      return this.#visible.get(table)?.get(name)?.slice()
    }
    return {
      get,
      getMany: (table, keys) => keys.map((key) => get(table, key)),
      range: (table, options) => {
        const rows = range(this.#visible.get(table), options)
        if (this.#spoiled.size > 0) this.#read(table, rows.map(([key]) => toByteString(key)))
        return rows
      },
      commit: (changes) =>
        this.#perform("commit", () => {
          for (const { key } of changes) {
            if (key.length < 1 || key.length > keyBytesMax) return `a key has 1 to ${keyBytesMax} bytes, not ${key.length}`
          }
          if (this.#spoiled.size > 0 && changes.some(({ key, table }) => this.#meets(table, toByteString(key)))) return "a page cannot be read"
          // Bytes are copied when the commit happens: what the caller changes later is his own again.
          const copies = changes.map((change): KeyValueChange =>
            change._tag === "Put"
              ? { ...change, key: change.key.slice(), value: change.value.slice() }
              : { ...change, key: change.key.slice() }
          )
          this.commits += 1
          apply(this.#visible, copies)
          this.#unflushed.push(copies)
          return undefined
        }),
      flushed: this.#perform("flushed", () => {
        this.flushes += 1
        for (const commit of this.#unflushed.splice(0)) apply(this.#durable, commit)
        return undefined
      }),
      wipe: this.#perform("wipe", () => {
        if (this.#spoiled.size > 0) {
          this.isFoundDamaged = true
          return "a page cannot be read"
        }
        apply(this.#visible, "wipe")
        this.#unflushed.push("wipe")
        return undefined
      })
    }
  }

  #meets(table: string, key: ByteString): boolean {
    if (!this.#spoiled.has(rowName(table, key))) return false
    this.isFoundDamaged = true
    return true
  }

  #read(table: string, keys: ReadonlyArray<ByteString>): void {
    if (this.#spoiled.size === 0 || !keys.some((key) => this.#meets(table, key))) return
    throw new KeyValueError({ operation: "read", detail: "a page cannot be read" })
  }

  /** `act` returns why it refuses, or undefined. */
  #perform(operation: "commit" | "flushed" | "wipe", act: () => string | undefined): Effect.Effect<void, KeyValueError> {
    const done = Effect.suspend(() => {
      if (this.#stopped) return Effect.interruptible(Effect.never)
      const isFaulty = this.fault?.(operation) === true
      if (isFaulty) this.witness?.("IndexFailed")
      const detail = isFaulty ? "injected" : act()
      return detail === undefined ? Effect.void : Effect.fail(new KeyValueError({ operation, detail }))
    })
    return Effect.uninterruptible(Effect.andThen(Effect.yieldNow, done))
  }
}

const rowName = (table: string, key: ByteString): string => `${table} ${key}`

/** Copies in constant time: the trees share their nodes until one of them writes. */
const cloneTables = (tables: Tables): Tables => new Map([...tables].map(([name, rows]) => [name, rows.clone()]))

const apply = (tables: Tables, commit: Commit): void => {
  if (commit === "wipe") {
    tables.clear()
    return
  }
  for (const change of commit) {
    let rows = tables.get(change.table)
    if (rows === undefined) {
      rows = new BTree<ByteString, Uint8Array>(undefined, compare)
      tables.set(change.table, rows)
    }
    const key = toByteString(change.key)
    if (change._tag === "Put") rows.set(key, change.value)
    else rows.delete(key)
  }
}

const range = (rows: Table | undefined, options: RangeOptions): ReadonlyArray<readonly [Uint8Array, Uint8Array]> => {
  const result: Array<readonly [Uint8Array, Uint8Array]> = []
  if (rows === undefined) return result
  const from = options.from === undefined ? undefined : toByteString(options.from)
  const to = options.to === undefined ? undefined : toByteString(options.to)
  const take = (key: ByteString, value: Uint8Array): void => void result.push([fromByteString(key), value.slice()])
  if (options.reverse === true) {
    // entriesReversed starts at the key itself where it exists; the end is exclusive.
    for (const [key, value] of rows.entriesReversed(to)) {
      if (result.length >= options.limit || (from !== undefined && key < from)) break
      if (to === undefined || key < to) take(key, value)
    }
    return result
  }
  for (const [key, value] of rows.entries(from)) {
    if (result.length >= options.limit || (to !== undefined && key >= to)) break
    take(key, value)
  }
  return result
}
