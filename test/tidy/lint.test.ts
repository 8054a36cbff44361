/** The lint sees what it is there for: a planted file fails, an honest one passes. Without its plugin entry in tsconfig.json it would check nothing and pass. */
import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"

const bin = (name: string): string => resolve("node_modules/.bin", name)
const run = (command: string, args: ReadonlyArray<string>, cwd: string) => {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8" })
  return { status, output: stdout + stderr }
}

/** What is planted, and the rule that must name it. */
const EFFECT_PLANTS: ReadonlyArray<readonly [string, string]> = [
  ["export const x = () => Date.now()", "globalDate"],
  ["export const x = () => new Date()", "globalDate"],
  ["export const x = () => Math.random()", "globalRandom"],
  ["export const x = () => setTimeout(() => {}, 1)", "globalTimers"],
  [`export const x = () => fetch("http://example.org")`, "globalFetch"],
  ["export const x = () => crypto.randomUUID()", "cryptoRandomUUID"],
  [`export const x = () => process.env["X"]`, "processEnv"],
  [`import { readFileSync } from "node:fs"\nexport const x = readFileSync`, "nodeBuiltinImport"],
  ["export const x = async () => 1", "asyncFunction"],
  [`import { Effect } from "effect"\nexport const x = () => {\n  Effect.log("lost")\n}`, "floatingEffect"]
]

const OXLINT_PLANTS: ReadonlyArray<readonly [string, string]> = [
  [`export const x = () => {\n${"  f()\n".repeat(71)}}\nconst f = () => 1`, "max-lines-per-function"],
  ["export const x = () => {\n  Promise.resolve(1)\n}", "no-floating-promises"],
  ["export const x = (a: any) => a", "no-explicit-any"]
]

const HONEST = `import { Effect } from "effect"\nexport const x = Effect.succeed(1)\n`

describe("lint", () => {
  let project = ""
  let tsc = ""

  const plant = (path: string, text: string): void => {
    const file = join(project, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }

  beforeEach(() => {
    project = mkdtempSync(join(tmpdir(), "ouroboros-lint-"))
    for (const file of ["tsconfig.json", ".oxlintrc.json", "package.json"]) cpSync(file, join(project, file))
    symlinkSync(resolve("node_modules"), join(project, "node_modules"))
    tsc = run(bin("effect-tsgo"), ["get-exe-path"], ".").output.trim()
  })

  afterEach(() => rmSync(project, { recursive: true }))

  it("Effect's diagnostics see each planted line, in the core only", () => {
    for (const [index, [text]] of EFFECT_PLANTS.entries()) {
      plant(`src/wal/Planted${index}.ts`, text)
      if (!text.includes("lost")) plant(`src/adapters/Planted${index}.ts`, text)
    }
    const { status, output } = run(tsc, ["--noEmit"], project)
    expect(status).not.toBe(0)
    for (const [index, [, rule]] of EFFECT_PLANTS.entries()) {
      expect(output).toMatch(new RegExp(String.raw`src/wal/Planted${index}\.ts\(.*effect\(${rule}`))
    }
    expect(output).not.toContain("src/adapters/")
  })

  it("oxlint sees each planted line", () => {
    for (const [index, [text]] of OXLINT_PLANTS.entries()) plant(`src/wal/Planted${index}.ts`, text)
    const { status, output } = run(bin("oxlint"), ["--deny-warnings", "--format=unix"], project)
    expect(status).not.toBe(0)
    for (const [index, [, rule]] of OXLINT_PLANTS.entries()) {
      expect(output).toMatch(new RegExp(String.raw`src/wal/Planted${index}\.ts:.*${rule}`))
    }
  })

  it("an honest file passes both", () => {
    plant("src/wal/WalService.ts", HONEST)
    expect(run(tsc, ["--noEmit"], project)).toEqual({ status: 0, output: "" })
    expect(run(bin("oxlint"), ["--deny-warnings"], project).status).toBe(0)
  })
})
