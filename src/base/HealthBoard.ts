/**
 * HealthBoard: what a node says of its own health, check by check. Parts of the node post a check once and are asked
 * whenever somebody looks; GET /health/ready is the whole board. One object a node, handed in through ports/Health.ts.
 *
 *   board.check("scrub", () => findings === 0 ? sound("no damage found") : degraded(`${findings} damaged chunks`))
 */

/** degraded: an operator should look, most requests are served. failed: the node should get no requests. */
export type Soundness = "ok" | "degraded" | "failed"

export interface Finding {
  readonly soundness: Soundness
  /** One sentence with numbers, for anybody's eyes: no names of buckets or keys, no secrets. */
  readonly detail: string
}

export interface NamedFinding extends Finding {
  readonly name: string
}

export const sound = (detail: string): Finding => ({ soundness: "ok", detail })
export const degraded = (detail: string): Finding => ({ soundness: "degraded", detail })
export const failed = (detail: string): Finding => ({ soundness: "failed", detail })

export class HealthBoard {
  readonly #checks = new Map<string, () => Finding>()
  readonly #keeps: boolean

  /** Where nobody asks, nothing is kept. */
  constructor(options: { readonly keeps: boolean } = { keeps: true }) {
    this.#keeps = options.keeps
  }

  /** Synchronous, cheap, no throw. The last one of a name counts. */
  check(name: string, read: () => Finding): void {
    if (this.#keeps) this.#checks.set(name, read)
  }

  report(): ReadonlyArray<NamedFinding> {
    return [...this.#checks].map(([name, read]) => ({ name, ...found(read) }))
  }
}

/** A check that throws (its part met damage) tells that, and takes no other with it. */
const found = (read: () => Finding): Finding => {
  try {
    return read()
  } catch (error) {
    return degraded(`cannot be told: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** As bad as the worst of them. */
export const worst = (findings: ReadonlyArray<Finding>): Soundness =>
  findings.some(({ soundness }) => soundness === "failed") ? "failed"
    : findings.some(({ soundness }) => soundness === "degraded") ? "degraded"
    : "ok"
