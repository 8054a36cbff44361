/**
 * ClientConnection: the implementation of Client: one connection a request, over a wire with delays, that the world may cut.
 * It sits between a workload's fibers, on the clients' machine, and the listeners of the node's present life.
 */
import { Effect } from "effect"
import { toBase64, toUtf8 } from "../src/base/bytes.ts"
import { sha256Hex, type Signer, signRequest, uriEncode, unsignedPayload } from "../src/gateway/s3/SigV4.ts"
import type { BodyPlan, Outcome, Request, SimulatedClient } from "./Client.ts"
import type { Connection, SimulatedHttp } from "./HttpListener.ts"
import type { Machine } from "./Machine.ts"
import { accessKey, adminPort, s3Port, secretKey } from "./NodeTraits.ts"
import type { Random } from "./Random.ts"
import type { TimelineEvent } from "./Timeline.ts"

/** What a connection needs of its world. */
export interface Wire {
  readonly machine: Machine
  readonly random: Random
  /** True wall-clock time, with which requests are signed. */
  readonly dateMs: () => number
  /** Listeners of the node, while a process runs. */
  readonly http: () => SimulatedHttp | undefined
  /** Microseconds before a request is begun. */
  readonly holdUs: () => number
  /** Microseconds on the way, and whether the connection is cut now: asked for every message. */
  readonly delayUs: () => number
  readonly cuts: () => boolean
  /** Told of every request when it is sent, and of its outcome. */
  readonly sent: (request: Request) => void
  readonly heard: (request: Request, outcome: Outcome) => void
}

/** A client gives up after so long: longer than the node lets a body stall. */
const patienceUs = 180_000_000
/** Where nobody listens a client tries again before it gives up, and waits twice as long each time. */
const triesMax = 6
const firstPauseUs = 100_000
const empty = new Uint8Array()
const signer: Signer = { accessKey, secretKey, region: "us-east-1" }

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1")

const planOf = (body: Request["body"]): BodyPlan => (body === undefined ? { bytes: empty } : body instanceof Uint8Array ? { bytes: body } : body)

const targetOf = ({ path, query = {} }: Request): string => {
  const pairs = Object.entries(query).map(([name, value]) => (value === "" ? uriEncode(name) : `${uriEncode(name)}=${uriEncode(value)}`))
  return uriEncode(path, true) + (pairs.length === 0 ? "" : `?${pairs.join("&")}`)
}

const basic = `Basic ${toBase64(toUtf8(`${accessKey}:${secretKey}`))}`

const skewed = "RequestTimeTooSkewed"

const isSkewed = ({ body, headers }: Extract<Outcome, { readonly _tag: "Answered" }>): boolean =>
  headers.get("x-ouroboros-error") === skewed || latin1(body).includes(`<Code>${skewed}</Code>`)

export const makeClient = (wire: Wire): SimulatedClient => ({
  send: (request) => Effect.callback<Outcome>((resume) => {
    const exchange = new Exchange(wire, request, (outcome) => resume(Effect.succeed(outcome)))
    const us = wire.holdUs()
    if (us === 0) exchange.begin()
    else wire.machine.timeline.after(us, () => exchange.begin(), wire.machine.processor.life)
    return Effect.sync(() => exchange.leave("interrupted"))
  })
})

class Exchange {
  readonly #wire: Wire
  readonly #request: Request
  readonly #plan: BodyPlan
  readonly #done: (outcome: Outcome) => void
  #connection: Connection | undefined
  #patience: TimelineEvent | undefined
  #isOver = false

  constructor(wire: Wire, request: Request, done: (outcome: Outcome) => void) {
    this.#wire = wire
    this.#request = request
    this.#plan = planOf(request.body)
    this.#done = done
  }

  get #port(): number {
    return this.#request.to === "admin" ? adminPort : s3Port
  }

  begin(tries = 1): void {
    const { machine, random } = this.#wire
    // Whoever gave up before it was sent has sent nothing.
    if (this.#isOver) return
    if (tries < triesMax && this.#wire.http()?.listens(this.#port) !== true) {
      const pauseUs = firstPauseUs * 2 ** (tries - 1)
      machine.timeline.after(pauseUs + random.below(pauseUs), () => this.begin(tries + 1), machine.processor.life)
      return
    }
    this.#wire.sent(this.#request)
    this.#patience = machine.timeline.after(patienceUs, () => this.leave("no answer in time"), machine.processor.life)
    this.#later(0, () => this.#connect())
  }

  /** The client goes away: it will never know. */
  leave(why: string): void {
    if (this.#isOver) return
    const connection = this.#connection
    this.#settle({ _tag: "Unknown", why }, 0)
    this.#later(0, () => connection?.leave())
  }

  #later(us: number, run: () => void): void {
    this.#wire.machine.timeline.after(us + this.#wire.delayUs(), run)
  }

  #settle(outcome: Outcome, us: number): void {
    if (this.#isOver) return
    this.#isOver = true
    if (this.#patience !== undefined) this.#wire.machine.timeline.cancel(this.#patience)
    const settle = (): void => {
      this.#wire.heard(this.#request, outcome)
      this.#wire.machine.processor.post(() => this.#done(outcome))
    }
    if (us === 0) settle()
    else this.#wire.machine.timeline.after(us, settle)
  }

  #connect(): void {
    if (this.#isOver) return
    const { bytes, announcedBytes } = this.#plan
    const port = this.#port
    const head = {
      method: this.#request.method, target: targetOf(this.#request), headers: this.#headers(`node:${port}`),
      sizeBytes: announcedBytes === "Chunked" ? undefined : announcedBytes ?? bytes.length, remote: "client"
    }
    const connection = this.#wire.http()?.connect(port, head, {
      answered: (status, headers, body) => this.#answered({ _tag: "Answered", status, headers, body }),
      gone: (why) => this.#settle({ _tag: "Unknown", why }, this.#wire.delayUs())
    })
    if (connection === undefined) return this.#refused("nobody listens")
    this.#connection = connection
    if (this.#wire.cuts()) return this.#later(0, () => this.leave("the connection was cut"))
    this.#sendPiece(connection, 0, 0)
  }

  /** Whoever is refused tries no faster than this. */
  #refused(why: string): void {
    this.#settle({ _tag: "Refused", why }, 200_000 + this.#wire.random.below(800_000))
  }

  #answered(outcome: Extract<Outcome, { readonly _tag: "Answered" }>): void {
    // An answer may be lost on its way: the client cannot tell that from a request that was.
    if (this.#wire.cuts()) return this.#settle({ _tag: "Unknown", why: "the connection was cut" }, this.#wire.delayUs())
    // The node's clock is so far off that it believes no signature: nothing was looked at.
    if (outcome.status === 403 && isSkewed(outcome)) return this.#refused("the clocks are too far apart")
    this.#settle(outcome, this.#wire.delayUs())
  }

  /** Sends the piece with this index, which begins at `at`, and then the others. */
  #sendPiece(connection: Connection, index: number, at: number): void {
    const { abortsAfterBytes = Number.MAX_SAFE_INTEGER, announcedBytes, bytes, pieces = [], stalls = [] } = this.#plan
    const most = typeof announcedBytes === "number" ? Math.min(bytes.length, announcedBytes) : bytes.length
    if (this.#isOver) return
    if (at >= abortsAfterBytes) return this.leave("the client went away")
    if (at >= most) {
      // Who has announced more than there is falls silent, and waits for an answer.
      if (typeof announcedBytes !== "number" || announcedBytes <= bytes.length) connection.finish()
      return
    }
    const end = Math.min(most, abortsAfterBytes, at + Math.max(1, pieces[index] ?? bytes.length))
    const stallMs = stalls.find(({ piece }) => piece === index)?.ms ?? 0
    this.#later(stallMs * 1000, () => {
      if (this.#isOver) return
      connection.arrive(bytes.slice(at, end))
      this.#sendPiece(connection, index + 1, end)
    })
  }

  #headers(host: string): ReadonlyArray<readonly [string, string]> {
    const { headers = {}, method, to } = this.#request
    const { announcedBytes, bytes } = this.#plan
    const own = Object.entries(headers)
    const size: ReadonlyArray<readonly [string, string]> = announcedBytes === "Chunked"
      ? [["transfer-encoding", "chunked"]]
      : method === "GET" || method === "HEAD" ? [] : [["content-length", String(announcedBytes ?? bytes.length)]]
    if (to === "admin") return [...own, ...size, ["host", host], ["authorization", basic]]
    const isHashed = bytes.length > 0 && bytes.length % 2 === 0
    const payloadHash = headers["x-amz-content-sha256"] ?? (isHashed ? sha256Hex(latin1(bytes)) : unsignedPayload)
    const unsigned = { method, target: targetOf(this.#request), host, headers: own.filter(([name]) => name !== "x-amz-content-sha256") }
    return [...signRequest(unsigned, signer, this.#wire.dateMs(), payloadHash), ...size]
  }
}
