/** The cluster on the admin address: what is asked reaches the node's cluster as it was meant, and what that refuses is told. */
import { Effect, References } from "effect"
import { describe, expect, test } from "vitest"
import { toBase64, toUtf8 } from "../../src/base/bytes.ts"
import { joinTokenMsMax } from "../../src/base/clusterLimits.ts"
import { ClusterRefused } from "../../src/gateway/admin/ClusterRoutes.ts"
import { handlerOf, status, twin } from "./clusterTwin.ts"

const ask = async (handler: ReturnType<typeof handlerOf>, method: string, target: string, body?: unknown, password = "secret") => {
  const parts = body === undefined ? [] : [toUtf8(typeof body === "string" ? body : JSON.stringify(body))]
  const response = await Effect.runPromise(handler({
    method, target, secure: false, remote: "127.0.0.1:1", headers: [["authorization", `Basic ${toBase64(toUtf8(`root:${password}`))}`]],
    body: { sizeBytes: undefined, next: Effect.sync(() => parts.shift()) }
  }).pipe(Effect.provideService(References.MinimumLogLevel, "None")))
  const value: unknown = JSON.parse(Buffer.from(response.body as Uint8Array).toString())
  return { status: response.status, value }
}

describe("the cluster on the admin address", () => {
  test("each question and each change reaches the cluster as it was meant", async () => {
    const asked: Array<unknown> = []
    const handler = handlerOf(twin(asked))
    const node = "b".repeat(64)
    expect(await ask(handler, "GET", "/v1/cluster")).toEqual({ status: 200, value: status })
    expect(await ask(handler, "GET", "/v1/cluster/pending")).toEqual({
      status: 200, value: { pending: [{ node, name: "barn", addresses: ["127.0.0.1:9101"], program: "0.1.0", askedMs: 5 }] }
    })
    expect(await ask(handler, "POST", "/v1/cluster/invite", { lifeMs: 1000, isApproved: true })).toEqual({ status: 200, value: { token: "token", expiresMs: 9 } })
    await ask(handler, "POST", "/v1/cluster/invite", {})
    for (const change of ["approve", "deny", "remove"]) {
      expect(await ask(handler, "POST", `/v1/cluster/${change}`, { node: "barn" })).toEqual({ status: 200, value: { node } })
    }
    await ask(handler, "POST", "/v1/cluster/remove", { node: "barn", isForced: true })
    expect(await ask(handler, "POST", "/v1/cluster/transfer", { node: "barn" })).toEqual({ status: 200, value: { leader: node } })
    await ask(handler, "POST", "/v1/cluster/transfer")
    expect(asked).toEqual([
      "status", "pending", ["invite", { lifeMs: 1000, isApproved: true }], ["invite", { lifeMs: 86_400_000, isApproved: false }],
      ["approve", "barn"], ["deny", "barn"], ["remove", "barn", false], ["remove", "barn", true], ["transfer", "barn"], ["transfer", undefined]
    ])
  })

  test("a body that says something else is refused, and the cluster hears nothing of it", async () => {
    const asked: Array<unknown> = []
    const handler = handlerOf(twin(asked))
    const bad: ReadonlyArray<readonly [string, unknown]> = [
      ["invite", { lifeMs: 0 }], ["invite", { lifeMs: joinTokenMsMax + 1 }], ["invite", { lifeMs: 1.5 }], ["invite", { lifeMs: "1" }], ["invite", { isApproved: "yes" }],
      ["approve", {}], ["approve", "no JSON"], ["deny", { node: "" }], ["remove", { node: 7 }], ["remove", { node: "barn", isForced: 1 }], ["transfer", { node: "" }]
    ]
    for (const [path, body] of bad) expect((await ask(handler, "POST", `/v1/cluster/${path}`, body)).status, `${path} ${JSON.stringify(body)}`).toBe(400)
    for (const [method, path] of [["POST", "/v1/cluster"], ["GET", "/v1/cluster/invite"], ["POST", "/v1/cluster/constructor"]] as const) {
      expect((await ask(handler, method, path)).status, path).toBe(404)
    }
    expect(asked).toEqual([])
  })

  test("what the cluster refuses has its code, its sentence, and a status of its kind", async () => {
    const kinds = { NoSuchNode: 404, NotPending: 409, Refused: 409, NoQuorum: 503, NoCluster: 409 } as const
    for (const [code, wanted] of Object.entries(kinds)) {
      const handler = handlerOf(twin([], new ClusterRefused({ code: code as keyof typeof kinds, detail: "what to do" })))
      expect(await ask(handler, "POST", "/v1/cluster/approve", { node: "barn" })).toEqual({ status: wanted, value: { code, error: "what to do" } })
    }
  })

  test("a node of no cluster says so, whatever it is asked", async () => {
    const handler = handlerOf(undefined)
    const refused = { status: 409, value: { code: "NoCluster", error: "this node belongs to no cluster: `ouroboros cluster init` makes one" } }
    expect(await ask(handler, "GET", "/v1/cluster")).toEqual(refused)
    expect(await ask(handler, "GET", "/v1/cluster/pending")).toEqual(refused)
    for (const change of ["invite", "approve", "deny", "remove", "transfer"]) expect(await ask(handler, "POST", `/v1/cluster/${change}`, {}), change).toEqual(refused)
  })

  test("while the node waits for the others it tells the state of its cluster, and nothing else", async () => {
    const asked: Array<unknown> = []
    const handler = handlerOf(twin(asked), "Starting")
    expect((await ask(handler, "GET", "/v1/cluster")).status).toBe(200)
    expect((await ask(handler, "GET", "/v1/cluster/pending")).status).toBe(503)
    expect((await ask(handler, "POST", "/v1/cluster/transfer", {})).status).toBe(503)
    expect(asked).toEqual(["status"])
  })

  test("nobody without the root credentials is told or does anything", async () => {
    const asked: Array<unknown> = []
    const handler = handlerOf(twin(asked))
    expect((await ask(handler, "GET", "/v1/cluster", undefined, "guess")).status).toBe(401)
    expect((await ask(handler, "POST", "/v1/cluster/invite", {}, "guess")).status).toBe(401)
    expect(asked).toEqual([])
  })
})
