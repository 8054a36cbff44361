/**
 * Housework: what the store does of itself is due: the horizon is raised as far as retention says and no further, chunks are
 * freed once their grace is over, uploads are aborted when nobody went on with them, and what has expired is hidden (R5, R6).
 * It sits between the commits of a node as they are applied and what its settings and its clocks say.
 */
import { Clock, Effect } from "effect"
import { clockDriftMsMax } from "../../src/base/limits.ts"
import { millisOf } from "../../src/base/time.ts"
import { Expiry } from "../../src/expiry.ts"
import type { Entry } from "../../src/namespace/Entry.ts"
import type { Answer, Change } from "../../src/namespace/Model.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { Retention } from "../../src/retention.ts"
import type { Outcome, Request } from "../Client.ts"
import { claim } from "../Violation.ts"
import { type AtRest, type CheckedWorld, type Checker, type MakeChecker, steadyMsMin } from "./Checker.ts"

type Of<T extends Change["_tag"]> = Extract<Change, { readonly _tag: T }>

const isGcNow = ({ path, query = {}, to }: Request): boolean => to === "admin" && path === "/v1/gc" && "now" in query

class Housework implements Checker {
  readonly name = "housework"
  #world: CheckedWorld | undefined
  /** Milliseconds of each commit. */
  readonly #times: Array<number> = [0]
  /** When each upload was begun, and got its parts. */
  readonly #uploads = new Map<string, Array<number>>()
  /** Collections under way that wait for no grace. */
  readonly #impatient = new Set<Request>()
  /** Those of which nobody will hear any more. */
  readonly #unheard = new Set<Request>()
  #isAtRest = false

  begin(world: CheckedWorld): void {
    this.#world = world
  }

  readonly sent = (request: Request): void => {
    if (isGcNow(request)) this.#impatient.add(request)
  }

  readonly heard = (request: Request, outcome: Outcome): void => {
    // Where the connection is gone the collection may go on, as long as its process does.
    if (outcome._tag !== "Unknown") this.#impatient.delete(request)
    else if (this.#impatient.has(request)) this.#unheard.add(request)
  }

  /** What is still on the wire reaches the next process. */
  readonly died = (): void => {
    for (const request of this.#unheard) this.#impatient.delete(request)
    this.#unheard.clear()
  }

  readonly applied = (entry: Entry, answer: Answer): void => {
    const { change, sequence, time } = entry
    const isNew = sequence === this.#times.length
    if (!isNew) return
    this.#times.push(millisOf(time))
    const atMs = millisOf(time)
    if (change._tag === "CreateUpload" || change._tag === "PutPart") {
      if (answer._tag === "Refused") return
      const seen = this.#uploads.get(change.upload) ?? []
      this.#uploads.set(change.upload, [...seen, atMs])
    }
    const world = this.#world
    // What a replay brings was decided in another life.
    if (world === undefined || world.merciless || !world.clock().isServing) return
    if (change._tag === "RaiseHorizon") this.#raised(world, change, atMs)
    else if (change._tag === "ExpireVersions") this.#hidden(world)
    else if (change._tag === "FreeChunks") this.#freed(world, change, atMs)
    else if (change._tag === "AbortStaleUpload" && answer._tag === "Collected" && answer.items > 0) this.#aborted(world, change, atMs)
  }

  #raised({ clock, settings }: CheckedWorld, { oldestReadable }: Of<"RaiseHorizon">, atMs: number): void {
    // It keeps a time that was read, and raises nothing.
    if (oldestReadable === 0) return
    const { movedMs, steadyMs } = clock()
    if (steadyMs < steadyMsMin) return
    const horizonMs = this.#times[oldestReadable] ?? atMs
    const { retentionMs } = settings
    claim(horizonMs <= atMs - retentionMs, `the horizon is raised to commit ${oldestReadable}, ${atMs - horizonMs} ms old, and ${retentionMs} ms are to be kept`)
    claim(movedMs <= clockDriftMsMax, `the horizon is raised to commit ${oldestReadable} by a clock that has moved by ${movedMs} ms since the start`)
  }

  #hidden({ clock }: CheckedWorld): void {
    const { movedMs, steadyMs } = clock()
    claim(steadyMs < steadyMsMin || movedMs <= clockDriftMsMax, `what has expired is hidden by a clock that has moved by ${movedMs} ms since the start`)
  }

  #freed({ clock, settings }: CheckedWorld, { chunks }: Of<"FreeChunks">, atMs: number): void {
    if (this.#isAtRest || this.#impatient.size > 0 || clock().steadyMs < steadyMsMin) return
    for (const { condemnedAt } of chunks) {
      const ageMs = atMs - (this.#times[condemnedAt] ?? atMs)
      claim(ageMs >= settings.graceMs, `a chunk is freed that was condemned ${ageMs} ms ago, at commit ${condemnedAt}, and the grace is ${settings.graceMs} ms`)
    }
  }

  #aborted({ clock, settings }: CheckedWorld, { upload }: Of<"AbortStaleUpload">, atMs: number): void {
    if (clock().steadyMs < steadyMsMin) return
    const { staleMs } = settings
    const lastMs = Math.max(...(this.#uploads.get(upload) ?? [atMs]))
    claim(staleMs > 0 && atMs - lastMs >= staleMs, `the store aborts an upload that was gone on with ${atMs - lastMs} ms ago; stale is one after ${staleMs} ms`)
  }

  /** What has expired by now is hidden, unless times say that a clock was ahead. */
  readonly atRest = ({ merciless }: AtRest) =>
    Effect.gen({ self: this }, function*() {
      this.#isAtRest = true
      if (merciless) return
      const namespace = yield* Namespace
      yield* (yield* Expiry).expireNow
      const nowMs = yield* Clock.currentTimeMillis
      const sinceMs = namespace.expiringSince()
      const isSuspended = (yield* (yield* Retention).clockJumped) || millisOf(namespace.head().time) - nowMs > clockDriftMsMax
      claim(sinceMs === undefined || sinceMs > nowMs || isSuspended, `what expired ${nowMs - (sinceMs ?? nowMs)} ms ago is not hidden`)
    })

  readonly later = this.atRest
}

export const houseworkChecker: MakeChecker = () => new Housework()
