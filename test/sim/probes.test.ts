/** Probes: each of the table is somewhere in the code; what is listened to is heard. */
import { readdirSync, readFileSync } from "node:fs"
import { afterEach, expect, test } from "vitest"
import { listenToProbes, probe, probeNames } from "../../src/base/probes.ts"

afterEach(() => listenToProbes(undefined))

test("every probe of the table is at a place of the code", () => {
  const files = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts") && path !== "base/probes.ts")
  const code = files.map((path) => readFileSync(`src/${path}`, "utf8")).join("\n")
  expect(Object.keys(probeNames).length).toBeGreaterThanOrEqual(20)
  expect(Object.keys(probeNames).filter((name) => !code.includes(`"${name}"`))).toEqual([])
})

test("a listener hears each probe, and none once it has left", () => {
  const heard: Array<string> = []
  listenToProbes((name) => heard.push(name))
  probe("recovery.tornTail")
  probe("recovery.tornTail")
  listenToProbes(undefined)
  probe("recovery.tornTail")
  expect(heard).toEqual(["recovery.tornTail", "recovery.tornTail"])
})
