/**
 * RequestBook: what a listener's requests leave behind: meters, a line of the log, a word on slow ones. It sits between
 * the handlers, which open an Exchange for each request and say what became of it, and Meters and the log.
 *
 * Hot path: two clock readings, a few additions; a line is made only where one is written.
 */
import { type Clock, Effect } from "effect"
import { type Counter, type Histogram, latencyBoundsSeconds, type Meters } from "../base/Meters.ts"
import { probe } from "../base/probes.ts"
import type { Follower, HttpRequest, Passage } from "../ports/HttpListener.ts"
import { categoryOfCut, type ErrorCategory } from "./ErrorCategory.ts"
import { redactTarget } from "./Redact.ts"

export interface RequestBookOptions {
  readonly meters: Meters
  /** Of the meters' names. */
  readonly listener: "s3" | "admin"
  /** A request on which the node itself spends this long or longer is named in the log. */
  readonly slowMs: number
  /** Somebody reads debug lines: every request gets one. */
  readonly logsAll: boolean
}

/** What one operation has counted. */
interface Account {
  readonly byStatus: Map<number, Counter>
  readonly seconds: Histogram
  readonly received: Counter
  readonly sent: Counter
}

export class RequestBook {
  readonly options: RequestBookOptions
  readonly #accounts = new Map<string, Account>()
  readonly #errors = new Map<ErrorCategory, Counter>()
  readonly #slow: Counter
  readonly #prefix: string

  constructor(options: RequestBookOptions) {
    this.options = options
    this.#prefix = `ouroboros_${options.listener}`
    this.#slow = options.meters.counter(`${this.#prefix}_slow_requests_total`, "Requests on which the node itself spent slowRequestMs or more.")
  }

  open(request: HttpRequest, requestId: string, clock: Clock.Clock): Exchange {
    return new Exchange(this, request, requestId, clock)
  }

  count(exchange: Exchange, passage: Passage, serverMs: number): void {
    const account = this.#accounts.get(exchange.operation) ?? this.#accountOf(exchange.operation)
    const counter = account.byStatus.get(exchange.status) ?? this.#statusOf(account, exchange)
    counter.add()
    account.seconds.record(serverMs / 1000)
    account.received.add(passage.receivedBytes)
    account.sent.add(passage.sentBytes)
    if (exchange.category !== undefined) this.countError(exchange.category)
    if (serverMs >= this.options.slowMs) this.#slow.add()
  }

  countError(category: ErrorCategory): void {
    let counter = this.#errors.get(category)
    if (counter === undefined) {
      counter = this.options.meters.counter("ouroboros_errors_total", "Requests that failed, by the category of what failed.", { category })
      this.#errors.set(category, counter)
    }
    counter.add()
  }

  #accountOf(operation: string): Account {
    const { meters } = this.options
    const made: Account = {
      byStatus: new Map(),
      seconds: meters.histogram(`${this.#prefix}_request_seconds`, "Time that the node spent on a request, without waiting for the client's bytes.",
        latencyBoundsSeconds, { operation }),
      received: meters.counter(`${this.#prefix}_received_bytes_total`, "Bytes of bodies that clients sent.", { operation }),
      sent: meters.counter(`${this.#prefix}_sent_bytes_total`, "Bytes of bodies that were sent to clients.", { operation })
    }
    this.#accounts.set(operation, made)
    return made
  }

  #statusOf(account: Account, { operation, status }: Exchange): Counter {
    const counter = this.options.meters.counter(`${this.#prefix}_requests_total`, "Requests by operation and status; 499: the client went away first.",
      { operation, status: String(status) })
    account.byStatus.set(status, counter)
    return counter
  }
}

/** The client went away before there was an answer (the number is nginx's). */
export const statusGone = 499

/** One request from its head to its end. */
export class Exchange implements Follower {
  readonly requestId: string
  readonly annotations: { readonly request: string; operation: string }
  /** As answered. */
  status = statusGone
  /** Why it failed; undefined where it did not. */
  category: ErrorCategory | undefined
  /** The code that the answer gives, where it is an error. */
  code: string | undefined
  readonly #book: RequestBook
  readonly #request: HttpRequest
  readonly #clock: Clock.Clock
  readonly #startedNanos: bigint
  #answeredNanos: bigint | undefined

  constructor(book: RequestBook, request: HttpRequest, requestId: string, clock: Clock.Clock) {
    this.requestId = requestId
    this.annotations = { request: requestId, operation: "Unknown" }
    this.#book = book
    this.#request = request
    this.#clock = clock
    this.#startedNanos = clock.monotonicTimeNanosUnsafe()
    if (request.passage !== undefined) request.passage.follower = this
  }

  get operation(): string {
    return this.annotations.operation
  }

  /** The name of an operation: of the router's table, never a client's word. */
  named(operation: string): void {
    this.annotations.operation = operation
  }

  answered(status: number): void {
    this.status = status
    this.#answeredNanos = this.#clock.monotonicTimeNanosUnsafe()
  }

  ended(passage: Passage): Effect.Effect<void> | undefined {
    const now = this.#clock.monotonicTimeNanosUnsafe()
    const untilAnswer = milliseconds(this.#startedNanos, this.#answeredNanos ?? now)
    // What is waited for while the node works besides may be counted off twice: never below nothing.
    const serverMs = Math.max(0, untilAnswer - passage.waitedMs) + passage.workedMs
    const isGone = this.#answeredNanos === undefined || !passage.isWhole
    if (passage.isBroken) this.category = "defect"
    else if (passage.failure !== undefined) this.category = categoryOfCut(passage.failure)
    else if (isGone) this.category ??= "gone"
    if (isGone) probe("gateway.clientGone")
    this.#book.count(this, passage, serverMs)
    const { logsAll, slowMs } = this.#book.options
    return serverMs >= slowMs || logsAll ? this.#line(passage, serverMs, milliseconds(this.#startedNanos, now), isGone) : undefined
  }

  #line(passage: Passage, serverMs: number, totalMs: number, isGone: boolean): Effect.Effect<void> {
    const { slowMs, logsAll } = this.#book.options
    const end = passage.isBroken || passage.failure !== undefined ? ", and broke off" : isGone ? ", and the client went away" : ""
    const about = {
      ...this.annotations, status: this.status, ...(this.code === undefined ? {} : { code: this.code }), receivedBytes: passage.receivedBytes, sentBytes: passage.sentBytes,
      totalMs: rounded(totalMs), serverMs: rounded(serverMs), remote: this.#request.remote,
      // Names of buckets and keys are sealed at rest: they are in the log only where somebody asked for every request.
      ...(logsAll ? { method: this.#request.method, target: redactTarget(this.#request.target) } : {})
    }
    const line = serverMs >= slowMs
      ? Effect.logWarning(`slow: ${this.operation} took the node ${rounded(serverMs)} ms (${rounded(totalMs)} ms in all)${end}`)
      : Effect.logDebug(`${this.operation} answered ${this.status}${end}`)
    return Effect.annotateLogs(line, about)
  }
}

const milliseconds = (from: bigint, to: bigint): number => Number(to - from) / 1e6
const rounded = (ms: number): number => Math.round(ms * 10) / 10
