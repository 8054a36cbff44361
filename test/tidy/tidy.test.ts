/** Style is a test: the project's files against the checks of checks.ts and the tables of rooms.ts. */
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import * as checks from "./checks.ts"
import type { Source } from "./source.ts"

const BINARY = /\.(wasm|png|ico|hex|bin)$/

const paths = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], { encoding: "utf8" })
  .split("\n")
  .filter((path) => path !== "" && existsSync(path))

const sources: ReadonlyArray<Source> = paths
  .filter((path) => !BINARY.test(path))
  .map((path) => ({ path, text: readFileSync(path, "utf8") }))

const complaintsOf = (check: checks.Check): ReadonlyArray<string> => sources.flatMap((source) => check(source))

describe("tidy", () => {
  it("there is a project to look at", () => {
    expect(paths).toContain("src/base/README.md")
    expect(sources.length).toBeGreaterThan(20)
  })

  it("imports point left only, and reach outside only through the kernel table", () => {
    expect(complaintsOf(checks.checkImports)).toEqual([])
  })

  it("no time, chance, timer, promise or I/O outside adapters", () => {
    expect(complaintsOf(checks.checkAmbient)).toEqual([])
  })

  it("no file is too long", () => {
    expect(complaintsOf(checks.checkFileLength)).toEqual([])
  })

  it("nothing is left unfinished", () => {
    expect(complaintsOf(checks.checkUnfinished)).toEqual([])
  })

  it("no catch is silent", () => {
    expect(complaintsOf(checks.checkSilentCatches)).toEqual([])
  })

  it("no test is left out", () => {
    expect(complaintsOf(checks.checkLeftOutTests)).toEqual([])
  })

  it("no path of one machine, no registry's host", () => {
    expect([...complaintsOf(checks.checkMachinePaths), ...complaintsOf(checks.checkRegistryHosts)]).toEqual([])
  })

  it("every room is listed and has a README", () => {
    expect(checks.checkRooms(paths)).toEqual([])
  })

  it("ARCHITECTURE.md names every room", () => {
    const architecture = sources.find(({ path }) => path === "ARCHITECTURE.md")
    expect(checks.checkRoomsNamed(paths, architecture?.text ?? "")).toEqual([])
  })

  it("every link of a document leads somewhere", () => {
    expect(checks.checkLinks(sources, paths)).toEqual([])
  })
})
