/**
 * Answer: what a client knows after it was answered, or was not: done, not done, or nobody knows; and what answers say:
 * codes, commits, listings. It sits between SimulatedClient and the workloads.
 */
import { Effect } from "effect"
import { fromUtf8 } from "../../src/base/bytes.ts"
import { S3Error } from "../../src/gateway/s3/S3Error.ts"
import { parseXml, type XmlNode } from "../../src/gateway/s3/XmlIn.ts"
import type { Outcome, Request, SimulatedClient } from "../Client.ts"
import { claim, Violation } from "../Violation.ts"

export type Answered = Extract<Outcome, { readonly _tag: "Answered" }>

/** The code of an error, of S3 or of the admin address; "" where there is none. */
export const codeOf = ({ body, headers }: Answered): string => {
  const named = headers.get("x-ouroboros-error")
  if (named !== undefined) return named
  const text = fromUtf8(body) ?? ""
  return /<Code>([^<]*)<\/Code>/.exec(text)?.[1] ?? /"code": "([^"]*)"/.exec(text)?.[1] ?? ""
}

/** "Done": with this answer. "NotDone": it never will be. "Unknown": it may have been, or still be under way. */
export type Fate = "Done" | "NotDone" | "Unknown"

/** What a failing disk or a stopping node answers may have happened: only those below 500, and those that say so, did not. */
export const fateOf = (outcome: Outcome): Fate => {
  if (outcome._tag === "Refused") return "NotDone"
  if (outcome._tag === "Unknown") return "Unknown"
  const { status } = outcome
  if (status < 400) return "Done"
  return status < 500 || status === 501 || codeOf(outcome) === "SlowDown" ? "NotDone" : "Unknown"
}

/** Judged by the store itself: not because of what it is or how it is sent. */
export const isAnswerOfStore = (outcome: Outcome): outcome is Answered =>
  outcome._tag === "Answered" && (outcome.status < 300 || outcome.status === 304 || outcome.status === 404 || outcome.status === 405 || outcome.status === 409 || outcome.status === 412)

/** The commit that a read saw, or that a write is. */
export const commitOf = (answer: Answered): number => {
  const text = answer.headers.get("x-ouroboros-commit")
  claim(text !== undefined && /^\d+$/.test(text), `an answer ${answer.status} names its commit, not ${text}`)
  return Number(text)
}

export const etagOf = ({ headers }: Answered): string => (headers.get("etag") ?? "").replace(/^"(.*)"$/, "$1")

/** A listing is looked at by the one who asked and by the reference. */
const parsed = new WeakMap<Answered, { readonly root: string; readonly node: XmlNode }>()

export const xmlOf = (answer: Answered, root: string): XmlNode => {
  const known = parsed.get(answer)
  if (known?.root === root) return known.node
  const node = parseXml(answer.body, root)
  if (node instanceof S3Error) throw new Violation("safety", `an answer is XML of ${root}, not: ${fromUtf8(answer.body)?.slice(0, 300)}`)
  parsed.set(answer, { root, node })
  return node
}

export const textOf = (node: XmlNode, name: string): string | undefined => node.children.get(name)?.[0]?.text

const pauseMs = 50
const triesMax = 200

/** Asks until it is answered by the store: for checks, once nothing fails any more. Liveness: it must be, within minutes. */
export const insist = (client: SimulatedClient, request: Request): Effect.Effect<Answered> =>
  Effect.gen(function*() {
    let last = ""
    for (let tries = 1; tries <= triesMax; tries += 1) {
      const outcome = yield* client.send(request)
      if (outcome._tag === "Answered" && (outcome.status < 500 || outcome.status === 501)) return outcome
      last = outcome._tag === "Answered" ? `${outcome.status} ${codeOf(outcome)}` : `${outcome._tag}: ${outcome.why}`
      yield* Effect.sleep(pauseMs * tries)
    }
    throw new Violation("liveness", `${request.method} ${request.path} was asked ${triesMax} times of a healed node, and is not answered: ${last}`)
  })

/** After a refusal a client waits: nobody listens, or too many do. */
export const afterwards = (outcome: Outcome, ms: number): Effect.Effect<void> =>
  outcome._tag === "Refused" || (outcome._tag === "Answered" && outcome.status === 503) ? Effect.sleep(ms) : Effect.yieldNow
