/** Outcomes: what a run of TLC said, read from its tool mode's messages, and what it means. */

/** An action of Next, with how many states it led to. */
export interface ActionTaken {
  readonly name: string
  readonly place: string
  readonly distinct: number
  readonly generated: number
}

export interface Outcome {
  /** passed: exhausted without an error. violated: `name` does not hold. error: TLC could not judge. */
  readonly verdict: "passed" | "violated" | "error" | "timeout"
  readonly name: string | undefined
  readonly generated: number
  readonly distinct: number
  readonly depth: number
  readonly seconds: number
  readonly actions: ReadonlyArray<ActionTaken>
  /** What PrintT printed: tuples, a line each. */
  readonly printed: ReadonlyArray<string>
  /** What it said, without the marks of tool mode and without coverage: errors and the behaviour that leads there. */
  readonly text: string
}

interface Message {
  readonly code: number
  readonly text: string
}

const messagesOf = (output: string): ReadonlyArray<Message> =>
  [...output.matchAll(/@!@!@STARTMSG (\d+):\d+ @!@!@\n([\s\S]*?)@!@!@ENDMSG \1 @!@!@/g)].map(([, code, text]) => ({ code: Number(code), text: text!.trim() }))

const number = (text: string | undefined): number => Number((text ?? "0").replaceAll(",", ""))

/** Coverage of actions, of expressions, of constraints: not for people. */
const coverageCodes = new Set([2201, 2202, 2221, 2771, 2772, 2773, 2774, 2775, 2776, 2777, 2778])
const quietCodes = new Set([...coverageCodes, 2185, 2186, 2187, 2189, 2190, 2192, 2200, 2212, 2219, 2220, 2262, 2267])

/** `property`: the only temporal property that was checked, which TLC does not name. */
const violationOf = (messages: ReadonlyArray<Message>, property: string | undefined): string | undefined => {
  for (const { code, text } of messages) {
    const named = /^(?:Invariant|Action property|Property) (\S+) (?:is violated|of module)/.exec(text) ?? /^(?:Invariant|Action property) (\S+) is violated/.exec(text)
    if ((code === 2110 || code === 2107 || code === 2112) && named !== null) return named[1]
    if (code === 2116) return /Temporal propert(?:y|ies) (\S+) (?:was|were) violated/.exec(text)?.[1] ?? property ?? "a temporal property"
    if (code === 2114) return "Deadlock"
  }
  return undefined
}

export const outcomeOf = (output: string, exit: number | "timeout", seconds: number, property?: string): Outcome => {
  const messages = messagesOf(output)
  const name = violationOf(messages, property)
  const totals = messages.filter(({ code }) => code === 2199).at(-1)?.text ?? messages.filter(({ code }) => code === 2200).at(-1)?.text ?? ""
  const [, generated, distinct] = /([\d,]+) states generated.*?, ([\d,]+) distinct/.exec(totals) ?? []
  const isWhole = messages.some(({ code }) => code === 2193)
  const verdict = exit === "timeout" ? "timeout" : name !== undefined ? "violated" : exit === 0 && isWhole ? "passed" : "error"
  return {
    verdict, name, seconds, generated: number(generated), distinct: number(distinct),
    depth: number(/is (\d+)/.exec(messages.filter(({ code }) => code === 2194).at(-1)?.text ?? "")?.[1]),
    actions: [...actionsOf(messages), ...witnessed(output)],
    printed: [...output.matchAll(/^<<.*>>$/gm)].map(([line]) => line),
    text: verdict === "passed" ? "" : textOf(output, messages)
  }
}

/** The last report counts. An action that Next names at several places has a line for each. */
const actionsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<ActionTaken> => {
  const actions = new Map<string, ActionTaken>()
  for (const { code, text } of messages) {
    const found = code === 2772 ? /^<(\S+) (line .*)>: ([\d,]+):([\d,]+)$/.exec(text) : null
    if (found === null) continue
    const [, name, place, distinct, generated] = found
    actions.set(`${name} ${place}`, { name: name!, place: place!, distinct: number(distinct), generated: number(generated) })
  }
  return [...actions.values()]
}

/** A model whose actions TLC cannot count says itself, once, that one is taken. */
const witnessed = (output: string): ReadonlyArray<ActionTaken> =>
  [...output.matchAll(/^<<"taken", "(\w+)">>$/gm)].map(([, name]) => ({ name: name!, place: "", distinct: 0, generated: 1 }))

const textOf = (output: string, messages: ReadonlyArray<Message>): string => {
  const said = messages.filter(({ code }) => !quietCodes.has(code)).map(({ text }) => text).filter((text) => text !== "")
  return said.length === 0 ? output.split("\n").slice(-30).join("\n") : said.join("\n\n")
}

/** Why the run of a variant is a failure; undefined: it was rejected as it must be. */
export const faultOfVariant = (outcome: Outcome, expect: string): string | undefined => {
  switch (outcome.verdict) {
    case "violated": return outcome.name === expect ? undefined : `${outcome.name} is violated, not ${expect}`
    case "passed": return `TLC accepts it: nothing notices that the rule is left out (${expect} should)`
    case "timeout": return `not rejected in ${Math.round(outcome.seconds)} s`
    case "error": return "TLC failed"
  }
}

/** Actions of this list that nobody said to be taken. */
export const neverWitnessed = (outcomes: ReadonlyArray<Outcome>, actions: ReadonlyArray<string>): ReadonlyArray<string> => {
  const taken = new Set(outcomes.flatMap((outcome) => outcome.actions.map(({ name }) => name)))
  const never = actions.filter((name) => !taken.has(name)).map((name) => `action ${name} is never taken`)
  return actions.length === 0 ? ["Next has no named actions"] : never
}

/** Actions that no state of any of these runs enables; and parts of Next that have no name, which no trace can speak of. */
export const neverTaken = (outcomes: ReadonlyArray<Outcome>): ReadonlyArray<string> => {
  const taken = new Map<string, number>()
  for (const { actions } of outcomes) for (const { generated, name } of actions) taken.set(name, (taken.get(name) ?? 0) + generated)
  const never = [...taken].filter(([, times]) => times === 0).map(([name]) => `action ${name} is never taken`)
  if (taken.size === 0) never.push("no action was counted")
  if (taken.has("Next")) never.push("a part of Next has no name: make it an action")
  return never.sort()
}
