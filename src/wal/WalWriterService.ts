/**
 * Writes segments and batches: the machine's plans, encoded, to the Disk port; each comes back as an event.
 * Between the pump and the disk. Holds the one handle that writes.
 */
import { Effect, Exit, Scope } from "effect"
import { assert } from "../base/assert.ts"
import type { DiskError, DiskFile, DiskService } from "../ports/Disk.ts"
import type { WalCommand, WalEvent } from "./Wal.ts"
import type { WalIdentity } from "./WalFormat.ts"
import { alignUp, encodeBatch, encodeSegmentHeader } from "./WalFormat.ts"
import type { WalFiles } from "./WalFilesService.ts"

type Of<Tag extends WalCommand["_tag"]> = Extract<WalCommand, { readonly _tag: Tag }>

export interface WalWriter {
  readonly openSegment: (command: Of<"OpenSegment">) => Effect.Effect<WalEvent>
  readonly writeBatch: (command: Of<"WriteBatch">) => Effect.Effect<WalEvent>
  readonly sync: (command: Of<"Sync">) => Effect.Effect<WalEvent>
}

export interface WalWriterOptions {
  readonly disk: DiskService
  readonly files: WalFiles
  readonly folder: string
  readonly identity: WalIdentity
  readonly scope: Scope.Scope
}

/** The event that a disk operation ends in; its failure is one that the machine decides about. */
const told = (
  operation: Effect.Effect<void, DiskError>,
  done: WalEvent,
  failed: (fault: Fault) => WalEvent
): Effect.Effect<WalEvent> =>
  Effect.match(operation, { onSuccess: () => done, onFailure: (error) => failed({ detail: error.message, noSpace: error.code === "NoSpace" }) })

interface Fault {
  readonly detail: string
  readonly noSpace: boolean
}

const syncFailed = (fault: Fault): WalEvent => ({ _tag: "SyncFailed", ...fault })

export const makeWalWriter = ({ disk, files, folder, identity, scope }: WalWriterOptions): WalWriter => {
  let writer: { readonly segment: number; readonly file: DiskFile; readonly scope: Scope.Closeable } | undefined

  const fileOf = (segment: number): DiskFile => {
    assert(writer?.segment === segment, `segment ${segment} is open for writing`)
    return writer.file
  }

  /** The header is durable, and the name with it, before any batch is written behind it. */
  const create = Effect.fnUntraced(function*({ segment, epoch, continuesFrom }: Of<"OpenSegment">) {
    if (writer !== undefined) yield* Scope.close(writer.scope, Exit.void)
    writer = undefined
    const opened = Scope.forkUnsafe(scope)
    const file = yield* Scope.provide(disk.open(files.path(segment), "create", { direct: true }), opened)
    writer = { segment, file, scope: opened }
    yield* file.write(0, [encodeSegmentHeader({ ...identity, segment, epoch, continuesFrom })])
    yield* file.sync
    yield* disk.syncFolder(folder)
  })

  return {
    openSegment: (command) => {
      const { segment } = command
      return told(create(command), { _tag: "SegmentOpened", segment }, (fault) => ({ _tag: "OpenFailed", segment, ...fault }))
    },
    writeBatch: ({ batch, epoch, previous }) =>
      Effect.suspend(() => {
        const { segment, offset, closing, contentBytes, records } = batch
        const length = alignUp(contentBytes)
        const header = { ...identity, closing, length, contentBytes, records: records.length, segment, offset, epoch, previous }
        const { parts, hash } = encodeBatch({ ...header, payloads: records })
        return told(fileOf(segment).write(offset, parts), { _tag: "Written", hash }, syncFailed)
      }),
    sync: ({ segment }) => told(fileOf(segment).sync, { _tag: "Synced" }, syncFailed)
  }
}
