/** Violation: what must never happen has happened in a simulated world. Thrown by workloads, checkers and the world itself. */
export type ViolationKind = "crash" | "safety" | "liveness" | "nondeterminism"

export class Violation extends Error {
  override readonly name = "Violation"
  readonly kind: ViolationKind

  constructor(kind: ViolationKind, what: string) {
    super(what)
    this.kind = kind
  }
}

/** Safety: a claim about what the store has shown. */
export const claim: (condition: boolean, what: string) => asserts condition = (condition, what) => {
  if (!condition) throw new Violation("safety", what)
}

/** What `npm run sim` exits with; 2 is a command line that it does not know. */
export const exitCodes: Readonly<Record<ViolationKind | "ok" | "usage", number>> = {
  ok: 0, usage: 2, crash: 10, safety: 11, liveness: 12, nondeterminism: 13
}
