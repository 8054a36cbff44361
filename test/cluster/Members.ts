/** Members: whole stores of a cluster, as its nodes would run them, each on a machine of a simulated world: memberLayer on twins of disk, index, clock and network. */
import { type Context, Effect, Layer, type Scope } from "effect"
import * as Compute from "../../sim/Compute.ts"
import { MemoryDisk } from "../../sim/Disk.ts"
import { seededEntropy } from "../../sim/Entropy.ts"
import { calmPlan, type NetworkPlan } from "../../sim/faults/NetworkPlan.ts"
import { MemoryKeyValue } from "../../sim/KeyValue.ts"
import type { GroupId } from "../../src/base/ids.ts"
import type { CarrierInterface } from "../../src/carrier/CarrierService.ts"
import type { Entry } from "../../src/namespace/Entry.ts"
import { Member, memberLayer, type MemberOptions } from "../../src/node/MemberLayer.ts"
import type { StoreOptions } from "../../src/node/StoreLayer.ts"
import { Disk } from "../../src/ports/Disk.ts"
import { Entropy } from "../../src/ports/Entropy.ts"
import { KeyValue } from "../../src/ports/KeyValue.ts"
import { configurationOf } from "../../src/raft/Configuration.ts"
import { noSnapshot } from "../../src/raft/RaftLog.ts"
import type { FeatureLevels } from "../../src/replica/FeatureLevel.ts"
import type { Replica } from "../../src/replica/ReplicaService.ts"
import { Country, type Running, type Station, valueOf } from "../carrier/Stations.ts"
import { keys, storeId, tiny } from "../pipeline/store.ts"
import { RaftWatch } from "../raft/RaftWatch.ts"

const group = "70".repeat(16) as GroupId

const plain: StoreOptions = {
  store: storeId, keys, ...tiny, wal: { sizes: { segmentBytes: 256 * 1024, batchBytesMax: 128 * 1024 }, idleMs: 1000 },
  settle: { blockBytesTarget: 16_384, pollMs: 2000 }
}

const layerOf = (options: StoreOptions, of: Parameters<typeof memberLayer>[1]) => memberLayer(options, of)
export type Rooms = Layer.Success<ReturnType<typeof layerOf>>

/** How a host is a member. */
export interface Wiring {
  readonly member: Pick<MemberOptions, "nodeOf" | "begin" | "membersChanged" | "steward" | "wasAlone">
  readonly before: Effect.Effect<void, never, Scope.Scope>
}

export interface MembersOptions {
  /** False: their log is not watched from its beginning. */
  readonly isWatched?: boolean
  /** So many of them start at once; undefined: all. */
  readonly started?: number
  /** Undefined: all of them are, from the beginning and for ever. */
  readonly wiring?: (host: Host, carrier: CarrierInterface) => Wiring
  /** Its machine is off, and a life begins. */
  readonly starts?: (host: Host) => void
  /** Which program it runs, in this life; undefined: the one that there is. */
  readonly levels?: (host: Host) => FeatureLevels
  /** Told of each commit that it applies. */
  readonly applied?: (host: Host, entry: Entry) => void
}

export class Host {
  readonly station: Station
  disk = new MemoryDisk()
  index = new MemoryKeyValue()
  rooms: Context.Context<Rooms> | undefined
  failure: string | undefined
  /** Runs, maybe before its rooms do. */
  replica: Replica | undefined
  /** Its journal has a replica: from then on one without it is damaged. */
  hasBegun = false
  /** Told when its power goes: nothing that it was asked is answered. */
  readonly gone = new Set<() => void>()
  /** What its collection was at. */
  readonly phases = new Set<string>()

  constructor(station: Station) {
    this.station = station
  }

  run<A, E>(effect: Effect.Effect<A, E, Rooms>): Running<A, E> {
    return this.station.run(Effect.provide(effect, this.rooms!))
  }
}

export class Members {
  readonly country: Country
  readonly hosts: ReadonlyArray<Host>
  readonly options: StoreOptions
  lossesMax = 1
  /** Judges every step of every member's consensus. */
  readonly watch: RaftWatch | undefined

  readonly #wiring: MembersOptions["wiring"]
  readonly #starts: MembersOptions["starts"]
  readonly #program: Pick<MembersOptions, "levels" | "applied">

  constructor(count: number, seed = 1, plan: NetworkPlan = calmPlan, options: Partial<StoreOptions> = {}, { applied, isWatched = true, levels, started = count, starts, wiring }: MembersOptions = {}) {
    this.#program = { ...(levels === undefined ? {} : { levels }), ...(applied === undefined ? {} : { applied }) }
    this.watch = isWatched ? new RaftWatch() : undefined
    this.options = { ...plain, ...options }
    this.#wiring = wiring
    this.#starts = starts
    this.country = new Country(count, seed, plan)
    this.hosts = this.country.stations.map((station) => new Host(station))
    for (const host of this.hosts.slice(0, started)) this.start(host)
    this.ready(this.hosts.slice(0, started))
  }

  /** All of them, or those given. */
  ready(hosts: ReadonlyArray<Host> = this.hosts): void {
    this.country.passUntil(() => hosts.every(({ failure, rooms }) => rooms !== undefined || failure !== undefined))
    const failed = hosts.find(({ failure }) => failure !== undefined)
    if (failed !== undefined) throw new Error(failed.failure)
    this.judged()
  }

  start(host: Host): void {
    Object.assign(host, { rooms: undefined, failure: undefined, replica: undefined })
    // As adapters/Lmdb does at an opening.
    if (host.index.isFoundDamaged) host.index = new MemoryKeyValue()
    this.#starts?.(host)
    const { random, stations } = this.country
    const ids = stations.map(({ id }) => id)
    host.station.start((station: Station, carrier: CarrierInterface) => Effect.gen({ self: this }, function*() {
      const ports = Layer.mergeAll(
        Layer.succeed(Disk, host.disk.service), Layer.succeed(KeyValue, host.index.service), Layer.succeed(Entropy, seededEntropy(random.fork())), Compute.layer()
      )
      const wiring = this.#wiring?.(host, carrier)
      if (wiring !== undefined) yield* wiring.before
      const { applied, levels } = this.#program
      const told = applied === undefined ? {} : {
        namespace: { ...this.options.namespace, applied: (...[entry, answer]: Parameters<NonNullable<NonNullable<StoreOptions["namespace"]>["applied"]>>) => {
          this.options.namespace?.applied?.(entry, answer)
          applied(host, entry)
        } }
      }
      const layer = layerOf({ ...this.options, ...told, gc: { ...this.options.gc, observe: (phase) => void host.phases.add(phase) } }, {
        carrier, group, replica: station.id, lossesMax: this.lossesMax, ...(this.watch === undefined ? {} : { raft: this.watch }), ...(levels === undefined ? {} : { levels: levels(host) }),
        begun: (replica) => Effect.sync(() => void Object.assign(host, { replica, hasBegun: true })),
        ...(wiring?.member ?? { nodeOf: (replica) => ids.find((id) => id === replica), begin: { ...noSnapshot, configuration: configurationOf(ids) } })
      })
      const scope = yield* Effect.scope
      // With the station and not before it: who serves has to be reached while rooms begin.
      yield* Effect.forkIn(Effect.matchCause(Layer.buildWithScope(Layer.provide(layer, ports), scope), {
        onFailure: (cause) => { host.failure = String(cause) },
        onSuccess: (rooms) => { host.rooms = rooms }
      }), scope)
    }))
  }

  /** Throws where consensus broke one of its rules. */
  judged(): void {
    if (this.watch?.problem !== undefined) throw new Error(this.watch.problem)
  }

  cut(host: Host): void {
    this.#end(host)
    host.disk = host.disk.crash(this.country.random)
    host.index = host.index.crash(this.country.random)
  }

  /** SIGKILL. */
  kill(host: Host): void {
    this.#end(host)
    host.disk = host.disk.kill(this.country.random)
    host.index = host.index.kill()
  }

  #end(host: Host): void {
    host.station.powerOff()
    Object.assign(host, { rooms: undefined, replica: undefined })
    for (const gone of host.gone) gone()
    host.gone.clear()
  }

  do<A, E>(host: Host, effect: Effect.Effect<A, E, Rooms>): A {
    const running = host.run(effect)
    this.country.passUntil(() => running.exit !== undefined)
    this.judged()
    return valueOf(running)
  }

  /** Reads there see all that was answered before. */
  fenced<A, E>(host: Host, effect: Effect.Effect<A, E, Rooms>): A {
    return this.do(host, Effect.flatMap(Member, ({ fence }) => Effect.andThen(fence(), effect)))
  }
}
