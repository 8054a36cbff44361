/** NodeTls on loopback: members speak to each other; everybody else is refused, logged, and leaves nothing behind. */
import { connect as connectPlain, type Socket } from "node:net"
import * as tls from "node:tls"
import { Cause, Effect, Exit, Logger, Queue, References, Schedule, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import { seededRandom } from "../../sim/Random.ts"
import { service as pairs } from "../../src/adapters/NodeKeyPairs.ts"
import { make, type TlsIdentity, type TlsLimits, type TlsNetwork } from "../../src/adapters/NodeTls.ts"
import { nodeDatagramBytesMax } from "../../src/base/clusterLimits.ts"
import { checkAuthority, checkCertificate, createAuthority, issueCertificate } from "../../src/membership/Authority.ts"
import { certificatePem, dnsNameOf, signingKeyPem } from "../../src/membership/Certificate.ts"
import type { Identity, NodeId } from "../../src/membership/Identity.ts"
import { MembershipError } from "../../src/membership/MembershipError.ts"
import { noRevocations, revoke, type RevocationList } from "../../src/membership/Revocations.ts"
import type { NetworkError } from "../../src/ports/Network.ts"
import { good, sceneOf, seedsOf, type Scene } from "../membership/fixtures.ts"

const now = (): number => Date.now()
const hourMs = 3_600_000

/** A cluster of today: OpenSSL looks at the machine's clock. */
const clusterOf = (seed: number): Scene => {
  const scene = sceneOf(seed, pairs)
  const authority = createAuthority(pairs, scene.cluster, scene.seed, { serial: seededRandom(seed).bytes(16), nowMs: now() })
  const random = seededRandom(seed + 50)
  return {
    ...scene, authority,
    certify: (identity, lifeMs, atMs = now()) => issueCertificate(authority, identity.shown, { serial: random.bytes(16), nowMs: atMs, ...(lifeMs === undefined ? {} : { lifeMs }) })
  }
}

const home = clusterOf(1)
const abroad = clusterOf(2)
const [first, second, third] = [home.node(11), home.node(12), home.node(13)]
const shownBy = (scene: Scene, seed: number, certificate?: Uint8Array): TlsIdentity => ({
  certificate: certificatePem(certificate ?? scene.certify(scene.node(seed))), key: signingKeyPem(seedsOf(seed).subarray(0, 32)), authority: certificatePem(scene.authority.certificate)
})

interface Place {
  readonly network: TlsNetwork
  readonly inbox: Queue.Dequeue<{ readonly from: string; readonly bytes: Uint8Array }>
}

/** What the test knows of everybody: where they listen, who is a member, what was revoked, what was logged. */
class Town {
  readonly ports = new Map<string, number>()
  readonly members = new Set<string>([first.id, second.id])
  readonly log: Array<string> = []
  revoked: RevocationList = noRevocations(home.cluster)

  open(identity: Identity, seed: number, limits: Partial<TlsLimits> = {}, shown: TlsIdentity = shownBy(home, seed)): Effect.Effect<Place, NetworkError, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const network = yield* make({
        self: identity.id, host: "127.0.0.1", port: 0, identity: shown, limits,
        judge: (bytes) => {
          const certificate = checkCertificate(pairs, good(checkAuthority(pairs, home.authority.certificate, now())), bytes, now(), this.revoked)
          if (certificate instanceof MembershipError) return { refused: certificate.message }
          return this.members.has(certificate.node!) ? { node: certificate.node! } : { refused: `node ${certificate.node} is no member` }
        },
        addressOf: (node) => {
          const port = this.ports.get(node)
          return port === undefined ? undefined : { host: "127.0.0.1", port }
        },
        nameOf: (node) => dnsNameOf(node as NodeId)
      })
      this.ports.set(identity.id, network.port)
      return { network, inbox: yield* network.listen(identity.id) }
    })
  }

  run<A>(effect: Effect.Effect<A, NetworkError, Scope.Scope>): Promise<A> {
    const logger = Logger.make(({ message }) => { this.log.push(String(message)) })
    return Effect.runPromise(Effect.scoped(effect).pipe(Effect.provide(Logger.layer([logger])), Effect.provideService(References.MinimumLogLevel, "Debug"), Effect.timeout("20 seconds"), Effect.orDie))
  }
}

/** Asks again and again until it is so: TLS tells one side before the other. */
const until = (isSo: () => boolean): Effect.Effect<void> => Effect.suspend(() => (isSo() ? Effect.void : Effect.andThen(Effect.sleep("5 millis"), until(isSo))))

const hello = Buffer.from("hello")
const send = (from: Place, to: Identity, bytes: Uint8Array = hello) => from.network.send(to.id, bytes)
const errorOf = (exit: Exit.Exit<unknown, NetworkError>): string => (Exit.isFailure(exit) ? (Cause.squash(exit.cause) as NetworkError).detail : "no error")

/** A client of the test's own, which shows what a member never would; resolves once the server has closed it. */
const stranger = (port: number, options: tls.ConnectionOptions, then: (socket: tls.TLSSocket) => void = () => undefined) =>
  Effect.callback<void>((resume) => {
    const socket = tls.connect({
      host: "127.0.0.1", port, servername: dnsNameOf(first.id), ca: certificatePem(home.authority.certificate), minVersion: "TLSv1.3", ecdhCurve: "X25519MLKEM768", ALPNProtocols: ["ouroboros/1"], ...options
    }, () => then(socket))
    socket.on("data", () => undefined)
    socket.on("error", () => undefined)
    socket.on("close", () => resume(Effect.void))
  })

const plain = (port: number, then: (socket: Socket) => void) =>
  Effect.callback<void>((resume) => {
    const socket = connectPlain({ host: "127.0.0.1", port }, () => then(socket))
    socket.on("data", () => undefined)
    socket.on("error", () => undefined)
    socket.on("close", () => resume(Effect.void))
  })

const withKey = ({ certificate, key }: TlsIdentity): tls.ConnectionOptions => ({ cert: certificate, key })

describe("tls between nodes", () => {
  it("tls: members speak both ways over one connection, of TLS 1.3, X25519MLKEM768 and ML-DSA-65", async () => {
    const town = new Town()
    await town.run(Effect.gen(function* () {
      const [a, b] = [yield* town.open(first, 11), yield* town.open(second, 12)]
      for (const size of [1, 5, 70_000, nodeDatagramBytesMax]) {
        const bytes = seededRandom(size).bytes(size)
        yield* send(a, second, bytes)
        expect(yield* Queue.take(b.inbox)).toEqual({ from: first.id, bytes })
      }
      yield* send(b, first)
      expect((yield* Queue.take(a.inbox)).from).toBe(second.id)
      expect([a.network.counts(), b.network.counts()]).toEqual([{ open: 1, handshakes: 0, refused: 0 }, { open: 1, handshakes: 0, refused: 0 }])
      expect(errorOf(yield* Effect.exit(send(a, second, new Uint8Array(nodeDatagramBytesMax + 1))))).toContain("are sent")
      expect(errorOf(yield* Effect.exit(send(a, third)))).toBe("nobody knows where it is")
    }))
    expect(town.log).toEqual([])
  })

  it("tls: who is sent to while there is no connection waits for one handshake, and all of it comes in order", async () => {
    const town = new Town()
    await town.run(Effect.gen(function* () {
      const [a, b] = [yield* town.open(first, 11), yield* town.open(second, 12)]
      yield* Effect.forEach(Array.from({ length: 50 }, (_, index) => Uint8Array.of(1, index)), (bytes) => send(a, second, bytes), { concurrency: "unbounded" })
      const got = yield* Effect.forEach(Array.from({ length: 50 }), () => Queue.take(b.inbox))
      expect(got.map(({ bytes }) => bytes[1])).toEqual(Array.from({ length: 50 }, (_, index) => index))
      expect(a.network.counts().open).toBe(1)
    }))
  })

  const refusals: ReadonlyArray<readonly [name: string, shown: () => tls.ConnectionOptions, why: RegExp]> = [
    ["an expired certificate", () => withKey(shownBy(home, 12, home.certify(second, hourMs, now() - 5 * hourMs))), /CERT_HAS_EXPIRED/],
    ["a certificate of tomorrow", () => withKey(shownBy(home, 12, home.certify(second, hourMs, now() + 24 * hourMs))), /CERT_NOT_YET_VALID/],
    ["a foreign cluster's certificate", () => withKey(shownBy(abroad, 12)), /UNABLE_TO_GET_ISSUER_CERT|CERT_SIGNATURE_FAILURE|UNABLE_TO_VERIFY/],
    ["a certificate that it signed itself", () => withKey(selfSigned(12)), /UNABLE_TO|SIGNATURE|SELF/],
    ["no certificate", () => ({}), /did not return a certificate/],
    ["a certificate of somebody who is no member", () => withKey(shownBy(home, 13)), /is no member/],
    ["this node's own certificate", () => withKey(shownBy(home, 11)), /own certificate/],
    ["another protocol", () => ({ ...withKey(shownBy(home, 12)), ALPNProtocols: ["h2"] }), /no application protocol/],
    ["no protocol", () => ({ ...withKey(shownBy(home, 12)), ALPNProtocols: [] }), /no protocol|no application protocol/],
    ["TLS 1.2", () => ({ ...withKey(shownBy(home, 12)), minVersion: "TLSv1.2", maxVersion: "TLSv1.2", ecdhCurve: "auto" }), /version|unsupported|cipher/],
    ["a key exchange of before", () => ({ ...withKey(shownBy(home, 12)), ecdhCurve: "X25519" }), /key share|handshake/]
  ]

  it.each(refusals)("tls: %s is refused and logged; members go on", async (_, shown, why) => {
    const town = new Town()
    await town.run(Effect.gen(function* () {
      const [a, b] = [yield* town.open(first, 11), yield* town.open(second, 12)]
      yield* stranger(a.network.port, shown())
      yield* until(() => a.network.counts().refused === 1 && a.network.counts().handshakes === 0)
      expect(town.log.join("\n")).toMatch(why)
      expect(town.log[0]).toMatch(/^refused a connection of 127\.0\.0\.1:\d+: /)
      yield* send(b, first)
      expect((yield* Queue.take(a.inbox)).from).toBe(second.id)
      expect(a.network.counts()).toMatchObject({ open: 1, handshakes: 0 })
    }))
  })

  it("tls: a certificate that was revoked is refused, and an open connection of it ends when that becomes known", async () => {
    const town = new Town()
    await town.run(Effect.gen(function* () {
      const a = yield* town.open(first, 11)
      const certificate = home.certify(second)
      const b = yield* town.open(second, 12, {}, shownBy(home, 12, certificate))
      yield* send(b, first)
      yield* Queue.take(a.inbox)
      const read = good(checkCertificate(pairs, good(checkAuthority(pairs, home.authority.certificate, now())), certificate, now(), undefined))
      town.revoked = good(revoke(town.revoked, read, now()))
      yield* a.network.judgeAgain
      yield* until(() => a.network.counts().open === 0 && b.network.counts().open === 0)
      expect(town.log.join("\n")).toContain("was taken back")
      // TLS 1.3 lets the client believe for a moment that it is in: nothing of it arrives.
      yield* Effect.exit(send(b, first, Buffer.from("again")))
      yield* until(() => a.network.counts().refused >= 2 && a.network.counts().open === 0)
      expect(yield* Queue.size(a.inbox)).toBe(0)
      // With a renewed certificate it is let in again.
      yield* b.network.renew(shownBy(home, 12))
      yield* until(() => b.network.counts().open === 0)
      yield* send(b, first, Buffer.from("renewed"))
      expect(Buffer.from((yield* Queue.take(a.inbox)).bytes).toString()).toBe("renewed")
    }))
  })

  it("tls: whoever answers at an address must be the node that was meant, and hold a certificate of this cluster", async () => {
    const town = new Town()
    town.members.add(third.id)
    await town.run(Effect.gen(function* () {
      const [a, b] = [yield* town.open(first, 11), yield* town.open(second, 12)]
      town.ports.set(third.id, b.network.port)
      expect(errorOf(yield* Effect.exit(send(a, third)))).toContain("does not match certificate's altnames")
      // Right after that, nobody tries again.
      expect(errorOf(yield* Effect.exit(send(a, third)))).toContain("just now")
      expect(yield* Queue.size(b.inbox)).toBe(0)
      const impostor = yield* listener(shownBy(abroad, 12))
      town.ports.set(second.id, impostor)
      expect(errorOf(yield* Effect.exit(send(a, second)))).toMatch(/verify|self-signed|unable/)
      yield* until(() => a.network.counts().open === 0 && a.network.counts().handshakes === 0)
    }))
  })

  it("tls: plain text, 64 KiB of noise, half a handshake and silence: refused, and nothing is left open", async () => {
    const town = new Town()
    await town.run(Effect.gen(function* () {
      const [a, b] = [yield* town.open(first, 11, { handshakeMsMax: 300 }), yield* town.open(second, 12)]
      yield* plain(a.network.port, (socket) => socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n"))
      yield* plain(a.network.port, (socket) => socket.write(seededRandom(1).bytes(65_536)))
      yield* plain(a.network.port, (socket) => socket.write(Buffer.concat([Buffer.from([0x16, 3, 1, 0xff, 0xff]), seededRandom(2).bytes(65_535)])))
      yield* plain(a.network.port, (socket) => socket.write(Buffer.from([0x16, 3, 1, 1, 0])))
      yield* plain(a.network.port, () => undefined)
      yield* until(() => a.network.counts().refused >= 5 && a.network.counts().handshakes === 0)
      expect(a.network.counts()).toMatchObject({ open: 0, handshakes: 0 })
      expect(town.log.length).toBeGreaterThan(0)
      yield* send(b, first)
      expect((yield* Queue.take(a.inbox)).from).toBe(second.id)
    }))
  })

  it("tls: a member that announces too long a message is cut before any of it is read; so is one that stops half way", async () => {
    const town = new Town()
    await town.run(Effect.gen(function* () {
      const a = yield* town.open(first, 11, { stallMsMax: 300 })
      const member = withKey(shownBy(home, 12))
      for (const length of [nodeDatagramBytesMax + 1, 0xffff_ffff, 0]) {
        const head = Buffer.alloc(4)
        head.writeUInt32BE(length)
        yield* stranger(a.network.port, member, (socket) => socket.write(head))
      }
      yield* stranger(a.network.port, member, (socket) => socket.write(Buffer.from([0, 0, 1, 0, 5])))
      yield* stranger(a.network.port, member, (socket) => socket.write(Buffer.from([0, 0])))
      yield* until(() => a.network.counts().open === 0)
      expect(yield* Queue.size(a.inbox)).toBe(0)
      expect(town.log.filter((line) => line.includes(`1 to ${nodeDatagramBytesMax} are taken`)).length).toBe(3)
      expect(town.log.filter((line) => line.includes("stopped half way")).length).toBe(2)
    }))
  })

  it("tls: as many handshakes and connections as there may be, and no more; one that nobody uses is closed", async () => {
    const town = new Town()
    await town.run(Effect.gen(function* () {
      const a = yield* town.open(first, 11, { handshakesMax: 3, connectionsMax: 2, idleMsMax: 400, handshakeMsMax: 2000 })
      const waiting: Array<Socket> = []
      for (let count = 0; count < 3; count += 1) waiting.push(connectPlain({ host: "127.0.0.1", port: a.network.port }))
      for (const socket of waiting) socket.on("error", () => undefined)
      yield* until(() => a.network.counts().handshakes === 3)
      yield* plain(a.network.port, () => undefined)
      expect(a.network.counts()).toEqual({ open: 0, handshakes: 3, refused: 1 })
      for (const socket of waiting) socket.destroy()
      yield* until(() => a.network.counts().handshakes === 0)
      const b = yield* town.open(second, 12)
      yield* send(b, first)
      yield* Queue.take(a.inbox)
      yield* until(() => a.network.counts().open === 0 && b.network.counts().open === 0)
      yield* send(b, first)
      yield* Queue.take(a.inbox)
    }))
  })

  it("tls: a connection that was looked at again and again is closed all the same once nobody has used it, or once a message stops half way", async () => {
    const town = new Town()
    await town.run(Effect.gen(function* () {
      const a = yield* town.open(first, 11, { stallMsMax: 60, idleMsMax: 300 })
      const b = yield* town.open(second, 12)
      yield* send(b, first)
      yield* Queue.take(a.inbox)
      yield* until(() => a.network.counts().open === 0 && b.network.counts().open === 0)
      yield* stranger(a.network.port, withKey(shownBy(home, 12)), (socket) => {
        setTimeout(() => socket.write(Buffer.from([0, 0, 1])), 150)
      })
      yield* until(() => town.log.some((line) => line.includes("stopped half way")))
    }))
  })

  it("tls: a peer that is gone, and there again: sending fails, and works once it is back", async () => {
    const town = new Town()
    await town.run(Effect.gen(function* () {
      const a = yield* town.open(first, 11)
      const port = yield* Effect.scoped(Effect.gen(function* () {
        const b = yield* town.open(second, 12)
        yield* send(a, second)
        yield* Queue.take(b.inbox)
        return b.network.port
      }))
      yield* until(() => a.network.counts().open === 0)
      expect(errorOf(yield* Effect.exit(send(a, second)))).toContain(`127.0.0.1:${port}`)
      const b = yield* town.open(second, 12)
      yield* Effect.retry(send(a, second), Schedule.spaced("20 millis"))
      expect((yield* Queue.take(b.inbox)).from).toBe(first.id)
    }))
  })
})

/** Of its own authority, which calls itself as the cluster's does. */
const selfSigned = (seed: number): TlsIdentity => {
  const impostor = createAuthority(pairs, home.cluster, seededRandom(404).bytes(32), { serial: seededRandom(405).bytes(16), nowMs: now() })
  const certificate = issueCertificate(impostor, home.node(seed).shown, { serial: seededRandom(406).bytes(16), nowMs: now() })
  return { certificate: certificatePem(certificate), key: signingKeyPem(seedsOf(seed).subarray(0, 32)), authority: certificatePem(impostor.certificate) }
}

const listener = (shown: TlsIdentity): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<tls.Server>((resume) => {
      const server = tls.createServer({ cert: shown.certificate, key: shown.key, ALPNProtocols: ["ouroboros/1"] })
      server.on("tlsClientError", (_, socket) => socket.destroy())
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  ).pipe(Effect.map((server) => (server.address() as { readonly port: number }).port))
