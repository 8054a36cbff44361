/** HttpBody: the body of a request as the Body port: pulled, bounded by the socket's buffer. Used by NodeHttp. */
import type { IncomingMessage, ServerResponse } from "node:http"
import { Effect } from "effect"
import { httpDrainBytesMax, httpDrainMsMax, httpStallMsMax } from "../base/limits.ts"
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

export const requestBody = (
  request: IncomingMessage,
  response: ServerResponse,
  expectsContinue: boolean,
  passage: Passage,
  stallMs: number = httpStallMsMax
): RequestBody => {
  let unasked = expectsContinue
  const next = Effect.callback<Uint8Array | undefined, BodyError>((resume) => {
    if (unasked) {
      unasked = false
      response.writeContinue()
    }
    const release = (): void => {
      clearTimeout(timer)
      passage.waitedMs += performance.now() - sinceMs
      request.off("readable", onReadable).off("end", onReadable).off("close", onReadable).off("error", onReadable)
    }
    const poll = (): Effect.Effect<Uint8Array | undefined, BodyError> | undefined => {
      const bytes = request.destroyed && !request.complete ? null : (request.read() as Buffer | null)
      if (bytes !== null && bytes.length > 0) {
        passage.receivedBytes += bytes.length
        return Effect.succeed(bytes)
      }
      if (request.readableEnded) return Effect.succeed(undefined)
      if (request.destroyed) return Effect.fail(new BodyError({ reason: "Aborted", detail: "the client went away" }))
      return undefined
    }
    const onReadable = (): void => {
      const answer = poll()
      if (answer === undefined) return
      release()
      resume(answer)
    }
    const answer = poll()
    if (answer !== undefined) return resume(answer)
    const sinceMs = performance.now()
    const timer = setTimeout(() => {
      release()
      resume(Effect.fail(new BodyError({ reason: "Stalled", detail: `nothing arrived for ${stallMs} ms` })))
    }, stallMs)
    request.on("readable", onReadable).on("end", onReadable).on("close", onReadable).on("error", onReadable)
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
    const done = (): void => {
      clearTimeout(timer)
      request.off("data", onData).off("end", done).off("close", done).pause()
      resume(Effect.void)
    }
    request.on("data", onData).on("end", done).on("close", done).resume()
    return Effect.sync(done)
  })
