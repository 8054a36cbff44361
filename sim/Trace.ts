/** Trace: every decision of a simulated world in order, and its hash: the same for the same seed (P9). */
import { fromHex, toUtf8 } from "../src/base/bytes.ts"
import { hashOf, incrementalHash } from "../src/base/hash.ts"

/** Lines that are hashed together, and that are kept for a story. */
const linesKept = 256

export class Trace {
  readonly #keeps: boolean
  /** The last of them, or all where the trace keeps them. */
  lines: Array<string> = []
  count = 0
  readonly #hash = incrementalHash()
  #pending: Array<string> = []

  /** `keeps`: all lines, not only the last. */
  constructor(keeps: boolean) {
    this.#keeps = keeps
  }

  note(line: string): void {
    this.count += 1
    this.lines.push(line)
    this.#pending.push(line)
    if (this.#pending.length >= linesKept) this.#fold()
    if (!this.#keeps && this.lines.length > 2 * linesKept) this.lines = this.lines.slice(-linesKept)
  }

  /** BLAKE3 of all lines, each with a line feed: 64 hex digits. Once, at the end. */
  digest(): string {
    this.#fold()
    return this.#hash.digest()
  }

  #fold(): void {
    if (this.#pending.length > 0) this.#hash.update(toUtf8(`${this.#pending.join("\n")}\n`))
    this.#pending = []
  }
}

/** Of several worlds, in the order of their seeds. */
export const hashOfTraces = (hashes: ReadonlyArray<string>): string => hashOf(Buffer.concat(hashes.map(fromHex)))
