/**
 * FetchService: a state from another replica (R13): its checkpoint files, piece by piece, each verified as a whole before it gets its
 * name, then all of them together as a state whose root must be the one that they say. Between Peers and the slot that does not count.
 *
 * 1. Nothing that counts is touched. What was fetched stays for the next attempt: a file got its name when it was whole, a `.part` has at
 *    least all synced pieces but its last. Only what proved to be no state, or to be one no longer, goes.
 * 2. Files are known by the hash of their trailers, which have roots and stamps: not by their numbers, which are each replica's own.
 */
import { Clock, Effect } from "effect"
import { equalBytes, toHex } from "../base/bytes.ts"
import { hashBytes } from "../base/hash.ts"
import { fetchMsMax, fetchRetryMs, fetchTriesMax, stateFilesMax, statePieceBytes } from "../base/replicaLimits.ts"
import { FormatError } from "../namespace/Canonical.ts"
import { checkpointName, type CheckpointKind, encodeTrailer, parseCheckpointName, type Trailer } from "../namespace/CheckpointFormat.ts"
import { makeCheckpointFiles } from "../namespace/CheckpointFilesService.ts"
import { diskError, readThrough, readTrailer } from "../namespace/CheckpointReadService.ts"
import { StateError, type StateService } from "../namespace/State.ts"
import type { LogIndex, ReplicaId } from "../raft/Entry.ts"
import { PeerError, type Peers } from "./Peers.ts"
import { encodeAsk, replyFormat } from "./ReplicaFormat.ts"
import { indexOf } from "./ReplicaApply.ts"
import type { Ask, OfferedFile, Reply, StateOffer } from "./Request.ts"
import { type OpenSlot, openSlot, type Slot, slotFolder, type SlotOptions, tablesOf } from "./SlotService.ts"

const identityOf = (trailer: Trailer): Uint8Array => hashBytes(encodeTrailer(trailer))

/** The files of a state's newest generation; undefined where it has none, or none that is new enough. */
export const offerOf = Effect.fnUntraced(function*(options: SlotOptions, { slot, state }: OpenSlot, index: LogIndex) {
  const files = makeCheckpointFiles(options.disk, options.sealer, slotFolder(options, slot))
  const newest = state.status().checkpoints
  const chosen = chosenFiles(state, newest)
  if (newest === 0 || chosen.length === 0 || chosen.length > stateFilesMax) return undefined
  const offered: Array<OfferedFile> = []
  let place = 0
  for (const { generation, kind, sizeBytes } of chosen) {
    const trailer = yield* files.trailer({ kind, generation })
    if (generation === newest) place = indexOf(trailer.stamp)
    offered.push({ kind, generation, sizeBytes, identity: identityOf(trailer) })
  }
  return place < index ? undefined : { generation: newest, files: offered, index: place }
})

/** The newest base, and the deltas since. */
const chosenFiles = (state: StateService, newest: number): ReadonlyArray<Omit<OfferedFile, "identity">> => {
  const kept = state.inspection.checkpoints().flatMap(({ path, sizeBytes }) => {
    const file = parseCheckpointName(path.slice(path.lastIndexOf("/") + 1))
    return file === undefined || file.generation > newest ? [] : [{ ...file, sizeBytes }]
  })
  const base = kept.filter(({ kind }) => kind === "base").reduce((best, { generation }) => Math.max(best, generation), 0)
  return kept.filter(({ generation, kind }) => (kind === "base" ? generation === base : generation > base)).sort((a, b) => a.generation - b.generation || (a.kind === "base" ? -1 : 1))
}

/** A piece of one of its files; undefined where the file is there no longer. */
export const pieceOf = Effect.fnUntraced(function*(options: SlotOptions, slot: Slot, { generation, kind, lengthBytes, offset }: Extract<Ask, { readonly _tag: "Piece" }>) {
  const path = `${slotFolder(options, slot)}/${checkpointName(kind, generation)}`
  const read = Effect.scoped(Effect.flatMap(options.disk.open(path, "read"), (file) => file.read(offset, lengthBytes)))
  return yield* Effect.catch(read, (error) => (error.code === "NotFound" ? Effect.undefined : Effect.fail(diskError(error))))
})

export interface Fetching {
  readonly options: SlotOptions
  readonly peers: Peers
  readonly from: ReplicaId
  /** Where it goes: the slot that does not count. */
  readonly slot: Slot
  /** It has all up to here. */
  readonly index: LogIndex
  readonly pieceBytes?: number
}

/** The fetched state, open, in its slot. Fails with PeerError where its replica did not answer or had nothing, with StateError where what came is none. */
export const fetchState = Effect.fnUntraced(function*(fetching: Fetching) {
  const { from, index, options, slot } = fetching
  yield* askForFiles(fetching)
  yield* Effect.mapError(tablesOf(options.index, slot).wipe, ({ message }) => new StateError({ reason: "Index", detail: message }))
  const opened = yield* Effect.result(openSlot(options, slot, { reaches: () => true, holdsAll: () => false }))
  if (opened._tag === "Failure") {
    if (opened.failure.reason === "Damaged") yield* emptied(options, slot)
    return yield* opened.failure
  }
  const open = opened.success
  const at = indexOf(open.state.stamp())
  if (at >= index) return open
  yield* open.close
  return yield* new StateError({ reason: "Damaged", detail: `what ${from} gave as a state with all up to ${index} ends at ${at}` })
})

/** Files that were whole and have rotted since, or that are none of one state, would be found under their names, and kept, by every attempt to come. */
const emptied = Effect.fnUntraced(function*(options: SlotOptions, slot: Slot) {
  const { disk } = options
  const folder = slotFolder(options, slot)
  for (const name of yield* disk.list(folder)) yield* disk.remove(`${folder}/${name}`)
  yield* disk.syncFolder(folder)
}, Effect.mapError(diskError))

const askForFiles = Effect.fnUntraced(function*(fetching: Fetching) {
  const { from, index, options, slot } = fetching
  const offer = yield* asked(fetching, { _tag: "Offer", index })
  if (offer._tag !== "Offered") return yield* new PeerError({ peer: from, detail: `it has no state with all up to ${index}` })
  yield* tidy(options, slot, offer)
  for (const file of offer.files) yield* fetchFile(fetching, file)
})

const asked = Effect.fnUntraced(function*({ from, peers }: Fetching, ask: Ask) {
  const answer = yield* Effect.timeoutOption(peers.ask(from, encodeAsk(ask)!), fetchMsMax)
  if (answer._tag === "None") return yield* new PeerError({ peer: from, detail: `no answer in ${fetchMsMax} ms` })
  return yield* replyOf(from, answer.value)
})

/** A session that is lost in the middle of a state is no reason to look for another replica, which has other files. */
const askedAgain = (fetching: Fetching, ask: Ask, tries = 1): Effect.Effect<Reply, PeerError> =>
  Effect.catch(asked(fetching, ask), (error) => (tries >= fetchTriesMax ? Effect.fail(error) : Effect.andThen(Effect.sleep(fetchRetryMs), askedAgain(fetching, ask, tries + 1))))

/** A peer that says what is no reply is as good as one that says nothing. */
export const replyOf = (from: ReplicaId, bytes: Uint8Array): Effect.Effect<Reply, PeerError> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(replyFormat.decode(bytes))
    } catch (error) {
      if (error instanceof FormatError) return Effect.fail(new PeerError({ peer: from, detail: error.message }))
      throw error
    }
  })

const partOf = ({ generation, identity, kind }: OfferedFile): string => `${checkpointName(kind, generation)}.${toHex(identity.subarray(0, 16))}.part`

/** What belongs to the offer stays, all else goes: of an earlier state, or of another offer. */
const tidy = Effect.fnUntraced(function*(options: SlotOptions, slot: Slot, { files }: StateOffer) {
  const { disk, sealer } = options
  const folder = slotFolder(options, slot)
  yield* Effect.mapError(Effect.andThen(disk.makeFolder(folder), disk.syncFolder(options.folder)), diskError)
  for (const name of yield* Effect.mapError(disk.list(folder), diskError)) {
    const offered = files.find((file) => name === partOf(file) || name === checkpointName(file.kind, file.generation))
    if (offered !== undefined && (name === partOf(offered) || (yield* isSame(disk, sealer, `${folder}/${name}`, offered)))) continue
    yield* Effect.mapError(disk.remove(`${folder}/${name}`), diskError)
  }
  yield* Effect.mapError(disk.syncFolder(folder), diskError)
})

const isSame = (disk: SlotOptions["disk"], sealer: SlotOptions["sealer"], path: string, { generation, identity, kind }: OfferedFile): Effect.Effect<boolean> =>
  Effect.match(readTrailer(disk, sealer, { kind, generation }, path), {
    onSuccess: (trailer) => equalBytes(identityOf(trailer), identity),
    // One that cannot be read is not the one that is wanted.
    onFailure: () => false
  })

const fetchFile = Effect.fnUntraced(function*(fetching: Fetching, offered: OfferedFile) {
  const { options: { disk, sealer }, slot } = fetching
  const folder = slotFolder(fetching.options, slot)
  const path = `${folder}/${checkpointName(offered.kind, offered.generation)}`
  const names = yield* Effect.mapError(disk.list(folder), diskError)
  if (names.includes(checkpointName(offered.kind, offered.generation))) return
  const part = `${folder}/${partOf(offered)}`
  yield* fillPart(fetching, offered, part, names.includes(partOf(offered)))
  const read = yield* Effect.result(readThrough({ ...disk, open: (at, mode) => disk.open(at, mode, { direct: true }) }, sealer, offered, part))
  if (read._tag === "Failure" || !equalBytes(identityOf(read.success), offered.identity)) {
    yield* Effect.mapError(disk.remove(part), diskError)
    return yield* new StateError({ reason: "Damaged", detail: `${part}: ${read._tag === "Failure" ? read.failure.detail : "it is another file than the one that was offered"}` })
  }
  yield* Effect.mapError(Effect.andThen(disk.rename(part, path), disk.syncFolder(folder)), diskError)
})

/** Goes on where an earlier attempt ended: its last piece may be torn. */
const fillPart = Effect.fnUntraced(function*(fetching: Fetching, { generation, kind, sizeBytes }: OfferedFile, part: string, isThere: boolean) {
  const { from, options: { disk }, pieceBytes = statePieceBytes } = fetching
  const file = yield* Effect.mapError(disk.open(part, isThere ? "write" : "create"), diskError)
  // Its name, too, is to be there after a power cut: else all of its pieces are asked for again.
  if (!isThere) yield* Effect.mapError(disk.syncFolder(slotFolder(fetching.options, fetching.slot)), diskError)
  const there = Math.min(sizeBytes, yield* Effect.mapError(file.size, diskError))
  for (let offset = Math.max(0, (Math.ceil(there / pieceBytes) - 1) * pieceBytes); offset < sizeBytes;) {
    const ask = { _tag: "Piece", kind, generation, offset, lengthBytes: Math.min(pieceBytes, sizeBytes - offset) } as const satisfies Ask & { readonly kind: CheckpointKind }
    const reply = yield* askedAgain(fetching, ask)
    if (reply._tag !== "Piece") return yield* new PeerError({ peer: from, detail: `${kind} ${generation} is there no longer` })
    if (reply.bytes.length !== ask.lengthBytes) return yield* new PeerError({ peer: from, detail: `${reply.bytes.length} bytes of ${kind} ${generation} instead of ${ask.lengthBytes}` })
    yield* Effect.mapError(Effect.andThen(file.write(offset, [reply.bytes]), file.sync), diskError)
    offset += reply.bytes.length
  }
  yield* Effect.mapError(file.truncate(sizeBytes), diskError)
  yield* Effect.mapError(file.sync, diskError)
}, Effect.scoped)

/** Milliseconds that no wall clock changes. */
export const monotonicMs: Effect.Effect<number> = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos / 1_000_000n))
