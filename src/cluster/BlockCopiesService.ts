/**
 * BlockCopies: blocks that several nodes have. Between put, compaction and fetch, which see one `Blocks` as on a single node, and the disks of all members.
 *
 * 1. A block may be named once it is on this node's disk and on `copiesMin` others', synced and read back (R2). What comes to fewer is removed, and its upload fails.
 * 2. Every other member gets it too, in its own time; whoever lacks a block that a commit names fetches it (`reconcile`).
 * 3. A copy is written anew from its chunks: the same bytes, as its frame hash says, or none.
 * 4. What this node cannot read is read from another: verified here by its sealed hash, wherever it comes from.
 * 5. Who stays without lacking anything is known: each member counts what it lacks, as of an index of the log (`lacking`).
 * 6. What this node took for another before it began anew is as good as taken now: files that are there at its start and that no commit names are nobody's to remove for a while.
 * 7. Bounded: blocks on their way at a time, regions of an ask, and time.
 */
import { Deferred, Effect, Exit, Queue, type Scope, Semaphore } from "effect"
import { equalBytes, fromHex } from "../base/bytes.ts"
import { blockCopyMs, blockRegionsAskedMax, blockUnnamedMs, stewardAskMs } from "../base/clusterLimits.ts"
import { hashBytes } from "../base/hash.ts"
import type { BlockId } from "../base/ids.ts"
import { blockUnfinishedMax } from "../base/replicaLimits.ts"
import { type BlockChunk, BlockMissing } from "../block/Block.ts"
import type { BlockError, BlocksService, BlockWriter, RegionRead } from "../block/BlockService.ts"
import { AnswerRefused, type CarrierError } from "../carrier/CarrierError.ts"
import type { CarrierInterface, Handler } from "../carrier/CarrierService.ts"
import type { NodeId } from "../membership/Identity.ts"
import { DiskError } from "../ports/Disk.ts"
import type { LogIndex } from "../raft/Entry.ts"
import {
  type BlockMessage, decodeBlock, decodeBlockAsk, decodeLacking, decodeRegionsAsk, encodeBlock, encodeBlockAsk, encodeLacking, encodeLackingAsk, encodeRegionsAsk, isLackingAsk, type Lacking
} from "./BlockMessage.ts"
import { BlockLanes } from "./BlockLanes.ts"
import { topics } from "./Topics.ts"

export interface CopyOptions {
  /** This node's own disk. */
  readonly local: BlocksService
  readonly carrier: CarrierInterface
  /** The other members, as they are now. */
  readonly others: () => ReadonlyArray<NodeId>
  /** On how many of them a block must be before it is named: the loss budget m. */
  readonly copiesMin: () => number
  /** Whose copy counts for that: not of one that is about to leave. */
  readonly counts?: (node: NodeId) => boolean
  /** The disk is nearly full: what is left is for the journal and for deletions (R11), and copies go elsewhere. */
  readonly spaceLow?: () => boolean
  /** Until the scope closes nothing that no commit names is removed here (Intents.open). */
  readonly spare: Effect.Effect<void, never, Scope.Scope>
  /** Whether a commit that is known here names it; undefined: nothing is spared at the start. */
  readonly isNamed?: (block: BlockId) => boolean
}

export interface BlockCopies {
  readonly blocks: BlocksService
  /** Fetches those of these blocks that this node does not have; how many came. `index`: the place of the log up to which these are all. */
  readonly reconcile: (named: Iterable<BlockId>, index?: LogIndex) => Effect.Effect<number, DiskError>
  /** Ends once somebody, here or elsewhere, wants to know what this member lacks: it may look sooner. */
  readonly asked: Effect.Effect<void>
  /** As the last look of this node, or of another, left it; undefined: there was none since its start, or it does not answer. */
  readonly lacking: (node?: NodeId) => Effect.Effect<Lacking | undefined>
}

interface Room extends CopyOptions {
  readonly scope: Scope.Scope
  /** To each other member one of its own. */
  readonly lanes: BlockLanes
  /** Blocks that are being taken: one at a time each, or whoever fails would remove what another has acknowledged. */
  readonly taking: Map<BlockId, { readonly turn: Semaphore.Semaphore; waiting: number }>
  /** Begun for another, and given up in the middle: a file that still shows itself is no copy, and goes. */
  readonly unfinished: Set<BlockId>
  /** There at the first look of this life, and spared; undefined: nobody has looked yet. */
  spared: ReadonlySet<BlockId> | undefined
  lacking: Lacking | undefined
  readonly asked: Queue.Queue<void>
}

/** Serves the other members until the scope closes. */
export const makeBlockCopies = Effect.fnUntraced(function*(options: CopyOptions): Effect.fn.Return<BlockCopies, never, Scope.Scope> {
  const room: Room = { ...options, scope: yield* Effect.scope, lanes: new BlockLanes(options.carrier), taking: new Map(), unfinished: new Set(), spared: undefined, lacking: undefined, asked: yield* Queue.sliding<void>(1) }
  const { carrier, local } = options
  yield* carrier.serve(topics.blockTake, taken(room))
  yield* carrier.serve(topics.blockGive, given(room))
  yield* carrier.serve(topics.blockRegions, regionsGiven(room))
  yield* carrier.serve(topics.blocksLacking, lackingSaid(room))
  yield* Effect.forkScoped(Effect.andThen(Effect.sleep(blockUnnamedMs), Effect.sync(() => { room.spared = new Set() })))
  const begin: BlocksService["begin"] = (block, isFinished) =>
    Effect.map(local.begin(block, isFinished), (writer): BlockWriter => ({ append: writer.append, finish: Effect.tap(writer.finish, spread(room, block)) }))
  const blocks: BlocksService = {
    begin,
    write: (block, chunks) => Effect.scoped(Effect.flatMap(begin(block), (writer) => Effect.andThen(writer.append(chunks), writer.finish))),
    read: (places, how) => Effect.flatMap(local.read(places, how), (results) => completed(room, places, results)),
    directory: (block) => orFetched(room, block, local.directory(block)),
    inspect: (block, judge) => orFetched(room, block, local.inspect(block, judge)),
    verify: (block) => orFetched(room, block, local.verify(block)),
    list: listing(room),
    remove: local.remove
  }
  return { blocks, asked: Queue.take(room.asked), reconcile: (named, index = 0) => reconcile(room, named, index), lacking: (node) => (node === undefined ? Effect.sync(() => lackingHere(room)) : lackingAt(room, node)) }
})

/**
 * Without those that no commit names and that were there at the first look: an upload elsewhere may be under way since before this node began anew, and counts on its copy.
 * Whoever lists in order to remove does not see them, for as long as a copy that was just taken is spared.
 */
const listing = (room: Room): BlocksService["list"] => {
  const { isNamed, local } = room
  if (isNamed === undefined) return local.list
  return Effect.map(local.list, (blocks) => {
    const kept = room.spared ??= new Set(blocks)
    return blocks.filter((block) => !kept.has(block) || isNamed(block))
  })
}

/** As a message, read from this node's disk. */
const messageOf = Effect.fnUntraced(function*({ local }: Room, block: BlockId) {
  const { hash, regions } = yield* local.directory(block)
  const read = yield* local.read(regions.map(({ lengthBytes, offset, sealedHash }) => ({ block, lengthBytes, offset, sealedHash })))
  const chunks: Array<BlockChunk> = []
  for (const [index, { chunk, sealedHash, sizeBytes }] of regions.entries()) {
    const sealed = read[index]!
    if (!(sealed instanceof Uint8Array)) return yield* Effect.fail(sealed)
    chunks.push({ id: chunk, sealedHash, sizeBytes, sealed })
  }
  return encodeBlock({ block, hash, chunks })
})

/** To all others; succeeds once enough have it, and goes on with the rest behind it. */
const spread = Effect.fnUntraced(function*(room: Room, block: BlockId) {
  const others = room.others()
  const wanted = room.copiesMin()
  if (others.length === 0 && wanted === 0) return
  const message = yield* messageOf(room, block)
  const failures: Array<string> = []
  const counting = new Set(others.filter(room.counts ?? (() => true)))
  let copies = 0
  const judged = Deferred.makeUnsafe<boolean>()
  const judge = Effect.sync(() => {
    if (copies >= wanted) Deferred.doneUnsafe(judged, Exit.succeed(true))
    else if (copies + counting.size < wanted) Deferred.doneUnsafe(judged, Exit.succeed(false))
  })
  const copyTo = (to: NodeId): Effect.Effect<void> => room.lanes.through(to, room.carrier.ask(to, topics.blockTake, message, { level: 2, deadlineMs: blockCopyMs }), Deferred.await(judged)).pipe(
    Effect.matchEffect({
      onSuccess: () => Effect.sync(() => { if (counting.delete(to)) copies += 1 }),
      onFailure: (error) => Effect.andThen(Effect.logDebug(`block ${block} is not at ${to}: ${error.message}`), Effect.sync(() => {
        counting.delete(to)
        failures.push(error.message)
      }))
    }),
    Effect.andThen(judge)
  )
  yield* judge
  // With the room and not with the upload: a copy that is late is a copy.
  yield* Effect.forEach(others, (to) => Effect.forkIn(copyTo(to), room.scope), { discard: true })
  const enough = yield* Deferred.await(judged)
  if (enough) return
  yield* room.local.remove(block)
  return yield* new DiskError({
    operation: "write", path: `block ${block}`, code: "Io",
    detail: `${copies} of ${wanted} other members have a copy of it: ${failures.join("; ") || "there are too few members"}; look at the cluster's status, and send it again`
  })
})

const refusing = <A>(effect: Effect.Effect<A, BlockError>): Effect.Effect<A, AnswerRefused> => Effect.mapError(effect, ({ message }) => new AnswerRefused({ detail: message }))

/** Writes what another node has written, and answers once it is on the disk. */
const taken = (room: Room): Handler => ({ bytes }) =>
  Effect.gen(function*() {
    const message = decodeBlock(bytes)
    if (typeof message === "string") return yield* new AnswerRefused({ detail: message })
    if (room.spaceLow?.() === true) return yield* new AnswerRefused({ detail: "its disk is nearly full: it takes no copies until there is room" })
    // Its commit is still to come: nobody here knows of it until then.
    yield* spared(room)
    yield* refusing(put(room, message))
    return new Uint8Array(0)
  })

const spared = ({ scope, spare }: Room): Effect.Effect<void> =>
  Effect.asVoid(Effect.forkIn(Effect.scoped(Effect.andThen(spare, Effect.sleep(blockUnnamedMs))), scope, { startImmediately: true }))

const put = (room: Room, message: BlockMessage): Effect.Effect<void, BlockError> =>
  Effect.suspend(() => {
    const { block } = message
    const taking = room.taking.get(block) ?? { turn: Semaphore.makeUnsafe(1), waiting: 0 }
    room.taking.set(block, taking)
    taking.waiting += 1
    return Effect.ensuring(taking.turn.withPermit(putAlone(room, message)), Effect.sync(() => {
      taking.waiting -= 1
      if (taking.waiting === 0) room.taking.delete(block)
    }))
  })

/** Once more is no second time: a block never changes. What was given up may be open here, and look as if it were there, when its file is gone. */
const putAlone = Effect.fnUntraced(function*({ local, unfinished }: Room, { block, chunks, hash }: BlockMessage) {
  if (unfinished.has(block)) yield* local.remove(block)
  const there = yield* Effect.result(local.directory(block))
  if (there._tag === "Success" && there.success.hash === hash) return
  if (there._tag === "Success" || there.failure._tag === "BlockDamaged") yield* local.remove(block)
  const wrong = chunks.find(({ sealed, sealedHash }) => !equalBytes(hashBytes(sealed), fromHex(sealedHash)))
  if (wrong !== undefined) return yield* new DiskError({ operation: "write", path: `block ${block}`, code: "Invalid", detail: `chunk ${wrong.id} has not its hash` })
  unfinished.add(block)
  for (const first of unfinished) if (unfinished.size > blockUnfinishedMax) unfinished.delete(first)
  const { arrival } = yield* local.write(block, chunks)
  unfinished.delete(block)
  if (arrival.hash === hash) return
  yield* local.remove(block)
  return yield* new DiskError({ operation: "write", path: `block ${block}`, code: "Invalid", detail: `written from its chunks it is ${arrival.hash}, not ${hash}: of another store or version?` })
})

const given = (room: Room): Handler => ({ bytes }) =>
  Effect.suspend(() => {
    const block = decodeBlockAsk(bytes)
    return block === undefined ? Effect.fail(new AnswerRefused({ detail: "no ask for a block" })) : refusing(messageOf(room, block))
  })

/** One answer for each region, in the order of the ask: its bytes, or none where they cannot be had here. */
const regionsGiven = ({ local }: Room): Handler => ({ bytes }, more) =>
  Effect.gen(function*() {
    const places = decodeRegionsAsk(bytes)
    if (typeof places === "string") return yield* new AnswerRefused({ detail: places })
    for (const place of places) {
      const [read] = yield* local.read([place])
      yield* more(read instanceof Uint8Array ? read : new Uint8Array(0))
    }
    return new Uint8Array(0)
  })

/** What could not be read here, from the others, one after another. */
const completed = Effect.fnUntraced(function*(room: Room, places: ReadonlyArray<RegionRead>, results: ReadonlyArray<Uint8Array | BlockError>) {
  const left = new Set(results.flatMap((result, index) => (result instanceof Uint8Array ? [] : [index])))
  if (left.size === 0) return results
  const all = [...results]
  for (const to of room.lanes.ordered(room.others())) {
    if (left.size === 0) break
    const wanted = [...left].slice(0, blockRegionsAskedMax)
    yield* Effect.catch(regionsFrom(room, to, wanted.map((index) => places[index]!), (at, bytes) => {
      all[wanted[at]!] = bytes
      left.delete(wanted[at]!)
    }), (error) => Effect.logDebug(`regions of blocks cannot be had of ${to}: ${error.message}`))
  }
  const missing = new Set(results.flatMap((result) => (result instanceof BlockMissing ? [result.block] : [])))
  for (const block of missing) yield* Effect.forkIn(Effect.exit(bring(room, block)), room.scope)
  return all
})

const regionsFrom = (room: Room, to: NodeId, places: ReadonlyArray<RegionRead>, got: (at: number, bytes: Uint8Array) => void): Effect.Effect<void, CarrierError> =>
  Effect.scoped(Effect.gen(function*() {
    const answers = yield* room.carrier.open(to, topics.blockRegions, encodeRegionsAsk(places), { level: 1, deadlineMs: blockCopyMs })
    for (const [at, { lengthBytes, sealedHash }] of places.entries()) {
      const bytes = yield* answers.next
      if (bytes === undefined) return
      // Its own bytes: those of the message go with the next pull.
      if (bytes.length === lengthBytes && equalBytes(hashBytes(bytes), fromHex(sealedHash))) got(at, Uint8Array.from(bytes))
    }
  }))

/** From the first that has it. */
const bring = Effect.fnUntraced(function*(room: Room, block: BlockId): Effect.fn.Return<boolean> {
  for (const from of room.lanes.ordered(room.others())) {
    const came = yield* Effect.exit(room.lanes.through(from, Effect.gen(function*() {
      const message = decodeBlock(yield* room.carrier.ask(from, topics.blockGive, encodeBlockAsk(block), { level: 3, deadlineMs: blockCopyMs }))
      if (typeof message === "string" || message.block !== block) return yield* new AnswerRefused({ detail: typeof message === "string" ? message : "another block" })
      yield* put(room, message)
    })))
    if (Exit.isSuccess(came)) return true
    yield* Effect.logDebug(`block ${block} cannot be had of ${from}: ${String(came.cause)}`)
  }
  return false
})

const orFetched = <A>(room: Room, block: BlockId, effect: Effect.Effect<A, BlockError>): Effect.Effect<A, BlockError> =>
  Effect.catchTag(effect, "BlockMissing", (error) => Effect.flatMap(bring(room, block), (came) => (came ? effect : Effect.fail(error))))

const reconcile = Effect.fnUntraced(function*(room: Room, named: Iterable<BlockId>, index: LogIndex) {
  const here = new Set(yield* room.local.list)
  let came = 0
  let count = 0
  let first: BlockId | undefined
  for (const block of named) {
    if (here.has(block)) continue
    if (room.spaceLow?.() !== true && (yield* bring(room, block))) {
      came += 1
      continue
    }
    count += 1
    first ??= block
  }
  if (first !== undefined) {
    const why = room.spaceLow?.() === true ? "the disk is nearly full" : "no other member gives them, or they could not be written; the log has more at level debug"
    yield* Effect.logWarning(`${count} blocks that commits name are not here, such as ${first}: ${why}`)
  }
  room.lacking = { index, count }
  return came
})

const lackingSaid = (room: Room): Handler => ({ bytes }) =>
  Effect.suspend(() => {
    if (!isLackingAsk(bytes)) return Effect.fail(new AnswerRefused({ detail: "no ask of version 1" }))
    const lacking = lackingHere(room)
    return lacking === undefined ? Effect.fail(new AnswerRefused({ detail: "it has not looked yet since it started" })) : Effect.succeed(encodeLacking(lacking))
  })

/** As of the last look; who wants to know waits for the next one. */
const lackingHere = (room: Room): Lacking | undefined => {
  Queue.offerUnsafe(room.asked, undefined)
  return room.lacking
}

const lackingAt = ({ carrier }: Room, node: NodeId): Effect.Effect<Lacking | undefined> =>
  Effect.matchEffect(carrier.ask(node, topics.blocksLacking, encodeLackingAsk(), { level: 1, deadlineMs: stewardAskMs }), {
    onSuccess: (bytes) => Effect.succeed(decodeLacking(bytes)),
    onFailure: (error) => Effect.as(Effect.logDebug(`node ${node} does not say which blocks it lacks: ${error.message}`), undefined)
  })
