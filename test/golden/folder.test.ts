/** A data folder written by any landed format version opens and reads as it was written. */
import { cpSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { startServer, temporaryFolder } from "../e2e/server.ts"
import { differences, goldenConfig, goldenEnv } from "./script.ts"

const here = new URL(".", import.meta.url).pathname
const folders = readdirSync(here).filter((name) => name.startsWith("folder-"))

describe("golden folders", () => {
  test("there is one for a format at least", () => expect(folders).toContain("folder-1"))

  test.each(folders)("%s: everything reads as it was written, and again after a second start", async (name) => {
    const home = temporaryFolder("golden")
    const data = join(home, "data")
    cpSync(join(here, name), data, { recursive: true })
    for (const start of ["first", "second"]) {
      const server = await startServer({ data, config: goldenConfig, env: goldenEnv })
      expect(await differences(server), `${start} start`).toEqual([])
      await server.stop()
    }
    rmSync(home, { recursive: true })
  }, 60_000)
})
