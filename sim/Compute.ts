/**
 * Compute's twin: kernels run inline, one turn of the scheduler after they were asked; the input moves when it is
 * handed over, as to a lane: transferred buffers are detached for the caller, the rest is cloned.
 */
import { Effect, Layer } from "effect"
import { Compute, ComputeError, type ComputeService } from "../src/ports/Compute.ts"

/** `fault` names why a run fails, or undefined; `took` is how long one takes, a turn of the scheduler where nobody says. */
export const simulatedCompute = (
  lanes = 2, fault?: (kernel: string) => string | undefined, took: (kernel: string) => Effect.Effect<void> = () => Effect.yieldNow
): ComputeService => ({
  lanes,
  run: (kernel, input) =>
    Effect.suspend(() => {
      const failed = (error: unknown): ComputeError =>
        new ComputeError({ kernel: kernel.name, detail: error instanceof Error ? error.message : String(error) })
      const attempt = <A>(run: () => A) => Effect.try({ try: run, catch: failed })
      return attempt(() => structuredClone(input, { transfer: [...kernel.transfersIn(input)] })).pipe(
        Effect.tap(() => took(kernel.name)),
        Effect.flatMap((moved) =>
          attempt(() => {
            const reason = fault?.(kernel.name)
            if (reason !== undefined) throw new Error(reason)
            const output = kernel.run(moved)
            return structuredClone(output, { transfer: [...kernel.transfersOut(output)] })
          })
        )
      )
    })
})

export const layer = (lanes = 2): Layer.Layer<Compute> => Layer.succeed(Compute, simulatedCompute(lanes))
