/**
 * Loader: fills a stopped node's folder with keys through the store's own rooms: one commit a key, sealed, journaled,
 * synced and checkpointed as a PUT's would be, without HTTP. A process of its own: `node bench/loader.ts FOLDER KEYS`.
 */
import { Effect } from "effect"
import type { BucketId } from "../src/base/ids.ts"
import { proposalsQueuedMax } from "../src/base/limits.ts"
import { inlineContent } from "../src/content.ts"
import { Namespace } from "../src/namespace/Namespace.ts"
import { openFolder } from "../src/node/Folder.ts"
import { openVaultFile } from "../src/node/VaultFile.ts"
import { vaultOf } from "../src/sealer/SealKernel.ts"
import { keyOf } from "./keyNames.ts"
import { portsOf, roomsOf } from "./rooms.ts"

const objectBytes = 100

const load = Effect.fnUntraced(function*(data: string, count: number) {
  const { keys, store } = yield* Effect.scoped(Effect.gen(function*() {
    const ports = yield* portsOf(data)
    const folder = yield* Effect.provide(openFolder(Date.now()), ports)
    return { store: folder.store, ...(yield* Effect.provide(openVaultFile(folder, undefined), ports)) }
  }))
  const rooms = yield* roomsOf(data, { keys, store })
  const namespace = yield* Effect.provide(Namespace, rooms)
  yield* namespace.propose({ _tag: "CreateBucket", bucket: "bench", id: "b".repeat(32) as BucketId, owner: "bench" })
  const bytes = Buffer.alloc(objectBytes)
  yield* Effect.forEach(Array.from({ length: count }, (_, place) => place), (place) =>
    Effect.suspend(() => {
      bytes.writeUInt32BE(place)
      const content = inlineContent(vaultOf(keys), Uint8Array.from(bytes), { md5: place.toString(16).padStart(32, "0"), checksum: undefined })
      return namespace.propose({
        _tag: "PutObject", bucket: "bench", key: keyOf(place), attributes: { headers: { "content-type": "image/jpeg" }, userMetadata: {} }, content
      })
    }), { concurrency: proposalsQueuedMax, discard: true })
})

const [data, count] = process.argv.slice(2)
if (data === undefined || count === undefined) throw new Error("FOLDER KEYS")
await Effect.runPromise(Effect.scoped(load(data, Number(count))))
