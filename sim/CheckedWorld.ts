/** CheckedWorld: what checkers may know of a world's node: what it is told to be, how its clock stands, what its journal tells. Between a World and them. */
import { Context } from "effect"
import { State } from "../src/namespace/State.ts"
import type { CheckedWorld, Checker } from "./checker/Checker.ts"
import type { WorldFaults } from "./faults/WorldFaults.ts"
import type { NodeMachine } from "./NodeMachine.ts"
import type { Timeline } from "./Timeline.ts"

/** The journal's observers that look for all of these; `appended`: somebody has put chunks into it, so many, and named them nowhere. */
export const journalEyes = (checkers: ReadonlyArray<Checker>, appended: (chunks: number) => void): NonNullable<Checker["journal"]> => {
  const eyes = checkers.flatMap(({ journal }) => journal === undefined ? [] : [journal])
  return {
    observe: (state, event, commands) => {
      for (const { observe } of eyes) observe?.(state, event, commands)
      const chunks = event._tag === "Append" ? event.records.filter(({ kind }) => kind === "Chunk").length : 0
      if (chunks > 0) appended(chunks)
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
    reader: () => (node.running === undefined ? undefined : Context.get(node.running.rooms, State).reader),
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
