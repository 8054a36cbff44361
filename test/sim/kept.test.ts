/** Kept in whole worlds: silent over a journal that does right, and heard where it is told of another one. */
import { describe, expect, test } from "vitest"
import type { WalState } from "../../src/wal/Wal.ts"
import { checkers } from "../../sim/Catalogue.ts"
import { keptChecker } from "../../sim/checker/Kept.ts"
import { honestWorldOf, type Lie, lying, worldOf } from "./lyingJournal.ts"

const changed = (change: (state: WalState) => WalState): Lie => ({ observe: (tell) => (state, event, commands) => tell(change(state), event, commands) })

const lies: ReadonlyArray<readonly [what: string, lie: Lie, heard: RegExp]> = [
  ["a batch counts as synced when it is written", { observe: (tell) => (state, event, commands) => {
    const { inFlight, last } = state
    if (event._tag === "Written" && inFlight !== undefined) tell({ ...state, last: { ...last, segment: inFlight.segment, offset: inFlight.offset, length: 4096 } }, { _tag: "Synced" }, [])
    tell(state, event, commands)
  } }, /^a batch that was synced is not durable: \d+:\d+, 4096 bytes$/],
  ["recovery accepts more than there is", { observeRecovery: (tell) => (event) =>
    tell(event._tag === "End" ? { ...event, end: { ...event.end, offset: event.end.offset + 1_000_000 } } : event)
  }, /^what recovery accepts is not durable/],
  ["the journal is let go as soon as it is durable", changed((state) => ({ ...state, marks: new Map([["ingest", { segment: state.durable.segment + 1, offset: 0 }]]) })),
    /^commit \d+ \(\w+\) names a chunk at \d+:\d+ of the journal, which was let go up to \d+:0 before$/],
  ["nothing that was appended is durable", changed((state) => ({ ...state, segments: new Map() })), /names a chunk at \d+:\d+ of the journal, and nothing durable lies there$/]
]

describe("what the journal keeps", () => {
  test("is looked at in every world, and kept", { timeout: 120_000 }, () => {
    expect(checkers).toContain(keptChecker)
    const { told, violation } = honestWorldOf(keptChecker)
    expect(violation).toBeUndefined()
    expect(told).toBeGreaterThan(100)
  })

  test.each(lies)("%s: heard", { timeout: 120_000 }, (_, lie, heard) => {
    expect(worldOf(lying(keptChecker, lie)).violation?.message).toMatch(heard)
  })
})
