/** Runs the contract of HttpListener against NodeHttp, over loopback, and against the twin. */
import { request } from "node:http"
import { Context, Deferred, Effect, Exit, Layer, Scope } from "effect"
import * as NodeHttp from "../../src/adapters/NodeHttp.ts"
import { toUtf8 } from "../../src/base/bytes.ts"
import { HttpListener, type Listener, type ListenError } from "../../src/ports/HttpListener.ts"
import { SimulatedHttp } from "../../sim/HttpListener.ts"
import { Machine } from "../../sim/Machine.ts"
import { seededRandom } from "../../sim/Random.ts"
import { Timeline } from "../../sim/Timeline.ts"
import { type Answer, type Conversation, type Head, httpContract, type HttpSide } from "./http.ts"

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")

/** A connection that was refused is told as that, once it has begun. */
const talkOverLoopback = (port: number, { headers = [], method, sizeBytes, target }: Head): Effect.Effect<Conversation | "refused"> =>
  Effect.callback((resume) => {
    const heard = Deferred.makeUnsafe<Answer | "gone">()
    const tell = (what: Answer | "gone"): void => void Deferred.doneUnsafe(heard, Exit.succeed(what))
    const size = sizeBytes === undefined ? [["transfer-encoding", "chunked"]] : sizeBytes === 0 ? [] : [["content-length", String(sizeBytes)]]
    const lines = headers.some(([name]) => name === "host") ? headers : [["host", "h"], ...headers]
    const sent = request({ host: "127.0.0.1", port, method, path: target, headers: [...lines, ...size].flat() as never, agent: false })
    sent.on("error", (error: NodeJS.ErrnoException) => (error.code === "ECONNREFUSED" ? resume(Effect.succeed("refused")) : tell("gone")))
    sent.on("response", (response) => {
      const parts: Array<Buffer> = []
      response.on("data", (part: Buffer) => void parts.push(part))
      response.on("error", () => tell("gone"))
      response.on("close", () => tell(response.complete
        ? { status: response.statusCode ?? 0, headers: new Map(Object.entries(response.headers).map(([name, value]) => [name, String(value)])), text: textOf(Buffer.concat(parts)) }
        : "gone"))
    })
    sent.on("socket", (socket) => socket.on("connect", () => {
      sent.flushHeaders()
      resume(Effect.succeed({
        say: (text) => Effect.callback<void>((done) => void sent.write(text, "latin1", () => done(Effect.void))),
        finish: Effect.sync(() => void sent.end()),
        leave: Effect.sync(() => void sent.destroy()),
        heard: Deferred.await(heard)
      }))
    }))
  })

httpContract("NodeHttp", () => Effect.map(Layer.build(NodeHttp.layer), (context): HttpSide => ({
  listen: (handler, limits, port = 0) => Context.get(context, HttpListener).listen({ host: "127.0.0.1", port, limits }, handler),
  talk: talkOverLoopback,
  until: (effect) => effect
})))

/** Events of the simulated world run in turns with the fibers of the test. */
const turnsMax = 200_000

const makeTwin = (): HttpSide => {
  const timeline = new Timeline()
  const machine = new Machine(timeline, { clock: { offsetMs: 0, drift: 0 }, disorder: 0, taskUs: 1, epochMs: 0 }, seededRandom(1), () => undefined, "None")
  const http = new SimulatedHttp(machine.processor)
  const until: HttpSide["until"] = (effect) =>
    Effect.raceFirst(effect, Effect.gen(function* () {
      for (let turn = 0; turn < turnsMax; turn += 1) {
        yield* Effect.yieldNow
        timeline.step()
      }
      return yield* Effect.die("it never came")
    }))
  return {
    until,
    listen: (handler, limits, port = 0) =>
      Effect.flatMap(Effect.scope, (scope) => until(Effect.callback<Listener, ListenError>((resume) => {
        machine.fork(Scope.provide(http.service.listen({ host: "node", port, limits }, handler), scope)).addObserver(resume)
      }))),
    talk: (port, { headers = [], method, sizeBytes, target }) =>
      Effect.sync(() => {
        const heard = Deferred.makeUnsafe<Answer | "gone">()
        const tell = (what: Answer | "gone"): void => void Deferred.doneUnsafe(heard, Exit.succeed(what))
        const connection = http.connect(port, { method, target, headers, sizeBytes, remote: "client" }, {
          answered: (status, told, body) => tell({ status, headers: told, text: textOf(body) }), gone: () => tell("gone")
        })
        if (connection === undefined) return "refused"
        return {
          say: (text) => Effect.sync(() => connection.arrive(toUtf8(text))), finish: Effect.sync(() => connection.finish()),
          leave: Effect.sync(() => connection.leave()), heard: Deferred.await(heard)
        }
      })
  }
}

httpContract("SimulatedHttp", () => Effect.sync(makeTwin))
