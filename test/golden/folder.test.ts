/** A data folder written by any landed format version opens and reads as it was written. */
import { cpSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { folderFormat, memberFolderFormat } from "../../src/node/Folder.ts"
import { type Server, startServer, temporaryFolder } from "../e2e/server.ts"
import { admin, differences, goldenConfig, goldenEnv, moreDifferences, type Points } from "./script.ts"

const here = new URL(".", import.meta.url).pathname
const made = (what: string): ReadonlyArray<string> => readdirSync(here).filter((name) => new RegExp(`^${what}-\\d+$`).test(name))
const folders = made("folder")
const members = made("member")

const pointsOf = (name: string): Points => JSON.parse(readFileSync(join(here, `${name}.json`), "utf8")) as Points

describe("golden folders", () => {
  test("there is one for every format that landed, of single stores and of members", () =>
    expect([...folders, ...members]).toEqual([...Array.from({ length: folderFormat }, (_, index) => `folder-${index + 1}`), `member-${memberFolderFormat}`]))

  test.each([...folders, ...members])("%s: everything reads as it was written, and again after a second start", async (name) => {
    const home = temporaryFolder("golden")
    const data = join(home, "data")
    cpSync(join(here, name), data, { recursive: true })
    const all = async (server: Server) => [...await differences(server), ...(name === "folder-1" ? [] : await moreDifferences(server, pointsOf(name)))]
    for (const start of ["first", "second"]) {
      const server = await startServer({ data, config: goldenConfig, env: goldenEnv, args: ["--peers", "127.0.0.1:0"] })
      expect(await all(server), `${start} start`).toEqual([])
      // What came with later formats works on it too: collection takes nothing that is needed, verification finds no fault.
      await admin(server, "/v1/gc?now=true")
      expect(await all(server), `${start} start, collected`).toEqual([])
      expect(await admin(server, "/v1/verify")).not.toContain('"event":"finding"')
      await server.stop()
    }
    rmSync(home, { recursive: true })
  }, 60_000)
})
