/**
 * Named: rot is named, or harms nobody (P3, R4). In copies of a store at rest one byte after another becomes something else,
 * in its journal and its blocks: what was there is still there, or an error says what is not. It sits between the bytes of
 * a store at rest and those who read them: recovery, the journal, the blocks.
 */
import { Context, Effect, Layer, References } from "effect"
import { hashOf } from "../../src/base/hash.ts"
import { idOf, type RestartId, type StoreId } from "../../src/base/ids.ts"
import { folderOf } from "../../src/base/paths.ts"
import { decodeHeader } from "../../src/block/BlockFormat.ts"
import { Blocks } from "../../src/block/BlockService.ts"
import { decodeSegmentHeader, recordHeaderBytes, segmentHeaderBytes, segmentOfName } from "../../src/wal/WalFormat.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import type { RecordKind, WalPosition } from "../../src/wal/WalRecord.ts"
import type { LogPlan } from "../../src/wal/WalRecovery.ts"
import * as WalLayer from "../../src/wal/WalService.ts"
import { layer as computeLayer } from "../Compute.ts"
import { MemoryDisk } from "../Disk.ts"
import { SimulatedFile } from "../DiskFile.ts"
import { DiskImage } from "../DiskImage.ts"
import { DiskNames, type Entry } from "../DiskNames.ts"
import { idleMsMost } from "../NodeTraits.ts"
import type { Random } from "../Random.ts"
import { claim } from "../Violation.ts"
import type { AtRest, Checker, MakeChecker } from "./Checker.ts"

type Files = ReadonlyMap<string, Uint8Array>

/** One byte that is another. */
export interface Rot {
  readonly path: string
  readonly offset: number
}

const shown = ({ offset, path }: Rot): string => `byte ${offset} of ${path} is another`

/** Of each file once: copies share its pages, but for those that they write. */
const images = new WeakMap<Uint8Array, DiskImage>()

const imageOf = (bytes: Uint8Array): DiskImage => {
  let image = images.get(bytes)
  if (image === undefined) {
    image = new DiskImage()
    image.write(0, bytes)
    images.set(bytes, image)
  }
  return image.clone()
}

/** A disk of its own with these files, rotten where `rot` says. */
const diskOf = (files: Files, rot: Rot | undefined): MemoryDisk => {
  const entries = new Map<string, Entry>()
  for (const [path, bytes] of files) {
    for (let folder = folderOf(path); folder !== ""; folder = folderOf(folder)) entries.set(folder, "folder")
    const image = imageOf(bytes)
    if (path === rot?.path) image.write(rot.offset, Uint8Array.of(bytes[rot.offset]! ^ (1 << (rot.offset % 8))))
    entries.set(path, new SimulatedFile(image))
  }
  return new MemoryDisk(new DiskNames(entries))
}

/** Of a copy nobody wants to hear. */
const quietly = <A, E, R>(look: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => Effect.provideService(look, References.MinimumLogLevel, "None")

interface Found {
  readonly kind: RecordKind
  readonly position: WalPosition
  readonly hash: string
}

interface Journal {
  readonly plan: LogPlan | undefined
  readonly records: ReadonlyMap<string, Found>
  readonly damaged: ReadonlySet<string>
  /** What a read of a chunk gives that the replay did not have whole: a hash, or nothing where it fails. */
  readonly read: ReadonlyMap<string, string>
}

const nameOf = ({ offset, segment }: WalPosition): string => `${segment}:${offset}`

const folder = "journal"

/** Starts on the journal's files, as a node does, and visits all that is in it. Fails where the start names damage. */
const openJournal = Effect.fnUntraced(function*(files: Files, storeId: StoreId, rot?: Rot, asked: ReadonlyMap<string, Found> = new Map(), first?: number) {
  let plan: LogPlan | undefined
  const records = new Map<string, Found>()
  const damaged = new Set<string>()
  const read = new Map<string, string>()
  const options: WalLayer.WalOptions = {
    folder, storeId, restartId: idOf<RestartId>(new Uint8Array(16)),
    observeRecovery: (event) => { if (event._tag === "Survey") ({ plan } = event) }
  }
  const wal = Context.get(yield* Layer.build(Layer.provide(WalLayer.layer(options), diskOf(files, rot).layer)), WalLayer.Wal)
  // What was let go is not asked for.
  const segment = first ?? plan?.log[0]?.header.segment
  if (segment === undefined) return { plan, records, damaged, read } satisfies Journal
  yield* wal.replay({ segment, offset: segmentHeaderBytes }, ({ kind, payload, position }) =>
    Effect.sync(() => void records.set(nameOf(position), { kind, position, hash: hashOf(payload) })), (position) => Effect.sync(() => void damaged.add(nameOf(position))))
  for (const [name, { kind, position }] of asked) {
    if (kind !== "Chunk" || records.has(name)) continue
    const bytes = yield* Effect.catch(wal.read(position), () => Effect.undefined)
    if (bytes !== undefined) read.set(name, hashOf(bytes))
  }
  return { plan, records, damaged, read } satisfies Journal
}, Effect.scoped, quietly)

/**
 * Whether a record may be there that the whole journal does not have: a commit that was lost comes back as long as nothing durable is behind it (R4), and behind an abandoned segment
 * that is at first no more than the header of the next one. That header rotten, it is a creation cut short.
 */
const mayComeBack = ({ offset, path }: Rot, { plan, records }: Pick<Journal, "plan" | "records">, { segment }: WalPosition): boolean => {
  const end = plan?.log.at(-1)?.header
  const last = Math.max(0, ...[...records.values()].map(({ position }) => position.segment))
  return end !== undefined && offset < segmentHeaderBytes && segmentOfName(path.slice(folder.length + 1)) === end.segment && last < end.segment && segment === end.continuesFrom.segment
}

/** Claims that a rotten journal has what the whole one had, but for chunks that it names. */
export const checkNamed = (rot: Rot, whole: Pick<Journal, "plan" | "records">, rotten: Omit<Journal, "plan">): void => {
  for (const [name, { hash, kind }] of whole.records) {
    const found = rotten.records.get(name)
    if (found?.hash === hash) continue
    claim(found === undefined, `${shown(rot)}, and a ${kind} of the journal at ${name} is served with other bytes`)
    claim(kind === "Chunk" && rotten.damaged.has(name), `${shown(rot)}, and a ${kind} of the journal at ${name} is gone: no error names it`)
    const read = rotten.read.get(name)
    claim(read === undefined || read === hash, `${shown(rot)}, and the journal gives other bytes for the chunk at ${name}`)
  }
  for (const [name, { kind, position }] of rotten.records) {
    claim(whole.records.has(name) || mayComeBack(rot, whole, position), `${shown(rot)}, and the journal has a ${kind} at ${name} that nobody wrote`)
  }
}

/** Where it tells the most: the last record, any record, or any byte. */
const drawRot = (random: Random, files: Files, { plan, records }: Journal): Rot | undefined => {
  const all = [...records.values()]
  const pathOf = (number: number): string | undefined => [...files.keys()].find((path) => segmentOfName(path.slice(folder.length + 1)) === number)
  const draw = random.below(4)
  if (draw < 3 && all.length > 0) {
    const commits = all.filter(({ kind }) => kind === "Commit")
    const { position } = draw === 0 ? all.at(-1)! : random.pick(draw === 1 && commits.length > 0 ? commits : all)
    const path = pathOf(position.segment)
    return path === undefined ? undefined : { path, offset: position.offset - recordHeaderBytes + random.below(recordHeaderBytes + position.length) }
  }
  const log = plan?.log ?? []
  const path = log.length === 0 ? undefined : pathOf(random.pick(log).header.segment)
  return path === undefined ? undefined : { path, offset: random.below(files.get(path)!.length) }
}

const rotsOfJournal = 4

const checkJournal = Effect.fnUntraced(function*({ disk, probe, random }: AtRest) {
  const files = new Map([...disk.contents()].filter(([path]) => path.startsWith(`${folder}/`) && path.endsWith(".seg")))
  const header = [...files.values()].map((bytes) => decodeSegmentHeader(bytes.subarray(0, segmentHeaderBytes))).find(({ _tag }) => _tag === "Ok")
  if (header?._tag !== "Ok") return
  const { storeId } = header.value
  const whole = yield* openJournal(files, storeId)
  claim(whole.damaged.size === 0, `chunks of the journal are damaged at ${[...whole.damaged].join(", ")}`)
  for (let count = 0; count < rotsOfJournal; count += 1) {
    const rot = drawRot(random, files, whole)
    if (rot === undefined) continue
    const opened = openJournal(files, storeId, rot, whole.records, whole.plan?.log[0]?.header.segment)
    const rotten = yield* Effect.catch(opened, () => Effect.undefined)
    if (rotten !== undefined) checkNamed(rot, whole, rotten)
    probe(rotten === undefined ? "named: a start refuses a rotten journal" : "named: a rotten journal has everything, or names the chunk")
  }
})

const rotsOfBlocks = 3

const checkBlock = Effect.fnUntraced(function*(path: string, bytes: Uint8Array, random: Random) {
  const header = decodeHeader(bytes.subarray(0, 4096))
  if (!("block" in header)) return
  const { block, store, vault } = header
  const offset = random.below(bytes.length)
  const files = new Map([[path, bytes]])
  const blocksOn = (rot: Rot | undefined) => Effect.map(Layer.build(Layer.provide(Blocks.layer({ store, vault }), Layer.merge(diskOf(files, rot).layer, computeLayer(1)))), (context) => Context.get(context, Blocks))
  const whole = yield* Effect.result((yield* blocksOn(undefined)).directory(block))
  // What a crash left half written stays after a torn tail, which may have named it (settle.ts): nobody reads it.
  const isNamed = (yield* Namespace).block(block) !== undefined
  claim(whole._tag === "Success" || !isNamed, `block ${block} is named, and is not whole at rest`)
  if (whole._tag === "Failure") return
  const region = random.pick(whole.success.regions)
  const inRegion = { path, offset: region.offset + random.below(region.lengthBytes) }
  const place = { block, offset: region.offset, lengthBytes: region.lengthBytes, sealedHash: region.sealedHash }
  const [read] = yield* (yield* blocksOn(inRegion)).read([place])
  claim(!(read instanceof Uint8Array), `${shown(inRegion)}, and its chunk is served`)
  for (const rot of [inRegion, { path, offset }]) {
    const found = yield* Effect.catch((yield* blocksOn(rot)).verify(block), (error) => Effect.succeed([error]))
    claim(found.length > 0, `${shown(rot)}, and nobody who looks at the block finds it`)
  }
}, Effect.scoped, quietly)

const checkBlocks = Effect.fnUntraced(function*({ disk, random }: AtRest) {
  const blocks = [...disk.contents()].filter(([path]) => path.endsWith(".block"))
  for (let count = 0; count < Math.min(rotsOfBlocks, blocks.length); count += 1) yield* checkBlock(...random.pick(blocks), random)
})

/** Until nothing was written for longer than it takes to prove the last batch; housework of the store may prevent it. */
const rested = Effect.gen(function*() {
  const wal = yield* WalLayer.Wal
  for (let tries = 0; tries < restTriesMax; tries += 1) {
    const { batches } = wal.status()
    yield* Effect.sleep(3 * idleMsMost)
    if (wal.status().batches === batches) return true
  }
  return false
})
const restTriesMax = 6

class Named implements Checker {
  readonly name = "named"

  /** Where rot was before, what is whole is not known. */
  readonly atRest = (rest: AtRest) =>
    rest.merciless ? Effect.void : Effect.gen(function*() {
      if (yield* rested) yield* checkJournal(rest)
      else rest.probe("named: the journal never rests")
      yield* checkBlocks(rest)
    })
}

export const namedChecker: MakeChecker = () => new Named()
