/**
 * npm run upgrade -- REV: three members that run the program as it was at a commit become, one after the other and under load, the program as it is here: for as long as that takes old and
 * new ones are members of one cluster, and lead each other. What was acknowledged is there afterwards, at each. Needs the history (git) and, where the lockfile was another, npm's packages.
 */
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { CreateBucketCommand } from "@aws-sdk/client-s3"
import { commandPath, projectRoot, temporaryFolder } from "../e2e/server.ts"
import { clientOf, Load } from "./Load.ts"
import { type Host, ouroboros, Trio } from "./Trio.ts"

const putsBetween = 200
const usage = "npm run upgrade -- REV: a commit whose program the members are at first"

const git = (...args: ReadonlyArray<string>): string => execFileSync("git", args, { cwd: projectRoot, encoding: "utf8" }).trim()

/** The program as it was at a commit, in a folder of its own. */
const checkoutOf = (rev: string): string => {
  const folder = join(temporaryFolder("upgrade"), "then")
  git("worktree", "add", "--detach", folder, rev)
  const lockOf = (root: string): string => readFileSync(join(root, "package-lock.json"), "utf8")
  if (lockOf(folder) === lockOf(projectRoot) && existsSync(join(projectRoot, "node_modules"))) symlinkSync(join(projectRoot, "node_modules"), join(folder, "node_modules"))
  else execFileSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd: folder, stdio: "inherit" })
  return folder
}

const progress = async (load: Load): Promise<void> => {
  const from = load.acknowledged
  for (const beganMs = performance.now(); load.acknowledged < from + putsBetween;) {
    if (performance.now() - beganMs > 60_000) throw new Error(`${load.acknowledged - from} of ${putsBetween} puts in a minute`)
    await new Promise((resolve) => void setTimeout(resolve, 50))
  }
}

const say = (line: string): void => console.log(line)

const upgrade = async (trio: Trio, rev: string): Promise<boolean> => {
  const [ada, bob, cyd] = trio.hosts as [Host, Host, Host]
  await trio.vote(3)
  const client = clientOf(ada)
  await client.send(new CreateBucketCommand({ Bucket: "upgraded" }))
  client.destroy()
  const load = new Load(trio.hosts, "upgraded", "rolled")
  await progress(load)
  for (const host of trio.hosts) {
    await trio.stop(host)
    host.command = commandPath
    await trio.start(host)
    await trio.vote(3)
    await progress(load)
    say(`${host.name} is the program of today`)
    // Each leads the others once, while there are both kinds.
    if (host !== cyd) for (const leader of [host, cyd]) {
      await trio.lead(leader, host)
      await progress(load)
      say(`${leader.name} (${leader.command === commandPath ? "today" : rev}) leads`)
    }
  }
  const { gets, longestMs, puts, refused, wrong } = await load.end()
  const problems = [...wrong, ...await load.check()]
  load.close()
  for (const host of trio.hosts) say(`${host.name}: ${(await ouroboros(["verify", "--data", host.data, "--admin", host.admin ?? ""], 120_000)).trim().split("\n").at(-1) ?? ""}`)
  // What only today's program knows.
  const place = `127.0.0.1:${bob.listen}`
  await trio.stop(bob)
  await ouroboros(["cluster", "address", place, "--data", bob.data])
  await trio.start(bob)
  await trio.until("all know where bob is", ({ members }) => members.find(({ name }) => name === "bob")?.addresses.join() === place)
  for (const problem of problems) say(problem)
  say(`${puts} puts, ${gets} gets, ${refused} refused; without an answer for ${Math.round(longestMs)} ms at most; ${problems.length} wrong`)
  return problems.length === 0
}

const { positionals: [rev, ...more] } = parseArgs({ allowPositionals: true })
if (rev === undefined || more.length > 0) {
  console.error(usage)
  process.exit(2)
}
const commit = git("rev-parse", "--short=12", `${rev}^{commit}`)
const then = checkoutOf(commit)
const trio = await Trio.open(undefined, join(then, "src", "cli", "ouroboros.mjs"))
try {
  const isRight = await upgrade(trio, commit)
  say(isRight ? `ok: from ${commit} to today's` : "not ok")
  process.exitCode = isRight ? 0 : 1
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
} finally {
  await trio.dispose()
  git("worktree", "remove", "--force", then)
  rmSync(join(then, ".."), { recursive: true, force: true })
}
