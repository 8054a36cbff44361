/** What a client does, for tests of the whole store. */
import { Effect } from "effect"
import { Get } from "../../src/get.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { Put } from "../../src/put.ts"
import { seededRandom } from "../../sim/Random.ts"
import { bodyOf, bucketId, readAll } from "./store.ts"

export const makeBucket = Effect.flatMap(Namespace, (namespace) =>
  namespace.propose({ _tag: "CreateBucket", bucket: "b", id: bucketId, owner: "root" }))

export const noSummary = () => ({ md5: undefined, checksum: undefined })

export const put = (key: string, bytes: Uint8Array, pullMax = 3000) =>
  Effect.flatMap(Put, (service) => service.object({
    bucket: "b", key, attributes: { headers: {}, userMetadata: {} }, body: bodyOf(bytes, seededRandom(bytes.length), pullMax),
    summary: noSummary
  }))

export const versionOf = (key: string) =>
  Effect.flatMap(Namespace, (namespace) => namespace.object("b", key, undefined, namespace.head().sequence))

export const get = (key: string, start?: number, end?: number) =>
  Effect.gen(function*() {
    const version = yield* versionOf(key)
    return yield* Effect.scoped(Effect.flatMap((yield* Get).open(version, start, end), readAll))
  })
