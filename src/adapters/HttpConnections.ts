/**
 * HttpConnections: the connections of one listener: how many there are, which are too many, and whose turn it is on each.
 * Used by NodeHttp. Requests that a client pipelines are served one at a time, in their order: it never has more than
 * one under way on a connection.
 */
import type { Server } from "node:http"
import type { Socket } from "node:net"
import { httpConnectionsSpare } from "../base/httpLimits.ts"
import type { ConnectionCounts, HttpLimits } from "../ports/HttpListener.ts"

/** What waits behind the request under way. */
interface Line {
  /** Beyond the limit: its first request is refused, and it is closed. */
  readonly isSurplus: boolean
  isBusy: boolean
  readonly waiting: Array<() => void>
}

export class HttpConnections {
  readonly #limits: HttpLimits
  readonly #lines = new WeakMap<Socket, Line>()
  /** As they came: a TLS handshake may be still under way. */
  readonly #sockets = new Set<Socket>()
  #refused = 0

  /** `secure`: requests come on other sockets than connections do. */
  constructor(server: Server, secure: boolean, limits: HttpLimits) {
    this.#limits = limits
    // A few more than wanted are let in, to be told; what goes beyond that is closed unheard.
    server.maxConnections = limits.connectionsMax + httpConnectionsSpare
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once("close", () => this.#sockets.delete(socket))
    })
    server.on("drop", () => (this.#refused += 1))
    server.on(secure ? "secureConnection" : "connection", (socket: Socket) => {
      const isSurplus = this.#sockets.size > limits.connectionsMax
      if (isSurplus) this.#refused += 1
      this.#lines.set(socket, { isSurplus, isBusy: false, waiting: [] })
    })
  }

  counts(): ConnectionCounts {
    return { open: this.#sockets.size, max: this.#limits.connectionsMax, refused: this.#refused }
  }

  /** It can be spoken to: a TLS handshake, where there is one, is done. */
  isReady(socket: Socket): boolean {
    return this.#lines.has(socket)
  }

  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  isSurplus(socket: Socket): boolean {
    return this.#lines.get(socket)?.isSurplus ?? false
  }

  /** Runs when what came before on this connection is answered; one that queues up too much is cut. */
  inTurn(socket: Socket, begin: () => void): void {
    const line = this.#lines.get(socket)
    if (line === undefined || !line.isBusy) {
      if (line !== undefined) line.isBusy = true
      begin()
    } else if (line.waiting.length >= this.#limits.pipelinedMax) {
      socket.destroy()
    } else {
      line.waiting.push(begin)
    }
  }

  /** The answer is out, or the connection gone. */
  done(socket: Socket): void {
    const line = this.#lines.get(socket)
    if (line === undefined) return
    line.isBusy = false
    if (socket.destroyed) {
      line.waiting.length = 0
      return
    }
    const next = line.waiting.shift()
    if (next === undefined) return
    line.isBusy = true
    next()
  }
}
