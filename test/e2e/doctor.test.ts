/** ouroboros doctor as an operator runs it: beside a node, on its folder, and where something is wrong. */
import { chmodSync, rmSync } from "node:fs"
import { dirname, join } from "node:path"
import { afterAll, beforeAll, expect, it } from "vitest"
import { cleanEnvironment, commandPath, runCommand, type Server, startServer, temporaryFolder } from "./server.ts"

const data = join(temporaryFolder("doctor"), "data")
let server: Server

const doctor = async (...args: ReadonlyArray<string>) => {
  const { code, stdout, stderr } = await runCommand(process.execPath, [commandPath, "doctor", "--data", data, ...args], {
    env: cleanEnvironment({ OUROBOROS_S3: `127.0.0.1:${server.s3Port}`, OUROBOROS_ADMIN: `127.0.0.1:${server.adminPort}` }), msMax: 30_000
  })
  return { code, out: stdout.toString("utf8"), error: stderr }
}

interface Finding {
  readonly check: string
  readonly grade: string
  readonly detail: string
  readonly mend?: string
}

const findings = async (): Promise<ReadonlyArray<Finding>> =>
  (await doctor("--json")).out.trim().split("\n").map((line) => JSON.parse(line) as Finding)

beforeAll(async () => {
  server = await startServer({ data })
}, 60_000)

afterAll(async () => {
  await server.dispose()
  rmSync(dirname(data), { recursive: true, force: true })
})

it("doctor: knows the node that runs, reads its folder, and leaves nothing there", async () => {
  const found = await findings()
  expect(found).toContainEqual({ check: "node", grade: "ok", detail: expect.any(String) })
  expect(found).toContainEqual({ check: "data folder", grade: "ok", detail: expect.stringContaining("a store of format") })
  expect(found.find(({ check }) => check === "vault key")).toMatchObject({ grade: "warn", mend: expect.stringContaining("change-passphrase") })
  expect(found.map(({ check }) => check)).toContain("disk space")
}, 60_000)

it("doctor: secrets that others may read end it with 1 and the command that mends them", async () => {
  chmodSync(join(data, "credentials"), 0o644)
  const { code, error, out } = await doctor()
  expect(code).toBe(1)
  expect(out).toMatch(/fail +secrets +others may read credentials\n +-> chmod 600 .*\/credentials/)
  expect(error).toMatch(/1 of \d+ checks failed/)
  chmodSync(join(data, "credentials"), 0o600)
}, 60_000)
