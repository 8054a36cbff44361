/**
 * Rebuilt: an index that was thrown away comes back from checkpoint and journal as it was, row by row, and with the same root
 * (R8). It sits between a node at rest and its next life, which begins without an index.
 */
import { Effect } from "effect"
import { toHex, fromByteString } from "../../src/base/bytes.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { parseCheckpointName } from "../../src/namespace/CheckpointFormat.ts"
import { nodeAddress } from "../../src/namespace/TreeNode.ts"
import { nodeTable } from "../../src/namespace/TreeStore.ts"
import type { MemoryKeyValue } from "../KeyValue.ts"
import { State } from "../../src/namespace/State.ts"
import { claim } from "../Violation.ts"
import type { AtRest, CheckedWorld, Checker, MakeChecker } from "./Checker.ts"

export interface Rows {
  readonly sequence: number
  readonly rows: ReadonlyMap<string, Uint8Array>
  readonly root: string
}

/** After the last of all keys. */
const pastAll = "\u00ff".repeat(64)

/** Everything at one instant, and the root of a checkpoint of it. */
const rowsNow = Effect.gen(function*() {
  yield* (yield* Namespace).checkpoint(true)
  const state = yield* State
  return { sequence: state.stamp().sequence, rows: new Map(state.reader.scan("", pastAll)), root: state.root() } satisfies Rows
})

const shown = (value: Uint8Array | undefined): string => (value === undefined ? "no row" : `${value.length} bytes ${toHex(value).slice(0, 60)}`)

/** Claims that two of the same commit are alike. */
export const checkAlike = (before: Rows, after: Rows): void => {
  for (const key of new Set([...before.rows.keys(), ...after.rows.keys()])) {
    const [was, is] = [before.rows.get(key), after.rows.get(key)]
    const isSame = was !== undefined && is !== undefined && Buffer.compare(was, is) === 0
    claim(isSame, `row ${toHex(fromByteString(key))} of the index at commit ${before.sequence} was ${shown(was)}, and is rebuilt as ${shown(is)}`)
  }
  claim(before.root === after.root, `the root at commit ${before.sequence} was ${before.root}, and is rebuilt as ${after.root}`)
}

/** The index holds the nodes of the tree, and no others: what interrupted checkpoints and earlier indexes left is gone (P5). */
const checkNodes = (index: MemoryKeyValue, nodes: number): void => {
  const left = index.count(nodeTable)
  claim(left === nodes, `the index has ${left} nodes, and the tree ${nodes}`)
}

/** No node is younger than the newest checkpoint's file: what one that was broken off has left is nobody's, and gone (P5). */
export const checkNoneYounger = (index: MemoryKeyValue, paths: Iterable<string>): void => {
  const newest = Math.max(0, ...Array.from(paths, (path) => parseCheckpointName(path.slice(path.lastIndexOf("/") + 1))?.generation ?? 0))
  const [left] = index.service.range(nodeTable, { from: fromByteString(nodeAddress(newest + 1, 0)), limit: 1 })
  claim(left === undefined, `the index has node ${left === undefined ? "" : toHex(left[0])}, and checkpoint ${newest} is the newest`)
}

class Rebuilt implements Checker {
  readonly name = "rebuilt"
  #world: CheckedWorld | undefined
  #before: Rows | undefined
  /** In this life. */
  #hasLooked = false

  begin(world: CheckedWorld): void {
    this.#world = world
  }

  readonly died = (): void => {
    this.#hasLooked = false
  }

  /** Before its first commit, replayed or new, a life has made no checkpoint. */
  readonly applied = (): void => {
    if (this.#hasLooked || this.#world === undefined || this.#world.merciless) return
    this.#hasLooked = true
    checkNoneYounger(this.#world.index(), this.#world.disk().sizes().keys())
  }

  readonly atRest = ({ index, merciless }: AtRest) =>
    Effect.gen({ self: this }, function*() {
      this.#before = merciless ? undefined : yield* rowsNow
      if (!merciless) checkNodes(index, (yield* State).status().nodes)
    })

  readonly rebuilt = ({ index, note, probe }: AtRest) =>
    Effect.gen({ self: this }, function*() {
      const before = this.#before
      if (before === undefined) return
      const after = yield* rowsNow
      checkNodes(index, (yield* State).status().nodes)
      // Housework may have committed something in between: its next chance is the next world.
      if (after.sequence !== before.sequence) return probe("rebuilt: the store went on in between")
      checkAlike(before, after)
      note(`rebuilt: ${after.rows.size} rows at commit ${after.sequence} are as they were`)
      probe("rebuilt: the index is as it was")
    })
}

export const rebuiltChecker: MakeChecker = () => new Rebuilt()
