/** The horizon moves with the clock: what lies before it is refused with a name of its own, never as a missing key. */
import { afterAll, expect, it } from "vitest"
import { cleanEnvironment, commandPath, runCommand, type Server, startServer } from "./server.ts"

const retentionSeconds = 4
let server: Server
afterAll(() => server.dispose())

const ouroboros = async (args: ReadonlyArray<string>, input = "") => {
  const done = await runCommand(process.execPath, [commandPath, ...args], {
    env: cleanEnvironment({ OUROBOROS_DATA: server.data, OUROBOROS_S3: `127.0.0.1:${server.s3Port}`, OUROBOROS_ADMIN: `127.0.0.1:${server.adminPort}` }),
    msMax: 30_000, input
  })
  return { code: done.code, out: done.stdout.toString("utf8"), error: done.stderr }
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })

it("reads before the horizon are refused, what S3 lists stays, whatever its age", async () => {
  server = await startServer({ config: { retentionDays: retentionSeconds / 86_400 } })
  await ouroboros(["mb", "s3://kept"])
  await ouroboros(["cp", "-", "s3://kept/a"], "first")
  await ouroboros(["cp", "-", "s3://kept/a"], "second")
  expect((await ouroboros(["cat", "s3://kept/a", "--as-of", "2"])).out).toBe("first")
  const horizon = async (): Promise<number> =>
    (JSON.parse((await ouroboros(["status", "--json"])).out) as { history: { oldestReadable: number } }).history.oldestReadable
  for (let turn = 0; turn < 30 && (await horizon()) < 3; turn += 1) await wait(500)
  const before = await ouroboros(["cat", "s3://kept/a", "--as-of", "2"])
  expect([before.code, before.error]).toEqual([1, expect.stringContaining("AsOfBeforeHorizon")])
  expect((await ouroboros(["log", "s3://kept/a", "--as-of", "2"])).error).toContain("AsOfBeforeHorizon")
  const future = await ouroboros(["log", "s3://kept/a", "--as-of", "100000"])
  expect(future.error).toContain("AsOfInFuture")
  expect((await ouroboros(["cat", "s3://kept/a"])).out).toBe("second")
}, 60_000)
