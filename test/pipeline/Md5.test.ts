import { createHash } from "node:crypto"
import { Effect, Exit } from "effect"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { md5Start } from "../../src/base/md5.ts"
import { Blocks } from "../../src/block/BlockService.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { BodyError } from "../../src/ports/Body.ts"
import { Put } from "../../src/put.ts"
import { type BodyMd5, md5After } from "../../src/unitKernel.ts"
import { seededRandom } from "../../sim/Random.ts"
import { makeBucket, versionOf } from "./operations.ts"
import { bodyOf, newMachine, withStore } from "./store.ts"

const attributes = { headers: {}, userMetadata: {} }
const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex")

describe("MD5 where the body is cut", () => {
  test("bodies that are hashed in pieces, in turns, have the MD5 of their bytes", () => {
    // Bytes pass through 64 KiB.
    const size = fc.oneof({ weight: 9, arbitrary: fc.nat(200) }, { weight: 1, arbitrary: fc.integer({ min: 65_400, max: 65_700 }) })
    fc.assert(fc.property(fc.integer(), fc.array(fc.array(size, { minLength: 1, maxLength: 5 }), { maxLength: 4 }), (seed, bodies) => {
      const random = seededRandom(seed)
      const states = bodies.map((lengths) => ({ pieces: lengths.map((length) => random.bytes(length)), state: md5Start as BodyMd5 }))
      for (let turn = 0; turn < 5; turn += 1) {
        for (const body of states) {
          const piece = body.pieces[turn]
          if (piece !== undefined) body.state = md5After(body.state, piece, turn === body.pieces.length - 1)
        }
      }
      for (const { pieces, state } of states) {
        expect(state.digest).toBe(md5(Buffer.concat(pieces)))
      }
    }), { numRuns: 200 })
  })

  test("whatever the size and the pulls of a body, its ETag is its MD5: every byte is hashed once, in order", () =>
    withStore(newMachine(31), Effect.gen(function*() {
      yield* makeBucket
      const service = yield* Put
      const random = seededRandom(32)
      const sizes = [0, 1, 200, 201, 4095, 4096, 4097, 8192, 12_288, ...Array.from({ length: 30 }, () => random.below(40_000))]
      for (const size of sizes) {
        // Zeros among them: their chunks are as long as chunks may be, so units carry much over.
        const bytes = random.chance(0.3) ? new Uint8Array(size) : random.bytes(size)
        const body = bodyOf(bytes, seededRandom(size), 1 + random.below(6000))
        const asked: Array<string | undefined> = []
        const stored = yield* service.object({
          bucket: "b", key: "k", attributes, body: random.chance(0.2) ? { ...body, sizeBytes: undefined } : body, wantsMd5: true,
          summary: (found) => {
            asked.push(found)
            return { md5: found, checksum: undefined }
          }
        })
        expect([stored.etag, asked], `${size} bytes`).toEqual([md5(bytes), [md5(bytes)]])
        expect((yield* versionOf("k")).sizeBytes).toBe(size)
      }
    })))

  test("a body that is not what was claimed is refused at its end: no version, no block", () =>
    withStore(newMachine(33), Effect.gen(function*() {
      yield* makeBucket
      const service = yield* Put
      const namespace = yield* Namespace
      for (const size of [100, 4096, 100_000]) {
        const exit = yield* Effect.exit(service.object({
          bucket: "b", key: "wrong", attributes, body: bodyOf(seededRandom(size).bytes(size)), wantsMd5: true,
          summary: (found) => new BodyError({ reason: "BadDigest", detail: `computed ${found}` })
        }))
        expect(Exit.isFailure(exit) && String(exit.cause)).toContain(`computed ${md5(seededRandom(size).bytes(size))}`)
      }
      expect(yield* Effect.exit(versionOf("wrong"))).toMatchObject({ _tag: "Failure" })
      expect((yield* (yield* Blocks).list).filter((block) => namespace.block(block) === undefined)).toEqual([])
    })))
})
