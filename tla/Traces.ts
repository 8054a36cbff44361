/**
 * Traces: what the code did, as a module of TLA+. It sits between recorded traces (spec/WalTrace.ts) and Trace*.tla.
 * A module with the values in it, since TLC 2.15 reads no JSON.
 */

/** A JSON value, or a set of them, as TLA+ writes it. Strings of a trace are names and hashes: no quote is in them. */
export const valueOf = (value: unknown): string => {
  if (typeof value === "number" || typeof value === "boolean") return String(value).toUpperCase()
  if (typeof value === "string") {
    if (/["\\\n]/.test(value)) throw new Error(`not a name: ${value}`)
    return `"${value}"`
  }
  if (value instanceof Set) return `{${[...value].map(valueOf).join(", ")}}`
  if (Array.isArray(value)) return `<<${value.map(valueOf).join(", ")}>>`
  return `[${Object.entries(value as object).map(([name, field]) => `${name} |-> ${valueOf(field)}`).join(", ")}]`
}

/** The module Traces: a sequence of sequences of steps, each trace a definition of its own. */
export const moduleOf = (traces: ReadonlyArray<ReadonlyArray<unknown>>): string => {
  const definitions = traces.map((trace, index) => `T${index + 1} == <<${trace.map((step) => `\n  ${valueOf(step)}`).join(",")}\n>>\n`)
  return `------------------------------- MODULE Traces -------------------------------\nEXTENDS Integers, Sequences\n\n${definitions.join("\n")}\n` +
    `Traces == <<${traces.map((_, index) => `T${index + 1}`).join(", ")}>>\n=============================================================================\n`
}
