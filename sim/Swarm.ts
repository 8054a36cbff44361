/** Swarm: many worlds, on one worker thread or several, their reports in the order of their seeds. Between whoever counts worlds (main, bench, test/cluster/swarm) and the threads that run them. */
import { Worker } from "node:worker_threads"
import type { ProfileName } from "./Profile.ts"
import type { Shrunken } from "./ShrinkWorld.ts"
import type { ViolationKind } from "./Violation.ts"

export interface Job {
  readonly seed: number
  readonly profile: ProfileName
  /** Each seed runs twice, and both must be the same. */
  readonly twice: boolean
  readonly keepsTrace: boolean
  /** Workloads by name; absent: what the seed draws. */
  readonly only?: ReadonlyArray<string>
  readonly merciless?: boolean
  readonly strikes?: ReadonlyArray<number>
  readonly operations?: number
  /** Of what goes wrong, the few things that the failure takes are looked for. */
  readonly shrinks?: boolean
}

/** A WorldReport as it crosses threads. */
export interface Result {
  readonly seed: number
  readonly profile: ProfileName
  readonly trace: string
  readonly workloads: ReadonlyArray<string>
  readonly simulatedMs: number
  readonly realMs: number
  readonly operations: number
  readonly crashes: number
  readonly lives: number
  readonly events: number
  readonly faults: Readonly<Record<string, number>>
  readonly probes: Readonly<Record<string, number>>
  readonly violation: { readonly kind: ViolationKind; readonly what: string } | undefined
  readonly story: ReadonlyArray<string>
  readonly shrunk: Shrunken | undefined
}

export interface SwarmOptions<Asked, Told> {
  readonly workers: number
  /** The file of a thread, which answers each job by one result. */
  readonly worker: URL
  readonly next: () => Asked | undefined
  /** In the order of the jobs. */
  readonly told: (result: Told) => void
}

/** The thread of worlds of one node. */
export const nodeWorker = new URL("./worker.ts", import.meta.url)

/** Until `next` has no more. */
export const runSwarm = async <Asked, Told>({ next, told, worker: file, workers }: SwarmOptions<Asked, Told>): Promise<void> => {
  const results = new Map<number, Told>()
  let asked = 0
  let given = 0
  const tell = (index: number, result: Told): void => {
    results.set(index, result)
    for (let first = results.get(given); first !== undefined; first = results.get(given)) {
      results.delete(given)
      given += 1
      told(first)
    }
  }
  await Promise.all(Array.from({ length: workers }, () => new Promise<void>((resolve, reject) => {
    const worker = new Worker(file)
    let index = 0
    const ask = (): void => {
      const job = next()
      if (job === undefined) return void worker.terminate().then(() => resolve(), reject)
      index = asked
      asked += 1
      worker.postMessage(job)
    }
    worker.on("message", (result: Told) => {
      tell(index, result)
      ask()
    })
    worker.on("error", reject)
    ask()
  })))
}
