/**
 * Keeps a reserve of disk space for what gives space back (R11): below it no new chunks are taken, only commits, which
 * deletions and seals are. A reserve file holds real bytes: they are given back when somebody else has filled the disk.
 * Between the service's appends and the Disk port's free space, looked at every walSpaceLookMs and walSpaceCheckBytes.
 */
import { Effect } from "effect"
import { walReserveBytes, walReserveFileStepBytes, walResumeBytes, walSpaceCheckBytes, walSpaceLookMs } from "../base/limits.ts"
import { probe } from "../base/probes.ts"
import type { DiskError, DiskService } from "../ports/Disk.ts"
import type { WalState } from "./Wal.ts"
import { WalError } from "./WalError.ts"
import type { WalPlace } from "./WalRecord.ts"

export interface WalSpace {
  /** The last look found less than the reserve, or the journal stands still for want of space. */
  readonly low: () => boolean
  /** Looks again if enough was written since the last look. */
  readonly watch: Effect.Effect<void>
  /** Looks again; fails, naming NoSpace, where the reserve is touched. */
  readonly check: Effect.Effect<void, WalError>
  /** Removes the reserve file: its room is for the commits to come. */
  readonly giveBack: Effect.Effect<void>
  /** Looks from time to time; `wake` where a full journal may try again. Fills the reserve file while there is plenty. */
  readonly loop: (wake: () => void) => Effect.Effect<never>
}

export interface WalSpaceOptions {
  readonly disk: DiskService
  readonly folder: string
  /** Size of the reserve file; 0: none is kept. */
  readonly reserveFileBytes: number
}

const seldom = 60_000

export const makeWalSpace = ({ disk, folder, reserveFileBytes }: WalSpaceOptions, state: WalState): WalSpace => {
  const path = `${folder}/reserve`
  let freeBytes = Number.MAX_SAFE_INTEGER
  let looked: WalPlace | undefined
  /** Undefined: not known yet. */
  let heldBytes: number | undefined

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

  const low = (): boolean => freeBytes < walReserveBytes || state.phase === "Full"
  const refusal = (): WalError => new WalError({
    reason: "Disk",
    ...state.durable,
    detail: `NoSpace: ${freeBytes} bytes are free and ${walReserveBytes} are kept for deletions and seals: delete, or add space`
  })

  const giveBack = Effect.suspend(() => {
    if (reserveFileBytes === 0 || heldBytes === 0) return Effect.void
    heldBytes = 0
    probe("journal.reserveGivenBack")
    return disk.remove(path).pipe(
      Effect.andThen(Effect.logWarning("journal: the disk is full; the reserve file was removed so that deletions can go on")),
      Effect.catch((error) => error.code === "NotFound" ? Effect.void : Effect.logError(`journal: the reserve file stays: ${error.message}`))
    )
  })

  const fill = fillReserve(disk, path, reserveFileBytes).pipe(
    Effect.andThen(Effect.sync(() => { heldBytes = reserveFileBytes })),
    // Next time; it must not stand half filled, or its size would lie.
    Effect.catch((error) => Effect.andThen(giveBack, Effect.logWarning(`journal: no reserve file: ${error.message}`)))
  )

  const hasPlenty = (): boolean => freeBytes >= walReserveBytes + 2 * reserveFileBytes && state.phase === "Running"

  const loop = (wake: () => void): Effect.Effect<never> => {
    let pauseMs = walSpaceLookMs
    return Effect.forever(Effect.gen(function*() {
      yield* Effect.sleep(pauseMs)
      yield* look
      if (state.phase === "Full" && freeBytes >= walResumeBytes) {
        wake()
        // Where the disk lies about its room, each try leaves a file: try ever more seldom.
        pauseMs = Math.min(2 * pauseMs, seldom)
      } else {
        pauseMs = walSpaceLookMs
      }
      if (reserveFileBytes > 0 && heldBytes !== reserveFileBytes && hasPlenty()) yield* fill
    }))
  }

  return {
    low,
    giveBack,
    loop,
    watch: Effect.suspend(() => isDue() ? look : Effect.void),
    check: Effect.andThen(look, Effect.suspend(() => low() ? Effect.fail(refusal()) : Effect.void))
  }
}

/** Real bytes, not zeros, which some file systems do not store. One that is whole already is left alone. */
const fillReserve = (disk: DiskService, path: string, sizeBytes: number): Effect.Effect<void, DiskError> =>
  Effect.gen(function*() {
    const size = yield* Effect.scoped(Effect.flatMap(disk.open(path, "read"), (file) => file.size)).pipe(
      Effect.catch((error) => error.code === "NotFound" ? Effect.succeed(undefined) : Effect.fail(error)))
    if (size === sizeBytes) return
    if (size !== undefined) yield* disk.remove(path)
    const step = noise(Math.min(sizeBytes, walReserveFileStepBytes))
    yield* Effect.scoped(Effect.gen(function*() {
      // Past the page cache, where room is taken only once somebody writes it back. Nothing is lost where a crash loses it.
      const file = yield* disk.open(path, "create", { direct: true })
      for (let offset = 0; offset < sizeBytes; offset += step.length) {
        yield* file.write(offset, [step.subarray(0, Math.min(step.length, sizeBytes - offset))])
      }
    }))
  })

/** Bytes that do not compress: a linear congruential sequence (Numerical Recipes, 7.1). */
const noise = (sizeBytes: number): Uint8Array => {
  const words = new Uint32Array(Math.ceil(sizeBytes / 4))
  let word = 1
  for (let index = 0; index < words.length; index += 1) words[index] = word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0
  return new Uint8Array(words.buffer, 0, sizeBytes)
}
