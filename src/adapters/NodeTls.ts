/**
 * NodeTls: the Network port over TLS 1.3 between the nodes of a cluster: addresses are node ids. Both sides show a certificate, OpenSSL validates its chain up to
 * the cluster's authority, and `judge` says whose it is and whether it still counts; there is no way around either. Keys are agreed on by X25519MLKEM768,
 * certificates are ML-DSA-65's. One connection a peer is enough; where both have dialled there may be two. Below the carrier, which loses nothing where a
 * connection does. Where `strangers` says so, nodes that are no members yet are told by their first byte and led to the door (JoinDoor).
 */
import { constants } from "node:crypto"
import { type AddressInfo, createServer, type Server, type Socket } from "node:net"
import * as tls from "node:tls"
import { Effect, Layer, Queue, type Scope } from "effect"
import { nodeConnectionsMax, nodeDatagramBytesMax, nodeHandshakeMsMax, nodeHandshakesMax, nodeQueuedMax, nodeRedialMs, nodeRedialMsMax, nodeRefusalLogMs } from "../base/clusterLimits.ts"
import type { Counter } from "../base/Meters.ts"
import { Metrics } from "../ports/Metrics.ts"
import { type Datagram, Network, NetworkError, type NetworkService } from "../ports/Network.ts"
import { joinPreamble, Strangers, type StrangersOptions, type StrangersRun, strangersRunner } from "./JoinDoor.ts"
import { type LinkLimits, linkLimits, TlsLink } from "./TlsLink.ts"

/** What a node shows, and whom it believes. PEM texts. */
export interface TlsIdentity {
  readonly certificate: string
  readonly key: string
  readonly authority: string
}

export interface TlsOptions {
  readonly self: string
  readonly host: string
  /** 0 takes a free port. */
  readonly port: number
  readonly identity: TlsIdentity
  /** Whose a certificate is that OpenSSL has validated (DER), or why it does not count: revoked, not a member's, other keys than the member's. */
  readonly judge: (certificate: Uint8Array) => { readonly node: string } | { readonly refused: string }
  /** Where a node is to be found; undefined: unknown. */
  readonly addressOf: (node: string) => { readonly host: string; readonly port: number } | undefined
  /** The name in a node's certificate. */
  readonly nameOf: (node: string) => string
  /** Undefined: only members are let in. */
  readonly strangers?: StrangersOptions
  readonly limits?: Partial<TlsLimits>
}

export interface TlsLimits extends LinkLimits {
  readonly connectionsMax: number
  readonly handshakesMax: number
  readonly handshakeMsMax: number
}

export interface TlsNetwork extends NetworkService {
  readonly host: string
  readonly port: number
  readonly counts: () => { readonly open: number; readonly handshakes: number; readonly refused: number }
  /** A renewed certificate, for connections to come. */
  readonly renew: (identity: TlsIdentity) => Effect.Effect<void, NetworkError>
  /** Judges the certificates of all open connections again: of a member that was removed, or whose certificate was taken back, none stays. */
  readonly judgeAgain: Effect.Effect<void>
}

/** Version 1 of what is said above TLS. */
const protocol = "ouroboros/1"

const secureOptions = ({ authority, certificate, key }: TlsIdentity) => ({
  ca: authority, cert: certificate, key, minVersion: "TLSv1.3", maxVersion: "TLSv1.3", ecdhCurve: "X25519MLKEM768", sigalgs: "mldsa65", ALPNProtocols: [protocol],
  // No session is resumed: every connection shows its certificates.
  secureOptions: constants.SSL_OP_NO_TICKET, rejectUnauthorized: true
} as const)

type Dialled = (link: TlsLink | NetworkError) => void

interface Dial {
  readonly waiting: Array<Dialled>
}

/** After a failure: not again before. */
interface Pause {
  readonly untilMs: number
  readonly pauseMs: number
}

class Connections {
  /** Accepts; what it accepts goes on to one of the two that speak TLS. */
  readonly listener: Server
  readonly #server: tls.Server
  readonly #strangers: Strangers | undefined
  readonly #options: TlsOptions
  readonly #limits: TlsLimits
  readonly #log: (line: string) => void
  readonly #refusals: Counter
  readonly #links = new Map<string, Set<TlsLink>>()
  /** With where they come from: a socket that has closed no longer knows. */
  readonly #handshakes = new Map<Socket, string>()
  readonly #dials = new Map<string, Dial>()
  readonly #pauses = new Map<string, Pause>()
  #identity: TlsIdentity
  #loggedMs = Number.NEGATIVE_INFINITY
  #unlogged = 0
  #isClosing = false
  refused = 0
  deliver: (datagram: Datagram) => void = () => undefined

  constructor(options: TlsOptions, log: (line: string) => void, refusals: Counter, run: StrangersRun) {
    this.#options = options
    this.#limits = { ...linkLimits, connectionsMax: nodeConnectionsMax, handshakesMax: nodeHandshakesMax, handshakeMsMax: nodeHandshakeMsMax, ...options.limits }
    this.#log = log
    this.#refusals = refusals
    this.#identity = options.identity
    this.listener = createServer((socket) => this.#accepted(socket))
    this.#server = tls.createServer({ ...secureOptions(options.identity), requestCert: true, handshakeTimeout: this.#limits.handshakeMsMax })
    this.#strangers = options.strangers === undefined ? undefined : new Strangers(options.strangers, options.identity, run, (remote, why) => this.#refuse(remote, why))
    this.#server.on("secureConnection", (socket) => this.#secured(socket, undefined))
    this.#server.on("tlsClientError", (error, socket) => {
      const raw = rawOf(socket)
      this.#refuse((raw && this.#handshakes.get(raw)) ?? remoteOf(socket), whyNot(socket, error))
      socket.destroy()
    })
    // Such as no file descriptor left for a connection: the listener goes on.
    this.listener.on("error", (error) => this.#log(`accepting a connection of a node: ${error.message}`))
  }

  get open(): number {
    let open = 0
    for (const links of this.#links.values()) open += links.size
    return open
  }

  get handshakes(): number {
    return this.#handshakes.size
  }

  renew(identity: TlsIdentity): void {
    this.#server.setSecureContext(secureOptions(identity))
    this.#strangers?.renew(identity)
    this.#identity = identity
  }

  judgeAgain(): void {
    for (const links of this.#links.values()) for (const link of links) {
      const verdict = this.#options.judge(link.certificate)
      if ("node" in verdict && verdict.node === link.node) continue
      this.#refuse(remoteOf(link.socket), "refused" in verdict ? verdict.refused : `the certificate is node ${verdict.node}'s by now`)
      link.close("its certificate no longer counts")
    }
  }

  send(to: string, bytes: Uint8Array, done: (error: NetworkError | undefined) => void): void {
    const write = (link: TlsLink): void => link.write(bytes, (error) => done(error ? failure(to, error.message) : undefined))
    const link = this.#linkTo(to)
    if (link !== undefined) return write(link)
    this.#dial(to, (dialled) => (dialled instanceof NetworkError ? done(dialled) : write(dialled)))
  }

  close(done: () => void): void {
    this.#isClosing = true
    this.listener.close(() => done())
    this.#strangers?.close()
    for (const links of this.#links.values()) for (const link of links) link.close()
    for (const socket of this.#handshakes.keys()) socket.destroy()
  }

  #linkTo(node: string): TlsLink | undefined {
    for (const link of this.#links.get(node) ?? []) if (link.isOpen) return link
    return undefined
  }

  /** A connection whose handshake is to come: as many as there may be, and no longer than that takes. */
  #accepted(socket: Socket): void {
    if (this.#isClosing || this.#handshakes.size >= this.#limits.handshakesMax || this.open >= this.#limits.connectionsMax) {
      this.#refuse(remoteOf(socket), `${this.#handshakes.size} handshakes and ${this.open} connections are open: no more are taken now`)
      socket.on("error", () => undefined)
      socket.destroy()
      return
    }
    this.#handshakes.set(socket, remoteOf(socket))
    // After whoever tells why it closed.
    socket.once("close", () => void setImmediate(() => this.#handshakes.delete(socket)))
    if (this.#strangers === undefined) this.#server.emit("connection", socket)
    else this.#sort(socket, this.#strangers)
  }

  /** By its first bytes: a member begins with TLS, a stranger says that it is one. */
  #sort(socket: Socket, strangers: Strangers): void {
    const remote = remoteOf(socket)
    const refused = (why: string): void => {
      this.#refuse(remote, why)
      socket.destroy()
    }
    const timer = setTimeout(() => refused(`said nothing for ${this.#limits.handshakeMsMax} ms`), this.#limits.handshakeMsMax)
    const sorted = (): void => {
      clearTimeout(timer)
      socket.off("readable", look)
    }
    const look = (): void => {
      const [first] = (socket.read(1) as Buffer | null) ?? []
      if (first === undefined) return
      socket.unshift(Uint8Array.of(first))
      const preamble = first === joinPreamble[0] ? (socket.read(joinPreamble.length) as Buffer | null) : undefined
      // The rest of it is on its way.
      if (preamble === null) return
      sorted()
      if (preamble === undefined) return void this.#server.emit("connection", socket)
      if (Buffer.compare(preamble, joinPreamble) !== 0) return refused("speaks neither TLS nor as one who asks to join")
      this.#handshakes.delete(socket)
      strangers.enter(socket, remote)
    }
    socket.on("error", () => undefined)
    socket.once("close", sorted)
    socket.on("readable", look)
  }

  /** `wanted`: who was dialled. The link, or why not. */
  #secured(socket: tls.TLSSocket, wanted: string | undefined): TlsLink | string {
    const raw = rawOf(socket)
    if (raw !== undefined) this.#handshakes.delete(raw)
    const certificate = socket.getPeerX509Certificate()?.raw
    const verdict = this.#verdictOn(socket, certificate)
    const refused = typeof verdict === "string" ? verdict : wanted !== undefined && verdict.node !== wanted ? `node ${verdict.node} answers, not ${wanted}` : undefined
    if (typeof verdict === "string" || refused !== undefined || certificate === undefined) {
      this.#refuse(remoteOf(socket), refused ?? "no certificate")
      socket.on("error", () => undefined)
      socket.destroy()
      return refused ?? "no certificate"
    }
    return this.#adopt(socket, verdict.node, certificate)
  }

  /** OpenSSL has validated the chain, or there would be no such socket: looked at all the same. */
  #verdictOn(socket: tls.TLSSocket, certificate: Uint8Array | undefined): { readonly node: string } | string {
    if (!socket.authorized || certificate === undefined) return `the certificate is not valid: ${String(socket.authorizationError)}`
    if (socket.getProtocol() !== "TLSv1.3" || socket.alpnProtocol !== protocol) return `speaks ${socket.getProtocol()} and ${socket.alpnProtocol || "no protocol"}, not TLSv1.3 and ${protocol}`
    const verdict = this.#options.judge(certificate)
    return "refused" in verdict ? verdict.refused : verdict.node === this.#options.self ? "shows this node's own certificate" : verdict
  }

  #adopt(socket: tls.TLSSocket, node: string, certificate: Uint8Array): TlsLink {
    const links = this.#links.get(node) ?? new Set()
    const remote = remoteOf(socket)
    const link: TlsLink = new TlsLink(socket, node, certificate, {
      received: (bytes) => this.deliver({ from: node, bytes }),
      closed: (why) => {
        links.delete(link)
        if (links.size === 0 && this.#links.get(node) === links) this.#links.delete(node)
        if (why !== undefined) this.#log(`the connection with node ${node.slice(0, 12)} (${remote}) ended: ${why}`)
      }
    }, this.#limits)
    this.#links.set(node, links.add(link))
    this.#pauses.delete(node)
    // Of many to one peer the oldest goes: it may be one that nobody has closed on the other side.
    if (links.size > linksOfPeerMax) for (const oldest of links) {
      oldest.close()
      break
    }
    return link
  }

  #dial(node: string, dialled: Dialled): void {
    const address = this.#options.addressOf(node)
    if (address === undefined) return dialled(failure(node, "nobody knows where it is"))
    const pause = this.#pauses.get(node)
    if (pause !== undefined && performance.now() < pause.untilMs) return dialled(failure(node, "it could not be reached just now"))
    const under = this.#dials.get(node)
    if (under !== undefined) {
      if (under.waiting.length >= nodeQueuedMax) return dialled(failure(node, "too much waits for its connection"))
      under.waiting.push(dialled)
      return
    }
    if (this.open + this.#dials.size >= this.#limits.connectionsMax || this.#isClosing) return dialled(failure(node, "no more connections are opened now"))
    const dial: Dial = { waiting: [dialled] }
    this.#dials.set(node, dial)
    const socket = tls.connect({ ...secureOptions(this.#identity), host: address.host, port: address.port, servername: this.#options.nameOf(node), timeout: this.#limits.handshakeMsMax })
    this.#follow(socket, node, dial, address)
  }

  #follow(socket: tls.TLSSocket, node: string, dial: Dial, address: { readonly host: string; readonly port: number }): void {
    const ended = (result: TlsLink | string): void => {
      if (this.#dials.get(node) !== dial) return
      this.#dials.delete(node)
      this.#handshakes.delete(socket)
      for (const [name, listener] of listeners) socket.off(name, listener)
      if (typeof result === "string") {
        socket.on("error", () => undefined)
        socket.destroy()
        const pauseMs = Math.min(2 * (this.#pauses.get(node)?.pauseMs ?? nodeRedialMs / 2), nodeRedialMsMax)
        this.#pauses.set(node, { pauseMs, untilMs: performance.now() + pauseMs })
      }
      for (const waiting of dial.waiting) waiting(typeof result === "string" ? failure(node, `${address.host}:${address.port}: ${result}`) : result)
    }
    const listeners: ReadonlyArray<readonly [string, (error: Error) => void]> = [
      ["error", (error) => ended(reasonOf(error))],
      ["timeout", () => ended(`no handshake within ${this.#limits.handshakeMsMax} ms`)],
      ["close", () => ended("the connection was closed in its handshake")],
      ["secureConnect", () => ended(this.#secured(socket, node))]
    ]
    this.#handshakes.set(socket, `${address.host}:${address.port}`)
    for (const [name, listener] of listeners) socket.on(name, listener)
  }

  #refuse(remote: string, why: string): void {
    this.refused += 1
    this.#refusals.add()
    if (performance.now() < this.#loggedMs + nodeRefusalLogMs) {
      this.#unlogged += 1
      return
    }
    this.#loggedMs = performance.now()
    const others = this.#unlogged === 0 ? "" : ` (${this.#unlogged} more since the last such line)`
    this.#unlogged = 0
    this.#log(`refused a connection of ${remote}: ${why}${others}`)
  }
}

const linksOfPeerMax = 4

const failure = (address: string, detail: string): NetworkError => new NetworkError({ operation: "send", address, detail })

const remoteOf = ({ remoteAddress, remotePort }: { readonly remoteAddress?: string | undefined; readonly remotePort?: number | undefined }): string =>
  `${remoteAddress ?? "somebody"}:${remotePort ?? 0}`

/** The socket below. Node has no public name for it; without it a log line has no address, and nothing else is amiss. */
const rawOf = (socket: tls.TLSSocket): Socket | undefined => (socket as { readonly _parent?: Socket })._parent

/** Of a certificate that OpenSSL has refused Node says no more than that the connection ended. */
const whyNot = ({ authorizationError }: tls.TLSSocket, error: Error): string =>
  authorizationError ? `the certificate is not valid: ${String(authorizationError)}` : reasonOf(error)

/** OpenSSL's reason is between the last colons but one; Node's is a sentence. */
const reasonOf = (error: Error): string => {
  const [, reason] = /error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):/.exec(error.message) ?? []
  return (reason ?? error.message).trim()
}

const start = (server: Server, { host, port }: TlsOptions): Effect.Effect<void, NetworkError> =>
  Effect.callback<void, NetworkError>((resume) => {
    const failed = (error: Error): void => resume(Effect.fail(new NetworkError({ operation: "listen", address: `${host}:${port}`, detail: error.message })))
    server.once("error", failed)
    server.listen(port, host, () => {
      server.off("error", failed)
      resume(Effect.void)
    })
  })

/** Listens until the scope closes; then every connection is closed. */
export const make = Effect.fnUntraced(function* (options: TlsOptions): Effect.fn.Return<TlsNetwork, NetworkError, Scope.Scope> {
  const context = yield* Effect.context()
  const fork = Effect.runForkWith(context)
  const refusals = (yield* Metrics).counter("ouroboros_node_connections_refused_total", "Connections between nodes that were refused: no valid certificate, no member's, too many.")
  const made = yield* Effect.try({
    try: () => new Connections(options, (line) => void fork(Effect.logWarning(line)), refusals, strangersRunner((answer) => fork(answer))),
    // A certificate or key that does not parse.
    catch: (error) => new NetworkError({ operation: "listen", address: `${options.host}:${options.port}`, detail: error instanceof Error ? error.message : String(error) })
  })
  yield* Effect.acquireRelease(start(made.listener, options), () => Effect.callback<void>((resume) => made.close(() => resume(Effect.void))))
  const { address, port } = made.listener.address() as AddressInfo
  return {
    host: address,
    port,
    counts: () => ({ open: made.open, handshakes: made.handshakes, refused: made.refused }),
    renew: (identity) => Effect.try({ try: () => made.renew(identity), catch: (error) => new NetworkError({ operation: "listen", address: options.self, detail: String(error) }) }),
    judgeAgain: Effect.sync(() => made.judgeAgain()),
    listen: (at) => Effect.gen(function* () {
      if (at !== options.self) return yield* new NetworkError({ operation: "listen", address: at, detail: `this node is ${options.self}` })
      const queue = yield* Effect.acquireRelease(Queue.dropping<Datagram>(nodeQueuedMax), Queue.shutdown)
      yield* Effect.acquireRelease(
        Effect.sync(() => { made.deliver = (datagram) => void Queue.offerUnsafe(queue, datagram) }),
        () => Effect.sync(() => { made.deliver = () => undefined })
      )
      return queue
    }),
    send: (to, bytes) => Effect.callback<void, NetworkError>((resume) => {
      if (bytes.length === 0 || bytes.length > nodeDatagramBytesMax) return resume(Effect.fail(failure(to, `${bytes.length} bytes: 1 to ${nodeDatagramBytesMax} are sent`)))
      made.send(to, bytes, (error) => resume(error === undefined ? Effect.void : Effect.fail(error)))
    })
  }
})

export const layer = (options: TlsOptions): Layer.Layer<Network, NetworkError> => Layer.effect(Network, make(options))
