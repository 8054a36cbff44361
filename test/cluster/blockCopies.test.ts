/** Blocks that several nodes have, on simulated machines with disks of their own: what may be named is on enough of them, byte for byte the same. BLOCK_SEEDS. */
import { Effect, Layer, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import * as Compute from "../../sim/Compute.ts"
import { MemoryDisk } from "../../sim/Disk.ts"
import { calmPlan, drawNetworkPlan, type NetworkPlan } from "../../sim/faults/NetworkPlan.ts"
import { seededRandom } from "../../sim/Random.ts"
import { hashOf } from "../../src/base/hash.ts"
import { type BlockId, type ChunkId, idOf, type StoreId, type VaultId } from "../../src/base/ids.ts"
import type { BlockChunk } from "../../src/block/Block.ts"
import { Blocks, type BlocksService, type RegionRead } from "../../src/block/BlockService.ts"
import type { CarrierInterface } from "../../src/carrier/CarrierService.ts"
import { type BlockCopies, makeBlockCopies } from "../../src/cluster/BlockCopiesService.ts"
import {
  decodeBlock, decodeBlockAsk, decodeLacking, decodeRegionsAsk, encodeBlock, encodeBlockAsk, encodeLacking, encodeLackingAsk, encodeRegionsAsk, isLackingAsk
} from "../../src/cluster/BlockMessage.ts"
import { topics } from "../../src/cluster/Topics.ts"
import { DiskError } from "../../src/ports/Disk.ts"
import { Country, type Running, type Station, valueOf } from "../carrier/Stations.ts"

const options = { store: "01".repeat(16) as StoreId, vault: "02".repeat(16) as VaultId }

const chunksOf = (seed: number, sizes: ReadonlyArray<number>): ReadonlyArray<BlockChunk> => {
  const random = seededRandom(seed)
  return sizes.map((size) => {
    const sealed = random.bytes(size)
    return { id: hashOf(random.bytes(8)) as string as ChunkId, sizeBytes: size, sealedHash: hashOf(sealed), sealed }
  })
}
const blockOf = (seed: number): BlockId => idOf<BlockId>(seededRandom(seed + 900).bytes(16))
const pathOf = (block: BlockId): string => `blocks/${block.slice(0, 2)}/${block}.block`

class Host {
  readonly station: Station
  disk = new MemoryDisk()
  local: BlocksService | undefined
  copies: BlockCopies | undefined
  spared = 0

  constructor(station: Station) {
    this.station = station
  }

  file(block: BlockId): string | undefined {
    const bytes = this.disk.contents().get(pathOf(block))
    return bytes === undefined ? undefined : hashOf(bytes)
  }
}

class Shire {
  readonly country: Country
  readonly hosts: ReadonlyArray<Host>
  copiesMin = 1
  /** Who has no room. */
  readonly full = new Set<string>()
  /** Whose copies do not count. */
  readonly leaving = new Set<string>()

  constructor(count: number, seed = 1, plan: NetworkPlan = calmPlan) {
    this.country = new Country(count, seed, plan)
    this.hosts = this.country.stations.map((station) => new Host(station))
    for (const host of this.hosts) this.start(host)
    this.country.passUntil(() => this.hosts.every(({ copies }) => copies !== undefined))
  }

  start(host: Host): void {
    host.copies = undefined
    host.station.start((station: Station, carrier: CarrierInterface): Effect.Effect<void, never, Scope.Scope> => Effect.orDie(Effect.gen({ self: this }, function*() {
      const rooms = yield* Layer.build(Layer.provide(Blocks.layer(options), Layer.merge(host.disk.layer, Compute.layer())))
      const local = yield* Effect.provide(Blocks, rooms)
      const spare = Effect.asVoid(Effect.acquireRelease(Effect.sync(() => { host.spared += 1 }), () => Effect.sync(() => { host.spared -= 1 })))
      host.local = local
      host.copies = yield* makeBlockCopies({
        local, carrier, spare, copiesMin: () => this.copiesMin, counts: (node) => !this.leaving.has(node), spaceLow: () => this.full.has(station.id), others: () => this.country.stations.filter(({ id }) => id !== station.id).map(({ id }) => id)
      })
    })))
  }

  /** The power goes; so does what is not synced. */
  cut(host: Host): void {
    host.station.powerOff()
    host.disk = host.disk.crash(this.country.random)
    host.copies = undefined
  }

  write(host: Host, block: BlockId, chunks: ReadonlyArray<BlockChunk>): Running<ReadonlyArray<RegionRead>, unknown> {
    const { blocks } = host.copies!
    return host.station.run(Effect.map(blocks.write(block, chunks), ({ places }) =>
      places.map(({ lengthBytes, offset }, index): RegionRead => ({ block, lengthBytes, offset, sealedHash: chunks[index]!.sealedHash }))))
  }

  read(host: Host, places: ReadonlyArray<RegionRead>): ReadonlyArray<string> {
    const running = host.station.run(host.copies!.blocks.read(places))
    this.country.passUntil(() => running.exit !== undefined)
    return valueOf(running).map((one) => (one instanceof Uint8Array ? hashOf(one) : one.message))
  }

  /** How many have it, and in how many ways. */
  held(block: BlockId): readonly [number, number] {
    const files = this.hosts.flatMap((host) => host.file(block) ?? [])
    return [files.length, new Set(files).size]
  }
}

const given = chunksOf(1, [100, 1, 5000, 8, 70_000, 13])
const hashes = given.map(({ sealedHash }) => sealedHash as string)

describe("copies of blocks", () => {
  it("copies: a block that may be named is on all disks, byte for byte the same, and each can read it", () => {
    const shire = new Shire(3)
    const written = shire.write(shire.hosts[0]!, blockOf(1), given)
    shire.country.passUntil(() => written.exit !== undefined)
    const places = valueOf(written)
    shire.country.pass(2000)
    expect(shire.held(blockOf(1))).toEqual([3, 1])
    for (const host of shire.hosts) expect(shire.read(host, places)).toEqual(hashes)
    // No commit names it yet: who took it has it spared, for a while.
    expect(shire.hosts.map(({ spared }) => spared)).toEqual([0, 1, 1])
    shire.country.pass(6 * 60_000)
    expect(shire.hosts.map(({ spared }) => spared)).toEqual([0, 0, 0])
  })

  it("copies: one member that is away costs nothing; where too few have it the write fails, says so, and leaves no file", () => {
    const shire = new Shire(3)
    const [first, second, third] = shire.hosts as [Host, Host, Host]
    shire.cut(third)
    const written = shire.write(first, blockOf(1), given)
    shire.country.passUntil(() => written.exit !== undefined)
    valueOf(written)
    expect(shire.held(blockOf(1))).toEqual([2, 1])
    shire.cut(second)
    const lonely = shire.write(first, blockOf(2), given)
    shire.country.passUntil(() => lonely.exit !== undefined, 200_000)
    expect(() => valueOf(lonely)).toThrow(/0 of 1 other members have a copy/)
    expect(shire.held(blockOf(2))).toEqual([0, 0])
  })

  it("copies: what was given up in the middle is no copy, though its name was there for a moment and whoever read it has it open", () => {
    const shire = new Shire(2)
    const [first, second] = shire.hosts as [Host, Host]
    const { write } = second.local!
    const givenUp: BlocksService["write"] = (block, chunks) => Effect.andThen(
      Effect.andThen(write(block, chunks), Effect.andThen(second.local!.directory(block), second.disk.service.remove(pathOf(block)))),
      Effect.sync(() => Object.assign(second.local!, { write })).pipe(Effect.andThen(Effect.fail(new DiskError({ operation: "sync", path: pathOf(block), code: "Io", detail: "planted" }))))
    )
    Object.assign(second.local!, { write: givenUp })
    const ended = [1, 2].map(() => {
      const written = shire.write(first, blockOf(1), given)
      shire.country.passUntil(() => written.exit !== undefined)
      return [written.exit!._tag, shire.held(blockOf(1))]
    })
    expect(ended).toEqual([["Failure", [0, 0]], ["Success", [2, 1]]])
  })

  it("copies: a member whose disk is nearly full takes none, says what it lacks, and brings it once there is room", () => {
    const shire = new Shire(3)
    const [first, second, third] = shire.hosts as [Host, Host, Host]
    shire.full.add(third.station.id)
    const written = shire.write(first, blockOf(1), given)
    shire.country.passUntil(() => written.exit !== undefined)
    valueOf(written)
    shire.country.pass(2000)
    expect(shire.hosts.map((host) => host.file(blockOf(1)) !== undefined)).toEqual([true, true, false])
    const look = (): number => {
      const running = third.station.run(third.copies!.reconcile([blockOf(1)], 5))
      shire.country.passUntil(() => running.exit !== undefined)
      return valueOf(running)
    }
    expect(look()).toBe(0)
    const lacking = second.station.run(second.copies!.lacking(third.station.id))
    shire.country.passUntil(() => lacking.exit !== undefined)
    expect(valueOf(lacking)).toEqual({ index: 5, count: 1 })
    expect(third.station.log.join("\n")).toContain("the disk is nearly full")
    shire.full.clear()
    expect(look()).toBe(1)
    expect(shire.held(blockOf(1))).toEqual([3, 1])
  })

  it("copies: what a member gives that lies is not believed, neither regions nor a whole block under another's hash", () => {
    const shire = new Shire(3)
    const [first, liar, third] = shire.hosts as [Host, Host, Host]
    const written = shire.write(third, blockOf(1), given)
    shire.country.passUntil(() => written.exit !== undefined)
    shire.country.pass(2000)
    liar.station.powerOff()
    let lies = 0
    liar.station.start((_, carrier) => carrier.serve(topics.blockRegions, ({ bytes }, more) => Effect.gen(function*() {
      for (const { lengthBytes } of decodeRegionsAsk(bytes) as ReadonlyArray<RegionRead>) {
        lies += 1
        yield* more(new Uint8Array(lengthBytes).fill(7))
      }
      return new Uint8Array(0)
    })))
    shire.country.pass(3000)
    // Who has a session is asked first.
    const greeted = liar.station.run(Effect.exit(liar.station.carrier!.ask(first.station.id, topics.blocksLacking, encodeLackingAsk(), { level: 1, deadlineMs: 5000 })))
    shire.country.passUntil(() => greeted.exit !== undefined)
    const removed = first.station.run(first.local!.remove(blockOf(1)))
    shire.country.passUntil(() => removed.exit !== undefined)
    expect(shire.read(first, valueOf(written))).toEqual(hashes)
    expect(lies).toBeGreaterThan(0)
    const message = encodeBlock({ block: blockOf(2), hash: hashOf(new Uint8Array(1)), chunks: given })
    const told = liar.station.run(liar.station.carrier!.ask(first.station.id, topics.blockTake, message, { level: 2, deadlineMs: 5000 }))
    shire.country.passUntil(() => told.exit !== undefined)
    expect(() => valueOf(told)).toThrow(/written from its chunks it is/)
    expect(first.file(blockOf(2))).toBe(undefined)
  })

  it("copies: at the moment at which a write succeeds a power cut of all leaves it on copiesMin and one disks", () => {
    for (const copiesMin of [1, 2]) {
      const shire = new Shire(3, 3 + copiesMin, { ...calmPlan, delayMeanUs: 20_000 })
      shire.country.network.begin()
      shire.copiesMin = copiesMin
      const written = shire.write(shire.hosts[0]!, blockOf(1), given)
      shire.country.passUntil(() => written.exit !== undefined)
      const places = valueOf(written)
      for (const host of shire.hosts) shire.cut(host)
      for (const host of shire.hosts) shire.start(host)
      shire.country.passUntil(() => shire.hosts.every(({ copies }) => copies !== undefined))
      let whole = 0
      for (const host of shire.hosts) {
        const running = host.station.run(host.local!.read(places))
        shire.country.passUntil(() => running.exit !== undefined)
        if (valueOf(running).every((one, index) => one instanceof Uint8Array && hashOf(one) === hashes[index])) whole += 1
      }
      expect(whole).toBeGreaterThanOrEqual(copiesMin + 1)
    }
  })

  it("copies: what a disk has lost, or what rots on it, is read from another; what is gone comes back by itself, or when a commit names it", () => {
    const shire = new Shire(3)
    const [first, second, third] = shire.hosts as [Host, Host, Host]
    const written = shire.write(first, blockOf(1), given)
    shire.country.passUntil(() => written.exit !== undefined)
    const places = valueOf(written)
    shire.country.pass(2000)
    for (const { offset } of places) second.disk.corrupt(pathOf(blockOf(1)), offset)
    expect(shire.read(second, places)).toEqual(hashes)
    shire.cut(third)
    third.disk = new MemoryDisk()
    shire.start(third)
    shire.country.passUntil(() => third.copies !== undefined)
    expect(shire.read(third, places)).toEqual(hashes)
    shire.country.passUntil(() => third.file(blockOf(1)) === first.file(blockOf(1)))
    shire.cut(third)
    third.disk = new MemoryDisk()
    shire.start(third)
    shire.country.passUntil(() => third.copies !== undefined)
    const reconciled = third.station.run(third.copies!.reconcile([blockOf(1), blockOf(7)]))
    shire.country.passUntil(() => reconciled.exit !== undefined)
    expect([valueOf(reconciled), third.file(blockOf(1)) === first.file(blockOf(1)), third.file(blockOf(7))]).toEqual([1, true, undefined])
    expect(third.station.log.join()).toMatch(/blocks that commits name are not here/)
  })

  it("copies: a copy at one who leaves is made, and does not count", () => {
    const shire = new Shire(3)
    const [first, second, third] = shire.hosts as [Host, Host, Host]
    shire.leaving.add(third.station.id)
    shire.cut(second)
    const vain = shire.write(first, blockOf(1), given)
    shire.country.passUntil(() => vain.exit !== undefined)
    expect(vain.exit?._tag).toBe("Failure")
    expect(first.file(blockOf(1))).toBeUndefined()
    shire.start(second)
    shire.country.passUntil(() => second.copies !== undefined)
    shire.cut(third)
    const written = shire.write(first, blockOf(2), given)
    shire.country.passUntil(() => written.exit !== undefined)
    expect([written.exit?._tag, second.file(blockOf(2))]).toEqual(["Success", first.file(blockOf(2))])
    shire.start(third)
    shire.country.passUntil(() => third.copies !== undefined)
    // The session of its earlier life ends first.
    shire.country.pass(15_000)
    shire.write(first, blockOf(3), given)
    shire.country.passUntil(() => third.file(blockOf(3)) !== undefined)
  })

  it("copies: whoever wants to know what a member lacks has it look again soon, the member itself as well as another", () => {
    const shire = new Shire(2)
    const [first, second] = shire.hosts as [Host, Host]
    for (const by of [first, second]) {
      const asked = first.station.run(first.copies!.asked)
      shire.country.pass(1000)
      expect(asked.exit).toBeUndefined()
      by.station.run(by.copies!.lacking(by === first ? undefined : first.station.id))
      shire.country.passUntil(() => asked.exit !== undefined)
      expect(asked.exit?._tag).toBe("Success")
    }
  })

  it("copies: each member says how many blocks it lacks after its last look, and as of when; before it has looked, and when it is not there, nothing", () => {
    const shire = new Shire(3)
    const [first, second, third] = shire.hosts as [Host, Host, Host]
    const said = (host: Host, of?: Host): unknown => {
      const running = host.station.run(host.copies!.lacking(of?.station.id))
      shire.country.passUntil(() => running.exit !== undefined)
      return valueOf(running)
    }
    const look = (host: Host, named: ReadonlyArray<BlockId>, index: number): void => {
      const running = host.station.run(host.copies!.reconcile(named, index))
      shire.country.passUntil(() => running.exit !== undefined)
    }
    const written = shire.write(first, blockOf(1), given)
    shire.country.passUntil(() => written.exit !== undefined)
    expect([said(first), said(first, second)]).toEqual([undefined, undefined])
    look(first, [blockOf(1)], 7)
    look(second, [blockOf(1), blockOf(2), blockOf(3)], 8)
    expect([said(first), said(second, first), said(first, second)]).toEqual([{ index: 7, count: 0 }, { index: 7, count: 0 }, { index: 8, count: 2 }])
    look(second, [blockOf(1)], 9)
    expect(said(first, second)).toEqual({ index: 9, count: 0 })
    shire.cut(third)
    expect(said(first, third)).toBeUndefined()
    shire.cut(second)
    shire.start(second)
    shire.country.passUntil(() => second.copies !== undefined)
    expect(said(first, second)).toBeUndefined()
  })

  it("copies: who is given a block by several at once keeps it", () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const shire = new Shire(3, seed)
      const [first, , third] = shire.hosts as [Host, Host, Host]
      const written = shire.write(first, blockOf(1), given)
      shire.country.passUntil(() => written.exit !== undefined)
      shire.country.pass(2000)
      shire.cut(third)
      third.disk = new MemoryDisk()
      // Slow enough for one to come while another is written.
      third.disk.delayMs = () => shire.country.random.below(30)
      shire.start(third)
      shire.country.passUntil(() => third.copies !== undefined)
      const several = Array.from({ length: 3 }, () => {
        shire.country.pass(shire.country.random.below(40))
        return third.station.run(third.copies!.reconcile([blockOf(1)]))
      })
      shire.country.passUntil(() => several.every(({ exit }) => exit !== undefined))
      expect(third.station.log.filter((line) => line.includes("no other member"))).toEqual([])
      expect(third.file(blockOf(1))).toBe(first.file(blockOf(1)))
    }
  })

  it("copies: networks that do their worst, and members that go: what was written is the same wherever it is, and on enough", { timeout: 120_000 }, () => {
    const count = Number(process.env["BLOCK_SEEDS"] ?? 8)
    let done = 0
    for (let seed = 1; seed <= count; seed += 1) {
      const shire = new Shire(3, seed, drawNetworkPlan(seededRandom(seed)))
      shire.country.network.begin()
      const random = seededRandom(seed + 50)
      const writes = Array.from({ length: 6 }, (_, index) => {
        const host = random.pick(shire.hosts)
        if (host.copies === undefined) return undefined
        const block = blockOf(seed * 100 + index)
        const running = shire.write(host, block, chunksOf(seed * 100 + index, Array.from({ length: 1 + random.below(12) }, () => 1 + random.below(30_000))))
        shire.country.pass(random.below(3000))
        if (random.chance(0.2)) {
          const gone = random.pick(shire.hosts)
          shire.cut(gone)
          shire.start(gone)
        }
        return { block, running }
      })
      shire.country.network.heal()
      shire.country.pass(120_000)
      for (const one of writes) {
        if (one === undefined) continue
        const [holders, ways] = shire.held(one.block)
        expect(ways).toBeLessThanOrEqual(1)
        if (one.running.exit?._tag !== "Success") continue
        done += 1
        expect(holders).toBeGreaterThanOrEqual(2)
      }
    }
    expect(done).toBeGreaterThan(2 * count)
  })

  it("copies: their messages are a value or a word about what is wrong, and each value has one way to be written", () => {
    const message = encodeBlock({ block: blockOf(1), hash: given[0]!.sealedHash, chunks: given })
    const decoded = decodeBlock(message)
    expect(typeof decoded === "string" ? decoded : Buffer.compare(encodeBlock(decoded), message)).toBe(0)
    const places: ReadonlyArray<RegionRead> = [{ block: blockOf(1), offset: 96, lengthBytes: 5, sealedHash: given[0]!.sealedHash }, { block: blockOf(2), offset: 2 ** 40, lengthBytes: 1, sealedHash: given[1]!.sealedHash }]
    expect(decodeRegionsAsk(encodeRegionsAsk(places))).toEqual(places)
    expect(decodeBlockAsk(encodeBlockAsk(blockOf(3)))).toBe(blockOf(3))
    for (const lacking of [{ index: 0, count: 0 }, { index: Number.MAX_SAFE_INTEGER, count: 0xffff_ffff }]) expect(decodeLacking(encodeLacking(lacking))).toEqual(lacking)
    const lacking = encodeLacking({ index: 5, count: 6 })
    for (const wrong of [lacking.subarray(1), Uint8Array.of(...lacking, 0), Uint8Array.of(2, ...lacking.subarray(1)), Uint8Array.of(1, 0xff, ...lacking.subarray(2))]) expect(decodeLacking(wrong)).toBeUndefined()
    expect([isLackingAsk(encodeLackingAsk()), isLackingAsk(Uint8Array.of(2)), isLackingAsk(new Uint8Array(0))]).toEqual([true, false, false])
    const random = seededRandom(9)
    for (let round = 0; round < 3000; round += 1) {
      const bytes = random.chance(0.3) ? random.bytes(random.below(200)) : Uint8Array.from(message)
      if (random.chance(0.5)) for (let left = random.below(4); left >= 0 && bytes.length > 0; left -= 1) bytes[random.below(Math.min(bytes.length, 600))]! ^= 1 << random.below(8)
      const cut = random.chance(0.3) ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes
      const read = decodeBlock(cut)
      const asked = decodeRegionsAsk(cut)
      const again = typeof read === "string" ? typeof asked === "string" ? cut : encodeRegionsAsk(asked) : encodeBlock(read)
      expect(Buffer.compare(again, cut)).toBe(0)
    }
  })
})
