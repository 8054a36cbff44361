/**
 * Hurt: harm that one node cannot undo, done on purpose to a store that is otherwise right: a chunk of an object rots where it
 * lies in its block. Its readers must be told, never shown other bytes; whoever sends the same bytes again brings a copy that
 * heals all who name it (R1, P3, P4). It sits between a store at rest, its disk and its gate for new objects.
 */
import { Effect } from "effect"
import { copyOf, equalBytes } from "../../src/base/bytes.ts"
import type { BlockId, ChunkId } from "../../src/base/ids.ts"
import { ChunkCache } from "../../src/chunkCache.ts"
import { Get } from "../../src/get.ts"
import type { CopyPlace, ObjectVersion } from "../../src/namespace/Model.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import type { Body } from "../../src/ports/Body.ts"
import { Put } from "../../src/put.ts"
import { Settle } from "../../src/settle.ts"
import type { ObjectStore } from "../../spec/ObjectStore.ts"
import { claim } from "../Violation.ts"
import type { AtRest } from "./Checker.ts"
import { readAll } from "./Past.ts"

const bytesMin = 300

interface Victim {
  readonly bucket: string
  readonly version: ObjectVersion
  readonly bytes: Uint8Array
  readonly place: Extract<CopyPlace, { readonly _tag: "Block" }>
}

/** Current objects, in the order of their names, whose first chunk, or first page of chunks, lies in a block and whose bytes are known. */
const victimsOf = Effect.fnUntraced(function*(model: ObjectStore, bytesOf: (body: string) => Uint8Array | undefined) {
  const namespace = yield* Namespace
  const victims: Array<Victim> = []
  const at = namespace.head().sequence
  for (const { name: bucket } of model.buckets(model.head)) {
    const { items } = model.listObjects(bucket, { prefix: "", delimiter: "", after: "", limit: 1000 }, model.head)
    for (const { body, expiresMs, key } of items) {
      const bytes = expiresMs === undefined ? bytesOf(body) : undefined
      const version = bytes === undefined ? undefined : yield* namespace.object(bucket, key, undefined, at)
      // A part so small that it lies in its row became a chunk; an object of its bytes has none.
      if (bytes === undefined || bytes.length < bytesMin || version === undefined || version.manifest._tag === "Inline") continue
      const first = firstOf(version)
      const place = first === undefined ? undefined : namespace.chunks([first])[0]?.copies[0]?.place
      if (place?._tag === "Block") victims.push({ bucket, version, bytes, place })
    }
  }
  return victims
})

const bodyOf = (bytes: Uint8Array): Body => {
  let left: Uint8Array | undefined = copyOf(bytes)
  return {
    sizeBytes: bytes.length,
    next: Effect.sync(() => {
      const now = left
      left = undefined
      return now
    })
  }
}

const firstOf = ({ manifest }: ObjectVersion): ChunkId | undefined => (manifest._tag === "Inline" ? undefined : manifest.entries[0]?.chunk)

const readWhole = (version: ObjectVersion) => Effect.flatMap(Get, (get) => Effect.result(Effect.scoped(Effect.flatMap(get.open(version), readAll))))

/** Nothing else is asked of the store afterwards. Fails with a Violation. */
export const hurtAndHeal = Effect.fnUntraced(function*(model: ObjectStore, { disk, note, probe, random }: AtRest, bytesOf: (body: string) => Uint8Array | undefined) {
  yield* (yield* Settle).settleNow
  const victims = yield* victimsOf(model, bytesOf)
  if (victims.length === 0) return
  const { bucket, bytes, place, version } = random.pick(victims)
  const what = `${bucket}/${version.key}`
  const path = pathOf(disk.sizes().keys(), place.block)
  claim(path !== undefined, `block ${place.block} has a file`)
  disk.corrupt(path, place.offset + random.below(place.lengthBytes))
  ;(yield* ChunkCache).clear()
  const hurt = yield* readWhole(version)
  claim(hurt._tag === "Failure", `${what} is read as if nothing had happened to it: ${hurt._tag === "Success" && equalBytes(hurt.success, bytes) ? "from where?" : "other bytes than were written"}`)
  const attributes = { headers: {}, userMetadata: {} }
  const stored = yield* (yield* Put).object({ bucket, key: `${version.key}~`, attributes, body: bodyOf(bytes), summary: () => ({ md5: undefined, checksum: undefined }) })
  let again: ObjectVersion | undefined
  for (const key of [`${version.key}~`, version.key]) {
    const found = yield* (yield* Namespace).object(bucket, key, undefined, stored.sequence)
    // What parts were joined to may have its chunks on other pages than the same bytes that came at once: those heal no others.
    again ??= found
    if (version.manifest._tag === "Pages" && firstOf(again) !== firstOf(found)) return
    const healed = yield* readWhole(found)
    claim(healed._tag === "Success" && equalBytes(healed.success, bytes), `${bucket}/${key} has bytes that came again after they were known to be harmed: ${healed._tag === "Failure" ? healed.failure.message : "others"}`)
  }
  note(`hurt: ${what} was harmed in ${path}, and is healed`)
  probe("hurt: what came again has healed what was harmed")
})

const pathOf = (paths: Iterable<string>, block: BlockId): string | undefined => {
  for (const path of paths) if (path.startsWith("blocks/") && path.includes(block)) return path
  return undefined
}
