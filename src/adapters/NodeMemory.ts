/** NodeMemory: the Memory port over this process: resident memory, beside what machine and control group allow. */
import { totalmem } from "node:os"
import type { MemoryGauge } from "../ports/Memory.ts"

/** `limitBytes`: less than the machine has, as an operator says. */
export const nodeMemory = (limitBytes: number = Number.MAX_SAFE_INTEGER): MemoryGauge => {
  // 0, or more than there is, where no control group sets a limit.
  const constrained = process.constrainedMemory()
  const most = Math.min(limitBytes, totalmem(), constrained > 0 ? constrained : Number.MAX_SAFE_INTEGER)
  return () => ({ residentBytes: process.memoryUsage.rss(), limitBytes: most })
}
