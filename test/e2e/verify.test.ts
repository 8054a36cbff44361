/** ouroboros verify on the real server: running and stopped, whole and harmed; and after its index was rebuilt. */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { noise } from "../golden/script.ts"
import { askAdmin, cleanEnvironment, commandPath, runCommand, type Server, startServer, temporaryFolder } from "./server.ts"
import { call, closeConnections } from "./wire.ts"

const config = { chunkAverageBytes: 16_384, settleBytes: 8_000_000, settleAgeMs: 3_600_000, checkpointRows: 100_000, retentionDays: 36_500 }
const home = temporaryFolder("verify")
const origin = join(home, "origin")
const bucket = "kept"
const objects = ["cut", "flipped", "lost", "whole"] as const
const blockOf = new Map<string, string>()
let copies = 0
const servers: Array<Server> = []

const filesIn = (folder: string): ReadonlyArray<string> =>
  (readdirSync(folder, { recursive: true }) as ReadonlyArray<string>).filter((name) => statSync(join(folder, name)).isFile()).sort()

beforeAll(async () => {
  const server = await startServer({ data: origin, config })
  servers.push(server)
  await call(server, { method: "PUT", bucket })
  // The first bytes of each key are history by the end.
  for (const [index, key] of objects.entries()) {
    const before = new Set(filesIn(join(origin, "blocks")))
    await call(server, { method: "PUT", bucket, key, body: noise(index + 1, 90_000) })
    await askAdmin(server, "POST", "/v1/settle")
    blockOf.set(key, `blocks/${filesIn(join(origin, "blocks")).find((path) => !before.has(path))}`)
  }
  await call(server, { method: "PUT", bucket, key: "lost", body: Buffer.from("a small version over a large one") })
  await askAdmin(server, "POST", "/v1/checkpoint")
  await call(server, { method: "PUT", bucket, key: "journaled", body: noise(9, 60_000) })
  await server.stop()
  closeConnections(server)
}, 60_000)

afterAll(async () => {
  for (const server of servers) await server.dispose()
  rmSync(home, { recursive: true, force: true })
})

const copy = (harm: (data: string) => void = () => undefined): string => {
  const data = join(home, `copy-${copies++}`)
  cpSync(origin, data, { recursive: true })
  harm(data)
  return data
}

const flip = (path: string, at: number): void => {
  const bytes = readFileSync(path)
  bytes[at] = bytes[at]! ^ 0x10
  writeFileSync(path, bytes)
}

const harmBlocks = (data: string): void => {
  flip(join(data, blockOf.get("flipped")!), 40_000)
  truncateSync(join(data, blockOf.get("cut")!), 20_000)
  rmSync(join(data, blockOf.get("lost")!))
}

const verify = async (data: string, args: ReadonlyArray<string> = [], server?: Server) => {
  const admin = server === undefined ? "127.0.0.1:1" : server.admin.replace("http://", "")
  const done = await runCommand(process.execPath, [commandPath, "verify", "--data", data, "--admin", admin, ...args], { env: cleanEnvironment({}), msMax: 60_000 })
  return { code: done.code, out: done.stdout.toString("utf8"), error: done.stderr }
}

const idOf = (key: string): string => /([0-9a-f]{32})\.block$/.exec(blockOf.get(key)!)![1]!

const expectHarmNamed = (out: string): void => {
  expect(out).toMatch(new RegExp(`^damaged: block ${idOf("flipped")}: `, "m"))
  expect(out).toMatch(new RegExp(`^damaged: block ${idOf("cut")}: `, "m"))
  expect(out).toMatch(new RegExp(`^missing: block ${idOf("lost")}: `, "m"))
  expect([...out.matchAll(/^damaged: s3:\/\/(\S+) version (\S+)( \(history only\))?: /gm)].map((match) => [match[1], match[2], match[3] ?? ""])).toEqual([
    ["kept/cut", "null", ""], ["kept/flipped", "null", ""], ["kept/lost", "null", " (history only)"]
  ])
}

describe("ouroboros verify", () => {
  it("of a whole folder: nothing is found, and nothing was changed but what a start changes; as JSON too", async () => {
    const data = copy()
    const done = await verify(data)
    expect([done.code, done.out]).toEqual([0, expect.stringContaining("everything is as it was written")])
    expect(done.out).toMatch(/checked \d+ chunks and 6 versions/)
    const json = await verify(data, ["--json"])
    const lines = json.out.trim().split("\n").map((line) => JSON.parse(line) as { event: string; summary: { findings: number; references: { versions: number } } })
    expect([json.code, lines.length, lines[0]!.event, lines[0]!.summary.findings, lines[0]!.summary.references.versions]).toEqual([0, 1, "summary", 0, 6])
  }, 60_000)

  it("of harmed blocks, the node stopped: each block and each version that cannot be read is named, exit 1", async () => {
    const done = await verify(copy(harmBlocks))
    expect(done.code).toBe(1)
    expectHarmNamed(done.out)
    expect(done.error).toMatch(/\d+ findings/)
  }, 60_000)

  it("of harmed blocks, the node running: the same, while the rest is served; the same bytes again heal", async () => {
    const data = copy(harmBlocks)
    const server = await startServer({ data, config })
    servers.push(server)
    const before = await verify(data, [], server)
    expect(before.code).toBe(1)
    expectHarmNamed(before.out)
    const whole = await call(server, { method: "GET", bucket, key: "whole" })
    expect([whole.status, whole.body.equals(noise(4, 90_000))]).toEqual([200, true])
    for (const [index, key] of objects.slice(0, 3).entries()) await call(server, { method: "PUT", bucket, key: `again/${key}`, body: noise(index + 1, 90_000) })
    const after = await verify(data, [], server)
    expect(after.out, "the blocks are still harmed, no version is").not.toContain("s3://")
    for (const [index, key] of (["cut", "flipped"] as const).entries()) {
      expect((await call(server, { method: "GET", bucket, key })).body.equals(noise(index + 1, 90_000)), key).toBe(true)
    }
    const second = verify(data, ["--rebuild-index"], server)
    expect(await second).toMatchObject({ code: 1, error: expect.stringContaining("stop it first") })
    await server.stop()
    closeConnections(server)
  }, 60_000)

  it("--rebuild-index: the index is thrown away, rebuilt and compared with the blocks; the same again with none at all", async () => {
    const data = copy()
    const done = await verify(data, ["--rebuild-index"])
    expect([done.code, done.out]).toEqual([0, expect.stringMatching(/rebuilt.*\n.*index nodes?[\s\S]*everything is as it was written/)])
    rmSync(join(data, "index"), { recursive: true })
    expect((await verify(data, ["--rebuild-index"])).code).toBe(0)
    expect(existsSync(join(data, "index", "data.mdb"))).toBe(true)
  }, 60_000)

  it("of a journal that is harmed where it was proven: the start is refused with the place, and so is the verification", async () => {
    const data = copy((at) => {
      const path = join(at, "journal", readdirSync(join(at, "journal")).filter((name) => name.endsWith(".seg")).sort().at(-1)!)
      flip(path, 30)
    })
    const done = await verify(data)
    expect([done.code, done.error]).toEqual([1, expect.stringMatching(/segment \d+ is damaged at byte/)])
  }, 60_000)
})
