/**
 * Makes the golden folder of the current format version: node test/golden/make.ts, or of a member of a cluster: node test/golden/make.ts member. Once a version has landed its folder
 * is never made again: it stands for the folders that people have.
 */
import { cpSync, existsSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { folderFormat, memberFolderFormat } from "../../src/node/Folder.ts"
import { cleanEnvironment, commandPath, runCommand, startServer, temporaryFolder } from "../e2e/server.ts"
import { differences, goldenConfig, goldenEnv, moreDifferences, type Points, write, writeMore } from "./script.ts"

const isMember = process.argv[2] === "member"
const target = new URL(isMember ? `member-${memberFolderFormat}` : `folder-${folderFormat}`, import.meta.url).pathname
if (existsSync(target)) throw new Error(`${target} exists: a landed format never changes; raise folderFormat in src/node/Folder.ts`)
const home = temporaryFolder("golden")
const data = join(home, "data")
if (isMember) {
  const { code, stderr } = await runCommand(process.execPath, [commandPath, "cluster", "init", "--data", data, "--name", "golden", "--listen", "127.0.0.1:9100"], { env: cleanEnvironment(goldenEnv) })
  if (code !== 0) throw new Error(stderr)
}
const server = await startServer({ data, config: goldenConfig, env: goldenEnv, args: ["--peers", "127.0.0.1:0"] })
let points: Points
try {
  await write(server)
  points = await writeMore(server)
  const found = [...await differences(server), ...await moreDifferences(server, points)]
  if (found.length > 0) throw new Error(found.join("\n"))
} finally {
  await server.stop()
}
// The index is disposable and the lock belongs to a process: neither is part of a folder's format; the reserve file is only large.
cpSync(data, target, { recursive: true, filter: (path) => !/\/(index|lock|reserve)$/.test(path) })
writeFileSync(`${target}.json`, `${JSON.stringify(points)}\n`)
rmSync(home, { recursive: true })
console.log(`made ${target}`)
