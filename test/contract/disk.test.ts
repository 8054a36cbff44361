/** Runs the contract of Disk against NodeDisk on a real folder and against the twin. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { Disk } from "../../src/ports/Disk.ts"
import * as NodeDisk from "../../src/adapters/NodeDisk.ts"
import { Meters } from "../../src/base/Meters.ts"
import { meteredDisk } from "../../src/node/MeteredDisk.ts"
import { MemoryDisk } from "../../sim/Disk.ts"
import { alwaysDirect, diskContract } from "./disk.ts"

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "ouroboros-disk-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

const nodeDisk = Effect.flatMap(temporaryFolder, (folder) =>
  Effect.map(Layer.build(NodeDisk.layer(folder)), (context) => Context.get(context, Disk)))

const withoutDirect = Effect.map(temporaryFolder, (folder) => NodeDisk.unlocked(folder, { direct: false }))

diskContract("NodeDisk", () => nodeDisk)
diskContract("NodeDisk, always direct", () => Effect.map(nodeDisk, alwaysDirect))
diskContract("NodeDisk, direct I/O refused", () => Effect.map(withoutDirect, alwaysDirect))

diskContract("NodeDisk, metered", () =>
  Effect.clockWith((clock) => Effect.map(nodeDisk, (disk) => meteredDisk(disk, new Meters(), clock))))

diskContract("MemoryDisk", () => Effect.sync(() => new MemoryDisk().service))
diskContract("MemoryDisk, always direct", () => Effect.sync(() => alwaysDirect(new MemoryDisk().service)))

it.effect("disk: where direct I/O is refused, the disk says so, once, and only if it was asked for", () =>
  Effect.scoped(Effect.gen(function* () {
    const disk = yield* withoutDirect
    yield* disk.open("a", "create")
    assert.deepStrictEqual(disk.warnings(), [])
    yield* disk.open("a", "read", { direct: true })
    yield* disk.open("b", "create", { direct: true })
    assert.strictEqual(disk.warnings().length, 1)
  })))
