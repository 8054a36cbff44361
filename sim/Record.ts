/** Record: the account of swarms on the disk, RUNS.tsv, and which commit it is of. Between Runs, which says what a line is, and the swarms that are told to `--record`. */
import { execFileSync } from "node:child_process"
import { appendFileSync, readFileSync } from "node:fs"
import { lineOf, machinesOf, type Run } from "./Runs.ts"

const runsFile = new URL("./RUNS.tsv", import.meta.url)
const hashDigits = 12

const git = (...args: ReadonlyArray<string>): string => execFileSync("git", args, { cwd: new URL("../", import.meta.url), encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim()

/** `entry`: the file that runs one world. */
export const committedOf = (entry: string): Pick<Run, "commit" | "machines"> => ({
  commit: git("rev-parse", "HEAD").slice(0, hashDigits),
  machines: machinesOf(entry, (path) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8"))
})

/** What is told of worlds, or planted in them. */
const besideWorlds = [":!sim/RUNS.tsv", ":!*.md", ":!sim/seeds", ":!sim/mutants"]

/**
 * Whether what worlds are made of besides machines, in these folders, is the same at a commit and at the newest; one that is not known here (of another branch,
 * say) has worlds of its own.
 */
export const ranTheSame = (folders: ReadonlyArray<string>) => (commit: string): boolean => {
  try {
    return git("diff", "--name-only", commit, "HEAD", "--", ...folders, "package-lock.json", ...besideWorlds) === ""
  } catch {
    return false
  }
}

/** What runs, of these folders, is what was committed. */
export const isCommitted = (folders: ReadonlyArray<string>): boolean => git("status", "--porcelain", "--", ...folders, "package-lock.json", ":!sim/RUNS.tsv") === ""

export const keepRun = (run: Run): void => appendFileSync(runsFile, `${lineOf(run)}\n`)

export const keptRuns = (): string => readFileSync(runsFile, "utf8")
