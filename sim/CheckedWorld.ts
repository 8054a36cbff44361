/** CheckedWorld: what checkers may know of a world's node: what it is told to be, and how its clock stands. Between a World and them. */
import type { CheckedWorld } from "./checker/Checker.ts"
import type { WorldFaults } from "./faults/WorldFaults.ts"
import type { NodeMachine } from "./NodeMachine.ts"
import type { Timeline } from "./Timeline.ts"

const dayMs = 24 * 3600 * 1000

export const checkedWorld = (node: NodeMachine, timeline: Timeline, faults: WorldFaults): CheckedWorld => {
  const { gc, retentionDays } = node.traits.settings
  return {
    merciless: faults.merciless,
    settings: { retentionMs: retentionDays * dayMs, graceMs: gc.graceMs, staleMs: gc.staleUploadMs },
    clock: () => {
      const { machine, readyOffMs, running, startedOffMs, traits: { machine: { clock: { offsetMs } } } } = node
      return {
        steadyMs: (timeline.nowUs - faults.clockSetAtUs) / 1000,
        // Which of them the node remembers, only it knows.
        movedMs: Math.min(Math.abs(offsetMs - startedOffMs), Math.abs(offsetMs - readyOffMs)),
        wallMs: machine.clock.currentTimeMillisUnsafe(),
        isServing: running !== undefined
      }
    }
  }
}
