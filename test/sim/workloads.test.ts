/** Oracles of workloads: silent where the store does right, and heard where it does not: each lie is one that some store once told. */
import { Effect } from "effect"
import { describe, expect, test } from "vitest"
import type { Outcome, Request, SimulatedClient } from "../../sim/Client.ts"
import { durabilityWorkload } from "../../sim/workload/Durability.ts"
import { recollectionWorkload } from "../../sim/workload/Recollection.ts"
import { registersWorkload } from "../../sim/workload/Registers.ts"
import type { MakeWorkload } from "../../sim/workload/Workload.ts"
import { type Lie, runWorkload } from "./storeClient.ts"

type Answered = Extract<Outcome, { readonly _tag: "Answered" }>

const seeds = [1, 2, 3, 4, 5, 6]
const isRead = ({ method }: Request): boolean => method === "GET" || method === "HEAD"
const isFound = (request: Request, outcome: Outcome): outcome is Answered => isRead(request) && outcome._tag === "Answered" && outcome.status === 200

/** The answer to the same question from some time before. */
const stale = (): Lie => {
  const before = new Map<string, Array<Outcome>>()
  return (request, outcome, random) => {
    if (!isRead(request) || request.query?.["versionId"] !== undefined || request.headers?.["if-match"] !== undefined || request.headers?.["if-none-match"] !== undefined) return undefined
    const key = `${request.method} ${request.path}`
    const known = before.get(key) ?? []
    before.set(key, [...known, outcome])
    return known.length > 2 && random.chance(0.2) ? known[known.length - 3] : undefined
  }
}

const withBody = (outcome: Answered, change: (bytes: Uint8Array) => void): Outcome => {
  const body = outcome.body.slice()
  change(body)
  return { ...outcome, body }
}

/** One bit of what was read is another. */
const flipped = (): Lie => (request, outcome, random) =>
  (isFound(request, outcome) && outcome.body.length > 0 && random.chance(0.1) ? withBody(outcome, (bytes) => void (bytes[random.below(bytes.length)]! ^= 1)) : undefined)

/** What is there is not found. */
const forgotten = (): Lie => (request, outcome, random) =>
  (isFound(request, outcome) && random.chance(0.1)
    ? { _tag: "Answered", status: 404, headers: new Map([["x-ouroboros-commit", outcome.headers.get("x-ouroboros-commit") ?? ""], ["x-ouroboros-error", "NoSuchKey"]]), body: new Uint8Array(0) } : undefined)

type Wrong = { readonly lie: () => Lie } | { readonly wrap: (client: SimulatedClient) => SimulatedClient }

const firstViolation = async (make: MakeWorkload, wrong: Wrong): Promise<string | undefined> => {
  for (const seed of seeds) {
    const found = await ("lie" in wrong ? runWorkload(make, seed, wrong.lie()) : runWorkload(make, seed, undefined, wrong.wrap))
    if (found !== undefined) return `${found.kind}: ${found.message}`
  }
  return undefined
}

/** A write that was refused is told to have been done. */
const pretended = (): Lie => (request, outcome) =>
  (request.method === "PUT" && outcome._tag === "Answered" && outcome.status === 412 ? { ...outcome, status: 200 } : undefined)

/** A write is acknowledged and was never sent. */
const neverSent = (method: string) => (client: SimulatedClient): SimulatedClient => {
  let last: Outcome | undefined
  let count = 0
  return {
    send: (request) => {
      count += request.method === method ? 1 : 0
      if (request.method === method && request.query === undefined && last !== undefined && count % 7 === 0) return Effect.succeed(last)
      return Effect.map(client.send(request), (outcome) => {
        if (request.method === method && request.query === undefined && request.path.indexOf("/", 1) > 0 && outcome._tag === "Answered" && outcome.status < 300) last = outcome
        return outcome
      })
    }
  }
}

/** What is AS OF a commit is as it is now. */
const forgetsHistory = (client: SimulatedClient): SimulatedClient => ({
  send: (request) => {
    const { "x-ouroboros-as-of": asOf, ...headers } = request.headers ?? {}
    if (asOf === undefined || !/^\d+$/.test(asOf)) return client.send(request)
    return Effect.map(client.send({ ...request, headers }), (outcome) =>
      (outcome._tag === "Answered" ? { ...outcome, headers: new Map([...outcome.headers, ["x-ouroboros-commit", asOf]]) } : outcome))
  }
})

/** The horizon goes back. */
const horizonMoves = (): Lie => (request, outcome, random) =>
  (request.headers?.["x-ouroboros-as-of"] !== undefined && random.chance(0.3)
    ? { _tag: "Answered", status: 400, headers: new Map([["x-ouroboros-error", "AsOfBeforeHorizon"]]), body: new Uint8Array(0) } : outcome)

const wrongs: ReadonlyArray<readonly [name: string, make: MakeWorkload, wrong: Wrong, heard: RegExp]> = [
  ["registers: a stale read", registersWorkload, { lie: stale }, /not linearizable/],
  ["registers: a bit of a body is another", registersWorkload, { lie: flipped }, /byte for byte/],
  ["registers: what was acknowledged is not found", registersWorkload, { lie: forgotten }, /not linearizable/],
  ["registers: a conditional write that lost is told that it won", registersWorkload, { lie: pretended }, /not linearizable/],
  ["registers: a write is acknowledged and never done", registersWorkload, { wrap: neverSent("PUT") }, /not linearizable/],
  ["registers: a delete is acknowledged and never done", registersWorkload, { wrap: neverSent("DELETE") }, /not linearizable/],
  ["durability: a stale read", durabilityWorkload, { lie: stale }, /acknowledged or possible/],
  ["durability: a bit of a body is another", durabilityWorkload, { lie: flipped }, /byte for byte/],
  ["durability: what was acknowledged is not found", durabilityWorkload, { lie: forgotten }, /is 404 NoSuchKey absent; acknowledged or possible/],
  ["durability: a write is acknowledged and never done", durabilityWorkload, { wrap: neverSent("PUT") }, /acknowledged or possible/],
  ["durability: a delete is acknowledged and never done", durabilityWorkload, { wrap: neverSent("DELETE") }, /acknowledged or possible/],
  ["durability: the past is as the present", durabilityWorkload, { wrap: forgetsHistory }, /acknowledged or possible/],
  ["durability: the horizon goes back", durabilityWorkload, { lie: horizonMoves }, /was before the horizon/],
  ["recollection: the past is as the present", recollectionWorkload, { wrap: forgetsHistory }, /and was/],
  ["recollection: a bit of what is read again is another", recollectionWorkload, { lie: flipped }, /and was/],
  ["recollection: what was there is not found", recollectionWorkload, { lie: forgotten }, /and was/],
  ["recollection: the horizon goes back", recollectionWorkload, { lie: horizonMoves }, /was before the horizon/]
]

describe("workloads", () => {
  for (const [name, make] of [["registers", registersWorkload], ["durability", durabilityWorkload], ["recollection", recollectionWorkload]] as const) {
    test(`workloads: ${name} finds nothing wrong in a store that does right`, async () => {
      for (const seed of seeds.slice(0, 2)) expect(await runWorkload(make, seed)).toBeUndefined()
    })
  }

  for (const [name, make, wrong, heard] of wrongs) {
    test(`workloads: ${name}: it is heard`, async () => {
      expect(await firstViolation(make, wrong)).toMatch(heard)
    })
  }
})
