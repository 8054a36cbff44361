/**
 * The wire of a simulated world: what a client is told of its request when bodies come late, short or never, connections are
 * cut, and machines lose their power in the middle. And a handler sees what NodeHttp would show it.
 */
import { Effect, Exit, Scope } from "effect"
import { expect, test } from "vitest"
import { toUtf8 } from "../../src/base/bytes.ts"
import type { BodyError } from "../../src/ports/Body.ts"
import type { HttpRequest, HttpResponse } from "../../src/ports/HttpListener.ts"
import type { BodyPlan, Outcome, Request } from "../../sim/Client.ts"
import { makeClient } from "../../sim/ClientConnection.ts"
import { SimulatedHttp } from "../../sim/HttpListener.ts"
import { Machine } from "../../sim/Machine.ts"
import { s3Port } from "../../sim/NodeTraits.ts"
import { seededRandom } from "../../sim/Random.ts"
import { Timeline } from "../../sim/Timeline.ts"

const stallMsMax = 5000

/** Two machines, a wire of one millisecond, and a server that tells what it has read. */
const wired = (answer: (request: HttpRequest) => Effect.Effect<HttpResponse>, cuts: () => boolean = () => false) => {
  const timeline = new Timeline()
  const machine = (): Machine => new Machine(timeline, { clock: { offsetMs: 0, drift: 0 }, disorder: 0, taskUs: 1, epochMs: 0 }, seededRandom(1), () => undefined, "None")
  const [server, clients] = [machine(), machine()]
  const http = new SimulatedHttp(server.processor)
  const scope = Scope.makeUnsafe()
  const interrupted: Array<string> = []
  const handler = (request: HttpRequest) => Effect.onInterrupt(answer(request), () => Effect.sync(() => void interrupted.push(request.target)))
  server.fork(Scope.provide(http.service.listen({ host: "node", port: s3Port, limits: { stallMsMax } }, handler), scope))
  while (timeline.step()) { /* until it listens */ }
  let isUp = true
  const sent: Array<Request> = []
  const client = makeClient({
    machine: clients, random: seededRandom(2), dateMs: () => 0, http: () => (isUp ? http : undefined), holdUs: () => 0, delayUs: () => 1000, cuts,
    sent: (request) => void sent.push(request), heard: () => undefined
  })
  /** What became of it, and when. */
  const send = (request: Request, at?: { readonly ms: number; readonly act: () => void }): { readonly outcome: Outcome; readonly ms: number } => {
    const startedUs = timeline.nowUs
    if (at !== undefined) timeline.after(at.ms * 1000, at.act)
    const fiber = clients.fork(client.send(request))
    while (fiber.pollUnsafe() === undefined) if (!timeline.step()) throw new Error("nothing happens any more")
    const exit = fiber.pollUnsafe()
    if (exit === undefined || Exit.isFailure(exit)) throw new Error("a request never fails")
    return { outcome: exit.value, ms: (timeline.nowUs - startedUs) / 1000 }
  }
  const powerOff = (): void => {
    isUp = false
    server.powerOff()
    http.cutAll("power cut")
  }
  const settle = (): void => { while (timeline.step()) { /* until nothing is left to happen */ } }
  const down = (): void => { isUp = false }
  const up = (): void => { isUp = true }
  return { send, sent, down, up, powerOff, settle, interrupted, closing: () => void server.fork(Scope.close(scope, Exit.void)) }
}

/** How many bytes came, in how many pieces, and how it ended. */
const counting = (request: HttpRequest): Effect.Effect<HttpResponse> =>
  Effect.gen(function* () {
    let pieces = 0
    let sizeBytes = 0
    for (let bytes = yield* request.body.next; bytes !== undefined; bytes = yield* request.body.next) {
      pieces += 1
      sizeBytes += bytes.length
    }
    return { status: 200, headers: [], body: toUtf8(`${sizeBytes} bytes in ${pieces} of ${request.body.sizeBytes}`) }
  }).pipe(Effect.catch((error: BodyError) => Effect.succeed({ status: 400, headers: [], body: toUtf8(error.reason) })))

const put = (body: BodyPlan): Request => ({ method: "PUT", path: "/bucket/key", body })
const bytes = new Uint8Array(100).fill(7)
const said = (outcome: Outcome): string => (outcome._tag === "Answered" ? `${outcome.status} ${Buffer.from(outcome.body).toString()}` : outcome._tag)

test("a body comes in its pieces, whole", () => {
  const { send } = wired(counting)
  expect(said(send(put({ bytes })).outcome)).toBe("200 100 bytes in 1 of 100")
  expect(said(send(put({ bytes, pieces: [1, 2, 3] })).outcome)).toBe("200 100 bytes in 4 of 100")
  expect(said(send(put({ bytes: new Uint8Array(0) })).outcome)).toBe("200 0 bytes in 0 of 0")
  expect(said(send(put({ bytes, announcedBytes: "Chunked" })).outcome)).toBe("200 100 bytes in 1 of undefined")
})

test("a body that stalls is waited for as long as the listener says, and no longer", () => {
  const { send } = wired(counting)
  const patient = send(put({ bytes, pieces: [50], stalls: [{ piece: 1, ms: stallMsMax - 100 }] }))
  expect(said(patient.outcome)).toBe("200 100 bytes in 2 of 100")
  expect(patient.ms).toBeGreaterThan(stallMsMax - 100)
  expect(said(send(put({ bytes, pieces: [50], stalls: [{ piece: 1, ms: stallMsMax + 100 }] })).outcome)).toBe("400 Stalled")
})

test("a body that is announced too long stalls; one that is announced too short is cut there", () => {
  const { send } = wired(counting)
  expect(said(send(put({ bytes, announcedBytes: 101 })).outcome)).toBe("400 Stalled")
  expect(said(send(put({ bytes, announcedBytes: 60 })).outcome)).toBe("200 60 bytes in 1 of 60")
})

test("a client that goes away knows nothing, and what worked for it is interrupted", () => {
  const { interrupted, send, settle } = wired(counting)
  expect(said(send(put({ bytes, pieces: [30], abortsAfterBytes: 30 })).outcome)).toBe("Unknown")
  settle()
  expect(interrupted).toEqual(["/bucket/key"])
})

test("power off in the middle: unknown; nobody listens: refused, and nothing reached anybody", () => {
  const { interrupted, powerOff, send, settle } = wired((request) => Effect.andThen(Effect.sleep(1000), counting(request)))
  const cut = send(put({ bytes }), { ms: 500, act: powerOff })
  expect(said(cut.outcome)).toBe("Unknown")
  expect(cut.ms).toBeLessThan(600)
  expect(said(send(put({ bytes })).outcome)).toBe("Refused")
  settle()
  // No finalizer runs on a machine without power.
  expect(interrupted).toEqual([])
})

test("a client waits where nobody listens: its request is sent once, when somebody does, and refused where nobody ever does", () => {
  const { down, send, sent, up } = wired(counting)
  down()
  const late = send(put({ bytes }), { ms: 1000, act: up })
  expect(said(late.outcome)).toBe("200 100 bytes in 1 of 100")
  expect(late.ms).toBeGreaterThan(1000)
  expect(sent.length).toBe(1)
  down()
  const never = send(put({ bytes }))
  expect(said(never.outcome)).toBe("Refused")
  expect(never.ms).toBeGreaterThan(3000)
  expect(never.ms).toBeLessThan(10_000)
})

test("an answer that is lost on its way leaves its client in doubt, though it was given", () => {
  let messages = 0
  let answered = 0
  const { send } = wired((request) => Effect.tap(counting(request), () => Effect.sync(() => void (answered += 1))), () => {
    messages += 1
    return messages === 2
  })
  expect(said(send(put({ bytes })).outcome)).toBe("Unknown")
  expect(answered).toBe(1)
})

test("a listener that closes refuses what is new and finishes what is under way", () => {
  const slow = wired((request) => Effect.andThen(Effect.sleep(1000), counting(request)))
  expect(said(slow.send(put({ bytes }), { ms: 500, act: slow.closing }).outcome)).toBe("200 100 bytes in 1 of 100")
  expect(said(slow.send(put({ bytes })).outcome)).toBe("Refused")
})

test("an answer whose body fails, or ends early, is no answer", () => {
  const broken = wired(() => Effect.succeed({ status: 200, headers: [], body: { sizeBytes: 10, next: Effect.succeed(undefined) } }))
  expect(said(broken.send({ method: "GET", path: "/" }).outcome)).toBe("Unknown")
})
