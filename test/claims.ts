/**
 * `npm run claims -- FILTER`: what the documents promise, run as commands.
 * Sits between docs/claims.tsv (claim, command, expected line) and the shell; FILTER is text in a claim or command.
 */
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"

const COMMAND_MS_MAX = 30 * 60 * 1000

interface Claim {
  readonly claim: string
  readonly command: string
  readonly expected: string
}

const parse = (table: string): ReadonlyArray<Claim> =>
  table.split("\n").slice(1).filter((line) => line.trim() !== "").map((line) => {
    const [claim, command, expected] = line.split("\t")
    if (claim === undefined || command === undefined || expected === undefined) {
      throw new Error(`docs/claims.tsv: three columns with tabs between them, not: ${line}`)
    }
    return { claim, command, expected }
  })

/** `/x/` is a regular expression, anything else is text; one line of the output has to match. */
const isMet = (expected: string, output: string): boolean => {
  const pattern = /^\/(.+)\/$/.exec(expected)?.[1]
  const matches = pattern === undefined
    ? (line: string) => line.includes(expected)
    : (line: string) => new RegExp(pattern).test(line)
  return output.replace(/\u001B\[[0-9;]*m/g, "").split("\n").some(matches)
}

const filter = process.argv.slice(2).join(" ")
const claims = parse(readFileSync(new URL("../docs/claims.tsv", import.meta.url), "utf8"))
  .filter(({ claim, command }) => claim.includes(filter) || command.includes(filter))

let failed = 0
for (const { claim, command, expected } of claims) {
  const startMs = performance.now()
  const { stdout, stderr, status } = spawnSync("bash", ["-c", command], {
    encoding: "utf8",
    timeout: COMMAND_MS_MAX,
    maxBuffer: 1 << 28
  })
  const isHeld = isMet(expected, stdout + stderr)
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
  console.log(`${isHeld ? "passed" : "FAILED"}  ${seconds.padStart(7)} s  ${claim}`)
  if (!isHeld) {
    failed += 1
    console.log(`        $ ${command}\n        expected: ${expected}\n        exit ${status}, got:`)
    console.log((stdout + stderr).trimEnd().split("\n").slice(-15).map((line) => `        | ${line}`).join("\n"))
  }
}
console.log(`${claims.length - failed} passed, ${failed} failed`)
// A filter that matches nothing proves nothing.
process.exitCode = failed > 0 || claims.length === 0 ? 1 : 0
