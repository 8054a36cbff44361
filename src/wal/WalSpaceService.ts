/**
 * Keeps a reserve of disk space for what gives space back (R11): below it no new chunks are taken, only commits, which
 * deletions and seals are.
 * Between the service's appends and the Disk port's free space, looked at every walSpaceCheckBytes of journal.
 */
import { Effect } from "effect"
import { walReserveBytes, walSpaceCheckBytes } from "../base/limits.ts"
import type { DiskService } from "../ports/Disk.ts"
import type { WalState } from "./Wal.ts"
import { WalError } from "./WalError.ts"
import type { WalPlace } from "./WalRecord.ts"

export interface WalSpace {
  /** The last look found less than the reserve. */
  readonly low: () => boolean
  /** Looks again if enough was written since the last look. */
  readonly watch: Effect.Effect<void>
  /** Looks again; fails, naming NoSpace, where the reserve is touched. */
  readonly check: Effect.Effect<void, WalError>
}

export const makeWalSpace = (disk: DiskService, state: WalState): WalSpace => {
  let freeBytes = Number.MAX_SAFE_INTEGER
  let looked: WalPlace | undefined

  // A disk that cannot say how much is free is taken as having room: its writes will tell.
  const look = Effect.suspend(() => {
    looked = state.durable
    return Effect.catch(disk.freeBytes, () => Effect.succeed(Number.MAX_SAFE_INTEGER))
  }).pipe(Effect.map((bytes) => {
    freeBytes = bytes
  }))

  const isDue = (): boolean => {
    if (looked === undefined || looked.segment !== state.durable.segment) return true
    return state.durable.offset - looked.offset >= walSpaceCheckBytes
  }

  const low = (): boolean => freeBytes < walReserveBytes
  const refusal = (): WalError => new WalError({
    reason: "Disk",
    ...state.durable,
    detail: `NoSpace: ${freeBytes} bytes are free and ${walReserveBytes} are kept for deletions and seals: delete, or add space`
  })
  return {
    low,
    watch: Effect.suspend(() => isDue() ? look : Effect.void),
    check: Effect.andThen(look, Effect.suspend(() => low() ? Effect.fail(refusal()) : Effect.void))
  }
}
