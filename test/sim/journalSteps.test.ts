/** The journal's monitor in whole worlds: silent over a journal that does right, and heard wherever its steps are told as others than they were. */
import { describe, expect, test } from "vitest"
import { checkers } from "../../sim/Catalogue.ts"
import { journalStepsChecker } from "../../sim/checker/JournalSteps.ts"
import { honestWorldOf, type Lie, lying, worldOf } from "./lyingJournal.ts"

const lies: ReadonlyArray<readonly [what: string, lie: Lie, heard: RegExp]> = [
  ["a sync is not told of", { observe: (tell) => {
    let syncs = 0
    return (state, event, commands) => event._tag === "Synced" && syncs++ === 5 ? undefined : tell(state, event, commands)
  } }, /^the journal's step \d+ is none of its model: \w+: /],
  ["a batch is acknowledged before its sync", { observe: (tell) => (state, event, commands) => {
    if (event._tag === "Written") tell(state, { _tag: "Synced" }, commands)
    tell(state, event, commands)
  } }, /is none of its model: Synced: no batch is being synced/],
  ["acknowledged are more tickets than there are records for", { observe: (tell) => (state, event, commands) =>
    tell(state, event, commands.map((command) => command._tag === "Acknowledge" ? { ...command, tickets: [...command.tickets, 1_000_000] } : command))
  }, /is none of its model: Synced: the tickets whose last record it has are/],
  ["recovery accepts a batch less", { observeRecovery: (tell) => {
    let accepted = 0
    return (event) => event._tag === "Accept" && accepted++ === 0 ? undefined : tell(event)
  } }, /is none of its model: (Accept|End|TornTail): /],
  ["a start is not told of", { observeRecovery: (tell) => {
    let surveys = 0
    return (event) => event._tag === "Survey" && surveys++ === 1 ? undefined : tell(event)
  } }, /is none of its model: /]
]

describe("the journal's steps in a world", () => {
  test("are judged in every world, and those that were taken are steps of the model", { timeout: 120_000 }, () => {
    expect(checkers).toContain(journalStepsChecker)
    const { told, violation } = honestWorldOf(journalStepsChecker)
    expect(violation).toBeUndefined()
    expect(told).toBeGreaterThan(100)
  })

  for (const [what, lie, heard] of lies) {
    test(`${what}: heard`, { timeout: 120_000 }, () => {
      const { violation } = worldOf(lying(journalStepsChecker, lie))
      expect(violation?.kind).toBe("safety")
      expect(violation?.message).toMatch(heard)
    })
  }

  test("are not judged where the journal's files are harmed, which is no step of it", { timeout: 120_000 }, () => {
    expect(worldOf(lying(journalStepsChecker, lies[0]![1]), true).violation).toBeUndefined()
  })
})
