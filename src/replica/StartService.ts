/**
 * StartService: which state a replica begins with: its own, where its log goes on from it; else one of another replica. Between what the
 * journal found of Raft's log and the slots.
 */
import { Effect } from "effect"
import type { GroupId } from "../base/ids.ts"
import { askPauseMs, askPauseMsMax } from "../base/replicaLimits.ts"
import { StateError } from "../namespace/State.ts"
import { type Configuration, membersOf, noConfiguration } from "../raft/Configuration.ts"
import type { LogIndex, ReplicaId, SnapshotPlace } from "../raft/Entry.ts"
import type { RaftJournalInterface } from "../raft/RaftJournalService.ts"
import { fetchState } from "./FetchService.ts"
import type { Peers } from "./Peers.ts"
import { indexOf } from "./ReplicaApply.ts"
import { type OpenSlot, openSlot, otherSlot, readPointer, type SlotOptions, writePointer } from "./SlotService.ts"

export interface Starting {
  readonly slots: SlotOptions
  readonly journal: RaftJournalInterface
  readonly group: GroupId
  readonly id: ReplicaId
  readonly peers: Peers
  readonly begin: SnapshotPlace | undefined
}

export interface Started {
  readonly open: OpenSlot
  readonly founding: Configuration
}

/** Fails where the disk does, or where a newer version wrote what is there. Waits for the others where only they have a state. */
export const startSlot = Effect.fnUntraced(function*(starting: Starting) {
  const { begin, group, id, journal, slots } = starting
  const { found } = yield* journal.group(group)
  const isOurs = found._tag === "Found" && found.replica === id
  const snapshot = isOurs ? found.snapshot : begin
  const last = isOurs ? found.snapshot.index + found.slots.length : 0
  const pointer = yield* readPointer(slots)
  const index = snapshot?.index ?? 0
  const slot = pointer?.slot ?? 0
  const opened = yield* Effect.result(openSlot(slots, slot, { reaches: (from) => from.offset >= index, holdsAll: (upTo) => index === 0 && upTo.offset <= last }))
  if (opened._tag === "Failure" && opened.failure.reason !== "Damaged") return yield* opened.failure
  if (opened._tag === "Success" && indexOf(opened.success.state.stamp()) >= index) {
    const started: Started = { open: opened.success, founding: pointer?.founding ?? snapshot?.configuration ?? noConfiguration }
    return started
  }
  const why = opened._tag === "Failure" ? opened.failure.detail : `its state ends at ${indexOf(opened.success.state.stamp())}, and the log begins behind ${index}`
  if (opened._tag === "Success") yield* opened.success.close
  if (snapshot === undefined) return yield* new StateError({ reason: "Damaged", detail: why })
  yield* Effect.logWarning(`replica ${id}: ${why}: a state is fetched from the others`)
  const started: Started = { open: yield* fetched(starting, otherSlot(slot), snapshot.configuration, index), founding: snapshot.configuration }
  return started
})

/** From one after the other, until one gives it. */
const fetched = Effect.fnUntraced(function*({ id, peers, slots }: Starting, slot: OpenSlot["slot"], configuration: Configuration, index: LogIndex) {
  const others = membersOf(configuration).filter((member) => member !== id)
  if (others.length === 0) return yield* new StateError({ reason: "Damaged", detail: "the state cannot be recovered, and there is no other replica that might have it: restore it from a backup" })
  for (let at = 0, pauseMs = askPauseMs;; at += 1, pauseMs = Math.min(2 * pauseMs, askPauseMsMax)) {
    const from = others[at % others.length]!
    const got = yield* Effect.result(fetchState({ options: slots, peers, from, slot, index }))
    if (got._tag === "Success") {
      yield* writePointer(slots, { slot, founding: configuration })
      return got.success
    }
    yield* Effect.logWarning(`no state from ${from}: ${got.failure.message}`)
    yield* Effect.sleep(pauseMs)
  }
})
