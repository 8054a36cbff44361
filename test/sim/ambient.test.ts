/** Ambient: every way out of a simulated world is trapped while it runs, and open again after it. */
import childProcess, { spawnSync } from "node:child_process"
import crypto, { randomBytes, randomUUID } from "node:crypto"
import dns from "node:dns"
import fs, { readFileSync } from "node:fs"
import http from "node:http"
import net from "node:net"
import { Cause, DateTime, Effect, Hash } from "effect"
import { expect, test } from "vitest"
import { underTraps } from "../../sim/Ambient.ts"

const waysOut: Readonly<Record<string, () => unknown>> = {
  "Date.now": () => Date.now(),
  "new Date()": () => new Date(),
  "Date()": () => Date(),
  "Math.random": () => Math.random(),
  "performance.now": () => performance.now(),
  "process.hrtime": () => process.hrtime(),
  "process.hrtime.bigint": () => process.hrtime.bigint(),
  "process.nextTick": () => process.nextTick(() => undefined),
  setTimeout: () => setTimeout(() => undefined, 0),
  setInterval: () => setInterval(() => undefined, 1000),
  setImmediate: () => setImmediate(() => undefined),
  queueMicrotask: () => queueMicrotask(() => undefined),
  fetch: () => fetch("http://127.0.0.1:1"),
  "crypto.randomUUID": () => globalThis.crypto.randomUUID(),
  "crypto.getRandomValues": () => globalThis.crypto.getRandomValues(new Uint8Array(4)),
  "node:crypto randomBytes": () => crypto.randomBytes(4),
  "node:crypto randomBytes, imported by name": () => randomBytes(4),
  "node:crypto randomUUID, imported by name": () => randomUUID(),
  "node:fs readFileSync": () => fs.readFileSync("package.json"),
  "node:fs readFileSync, imported by name": () => readFileSync("package.json"),
  "node:fs writeFileSync": () => fs.writeFileSync("never", ""),
  "node:fs promises": () => fs.promises.readFile("package.json"),
  "node:net connect": () => net.connect(1),
  "node:http request": () => http.request("http://127.0.0.1:1"),
  "node:dns lookup": () => dns.lookup("localhost", () => undefined),
  "node:child_process spawn": () => childProcess.spawn("true"),
  "node:child_process spawnSync, imported by name": () => spawnSync("true"),
  "Effect's own clock": () => Effect.runSync(DateTime.now)
}

for (const [what, way] of Object.entries(waysOut)) {
  test(`${what} is trapped while a world runs, and works after it`, () => {
    expect(() => underTraps(way)).toThrow(/was reached while a world runs/)
    const after = what.startsWith("node:net") || what.startsWith("node:http") || what === "fetch" || what.includes("writeFile") || what.includes("set") ? undefined : way()
    expect(after === undefined || after !== null).toBe(true)
  })
}

test("a fiber outside every machine cannot sleep: it dies of the trap", () => {
  const exit = underTraps(() => Effect.runFork(Effect.sleep(1000)).pollUnsafe())
  expect(String(exit)).toMatch(/was reached while a world runs/)
})

test("kernels need no trap: hashes, ciphers, dates that are named", () => {
  const named = underTraps(() => [crypto.createHash("sha256").update("a").digest("hex"), new Date(0).toISOString()])
  expect(named[0]).toMatch(/^ca978112/)
  expect(named[1]).toBe("1970-01-01T00:00:00.000Z")
})

test("Effect compares failures that hold what it can only tell apart by chance: the same chance every time", () => {
  const hashes = underTraps(() => [Hash.hash({ first: () => 1 }), Hash.hash({ first: () => 2 })])
  expect(hashes[0]).toBe(hashes[1])
  const [one, other] = [() => 1, () => 2].map((act) => Cause.fail({ act }))
  expect(underTraps(() => Cause.combine(one!, other!)).reasons.length).toBe(2)
})

test("a world that throws leaves no trap behind", () => {
  expect(() => underTraps(() => { throw new Error("over") })).toThrow("over")
  expect(Date.now()).toBeGreaterThan(0)
  expect(new Date()).toBeInstanceOf(Date)
  expect(readFileSync("package.json", "utf8")).toContain("ouroborosdb")
})
