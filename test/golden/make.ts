/**
 * Makes the golden folder of the current format version: node test/golden/make.ts. Once a version has landed its folder
 * is never made again: it stands for the folders that people have.
 */
import { cpSync, existsSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { folderFormat } from "../../src/node/Folder.ts"
import { startServer, temporaryFolder } from "../e2e/server.ts"
import { differences, goldenConfig, goldenEnv, moreDifferences, type Points, write, writeMore } from "./script.ts"

const target = new URL(`folder-${folderFormat}`, import.meta.url).pathname
if (existsSync(target)) throw new Error(`${target} exists: a landed format never changes; raise folderFormat in src/node/Folder.ts`)
const home = temporaryFolder("golden")
const data = join(home, "data")
const server = await startServer({ data, config: goldenConfig, env: goldenEnv })
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
