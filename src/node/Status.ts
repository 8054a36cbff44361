/** Status: what `ouroboros status` and GET /v1/status say of a running node. */
import { DateTime, Effect } from "effect"
import { millisOf } from "../base/time.ts"
import { Namespace } from "../namespace/Namespace.ts"
import { State } from "../namespace/State.ts"
import { Disk } from "../ports/Disk.ts"
import { Settle } from "../settle.ts"
import { Wal } from "../wal/WalService.ts"
import { type Folder, folderFormat } from "./Folder.ts"
import type { Settings } from "./Settings.ts"

/** `warnings` are the node's own; the rooms add theirs. */
export const statusOf = Effect.fnUntraced(function* (settings: Settings, folder: Folder, warnings: () => ReadonlyArray<string>) {
  const namespace = yield* Namespace
  const state = yield* State
  const settle = yield* Settle
  const wal = yield* Wal
  const disk = yield* Disk
  const head = namespace.head()
  const journal = wal.status()
  const { rows, bytes } = state.overlay()
  return {
    store: folder.store,
    format: folderFormat,
    head: { commit: head.sequence, time: head.sequence === 0 ? "none yet" : DateTime.formatIso(DateTime.makeUnsafe(millisOf(head.time))) },
    history: { oldestReadable: namespace.oldestReadable(), retentionDays: settings.retentionDays },
    journal: {
      phase: journal.phase, segments: journal.segments, sizeBytes: journal.bytes, queuedBytes: journal.queuedBytes,
      abandonedSegments: journal.epoch,
      ...(journal.tornTail === undefined ? {} : { tornTail: journal.tornTail })
    },
    settle: settle.status(),
    checkpoint: { ...state.status(), pendingRows: rows, pendingBytes: bytes, root: state.root() },
    disk: { freeBytes: yield* disk.freeBytes.pipe(Effect.catch(() => Effect.succeed(-1))) },
    warnings: [
      ...warnings(),
      ...(journal.failure === undefined ? [] : [`the journal takes no writes: ${journal.failure}`]),
      ...(journal.tornTail === undefined ? [] : ["the last batch of the journal was incomplete at start (a crash, most likely); its bytes are kept"])
    ]
  }
})
