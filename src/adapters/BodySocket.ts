/**
 * BodySocket: a long body's bytes from the kernel straight into the memory of who pulls them. Used by HttpBody, for
 * connections without TLS.
 *
 * node:http reads 64 KiB at a time into a buffer of its parser, and copies them out of it into new memory for each piece: on
 * the way into a unit a byte is copied twice, and the collector has 16 buffers a MiB to do with. There is no documented way around:
 * what net offers for sockets of clients (`onread`) is reached here by the handle's methods behind it. Where the
 * runtime lacks one of them, `bodySocketOf` gives nothing and node:http goes on as ever.
 *
 * While a body is taken here, its parser stands aside: it is shown each piece, so that it knows where the body ends, but
 * hands none out. It is back in its place for whatever follows the body.
 */
import type { IncomingMessage } from "node:http"
import type { Socket } from "node:net"
import { copyInto, copyOf } from "../base/bytes.ts"
import { httpSpareBytes } from "../base/httpLimits.ts"

/** A connection's stream in the runtime, as net.Socket has it. */
interface Handle {
  reading: boolean
  /** Called when something was read, or will never be again; what it returns is read into from then on. */
  onread: (...read: ReadonlyArray<unknown>) => Uint8Array | undefined
  readonly bytesRead: number
  readonly readStart: () => void
  readonly readStop: () => void
  /** Reads go into this memory, until `onread` names other. */
  readonly useUserBuffer: (memory: Uint8Array) => void
}

/** node:http's, of one connection. By the number `kOnBody` it has what it calls with the bytes of bodies. */
interface Parser {
  readonly constructor: { readonly kOnBody?: number }
  readonly consume: (handle: Handle) => void
  readonly unconsume: () => void
  readonly execute: (bytes: Uint8Array) => unknown
  [event: number]: unknown
}

type Inside = Socket & { readonly _handle?: Partial<Handle> | null; readonly parser?: Partial<Parser> | null; readonly encrypted?: boolean }

const known = new WeakMap<Socket, BodySocket>()

/** Nothing where the runtime is another one than the one we know, or TLS stands between. */
export const bodySocketOf = ({ socket }: IncomingMessage): BodySocket | undefined => {
  const there = known.get(socket)
  if (there !== undefined) return there
  const { _handle: handle, encrypted, parser } = socket as Inside
  const isKnown = handle !== undefined && handle !== null && parser !== undefined && parser !== null && encrypted !== true && typeof parser.constructor?.kOnBody === "number" &&
    typeof handle.onread === "function" && typeof handle.bytesRead === "number" &&
    [handle.readStart, handle.readStop, handle.useUserBuffer, parser.consume, parser.unconsume, parser.execute].every((method) => typeof method === "function")
  if (!isKnown) return undefined
  const made = new BodySocket(socket, handle as Handle)
  known.set(socket, made)
  return made
}

/** Gives a body that nobody will pull any further back to node:http. */
export const handBack = ({ socket }: IncomingMessage): void => known.get(socket)?.handBack()

/** What comes while nobody has said where it shall go: all sockets', since each piece is copied before the next is read. */
const spare = new Uint8Array(httpSpareBytes)

export class BodySocket {
  readonly #socket: Socket
  readonly #handle: Handle
  readonly #ordinary: Handle["onread"]
  /** Where the kernel's next bytes go. The runtime knows only the address: it must not be the collector's while reads may come. */
  #buffer: Uint8Array = spare
  #installed = false
  /** Another's memory was left with the runtime: never again on this connection. */
  #spent = false
  /** Of the body that is taken here. */
  #left = 0
  #seen = 0
  #wanted: Uint8Array | undefined
  #arrived: ((bytes: Uint8Array) => void) | undefined

  constructor(socket: Socket, handle: Handle) {
    this.#socket = socket
    this.#handle = handle
    this.#ordinary = handle.onread
  }

  isTaken(): boolean {
    return this.#arrived !== undefined
  }

  /**
   * The next `leftBytes`, more than the spare memory has room for, are taken here and given to `arrived`, none before it
   * is pulled. Not from within a callback of the parser. False where that cannot be.
   */
  take(leftBytes: number, arrived: (bytes: Uint8Array) => void): boolean {
    const parser = this.#parser()
    if (this.#spent || parser === undefined || leftBytes <= spare.length) return false
    this.#handle.readStop()
    this.#handle.reading = false
    parser.unconsume()
    if (!this.#installed) this.#handle.useUserBuffer(this.#buffer)
    this.#installed = true
    this.#handle.onread = this.#onRead
    this.#seen = this.#handle.bytesRead
    this.#left = leftBytes
    this.#arrived = arrived
    return true
  }

  /** Asks for the next bytes, at the start of `memory` where they can be put there, else in memory of their own. */
  pull(memory: Uint8Array | undefined): void {
    this.#wanted = memory
    if (!this.#handle.reading) this.#start()
  }

  /** What was pulled is not waited for any more; it may still come. */
  handBack(): void {
    if (this.#arrived === undefined) return
    this.#spent ||= this.#buffer.buffer !== spare.buffer
    this.#release()
    if (!this.#socket.destroyed) this.#start()
  }

  #parser(): Parser | undefined {
    const { destroyed, parser } = this.#socket as Inside
    return destroyed || parser === undefined || parser === null ? undefined : parser as Parser
  }

  #start(): void {
    this.#handle.reading = true
    this.#handle.readStart()
  }

  #release(): void {
    this.#arrived = undefined
    this.#wanted = undefined
    this.#handle.onread = this.#ordinary
    this.#parser()?.consume(this.#handle)
  }

  readonly #onRead = (...read: ReadonlyArray<unknown>): Uint8Array | undefined => {
    const count = this.#handle.bytesRead - this.#seen
    // Nothing yet, the end, or an error: net knows which, and node:http what that means in the middle of a body.
    if (count <= 0) return this.#ordinary.call(this.#handle, ...read)
    this.#seen += count
    this.#left -= count
    const arrived = this.#arrived!
    const bytes = this.#placed(this.#buffer.subarray(0, count))
    const isFollowed = this.#show(bytes)
    if (this.#left === 0 || !isFollowed) this.#release()
    if (isFollowed) arrived(bytes)
    else this.#socket.destroy()
    return this.#next()
  }

  /** In the memory that was asked for, or in memory of their own: never in the spare one, which others use. */
  #placed(bytes: Uint8Array): Uint8Array {
    const wanted = this.#wanted
    this.#wanted = undefined
    if (bytes.buffer !== spare.buffer) return bytes
    if (wanted === undefined || wanted.length < bytes.length) return copyOf(bytes)
    copyInto(wanted, 0, bytes)
    return wanted.subarray(0, bytes.length)
  }

  /** The parser counts them; without a listener for them it copies nothing. */
  #show(bytes: Uint8Array): boolean {
    const parser = this.#parser()
    if (parser === undefined) return false
    const event = parser.constructor.kOnBody!
    const listener = parser[event]
    parser[event] = undefined
    try {
      return !(parser.execute(bytes) instanceof Error)
    } finally {
      parser[event] = listener
    }
  }

  /** Where the next read goes: never beyond the end of the body. Nothing is read that nobody asked for. */
  #next(): Uint8Array {
    const wanted = this.#wanted ?? spare
    this.#buffer = this.#arrived === undefined || wanted.length === 0 ? spare : wanted.subarray(0, Math.min(wanted.length, this.#left))
    if (this.#arrived !== undefined && this.#wanted === undefined && this.#handle.reading) {
      this.#handle.reading = false
      this.#handle.readStop()
    }
    return this.#buffer
  }
}
