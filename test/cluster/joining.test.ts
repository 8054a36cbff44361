/** Nodes that join a cluster over TLS on loopback: the right ones come in and speak with all; wrong, old and used tokens, denied nodes and noise do not. */
import { connect as connectPlain, createServer, type Socket } from "node:net"
import { Effect, Exit, Fiber, Logger, References, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import { seededEntropy } from "../../sim/Entropy.ts"
import { seededRandom } from "../../sim/Random.ts"
import { joinPreamble, service as door, type StrangersLimits } from "../../src/adapters/JoinDoor.ts"
import { service as pairs } from "../../src/adapters/NodeKeyPairs.ts"
import { make, type TlsNetwork } from "../../src/adapters/NodeTls.ts"
import { certificateMs, certificateRenewMs, strangerAskBytesMax } from "../../src/base/clusterLimits.ts"
import { type CarrierInterface, runCarrier } from "../../src/carrier/CarrierService.ts"
import { answerStranger, askAsMember, type Joined, joinCluster, type JoinError, type MembershipOver, membershipOverCarrier } from "../../src/cluster/Joining.ts"
import { issueCertificate } from "../../src/membership/Authority.ts"
import { certificatePem, dnsNameOf, readCertificate, signingKeyPem } from "../../src/membership/Certificate.ts"
import { encodePublicIdentity, type Identity, type NodeId } from "../../src/membership/Identity.ts"
import type { JoinToken } from "../../src/membership/JoinToken.ts"
import { addressIn, foundCluster, identitiesIn, judgeCertificate, type MembershipRecord, type MemberRow } from "../../src/membership/Membership.ts"
import { makeMembership, type MembershipInterface } from "../../src/membership/MembershipService.ts"
import { memoryMembership, type MemoryMembership, type MembershipStore, MembershipStoreError } from "../../src/membership/MembershipStoreService.ts"
import { JoinDoorError } from "../../src/ports/JoinDoor.ts"
import { good, sceneOf, seedsOf } from "../membership/fixtures.ts"

const scene = sceneOf(1, pairs)
const now = (): number => Date.now()
const topic = 77

/** One process of a node: its network, its carrier, what it knows of the members. */
interface Running {
  readonly identity: Identity
  readonly network: TlsNetwork
  readonly carrier: CarrierInterface
  readonly over: MembershipOver
  readonly membership: MembershipInterface
  record: MembershipRecord
}

type World = Scope.Scope

class Town {
  readonly log: Array<string> = []
  readonly running: Array<Running> = []

  /** `store`: of whoever decides; undefined: `leader` does. */
  open(seed: number, first: MembershipRecord, store: MembershipStore | undefined, leader: NodeId, limits: Partial<StrangersLimits> = {}, authority = first.authority): Effect.Effect<Running, never, World> {
    return Effect.orDie(Effect.gen({ self: this }, function*() {
      const identity = scene.node(seed)
      const about: { record: MembershipRecord; over: MembershipOver | undefined } = { record: first, over: undefined }
      const own = first.members.get(identity.id)!
      const network = yield* make({
        self: identity.id, host: "127.0.0.1", port: 0,
        identity: { certificate: certificatePem(own.certificate), key: signingKeyPem(seedsOf(seed).subarray(0, 32)), authority: certificatePem(first.authority) },
        judge: (bytes) => judgeCertificate(pairs, about.record, bytes, now()),
        addressOf: (node) => {
          const other = this.running.find((one) => one.identity.id === node)
          return other === undefined ? addressIn(about.record, node as NodeId) : { host: "127.0.0.1", port: other.network.port }
        },
        nameOf: (node) => dnsNameOf(node as NodeId),
        strangers: { authority, limits, answer: (asked, remote) => (about.over === undefined ? Effect.undefined : answerStranger(about.over)(asked, remote)) }
      })
      const entropy = seededEntropy(seededRandom(seed + 500))
      const carrier = yield* runCarrier({ cluster: first.cluster, self: identity, members: identitiesIn(first), network, pairs, entropy })
      yield* carrier.serve(topic, ({ bytes, from }) => Effect.succeed(Buffer.concat([bytes, Buffer.from(from.slice(0, 4))])))
      const elsewhere: MembershipStore = {
        read: Effect.suspend(() => Effect.fail(new MembershipStoreError({ reason: "NotLeader", leader, detail: "another node decides" }))),
        change: () => Effect.fail(new MembershipStoreError({ reason: "NotLeader", leader, detail: "another node decides" }))
      }
      const membership = makeMembership({ self: identity, pairs, entropy, store: store ?? elsewhere })
      about.over = yield* membershipOverCarrier({ carrier, membership })
      const one: Running = {
        identity, network, carrier, membership, over: about.over,
        get record() { return about.record },
        set record(record) { about.record = record }
      }
      this.running.push(one)
      return one
    }))
  }

  /** Everybody hears of it, as by the log of the cluster. */
  spread(record: MembershipRecord): Effect.Effect<void> {
    return Effect.forEach(this.running, (one) => Effect.suspend(() => {
      one.record = record
      return Effect.andThen(one.carrier.setMembers(identitiesIn(record)), one.network.judgeAgain)
    }), { discard: true })
  }

  /** A cluster of one, which decides. */
  found(seed = 11, limits: Partial<StrangersLimits> = {}): Effect.Effect<readonly [Running, MemoryMembership], never, World> {
    return Effect.gen({ self: this }, function*() {
      const random = seededRandom(seed)
      const first = foundCluster({
        pairs, cluster: scene.cluster, identity: scene.node(seed), authoritySeed: random.bytes(32), serials: [random.bytes(16), random.bytes(16)], name: "cellar", addresses: ["127.0.0.1:1"], nowMs: now()
      })
      const store = yield* memoryMembership(first, (record) => this.spread(record))
      return [yield* this.open(seed, first, store, scene.node(seed).id, limits), store] as const
    })
  }

  run<A>(effect: Effect.Effect<A, unknown, World>): Promise<A> {
    const logger = Logger.make(({ message }) => { this.log.push(String(message)) })
    return Effect.runPromise(Effect.scoped(effect).pipe(Effect.provide(Logger.layer([logger])), Effect.provideService(References.MinimumLogLevel, "Debug"), Effect.timeout("25 seconds"), Effect.orDie))
  }
}

const join = (seed: number, token: JoinToken, at: Running, onPending: Effect.Effect<void> = Effect.void) =>
  joinCluster({
    door, pairs, entropy: seededEntropy(seededRandom(seed + 900)), identity: scene.node(seed), token, at: [{ host: "127.0.0.1", port: at.network.port }], name: "attic", addresses: [`127.0.0.1:${9000 + seed}`], program: "0.1.0", onPending
  })

const reasonOf = <A>(exit: Exit.Exit<A, unknown>): string => (Exit.isFailure(exit) ? String(exit.cause) : "joined")

/** What a node that has joined knows. */
const recordOf = (town: Town, { authority, certificate, epoch, members, revocations, sealedAuthority }: Joined, self: NodeId): MembershipRecord => {
  const known = town.running[0]!.record
  const rows = new Map<NodeId, MemberRow>(known.members)
  const own = rows.get(self)!
  expect(own.certificate).toEqual(certificate)
  expect(members.length).toBe(rows.size)
  return { ...known, epoch, authority: authority.certificate, revocations, members: rows.set(self, { ...own, certificate, sealedAuthority }) }
}

const speaks = (from: Running, to: Running) =>
  Effect.map(from.carrier.ask(to.identity.id, topic, Buffer.from("hi "), { level: 2, deadlineMs: 10_000 }), (answer) => Buffer.from(answer).toString() === `hi ${from.identity.id.slice(0, 4)}`)

const plain = (port: number, then: (socket: Socket) => void) =>
  Effect.callback<Buffer>((resume) => {
    const got: Array<Buffer> = []
    const socket = connectPlain({ host: "127.0.0.1", port }, () => then(socket))
    socket.on("data", (chunk: Buffer) => void got.push(chunk))
    socket.on("error", () => undefined)
    socket.on("close", () => resume(Effect.succeed(Buffer.concat(got))))
  })

describe("joining", () => {
  it("join: token, ask, an operator's yes, a certificate: the node speaks with all; another comes in by its door, approved ahead", async () => {
    const town = new Town()
    await town.run(Effect.gen(function*() {
      const [first, store] = yield* town.found()
      const token = yield* first.membership.invite({ lifeMs: 60_000, isApproved: false })
      let pended = 0
      const joining = yield* Effect.forkChild(join(12, token, first, Effect.sync(() => { pended += 1 })))
      while ((yield* first.membership.pending).length === 0) yield* Effect.sleep(5)
      const [waiting] = yield* first.membership.pending
      expect(waiting).toMatchObject({ node: scene.node(12).id, name: "attic", addresses: ["127.0.0.1:9012"], program: "0.1.0" })
      expect(store.current()).toMatchObject({ epoch: 1 })
      yield* first.membership.approve(waiting!.node)
      const joined = yield* Fiber.join(joining)
      expect([pended, joined.epoch, joined.members.map(({ name }) => name)]).toEqual([1, 2, ["cellar", "attic"]])
      const second = yield* town.open(12, recordOf(town, joined, scene.node(12).id), undefined, first.identity.id)
      expect([yield* speaks(first, second), yield* speaks(second, first)]).toEqual([true, true])

      // Whoever asks the same again gets the same.
      const again = yield* join(12, token, first)
      expect(again.certificate).toEqual(joined.certificate)
      expect(store.current().epoch).toBe(2)

      const other = yield* first.membership.invite({ lifeMs: 60_000, isApproved: true })
      const third = yield* join(13, other, second)
      expect([third.epoch, third.members.length]).toEqual([3, 3])
      const last = yield* town.open(13, recordOf(town, third, scene.node(13).id), undefined, first.identity.id)
      for (const [from, to] of [[first, last], [last, second], [second, last]] as const) expect(yield* speaks(from, to)).toBe(true)
      // Every member holds the authority, and none of them in the clear.
      expect(third.authority.signer.publicKey).toEqual(joined.authority.signer.publicKey)
      expect(third.sealedAuthority).not.toEqual(joined.sealedAuthority)
    }))
    expect(town.log.filter((line) => line.includes("refused"))).toEqual([])
  }, 40_000)

  it("join: a wrong, an unknown, an old, a used token, and a node that an operator has denied: none comes in, and nothing changes", async () => {
    const town = new Town()
    await town.run(Effect.gen(function*() {
      const [first, store] = yield* town.found()
      const good = yield* first.membership.invite({ lifeMs: 60_000, isApproved: true })
      const short = yield* first.membership.invite({ lifeMs: 1, isApproved: true })
      yield* Effect.sleep(20)
      // The cluster's word on it is asked for, not the node's own clock.
      const old = { ...short, expiresMs: now() + 60_000 }
      const wrong = { ...good, secret: new Uint8Array(32) }
      const foreign = { ...good, authority: "0".repeat(64) }
      const once = <A>(effect: Effect.Effect<A, JoinError>) => Effect.exit(Effect.timeout(effect, 1500))
      expect(reasonOf(yield* once(join(12, foreign, first)))).toContain("not the one which the join token names")
      expect(reasonOf(yield* once(join(12, short, first)))).toContain("has expired")
      for (const token of [wrong, old, { ...good, id: "0".repeat(32) }]) {
        const asked = town.log.length
        // Nobody answers: it asks again until it is stopped.
        expect(reasonOf(yield* once(join(12, token, first)))).toContain("Timeout")
        expect(town.log.slice(asked).join("\n")).toMatch(/asked to join, and is not answered: (message|join token): /)
      }
      expect([store.current().epoch, store.current().members.size, (yield* first.membership.pending).length]).toEqual([1, 1, 0])

      yield* join(12, good, first)
      expect(reasonOf(yield* once(join(13, good, first)))).toContain("was used by another node")
      const third = yield* first.membership.invite({ lifeMs: 60_000, isApproved: false })
      const denied = yield* Effect.forkChild(Effect.exit(join(13, third, first, Effect.asVoid(Effect.orDie(first.membership.deny(scene.node(13).id))))))
      expect(reasonOf(yield* Fiber.join(denied))).toContain("an operator has said no")
      expect(reasonOf(yield* once(join(13, third, first)))).toContain("an operator has said no")
      expect([store.current().epoch, store.current().members.size]).toEqual([2, 2])
    }))
  }, 40_000)

  it("join: noise, half a wish, too long an ask, silence, a flood: refused, nothing is left open, and members go on", async () => {
    const town = new Town()
    await town.run(Effect.gen(function*() {
      const limits = { strangerMsMax: 400, burstMax: 6, perSecond: 5, strangersMax: 4 }
      const [first] = yield* town.found(11, limits)
      const token = yield* first.membership.invite({ lifeMs: 60_000, isApproved: true })
      const second = yield* town.open(12, recordOf(town, yield* join(12, token, first), scene.node(12).id), undefined, first.identity.id)
      const { port } = first.network
      const wishes: ReadonlyArray<(socket: Socket) => void> = [
        (socket) => socket.write("OBJN\u0002"),
        (socket) => socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        (socket) => socket.write(seededRandom(1).bytes(65_536)),
        (socket) => { socket.write(joinPreamble); socket.write(seededRandom(2).bytes(65_536)) },
        (socket) => socket.write(joinPreamble),
        (socket) => socket.end()
      ]
      for (const wish of wishes) yield* plain(port, wish)
      const half = connectPlain({ host: "127.0.0.1", port }, () => half.write("OBJ"))
      half.on("error", () => undefined)
      const { refused } = first.network.counts()
      expect(refused).toBeGreaterThanOrEqual(4)
      // Many at once: so many are let in, and the others are closed at once.
      const shown = yield* Effect.forEach(Array.from({ length: 30 }), () => plain(port, (socket) => socket.write(joinPreamble)), { concurrency: "unbounded" })
      expect(shown.filter(({ length }) => length > 0).length).toBeLessThanOrEqual(6)
      expect(first.network.counts().refused - refused).toBeGreaterThanOrEqual(24)
      expect(yield* speaks(second, first)).toBe(true)
      yield* Effect.sleep(1500)
      const tooLong = yield* Effect.exit(door.ask({ host: "127.0.0.1", port }, { whyNotAuthority: () => undefined, whyNoMember: () => undefined }, new Uint8Array(strangerAskBytesMax + 1)))
      expect(reasonOf(tooLong)).toContain("Closed")
      const nonsense = yield* Effect.exit(door.ask({ host: "127.0.0.1", port }, { whyNotAuthority: () => undefined, whyNoMember: () => undefined }, seededRandom(3).bytes(5000)))
      expect(reasonOf(nonsense)).toContain("Closed")
      half.destroy()
      while (first.network.counts().handshakes > 0) yield* Effect.sleep(5)
      expect(yield* speaks(first, second)).toBe(true)
      expect(town.log.some((line) => line.includes("speaks neither TLS nor"))).toBe(true)
      const other = yield* first.membership.invite({ lifeMs: 60_000, isApproved: true })
      expect((yield* join(13, other, first)).epoch).toBe(3)
    }))
  }, 40_000)

  it("join: whoever stands between: with another authority, or with this one's certificate and no key of it: the node says nothing to him", async () => {
    const town = new Town()
    await town.run(Effect.gen(function*() {
      const [first] = yield* town.found()
      const token = yield* first.membership.invite({ lifeMs: 60_000, isApproved: true })
      const abroad = yield* new Town().found(14)
      expect(reasonOf(yield* Effect.exit(join(12, token, abroad[0])))).toContain("not the one which the join token names")
      // He shows the right authority, and his own certificate.
      const between = yield* town.open(14, abroad[1].current(), abroad[1], scene.node(14).id, {}, first.record.authority)
      expect(reasonOf(yield* Effect.exit(join(12, token, between)))).toMatch(/Foreign/)
      const silent = yield* Effect.acquireRelease(
        Effect.callback<{ readonly port: number; readonly close: () => void }>((resume) => {
          const server = createServer((socket) => { socket.on("error", () => undefined); socket.end("HTTP/1.1 400 Bad Request\r\n\r\n") })
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ port: (server.address() as { readonly port: number }).port, close: () => server.close() })))
        }),
        ({ close }) => Effect.sync(close)
      )
      const web = yield* Effect.exit(door.ask({ host: "127.0.0.1", port: silent.port }, { whyNotAuthority: () => undefined, whyNoMember: () => undefined }, Buffer.from("x")))
      expect(Exit.isFailure(web) && (web.cause.reasons[0] as { readonly error?: unknown }).error).toBeInstanceOf(JoinDoorError)
      expect(reasonOf(web)).toContain("is that the address of a node")
    }))
  }, 40_000)

  it("join: who leaves is let out, and his certificate counts no more; one that is due is renewed, by way of another member too", async () => {
    const town = new Town()
    await town.run(Effect.gen(function*() {
      const [first, store] = yield* town.found()
      const token = yield* first.membership.invite({ lifeMs: 60_000, isApproved: true })
      const second = yield* town.open(12, recordOf(town, yield* join(12, token, first), scene.node(12).id), undefined, first.identity.id)
      expect(yield* speaks(second, first)).toBe(true)
      const rest = { version: 1, cluster: scene.cluster, nonce: seededRandom(1).bytes(32), atMs: now(), identity: encodePublicIdentity(second.identity.shown) } as const
      const own = store.current().members.get(second.identity.id)!.certificate
      const serial = good(readCertificate(own)).serial
      const same = yield* askAsMember({ over: second.over, pairs, identity: second.identity }, { _tag: "RenewAsk", ...rest, serial })
      expect(same).toMatchObject({ _tag: "Renewed", certificate: own })
      // One that ends soon, in place of it.
      const nearly = issueCertificate((yield* join(12, token, first)).authority, second.identity.shown, { serial: seededRandom(5).bytes(16), nowMs: now() - certificateMs + certificateRenewMs - 60_000 })
      yield* store.change({ _tag: "Renewed", node: second.identity.id, certificate: nearly })
      const renewed = yield* askAsMember({ over: second.over, pairs, identity: second.identity }, { _tag: "RenewAsk", ...rest, serial })
      expect(renewed._tag === "Renewed" && good(readCertificate(renewed.certificate)).notAfterMs > now() + certificateMs - 120_000).toBe(true)
      // In an epoch in which it was no member it has said nothing.
      const stranger = yield* Effect.exit(askAsMember({ over: second.over, pairs, identity: second.identity }, { _tag: "LeaveAsk", ...rest, epoch: 1, drained: true, why: "moving" }))
      expect(reasonOf(stranger)).toContain("before it was a member")
      const left = yield* askAsMember({ over: second.over, pairs, identity: second.identity }, { _tag: "LeaveAsk", ...rest, epoch: 2, drained: true, why: "moving" })
      expect(left).toMatchObject({ _tag: "Left", epoch: 2 })
      expect(store.current().members.get(second.identity.id)?.leaving).toEqual({ isForced: false })
      expect(yield* speaks(second, first)).toBe(true)
      // Whoever leads has taken its replica out of the configuration.
      yield* first.membership.remove(second.identity.id)
      expect(store.current()).toMatchObject({ epoch: 3 })
      expect(store.current().members.has(second.identity.id)).toBe(false)
      expect(store.current().revocations.entries.length).toBeGreaterThanOrEqual(2)
      expect(judgeCertificate(pairs, store.current(), renewed._tag === "Renewed" ? renewed.certificate : own, now())).toMatchObject({ refused: expect.stringContaining("taken back") as string })
      while (first.network.counts().open > 0) yield* Effect.sleep(5)
      // Under its token it does not come back.
      expect(reasonOf(yield* Effect.exit(join(12, token, first)))).toContain("an operator has said no")
    }))
  }, 40_000)
})
