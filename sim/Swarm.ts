/**
 * Swarm: many worlds, in one process or several, their reports in the order of their seeds. Between whoever counts worlds (main, bench,
 * test/cluster/swarm) and the processes that run them. Threads of one process share a heap's locks and compilers: worlds took 6 % longer in them.
 */
import { type ChildProcess, fork, type Serializable } from "node:child_process"
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

/** A WorldReport as it crosses processes. */
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
  /** The file of a process, which answers each job by one result (`answering`). */
  readonly worker: URL
  readonly next: () => Asked | undefined
  /** In the order of the jobs. */
  readonly told: (result: Told) => void
}

/** The process of worlds of one node. */
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
  const processes = Array.from({ length: workers }, () => fork(file, { serialization: "advanced" }))
  const work = (worker: ChildProcess): Promise<void> => new Promise((resolve, reject) => {
    let index = 0
    let isAsked = true
    const ask = (): void => {
      const job = next()
      isAsked = job !== undefined
      // Without its channel it has nothing left to wait for, and ends.
      if (job === undefined) return worker.disconnect()
      index = asked
      asked += 1
      worker.send(job as Serializable)
    }
    worker.on("message", (result) => {
      tell(index, result as Told)
      ask()
    })
    worker.on("error", reject)
    worker.on("exit", (code, signal) => (isAsked ? reject(new Error(`a process of ${file.pathname} ended in the middle of a world: ${signal ?? `exit ${code}`}`)) : resolve()))
    ask()
  })
  try {
    await Promise.all(processes.map(work))
  } finally {
    for (const worker of processes) worker.kill()
  }
}

/** What the file of a process says: how it answers a job. */
export const answering = <Asked, Told>(judge: (job: Asked) => Told): void => {
  // Where nobody is left to hear it, the next turn ends the process.
  process.on("message", (job) => void process.send?.(judge(job as Asked), undefined, undefined, () => undefined))
}
