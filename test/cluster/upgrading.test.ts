/** Members of two versions: what only the newer one knows waits until all are new, and whoever is old after that does not begin. */
import { Effect } from "effect"
import { expect, it } from "vitest"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { State } from "../../src/namespace/State.ts"
import { levelOf } from "../../src/replica/FeatureLevel.ts"
import { get, makeBucket, put } from "../pipeline/operations.ts"
import { type Host, Members } from "./Members.ts"

const remove = Effect.flatMap(Namespace, (namespace) => Effect.result(namespace.propose({ _tag: "DeleteObjects", bucket: "b", targets: [{ key: "k" }] })))
const level = Effect.map(State, ({ reader }) => levelOf(reader))

it("upgrade: a change that older members cannot read is refused until the last one is new, whichever member is asked; then the cluster takes it, and takes no older member", () => {
  const isNew = new Set<Host>()
  const members = new Members(3, 5, undefined, {}, { levels: (host) => ({ program: isNew.has(host) ? 2 : 1, of: ({ _tag }) => (_tag === "DeleteObjects" ? 2 : 1) }) })
  const { country, hosts } = members
  const refusals = (): ReadonlyArray<string> => hosts.map((host) => {
    const result = members.do(host, remove)
    return result._tag === "Success" ? "done" : result.failure.message
  })
  const needs = "unavailable: Stopped: DeleteObjects needs feature level 2, and this cluster is at 1 until every member runs a program that reads more: upgrade the others, then send it again"
  members.do(hosts[0]!, makeBucket)
  members.do(hosts[0]!, put("k", new Uint8Array(10)))
  const upgraded: Array<ReadonlyArray<string>> = []
  for (const host of hosts) {
    isNew.add(host)
    members.kill(host)
    members.start(host)
    members.ready()
    upgraded.push(refusals())
  }
  expect(upgraded).toEqual([[needs, needs, needs], [needs, needs, needs], [needs, needs, needs]])
  country.passUntil(() => hosts.every((host) => Effect.runSync(Effect.provide(level, host.rooms!)) === 2))
  expect(refusals()).toEqual(["done", "done", "done"])
  expect(members.do(hosts[1]!, Effect.result(get("k")))._tag).toBe("Failure")
  const [first] = hosts as [Host]
  const restarted = (as: "old" | "new"): void => {
    if (as === "old") isNew.delete(first)
    else isNew.add(first)
    members.kill(first)
    members.start(first)
  }
  // What raised it is in the log, or in the state.
  restarted("old")
  country.passUntil(() => first.station.log.some((line) => line.includes("applies ended by a defect")))
  expect(first.rooms).toBe(undefined)
  restarted("new")
  members.ready()
  members.do(first, Effect.flatMap(Namespace, (namespace) => namespace.checkpoint(true)))
  restarted("old")
  country.passUntil(() => first.failure !== undefined)
  expect(first.failure).toContain("this cluster has come to feature level 2, and this program reads 1: start the version that the other members run, or a newer one")
  restarted("new")
  members.ready()
})
