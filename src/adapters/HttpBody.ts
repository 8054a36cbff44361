/** HttpBody: the body of a request as the Body port: pulled, bounded by the socket's buffer. Used by NodeHttp. */
import type { IncomingMessage, ServerResponse } from "node:http"
import { Effect } from "effect"
import { httpDrainBytesMax, httpDrainMsMax } from "../base/limits.ts"
import { type Body, BodyError } from "../ports/Body.ts"
import type { Passage } from "../ports/HttpListener.ts"

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
  /** Called once something changed. */
  onChange: (() => void) | undefined

  constructor(request: IncomingMessage, passage: Passage) {
    this.#request = request
    this.#passage = passage
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

  #attach(): void {
    this.#attached = true
    const changed = (): void => this.onChange?.()
    this.#request.on("data", (piece: Buffer) => {
      this.#pieces.push(piece)
      this.#bytes += piece.length
      if (this.#bytes >= this.#request.readableHighWaterMark) this.#request.pause()
      changed()
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
  const arrivals = new Arrivals(request, passage)
  const next = Effect.callback<Uint8Array | undefined, BodyError>((resume) => {
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
    return Effect.sync(release)
  })
  const sizeBytes = announced(request)
  // A request without a body is handled before its parser says that it is complete.
  return { sizeBytes, next, unasked: () => unasked, isRead: () => request.complete || sizeBytes === 0 }
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
