/** Assertions: a broken one is our own bug, a defect, caught only at the node's edge. Imports nothing. */

export class AssertionError extends Error {
  override readonly name = "AssertionError"
}

/** Throws AssertionError unless `condition` holds. One claim a call. */
export function assert(condition: boolean, claim: string): asserts condition {
  if (!condition) throw new AssertionError(claim)
}

/** Closes every `switch`: the compiler proves that no case is left. */
export const unreachable = (value: never): never => {
  throw new AssertionError(`unreachable: ${JSON.stringify(value)}`)
}
