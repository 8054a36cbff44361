/**
 * SimulatedHttp: the twin of adapters/NodeHttp: listeners of one machine, and the connections that clients of other machines
 * make to them. A request is a head, pieces of a body and an answer, each of which takes its time on the way; a body may
 * stall, abort and lie. It sits between a simulated client and the HttpListener port of one life of a machine.
 *
 * Power-off: whoever waits learns that the connection is gone, and no more. Nobody listens: refused.
 */
import { Cause, type Context, Effect, type Scope } from "effect"
import { copyOf } from "../src/base/bytes.ts"
import { httpCloseMsMax, httpStallMsMax } from "../src/base/httpLimits.ts"
import type { Body, BodyError } from "../src/ports/Body.ts"
import { type HttpListenerService, type HttpRequest, type HttpResponse, ListenError, type Listener, type ListenOptions, type Passage } from "../src/ports/HttpListener.ts"
import { Arrivals } from "./HttpArrivals.ts"
import type { Processor } from "./Processor.ts"
import type { Life } from "./Timeline.ts"

type Handler = (request: HttpRequest) => Effect.Effect<HttpResponse, never, Scope.Scope>

/** What a client hears: an answer, whole, or that the connection is gone. */
export interface Heard {
  readonly answered: (status: number, headers: ReadonlyMap<string, string>, body: Uint8Array) => void
  readonly gone: (why: string) => void
}

export interface Head {
  readonly method: string
  readonly target: string
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  /** As announced; undefined: chunked. */
  readonly sizeBytes: number | undefined
  readonly remote: string
}

interface Desk {
  readonly options: ListenOptions
  readonly handler: Handler
  readonly context: Context.Context<never>
  readonly connections: Set<Connection>
  isOpen: boolean
  refused: number
  /** Runs once nobody is connected any more, while it closes. */
  onIdle: (() => void) | undefined
}

const freePortFirst = 40_000

/** The listeners of one life of a machine. */
export class SimulatedHttp {
  readonly service: HttpListenerService
  readonly #processor: Processor
  readonly #desks = new Map<number, Desk>()

  constructor(processor: Processor) {
    this.#processor = processor
    this.service = { listen: (options, handler) => this.#listen(options, handler) }
  }

  /** Whether anybody takes connections there. */
  listens(port: number): boolean {
    return this.#processor.life.isOn && this.#desks.get(port)?.isOpen === true
  }

  /** A connection with its request's head; undefined: nobody listens there. The body's bytes follow. */
  connect(port: number, head: Head, heard: Heard): Connection | undefined {
    const desk = this.#desks.get(port)
    if (!this.#processor.life.isOn || desk === undefined || !desk.isOpen) return undefined
    const connection = new Connection(this.#processor, desk, head, heard)
    desk.connections.add(connection)
    this.#processor.post(() => connection.serve())
    return connection
  }

  /** The machine is gone: so is every connection. */
  cutAll(why: string): void {
    for (const { connections } of this.#desks.values()) for (const connection of connections) connection.heard.gone(why)
    this.#desks.clear()
  }

  #listen(options: ListenOptions, handler: Handler): Effect.Effect<Listener, ListenError, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const context = yield* Effect.context()
      let { port } = options
      if (port === 0) for (port = freePortFirst; this.#desks.has(port);) port += 1
      if (this.#desks.has(port)) return yield* new ListenError({ host: options.host, port, detail: "EADDRINUSE" })
      const desk: Desk = { options, handler, context, connections: new Set(), isOpen: true, refused: 0, onIdle: undefined }
      this.#desks.set(port, desk)
      yield* Effect.addFinalizer(() => Effect.andThen(this.#close(desk), Effect.sync(() => void this.#desks.delete(port))))
      return {
        host: options.host, port, reloadTls: () => Effect.void,
        connections: () => ({ open: desk.connections.size, max: options.limits?.connectionsMax ?? Number.MAX_SAFE_INTEGER, refused: desk.refused })
      }
    })
  }

  /** No new connection, requests in flight within their bound, then whatever is left is cut. */
  #close(desk: Desk): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      desk.isOpen = false
      if (desk.connections.size === 0) return resume(Effect.void)
      const { life, post, timeline } = this.#processor
      const late = timeline.after((desk.options.limits?.closeMsMax ?? httpCloseMsMax) * 1000, () => {
        for (const connection of desk.connections) connection.cut("the listener closed")
      }, life)
      desk.onIdle = () => {
        timeline.cancel(late)
        post(() => resume(Effect.void))
      }
    })
  }
}

/** One request on its way through the node. */
export class Connection {
  readonly heard: Heard
  readonly #life: Life
  readonly #desk: Desk
  readonly #head: Head
  readonly #arrivals: Arrivals
  readonly #passage: Passage = {
    receivedBytes: 0, sentBytes: 0, waitedMs: 0, workedMs: 0, isWhole: false, isBroken: false, failure: undefined, follower: undefined
  }
  #interrupt: (() => void) | undefined
  /** The head of the answer is sent. */
  #hasBegun = false
  /** The client went away. */
  #isLeft = false
  #isOver = false

  constructor(processor: Processor, desk: Desk, head: Head, heard: Heard) {
    this.#life = processor.life
    this.#desk = desk
    this.#head = head
    this.heard = heard
    this.#arrivals = new Arrivals(processor, this.#passage, desk.options.limits?.stallMsMax ?? httpStallMsMax)
  }

  /** Bytes of the body have arrived. */
  arrive(bytes: Uint8Array): void {
    if (this.#life.isOn) this.#arrivals.push(bytes)
  }

  /** The body is complete. */
  finish(): void {
    if (this.#life.isOn) this.#arrivals.end()
  }

  /** The client went away: what works for it is interrupted, as the adapter does. */
  leave(): void {
    if (!this.#life.isOn || this.#isOver) return
    this.#isLeft = true
    this.#arrivals.abort()
    this.#interrupt?.()
  }

  /** The node ends the connection before its answer is whole. */
  cut(why: string): void {
    this.#over()
    this.heard.gone(why)
    this.#interrupt?.()
  }

  serve(): void {
    const { context, handler } = this.#desk
    const fork = Effect.runForkWith(context)
    const request: HttpRequest = {
      method: this.#head.method, target: this.#head.target, headers: this.#head.headers, secure: false, remote: this.#head.remote,
      body: { sizeBytes: this.#head.sizeBytes, next: this.#arrivals.next, nextInto: this.#arrivals.nextInto }, passage: this.#passage
    }
    const sent = Effect.scoped(Effect.flatMap(handler(request), (reply) => this.#send(reply)))
    const fiber = fork(sent)
    this.#interrupt = () => fiber.interruptUnsafe()
    fiber.addObserver((exit) => {
      if (!this.#life.isOn) return
      if (exit._tag === "Failure" && !Cause.hasInterruptsOnly(exit.cause)) {
        this.#passage.isBroken = true
        fork(Effect.logError("an answer ended by a defect", exit.cause))
      }
      const last = this.#passage.follower?.ended(this.#passage)
      if (last !== undefined) fork(last)
      if (this.#isOver) return
      // What began is cut; what did not begin says that it failed.
      if (this.#hasBegun || this.#isLeft) return this.cut("no answer")
      this.#over()
      this.heard.answered(500, new Map(), new Uint8Array())
    })
  }

  #over(): void {
    this.#isOver = true
    this.#desk.connections.delete(this)
    if (this.#desk.connections.size === 0) this.#desk.onIdle?.()
  }

  #send(reply: HttpResponse): Effect.Effect<void> {
    const bodiless = this.#head.method === "HEAD" || reply.status === 204 || reply.status === 304
    const content = bodiless ? undefined : reply.body
    if (content === undefined || content instanceof Uint8Array) return Effect.sync(() => this.#answer(reply, content ?? new Uint8Array()))
    this.#hasBegun = true
    return Effect.matchEffect(this.#pullAll(content), {
      onSuccess: (bytes) => Effect.sync(() => {
        if (content.sizeBytes === undefined || content.sizeBytes === bytes.length) this.#answer(reply, bytes)
        else this.cut("the answer ended early")
      }),
      // The head is sent: only a cut connection can still say that the rest is missing.
      onFailure: (error) => Effect.suspend(() => {
        this.#passage.failure = error
        this.cut(`the answer was cut: ${error.message}`)
        const line = `an answer was cut: ${error.message}`
        return error.reason === "Overloaded" ? Effect.logWarning(line) : Effect.logError(line)
      })
    })
  }

  #pullAll(body: Body): Effect.Effect<Uint8Array, BodyError> {
    return Effect.gen({ self: this }, function* () {
      const parts: Array<Uint8Array> = []
      let sizeBytes = 0
      for (let bytes = yield* body.next; bytes !== undefined; bytes = yield* body.next) {
        if (bytes.length === 0) return yield* Effect.die("a body gives no empty bytes")
        parts.push(copyOf(bytes))
        // Who pulls bytes owns them: the adapter gives their memory back, and others write there.
        bytes.fill(0xdb)
        sizeBytes += bytes.length
        this.#passage.sentBytes = sizeBytes
        yield* Effect.yieldNow
      }
      const all = new Uint8Array(sizeBytes)
      let at = 0
      for (const part of parts) {
        all.set(part, at)
        at += part.length
      }
      return all
    })
  }

  #answer({ headers, status }: HttpResponse, body: Uint8Array): void {
    // What runs on after the power is off has nobody to tell.
    if (!this.#life.isOn || this.#isOver) return
    const told = new Map<string, string>()
    for (const [name, value] of headers) told.set(name.toLowerCase(), value)
    this.#passage.sentBytes = body.length
    this.#passage.isWhole = true
    this.#over()
    this.heard.answered(status, told, body.slice())
  }
}
