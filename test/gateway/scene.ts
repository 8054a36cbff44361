/** scene: a handler over a memory store with a clock that the test sets. It sits under every test of the gateway. */
import { Clock, Effect } from "effect"
import type { AllowanceSizes } from "../../src/allowance.ts"
import { makeS3Handler, type S3Handler, type S3Options } from "../../src/gateway/s3/S3Handler.ts"
import type { NamespaceService, Quorum } from "../../src/namespace/Namespace.ts"
import type { Body } from "../../src/ports/Body.ts"
import type { HttpRequest } from "../../src/ports/HttpListener.ts"
import { memoryStore } from "./MemoryStore.ts"
import { accessKey, type Ask, secretKey, sign } from "./sign.ts"

export interface Answer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly bytes: Uint8Array
  readonly text: string
}

export interface Scene {
  nowMs: number
  readonly handler: S3Handler
  /** Signs and sends. */
  readonly ask: (ask: Ask) => Promise<Answer>
  /** As it is. */
  readonly send: (request: HttpRequest) => Promise<Answer>
}

export const startMs = Date.UTC(2026, 10, 20, 12, 0, 0)

const wholeBody = Effect.fnUntraced(function*(body: Body) {
  const parts: Array<Uint8Array> = []
  for (let bytes = yield* body.next; bytes !== undefined; bytes = yield* body.next) parts.push(bytes)
  return Buffer.concat(parts)
})

/** A clock that stands at the scene's time. */
const clockOf = (scene: { readonly nowMs: number }): Clock.Clock => ({
  currentTimeMillisUnsafe: () => scene.nowMs,
  currentTimeMillis: Effect.sync(() => scene.nowMs),
  currentTimeNanosUnsafe: () => BigInt(scene.nowMs) * 1_000_000n,
  currentTimeNanos: Effect.sync(() => BigInt(scene.nowMs) * 1_000_000n),
  monotonicTimeNanosUnsafe: () => BigInt(scene.nowMs) * 1_000_000n,
  monotonicTimeNanos: Effect.sync(() => BigInt(scene.nowMs) * 1_000_000n),
  sleep: () => Effect.void
})

export const makeScene = async (
  options: Partial<S3Options> = {}, sizes: Partial<AllowanceSizes> = {}, quorumOf?: (namespace: NamespaceService) => Quorum
): Promise<Scene> => {
  const time = { nowMs: startMs }
  const clock = clockOf(time)
  const handler = await Effect.runPromise(makeS3Handler({
    domain: "s3.test",
    md5EtagBytesMax: 1024,
    credentials: (key) => key === accessKey ? { secretKey, principal: "root" } : undefined,
    ...options
  }).pipe(Effect.provide(memoryStore(sizes, quorumOf)), Effect.provideService(Clock.Clock, clock)))
  const send = async (request: HttpRequest): Promise<Answer> => {
    const [response, bytes] = await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
      const answer = yield* Effect.provideService(handler(request), Clock.Clock, clock)
      const { body } = answer
      return [answer, body === undefined ? new Uint8Array(0) : body instanceof Uint8Array ? body : yield* wholeBody(body)] as const
    })))
    return { status: response.status, headers: new Map(response.headers), bytes, text: Buffer.from(bytes).toString("utf8") }
  }
  return Object.assign(time, {
    handler, send,
    ask: (ask: Ask) => {
      // Every request gets its own millisecond, so that times of commits differ.
      time.nowMs += 1
      return send(sign({ nowMs: time.nowMs, ...ask }).request)
    }
  })
}

/** Code of an S3 error document. */
export const codeOf = (answer: Answer): string => /<Code>(.*?)<\/Code>/.exec(answer.text)?.[1] ?? ""

/** Texts of every element of that name. */
export const textsOf = (answer: Answer, name: string): ReadonlyArray<string> =>
  [...answer.text.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, "g"))].map((match) => match[1] ?? "")
