/** The contract of the HttpListener port: what a handler and its client see of each other, over NodeHttp and over the twin. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { toUtf8 } from "../../src/base/bytes.ts"
import { type Body, BodyError } from "../../src/ports/Body.ts"
import type { HttpLimits, HttpRequest, HttpResponse, Listener, ListenError, Passage } from "../../src/ports/HttpListener.ts"

export type Handler = (request: HttpRequest) => Effect.Effect<HttpResponse, never, Scope.Scope>

export interface Head {
  readonly method: string
  readonly target: string
  readonly headers?: ReadonlyArray<readonly [name: string, value: string]>
  /** Undefined: in chunks. */
  readonly sizeBytes: number | undefined
}

export interface Answer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly text: string
}

/** One request, piece by piece. */
export interface Conversation {
  readonly say: (text: string) => Effect.Effect<void>
  readonly finish: Effect.Effect<void>
  readonly leave: Effect.Effect<void>
  /** The answer, whole; or the connection ended before it was. */
  readonly heard: Effect.Effect<Answer | "gone">
}

export interface HttpSide {
  readonly listen: (handler: Handler, limits: Partial<HttpLimits>, port?: number) => Effect.Effect<Listener, ListenError, Scope.Scope>
  readonly talk: (port: number, head: Head) => Effect.Effect<Conversation | "refused">
  /** Waits, while the world of that side goes on. */
  readonly until: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")
const ok = (text: string): HttpResponse => ({ status: 200, headers: [], body: toUtf8(text) })
const get: Head = { method: "GET", target: "/", sizeBytes: 0 }
const put = (target: string, sizeBytes: number | undefined): Head => ({ method: "PUT", target, sizeBytes })

const readAll = (body: Body): Effect.Effect<string, BodyError> =>
  Effect.gen(function* () {
    let text = ""
    for (let part = yield* body.next; part !== undefined; part = yield* body.next) text += textOf(part)
    return text
  })

/** What was read, or why it could not be. */
const echo = (request: HttpRequest): Effect.Effect<HttpResponse> =>
  Effect.match(readAll(request.body), { onSuccess: ok, onFailure: ({ reason }) => ({ ...ok(reason), status: 400 }) })

/** A body of these parts, and then an end or a failure. */
const bodyOf = (sizeBytes: number | undefined, parts: ReadonlyArray<string>, end?: BodyError): Body => {
  const left = [...parts]
  return {
    sizeBytes,
    next: Effect.suspend((): Effect.Effect<Uint8Array | undefined, BodyError> => {
      const part = left.shift()
      if (part !== undefined) return Effect.succeed(toUtf8(part))
      return end === undefined ? Effect.succeed(undefined) : Effect.fail(end)
    })
  }
}

/** A passage once it is over, and how often that was said. */
const follow = Effect.gen(function* () {
  const over = yield* Deferred.make<Passage>()
  let times = 0
  const attach = ({ passage }: HttpRequest): void => {
    assert.isDefined(passage)
    passage.follower = { annotations: {}, ended: (last) => Effect.andThen(Effect.sync(() => void (times += 1)), Deferred.succeed(over, last)) }
  }
  return { attach, over: Deferred.await(over), times: () => times }
})

type Story = (side: HttpSide) => Effect.Effect<void, unknown, Scope.Scope>

/** One request, said at once, and what became of it. */
const ask = (side: HttpSide, port: number, head: Head, text = ""): Effect.Effect<Answer | "gone" | "refused"> =>
  Effect.gen(function* () {
    const conversation = yield* side.talk(port, head)
    if (conversation === "refused") return "refused"
    if (text !== "") yield* conversation.say(text)
    yield* conversation.finish
    return yield* side.until(conversation.heard)
  })

const begin = (side: HttpSide, port: number, head: Head) =>
  Effect.flatMap(side.talk(port, head), (conversation) => conversation === "refused" ? Effect.die("nobody listens") : Effect.succeed(conversation))

const statusAndText = (answer: Answer | "gone" | "refused") => typeof answer === "string" ? answer : `${answer.status} ${answer.text}`

const requests: Readonly<Record<string, Story>> = {
  "the head is as it was sent": (side) =>
    Effect.gen(function* () {
      const seen: Array<HttpRequest> = []
      const { port } = yield* side.listen((request) => Effect.sync(() => (seen.push(request), ok("seen"))), {})
      const headers: Array<readonly [string, string]> = [["host", "h"], ["x-b", "1"], ["x-a", "a  b"], ["x-b", "2"]]
      assert.strictEqual(statusAndText(yield* ask(side, port, { ...get, target: "/a%2Fb/../c?x=%20", headers })), "200 seen")
      assert.deepStrictEqual([seen[0]?.method, seen[0]?.target], ["GET", "/a%2Fb/../c?x=%20"])
      const told = seen[0]?.headers.filter(([name]) => name !== "connection" && name !== "content-length")
      assert.deepStrictEqual(told, headers)
    }),
  "a body arrives whole, by its length and in chunks, and its end stays its end": (side) =>
    Effect.gen(function* () {
      const sizes: Array<number | undefined> = []
      const { port } = yield* side.listen((request) => {
        sizes.push(request.body.sizeBytes)
        return Effect.orDie(Effect.gen(function* () {
          const text = yield* readAll(request.body)
          assert.isUndefined(yield* request.body.next)
          return ok(text)
        }))
      }, {})
      for (const sizeBytes of [10, undefined]) {
        const conversation = yield* begin(side, port, put("/", sizeBytes))
        for (const text of ["hel", "lo, ", "you"]) yield* conversation.say(text)
        yield* conversation.finish
        assert.strictEqual(statusAndText(yield* side.until(conversation.heard)), "200 hello, you")
      }
      assert.deepStrictEqual(sizes, [10, undefined])
    }),
  "what was sent is read though its client is silent, and a silence too long is a stall": (side) =>
    Effect.gen(function* () {
      const { port } = yield* side.listen(echo, { stallMsMax: 200 })
      const conversation = yield* begin(side, port, put("/", 10))
      yield* conversation.say("hel")
      const heard = yield* side.until(conversation.heard)
      assert.strictEqual(statusAndText(heard), "400 Stalled")
    }),
  "a client that leaves aborts the body": (side) =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const reason = yield* Deferred.make<string>()
      const { port } = yield* side.listen((request) =>
        Effect.uninterruptible(Effect.gen(function* () {
          yield* Effect.orDie(request.body.next)
          yield* Deferred.succeed(started, undefined)
          const failure = yield* Effect.flip(readAll(request.body))
          yield* Deferred.succeed(reason, failure.reason)
          return ok("")
        }).pipe(Effect.orDie)), {})
      const conversation = yield* begin(side, port, put("/", 10))
      yield* conversation.say("hel")
      yield* side.until(Deferred.await(started))
      yield* conversation.leave
      assert.strictEqual(yield* side.until(Deferred.await(reason)), "Aborted")
    }),
  "a client that leaves interrupts what works for it": (side) =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const follower = yield* follow
      const { port } = yield* side.listen((request) => {
        follower.attach(request)
        return Effect.onInterrupt(Effect.andThen(Deferred.succeed(started, undefined), Effect.never), () => Deferred.succeed(interrupted, undefined))
      }, {})
      const conversation = yield* begin(side, port, get)
      yield* conversation.finish
      yield* side.until(Deferred.await(started))
      yield* conversation.leave
      yield* side.until(Deferred.await(interrupted))
      assert.include(yield* side.until(follower.over), { isWhole: false, isBroken: false, sentBytes: 0, failure: undefined })
    })
}

const answers: Readonly<Record<string, Story>> = {
  "an answer has its status and headers; HEAD, 204 and 304 have no body": (side) =>
    Effect.gen(function* () {
      const { port } = yield* side.listen(({ target }) => Effect.succeed({ ...ok("bytes"), status: Number(target.slice(1)), headers: [["X-One", "1"], ["etag", "\"e\""]] }), {})
      const whole = yield* ask(side, port, { ...get, target: "/200" })
      assert.strictEqual(statusAndText(whole), "200 bytes")
      if (typeof whole === "string") return
      assert.deepStrictEqual([whole.headers.get("x-one"), whole.headers.get("etag")], ["1", "\"e\""])
      assert.strictEqual(statusAndText(yield* ask(side, port, { ...get, method: "HEAD", target: "/200" })), "200 ")
      for (const status of [204, 304]) assert.strictEqual(statusAndText(yield* ask(side, port, { ...get, target: `/${status}` })), `${status} `)
    }),
  "an answer that is pulled is whole, or its client knows that it is not": (side) =>
    Effect.gen(function* () {
      const bodies: Readonly<Record<string, Body>> = {
        "/whole": bodyOf(8, ["half", "half"]), "/unknown": bodyOf(undefined, ["half", "more"]), "/short": bodyOf(8, ["half"]),
        "/failed": bodyOf(8, ["half"], new BodyError({ reason: "Unverified", detail: "rot" })), "/failedUnknown": bodyOf(undefined, ["half"], new BodyError({ reason: "Unverified", detail: "rot" }))
      }
      const { port } = yield* side.listen(({ target }) => Effect.succeed({ status: 200, headers: [], body: bodies[target] }), {})
      const asked = yield* Effect.forEach(Object.keys(bodies), (target) => ask(side, port, { ...get, target }))
      assert.deepStrictEqual(asked.map(statusAndText), ["200 halfhalf", "200 halfmore", "gone", "gone", "gone"])
    }),
  "a handler that answers without reading is heard": (side) =>
    Effect.gen(function* () {
      const { port } = yield* side.listen(() => Effect.succeed({ ...ok("no"), status: 403 }), {})
      assert.strictEqual(statusAndText(yield* ask(side, port, put("/", 3), "abc")), "403 no")
    }),
  "a handler that dies is a 500, not silence": (side) =>
    Effect.gen(function* () {
      const follower = yield* follow
      const { port } = yield* side.listen((request) => {
        follower.attach(request)
        return Effect.die("broken")
      }, {})
      assert.strictEqual(statusAndText(yield* ask(side, port, get)), "500 ")
      assert.include(yield* side.until(follower.over), { isWhole: false, isBroken: true })
    }),
  "who follows a request is told once how it went": (side) =>
    Effect.gen(function* () {
      for (const [body, expected] of [[toUtf8("bytes"), 5], [bodyOf(6, ["six", "six"]), 6]] as const) {
        const follower = yield* follow
        const { port } = yield* side.listen((request) => {
          follower.attach(request)
          return Effect.as(Effect.orDie(readAll(request.body)), { status: 200, headers: [], body })
        }, {})
        yield* ask(side, port, put("/", 3), "abc")
        assert.include(yield* side.until(follower.over), { receivedBytes: 3, sentBytes: expected, isWhole: true, isBroken: false, failure: undefined })
        assert.strictEqual(follower.times(), 1)
      }
    }),
  "who follows an answer that failed is told of what": (side) =>
    Effect.gen(function* () {
      const follower = yield* follow
      const failure = new BodyError({ reason: "Unverified", detail: "rot" })
      const { port } = yield* side.listen((request) => {
        follower.attach(request)
        return Effect.succeed({ status: 200, headers: [], body: bodyOf(8, ["half"], failure) })
      }, {})
      assert.strictEqual(yield* ask(side, port, get), "gone")
      assert.include(yield* side.until(follower.over), { sentBytes: 4, isWhole: false, isBroken: false, failure })
    })
}

const listening: Readonly<Record<string, Story>> = {
  "a port that is taken is an error that names it": (side) =>
    Effect.gen(function* () {
      const { port } = yield* side.listen(echo, {})
      const error = yield* Effect.flip(side.listen(echo, {}, port))
      assert.include(error.message, String(port))
      assert.include(error.message, "EADDRINUSE")
    }),
  "a listener that closes finishes what is under way, and takes nothing new": (side) =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const { port } = yield* Scope.provide(side.listen(() => Effect.as(Effect.andThen(Deferred.succeed(started, undefined), Deferred.await(go)), ok("late")), { closeMsMax: 5000 }), scope)
      const conversation = yield* begin(side, port, get)
      yield* conversation.finish
      yield* side.until(Deferred.await(started))
      const closing = yield* Effect.forkChild(side.until(Scope.close(scope, Exit.void)), { startImmediately: true })
      assert.strictEqual(yield* ask(side, port, get), "refused")
      yield* Deferred.succeed(go, undefined)
      assert.strictEqual(statusAndText(yield* side.until(conversation.heard)), "200 late")
      yield* side.until(Fiber.join(closing))
    }),
  "a request that never ends is cut once a closing listener has waited": (side) =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const { port } = yield* Scope.provide(side.listen(() => Effect.andThen(Deferred.succeed(started, undefined), Effect.never), { closeMsMax: 50 }), scope)
      const conversation = yield* begin(side, port, get)
      yield* conversation.finish
      yield* side.until(Deferred.await(started))
      yield* side.until(Scope.close(scope, Exit.void))
      assert.strictEqual(yield* side.until(conversation.heard), "gone")
    })
}

export const httpContract = (name: string, make: () => Effect.Effect<HttpSide, never, Scope.Scope>): void => {
  describe(`http contract: ${name}`, () => {
    for (const [title, story] of Object.entries({ ...requests, ...answers, ...listening })) {
      it.effect(`http: ${title}`, () => Effect.scoped(Effect.flatMap(make(), story)))
    }
  })
}
