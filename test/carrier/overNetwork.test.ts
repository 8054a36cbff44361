/** The machine on the Network port, by the same small runner over both: TLS on loopback, and the simulator's twin. */
import { Clock, Effect, Queue, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import { calmPlan } from "../../sim/faults/NetworkPlan.ts"
import { SimulatedNetwork } from "../../sim/Network.ts"
import { seededRandom } from "../../sim/Random.ts"
import { Life, Timeline } from "../../sim/Timeline.ts"
import { service as pairs } from "../../src/adapters/NodeKeyPairs.ts"
import { make } from "../../src/adapters/NodeTls.ts"
import { carrierMessageBytesMax } from "../../src/base/clusterLimits.ts"
import type { RestartId } from "../../src/base/ids.ts"
import { makeCarrier, step } from "../../src/carrier/Carrier.ts"
import { headerBytes, readHeader } from "../../src/carrier/CarrierFormat.ts"
import { invariants } from "../../src/carrier/CarrierInvariants.ts"
import type { CarrierCommand, CarrierEvent, Members } from "../../src/carrier/CarrierState.ts"
import { createAuthority, issueCertificate } from "../../src/membership/Authority.ts"
import { certificatePem, dnsNameOf, readCertificate, signingKeyPem } from "../../src/membership/Certificate.ts"
import type { Identity, NodeId } from "../../src/membership/Identity.ts"
import { MembershipError } from "../../src/membership/MembershipError.ts"
import type { NetworkService } from "../../src/ports/Network.ts"
import { sceneOf, seedsOf } from "../membership/fixtures.ts"
import { areAnswers, answersTo } from "./Fleet.ts"

const scene = sceneOf(1, pairs)
const identities = [scene.node(11), scene.node(12)] as const
const members: Members = { epoch: 1, epochLeast: 0, identities: new Map(identities.map(({ id, shown }) => [id, shown])) }

type Without<Event> = Event extends CarrierEvent ? Omit<Event, "at"> : never

/** What a runner does, and no more: one queue of events, commands carried out, a tick now and then. */
interface Station {
  readonly tell: (event: Without<CarrierEvent>) => void
  readonly seen: Array<CarrierCommand>
  readonly sent: Array<Uint8Array>
}

const stationOf = (self: Identity, network: NetworkService): Effect.Effect<Station, never, Scope.Scope> =>
  Effect.gen(function* () {
    const random = seededRandom(Number.parseInt(self.id.slice(0, 6), 16))
    const state = makeCarrier({ cluster: scene.cluster, self, restart: Buffer.from(random.bytes(16)).toString("hex") as RestartId, pairs, secret: random.bytes(32), members })
    const [seen, sent]: [Array<CarrierCommand>, Array<Uint8Array>] = [[], []]
    const events = yield* Queue.unbounded<Without<CarrierEvent>>()
    const fork = Effect.runForkWith(yield* Effect.context<Scope.Scope>())
    const tell = (event: Without<CarrierEvent>): void => void Queue.offerUnsafe(events, event)
    const carryOut = (command: CarrierCommand): void => {
      seen.push(command)
      if (command._tag === "Transmit") {
        sent.push(command.bytes)
        // A send that fails is a datagram that was lost.
        fork(Effect.exit(network.send(command.to, command.bytes)).pipe(Effect.map(() => tell({ _tag: "Sent", to: command.to, bytes: command.bytes.length }))))
      } else if (command._tag === "Deliver") {
        tell({ _tag: "Taken", from: command.from, bytes: command.bytes.length })
        const { request } = command
        if (request !== undefined) answersTo(command.bytes).forEach((bytes, index, all) => tell({ _tag: "Answer", to: command.from, request, bytes, isLast: index === all.length - 1 }))
      } else if (command._tag === "Answered") tell({ _tag: "Taken", from: command.from, bytes: command.bytes.length, ask: command.ask })
    }
    const inbox = yield* Effect.orDie(network.listen(self.id))
    yield* Effect.forkScoped(Effect.forever(Effect.map(Queue.take(inbox), ({ bytes, from }) => tell({ _tag: "Received", from: from as NodeId, bytes }))))
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep("50 millis"), Effect.sync(() => tell({ _tag: "Ticked" })))))
    yield* Effect.forkScoped(Effect.forever(Effect.gen(function* () {
      const event = yield* Queue.take(events)
      const wallMs = yield* Clock.currentTimeMillis
      for (const command of step(state, { ...event, at: { nowMs: performance.now(), wallMs } })) carryOut(command)
      invariants(state)
    })))
    return { tell, seen, sent }
  })

const overTls = Effect.gen(function* () {
  const nowMs = Date.now()
  const authority = createAuthority(pairs, scene.cluster, scene.seed, { serial: seededRandom(1).bytes(16), nowMs })
  const ports = new Map<string, number>()
  const networks: Array<NetworkService> = []
  for (const [index, identity] of identities.entries()) {
    const certificate = issueCertificate(authority, identity.shown, { serial: seededRandom(2 + index).bytes(16), nowMs })
    const network = yield* make({
      self: identity.id, host: "127.0.0.1", port: 0,
      identity: { certificate: certificatePem(certificate), key: signingKeyPem(seedsOf(11 + index).subarray(0, 32)), authority: certificatePem(authority.certificate) },
      judge: (bytes) => {
        const read = readCertificate(bytes)
        return read instanceof MembershipError || read.node === undefined ? { refused: "no node's" } : { node: read.node }
      },
      addressOf: (node) => ({ host: "127.0.0.1", port: ports.get(node)! }),
      nameOf: (node) => dnsNameOf(node as NodeId)
    })
    ports.set(identity.id, network.port)
    networks.push(network)
  }
  return networks
})

const overTwin = Effect.gen(function* () {
  const timeline = new Timeline()
  const network = new SimulatedNetwork(timeline, seededRandom(1), calmPlan)
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep("1 millis"), Effect.sync(() => { while (timeline.step()); }))))
  return identities.map(({ id }) => network.port(id, new Life()))
})

const until = (isSo: () => boolean): Effect.Effect<void> => Effect.suspend(() => (isSo() ? Effect.void : Effect.andThen(Effect.sleep("5 millis"), until(isSo))))
const answersIn = ({ seen }: Station, ask: number) => seen.flatMap((command) => (command._tag === "Answered" && command.ask === ask ? [command] : []))
const reasonsIn = ({ seen }: Station): ReadonlyArray<string> => seen.flatMap((command) => (command._tag === "Refused" ? [command.reason] : []))
const isData = (bytes: Uint8Array): boolean => {
  const header = readHeader(bytes)
  return typeof header !== "string" && header.kind === "Data"
}

const story = (open: typeof overTls | typeof overTwin) =>
  Effect.gen(function* () {
    const networks = yield* open
    const stations = yield* Effect.forEach(identities, (identity, index) => stationOf(identity, networks[index]!))
    const [a, b] = stations as [Station, Station]
    const requests = [0, 10, 70_000, 3_000_000].map((size, seed) => seededRandom(seed).bytes(size))
    for (const [ask, bytes] of requests.entries()) {
      for (const [by, station] of stations.entries()) station.tell({ _tag: "Ask", ask, to: identities[by === 0 ? 1 : 0].id, topic: 3, priority: 2, bytes, isTold: false, deadlineMs: 30_000 })
    }
    for (const [ask, bytes] of requests.entries()) {
      for (const station of stations) {
        yield* until(() => answersIn(station, ask).at(-1)?.isLast === true)
        expect(areAnswers(bytes, answersIn(station, ask).map((answer) => answer.bytes))).toBe(true)
      }
    }
    expect([...reasonsIn(a), ...reasonsIn(b)]).toEqual([])
    const delivered = b.seen.filter(({ _tag }) => _tag === "Deliver").length
    // A member that repeats itself, below its own carrier.
    const again = a.sent.find(isData)!
    yield* networks[0]!.send(identities[1].id, again)
    yield* until(() => reasonsIn(b).length === 1)
    const long = Buffer.from(again)
    long.writeUInt32BE(carrierMessageBytesMax + 1, 104)
    yield* networks[0]!.send(identities[1].id, long)
    yield* networks[0]!.send(identities[1].id, seededRandom(9).bytes(headerBytes))
    yield* until(() => reasonsIn(b).length === 3)
    expect(reasonsIn(b)).toEqual(["Replayed", "Malformed", "Malformed"])
    expect(b.seen.filter(({ _tag }) => _tag === "Deliver").length).toBe(delivered)
  })

describe("carrier over a network", () => {
  const title = "asks of all sizes are answered, both ways; a frame that comes again is refused, and so is a header that says too much"
  const run = (open: typeof overTls | typeof overTwin): Promise<void> => Effect.runPromise(Effect.scoped(story(open)).pipe(Effect.timeout("50 seconds"), Effect.orDie))

  it(`carrier over TLS: ${title}`, { timeout: 60_000 }, () => run(overTls))
  it(`carrier over the simulator's twin: ${title}`, { timeout: 60_000 }, () => run(overTwin))
})
