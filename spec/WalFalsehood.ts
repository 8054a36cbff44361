/**
 * WalFalsehood: traces that are not what a journal did: a true one with one lie in it, drawn by a function. They sit
 * between true traces and the judges, each of which must refuse every one: a judge that cannot refuse judges nothing.
 */
import type { WalStep, WalTrace } from "./WalTrace.ts"

export const lies = ["Drop", "Swap", "Repeat", "Change"] as const
export type Lie = (typeof lies)[number]

/** A number from 0 to below the bound. */
export type Draw = (bound: number) => number

/** Where a value lies in a step: names of fields and places in lists. */
type Path = ReadonlyArray<string | number>

/** What an append asks for, only its batches could belie: it may have got more than it asked for. */
const untold = new Set(["action", "whole"])

const leavesOf = (value: unknown, path: Path = []): ReadonlyArray<Path> => {
  if (typeof value !== "object" || value === null) return [path]
  const entries: ReadonlyArray<readonly [string | number, unknown]> = Array.isArray(value) ? [...value.entries()] : Object.entries(value)
  return entries.flatMap(([name, field]) => untold.has(String(name)) ? [] : leavesOf(field, [...path, name]))
}

const another = (value: unknown): unknown => {
  if (typeof value === "number") return value + 1
  if (typeof value === "boolean") return !value
  switch (value) {
    case "state": return "ingest"
    case "ingest": return "state"
    case "Running": return "Stopping"
    case "Stopping": case "Stopped": case "Full": case "Failed": return "Running"
    default: {
      const text = String(value)
      return `${text.slice(0, -1)}${text.endsWith("0") ? "1" : "0"}`
    }
  }
}

const changed = (value: unknown, [name, ...rest]: Path): unknown => {
  if (name === undefined) return another(value)
  if (Array.isArray(value)) return value.map((item: unknown, index) => index === name ? changed(item, rest) : item)
  const fields = value as Readonly<Record<string, unknown>>
  return { ...fields, [name]: changed(fields[name], rest) }
}

const isEnd = (step: WalStep | undefined): boolean => step?.action === "Crash" || step?.action === "Kill"

/** Two ends of lives side by side may as well have come the other way round. */
const placesOf = (trace: WalTrace, lie: Lie): ReadonlyArray<number> =>
  [...trace.keys()].filter((at) => lie !== "Swap" || (at + 1 < trace.length && !(isEnd(trace[at]) && isEnd(trace[at + 1]))))

/** The trace with one lie of this kind in it, and where. */
export const lied = (trace: WalTrace, lie: Lie, draw: Draw): { readonly trace: WalTrace; readonly what: string } => {
  const places = placesOf(trace, lie)
  const at = places[draw(places.length)]!
  const steps = [...trace]
  switch (lie) {
    case "Drop":
      steps.splice(at, 1)
      break
    case "Repeat":
      steps.splice(at, 0, trace[at]!)
      break
    case "Swap":
      steps.splice(at, 2, trace[at + 1]!, trace[at]!)
      break
    case "Change": {
      const leaves = leavesOf(trace[at])
      const path = leaves[draw(leaves.length)]!
      steps[at] = changed(trace[at], path) as WalTrace[number]
      return { trace: steps, what: `${lie} ${at} ${trace[at]!.action} ${path.join(".")}` }
    }
  }
  return { trace: steps, what: `${lie} ${at} ${trace[at]!.action}` }
}
