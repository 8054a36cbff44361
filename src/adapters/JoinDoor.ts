/**
 * JoinDoor: the door for nodes that are no members yet, on the same port as NodeTls, told from members by their first bytes. Behind it is one ask and one answer, both bounded, and
 * nothing else: no name of a member, no stream, no second word. After the port of that name; between NodeTls, which accepts connections, and membership, which judges.
 *
 * 1. The stranger says "OBJN" and a version; 2. the member shows its authority's certificate, 3. which the stranger compares with the hash in its token; 4. TLS 1.3 as
 * between members, but for the stranger's certificate, of which there is none: the stranger validates the member's chain up to that authority. 5. The ask; 6. the answer.
 *
 * Strangers are few at once and few a second, whatever they come from: a door that is flooded harms nobody who is a member.
 */
import { constants } from "node:crypto"
import { connect as connectPlain, type Socket } from "node:net"
import * as tls from "node:tls"
import { Effect, Exit, Layer } from "effect"
import { membershipBytesMax, strangerAskBytesMax, strangerMsMax, strangersBurstMax, strangersMax, strangersPerSecond } from "../base/clusterLimits.ts"
import { JoinDoor, JoinDoorError, type JoinDoorService, type JoinDoorTrust } from "../ports/JoinDoor.ts"

/** Version 1 of what is said behind the door. */
const protocol = "ouroboros-join/1"
/** No TLS record begins so. */
export const joinPreamble: Uint8Array = Uint8Array.from([0x4f, 0x42, 0x4a, 0x4e, 1])
const authorityBytesMax = 16 * 1024

/** As between members; only members' own listeners ask for certificates besides. */
const secured = { minVersion: "TLSv1.3", maxVersion: "TLSv1.3", ecdhCurve: "X25519MLKEM768", sigalgs: "mldsa65", ALPNProtocols: [protocol], secureOptions: constants.SSL_OP_NO_TICKET } as const

export interface StrangersOptions {
  /** The authority's certificate, as DER. */
  readonly authority: Uint8Array
  /** Undefined: the door closes without a word. */
  readonly answer: (asked: Uint8Array, remote: string) => Effect.Effect<Uint8Array | undefined>
  readonly limits?: Partial<StrangersLimits>
}

export interface StrangersLimits {
  readonly strangersMax: number
  readonly strangerMsMax: number
  readonly perSecond: number
  readonly burstMax: number
}

interface Shown {
  readonly certificate: string
  readonly key: string
}

/** Runs what answers a stranger; returns how to give it up. */
export type StrangersRun = (effect: Effect.Effect<Uint8Array | undefined>, done: (answer: Uint8Array | undefined) => void) => () => void

/** The member's side. */
export class Strangers {
  readonly #server: tls.Server
  readonly #options: StrangersOptions
  readonly #limits: StrangersLimits
  readonly #run: StrangersRun
  readonly #refuse: (remote: string, why: string) => void
  readonly #inside = new Set<Socket>()
  #allowed: number
  #allowedMs = performance.now()

  constructor(options: StrangersOptions, shown: Shown, run: StrangersRun, refuse: (remote: string, why: string) => void) {
    this.#options = options
    this.#limits = { strangersMax, strangerMsMax, perSecond: strangersPerSecond, burstMax: strangersBurstMax, ...options.limits }
    this.#allowed = this.#limits.burstMax
    this.#run = run
    this.#refuse = refuse
    this.#server = tls.createServer({ ...secured, cert: shown.certificate, key: shown.key, handshakeTimeout: this.#limits.strangerMsMax })
    this.#server.on("secureConnection", (socket) => this.#hear(socket))
    this.#server.on("tlsClientError", (error, socket) => {
      refuse(socket.remoteAddress ?? "somebody", `at the door: ${error.message}`)
      socket.destroy()
    })
  }

  get count(): number {
    return this.#inside.size
  }

  renew({ certificate, key }: Shown): void {
    this.#server.setSecureContext({ ...secured, cert: certificate, key })
  }

  /** Its preamble is read. */
  enter(socket: Socket, remote: string): void {
    if (this.#inside.size >= this.#limits.strangersMax || !this.#isAllowed()) {
      this.#refuse(remote, `${this.#inside.size} strangers are at the door, or too many came just now`)
      socket.destroy()
      return
    }
    this.#inside.add(socket)
    const timer = setTimeout(() => {
      this.#refuse(remote, `at the door for ${this.#limits.strangerMsMax} ms`)
      socket.destroy()
    }, this.#limits.strangerMsMax)
    socket.on("error", () => undefined)
    socket.once("close", () => {
      clearTimeout(timer)
      this.#inside.delete(socket)
    })
    const { authority } = this.#options
    socket.write(framed(authority), () => { if (!socket.destroyed) this.#server.emit("connection", socket) })
  }

  close(): void {
    for (const socket of this.#inside) socket.destroy()
  }

  #isAllowed(): boolean {
    const { burstMax, perSecond } = this.#limits
    const nowMs = performance.now()
    this.#allowed = Math.min(burstMax, this.#allowed + (nowMs - this.#allowedMs) / 1000 * perSecond)
    this.#allowedMs = nowMs
    if (this.#allowed < 1) return false
    this.#allowed -= 1
    return true
  }

  #hear(socket: tls.TLSSocket): void {
    const remote = `${socket.remoteAddress ?? "somebody"}:${socket.remotePort ?? 0}`
    const refused = (why: string): void => {
      this.#refuse(remote, `at the door: ${why}`)
      socket.destroy()
    }
    if (socket.getProtocol() !== "TLSv1.3" || socket.alpnProtocol !== protocol) return refused(`speaks ${socket.alpnProtocol || "no protocol"}, not ${protocol}`)
    let stop: (() => void) | undefined
    socket.on("error", () => undefined)
    socket.once("close", () => stop?.())
    takeMessage(socket, strangerAskBytesMax, (message) => {
      if (typeof message === "string") return refused(message)
      stop = this.#run(this.#options.answer(message, remote), (answer) => {
        if (socket.destroyed) return
        if (answer === undefined) return void socket.destroy()
        socket.end(framed(answer))
      })
    })
  }
}

const framed = (bytes: Uint8Array): Uint8Array => {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

/** One message: its length is judged before anything is kept. What comes behind it is not read. */
const takeMessage = (socket: Socket, bytesMax: number, taken: (message: Uint8Array | string) => void): void => {
  let kept = Buffer.alloc(0)
  let isOver = false
  const end = (message: Uint8Array | string): void => {
    if (isOver) return
    isOver = true
    socket.off("data", more)
    socket.pause()
    taken(message)
  }
  const more = (chunk: Buffer): void => {
    kept = Buffer.concat([kept, chunk])
    if (kept.length < 4) return
    const length = kept.readUInt32BE()
    if (length === 0 || length > bytesMax) return end(`a message of ${length} bytes: 1 to ${bytesMax} are taken`)
    if (kept.length < 4 + length) return
    const message = Uint8Array.from(kept.subarray(4, 4 + length))
    // The beginning of a TLS handshake may have come along.
    if (kept.length > 4 + length) socket.unshift(kept.subarray(4 + length))
    end(message)
  }
  socket.on("data", more)
  socket.once("close", () => end("it was closed before all of a message had come"))
}

/** The stranger's side. `limits`: how long all of it may take. */
export const askAtDoor = (
  { host, port }: { readonly host: string; readonly port: number }, trust: JoinDoorTrust, bytes: Uint8Array, msMax: number = strangerMsMax
): Effect.Effect<Uint8Array, JoinDoorError> =>
  Effect.callback<Uint8Array, JoinDoorError>((resume) => {
    const raw = connectPlain({ host, port })
    const fail = (reason: JoinDoorError["reason"], detail: string): void => {
      resume(Effect.fail(new JoinDoorError({ address: `${host}:${port}`, reason, detail })))
      raw.destroy()
    }
    const timer = setTimeout(() => fail("Unreachable", `no answer within ${msMax} ms`), msMax)
    raw.once("close", () => clearTimeout(timer))
    raw.on("error", (error) => fail("Unreachable", error.message))
    raw.once("connect", () => raw.write(joinPreamble))
    takeMessage(raw, authorityBytesMax, (authority) => {
      if (typeof authority === "string") return fail("Closed", `it shows no authority: ${authority}: is that the address of a node (not of its S3), and does its cluster take strangers?`)
      const why = trust.whyNotAuthority(authority)
      if (why !== undefined) return fail("Foreign", why)
      askSecurely(raw, { host, authority, trust, bytes }, (answer) => {
        if (answer instanceof Uint8Array) resume(Effect.succeed(answer))
        else fail(answer.reason, answer.detail)
        raw.destroy()
      })
    })
    return Effect.sync(() => { raw.destroy() })
  })

interface Asked {
  readonly host: string
  readonly authority: Uint8Array
  readonly trust: JoinDoorTrust
  readonly bytes: Uint8Array
}

type Ended = Uint8Array | Pick<JoinDoorError, "detail" | "reason">

const askSecurely = (raw: Socket, { authority, bytes, host, trust }: Asked, ended: (answer: Ended) => void): void => {
  const pem = `-----BEGIN CERTIFICATE-----\n${Buffer.from(authority).toString("base64").replaceAll(/.{64}(?=.)/g, "$&\n")}\n-----END CERTIFICATE-----\n`
  let why: string | undefined
  const socket = tls.connect({
    ...secured, socket: raw, host, ca: pem, rejectUnauthorized: true,
    // Its name is not known yet; that it is a member's, of this authority, is.
    checkServerIdentity: (_, certificate) => {
      why = trust.whyNoMember(authority, certificate.raw)
      return why === undefined ? undefined : new Error(why)
    }
  })
  // Whoever cuts the connection has said nothing of who he is.
  socket.on("error", (error: NodeJS.ErrnoException) => ended({ reason: why === undefined && /^E[A-Z]+$/.test(error.code ?? "") ? "Closed" : "Foreign", detail: why ?? error.message }))
  socket.once("secureConnect", () => {
    if (!socket.authorized || socket.getProtocol() !== "TLSv1.3" || socket.alpnProtocol !== protocol) return ended({ reason: "Foreign", detail: `speaks ${socket.alpnProtocol || "no protocol"}, not ${protocol}` })
    takeMessage(socket, membershipBytesMax, (answer) => ended(typeof answer === "string" ? { reason: "Closed", detail: `${answer}: the token may be used, expired or unknown there, or the clocks far apart; its log says why` } : answer))
    socket.write(framed(bytes))
  })
}

export const strangersRunner = (fork: (effect: Effect.Effect<Uint8Array | undefined>) => { readonly addObserver: (seen: (exit: Exit.Exit<Uint8Array | undefined>) => void) => void; readonly interruptUnsafe: () => void }): StrangersRun =>
  (effect, done) => {
    const fiber = fork(effect)
    fiber.addObserver((exit) => done(Exit.isSuccess(exit) ? exit.value : undefined))
    return () => fiber.interruptUnsafe()
  }

export const service: JoinDoorService = { ask: askAtDoor }

export const layer: Layer.Layer<JoinDoor> = Layer.succeed(JoinDoor, service)
