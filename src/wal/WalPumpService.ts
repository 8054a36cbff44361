/**
 * Feeds events to the machine and carries out its commands, one at a time; settles the tickets.
 * Between the machine (Wal.ts), the writer and those who wait. One pump a journal: nobody else writes its files.
 */
import { Deferred, Effect, Exit } from "effect"
import { assert } from "../base/assert.ts"
import { probe } from "../base/probes.ts"
import type { WalCommand, WalEvent, WalState } from "./Wal.ts"
import { step } from "./Wal.ts"
import { WalError } from "./WalError.ts"
import type { WalWriter } from "./WalWriterService.ts"

/** Called after every step: invariants in tests, traces in simulation. */
export type WalObserver = (state: WalState, event: WalEvent, commands: ReadonlyArray<WalCommand>) => void

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

/** `onNoSpace` gives the reserve file's room back, so that the segment that follows can be written. */
export const makeWalPump = (state: WalState, writer: WalWriter, observe: WalObserver, onNoSpace: Effect.Effect<void>): WalPump => {
  const waiting = new Map<number, Deferred.Deferred<void, WalError>>()

  const tell = (event: WalEvent): ReadonlyArray<WalCommand> => {
    const [, commands] = step(state, event)
    observe(state, event, commands)
    return commands
  }

  const settle = (tickets: ReadonlyArray<number>, outcome: Exit.Exit<void, WalError>): void => {
    for (const ticket of tickets) {
      const deferred = waiting.get(ticket)
      waiting.delete(ticket)
      assert(deferred !== undefined, `ticket ${ticket} waits`)
      Deferred.doneUnsafe(deferred, outcome)
    }
  }

  const failure = (reason: "Lost" | "Failed" | "Closed", detail: string): Exit.Exit<void, WalError> =>
    Exit.fail(new WalError({ reason, ...state.durable, detail }))

  const carryOut = (command: WalCommand): Effect.Effect<WalEvent | undefined> => {
    switch (command._tag) {
      case "OpenSegment": return writer.openSegment(command)
      case "WriteBatch": return writer.writeBatch(command)
      case "Sync": return writer.sync(command)
      case "Acknowledge":
        settle(command.tickets, Exit.void)
        return Effect.undefined
      case "Reject":
        settle(command.tickets, failure(command.reason, command.detail))
        return Effect.undefined
      case "Assign":
      case "RemoveSegment":
        assert(false, `${command._tag} is the service's to carry out`)
    }
  }

  const run = Effect.fnUntraced(function*(commands: ReadonlyArray<WalCommand>) {
    const left = [...commands]
    for (let command = left.shift(); command !== undefined; command = left.shift()) {
      const event = yield* carryOut(command)
      if (event === undefined) continue
      if (event._tag === "SyncFailed" || event._tag === "OpenFailed") {
        yield* Effect.logError(`journal: a segment is abandoned, epoch ${state.epoch} ends: ${event.detail}`)
        if (event.noSpace) yield* onNoSpace
      }
      left.push(...tell(event))
      if (event._tag === "SyncFailed" || event._tag === "OpenFailed") probe(state.phase === "Failed" ? "journal.failed" : "journal.segmentAbandoned")
    }
  })

  return { tell, run, waiting, abort: (detail) => settle([...waiting.keys()], failure("Failed", detail)) }
}
