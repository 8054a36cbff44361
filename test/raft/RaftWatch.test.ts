/** The monitor over running replicas: it sees what they do, and says so where that is told otherwise than it was. */
import { expect, it } from "vitest"
import type { RaftCommand } from "../../src/raft/RaftState.ts"
import { smallSizes } from "../wal/scene.ts"
import { create, put } from "../namespace/store.ts"
import { Scene } from "../replica/ReplicaScene.ts"
import { RaftWatch } from "./RaftWatch.ts"

/** Three replicas that agree on something, watched by one who is told of other commands than there were. */
const watched = (lie: (command: RaftCommand) => RaftCommand): RaftWatch => {
  const watch = new RaftWatch()
  const { observe } = watch
  Object.assign(watch, { observe: ((state, event, commands) => observe(state, event, commands.map(lie))) satisfies RaftWatch["observe"] })
  const scene = new Scene(1, undefined, smallSizes, watch)
  scene.at(scene.a, ({ namespace }) => namespace.propose(create("b", 1)))
  scene.at(scene.b, ({ namespace }) => namespace.propose(put("b", "k", "v")))
  return watch
}

it("replicas are watched: every step of theirs is judged", () => {
  const { problem, steps } = watched((command) => command)
  expect(problem).toBeUndefined()
  expect(steps).toBeGreaterThan(30)
})

it("replicas are watched: who writes less than he says, or says more than he wrote, is named", () => {
  expect(() => watched((command) => (command._tag === "Persist" ? { ...command, entries: [] } : command))).toThrow(/consensus: Error: \w+: /)
  expect(() => watched((command) => (command._tag === "Persist" && command.hardState !== undefined ? { ...command, hardState: { ...command.hardState, vote: undefined } } : command))).toThrow(/PromisesAreDurable/)
  const further = (command: RaftCommand): RaftCommand => (command._tag === "Send" && command.message.body._tag === "Appended"
    ? { ...command, message: { ...command.message, body: { ...command.message.body, match: command.message.body.match + 1 } } } : command)
  expect(() => watched(further)).toThrow(/consensus: Error: /)
})
