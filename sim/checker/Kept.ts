/**
 * Kept: what the journal calls durable is what a power cut leaves, and what a commit names is what the journal has (P1, R4, R11).
 * It sits between the steps of a node's journal, its commits as they are applied, and the disk below.
 */
import { segmentHeaderBytes, segmentName } from "../../src/wal/WalFormat.ts"
import type { Entry } from "../../src/namespace/Entry.ts"
import type { Answer, Change, ChunkArrival } from "../../src/namespace/Model.ts"
import type { WalState } from "../../src/wal/Wal.ts"
import type { WalObserver } from "../../src/wal/WalPumpService.ts"
import { comparePlaces, type WalPlace } from "../../src/wal/WalRecord.ts"
import type { RecoveryObserver } from "../../src/wal/WalRecoveryService.ts"
import { claim } from "../Violation.ts"
import type { CheckedWorld, Checker, MakeChecker } from "./Checker.ts"

const nameOf = ({ offset, segment }: WalPlace): string => `${segment}:${offset}`

/** Chunks that a change brings. */
const arrivalsOf = (change: Change): ReadonlyArray<ChunkArrival> => {
  switch (change._tag) {
    case "PutObject": case "PutPart": case "CompleteUpload":
      return change.content.arrivals
    case "StagePage": case "ChunksHealed":
      return change.arrivals
    default:
      return []
  }
}

class Kept implements Checker {
  readonly name = "kept"
  #world: CheckedWorld | undefined
  /** Of the present life. */
  #state: WalState | undefined
  /** Where this life's chunks were put. */
  readonly #appended = new Set<string>()
  /** Up to where recovery accepts its last segment. */
  #end: WalPlace | undefined
  /** What was not durable first. */
  #lost: string | undefined

  begin(world: CheckedWorld): void {
    this.#world = world
  }

  readonly #observe: WalObserver = (state, event, commands) => {
    this.#state = state
    if (event._tag === "Append") {
      for (const command of commands) if (command._tag === "Assign") for (const [index, at] of command.positions.entries()) if (event.records[index]!.kind === "Chunk") this.#appended.add(nameOf(at))
    } else if (event._tag === "Synced") this.#look("a batch that was synced", state.last.segment, state.last.offset, state.last.length)
    else if (event._tag === "SegmentOpened") this.#look("the header of a segment that was opened", event.segment, 0, segmentHeaderBytes)
  }

  readonly #observeRecovery: RecoveryObserver = (event) => {
    if (event._tag === "End" || event._tag === "TornTail") this.#end = event.end
    // A header without batches is continued from by none: the next segment names the batch before it.
    else if (event._tag === "Resynced" && this.#end !== undefined && this.#end.offset > segmentHeaderBytes) this.#look("what recovery accepts", event.segment, 0, this.#end.offset)
  }

  readonly journal = { observe: this.#observe, observeRecovery: this.#observeRecovery }

  /** Runs inside the node: what it finds is said outside. The disk of the merciless lies. */
  #look(what: string, segment: number, offset: number, length: number): void {
    if (this.#world === undefined || this.#world.merciless || this.#lost !== undefined) return
    if (!this.#world.disk().isDurable(`journal/${segmentName(segment)}`, offset, length)) this.#lost = `${what} is not durable: ${segment}:${offset}, ${length} bytes`
  }

  /** Whoever puts a chunk into the journal keeps it there until a commit names it, and names none that was lost. */
  readonly applied = ({ change, sequence }: Entry, answer: Answer): void => {
    this.#claim()
    const state = this.#state
    if (state === undefined || answer._tag === "Refused") return
    for (const { place } of arrivalsOf(change)) {
      if (place._tag !== "Journal" || !this.#appended.has(nameOf(place))) continue
      const where = `commit ${sequence} (${change._tag}) names a chunk at ${nameOf(place)} of the journal`
      const row = state.segments.get(place.segment)
      claim(row !== undefined && place.offset + place.lengthBytes <= row.durableEnd, `${where}, and nothing durable lies there`)
      const mark = state.marks.get("ingest")
      claim(mark === undefined || comparePlaces(mark, place) <= 0, `${where}, which was let go up to ${nameOf(mark ?? place)} before`)
    }
  }

  readonly heard = (): void => this.#claim()

  readonly died = (): void => {
    this.#state = undefined
    this.#end = undefined
    this.#appended.clear()
    this.#claim()
  }

  #claim(): void {
    claim(this.#lost === undefined, this.#lost ?? "")
  }
}

export const keptChecker: MakeChecker = () => new Kept()
