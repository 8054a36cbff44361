/** ComputeLane: the module that a worker thread of adapters/WorkerCompute runs: a job in, its output or its error back. */
import { parentPort } from "node:worker_threads"
import { kernels } from "./kernels.ts"

const table = new Map(kernels.map((kernel) => [kernel.name, kernel]))

/** `moved`: the buffers of `input` that are the lane's now; what does not move on with the output is given back at once. */
interface LaneJob {
  readonly kernel: string
  readonly input: unknown
  readonly moved: ReadonlyArray<ArrayBuffer>
}

parentPort?.on("message", (job: LaneJob) => {
  try {
    const kernel = table.get(job.kernel)
    if (kernel === undefined) throw new Error(`no kernel of this name: add it to src/node/kernels.ts`)
    const output: unknown = kernel.run(job.input)
    parentPort?.postMessage({ output }, [...kernel.transfersOut(output)])
    for (const buffer of job.moved) if (!buffer.detached) buffer.transfer(0)
  } catch (error) {
    parentPort?.postMessage({ error: error instanceof Error ? error.message : String(error) })
  }
})
