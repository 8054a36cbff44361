/** Runs the contract of Disk against NodeDisk on a real folder and against the twin. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Context, Effect, Layer } from "effect"
import { Disk } from "../../src/ports/Disk.ts"
import * as NodeDisk from "../../src/adapters/NodeDisk.ts"
import { MemoryDisk } from "../../sim/Disk.ts"
import { diskContract } from "./disk.ts"

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "ouroboros-disk-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

diskContract("NodeDisk", () =>
  Effect.flatMap(temporaryFolder, (folder) =>
    Effect.map(Layer.build(NodeDisk.layer(folder)), (context) => Context.get(context, Disk))
  )
)

diskContract("MemoryDisk", () => Effect.sync(() => new MemoryDisk().service))
