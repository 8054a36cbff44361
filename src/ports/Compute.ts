/**
 * Compute: runs pure kernels, on worker threads in production, inline in the simulator.
 *
 * A kernel is a named pure function from structured-cloneable input to output. Buffers named by `transfers` move to the
 * lane and are unusable for the caller afterwards, also inline (the twin poisons them), so that both behave alike.
 * Memory that threads share (base/PageSlots) is neither moved nor copied: the kernel works in it, and the caller must leave
 * it alone until the kernel has answered, and for ever where it was interrupted before. What comes back names such memory
 * by another object: the caller uses its own.
 * Adapters: adapters/WorkerCompute, adapters/InlineCompute. Twin: sim/Compute. All pass test/contract/compute.
 */
import { Context, Data, type Effect } from "effect"

export class ComputeError extends Data.TaggedError("ComputeError")<{
  readonly kernel: string
  readonly detail: string
}> {
  override get message(): string {
    return `compute: ${this.kernel}: ${this.detail}`
  }
}

export interface Kernel<Input, Output> {
  readonly name: string
  /** Others wait for what it answers: it goes before kernels that are not. */
  readonly isUrgent?: boolean
  readonly run: (input: Input) => Output
  /** The buffers of an input that move to the lane. */
  readonly transfersIn: (input: Input) => ReadonlyArray<ArrayBuffer>
  /** The buffers of an output that move back. */
  readonly transfersOut: (output: Output) => ReadonlyArray<ArrayBuffer>
}

/** One of a table: whoever runs it has checked its name, and the caller its types. */
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyKernel = Kernel<any, any>

export interface ComputeService {
  /** How many kernels run side by side. */
  readonly lanes: number
  /** ComputeError: the lane died or the kernel threw. */
  readonly run: <Input, Output>(kernel: Kernel<Input, Output>, input: Input) => Effect.Effect<Output, ComputeError>
}

export class Compute extends Context.Service<Compute, ComputeService>()("ouroborosdb/ports/Compute") {}
