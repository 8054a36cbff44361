/** What the namespace's tests share: a namespace over memory, changes in few words. */
import { Effect, Layer, ManagedRuntime } from "effect"
import { keyedHash } from "../../src/base/hash.ts"
import { toHex, toUtf8 } from "../../src/base/bytes.ts"
import { type BucketId, type ChunkId, defaultTenant, type Hash, type TenantId, type UploadId, type VaultId, type VertexHash } from "../../src/base/ids.ts"
import { hybridTime } from "../../src/base/time.ts"
import { apply } from "../../src/namespace/Apply.ts"
import type { ApplyContext } from "../../src/namespace/ApplyCommit.ts"
import { CommitLog } from "../../src/namespace/CommitLog.ts"
import { decodeEntry, encodeEntry, type Entry, entryFormat } from "../../src/namespace/Entry.ts"
import type { Answer, Attributes, Change, ChunkArrival, Content, ListQuery, Manifest } from "../../src/namespace/Model.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { layer } from "../../src/namespace/NamespaceService.ts"
import { State, type ValueSealer } from "../../src/namespace/State.ts"
import { MemoryLog } from "./MemoryLog.ts"
import { memoryState, MemoryRows } from "./MemoryState.ts"

export const tenant: TenantId = defaultTenant
export const vault = "0123456789abcdef0123456789abcdef" as VaultId
const vertexHashOf = keyedHash(new Uint8Array(32).fill(7))
export const context: ApplyContext = { vertexHash: (_, bytes) => toHex(vertexHashOf(bytes)) as VertexHash }

/** Bytes turned about, so that a test sees that they were sealed, and checked against what they were sealed with. */
export const testSealer: ValueSealer = {
  sealValue: (_, associated, plaintext) => Uint8Array.of(associated.length, ...associated, ...plaintext.map((byte) => byte ^ 0xff)),
  openValue: (_, associated, bytes) => {
    const length = bytes[0] ?? 0
    const same = length === associated.length && associated.every((byte, index) => byte === bytes[index + 1])
    return same ? bytes.slice(length + 1).map((byte) => byte ^ 0xff) : new Error("sealed for another use")
  }
}

const padded = (number: number, digits: number): string => number.toString(16).padStart(digits, "0")
export const bucketIdOf = (number: number): BucketId => `b0${padded(number, 30)}` as BucketId
export const uploadIdOf = (number: number): UploadId => `a0${padded(number, 30)}` as UploadId
export const chunkIdOf = (number: number): ChunkId => `c0${padded(number, 62)}` as ChunkId
export const hashOfNumber = (number: number): Hash => `d0${padded(number, 62)}` as Hash

export const attributes: Attributes = { headers: { "content-type": "text/plain" }, userMetadata: {} }
export const inline = (text: string): Manifest => ({ _tag: "Inline", bytes: toUtf8(text) })
export const contentOf = (text: string, etag = `etag-${text}`): Content => ({
  sizeBytes: toUtf8(text).length, etag, etagIsMd5: false, manifest: inline(text), arrivals: [], blocks: []
})
export const chunked = (ids: ReadonlyArray<number>, arrivals: ReadonlyArray<ChunkArrival>, etag = `etag-${ids.join()}`): Content => ({
  sizeBytes: ids.length * 10, etag, etagIsMd5: false, arrivals, blocks: [],
  manifest: { _tag: "Chunks", entries: ids.map((id) => ({ chunk: chunkIdOf(id), sizeBytes: 10 })) }
})
export const arrival = (id: number, offset = id * 100): ChunkArrival => ({
  id: chunkIdOf(id), sizeBytes: 10, sealedHash: hashOfNumber(id), place: { _tag: "Journal", segment: 1, offset, lengthBytes: 40 }
})

export const put = (bucket: string, key: string, text: string): Change => ({ _tag: "PutObject", bucket, key, attributes, content: contentOf(text) })
export const create = (bucket: string, number: number): Change => ({ _tag: "CreateBucket", bucket, id: bucketIdOf(number), owner: "root" })
export const all: ListQuery = { prefix: "", delimiter: "", after: "", limit: 1000 }

/** The bare machine: applies changes one after the other, a millisecond apart, through their encoded form. */
export class Machine {
  readonly rows = new MemoryRows()
  sequence = 0
  /** The time of the newest commit; a test may move it on. */
  nowMs = 1_000_000

  run(change: Change): Answer {
    this.sequence += 1
    this.nowMs += 1
    const entry: Entry = {
      format: entryFormat, group: 0, sequence: this.sequence, time: hybridTime(this.nowMs, 0), tenant, vault, author: "root", change
    }
    const bytes = encodeEntry(entry)
    if (bytes === undefined) throw new Error("too large")
    const { rows, answer } = apply(this.rows, decodeEntry(bytes), context)
    this.rows.write(rows)
    return answer
  }
}

export interface TestStore {
  readonly log: MemoryLog
  readonly rows: MemoryRows
  readonly run: <A, E>(effect: Effect.Effect<A, E, Namespace>) => Promise<A>
  readonly close: () => Promise<void>
}

export const openStore = (log = new MemoryLog(), state = memoryState()): TestStore => {
  const layers = layer({ ...context, tenant, vault, sealer: testSealer, author: "node" }).pipe(
    Layer.provide(Layer.mergeAll(Layer.succeed(State, state), Layer.succeed(CommitLog, log)))
  )
  const runtime = ManagedRuntime.make(layers)
  return { log, rows: state.rows, run: (effect) => runtime.runPromise(effect), close: () => runtime.dispose() }
}

export const propose = (change: Change, walEpoch?: number) => Effect.flatMap(Namespace, (namespace) => namespace.propose(change, walEpoch))
