/**
 * Once: what every member has applied, as it applies it: the same commit at the same place on all of them, and each request at one place. Between the members' namespaces and a
 * world's judgement.
 */
import { concatBytes, toHex } from "../../src/base/bytes.ts"
import { hashOf } from "../../src/base/hash.ts"
import { encodeEntry, type Entry } from "../../src/namespace/Entry.ts"

export class Once {
  readonly problems: Array<string> = []
  readonly #placed = new Map<number, string>()
  readonly #requested = new Map<string, number>()

  /** Told of each commit by each member, again after each of its restarts. */
  readonly applied = (entry: Entry): void => {
    const { request, sequence } = entry
    const digest = hashOf(encodeEntry(entry)!)
    if ((this.#placed.get(sequence) ?? digest) !== digest) this.problems.push(`commit ${sequence} is not the same on all members`)
    this.#placed.set(sequence, digest)
    if (request === undefined) return
    const name = toHex(concatBytes([request.id, request.digest]))
    const first = this.#requested.get(name) ?? sequence
    if (first !== sequence) this.problems.push(`the request of commit ${first} was done again as commit ${sequence}`)
    this.#requested.set(name, first)
  }

  get commits(): number {
    return this.#placed.size
  }
}
