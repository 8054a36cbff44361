/** FolderLock: one process, one data folder; the lock dies with its process. */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { acquire } from "../../src/adapters/FolderLock.ts"

const folderOfTest = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "ouroboros-lock-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

const holder = (folder: string): string => `
  import { Effect } from "effect"
  import { acquire } from ${JSON.stringify(new URL("../../src/adapters/FolderLock.ts", import.meta.url).href)}
  Effect.runFork(Effect.scoped(Effect.andThen(acquire(${JSON.stringify(folder)}), Effect.sync(() => console.log("held")).pipe(Effect.andThen(Effect.never)))))
  setInterval(() => {}, 1000)`

describe("folder lock", () => {
  it.effect("lock: a second holder is refused with a sentence, the next one after the first let go is not", () =>
    Effect.scoped(Effect.gen(function* () {
      const folder = yield* folderOfTest
      const error = yield* Effect.scoped(Effect.andThen(acquire(folder), Effect.flip(Effect.scoped(acquire(folder)))))
      assert.strictEqual(error._tag, "FolderLocked")
      assert.include(error.message, folder)
      yield* Effect.scoped(acquire(folder))
    })))
  it.effect("lock: another process holds it until SIGKILL, not a moment longer", () =>
    Effect.scoped(Effect.gen(function* () {
      const folder = yield* folderOfTest
      const child = spawn(process.execPath, ["--input-type=module", "-e", holder(folder)], { cwd: import.meta.dirname, stdio: ["ignore", "pipe", "inherit"] })
      yield* Effect.promise(() => new Promise((resolve) => child.stdout.once("data", resolve)))
      const error = yield* Effect.flip(Effect.scoped(acquire(folder)))
      assert.strictEqual(error._tag, "FolderLocked")
      child.kill("SIGKILL")
      yield* Effect.promise(() => new Promise((resolve) => child.once("exit", resolve)))
      yield* Effect.scoped(acquire(folder))
    })))
})
