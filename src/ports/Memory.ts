/**
 * Memory: how much this process holds of what it may hold. It sits between the machine and whoever can do with less.
 * Where no node has provided any (tests, tools), there is always enough.
 */
import { Context } from "effect"

export interface MemoryUse {
  readonly residentBytes: number
  /** What the process may hold: the machine's memory, or its control group's. */
  readonly limitBytes: number
}

export type MemoryGauge = () => MemoryUse

export const Memory = Context.Reference<MemoryGauge>("ouroborosdb/ports/Memory", {
  defaultValue: () => () => ({ residentBytes: 0, limitBytes: Number.MAX_SAFE_INTEGER })
})
