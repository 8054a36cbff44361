/**
 * Past: everything that a store at rest shows, at commits that can be read, from the horizon to the newest: which buckets and
 * versions there are, which commit a point of time means, and the bytes of versions; the model's, all of it (P2, P3, R5). It
 * sits between the namespace and spec/ObjectStore, past the gateway: what no client happens to ask for is asked for here.
 */
import { Effect } from "effect"
import { concatBytes, equalBytes } from "../../src/base/bytes.ts"
import { Get } from "../../src/get.ts"
import type { ObjectVersion } from "../../src/namespace/Model.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import type { Body, BodyError } from "../../src/ports/Body.ts"
import type { ObjectStore, Version } from "../../spec/ObjectStore.ts"
import type { Random } from "../Random.ts"
import { claim } from "../Violation.ts"

const pointsDrawn = 3
/** Versions whose bytes are read; of the others what they are called. */
const readsMax = 60
const listedMax = 100_000

export const readAll = (body: Body): Effect.Effect<Uint8Array, BodyError> =>
  Effect.gen(function*() {
    const parts: Array<Uint8Array> = []
    for (let bytes = yield* body.next; bytes !== undefined; bytes = yield* body.next) parts.push(bytes)
    return concatBytes(parts)
  })

/** The newest two commits that can be read, the oldest two, and some between. */
const pointsOf = (random: Random, oldest: number, head: number): ReadonlySet<number> => {
  const drawn = Array.from({ length: pointsDrawn }, () => oldest + random.below(head - oldest + 1))
  return new Set([head, head - 1, oldest, oldest + 1, ...drawn].filter((at) => at >= oldest && at <= head))
}

const nameOf = ({ deleteMarker, key, versionId }: Pick<Version, "deleteMarker" | "key" | "versionId">): string => `${JSON.stringify(key)} ${versionId}${deleteMarker ? " deleted" : ""}`

/** `bytesOf`: of a body of the model's, where they are known. Fails with a Violation. */
export const checkPast = Effect.fnUntraced(function*(model: ObjectStore, oldest: number, random: Random, bytesOf: (body: string) => Uint8Array | undefined) {
  const namespace = yield* Namespace
  const read = new Set<string>()
  // Retention goes on meanwhile: what it lets go of is refused from then on.
  const isGone = (at: number): boolean => at < namespace.oldestReadable()
  for (const at of pointsOf(random, oldest, model.head)) {
    if (isGone(at)) continue
    const atMs = model.times[at]!
    claim(namespace.sequenceAt(atMs) === model.times.findLastIndex((ms) => ms <= atMs), `${atMs}, the time of commit ${at}, is taken for that of commit ${namespace.sequenceAt(atMs)}`)
    const buckets = yield* namespace.buckets(at)
    const expected = model.buckets(at)
    const shown = (all: typeof expected): string => all.map(({ name, versioning }) => `${name} ${versioning}`).join(", ")
    claim(shown(buckets) === shown(expected), `buckets at commit ${at}: ${shown(buckets)}, not ${shown(expected)}`)
    for (const { name } of expected) {
      const versions = yield* Effect.catchTag(listed(name, at, atMs), "AsOfRefused", (error) => (isGone(at) ? Effect.undefined : Effect.fail(error)))
      if (versions === undefined) break
      const { items } = model.listVersions(name, { prefix: "", delimiter: "", after: "", limit: listedMax }, undefined, at)
      const [is, be] = [versions.map(nameOf), items.map(nameOf)]
      claim(is.length === be.length && is.every((one, index) => one === be[index]), `versions of ${name} at commit ${at}: ${is.join(", ")}; not ${be.join(", ")}`)
      for (const [index, version] of versions.entries()) {
        const id = version.vertex
        if (version.deleteMarker || read.has(id) || read.size >= readsMax) continue
        read.add(id)
        yield* checkVersion(`${name}/${version.key}?${version.versionId} at commit ${at}`, version, items[index]!, bytesOf)
      }
    }
  }
})

const listed = Effect.fnUntraced(function*(bucket: string, at: number, atMs: number) {
  const namespace = yield* Namespace
  const versions: Array<ObjectVersion> = []
  for (let marker: { readonly key: string; readonly versionId?: string } | undefined = { key: "" }; marker !== undefined;) {
    const from: { readonly after: string; readonly afterVersionId?: string } = { after: marker.key, ...(marker.versionId === undefined ? {} : { afterVersionId: marker.versionId }) }
    const page: Effect.Success<ReturnType<typeof namespace.listVersions>> = yield* namespace.listVersions(bucket, { prefix: "", delimiter: "", limit: 1000, ...from }, at, atMs)
    versions.push(...page.versions)
    marker = page.next
  }
  return versions
})

const checkVersion = Effect.fnUntraced(function*(what: string, version: ObjectVersion, expected: Version, bytesOf: (body: string) => Uint8Array | undefined) {
  claim(version.etag === expected.etag, `${what} has the ETag ${version.etag}, not ${expected.etag}`)
  const outcome = yield* Effect.result(Effect.scoped(Effect.flatMap((yield* Get).open(version), readAll)))
  claim(outcome._tag === "Success", `${what} cannot be read: ${outcome._tag === "Failure" ? outcome.failure.message : ""}`)
  const bytes = bytesOf(expected.body)
  claim(bytes === undefined || equalBytes(outcome.success, bytes), `${what} has ${outcome.success.length} bytes that were not written: ${bytes?.length} were`)
})
