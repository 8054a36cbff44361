/**
 * BlockFiles: block files kept open between reads, a bounded number of them. It sits between BlockService's reads and
 * the Disk port. A file is closed when it is the least recently used one of too many, and nobody reads it.
 */
import { Effect, Exit, Scope } from "effect"
import { assert } from "../base/assert.ts"
import type { BlockId } from "../base/ids.ts"
import type { DiskError, DiskFile, DiskService } from "../ports/Disk.ts"

interface Entry {
  readonly file: DiskFile
  readonly scope: Scope.Closeable
  /** Reads under way. 0 <= users */
  users: number
  /** Dropped from the cache while read: closed by the last user. */
  dropped: boolean
}

export interface BlockFiles {
  readonly use: <A, E>(
    block: BlockId, read: (file: DiskFile) => Effect.Effect<A, E>
  ) => Effect.Effect<A, E | DiskError>
  /** Forgets a block, so that its file's space can be freed. */
  readonly drop: (block: BlockId) => Effect.Effect<void>
}

/** Closes all files with the scope it is made in. */
export const makeBlockFiles = (
  disk: DiskService, pathOf: (block: BlockId) => string, filesMax: number
): Effect.Effect<BlockFiles, never, Scope.Scope> =>
  Effect.gen(function*() {
    // Insertion order is the order of use: a used entry is put back at the end.
    const entries = new Map<BlockId, Entry>()
    yield* Effect.addFinalizer(() => Effect.forEach([...entries.keys()], drop, { discard: true }))

    const closeUnused = (entry: Entry): Effect.Effect<void> =>
      entry.dropped && entry.users === 0 ? Scope.close(entry.scope, Exit.void) : Effect.void

    const drop = (block: BlockId): Effect.Effect<void> =>
      Effect.suspend(() => {
        const entry = entries.get(block)
        if (entry === undefined) return Effect.void
        entries.delete(block)
        entry.dropped = true
        return closeUnused(entry)
      })

    const open = Effect.fnUntraced(function*(block: BlockId) {
      const scope = yield* Scope.make()
      const file = yield* disk.open(pathOf(block), "read").pipe(
        Scope.provide(scope),
        Effect.onError(() => Scope.close(scope, Exit.void))
      )
      const other = entries.get(block)
      if (other !== undefined) {
        // Two reads opened it at once; one handle is enough.
        other.users += 1
        yield* Scope.close(scope, Exit.void)
        return other
      }
      const entry: Entry = { file, scope, users: 1, dropped: false }
      entries.set(block, entry)
      for (const [id, candidate] of entries) {
        if (entries.size <= filesMax) break
        if (candidate.users === 0) yield* drop(id)
      }
      return entry
    })

    const acquire = (block: BlockId): Effect.Effect<Entry, DiskError> =>
      Effect.suspend(() => {
        const entry = entries.get(block)
        if (entry === undefined) return open(block)
        entries.delete(block)
        entries.set(block, entry)
        entry.users += 1
        return Effect.succeed(entry)
      })

    const release = (entry: Entry): Effect.Effect<void> =>
      Effect.suspend(() => {
        entry.users -= 1
        assert(entry.users >= 0, "a block file is released as often as it was acquired")
        return closeUnused(entry)
      })

    return {
      use: (block, read) => Effect.acquireUseRelease(acquire(block), (entry) => read(entry.file), release),
      drop
    }
  })
