/** A data folder written by any landed format version opens and reads as it was written. */
import { cpSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { folderFormat, memberFolderFormat } from "../../src/node/Folder.ts"
import { temporaryFolder } from "../e2e/server.ts"
import { readsTwice } from "./reads.ts"
import type { Points } from "./script.ts"

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
    await readsTwice(data, name === "folder-1" ? undefined : pointsOf(name))
    rmSync(home, { recursive: true })
  }, 120_000)
})
