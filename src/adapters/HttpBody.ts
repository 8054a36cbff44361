/** HttpBody: the body of a request as the Body port: pulled, bounded by the socket's buffer. Used by NodeHttp. */
import type { IncomingMessage, ServerResponse } from "node:http"
import { Effect } from "effect"
import { httpDrainBytesMax, httpDrainMsMax, httpStraightBytesMin } from "../base/httpLimits.ts"
import { type Body, BodyError } from "../ports/Body.ts"
import type { Passage } from "../ports/HttpListener.ts"
import { type BodySocket, bodySocketOf, handBack } from "./BodySocket.ts"

export interface RequestBody extends Body {
  /** The client waits for "100 Continue", and nobody pulled yet. */
  readonly unasked: () => boolean
  /** All of it is here: nothing that is still on its way stands between an answer and the next request. */
  readonly isRead: () => boolean
}

/** Announced length: undefined when chunked. A request with neither header has no body. */
const announced = (request: IncomingMessage): number | undefined =>
  request.headers["transfer-encoding"] === undefined ? Number(request.headers["content-length"] ?? 0) : undefined

/**
 * What arrived and was not pulled yet. Pieces are taken as they come from the socket: asking a stream for all that it
 * has would copy them together first.
 */
class Arrivals {
  readonly #request: IncomingMessage
  readonly #passage: Passage
  #pieces: Array<Uint8Array> = []
  #bytes = 0
  #attached = false
  /** Of the body, so far; those in hand included. */
  #arrivedBytes = 0
  readonly #sizeBytes: number | undefined
  #straight: BodySocket | undefined
  #isTaking = false
  /** Of the pull that waits. */
  #memory: Uint8Array | undefined
  /** Called once something changed. */
  onChange: (() => void) | undefined

  constructor(request: IncomingMessage, passage: Passage, sizeBytes: number | undefined) {
    this.#request = request
    this.#passage = passage
    this.#sizeBytes = sizeBytes
  }

  /** The next piece, the end, why there is none; or nothing, yet. */
  poll(): Effect.Effect<Uint8Array | undefined, BodyError> | undefined {
    const request = this.#request
    const piece = this.#pieces.shift()
    if (piece !== undefined) {
      this.#bytes -= piece.length
      this.#passage.receivedBytes += piece.length
      if (this.#bytes < request.readableHighWaterMark && request.isPaused()) request.resume()
      return Effect.succeed(piece)
    }
    if (request.readableEnded) return Effect.succeed(undefined)
    if (request.destroyed) return Effect.fail(new BodyError({ reason: "Aborted", detail: "the client went away" }))
    if (!this.#attached) this.#attach()
    return undefined
  }

  /** There is nothing now: what comes next may come into this memory. */
  await(memory: Uint8Array | undefined): void {
    this.#memory = memory
    if (this.#straight?.isTaken() === true) this.#straight.pull(memory)
    else if (memory !== undefined && !this.#isTaking && this.#leftBytes() >= httpStraightBytesMin) {
      this.#isTaking = true
      // Not now: the parser may be at work, further up.
      setImmediate(() => this.#take())
    }
  }

  #leftBytes(): number {
    return this.#sizeBytes === undefined ? 0 : this.#sizeBytes - this.#arrivedBytes
  }

  /** From here on the body comes straight from the socket, unless node:http has some of it in hand. */
  #take(): void {
    this.#isTaking = false
    const request = this.#request
    if (request.destroyed || request.readableLength > 0 || request.isPaused() || this.#leftBytes() < httpStraightBytesMin) return
    const socket = bodySocketOf(request)
    if (socket?.take(this.#leftBytes(), (piece) => this.#push(piece)) !== true) return
    this.#straight = socket
    if (this.onChange !== undefined) socket.pull(this.#memory)
  }

  #push(piece: Uint8Array): void {
    this.#pieces.push(piece)
    this.#bytes += piece.length
    this.#arrivedBytes += piece.length
    this.onChange?.()
  }

  #attach(): void {
    this.#attached = true
    const changed = (): void => this.onChange?.()
    this.#request.on("data", (piece: Buffer) => {
      if (this.#bytes + piece.length >= this.#request.readableHighWaterMark) this.#request.pause()
      this.#push(piece)
    }).on("end", changed).on("close", changed).on("error", changed)
  }
}

export const requestBody = (
  request: IncomingMessage,
  response: ServerResponse,
  expectsContinue: boolean,
  passage: Passage,
  stallMs: number
): RequestBody => {
  let unasked = expectsContinue
  const sizeBytes = announced(request)
  const arrivals = new Arrivals(request, passage, sizeBytes)
  const pull = (memory?: Uint8Array) => Effect.callback<Uint8Array | undefined, BodyError>((resume) => {
    if (unasked) {
      unasked = false
      response.writeContinue()
    }
    const answer = arrivals.poll()
    if (answer !== undefined) return resume(answer)
    const sinceMs = performance.now()
    const release = (): void => {
      clearTimeout(timer)
      passage.waitedMs += performance.now() - sinceMs
      arrivals.onChange = undefined
    }
    const timer = setTimeout(() => {
      release()
      resume(Effect.fail(new BodyError({ reason: "Stalled", detail: `nothing arrived for ${stallMs} ms` })))
    }, stallMs)
    arrivals.onChange = () => {
      const answer = arrivals.poll()
      if (answer === undefined) return
      release()
      resume(answer)
    }
    arrivals.await(memory)
    return Effect.sync(release)
  })
  // A request without a body is handled before its parser says that it is complete.
  return { sizeBytes, next: pull(), nextInto: pull, unasked: () => unasked, isRead: () => request.complete || sizeBytes === 0 }
}

/** True where the rest of an unread body is too much to read only to keep the connection. */
export const restIsLarge = (body: RequestBody): boolean =>
  !body.isRead() && (body.sizeBytes ?? Number.POSITIVE_INFINITY) > httpDrainBytesMax

/** Reads and throws away what is left, up to a bound; then the client has had its chance to read the answer. */
export const drain = (request: IncomingMessage): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (request.readableEnded || request.destroyed) return resume(Effect.void)
    let seen = 0
    const timer = setTimeout(() => done(), httpDrainMsMax)
    const onData = (bytes: Buffer): void => {
      seen += bytes.length
      if (seen > httpDrainBytesMax) done()
    }
    handBack(request)
    // Who pulled before pulls no more: nothing is kept for it.
    request.removeAllListeners("data")
    const done = (): void => {
      clearTimeout(timer)
      request.off("data", onData).off("end", done).off("close", done).pause()
      resume(Effect.void)
    }
    request.on("data", onData).on("end", done).on("close", done).resume()
    return Effect.sync(done)
  })
