/** CheckedWorld: what checkers may know of a world's node: what it is told to be, how its clock stands, what its journal tells. Between a World and them. */
import type { CheckedWorld, Checker } from "./checker/Checker.ts"
import type { WorldFaults } from "./faults/WorldFaults.ts"
import type { NodeMachine } from "./NodeMachine.ts"
import type { Timeline } from "./Timeline.ts"

/** The journal's observers that look for all of these. */
export const journalEyes = (checkers: ReadonlyArray<Checker>): NonNullable<Checker["journal"]> => {
  const eyes = checkers.flatMap(({ journal }) => journal === undefined ? [] : [journal])
  return {
    observe: (state, event, commands) => {
      for (const { observe } of eyes) observe?.(state, event, commands)
    },
    observeRecovery: (event) => {
      for (const { observeRecovery } of eyes) observeRecovery?.(event)
    }
  }
}

const dayMs = 24 * 3600 * 1000

export const checkedWorld = (node: NodeMachine, timeline: Timeline, faults: WorldFaults): CheckedWorld => {
  const { gc, retentionDays } = node.traits.settings
  return {
    merciless: faults.merciless,
    disk: () => node.disk,
    index: () => node.index,
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
