/**
 * The journal's files on the Disk port: one reading handle a segment, kept open while the segment is kept.
 * Between the service's reads and the disk. A segment that is released while it is read stays open until that ends.
 */
import { Effect, Exit, Scope } from "effect"
import type { DiskError, DiskFile, DiskService } from "../ports/Disk.ts"
import { segmentName } from "./WalFormat.ts"

interface OpenSegment {
  readonly scope: Scope.Closeable
  readonly file: DiskFile
  readers: number
  dropped: boolean
}

export interface WalFiles {
  readonly path: (segment: number) => string
  /** Runs `use` on the segment's file, open for reading. */
  readonly reading: <A, E>(segment: number, use: (file: DiskFile) => Effect.Effect<A, E>) => Effect.Effect<A, E | DiskError>
  /** The segment is gone: its handle closes after its last reader. */
  readonly drop: (segment: number) => Effect.Effect<void>
}

export const makeWalFiles = (disk: DiskService, folder: string, parent: Scope.Scope): WalFiles => {
  const handles = new Map<number, OpenSegment>()
  const path = (segment: number): string => `${folder}/${segmentName(segment)}`
  const close = (handle: OpenSegment): Effect.Effect<void> => Scope.close(handle.scope, Exit.void)

  const open = Effect.fnUntraced(function*(segment: number) {
    const scope = Scope.forkUnsafe(parent)
    const file = yield* Scope.provide(disk.open(path(segment), "read"), scope).pipe(
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
    )
    const raced = handles.get(segment)
    if (raced !== undefined) {
      // Two first readers: the second one's handle is not needed.
      yield* Scope.close(scope, Exit.void)
      return raced
    }
    const handle: OpenSegment = { scope, file, readers: 0, dropped: false }
    handles.set(segment, handle)
    return handle
  })

  const reading = <A, E>(segment: number, use: (file: DiskFile) => Effect.Effect<A, E>): Effect.Effect<A, E | DiskError> =>
    Effect.suspend(() => {
      const handle = handles.get(segment)
      return handle === undefined ? Effect.flatMap(open(segment), (opened) => using(opened, use)) : using(handle, use)
    })

  const using = <A, E>(handle: OpenSegment, use: (file: DiskFile) => Effect.Effect<A, E>): Effect.Effect<A, E> => {
    handle.readers += 1
    return Effect.ensuring(use(handle.file), Effect.suspend(() => {
      handle.readers -= 1
      return handle.dropped && handle.readers === 0 ? close(handle) : Effect.void
    }))
  }

  const drop = (segment: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      const handle = handles.get(segment)
      if (handle === undefined) return Effect.void
      handles.delete(segment)
      handle.dropped = true
      return handle.readers === 0 ? close(handle) : Effect.void
    })

  return { path, reading, drop }
}
