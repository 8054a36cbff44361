/**
 * TlsLink: one connection between two nodes, after its handshake: datagrams on a stream of bytes, each behind four bytes of length, which is judged
 * before anything is allocated. Between NodeTls, which makes and keeps connections, and the socket.
 */
import type { TLSSocket } from "node:tls"
import { nodeDatagramBytesMax, nodeIdleMsMax, nodeStallMsMax } from "../base/clusterLimits.ts"

const lengthBytes = 4

export interface LinkLimits {
  readonly idleMsMax: number
  readonly stallMsMax: number
}

export const linkLimits: LinkLimits = { idleMsMax: nodeIdleMsMax, stallMsMax: nodeStallMsMax }

export interface LinkEvents {
  readonly received: (bytes: Uint8Array) => void
  /** Once; undefined: in good order. */
  readonly closed: (why: string | undefined) => void
}

export class TlsLink {
  readonly socket: TLSSocket
  /** Of the certificate that the other side has shown. */
  readonly node: string
  readonly certificate: Uint8Array
  readonly #events: LinkEvents
  readonly #limits: LinkLimits
  /** Of the next datagram: its length as far as it has come, then its bytes. */
  readonly #length = Buffer.alloc(lengthBytes)
  #lengthFilled = 0
  #datagram: Buffer | undefined
  #filled = 0
  #movedMs = performance.now()
  #why: string | undefined

  constructor(socket: TLSSocket, node: string, certificate: Uint8Array, events: LinkEvents, limits: LinkLimits) {
    this.socket = socket
    this.node = node
    this.certificate = certificate
    this.#events = events
    this.#limits = limits
    socket.setNoDelay(true)
    socket.setKeepAlive(true, limits.stallMsMax)
    // Any movement begins it anew. A callback of setTimeout would be called once, and never after a look that found nothing amiss.
    socket.on("timeout", () => this.#isQuiet())
    socket.setTimeout(Math.min(limits.stallMsMax, limits.idleMsMax))
    socket.on("data", (chunk: Buffer) => this.#take(chunk))
    socket.on("error", (error) => { this.#why ??= error.message })
    socket.on("close", () => events.closed(this.#why))
    socket.on("end", () => socket.destroy())
  }

  get isOpen(): boolean {
    return this.socket.writable && !this.socket.destroyed
  }

  /** `done`: the system has taken it, or never will. */
  write(bytes: Uint8Array, done: (error: Error | null | undefined) => void): void {
    this.#movedMs = performance.now()
    const length = Buffer.alloc(lengthBytes)
    length.writeUInt32BE(bytes.length)
    this.socket.cork()
    this.socket.write(length)
    this.socket.write(bytes, done)
    this.socket.uncork()
  }

  close(why?: string): void {
    this.#why ??= why
    this.socket.destroy()
  }

  #isQuiet(): void {
    if (this.socket.writableLength > 0) return this.close(`nothing was taken for ${this.#limits.stallMsMax} ms`)
    if (this.#datagram !== undefined || this.#lengthFilled > 0) return this.close(`a message stopped half way for ${this.#limits.stallMsMax} ms`)
    if (performance.now() - this.#movedMs >= this.#limits.idleMsMax) return this.close()
    this.socket.setTimeout(Math.min(this.#limits.stallMsMax, this.#limits.idleMsMax))
  }

  #take(chunk: Buffer): void {
    this.#movedMs = performance.now()
    for (let at = 0; at < chunk.length && this.isOpen;) at += this.#datagram === undefined ? this.#takeLength(chunk, at) : this.#takeBytes(this.#datagram, chunk, at)
  }

  #takeLength(chunk: Buffer, at: number): number {
    const count = chunk.copy(this.#length, this.#lengthFilled, at)
    this.#lengthFilled += count
    if (this.#lengthFilled < lengthBytes) return count
    this.#lengthFilled = 0
    const length = this.#length.readUInt32BE()
    if (length === 0 || length > nodeDatagramBytesMax) this.close(`a message of ${length} bytes: 1 to ${nodeDatagramBytesMax} are taken`)
    else this.#datagram = Buffer.allocUnsafeSlow(length)
    return count
  }

  #takeBytes(datagram: Buffer, chunk: Buffer, at: number): number {
    const count = chunk.copy(datagram, this.#filled, at)
    this.#filled += count
    if (this.#filled < datagram.length) return count
    this.#datagram = undefined
    this.#filled = 0
    this.#events.received(new Uint8Array(datagram.buffer, datagram.byteOffset, datagram.length))
    return count
  }
}
