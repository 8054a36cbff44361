/** A commit log in memory that a test may make slow, lose or fail. Between the namespace's tests and the journal. */
import { Deferred, Effect, Exit } from "effect"
import { CommitLogError, type CommitLogService, type LoggedEntry, type LogPlace } from "../../src/namespace/CommitLog.ts"

interface Pending {
  readonly entries: ReadonlyArray<LoggedEntry>
  readonly durable: Deferred.Deferred<void, CommitLogError>
}

export class MemoryLog implements CommitLogService {
  readonly durable: Array<LoggedEntry> = []
  readonly released: Array<LogPlace> = []
  appends = 0
  /** While set, appended entries wait for `sync`. */
  held = false
  /** While set, the disk is nearly full. */
  low = false
  #pending: Array<Pending> = []
  #epoch = 1
  #offset = 0

  readonly epoch = (): number => this.#epoch
  /** As small as a test wants it. */
  bytesMax = Number.MAX_SAFE_INTEGER
  readonly takes: CommitLogService["takes"] = (_, bytes) => bytes <= this.bytesMax
  readonly spaceLow = (): boolean => this.low
  readonly head = (): LogPlace => this.durable.at(-1)?.after ?? { segment: 0, offset: 0 }

  /** Waits a turn, as a full journal makes its callers wait: the epoch may move meanwhile. */
  readonly append: CommitLogService["append"] = (payloads, epoch) =>
    Effect.andThen(Effect.yieldNow, Effect.suspend(() => {
      if (epoch !== this.#epoch) return Effect.fail(new CommitLogError({ reason: "EpochMoved", detail: `epoch ${this.#epoch}` }))
      const bytes = payloads.reduce((sum, { length }) => sum + length, 0)
      if (payloads.length > 1 && !this.takes(payloads.length, bytes)) return Effect.fail(new CommitLogError({ reason: "Disk", detail: `${bytes} bytes in one append` }))
      this.appends += 1
      const entries = payloads.map((bytes): LoggedEntry => {
        this.#offset += bytes.length
        return { bytes: Uint8Array.from(bytes), after: { segment: this.#epoch, offset: this.#offset } }
      })
      const durable = Deferred.makeUnsafe<void, CommitLogError>()
      this.#pending.push({ entries, durable })
      const synced = this.held ? Deferred.await(durable) : Effect.andThen(Effect.yieldNow, Effect.andThen(Effect.sync(() => this.sync()), Deferred.await(durable)))
      return Effect.succeed({ after: entries.map(({ after }) => after), durable: synced })
    }))

  /** Entries that are appended and not durable. */
  get waiting(): number {
    return this.#pending.reduce((sum, { entries }) => sum + entries.length, 0)
  }

  sync(): void {
    for (const { entries, durable } of this.#pending.splice(0)) {
      this.durable.push(...entries)
      Deferred.doneUnsafe(durable, Exit.void)
    }
  }

  /** A failed sync: what is pending is lost, the epoch rises. */
  lose(): void {
    this.#epoch += 1
    this.#offset = 0
    for (const { durable } of this.#pending.splice(0)) {
      Deferred.doneUnsafe(durable, Exit.fail(new CommitLogError({ reason: "Lost", detail: "the sync failed" })))
    }
  }

  readonly replay: CommitLogService["replay"] = (from, visit) =>
    Effect.forEach(
      this.durable.filter(({ after }) => after.segment > from.segment || (after.segment === from.segment && after.offset > from.offset)),
      visit, { discard: true }
    )

  readonly release: CommitLogService["release"] = (keepFrom) => Effect.sync(() => void this.released.push(keepFrom))
}
