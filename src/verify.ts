/** Verification: everything read from the disk, every hash and every reference checked; what is harmed is named. */
import { Clock, Context, Data, Effect, Layer, Semaphore } from "effect"
import { type BlockId, type ChunkId, defaultTenant } from "./base/ids.ts"
import { verifyProgressMs, verifyRememberedMax, verifyRowsPerBatch } from "./base/limits.ts"
import { Blocks, type RegionsJudge } from "./block/BlockService.ts"
import { countRegions, countRows, type Counters, findUnmatched, makeCounters, type Verifying } from "./copies.ts"
import { checkpointFinding, examineBlock, type Finding, journalFinding } from "./damage.ts"
import { Fetch } from "./fetch.ts"
import { Namespace } from "./namespace/Namespace.ts"
import { blocksNamed } from "./namespace/QueryCensus.ts"
import { State, StateError } from "./namespace/State.ts"
import { Compute } from "./ports/Compute.ts"
import { countReferences, type ReferencesCounted, touch } from "./references.ts"
import { type CheckInput, checkKernel } from "./sealer/CheckKernel.ts"
import type { VaultKeys } from "./sealer/VaultKeys.ts"
import { Wal } from "./wal/WalService.ts"

export type VerifyStep = "Index" | "Checkpoints" | "Journal" | "Blocks" | "References"

export interface VerifySummary {
  readonly findings: number
  readonly bytes: number
  readonly nodes: number
  readonly checkpoints: number
  readonly segments: number
  readonly blocks: number
  /** Files in the folder of blocks that no row names: a crash's, or of uploads under way. */
  readonly blocksUnnamed: number
  /** Absent where the rows cannot be read. */
  readonly references: ReferencesCounted | undefined
}

export type VerifyEvent =
  | { readonly _tag: "Progress"; readonly step: VerifyStep; readonly bytes: number; readonly bytesTotal: number }
  | { readonly _tag: "Finding"; readonly finding: Finding }
  | { readonly _tag: "Note"; readonly text: string }
  | { readonly _tag: "Summary"; readonly summary: VerifySummary }

export class VerifyBusy extends Data.TaggedError("VerifyBusy")<{}> {
  override get message(): string {
    return "a verification is under way: wait for its end, or end it"
  }
}

export interface VerifyService {
  /**
   * Reads everything, and tells as it goes; Summary comes last. One at a time. What commits drop or move meanwhile is no
   * finding. Chunks that are lost are told to fetch, so that new bytes of them heal.
   */
  readonly run: (tell: (event: VerifyEvent) => Effect.Effect<void>) => Effect.Effect<VerifySummary, VerifyBusy>
}

export class Verify extends Context.Service<Verify, VerifyService>()("ouroborosdb/Verify") {
  static readonly layer = (keys: VaultKeys): Layer.Layer<Verify, never, State | Namespace | Wal | Blocks | Compute | Fetch> =>
    Layer.effect(Verify, Effect.gen(function*() {
      const rooms = { keys, state: yield* State, namespace: yield* Namespace, wal: yield* Wal, blocks: yield* Blocks, compute: yield* Compute }
      const fetch = yield* Fetch
      const turn = Semaphore.makeUnsafe(1)
      return {
        run: (tell) => turn.withPermitsIfAvailable(1)(Effect.scoped(verify(rooms, fetch.noteDamaged, tell))).pipe(
          Effect.flatMap((summary) => summary._tag === "Some" ? Effect.succeed(summary.value) : Effect.fail(new VerifyBusy()))
        )
      }
    }))
}

type Rooms = Pick<Verifying, "keys" | "state" | "namespace" | "wal" | "blocks" | "compute">
type Tell = (event: VerifyEvent) => Effect.Effect<void>

/** Counts what was read, and tells now and then. */
interface Course {
  readonly enter: (step: VerifyStep) => void
  readonly read: (bytes: number) => Effect.Effect<void>
  readonly bytes: () => number
}

const verify = Effect.fnUntraced(function*(rooms: Rooms, lost: (ids: ReadonlyArray<ChunkId>) => void, tell: Tell) {
  let findings = 0
  const verifying: Verifying = {
    ...rooms, tenant: rooms.keys.tenantId ?? defaultTenant, vault: rooms.keys.vaultId, doubtful: new Set(), hurt: new Set(), touched: { ids: new Set() },
    found: (finding) => Effect.suspend(() => {
      findings += 1
      return tell({ _tag: "Finding", finding })
    }),
    note: (text) => tell({ _tag: "Note", text })
  }
  yield* rooms.state.inspection.observe((changes) => touch(verifying, changes))
  const course = yield* makeCourse(rooms, tell)
  course.enter("Index")
  const index = yield* verifyIndex(verifying)
  course.enter("Checkpoints")
  const checkpoints = yield* verifyCheckpoints(verifying, course)
  course.enter("Journal")
  const segments = yield* verifyJournal(verifying, course)
  const rows = index.isWhole
    ? yield* indexGuarded(verifying, verifyRows(verifying, course, lost))
    : yield* Effect.as(verifying.note("blocks and references were not looked at: the index is damaged, and rebuilt at the next start; verify again then"), undefined)
  const summary: VerifySummary = {
    findings, bytes: course.bytes(), nodes: index.nodes, checkpoints, segments, blocks: rows?.blocks ?? 0,
    blocksUnnamed: rows?.blocksUnnamed ?? 0, references: rows?.references
  }
  yield* tell({ _tag: "Summary", summary })
  return summary
})

const makeCourse = Effect.fnUntraced(function*({ state, wal }: Rooms, tell: Tell) {
  let bytesTotal = wal.status().bytes
  for (const { sizeBytes } of state.inspection.checkpoints()) bytesTotal += sizeBytes
  let step: VerifyStep = "Index"
  let bytes = 0
  let toldMs = yield* Clock.currentTimeMillis
  let isSummed = false
  const course: Course = {
    bytes: () => bytes,
    enter: (next) => {
      step = next
      if (next !== "Blocks" || isSummed) return
      isSummed = true
      for (const { sizeBytes } of blocksNamed(state.reader)) bytesTotal += sizeBytes
    },
    read: (count) => Effect.flatMap(Clock.currentTimeMillis, (nowMs) => {
      bytes += count
      if (nowMs >= toldMs && nowMs - toldMs < verifyProgressMs) return Effect.void
      toldMs = nowMs
      return tell({ _tag: "Progress", step, bytes, bytesTotal })
    })
  }
  // Known from the start where the index can be read.
  yield* Effect.sync(() => course.enter("Blocks")).pipe(Effect.catchDefect((defect) => defect instanceof StateError ? Effect.void : Effect.die(defect)))
  course.enter("Index")
  return course
})

/** Every node of the index, as it lies there. */
const verifyIndex = Effect.fnUntraced(function*({ found, state }: Verifying) {
  const step = state.inspection.nodes()
  let nodes = 0
  let isWhole = true
  for (let from: string | undefined = ""; from !== undefined;) {
    const seen = step(from)
    nodes += seen.nodes
    if (seen.damage !== undefined) {
      isWhole = false
      yield* found({ kind: "Damaged", where: "index", what: seen.damage.detail })
    }
    from = seen.next
    yield* Effect.yieldNow
  }
  return { nodes, isWhole }
})

const verifyCheckpoints = Effect.fnUntraced(function*({ found, state }: Verifying, course: Course) {
  const files = state.inspection.checkpoints()
  for (const { path, sizeBytes } of files) {
    const error = yield* state.inspection.checkpoint(path)
    if (error !== undefined) yield* found(checkpointFinding(path, error))
    yield* course.read(sizeBytes)
  }
  return files.length
})

const verifyJournal = Effect.fnUntraced(function*({ found, hurt, wal }: Verifying, course: Course) {
  let segments = 0
  yield* wal.inspect(Effect.fnUntraced(function*({ bytes, faults }) {
    segments += 1
    for (const fault of faults) {
      if (fault.isChunk && hurt.size < verifyRememberedMax) hurt.add(`${fault.segment}:${fault.offset}`)
      yield* found(journalFinding(fault))
    }
    yield* course.read(bytes)
  }))
  return segments
})

/** A node of the index that rots meanwhile is a defect of its reader: here it is a finding. */
const indexGuarded = <A>({ found }: Verifying, effect: Effect.Effect<A>): Effect.Effect<A | undefined> =>
  Effect.catchDefect(effect, (defect) =>
    defect instanceof StateError
      ? Effect.as(found({ kind: "Damaged", where: "index", what: defect.detail }), undefined)
      : Effect.die(defect))

const verifyRows = Effect.fnUntraced(function*(verifying: Verifying, course: Course, lost: (ids: ReadonlyArray<ChunkId>) => void) {
  course.enter("Blocks")
  const counters = makeCounters()
  const blocks = yield* verifyBlocks(verifying, course, counters)
  const blocksUnnamed = yield* countUnnamed(verifying)
  course.enter("References")
  yield* countRows(verifying, counters)
  yield* findUnmatched(verifying, counters)
  return { blocks, blocksUnnamed, references: yield* countReferences(verifying, lost) }
})

/** All blocks that rows name, a few at a time; those that come meanwhile were verified when they were written. */
const verifyBlocks = Effect.fnUntraced(function*(verifying: Verifying, course: Course, counters: Counters) {
  const { compute, doubtful, found, state } = verifying
  const judge = judgeOf(verifying)
  let blocks = 0
  let after: BlockId | undefined
  for (;;) {
    const batch = firstOf(blocksNamed(state.reader, after), verifyRowsPerBatch)
    if (batch.length === 0) return blocks
    yield* Effect.forEach(batch, Effect.fnUntraced(function*(named) {
      const examined = yield* examineBlock(verifying, named, judge)
      yield* course.read(named.sizeBytes)
      if (examined === undefined) return
      blocks += 1
      if (examined.findings.length > 0) doubtful.add(named.block)
      yield* Effect.forEach(examined.findings, found, { discard: true })
      if (examined.inspected !== undefined && examined.findings.length === 0) yield* countRegions(verifying, counters, examined.inspected)
    }), { concurrency: compute.lanes, discard: true })
    after = batch.at(-1)!.block
  }
})

const firstOf = <A>(rows: Iterable<A>, count: number): ReadonlyArray<A> => {
  const taken: Array<A> = []
  for (const row of rows) {
    taken.push(row)
    if (taken.length >= count) break
  }
  return taken
}

/** Regions opened on a lane: hash, seal, name and size. A lane that fails says nothing of them: a defect, no finding. */
const judgeOf = ({ compute, keys }: Verifying): RegionsJudge => (regions, bytes, offset) => {
  const input: CheckInput = {
    keys, bytes,
    pieces: regions.map((region) => ({ offset: region.offset - offset, length: region.lengthBytes, id: region.chunk, sealedHash: region.sealedHash, sizeBytes: region.sizeBytes }))
  }
  return compute.run(checkKernel, input).pipe(
    Effect.map(({ faults }) => faults.map((fault, index) => fault === undefined ? undefined : `the region at ${regions[index]!.offset}: ${fault}`)),
    Effect.orDie
  )
}

const countUnnamed = Effect.fnUntraced(function*({ blocks, namespace, note }: Verifying) {
  const listed = yield* Effect.catch(blocks.list, (error) => Effect.as(note(`the folder of blocks cannot be listed: ${error.message}`), []))
  return listed.filter((block) => namespace.block(block) === undefined).length
})
