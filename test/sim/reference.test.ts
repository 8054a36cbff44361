/** The reference at the clients' boundary: silent over a node that does right, and heard wherever answers or commits are others than they were. */
import { Effect } from "effect"
import { describe, expect, test } from "vitest"
import { makeCrc64 } from "../../src/gateway/s3/Checksums.ts"
import type { Entry } from "../../src/namespace/Entry.ts"
import type { Answer } from "../../src/namespace/Model.ts"
import type { Checker, MakeChecker } from "../../sim/checker/Checker.ts"
import { referenceChecker } from "../../sim/checker/Reference.ts"
import type { Outcome, Request } from "../../sim/Client.ts"
import { type Random, seededRandom } from "../../sim/Random.ts"
import { objectsWorkload } from "../../sim/workload/Objects.ts"
import { runWorld } from "../../sim/World.ts"

type Answered = Extract<Outcome, { readonly _tag: "Answered" }>

/** What the reference is told instead; undefined: the truth. */
interface Lie {
  readonly answer?: (request: Request, answer: Answered, random: Random) => Answered | undefined
  readonly commit?: (entry: Entry, answer: Answer, random: Random) => readonly [Entry, Answer] | undefined | "Hidden"
}

const lying = (make: MakeChecker, lie: Lie): MakeChecker => () => {
  const inner = make()
  const random = seededRandom(7)
  const checker: Checker = {
    ...inner, name: "Lied to", atRest: inner.atRest!, sent: (request) => inner.sent?.(request),
    applied: (entry, answer) => {
      const told = lie.commit?.(entry, answer, random)
      if (told !== "Hidden") inner.applied?.(...(told ?? [entry, answer] as const))
    },
    heard: (request, outcome) => inner.heard?.(request, (outcome._tag === "Answered" ? lie.answer?.(request, outcome, random) : undefined) ?? outcome)
  }
  return checker
}

const crc64 = await Effect.runPromise(makeCrc64)
const worldOf = (seed: number, make: MakeChecker) => runWorld({ seed, profile: "short", workloads: [objectsWorkload], checkers: [make], crc64 })

const firstViolation = (lie: Lie): string | undefined => {
  for (let seed = 1; seed <= 6; seed += 1) {
    const { violation } = worldOf(seed, lying(referenceChecker, lie))
    if (violation !== undefined) return `${violation.kind}: ${violation.message}`
  }
  return undefined
}

const isObjectRead = ({ method, path, to }: Request): boolean => to !== "admin" && method === "GET" && path.indexOf("/", 1) > 0
const withHeader = (answer: Answered, name: string, value: string): Answered => ({ ...answer, headers: new Map([...answer.headers, [name, value]]) })
const textOf = ({ body }: Answered): string => Buffer.from(body).toString("utf8")
const withText = (answer: Answered, change: (text: string) => string): Answered | undefined => {
  const text = change(textOf(answer))
  return text === textOf(answer) ? undefined : { ...answer, body: Buffer.from(text) }
}

const lies: ReadonlyArray<readonly [name: string, lie: Lie, heard: RegExp]> = [
  ["a bit of a body is another", { answer: (request, answer) => {
    if (!isObjectRead(request) || answer.status !== 200 || answer.body.length === 0 || answer.headers.get("content-type") === "application/xml") return undefined
    const body = answer.body.slice()
    body[body.length - 1]! ^= 0x80
    return { ...answer, body }
  } }, /is not what was written/],
  ["a range is answered with the whole", { answer: (_, answer) => (answer.status === 206 ? { ...answer, status: 200 } : undefined) }, /for \[\d+, \d+\) of/],
  ["an ETag is another", { answer: (request, answer) => (request.method === "HEAD" && answer.status === 200 && answer.headers.has("etag") ? withHeader(answer, "etag", "\"another\"") : undefined) }, /ETag another, not/],
  ["what is there is not found", { answer: (request, answer, random) => (isObjectRead(request) && answer.status === 200 && random.chance(0.3) ? { ...answer, status: 404, body: new Uint8Array(0) } : undefined) }, /404 .*is there/],
  ["a read is of an old commit", { answer: (request, answer) => {
    const commit = Number(answer.headers.get("x-ouroboros-commit") ?? 0)
    return request.method === "GET" && answer.status === 200 && request.headers?.["x-ouroboros-as-of"] === undefined && commit > 30 ? withHeader(answer, "x-ouroboros-commit", String(commit - 20)) : undefined
  } }, /was acknowledged before it was asked|is not what was written|not \[|ETag|version/],
  ["a key is missing from a listing", { answer: (_, answer) => withText(answer, (text) => text.replace(/<Contents>.*?<\/Contents>/s, "")) }, /keys \[/],
  ["a version is missing from a listing", { answer: (_, answer) => withText(answer, (text) => text.replace(/<Version>.*?<\/Version>/s, "")) }, /versions \[/],
  ["a delete marker is missing from a listing", { answer: (_, answer) => withText(answer, (text) => text.replace(/<DeleteMarker>.*?<\/DeleteMarker>/s, "")) }, /markers \[|Deleted/],
  ["a listing that goes on says that it ends", { answer: (_, answer) => withText(answer, (text) => text.replace("<IsTruncated>true", "<IsTruncated>false")) }, /IsTruncated false/],
  ["a write is told another version", { answer: (request, answer) => (request.method === "PUT" && answer.headers.has("x-amz-version-id") && request.query === undefined ? withHeader(answer, "x-amz-version-id", "f".repeat(20)) : undefined) }, /is told the version f+/],
  ["a write is told another commit", { answer: (request, answer) => (request.method === "PUT" && answer.status === 200 ? withHeader(answer, "x-ouroboros-commit", "1") : undefined) }, /is told to be commit 1/],
  ["a diff leaves a key out", { answer: (request, answer) => (request.path === "/v1/diff" && answer.status === 200
    ? withText(answer, (text) => JSON.stringify({ ...JSON.parse(text) as object, entries: (JSON.parse(text) as { entries: ReadonlyArray<unknown> }).entries.slice(1) })) : undefined) }, /diff \[/],
  ["the past is told to be gone", { answer: (request, answer) => (request.headers?.["x-ouroboros-as-of"] !== undefined && answer.status === 200
    ? { ...answer, status: 400, body: Buffer.from("<Error><Code>AsOfBeforeHorizon</Code></Error>") } : undefined) }, /before the horizon, which is/],
  ["a commit is not applied", { commit: ({ sequence }) => (sequence === 25 ? "Hidden" : undefined) }, /commit 26 comes after 24|is told to be commit 25, which is undefined|25, and 24 is the last/],
  ["a commit has become another one after a restart", { commit: (entry, answer, random) => (entry.change._tag === "PutObject" && random.chance(0.05)
    ? [{ ...entry, change: { ...entry.change, key: `${entry.change.key}!` } }, answer] : undefined) }, /is another one than it was|was not asked for/],
  ["a commit answers what the model does not", { commit: (entry, answer) => (answer._tag === "Stored" ? [entry, { ...answer, etag: "another" }] : undefined) }, /answers .*another.*the model/]
]

describe("reference", () => {
  test("reference: nothing is wrong with a node that does right", { timeout: 300_000 }, () => {
    for (let seed = 1; seed <= 3; seed += 1) expect(worldOf(seed, referenceChecker).violation).toBeUndefined()
  })

  for (const [name, lie, heard] of lies) {
    test(`reference: ${name}: it is heard`, { timeout: 300_000 }, () => {
      expect(firstViolation(lie)).toMatch(heard)
    })
  }
})
