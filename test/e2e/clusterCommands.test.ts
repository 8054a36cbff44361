/** `ouroboros cluster …` as people type it, in processes of its own, against the real admin handler over a twin of a cluster. */
import { Effect, Exit, References, Scope } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { listen } from "../adapters/rawHttp.ts"
import { ClusterRefused } from "../../src/gateway/admin/ClusterRoutes.ts"
import { handlerOf, status, twin } from "../gateway/clusterTwin.ts"
import { cleanEnvironment, commandPath, runCommand, spawnWatched } from "./server.ts"

const scope = Scope.makeUnsafe()
const asked: Array<unknown> = []

const servedBy = async (handler: ReturnType<typeof handlerOf>): Promise<Record<string, string>> => {
  const quiet: typeof handler = (request) => Effect.provideService(handler(request), References.MinimumLogLevel, "None")
  const { port } = await Effect.runPromise(Scope.provide(listen(quiet), scope))
  return { OUROBOROS_ADMIN: `127.0.0.1:${port}`, OUROBOROS_ACCESS_KEY: "root", OUROBOROS_SECRET_KEY: "secret" }
}

let there: Record<string, string> = {}
beforeAll(async () => {
  there = await servedBy(handlerOf(twin(asked)))
})
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const cluster = async (args: ReadonlyArray<string>, env = there) => {
  asked.length = 0
  const { code, stderr, stdout } = await runCommand(process.execPath, [commandPath, "cluster", ...args], { env: cleanEnvironment(env), msMax: 30_000 })
  return { code, out: stdout.toString("utf8"), error: stderr }
}

describe("commands of a cluster", () => {
  it("invite prints the token alone on standard output; what to do with it goes elsewhere", async () => {
    const { code, error, out } = await cluster(["invite", "--hours", "0.5", "--auto-approve"])
    expect([code, out]).toEqual([0, "token\n"])
    expect(asked).toEqual(["status", ["invite", { lifeMs: 1_800_000, isApproved: true }]])
    expect(error).toContain("ouroboros cluster join 127.0.0.1:9100,127.0.0.1:9103,127.0.0.1:9102")
    expect(error).not.toContain("token\n")
    for (const hours of ["0", "169"]) expect((await cluster(["invite", "--hours", hours])).code, hours).toBe(2)
    expect(asked).toEqual([])
  }, 120_000)

  it("each decision reaches the cluster, and what came of it is said", async () => {
    const told = [
      [["approve", "barn"], ["approve", "barn"], "bbbbbbbbbbbb is approved"], [["deny", "barn"], ["deny", "barn"], "bbbbbbbbbbbb is denied"],
      [["remove", "barn", "--force"], ["remove", "barn", true], "is to go"],
      [["transfer-leader"], ["transfer", undefined], "bbbbbbbbbbbb leads"], [["transfer-leader", "barn"], ["transfer", "barn"], "bbbbbbbbbbbb leads"]
    ] as const
    for (const [args, wanted, words] of told) {
      const { code, out } = await cluster(args)
      expect([code, asked, out], args.join(" ")).toEqual([0, [wanted], expect.stringContaining(words)])
    }
    expect((await cluster(["pending", "--json"])).out).toBe(`${JSON.stringify({ node: "b".repeat(64), name: "barn", addresses: ["127.0.0.1:9101"], program: "0.1.0", askedMs: 5 })}\n`)
    expect((await cluster(["approve"])).code).toBe(2)
  }, 120_000)

  it("status is the cluster's own as JSON, and a table for people; watched it comes again until it is interrupted, and that is no failure", async () => {
    expect(JSON.parse((await cluster(["status", "--json"])).out)).toEqual(status)
    const { out } = await cluster(["status"])
    expect(out).toMatch(/^leader +attic \(aaaaaaaaaaaa\), term 7/m)
    expect(out).toMatch(/^dddddddddddd +dairy +voter +DOWN/m)
    const watching = spawnWatched(process.execPath, [commandPath, "cluster", "status", "--watch"], { env: cleanEnvironment(there) })
    await watching.line(/NODE[^]*NODE[^]*NODE/)
    expect(await watching.stop("SIGINT")).toEqual({ code: 0, signal: null })
  }, 120_000)

  it("refusals end with an exit code of their kind and say what to do", async () => {
    const refused = await servedBy(handlerOf(twin([], new ClusterRefused({ code: "NoSuchNode", detail: "see `ouroboros cluster status`" }))))
    expect(await cluster(["approve", "barn"], refused)).toEqual({ code: 3, out: "", error: expect.stringContaining("NoSuchNode: see `ouroboros cluster status`") })
    const alone = await cluster(["status"], await servedBy(handlerOf(undefined)))
    expect(alone).toEqual({ code: 6, out: "", error: expect.stringContaining("`ouroboros cluster init` makes one") })
    const nobody = await cluster(["status"], { ...there, OUROBOROS_ADMIN: "127.0.0.1:1" })
    expect(nobody).toEqual({ code: 5, out: "", error: expect.stringContaining("a stopped member is never opened") })
  }, 120_000)
})
