/** Members that begin anew between taking a block and the commit that names it. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { seededRandom } from "../../sim/Random.ts"
import { hashOf } from "../../src/base/hash.ts"
import { blocksNamed } from "../../src/namespace/QueryCensus.ts"
import { State } from "../../src/namespace/State.ts"
import { Put } from "../../src/put.ts"
import { get, makeBucket, noSummary } from "../pipeline/operations.ts"
import { type Host, Members } from "./Members.ts"

/** Half of it, and the rest once `isOpen` says so. */
const slowBody = (bytes: Uint8Array, isOpen: () => boolean) => {
  let at = 0
  const opened: Effect.Effect<void> = Effect.suspend(() => (at < bytes.length / 2 || isOpen() ? Effect.void : Effect.andThen(Effect.sleep(100), opened)))
  return {
    sizeBytes: bytes.length,
    next: Effect.andThen(opened, Effect.sync(() => {
      if (at === bytes.length) return undefined
      at += 1000
      return Uint8Array.from(bytes.subarray(at - 1000, at))
    }))
  }
}

const blocksOn = ({ disk }: Host): ReadonlyArray<string> =>
  [...disk.sizes().keys()].filter((path) => path.startsWith("blocks/")).map((path) => path.slice(path.lastIndexOf("/") + 1, -".block".length))

describe("a rolling restart under a slow upload", () => {
  it("members: each block that a commit names is on two disks when the upload is acknowledged, though all who took it have begun anew meanwhile", { timeout: 60_000 }, () => {
    const members = new Members(3, 11)
    const [first, ...others] = members.hosts as [Host, Host, Host]
    members.do(first, makeBucket)
    let isOpen = false
    const body = seededRandom(1).bytes(60_000)
    const running = first.run(Effect.flatMap(Put, (service) => service.object({
      bucket: "b", key: "slow", attributes: { headers: {}, userMetadata: {} }, body: slowBody(body, () => isOpen), summary: noSummary
    })))
    members.country.passUntil(() => others.every((host) => blocksOn(host).length > 0))
    members.country.pass(2000)
    const taken = blocksOn(others[0])
    for (const host of others) {
      members.kill(host)
      members.start(host)
      members.ready([host])
      members.country.pass(1000)
    }
    isOpen = true
    members.country.passUntil(() => running.exit !== undefined)
    const named = Effect.runSync(Effect.provide(Effect.map(State, ({ reader }) => [...blocksNamed(reader)].map(({ block }) => block as string)), first.rooms!))
    expect(named.filter((block) => taken.includes(block)).length).toBeGreaterThan(0)
    for (const block of named) expect([block, members.hosts.filter((host) => blocksOn(host).includes(block)).length]).toEqual([block, 3])
    // The one who acknowledged it dies that very moment.
    members.cut(first)
    expect(hashOf(members.fenced(others[1], get("slow")))).toBe(hashOf(body))
  })
})
