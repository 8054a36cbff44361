/**
 * NodeHealth: the checks that every node has: its folder takes writes, its disk has room, its journal runs, its queues
 * move. Sits between the rooms, the Disk port and the HealthBoard. What a check needs the disk for is looked at on a
 * schedule, never by a request.
 */
import { Clock, Effect, type Scope } from "effect"
import { Allowances, type AllowancesService } from "../allowance.ts"
import { degraded, failed, type Finding, type HealthBoard, sound } from "../base/HealthBoard.ts"
import { healthProbeLateMs, healthProbeMs, overlayRowsStop, walQueueBytesMax, walReserveBytes } from "../base/limits.ts"
import type { Meters } from "../base/Meters.ts"
import { Gc, type GcService } from "../gc.ts"
import { Namespace, type NamespaceService } from "../namespace/Namespace.ts"
import { State, type StateService } from "../namespace/State.ts"
import { Disk, type DiskService } from "../ports/Disk.ts"
import { watched } from "../ports/Health.ts"
import { Retention, type RetentionService } from "../retention.ts"
import { Settle, type SettleService } from "../settle.ts"
import { Wal, type WalInterface } from "../wal/WalService.ts"

/** Written, synced and removed again; what a crash leaves of it goes with the next probe. */
export const probeFile = "probe"

interface Probe {
  freeBytes: number | undefined
  /** Of the last probe that ended. */
  problem: string | undefined
  /** Of a probe that has not ended. */
  sinceMs: number | undefined
}

/** From now on, and until the scope closes, the folder is probed every healthProbeMs; returns after the first probe. */
export const watchFolder = (board: HealthBoard, meters: Meters): Effect.Effect<void, never, Disk | Scope.Scope> =>
  Effect.gen(function* () {
    const disk = yield* Disk
    const clock = yield* Clock.Clock
    const probe: Probe = { freeBytes: undefined, problem: undefined, sinceMs: undefined }
    yield* probeOnce(disk, clock, probe)
    yield* Effect.forkScoped(watched("probing the folder", Effect.forever(Effect.andThen(Effect.sleep(healthProbeMs), probeOnce(disk, clock, probe)))))
    board.check("folder", () => folderFinding(probe, clock.currentTimeMillisUnsafe()))
    board.check("disk space", () => spaceFinding(probe.freeBytes))
    meters.gauge("ouroboros_disk_free_bytes", "Free space of the data folder's file system.", () => probe.freeBytes)
  })

const probeOnce = (disk: DiskService, clock: Clock.Clock, probe: Probe): Effect.Effect<void> =>
  Effect.gen(function* () {
    probe.sinceMs = clock.currentTimeMillisUnsafe()
    probe.freeBytes = yield* disk.freeBytes
    yield* disk.remove(probeFile).pipe(Effect.catchIf((error) => error.code === "NotFound", () => Effect.void))
    yield* Effect.scoped(Effect.flatMap(disk.open(probeFile, "create"), (file) => Effect.andThen(file.write(0, [new Uint8Array([1])]), file.sync)))
    yield* disk.remove(probeFile)
  }).pipe(
    Effect.matchEffect({
      onSuccess: () => Effect.sync(() => { probe.problem = undefined }),
      onFailure: (error) => {
        // A full disk is another check's word.
        const problem = error.code === "NoSpace" ? undefined : error.message
        const isNew = problem !== undefined && probe.problem === undefined
        probe.problem = problem
        return isNew ? Effect.logError(`the data folder takes no writes: ${problem}`) : Effect.void
      }
    }),
    Effect.ensuring(Effect.sync(() => { probe.sinceMs = undefined }))
  )

const folderFinding = ({ problem, sinceMs }: Probe, nowMs: number): Finding => {
  if (problem !== undefined) return failed(`takes no writes: ${problem}`)
  const lateMs = sinceMs === undefined ? 0 : nowMs - sinceMs
  return lateMs > healthProbeLateMs ? failed(`a small write has not ended for ${Math.round(lateMs / 1000)} s`) : sound("takes writes")
}

const mebibytes = (bytes: number): string => `${Math.floor(bytes / 2 ** 20)} MiB`

const spaceFinding = (freeBytes: number | undefined): Finding => {
  if (freeBytes === undefined) return degraded("free space is not known")
  return freeBytes < walReserveBytes
    ? degraded(`${mebibytes(freeBytes)} are free, below the reserve of ${mebibytes(walReserveBytes)}: new data is refused, reads and deletes are served`)
    : sound(`${mebibytes(freeBytes)} are free`)
}

/** Posted once the rooms are up. */
export const checkRooms = (board: HealthBoard): Effect.Effect<void, never, Wal | Namespace | State | Settle | Gc | Retention | Allowances> =>
  Effect.gen(function* () {
    const wal = yield* Wal
    const state = yield* State
    const settle = yield* Settle
    const retention = yield* Retention
    const namespace = yield* Namespace
    board.check("journal", () => journalFinding(wal, namespace))
    const allowances = yield* Allowances
    board.check("index", () => indexFinding(state))
    board.check("queues", () => queueFinding(wal, state, allowances))
    board.check("sealing", () => settleFinding(settle))
    const gc = yield* Gc
    board.check("collection", () => gcFinding(gc))
    board.check("history", () => historyFinding(retention))
  })

/** A member reads behind what the others commit, which its journal has to take first: without room it serves nothing, and load is to go to another. */
export const journalFinding = (wal: Pick<WalInterface, "status">, { quorum }: Pick<NamespaceService, "quorum">): Finding => {
  const { phase, failure } = wal.status()
  if (phase === "Full" && quorum !== undefined) return failed("has no room on the disk: what other members commit is not taken, and nothing is served, until there is some")
  if (phase === "Full") return degraded("has no room on the disk: writes are refused until there is some")
  return phase === "Failed" ? failed(`takes no writes: ${failure ?? "unknown"}; restart the node`) : sound(`takes writes (${phase})`)
}

const indexFinding = (state: StateService): Finding => {
  const damage = state.indexDamage()
  return damage === undefined ? sound("no damage is known")
    : degraded(`${damage.detail}: restart the node; until then what lies under it is refused, and no checkpoint is written`)
}

const queueFinding = (wal: WalInterface, state: StateService, allowances: AllowancesService): Finding => {
  const { queuedBytes } = wal.status()
  const { rows } = state.overlay()
  const requests = allowances.requests.status()
  const detail = `${requests.used} of ${requests.total} requests are under way, ${requests.waiting} wait; ` +
    `${mebibytes(queuedBytes)} of ${mebibytes(walQueueBytesMax)} wait for the journal, ${rows} of ${overlayRowsStop} rows for a checkpoint`
  if (requests.waiting > 0) return degraded(`${detail}: requests wait`)
  return queuedBytes >= walQueueBytesMax || rows >= overlayRowsStop ? degraded(`${detail}: writes wait`) : sound(detail)
}

const settleFinding = (settle: SettleService): Finding => {
  const { damaged, lastError } = settle.status()
  if (lastError !== undefined) return degraded(`fails and is tried again: ${lastError}`)
  return damaged.length > 0 ? degraded(`${damaged.length} chunks in the journal are damaged and not sealed`) : sound("moves")
}

const gcFinding = (gc: GcService): Finding => {
  const { lastError } = gc.status()
  return lastError === undefined ? sound("moves") : degraded(`fails and is tried again: ${lastError}`)
}

const historyFinding = (retention: RetentionService): Finding => {
  const { suspended, lastError } = retention.status()
  const why = suspended ?? lastError
  return why === undefined ? sound("the horizon moves") : degraded(`kept beyond its days: ${why}`)
}
