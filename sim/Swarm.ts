/** Swarm: many worlds, one after another or on worker threads, their reports in the order of their seeds. */
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

export interface SwarmOptions {
  readonly workers: number
  readonly next: () => Job | undefined
  /** In the order of the jobs. */
  readonly told: (result: Result) => void
}

/** Until `next` has no more. */
export const runSwarm = async ({ next, told, workers }: SwarmOptions): Promise<void> => {
  const results = new Map<number, Result>()
  let asked = 0
  let given = 0
  const tell = (index: number, result: Result): void => {
    results.set(index, result)
    for (let first = results.get(given); first !== undefined; first = results.get(given)) {
      results.delete(given)
      given += 1
      told(first)
    }
  }
  await Promise.all(Array.from({ length: workers }, () => new Promise<void>((resolve, reject) => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url))
    let index = 0
    const ask = (): void => {
      const job = next()
      if (job === undefined) return void worker.terminate().then(() => resolve(), reject)
      index = asked
      asked += 1
      worker.postMessage(job)
    }
    worker.on("message", (result: Result) => {
      tell(index, result)
      ask()
    })
    worker.on("error", reject)
    ask()
  })))
}
