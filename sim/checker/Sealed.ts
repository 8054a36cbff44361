/**
 * Sealed: nothing that a client sent is at rest in clear (P6): no bytes of objects, no names of buckets, keys or metadata, in
 * any file of the disk or row of the index. Workloads mark what they send; it sits between the twins and those marks.
 */
import { Effect } from "effect"
import { toUtf8 } from "../../src/base/bytes.ts"
import { claim } from "../Violation.ts"
import { plaintextMark } from "../workload/Bodies.ts"
import { nameMark } from "../workload/Names.ts"
import type { AtRest, Checker, MakeChecker } from "./Checker.ts"

const marks: ReadonlyArray<readonly [what: string, bytes: Uint8Array]> = [["bytes of an object", plaintextMark], ["a name", toUtf8(nameMark)]]

/** What of a client's is in these bytes; undefined: nothing. */
export const foundIn = (bytes: Uint8Array): string | undefined => {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (const [what, mark] of marks) {
    const at = view.indexOf(mark)
    if (at >= 0) return `${what} at byte ${at} of ${bytes.length}`
  }
  return undefined
}

class Sealed implements Checker {
  readonly name = "sealed"

  readonly atRest = ({ disk, index }: AtRest) =>
    Effect.sync(() => {
      for (const [path, bytes] of disk.contents()) {
        const found = foundIn(bytes) ?? foundIn(toUtf8(path))
        claim(found === undefined, `${path} has in clear ${found}`)
      }
      for (const [table, key, value] of index.entries()) {
        const found = foundIn(value) ?? foundIn(key)
        claim(found === undefined, `table ${table} of the index has in clear ${found}`)
      }
    })
}

export const sealedChecker: MakeChecker = () => new Sealed()
