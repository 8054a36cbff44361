/** cp of the command, against a running node: folders both ways, and what it says where something is missing. */
import { spawn } from "node:child_process"
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { cleanEnvironment, commandPath, runCommand, type Server, startServer, temporaryFolder } from "./server.ts"

const home = temporaryFolder("copy")
let server: Server

const ouroboros = async (...args: ReadonlyArray<string>) => {
  const done = await runCommand(process.execPath, [commandPath, ...args], {
    env: cleanEnvironment({ OUROBOROS_DATA: server.data, OUROBOROS_S3: `127.0.0.1:${server.s3Port}`, OUROBOROS_ADMIN: `127.0.0.1:${server.adminPort}` }),
    msMax: 30_000
  })
  return { code: done.code, out: done.stdout.toString("utf8"), error: done.stderr }
}

beforeAll(async () => {
  server = await startServer({})
  await ouroboros("mb", "s3://odd")
}, 60_000)

afterAll(async () => {
  await server.dispose()
  rmSync(home, { recursive: true, force: true })
})

describe("cp", () => {
  it("copies a folder of odd names up, and down again; a broken link is named and keeps no neighbour back", async () => {
    const names = ["#hash", "..dots", "a+b&c=%20?.txt", "sp ace/q'uo\"te<>", "tab\tline\n", "ünï 😀"]
    const folder = join(home, "in")
    mkdirSync(join(folder, "sp ace"), { recursive: true })
    for (const name of names) writeFileSync(join(folder, name), name)
    symlinkSync("/nowhere/at/all", join(folder, "b-broken"))
    const up = await ouroboros("cp", "--recursive", folder, "s3://odd/p")
    expect([up.code, up.error]).toEqual([1, expect.stringContaining("b-broken")])
    expect(up.out).toContain("tab\\x09line\\x0a")
    const down = await ouroboros("cp", "--recursive", "s3://odd/p", join(home, "out"))
    expect(down.code).toBe(0)
    for (const name of names) expect(readFileSync(join(home, "out", name), "utf8")).toBe(name)
  }, 60_000)

  it("ends with 3 and a sentence where the file is not there", async () => {
    const missing = join(home, "missing")
    expect(await ouroboros("cp", missing, "s3://odd/x")).toEqual({ code: 3, out: "", error: expect.stringContaining(`${missing}: no such file or folder`) })
  }, 30_000)

  it("cat writes all of it before it ends, also to a reader that is slow", async () => {
    const body = Buffer.alloc(3_000_000, "the whole of it; ")
    const file = join(home, "slow")
    writeFileSync(file, body)
    await ouroboros("cp", file, "s3://odd/slow")
    const child = spawn(process.execPath, [commandPath, "cat", "s3://odd/slow"], {
      stdio: ["ignore", "pipe", "inherit"],
      env: cleanEnvironment({ OUROBOROS_DATA: server.data, OUROBOROS_S3: `127.0.0.1:${server.s3Port}` })
    })
    const parts: Array<Buffer> = []
    for await (const part of child.stdout as AsyncIterable<Buffer>) {
      parts.push(part)
      await new Promise((resolve) => { setTimeout(resolve, 5) })
    }
    expect(Buffer.concat(parts).equals(body)).toBe(true)
  }, 60_000)
})
