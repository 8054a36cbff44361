/**
 * Lmdb: the KeyValue port over lmdb (lmdb-js 3.5): one environment in a folder, one named database a table, keys and
 * values raw bytes. Neither its compression nor its page encryption is used (R8). Twin: sim/KeyValue.
 *
 * LMDB's pages have no checksums. A file that it cannot map rightly ends the process with SIGBUS or SIGSEGV, which no
 * program can catch: LmdbFile inspects it first, and a marker tells the next start that an opening never ended.
 * Damage inside the file, met later, is as fatal: nothing may exist only here. So that no start after it meets it for
 * ever, another marker tells that a run never closed the index: the next opening reads all of it, and after
 * indexRunsUnendedMax such runs in a row, none of which came to write to it, it is thrown away. A page that LMDB itself refuses
 * ends nothing, but neither a commit nor `wipe` gets past it: a third marker lets the next opening throw it away at once.
 */
import { Effect, Layer, type Scope } from "effect"
import { open, type Database, type RootDatabase } from "lmdb"
import { assert } from "../base/assert.ts"
import { compareBytes } from "../base/bytes.ts"
import { indexCloseMsMax, indexKeyBytesMax, indexTablesMax } from "../base/limits.ts"
import { KeyValue, type KeyValueChange, KeyValueError, type KeyValueService, type RangeOptions } from "../ports/KeyValue.ts"
import * as LmdbFile from "./LmdbFile.ts"

type Table = Database<Uint8Array, Uint8Array>
type Root = RootDatabase<Uint8Array, Uint8Array>

const raw = { encoding: "binary", keyEncoding: "binary", cache: false } as const
/** lmdb's own batch of an event turn has a promise that nobody can hear: where its transaction fails, the process ends. */
const environment = { eventTurnBatching: false } as const

/** What LMDB answers where pages are not as it wrote them, by its own names; a full disk or map is none of these. */
const damageCodes: ReadonlySet<unknown> = new Set([-30_797 /* PAGE_NOTFOUND */, -30_796 /* CORRUPTED */, -30_787 /* CURSOR_FULL */, -30_786 /* PAGE_FULL */, -30_779 /* PROBLEM */])

const detailOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export { fileBytes } from "./LmdbFile.ts"

/** Serves the index in this folder; KeyValueError "open" where it is damaged: wipe the folder and rebuild. */
export const layer = (folder: string): Layer.Layer<KeyValue, KeyValueError> =>
  Layer.effect(KeyValue, openAt(folder))

/** The same, but a damaged index is thrown away: `wasReset` says that it must be rebuilt, and why. */
export const openOrReset = (
  folder: string
): Effect.Effect<
  { readonly service: KeyValueService; readonly wasReset: boolean; readonly why: string },
  KeyValueError,
  Scope.Scope
> =>
  Effect.map(openAt(folder), (service) => ({ service, wasReset: false, why: "" })).pipe(
    Effect.catch((damage) =>
      Effect.try({
        try: () => LmdbFile.wipe(folder),
        catch: (error) => new KeyValueError({ operation: "open", detail: `cannot wipe ${folder}: ${detailOf(error)}` })
      }).pipe(
        Effect.andThen(openAt(folder)),
        Effect.map((service) => ({ service, wasReset: true, why: damage.detail }))
      )
    )
  )

/** Opens until the scope closes. The folder must be this process's own (NodeDisk's lock). */
export const openAt = (folder: string): Effect.Effect<KeyValueService, KeyValueError, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.try({
        try: () => {
          const wasKilled = LmdbFile.beginOpening(folder)
          const root: Root = open<Uint8Array, Uint8Array>({ ...raw, ...environment, path: folder, noSubdir: false, maxDbs: indexTablesMax + 2 })
          // lmdb-js ends a table's name with a zero byte.
          const names = [...root.getKeys({})].map((key) => Buffer.from(key).toString("utf8").replace(/\0$/, ""))
          const tables = new Map<string, Table>(names.map((name) => [name, root.openDB<Uint8Array, Uint8Array>(name, raw)]))
          for (const table of tables.values()) readThrough(table, wasKilled ? Number.POSITIVE_INFINITY : 1)
          LmdbFile.endOpening(folder)
          return { root, tables }
        },
        catch: (error) =>
          new KeyValueError({ operation: "open", detail: `${folder}: ${detailOf(error)}; delete the folder, it is rebuilt` })
      }),
      ({ root }) => Effect.promise(async () => {
        // After a transaction that failed lmdb-js waits for a flush that never comes; nothing exists only here.
        if (await isClosedInTime(root.close())) LmdbFile.endRun(folder)
      })
    ),
    ({ root, tables }) => serviceOf(folder, root, tables)
  )

const isClosedInTime = (closed: Promise<void>): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(false), indexCloseMsMax)
    closed.then(() => resolve(true), reject).finally(() => clearTimeout(timer))
  })

/** Touches the pages of so many rows: what kills does it here, where the marker tells. */
const readThrough = (table: Table, rowsMax: number): void => {
  let rows = 0
  for (const _ of table.getRange({})) if (++rows >= rowsMax) break
}

const copyOf = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes)

/** Leaves a marker for the next opening, and says what was met; a full disk that takes no marker hides nothing of it. */
const markerOf = (folder: string): ((error: unknown) => string) => {
  let isDamaged = false
  return (error) => {
    const detail = detailOf(error)
    if (isDamaged) return detail
    try {
      LmdbFile.setDamaged(folder, detail)
      isDamaged = true
      return detail
    } catch (unmarked) {
      return `${detail}; the next start cannot be told to throw it away (${detailOf(unmarked)}): delete the folder, it is rebuilt`
    }
  }
}

const serviceOf = (folder: string, root: Root, tables: Map<string, Table>): KeyValueService => {
  let hasWritten = false
  const flush = async (): Promise<void> => {
    await root.flushed
    if (!hasWritten) LmdbFile.forgetRuns(folder)
    hasWritten = true
  }
  const damaged = markerOf(folder)
  /** A read that throws has met damage: nothing else makes one fail. */
  const reading = <A>(read: () => A): A => {
    try {
      return read()
    } catch (error) {
      throw new KeyValueError({ operation: "read", detail: `${folder}: ${damaged(error)}` })
    }
  }
  const get = (table: string, key: Uint8Array): Uint8Array | undefined => {
    const value = reading(() => tables.get(table)?.get(key))
    return value === undefined ? undefined : copyOf(value)
  }
  /** A table must be open before the transaction that writes it. */
  const openTable = (name: string): Table => {
    const known = tables.get(name)
    if (known !== undefined) return known
    assert(tables.size < indexTablesMax, `the index has at most ${indexTablesMax} tables`)
    const table = root.openDB<Uint8Array, Uint8Array>(name, raw)
    tables.set(name, table)
    return table
  }
  const promised = (operation: "commit" | "flushed" | "wipe", run: () => PromiseLike<unknown>) =>
    Effect.uninterruptible(
      Effect.tryPromise({
        try: async () => {
          try {
            await run()
          } catch (error) {
            const cause = await causeOf(error)
            const isDamage = damageCodes.has((cause as { readonly code?: unknown } | null)?.code)
            throw new KeyValueError({ operation, detail: isDamage ? damaged(cause) : detailOf(cause) })
          }
        },
        catch: (error) => (error instanceof KeyValueError ? error : new KeyValueError({ operation, detail: detailOf(error) }))
      })
    )
  return {
    get,
    getMany: (table, keys) => keys.map((key) => get(table, key)),
    range: (table, options) => reading(() => range(tables.get(table), options)),
    commit: (changes) =>
      Effect.suspend(() => {
        const bad = changes.find(({ key }) => key.length < 1 || key.length > indexKeyBytesMax)
        if (bad !== undefined) {
          const detail = `a key has 1 to ${indexKeyBytesMax} bytes, not ${bad.key.length}`
          return Effect.fail(new KeyValueError({ operation: "commit", detail }))
        }
        return changes.length === 0 ? Effect.void : promised("commit", () => commit(root, openTable, changes))
      }),
    flushed: promised("flushed", flush),
    wipe: promised("wipe", () => root.batch(() => {
      for (const table of tables.values()) heard(table.clearAsync())
    }))
  }
}

/** Why a transaction failed is in a promise inside its error. */
const causeOf = async (error: unknown): Promise<unknown> => {
  const inside = (error as { readonly commitError?: PromiseLike<unknown> } | null)?.commitError
  if (inside === undefined) return error
  try {
    await inside
    return error
  } catch (cause) {
    return cause
  }
}

/**
 * A transaction that fails, on a full disk say, rejects the promise of each of its writes too, and one inside its error.
 * The batch's own is answered for; one that nobody heard would end the process.
 */
const heard = (promise: unknown): void => {
  if (typeof (promise as { readonly then?: unknown } | null | undefined)?.then !== "function") return
  void (promise as PromiseLike<unknown>).then(undefined, () => undefined)
}

/**
 * One batch is one transaction, and `flushed` waits for it. transactionSync is not used: `flushed` does not cover it
 * in 3.5.6, and one whose callback returns the promise of a put never commits.
 */
const commit = (root: Root, openTable: (name: string) => Table, changes: ReadonlyArray<KeyValueChange>) => {
  const writes = changes.map((change) => ({ change, table: openTable(change.table) }))
  return root.batch(() => {
    for (const { change, table } of writes) {
      heard(change._tag === "Put" ? table.put(change.key, change.value) : table.remove(change.key))
    }
  })
}

const lowest = Uint8Array.of(0)
/** Above every key: no key has more bytes. */
const highest = new Uint8Array(indexKeyBytesMax + 1).fill(255)

const range = (table: Table | undefined, options: RangeOptions): ReadonlyArray<readonly [Uint8Array, Uint8Array]> => {
  const result: Array<readonly [Uint8Array, Uint8Array]> = []
  const from = options.from === undefined || options.from.length === 0 ? lowest : options.from
  const to = options.to ?? highest
  if (table === undefined || options.limit <= 0 || to.length === 0 || compareBytes(from, to) >= 0) return result
  const bounds = options.reverse === true ? { start: to, end: from, inclusiveEnd: true, reverse: true } : { start: from, end: to }
  for (const { key, value } of table.getRange(bounds)) {
    // lmdb's reverse interval starts at `to` itself; ours excludes it either way.
    if (options.reverse === true && compareBytes(key, to) >= 0) continue
    result.push([copyOf(key), copyOf(value)])
    if (result.length === options.limit) break
  }
  return result
}
