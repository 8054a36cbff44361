/**
 * RaftWatch: the monitor over the replicas of a world, whoever runs them: every step of theirs is judged as it is made. Between RaftService's
 * eyes (`began`, `observe`) and spec/RaftMonitor.ts. How far the state on a disk stands it learns when that matters: when a log is let go for it, and when a life begins on it.
 */
import { RaftRecorder } from "../../sim/RaftRecorder.ts"
import { RaftMonitor } from "../../spec/RaftMonitor.ts"
import type { LogIndex, ReplicaId, SnapshotPlace } from "../../src/raft/Entry.ts"
import { invariants } from "../../src/raft/RaftInvariants.ts"
import type { RaftRunOptions } from "../../src/raft/RaftService.ts"

type Eyes = Required<Pick<RaftRunOptions<unknown>, "began" | "observe">>

export class RaftWatch implements Eyes {
  /** What the first broken rule was: nothing is judged from there on. */
  problem: string | undefined
  readonly #monitor = new RaftMonitor(true, true)
  readonly #recorder = new RaftRecorder((step) => this.#monitor.step(step))
  /** How far each state is known to stand. */
  readonly #saved = new Map<ReplicaId, LogIndex>()

  get steps(): number {
    return this.#monitor.steps
  }

  readonly began: Eyes["began"] = (state, found) => this.#guarded(() => {
    if (this.#saved.has(state.id)) this.#stands(state.id, found.applied)
    this.#recorder.started(state, found)
    this.#saved.set(state.id, found.applied.index)
  })

  readonly observe: Eyes["observe"] = (state, event, commands) => {
    invariants(state)
    this.#guarded(() => {
      if (event._tag === "Compact") this.#stands(state.id, state.log.snapshot)
      this.#recorder.stepped(state, event, commands)
      if (event._tag === "SnapshotInstalled") this.#saved.set(state.id, Math.max(event.snapshot.index, this.#saved.get(state.id) ?? 0))
    })
  }

  #stands(id: ReplicaId, place: SnapshotPlace): void {
    if (place.index <= (this.#saved.get(id) ?? 0)) return
    this.#recorder.saved(id, place)
    this.#saved.set(id, place.index)
  }

  #guarded(judge: () => void): void {
    if (this.problem !== undefined) return
    try {
      judge()
    } catch (error) {
      this.problem = `consensus: ${error instanceof Error ? error.stack : String(error)}`
    }
  }
}
