/** A data folder of a single node, as any landed format version has written it, becomes the first member of a cluster, and reads as it was written. */
import { cpSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { cleanEnvironment, commandPath, runCommand, temporaryFolder } from "../e2e/server.ts"
import { readsTwice } from "./reads.ts"
import { goldenEnv, type Points } from "./script.ts"

const here = new URL(".", import.meta.url).pathname
const folders = readdirSync(here).filter((name) => /^folder-\d+$/.test(name))

const init = (data: string) =>
  runCommand(process.execPath, [commandPath, "cluster", "init", "--data", data, "--name", "golden", "--listen", "127.0.0.1:9100"], { env: cleanEnvironment(goldenEnv), msMax: 60_000 })

describe("golden folders that grow", () => {
  test.each(folders)("%s: everything reads as it was written, and what only a single node needs is gone after a second start", async (name) => {
    const home = temporaryFolder("golden")
    const data = join(home, "data")
    cpSync(join(here, name), data, { recursive: true })
    const points = name === "folder-1" ? undefined : JSON.parse(readFileSync(join(here, `${name}.json`), "utf8")) as Points
    const grown = await init(data)
    expect([grown.code, grown.stderr]).toEqual([0, ""])
    const again = await init(data)
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining("belongs to a member of a cluster already: start it")])
    await readsTwice(data, points)
    expect(readdirSync(join(data, "checkpoints")).filter((entry) => entry !== "0" && entry !== "1")).toEqual(["current"])
    rmSync(home, { recursive: true })
  }, 240_000)
})
