/**
 * Carries out the machine's commands on the disk, one at a time, and feeds it what came of them.
 * Between the machine (Wal.ts) and the Disk port. One pump a journal: nobody else writes its files.
 */
import { Deferred, Effect, Exit, Scope } from "effect"
import { assert } from "../base/assert.ts"
import type { DiskFile, DiskService } from "../ports/Disk.ts"
import type { WalCommand, WalEvent, WalState } from "./Wal.ts"
import { step } from "./Wal.ts"
import { WalError } from "./WalError.ts"
import type { WalIdentity } from "./WalFormat.ts"
import { alignUp, encodeBatch, encodeSegmentHeader } from "./WalFormat.ts"
import type { WalFiles } from "./WalFiles.ts"

export interface WalPumpOptions {
  readonly disk: DiskService
  readonly files: WalFiles
  readonly folder: string
  readonly identity: WalIdentity
  readonly scope: Scope.Scope
  /** Called after every step, with the step's event and commands: invariants in tests, traces in simulation. */
  readonly observe: (state: WalState, event: WalEvent, commands: ReadonlyArray<WalCommand>) => void
}

export interface WalPump {
  /** Steps the machine; the commands are the caller's to carry out or hand to `run`. */
  readonly tell: (event: WalEvent) => ReadonlyArray<WalCommand>
  /** Carries out commands and what follows from them, until the machine waits. */
  readonly run: (commands: ReadonlyArray<WalCommand>) => Effect.Effect<void>
  /** Fails every ticket that still waits. */
  readonly abort: (detail: string) => void
  /** The tickets that wait, by number. */
  readonly waiting: Map<number, Deferred.Deferred<void, WalError>>
}

export const makeWalPump = (state: WalState, options: WalPumpOptions): WalPump => {
  const { disk, files, folder, identity, observe } = options
  const waiting = new Map<number, Deferred.Deferred<void, WalError>>()
  let writer: { readonly segment: number; readonly file: DiskFile; readonly scope: Scope.Closeable } | undefined

  const tell = (event: WalEvent): ReadonlyArray<WalCommand> => {
    const [, commands] = step(state, event)
    observe(state, event, commands)
    return commands
  }

  const settle = (tickets: ReadonlyArray<number>, outcome: Exit.Exit<void, WalError>): void => {
    for (const ticket of tickets) {
      const deferred = waiting.get(ticket)
      waiting.delete(ticket)
      if (deferred !== undefined) Deferred.doneUnsafe(deferred, outcome)
    }
  }

  const closeWriter = Effect.suspend(() => {
    const closing = writer
    writer = undefined
    return closing === undefined ? Effect.void : Scope.close(closing.scope, Exit.void)
  })

  const openSegment = Effect.fnUntraced(function*(command: Extract<WalCommand, { _tag: "OpenSegment" }>) {
    yield* closeWriter
    const { segment, epoch, continuesFrom } = command
    const scope = Scope.forkUnsafe(options.scope)
    const file = yield* Scope.provide(disk.open(files.path(segment), "create"), scope)
    writer = { segment, file, scope }
    yield* file.write(0, [encodeSegmentHeader({ ...identity, segment, epoch, continuesFrom })])
    yield* file.sync
    yield* disk.syncFolder(folder)
  })

  const writeBatch = (command: Extract<WalCommand, { _tag: "WriteBatch" }>): Effect.Effect<WalEvent> =>
    Effect.suspend(() => {
      const { batch, epoch, previous } = command
      const { segment, offset, closing, contentBytes, records } = batch
      assert(writer?.segment === segment, `segment ${segment} is open for writing`)
      const length = alignUp(contentBytes)
      const header = { ...identity, closing, length, contentBytes, records: records.length, segment, offset, epoch, previous }
      const { parts, hash } = encodeBatch({ ...header, payloads: records })
      return writer.file.write(offset, parts).pipe(
        Effect.match({
          onSuccess: (): WalEvent => ({ _tag: "Written", hash }),
          onFailure: (error): WalEvent => ({ _tag: "SyncFailed", detail: error.message })
        })
      )
    })

  const carryOut = (command: WalCommand): Effect.Effect<WalEvent | undefined> => {
    switch (command._tag) {
      case "OpenSegment":
        return openSegment(command).pipe(
          Effect.match({
            onSuccess: (): WalEvent => ({ _tag: "SegmentOpened", segment: command.segment }),
            onFailure: (error): WalEvent => ({ _tag: "OpenFailed", segment: command.segment, detail: error.message })
          })
        )
      case "WriteBatch":
        return writeBatch(command)
      case "Sync":
        return writer!.file.sync.pipe(
          Effect.match({
            onSuccess: (): WalEvent => ({ _tag: "Synced" }),
            onFailure: (error): WalEvent => ({ _tag: "SyncFailed", detail: error.message })
          })
        )
      case "Acknowledge":
        settle(command.tickets, Exit.void)
        return Effect.undefined
      case "Reject": {
        const { reason, detail } = command
        settle(command.tickets, Exit.fail(new WalError({ reason, ...state.durable, detail })))
        return Effect.undefined
      }
      case "Assign":
      case "RemoveSegment":
        throw new Error(`${command._tag} is the service's to carry out`)
    }
  }

  const run = Effect.fnUntraced(function*(commands: ReadonlyArray<WalCommand>) {
    const left = [...commands]
    for (let command = left.shift(); command !== undefined; command = left.shift()) {
      const event = yield* carryOut(command)
      if (event !== undefined) left.push(...tell(event))
    }
  })

  const abort = (detail: string): void =>
    settle([...waiting.keys()], Exit.fail(new WalError({ reason: "Failed", ...state.durable, detail })))

  return { tell, run, abort, waiting }
}
