/** Record: the account of swarms on the disk, RUNS.tsv, and which commit it is of. Between Runs, which says what a line is, and the swarms that are told to `--record`. */
import { execFileSync } from "node:child_process"
import { appendFileSync, readFileSync } from "node:fs"
import { lineOf, machinesOf, type Run } from "./Runs.ts"

const runsFile = new URL("./RUNS.tsv", import.meta.url)
const hashDigits = 12

const git = (...args: ReadonlyArray<string>): string => execFileSync("git", args, { cwd: new URL("../", import.meta.url), encoding: "utf8" }).trim()

/** `entry`: the file that runs one world. */
export const committedOf = (entry: string): Pick<Run, "commit" | "machines"> => ({
  commit: git("rev-parse", "HEAD").slice(0, hashDigits),
  machines: machinesOf(entry, (path) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8"))
})

/** What runs, of these folders, is what was committed. */
export const isCommitted = (folders: ReadonlyArray<string>): boolean => git("status", "--porcelain", "--", ...folders, "package-lock.json", ":!sim/RUNS.tsv") === ""

export const keepRun = (run: Run): void => appendFileSync(runsFile, `${lineOf(run)}\n`)

export const keptRuns = (): string => readFileSync(runsFile, "utf8")
