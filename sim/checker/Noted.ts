/**
 * Noted: bytes of blocks that are nobody's are noted, each of them and no others (P5): whoever collects finds by these notes
 * what is sparse. It sits between the commits of a node as they are applied and its rows. What was told to lie in a block, by an
 * upload or by whoever moved it there, is somebody's or noted, from the very commit on that makes it so.
 */
import type { BlockId } from "../../src/base/ids.ts"
import type { Entry } from "../../src/namespace/Entry.ts"
import type { Answer, Change, CopyPlace } from "../../src/namespace/Model.ts"
import { blockUse } from "../../src/namespace/QueryGarbage.ts"
import { deadKey } from "../../src/namespace/Rows.ts"
import { deadRow } from "../../src/namespace/RowsValue.ts"
import { StateError, type StateReader } from "../../src/namespace/State.ts"
import { claim } from "../Violation.ts"
import type { CheckedWorld, Checker, MakeChecker } from "./Checker.ts"

/** Where a change says that chunks lie from now on. */
const placesOf = (change: Change): ReadonlyArray<CopyPlace> => {
  switch (change._tag) {
    case "PutObject": case "PutPart": case "CompleteUpload":
      return change.content.arrivals.map(({ place }) => place)
    case "StagePage": case "ChunksHealed":
      return change.arrivals.map(({ place }) => place)
    case "BlockSealed":
      return change.moves.map(({ to }) => to)
    default:
      return []
  }
}

class Noted implements Checker {
  readonly name = "noted"
  #world: CheckedWorld | undefined
  /** Lengths of what lies in each block, by where it begins. */
  readonly #blocks = new Map<BlockId, Map<number, number>>()
  /** New copies of what may be gone by then are noted, and named all the same. */
  readonly #healing = new Set<BlockId>()
  #head = 0

  begin(world: CheckedWorld): void {
    this.#world = world
  }

  readonly applied = ({ change, sequence }: Entry, answer: Answer): void => {
    if (sequence <= this.#head) return
    this.#head = sequence
    if (answer._tag === "Refused") return
    if (change._tag === "DropBlock" && answer._tag === "Collected" && answer.items > 0) this.#blocks.delete(change.block)
    const told = new Set<BlockId>()
    for (const place of placesOf(change)) {
      if (place._tag !== "Block") continue
      told.add(place.block)
      const regions = this.#blocks.get(place.block) ?? new Map<number, number>()
      this.#blocks.set(place.block, regions.set(place.offset, place.lengthBytes))
      if (change._tag === "ChunksHealed") this.#healing.add(place.block)
    }
    const reader = this.#world?.reader()
    if (reader === undefined || this.#world?.merciless === true) return
    for (const block of told) this.#check(reader, block, sequence)
  }

  #check(reader: StateReader, block: BlockId, sequence: number): void {
    const seen = seenIn(reader, block)
    if (seen === undefined) return
    let bytes = 0
    for (const lengthBytes of this.#blocks.get(block)?.values() ?? []) bytes += lengthBytes
    const { live, noted } = seen
    const isRight = live + noted === bytes || (this.#healing.has(block) && live + noted > bytes)
    claim(isRight, `of ${bytes} bytes in block ${block} ${live} are somebody's after commit ${sequence}, and ${noted} are noted as nobody's`)
  }
}

/** Rows that a rotten index does not give are looked for the next time. */
const seenIn = (reader: StateReader, block: BlockId): { readonly live: number; readonly noted: number } | undefined => {
  try {
    const use = blockUse(reader, block)
    const value = reader.get(deadKey(block))
    return use === undefined ? undefined : { live: use.liveBytes, noted: value === undefined ? 0 : deadRow.decode(value).bytes }
  } catch (error) {
    if (error instanceof StateError) return undefined
    throw error
  }
}

export const notedChecker: MakeChecker = () => new Noted()
