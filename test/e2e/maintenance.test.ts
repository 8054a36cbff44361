/** Maintenance commands: through the admin address while a node runs, by opening the folder when none does. */
import { existsSync, rmSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { cleanEnvironment, commandPath, runCommand, type Server, startServer, temporaryFolder } from "./server.ts"

const home = temporaryFolder("maintenance")
const data = join(home, "data")
let server: Server
/** Where nobody listens while the node is stopped: the ports of the node that was. */
let addresses: Record<string, string> = {}

const ouroboros = async (args: ReadonlyArray<string>, env: Record<string, string> = {}, input?: string) => {
  const done = await runCommand(process.execPath, [commandPath, ...args], {
    env: cleanEnvironment({ OUROBOROS_DATA: data, ...addresses, ...env }), msMax: 30_000, ...(input === undefined ? {} : { input })
  })
  return { code: done.code, out: done.stdout.toString("utf8"), error: done.stderr }
}

const told = async (): Promise<ReadonlyArray<{ readonly sequence: number; readonly state: string; readonly parent?: string; readonly vertex: string }>> =>
  (await ouroboros(["log", "s3://kept/a", "--json"])).out.trim().split("\n").map((line) => JSON.parse(line) as never)

beforeAll(async () => {
  server = await startServer({ data })
  addresses = { OUROBOROS_S3: `127.0.0.1:${server.s3Port}`, OUROBOROS_ADMIN: `127.0.0.1:${server.adminPort}` }
  await ouroboros(["mb", "s3://kept"])
  await ouroboros(["cp", "-", "s3://kept/a"], {}, "first")
  await ouroboros(["cp", "-", "s3://kept/a"], {}, "second")
}, 60_000)

afterAll(async () => {
  await server.dispose()
  rmSync(home, { recursive: true, force: true })
})

describe("maintenance", () => {
  it("says the same of a running node and of its folder; a version names the one it was written over", async () => {
    const running = await told()
    expect(running.map(({ sequence, state }) => [sequence, state])).toEqual([[3, "current"], [2, "hidden"]])
    expect(running[0]?.parent).toBe(running[1]?.vertex)
    const status = JSON.parse((await ouroboros(["status", "--json"])).out) as { head: { commit: number }; warnings: ReadonlyArray<string> }
    expect(status.head.commit).toBe(3)
    expect(status.warnings.join()).toContain("vault.key")
    const elsewhere = await ouroboros(["status", "--admin", "127.0.0.1:1"])
    expect([elsewhere.code, elsewhere.error]).toEqual([5, expect.stringContaining("name its admin address")])
    expect((await ouroboros(["log", "s3://kept/never"])).code).toBe(3)
    await server.stop()
    expect(await told()).toEqual(running)
    expect((await ouroboros(["log", "s3://nope"])).code).toBe(3)
    expect((await ouroboros(["ls"])).code).toBe(5)
  }, 60_000)

  it("changes the passphrase of a stopped node: the next start needs it; and back to a key file", async () => {
    const exported = (await ouroboros(["key", "export"])).out
    expect((await ouroboros(["key", "change-passphrase"], { OUROBOROS_NEW_PASSPHRASE: "changed" })).code).toBe(0)
    expect(existsSync(join(data, "vault.key"))).toBe(false)
    const refused = await ouroboros(["status"])
    expect([refused.code, refused.error]).toEqual([1, expect.stringContaining("OUROBOROS_PASSPHRASE")])
    expect((await ouroboros(["key", "export"], { OUROBOROS_PASSPHRASE: "changed" })).out).toBe(exported)
    expect((await ouroboros(["key", "change-passphrase", "--key-file"], { OUROBOROS_PASSPHRASE: "changed" })).code).toBe(0)
    expect((await ouroboros(["key", "export"])).out).toBe(exported)
  }, 60_000)

  it("an exported key opens the store whose keyring is lost; another store's key changes nothing", async () => {
    const exported = (await ouroboros(["key", "export"])).out
    const before = await told()
    rmSync(join(data, "keyring"))
    rmSync(join(data, "vault.key"))
    expect((await ouroboros(["status"])).error).toContain("keyring is missing")
    const wrong = await ouroboros(["key", "import"], {}, exported.replace(/[0-9A-Z]{5}\s*$/, "00000"))
    expect([wrong.code, existsSync(join(data, "keyring"))]).toEqual([1, false])
    expect((await ouroboros(["key", "import"], {}, exported)).out).toContain("vault.key")
    expect(await told()).toEqual(before)
  }, 60_000)

  it("leaves nothing behind where there is no store", async () => {
    const nowhere = join(home, "nowhere")
    const answer = await ouroboros(["status", "--data", nowhere], { OUROBOROS_ACCESS_KEY: "someone", OUROBOROS_SECRET_KEY: "some-secret" })
    expect([answer.code, answer.error]).toEqual([1, expect.stringContaining("no store")])
    expect(existsSync(nowhere)).toBe(false)
  }, 30_000)
})
