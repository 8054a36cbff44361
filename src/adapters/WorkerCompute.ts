/**
 * WorkerCompute: the Compute port over worker_threads: lanes that run one kernel each, a bounded queue before them.
 * A lane that dies fails its job and is replaced. Twin: sim/Compute.
 */
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import { Effect, Layer, Semaphore } from "effect"
import { computeLaneYoungMiB, computeQueueMax } from "../base/limits.ts"
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

class Lanes {
  readonly count: number
  readonly #entry: URL
  readonly #all = new Set<Worker>()
  readonly #idle: Array<Worker> = []
  readonly #running = new Map<Worker, Job>()
  readonly #waiting = new Set<Job>()
  #closed = false

  constructor(entry: URL, count: number) {
    this.#entry = entry
    this.count = count
    for (let index = 0; index < count; index += 1) this.#idle.push(this.#start())
  }

  submit(job: Job): void {
    if (this.#closed) return job.answer({ error: "the lanes are closed" })
    this.#waiting.add(job)
    this.#next()
  }

  cancel(job: Job): void {
    this.#waiting.delete(job)
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const job of this.#waiting) job.answer({ error: "the lanes are closed" })
    this.#waiting.clear()
    await Promise.all([...this.#all].map((worker) => worker.terminate()))
  }

  #start(): Worker {
    const worker = new Worker(this.#entry, { resourceLimits: { maxYoungGenerationSizeMb: computeLaneYoungMiB } })
    this.#all.add(worker)
    let died = "the lane exited"
    worker.on("message", (answer: Answer) => {
      this.#running.get(worker)?.answer(answer)
      this.#running.delete(worker)
      this.#idle.push(worker)
      this.#next()
    })
    worker.on("error", (error: unknown) => (died = `the lane died: ${error instanceof Error ? error.message : String(error)}`))
    worker.on("exit", () => this.#replace(worker, died))
    return worker
  }

  #replace(worker: Worker, why: string): void {
    this.#all.delete(worker)
    const job = this.#running.get(worker)
    this.#running.delete(worker)
    job?.answer({ error: why })
    const idleAt = this.#idle.indexOf(worker)
    if (idleAt >= 0) this.#idle.splice(idleAt, 1)
    if (this.#closed) return
    // A lane that cannot even start must not be started forever: one that died without a job comes back on demand.
    if (job !== undefined) this.#idle.push(this.#start())
    this.#next()
  }

  #next(): void {
    while (!this.#closed && this.#waiting.size > 0) {
      if (this.#idle.length === 0 && this.#all.size < this.count) this.#idle.push(this.#start())
      const worker = this.#idle.pop()
      const [job] = this.#waiting
      if (worker === undefined || job === undefined) return
      this.#waiting.delete(job)
      this.#running.set(worker, job)
      try {
        const moved = [...job.kernel.transfersIn(job.input)]
        worker.postMessage({ kernel: job.kernel.name, input: job.input, moved }, moved)
      } catch (error) {
        // What cannot be cloned never left this thread: the lane is as free as before.
        this.#running.delete(worker)
        this.#idle.push(worker)
        job.answer({ error: error instanceof Error ? error.message : String(error) })
      }
    }
  }
}
