/** What operators of worlds take for well is what health says, in the words in which it says so. */
import { Effect } from "effect"
import { expect, test } from "vitest"
import { isSound, type Outcome } from "../../sim/Client.ts"
import { Meters } from "../../src/base/Meters.ts"
import { makeAdminHandler, type NodeControl } from "../../src/gateway/admin/AdminHandler.ts"
import { RequestBook } from "../../src/gateway/RequestBook.ts"
import type { NamedFinding } from "../../src/base/HealthBoard.ts"
import { bodyOf } from "../pipeline/store.ts"

const healthOf = async (findings: ReadonlyArray<NamedFinding>, phase: "Starting" | "Ready" = "Ready"): Promise<Outcome> => {
  // Nothing else of the node is asked here: whatever would be missing throws.
  const control = { phase: () => phase, health: () => findings } as unknown as NodeControl
  const handle = makeAdminHandler(control, new RequestBook({ meters: new Meters(), listener: "admin", slowMs: 1000, logsAll: false }), () => "0")
  const { body, status } = await Effect.runPromise(handle({ method: "GET", target: "/health/ready", headers: [], body: bodyOf(new Uint8Array(0)), secure: false, remote: "127.0.0.1" }))
  return { _tag: "Answered", status, headers: new Map(), body: body as Uint8Array }
}

test("a node whose index is damaged is not well, nor one that does not serve; one that has something else to complain of is", async () => {
  const damaged = { soundness: "degraded", detail: "node 3.0a: missing: restart the node" } as const
  expect(isSound(await healthOf([{ name: "index", soundness: "ok", detail: "no damage is known" }]))).toBe(true)
  expect(isSound(await healthOf([{ name: "journal", ...damaged }, { name: "index", soundness: "ok", detail: "" }]))).toBe(true)
  expect(isSound(await healthOf([{ name: "journal", ...damaged }, { name: "index", soundness: "ok", detail: "" }]), ["index", "journal"])).toBe(false)
  expect(isSound(await healthOf([{ name: "index", ...damaged }]))).toBe(false)
  expect(isSound(await healthOf([{ name: "journal", soundness: "failed", detail: "" }]))).toBe(false)
  expect(isSound(await healthOf([], "Starting"))).toBe(false)
  expect(isSound({ _tag: "Unknown", why: "cut" })).toBe(false)
})
