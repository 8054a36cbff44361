/** Kernels of the compute contract, and the lane that runs them: the loop of src/node/computeLane over this table. */
import { parentPort } from "node:worker_threads"
import type { Kernel } from "../../src/ports/Compute.ts"

const plain = <I, O>(name: string, run: (input: I) => O): Kernel<I, O> => ({ name, run, transfersIn: () => [], transfersOut: () => [] })

export const increment: Kernel<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> = {
  name: "increment",
  run: (bytes) => bytes.map((byte) => byte + 1),
  transfersIn: (bytes) => [bytes.buffer],
  transfersOut: (bytes) => [bytes.buffer]
}
export const broken = plain("broken", (input: string): string => {
  throw new Error(`broken by ${input}`)
})
export const deadly = plain("deadly", (code: number): number => process.exit(code))
export const double = plain("double", (value: number) => value * 2)

/** Writes into memory that threads share. */
export const scribble = plain("scribble", (bytes: Uint8Array): number => {
  bytes.fill(9)
  return bytes.length
})

const table = new Map<string, Kernel<any, any>>([increment, broken, deadly, double, scribble].map((kernel) => [kernel.name, kernel]))

parentPort?.on("message", (job: { readonly kernel: string; readonly input: unknown }) => {
  const kernel = table.get(job.kernel)
  try {
    const output: unknown = kernel?.run(job.input)
    parentPort?.postMessage({ output }, [...(kernel?.transfersOut(output) ?? [])])
  } catch (error) {
    parentPort?.postMessage({ error: String(error) })
  }
})
