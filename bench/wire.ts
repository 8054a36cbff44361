/**
 * Wire: a client of HTTP/1.1 that costs next to nothing, for a node that shares the machine with it: raw keep-alive
 * sockets, requests signed and laid out before the clock starts, answers counted and not kept.
 */
import { connect, type Socket } from "node:net"
import { signRequest, unsignedPayload } from "../src/gateway/s3/SigV4.ts"
import { KiB } from "../src/base/limits.ts"
import type { BenchServer } from "./server.ts"

/** A request as it goes over the wire: its head, then the pieces of its body. */
export type Prepared = ReadonlyArray<Uint8Array>

export interface Answer {
  readonly status: number
  /** Of the body. */
  readonly sizeBytes: number
  /** From the request's first byte sent to the body's first byte here; to the head's end where there is no body. */
  readonly firstByteMs: number
  /** The body, of answers that were asked to be kept or that are errors. */
  readonly text: string
}

export interface Wire {
  readonly send: (request: Prepared, keep?: boolean) => Promise<Answer>
  readonly close: () => void
}

/** Signed now, good for 15 minutes; the body's pieces follow the head. */
export const prepare = (server: Pick<BenchServer, "port" | "accessKey" | "secretKey">, method: string, target: string, options: {
  readonly headers?: ReadonlyArray<readonly [string, string]>
  readonly body?: ReadonlyArray<Uint8Array>
} = {}): Prepared => {
  const host = `127.0.0.1:${server.port}`
  const signed = signRequest(
    { method, target, host, headers: options.headers ?? [] }, { ...server, region: "us-east-1" }, Date.now(), unsignedPayload
  )
  const body = options.body ?? []
  const length = body.reduce((sum, piece) => sum + piece.length, 0)
  const lines = signed.map(([name, value]) => `${name}: ${value}\r\n`).join("")
  const head = Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines}content-length: ${length}\r\n\r\n`, "latin1")
  // A small request is one write.
  return length > 0 && length <= 16 * KiB ? [Buffer.concat([head, ...body])] : [head, ...body]
}

interface Waiting {
  readonly keep: boolean
  readonly began: number
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

const headEnd = Buffer.from("\r\n\r\n")
const noBytes = Buffer.alloc(0)

/** What has come of an answer. */
class Reading {
  #head: Buffer = noBytes
  #kept: Array<Buffer> = []
  #status = 0
  #length = -1
  #seen = 0
  #firstMs = 0

  /** True once the whole answer is there. */
  take(bytes: Buffer, waiting: Waiting): boolean {
    if (this.#length < 0) {
      const all = this.#head.length === 0 ? bytes : Buffer.concat([this.#head, bytes])
      const end = all.indexOf(headEnd)
      if (end < 0) {
        this.#head = Buffer.from(all)
        return false
      }
      this.#readHead(all.toString("latin1", 0, end + 2), waiting)
      return this.#takeBody(all.subarray(end + 4), waiting)
    }
    return this.#takeBody(bytes, waiting)
  }

  answer(): Answer {
    return { status: this.#status, sizeBytes: this.#seen, firstByteMs: this.#firstMs, text: Buffer.concat(this.#kept).toString() }
  }

  #readHead(text: string, waiting: Waiting): void {
    this.#status = Number(text.slice(9, 12))
    const length = /\r\ncontent-length: (\d+)\r\n/i.exec(text)
    if (length === null && this.#status !== 204) throw new Error(`an answer without content-length:\n${text}`)
    this.#length = Number(length?.[1] ?? 0)
    if (this.#length === 0) this.#firstMs = performance.now() - waiting.began
  }

  #takeBody(bytes: Buffer, waiting: Waiting): boolean {
    if (this.#seen === 0 && bytes.length > 0) this.#firstMs = performance.now() - waiting.began
    this.#seen += bytes.length
    // The socket's buffer is used again for the next bytes.
    if (bytes.length > 0 && (waiting.keep || this.#status >= 300)) this.#kept.push(Buffer.from(bytes))
    return this.#seen >= this.#length
  }
}

/** One connection; one request at a time. */
export const openWire = async (port: number): Promise<Wire> => {
  let waiting: Waiting | undefined
  let reading = new Reading()
  const fail = (error: Error): void => {
    const failed = waiting
    waiting = undefined
    failed?.reject(error)
  }
  const onBytes = (count: number, buffer: Uint8Array): boolean => {
    if (waiting === undefined) return true
    try {
      if (!reading.take(Buffer.from(buffer.buffer, buffer.byteOffset, count), waiting)) return true
    } catch (error) {
      fail(error as Error)
      return true
    }
    const { resolve } = waiting
    const answer = reading.answer()
    waiting = undefined
    reading = new Reading()
    resolve(answer)
    return true
  }
  const socket = await new Promise<Socket>((resolve, reject) => {
    const opened = connect({ port, host: "127.0.0.1", noDelay: true, onread: { buffer: Buffer.alloc(256 * KiB), callback: onBytes } })
    opened.once("connect", () => resolve(opened))
    opened.once("error", reject)
  })
  socket.on("error", fail)
  socket.on("close", () => fail(new Error("the node closed the connection")))
  return {
    send: (request, keep = false) => new Promise((resolve, reject) => {
      waiting = { keep, began: performance.now(), resolve, reject }
      socket.cork()
      for (const piece of request) socket.write(piece)
      socket.uncork()
    }),
    close: () => socket.destroy()
  }
}

export interface Run {
  readonly seconds: number
  readonly answers: number
  readonly bytes: number
  readonly firstByteMs: ReadonlyArray<number>
}

/** All requests, `parallel` at a time; fails at the first answer that is not a success. */
export const runAll = async (port: number, requests: ReadonlyArray<Prepared>, parallel: number): Promise<Run> => {
  const wires = await Promise.all(Array.from({ length: parallel }, () => openWire(port)))
  try {
    let next = 0
    let bytes = 0
    const firstByteMs: Array<number> = []
    const lane = async (wire: Wire): Promise<void> => {
      for (;;) {
        const request = requests[next]
        next += 1
        if (request === undefined) return
        const answer = await wire.send(request)
        if (answer.status >= 300) throw new Error(`${request[0]?.toString().split("\r\n")[0]}: ${answer.status} ${answer.text}`)
        bytes += answer.sizeBytes
        firstByteMs.push(answer.firstByteMs)
      }
    }
    const start = performance.now()
    await Promise.all(wires.map(lane))
    return { seconds: (performance.now() - start) / 1000, answers: requests.length, bytes, firstByteMs }
  } finally {
    for (const wire of wires) wire.close()
  }
}
