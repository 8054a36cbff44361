/** Blocks on a disk against their reference: any writes, reads, removals, failures and power cuts, in any order. */
import { Context, Effect, Exit, Layer, Scope } from "effect"
import fc from "fast-check"
import { deepStrictEqual, ok, strictEqual } from "node:assert"
import { it } from "vitest"
import { toHex } from "../../src/base/bytes.ts"
import { hashOf } from "../../src/base/hash.ts"
import type { BlockId, ChunkId, StoreId, VaultId } from "../../src/base/ids.ts"
import type { BlockChunk } from "../../src/block/Block.ts"
import { Blocks, type BlocksService } from "../../src/block/BlockService.ts"
import { Shelf } from "../../spec/Shelf.ts"
import * as Compute from "../../sim/Compute.ts"
import { MemoryDisk } from "../../sim/Disk.ts"
import { seededRandom } from "../../sim/Random.ts"

const options = { store: "0102030405060708090a0b0c0d0e0f10" as StoreId, vault: "1112131415161718191a1b1c1d1e1f20" as VaultId }
const blockOf = (number: number): BlockId => number.toString(16).padStart(2, "0").repeat(16) as BlockId

const chunksOf = (seed: number, sizes: ReadonlyArray<number>): ReadonlyArray<BlockChunk> => {
  const random = seededRandom(seed)
  return sizes.map((size) => {
    const sealed = random.bytes(size)
    return { id: hashOf(random.bytes(8)) as string as ChunkId, sizeBytes: size, sealedHash: hashOf(sealed), sealed }
  })
}

class Real {
  disk = new MemoryDisk()
  written = 0
  #life: { readonly blocks: BlocksService; readonly scope: Scope.Closeable } | undefined

  async blocks(): Promise<BlocksService> {
    if (this.#life === undefined) {
      const scope = await Effect.runPromise(Scope.make())
      const built = Layer.provide(Blocks.layer(options), Layer.merge(this.disk.layer, Compute.layer()))
      this.#life = { blocks: Context.get(await Effect.runPromise(Layer.buildWithScope(built, scope)), Blocks), scope }
    }
    return this.#life.blocks
  }

  async stop(): Promise<void> {
    if (this.#life !== undefined) await Effect.runPromise(Scope.close(this.#life.scope, Exit.void))
    this.#life = undefined
  }

  /** Handles of the old life are gone with it. */
  cut(disk: MemoryDisk): void {
    this.#life = undefined
    this.disk = disk
  }
}

type Command = fc.AsyncCommand<Shelf, Real>

const write = (sizes: ReadonlyArray<number>, failing: "write" | "sync" | undefined): Command => ({
  check: () => true,
  run: async (model, real) => {
    real.written += 1
    const block = blockOf(real.written)
    const chunks = chunksOf(real.written, sizes)
    const blocks = await real.blocks()
    let armed = failing !== undefined
    real.disk.fault = (operation) => {
      if (!armed || operation !== failing) return undefined
      armed = false
      return "Io"
    }
    const exit = await Effect.runPromise(Effect.exit(blocks.write(block, chunks)))
    real.disk.fault = undefined
    strictEqual(Exit.isSuccess(exit), failing === undefined || armed, "a write succeeds unless something failed")
    if (!Exit.isSuccess(exit)) return void model.nobodys.add(block)
    deepStrictEqual(exit.value.places.map(({ lengthBytes }) => lengthBytes), sizes)
    model.write(block, exit.value.places.map(({ offset }, index) => ({ place: offset, bytes: toHex(chunks[index]!.sealed) })))
  },
  toString: () => `write ${sizes.join(", ")} bytes${failing === undefined ? "" : `, a ${failing} fails`}`
})

const anyBlock = (model: Shelf, pick: number): string | undefined => {
  const all = [...model.blocks.keys(), ...model.removed.keys(), ...model.perhaps.keys()].sort()
  return all[pick % Math.max(1, all.length)]
}

/** Regions of it in any order, and of others in between. */
const read = (picks: ReadonlyArray<readonly [number, number]>, from: "Cache" | "Disk"): Command => ({
  check: (model) => anyBlock(model, 0) !== undefined,
  run: async (model, real) => {
    const asked = picks.map(([pick, at]) => {
      const block = anyBlock(model, pick)!
      const puts = model.blocks.get(block) ?? model.removed.get(block) ?? model.perhaps.get(block)!
      return { block, put: puts[at % puts.length]! }
    })
    const places = asked.map(({ block, put }) => ({
      block: block as BlockId, offset: put.place, lengthBytes: put.bytes.length / 2, sealedHash: hashOf(Buffer.from(put.bytes, "hex"))
    }))
    const answers = await Effect.runPromise((await real.blocks()).read(places, { from }))
    for (const [index, { block, put }] of asked.entries()) {
      const answer = answers[index]!
      ok(model.allows(block, answer instanceof Uint8Array), `${block} is ${answer instanceof Uint8Array ? "" : "not "}there`)
      if (answer instanceof Uint8Array) strictEqual(toHex(answer), put.bytes)
      else strictEqual(answer._tag, "BlockMissing")
    }
  },
  toString: () => `read ${picks.length} regions from ${from}`
})

const remove = (pick: number): Command => ({
  check: (model) => anyBlock(model, pick) !== undefined,
  run: async (model, real) => {
    const block = anyBlock(model, pick)!
    await Effect.runPromise((await real.blocks()).remove(block as BlockId))
    model.remove(block)
  },
  toString: () => `remove one`
})

const list: Command = {
  check: () => true,
  run: async (model, real) => {
    const blocks = await real.blocks()
    const there = new Set<string>(await Effect.runPromise(blocks.list))
    for (const block of there) ok(model.allows(block, true), `${block} is listed`)
    for (const block of model.blocks.keys()) {
      ok(there.has(block), `${block} is not listed`)
      deepStrictEqual(await Effect.runPromise(blocks.verify(block as BlockId)), [])
    }
  },
  toString: () => "list and verify"
}

const restart: Command = { check: () => true, run: (_, real) => real.stop(), toString: () => "restart" }

const powerCut = (seed: number): Command => ({
  check: () => true,
  run: async (model, real) => {
    real.cut(real.disk.crash(seededRandom(seed)))
    model.powerCut()
  },
  toString: () => `power cut ${seed}`
})

it("blocks: any writes, reads, removals, failures and power cuts are the reference's", async () => {
  const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 200 }), fc.constantFrom(1, 8, 4095, 4096, 9000)), { minLength: 1, maxLength: 5 })
  const failing = fc.option(fc.constantFrom("write" as const, "sync" as const), { freq: 2, nil: undefined })
  const commands = fc.commands<Shelf, Real, false>([
    fc.tuple(sizes, failing).map(([these, operation]) => write(these, operation)),
    fc.tuple(fc.array(fc.tuple(fc.nat(20), fc.nat(5)), { minLength: 1, maxLength: 8 }), fc.constantFrom("Cache" as const, "Disk" as const)).map(([picks, from]) => read(picks, from)),
    fc.nat(20).map(remove),
    fc.constant(list),
    fc.constant(restart),
    fc.nat(1000).map(powerCut)
  ], { maxCommands: 30, size: "max" })
  await fc.assert(fc.asyncProperty(commands, async (drawn) => {
    const real = new Real()
    await fc.asyncModelRun(() => ({ model: new Shelf(), real }), drawn)
    await real.stop()
  }), { numRuns: 60 })
}, 60_000)
