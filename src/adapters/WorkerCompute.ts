/**
 * WorkerCompute: the Compute port over worker_threads: lanes that run one kernel each, a bounded queue before them.
 * A lane that dies fails its job and is replaced. Twin: sim/Compute.
 */
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import { Effect, Layer, Semaphore } from "effect"
import { computeLaneYoungMiB, computeQueueMax, laneJobsMax } from "../base/limits.ts"
import { Compute, ComputeError, type ComputeService, type AnyKernel } from "../ports/Compute.ts"

type Answer = { readonly output: unknown } | { readonly error: string }

interface Job {
  readonly kernel: AnyKernel
  readonly input: unknown
  readonly answer: (answer: Answer) => void
}

/** `entry` is the module that lanes run (src/node/computeLane.ts); at most `lanesMax` lanes, one a core. */
export const layer = (entry: URL, lanesMax: number): Layer.Layer<Compute> =>
  Layer.effect(
    Compute,
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => new Lanes(entry, Math.max(1, Math.min(availableParallelism(), lanesMax)))),
        (lanes) => Effect.promise(() => lanes.close())
      ),
      serviceOf
    )
  )

const serviceOf = (lanes: Lanes): ComputeService => {
  // Callers past the bound wait here: backpressure instead of a growing queue.
  const places = Semaphore.makeUnsafe(lanes.count + computeQueueMax)
  return {
    lanes: lanes.count,
    run: (kernel, input) =>
      places.withPermits(1)(
        Effect.callback((resume) => {
          const job: Job = {
            kernel,
            input,
            answer: (answer) =>
              resume(
                "error" in answer
                  ? Effect.fail(new ComputeError({ kernel: kernel.name, detail: answer.error }))
                  : Effect.succeed(answer.output as never)
              )
          }
          lanes.submit(job)
          // A job that waits can be taken back; one that runs keeps its lane until it is done.
          return Effect.sync(() => lanes.cancel(job))
        })
      )
  }
}

/**
 * A job that moves no buffers may be handed to a lane while that runs another: it need not wait until this thread has seen
 * the other's answer. Where the lane dies first, another lane does it.
 */
class Lanes {
  readonly count: number
  readonly #entry: URL
  /** What each lane has in hand: the one that runs, then those that wait there, `laneJobsMax` in all. */
  readonly #lanes = new Map<Worker, Array<Job>>()
  /** In the order of their coming, urgent ones apart: they go first. */
  readonly #urgent = new Set<Job>()
  readonly #waiting = new Set<Job>()
  #closed = false

  constructor(entry: URL, count: number) {
    this.#entry = entry
    this.count = count
    for (let index = 0; index < count; index += 1) this.#start()
  }

  submit(job: Job): void {
    if (this.#closed) return job.answer({ error: "the lanes are closed" })
    const queue = job.kernel.isUrgent === true ? this.#urgent : this.#waiting
    queue.add(job)
    this.#next()
  }

  cancel(job: Job): void {
    this.#urgent.delete(job)
    this.#waiting.delete(job)
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const queue of [this.#urgent, this.#waiting]) {
      for (const job of queue) job.answer({ error: "the lanes are closed" })
      queue.clear()
    }
    await Promise.all([...this.#lanes.keys()].map((worker) => worker.terminate()))
  }

  #start(): void {
    const worker = new Worker(this.#entry, { resourceLimits: { maxYoungGenerationSizeMb: computeLaneYoungMiB } })
    this.#lanes.set(worker, [])
    let died = "the lane exited"
    worker.on("message", (answer: Answer) => {
      const done = this.#lanes.get(worker)?.shift()
      // The lanes have work before whoever waits for this answer goes on.
      this.#next()
      done?.answer(answer)
    })
    worker.on("error", (error: unknown) => (died = `the lane died: ${error instanceof Error ? error.message : String(error)}`))
    worker.on("exit", () => this.#replace(worker, died))
  }

  #replace(worker: Worker, why: string): void {
    const [job, ...begunNever] = this.#lanes.get(worker) ?? []
    this.#lanes.delete(worker)
    job?.answer({ error: why })
    for (const next of begunNever) this.submit(next)
    if (this.#closed) return
    // A lane that cannot even start must not be started forever: one that died without a job comes back on demand.
    if (job !== undefined) this.#start()
    this.#next()
  }

  /** The lane with the least to do, of those that may take this job. */
  #laneFor(moves: boolean): Worker | undefined {
    let least: Worker | undefined
    let leastJobs = moves ? 1 : laneJobsMax
    for (const [worker, jobs] of this.#lanes) {
      if (jobs.length >= leastJobs) continue
      least = worker
      leastJobs = jobs.length
    }
    return least
  }

  #next(): void {
    while (!this.#closed && this.#urgent.size + this.#waiting.size > 0) {
      if (this.#lanes.size < this.count) this.#start()
      const [job] = this.#urgent.size > 0 ? this.#urgent : this.#waiting
      const moved = [...job!.kernel.transfersIn(job!.input)]
      const worker = this.#laneFor(moved.length > 0)
      if (worker === undefined || job === undefined) return
      this.cancel(job)
      const jobs = this.#lanes.get(worker)!
      try {
        worker.postMessage({ kernel: job.kernel.name, input: job.input, moved }, moved)
        jobs.push(job)
      } catch (error) {
        // What cannot be cloned never left this thread: the lane is as free as before.
        job.answer({ error: error instanceof Error ? error.message : String(error) })
      }
    }
  }
}
