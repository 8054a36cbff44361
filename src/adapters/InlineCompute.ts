/** InlineCompute: the Compute port on the calling thread: for the command line and for machines with one core. */
import { Effect, Layer } from "effect"
import { Compute, ComputeError, type ComputeService } from "../ports/Compute.ts"

/** structuredClone with transfers gives the kernel the same view as a lane would, and takes the buffers from the caller. */
export const service: ComputeService = {
  lanes: 1,
  run: (kernel, input) =>
    Effect.try({
      try: () => {
        const moved = structuredClone(input, { transfer: [...kernel.transfersIn(input)] })
        const output = kernel.run(moved)
        return structuredClone(output, { transfer: [...kernel.transfersOut(output)] })
      },
      catch: (error) => new ComputeError({ kernel: kernel.name, detail: error instanceof Error ? error.message : String(error) })
    })
}

export const layer: Layer.Layer<Compute> = Layer.succeed(Compute, service)
