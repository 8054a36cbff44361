/**
 * References: who names which chunk, counted anew and compared with what the rows count; and so, which objects a lost
 * chunk is part of. It sits between verification and the rows.
 *
 * Memory is bounded by passes: each takes the next verifyChunksPerPass chunks in order of their ids and walks everything
 * that names chunks. A chunk whose row, or whose holder's row, is written meanwhile is not judged.
 */
import { Effect } from "effect"
import type { ChunkId } from "./base/ids.ts"
import { verifyChunksPerPass, verifyRememberedMax, verifyTouchedMax } from "./base/limits.ts"
import { type CopyReader, makeCopyReader, type Verifying, walk } from "./copies.ts"
import type { Finding } from "./damage.ts"
import { encodePage } from "./namespace/Manifest.ts"
import type { ManifestEntry } from "./namespace/Model.ts"
import {
  chunkKnown, chunksKnown, type Holder, isHeld, type Naming, namingOf, namings, versionFault, versionNamed
} from "./namespace/QueryCensus.ts"
import { chunkKey, table } from "./namespace/Rows.ts"
import type { RowChange } from "./namespace/State.ts"
import { vaultOf } from "./sealer/SealKernel.ts"

interface Counted {
  readonly references: number
  counted: number
  /** Why none of its copies can be had. */
  bad: string | undefined
}

/** The chunks of one pass: ids from `from` on, up to `end` (exclusive) or the last. */
interface Pass {
  readonly chunks: Map<ChunkId, Counted>
  readonly from: ChunkId
  readonly end: ChunkId | undefined
  readonly isFirst: boolean
}

export interface ReferencesCounted {
  readonly chunks: number
  readonly chunksLost: number
  readonly versions: number
  readonly versionsHarmed: number
  readonly passes: number
}

/** What is remembered over the passes, each bounded by verifyRememberedMax. */
interface Census {
  readonly verifying: Verifying
  /** Pages under which something is lost, and what. */
  readonly harmedPages: Map<ChunkId, string>
  readonly named: Set<string>
  readonly lost: (ids: ReadonlyArray<ChunkId>) => void
  chunks: number
  chunksLost: number
  versions: number
  versionsHarmed: number
}

const firstId = "0".repeat(64) as ChunkId

/** What a write touches: chunks whose row it is, and chunks that a row names which comes or moves. */
export const touch = ({ touched, vault }: Pick<Verifying, "touched" | "vault">, changes: ReadonlyArray<RowChange>): void => {
  const prefix = chunkKey(vault, "" as ChunkId)
  for (const [key, value] of changes) {
    if (touched.ids === undefined) return
    if (key.startsWith(prefix)) touched.ids.add(Buffer.from(key.slice(prefix.length), "latin1").toString("hex") as ChunkId)
    else if (value !== undefined && key[0] !== table.commit) for (const { chunk } of namingOf(key, value)?.entries ?? []) touched.ids.add(chunk)
    if (touched.ids.size > verifyTouchedMax) touched.ids = undefined
  }
}

/** `lost` hears of chunks of which no copy is whole. */
export const countReferences = Effect.fnUntraced(function*(verifying: Verifying, lost: (ids: ReadonlyArray<ChunkId>) => void) {
  const census: Census = { verifying, harmedPages: new Map(), named: new Set(), lost, chunks: 0, chunksLost: 0, versions: 0, versionsHarmed: 0 }
  let passes = 0
  let from: ChunkId | undefined = firstId
  while (from !== undefined) {
    const pass: Pass = yield* takePass(census, from, passes === 0)
    yield* walk(namings(verifying.state.reader), (naming) => countNaming(census, pass, naming))
    yield* compareCounts(census, pass)
    passes += 1
    from = pass.end
  }
  yield* nameUnderPages(census)
  const { chunks, chunksLost, versions, versionsHarmed } = census
  const counted: ReferencesCounted = { chunks, chunksLost, versions, versionsHarmed, passes }
  return counted
})

/** The next chunks, with those found lost on the way. */
const takePass = Effect.fnUntraced(function*(census: Census, from: ChunkId, isFirst: boolean) {
  const { verifying } = census
  verifying.touched.ids = new Set()
  const chunks = new Map<ChunkId, Counted>()
  const copies: CopyReader = makeCopyReader(verifying)
  let end: ChunkId | undefined
  yield* walk(until(chunksKnown(verifying.state.reader, verifying.vault, from), () => end !== undefined), (row) => {
    if (chunks.size >= verifyChunksPerPass) {
      end = row.id
      return undefined
    }
    const counted: Counted = { references: row.references, counted: 0, bad: undefined }
    chunks.set(row.id, counted)
    return copies.add(row, (why) => {
      counted.bad = why
      census.chunksLost += 1
      census.lost([row.id])
    })
  })
  yield* copies.flush
  census.chunks += chunks.size
  const pass: Pass = { chunks, from, end, isFirst }
  return pass
})

function* until<A>(rows: Iterable<A>, isEnded: () => boolean): Generator<A> {
  for (const row of rows) {
    yield row
    if (isEnded()) return
  }
}

const distinct = (entries: ReadonlyArray<ManifestEntry>): Iterable<ChunkId> =>
  entries.length === 1 ? [entries[0]!.chunk] : new Set(entries.map(({ chunk }) => chunk))

const countNaming = (census: Census, pass: Pass, naming: Naming): Effect.Effect<void> | undefined => {
  const { verifying } = census
  let why: string | undefined
  const unknown: Array<ChunkId> = []
  if (pass.isFirst) {
    if (naming.holder._tag === "Version") census.versions += 1
    why = holderFault(verifying, naming)
  }
  for (const chunk of distinct(naming.entries)) {
    if (chunk < pass.from || (pass.end !== undefined && chunk >= pass.end)) continue
    const counted = pass.chunks.get(chunk)
    if (counted === undefined) unknown.push(chunk)
    else {
      counted.counted += 1
      if (counted.bad !== undefined) why ??= `chunk ${chunk}: ${counted.bad}`
    }
  }
  // What came after the pass took its chunks is there by now.
  const missing = unknown.find((chunk) => chunkKnown(verifying.state.reader, verifying.vault, chunk) === undefined)
  if (missing !== undefined && isHeld(verifying.state.reader, verifying.vault, naming.holder)) why ??= `chunk ${missing}: nothing is known of it`
  return why === undefined ? undefined : harm(census, naming.holder, why)
}

/** What is wrong with a holder's row in itself. */
const holderFault = (verifying: Verifying, naming: Naming): string | undefined => {
  const vault = vaultOf(verifying.keys)
  const { entries, holder } = naming
  if (holder._tag === "Version") return versionFault(vault.vertexHash, naming)
  if (holder._tag === "Part") return undefined
  return vault.nameChunk(encodePage({ level: holder.level, entries })) === holder.page ? undefined : "the page's row lists other entries than the page"
}

/** Names the holder of what is lost, once; a page's holders are named at the end. */
const harm = (census: Census, holder: Holder, why: string): Effect.Effect<void> | undefined => {
  const { harmedPages, named, verifying } = census
  if (holder._tag === "Page") {
    if (harmedPages.has(holder.page)) return undefined
    if (harmedPages.size < verifyRememberedMax) {
      harmedPages.set(holder.page, why)
      return undefined
    }
    return verifying.found({ kind: "Damaged", where: `manifest page ${holder.page}`, what: `${why}; more pages are harmed than are remembered: its objects are not named` })
  }
  const name = holder._tag === "Part" ? `${holder.upload} ${holder.partNumber}` : `${holder.source} ${holder.sequence} ${holder.ordinal} ${holder.name}`
  if (named.has(name)) return undefined
  // Beyond the bound a version with several lost chunks may be named several times: better than not at all.
  if (named.size < verifyRememberedMax) named.add(name)
  if (holder._tag === "Part") {
    return verifying.found({ kind: "Damaged", where: `upload ${holder.upload} part ${holder.partNumber}`, what: why })
  }
  census.versionsHarmed += 1
  return verifying.found(versionFinding(verifying, holder, why))
}

const versionFinding = ({ namespace, state, tenant }: Verifying, holder: Extract<Holder, { readonly _tag: "Version" }>, what: string): Finding => {
  const version = versionNamed(state.reader, tenant, namespace.head().sequence, holder)
  return { kind: "Damaged", where: `s3://${version.bucket}/${version.key}`, what, version }
}

const compareCounts = Effect.fnUntraced(function*({ verifying }: Census, { chunks }: Pass) {
  const { touched } = verifying
  if (touched.ids === undefined) {
    return yield* verifying.note(`more than ${verifyTouchedMax} chunks were written to while references were counted: the counts were not compared; verify the stopped store`)
  }
  yield* walk(chunks, ([id, { counted, references }]) =>
    counted === references || touched.ids?.has(id) !== false ? undefined
      : verifying.found({ kind: "Mismatch", where: `chunk ${id}`, what: `its row counts ${references} references, ${counted} are there` }))
})

/** From harmed pages up to the pages that list them, level by level, and then to the versions and parts. */
const nameUnderPages = Effect.fnUntraced(function*(census: Census) {
  const { harmedPages, verifying } = census
  const harmedEntry = (naming: Naming): string | undefined => {
    if (naming.level === 0) return undefined
    for (const { chunk } of naming.entries) {
      const why = harmedPages.get(chunk)
      if (why !== undefined) return why
    }
    return undefined
  }
  for (let before = -1; harmedPages.size > 0 && before !== harmedPages.size;) {
    before = harmedPages.size
    yield* walk(namings(verifying.state.reader), (naming) => {
      const why = naming.holder._tag === "Page" ? harmedEntry(naming) : undefined
      return why === undefined ? undefined : harm(census, naming.holder, why)
    })
  }
  if (harmedPages.size === 0) return
  yield* walk(namings(verifying.state.reader), (naming) => {
    const why = naming.holder._tag === "Page" ? undefined : harmedEntry(naming)
    return why === undefined ? undefined : harm(census, naming.holder, why)
  })
})
