/** Status: what `ouroboros status` and GET /v1/status say of a running node. */
import { DateTime, Effect } from "effect"
import { Allowances } from "../allowance.ts"
import { Gc } from "../gc.ts"
import { ChunkCache } from "../chunkCache.ts"
import { scrubFindingsShownMax } from "../base/limits.ts"
import { millisOf } from "../base/time.ts"
import { Namespace } from "../namespace/Namespace.ts"
import { State } from "../namespace/State.ts"
import { Expiry } from "../expiry.ts"
import { Pressure } from "../pressure.ts"
import { Disk } from "../ports/Disk.ts"
import type { ConnectionCounts } from "../ports/HttpListener.ts"
import { Retention } from "../retention.ts"
import { Scrub, type ScrubStatus } from "../scrub.ts"
import { Settle } from "../settle.ts"
import { Wal } from "../wal/WalService.ts"
import { type Folder, folderFormat, memberFolderFormat } from "./Folder.ts"
import type { Settings } from "./Settings.ts"

/** What the node itself has to say; the rooms add theirs. */
export interface NodeStatus {
  readonly warnings: ReadonlyArray<string>
  readonly connections: ConnectionCounts | undefined
}

export const statusOf = Effect.fnUntraced(function* (settings: Settings, folder: Folder, ofNode: () => NodeStatus) {
  const { connections, warnings } = ofNode()
  const { bodies, reads, requests, smallBodies } = yield* Allowances
  const namespace = yield* Namespace
  const state = yield* State
  const settle = yield* Settle
  const wal = yield* Wal
  const retention = yield* Retention
  const expiry = yield* (yield* Expiry).status
  const gc = yield* Gc
  const collecting = gc.status()
  const disk = yield* Disk
  const head = namespace.head()
  const { suspended } = retention.status()
  const settling = settle.status()
  const scrubbing = (yield* Scrub).status()
  const journal = wal.status()
  const { rows, bytes } = state.overlay()
  return {
    store: folder.store,
    format: folder.isMember ? memberFolderFormat : folderFormat,
    head: { commit: head.sequence, time: head.sequence === 0 ? "none yet" : DateTime.formatIso(DateTime.makeUnsafe(millisOf(head.time))) },
    history: { oldestReadable: namespace.oldestReadable(), retentionDays: settings.retentionDays },
    journal: {
      phase: journal.phase, segments: journal.segments, sizeBytes: journal.bytes, queuedBytes: journal.queuedBytes,
      epoch: journal.epoch,
      ...(journal.tornTail === undefined ? {} : { tornTail: journal.tornTail })
    },
    gc: { ...collecting, waiting: yield* gc.waiting },
    expiry,
    settle: settling,
    scrub: scrubTold(scrubbing),
    checkpoint: { ...state.status(), pendingRows: rows, pendingBytes: bytes, root: state.root() },
    caches: { share: (yield* Pressure).share(), chunks: (yield* ChunkCache).status(), nodes: state.cache() },
    load: {
      requests: requests.status(), ...(connections === undefined ? {} : { connections }),
      uploadBytes: bodies.status(), smallUploadBytes: smallBodies.status(), downloadBytes: reads.status()
    },
    disk: yield* disk.freeBytes.pipe(
      Effect.map((freeBytes) => ({ freeBytes })),
      Effect.catch((error) => Effect.succeed({ error: error.message }))
    ),
    warnings: [
      ...warnings,
      ...(scrubbing.findings.length > 0 || scrubbing.damagedChunks === 0 ? [] : [`damaged chunks were read (${scrubbing.damagedChunks}): ouroboros verify names the objects`]),
      ...(scrubbing.findings.length === 0 ? [] : [`scrub knows of ${scrubbing.findings.length + scrubbing.findingsMore} damaged files or places: ouroboros verify names the objects`]),
      ...disk.warnings(),
      ...(journal.failure === undefined ? [] : [`the journal takes no writes: ${journal.failure}`]),
      ...(suspended === undefined ? [] : [`history is kept beyond its days: ${suspended}`]),
      ...(settling.damaged.length === 0 ? [] : [`${settling.damaged.length} chunks in the journal are damaged and not sealed, the first ${settling.damaged[0]}`]),
      ...(expiry.lastError === undefined ? [] : [`what has expired could not be hidden: ${expiry.lastError}`]),
      ...(collecting.lastError === undefined ? [] : [`collection: ${collecting.lastError}`]),
      ...(collecting.damagedBlocks.length === 0 ? [] : [`${collecting.damagedBlocks.length} blocks cannot be compacted: they have damaged chunks; run ouroboros verify`]),
      ...(settling.lastError === undefined ? [] : [`sealing: ${settling.lastError}`]),
      ...(journal.tornTail === undefined ? [] : ["the last batch of the journal was incomplete at start (a crash, most likely); its bytes are kept"])
    ]
  }
})

const timeOf = (ms: number): string => DateTime.formatIso(DateTime.makeUnsafe(ms))

/** The first findings; /metrics has their number, `ouroboros verify` names objects. */
const scrubTold = ({ findings, findingsMore, finishedMs, lastError, startedMs, ...pass }: ScrubStatus) => ({
  ...pass,
  ...(startedMs === undefined || pass.pass === 0 ? {} : { started: timeOf(startedMs) }),
  ...(finishedMs === undefined || pass.pass === 0 ? {} : { finished: timeOf(finishedMs) }),
  ...(lastError === undefined ? {} : { lastError }),
  findings: findings.length + findingsMore,
  ...(findings.length === 0 ? {} : { found: findings.slice(0, scrubFindingsShownMax).map(({ kind, sinceMs, what, where }) => `${kind.toLowerCase()}: ${where}: ${what} (since ${timeOf(sinceMs)})`) })
})
