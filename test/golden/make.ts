/**
 * Makes the golden folder of the current format version: node test/golden/make.ts. Once a version has landed its folder
 * is never made again: it stands for the folders that people have.
 */
import { cpSync, existsSync, rmSync } from "node:fs"
import { join } from "node:path"
import { folderFormat } from "../../src/node/Folder.ts"
import { startServer, temporaryFolder } from "../e2e/server.ts"
import { differences, goldenConfig, goldenEnv, write } from "./script.ts"

const target = new URL(`folder-${folderFormat}`, import.meta.url).pathname
if (existsSync(target)) throw new Error(`${target} exists: a landed format never changes; raise folderFormat in src/node/Folder.ts`)
const home = temporaryFolder("golden")
const data = join(home, "data")
const server = await startServer({ data, config: goldenConfig, env: goldenEnv })
try {
  await write(server)
  const found = await differences(server)
  if (found.length > 0) throw new Error(found.join("\n"))
} finally {
  await server.stop()
}
// The index is disposable and the lock belongs to a process: neither is part of a folder's format.
cpSync(data, target, { recursive: true, filter: (path) => !/\/(index|lock)$/.test(path) })
rmSync(home, { recursive: true })
console.log(`made ${target}`)
