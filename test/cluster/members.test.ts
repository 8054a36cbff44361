/** Stores with several members, whole: put at one, get at another, whatever happens to the third. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { calmPlan, drawNetworkPlan } from "../../sim/faults/NetworkPlan.ts"
import { seededRandom } from "../../sim/Random.ts"
import { toHex } from "../../src/base/bytes.ts"
import { hashOf } from "../../src/base/hash.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { State } from "../../src/namespace/State.ts"
import { get, makeBucket, put } from "../pipeline/operations.ts"
import { tiny } from "../pipeline/store.ts"
import { reasonOf, type Running } from "../carrier/Stations.ts"
import { type Host, Members } from "./Members.ts"
import { runMembers } from "./MemberWorld.ts"

const remove = (key: string) => Effect.flatMap(Namespace, (namespace) => namespace.propose({ _tag: "DeleteObjects", bucket: "b", targets: [{ key }] }))
const bodies = [10, 500, 5000, 40_000, 120_000].map((size, index) => seededRandom(index + 1).bytes(size))

describe("members of a store", () => {
  it("members: what is put at one is there at every other, of any size", { timeout: 60_000 }, () => {
    const members = new Members(3)
    members.do(members.hosts[0]!, makeBucket)
    for (const [index, body] of bodies.entries()) members.do(members.hosts[index % 3]!, put(`k${index}`, body))
    for (const host of members.hosts) {
      for (const [index, body] of bodies.entries()) expect(hashOf(members.fenced(host, get(`k${index}`)))).toBe(hashOf(body))
    }
  })

  it("members: what is deleted goes from every disk, and what housework proposes the leader proposes", { timeout: 60_000 }, () => {
    const members = new Members(3, 5, calmPlan, {
      settings: { ...tiny.settings!, retentionDays: 1 / 86_400_000 }, gc: { intervalMs: 1000, graceMs: 0, reserveBytes: 0, compactBytesPerSecond: 0, sweepMs: 3000 }
    })
    const [first, second] = members.hosts as [Host, Host]
    members.do(first, makeBucket)
    for (let index = 0; index < 8; index += 1) members.do(index % 2 === 0 ? first : second, put(`k${index}`, seededRandom(index).bytes(20_000)))
    const files = () => members.hosts.map(({ disk }) => [...disk.contents().keys()].filter((path) => path.startsWith("blocks/")).length)
    members.country.passUntil(() => new Set(files()).size === 1)
    expect(files()[0]).toBeGreaterThan(7)
    for (let index = 0; index < 7; index += 1) members.do(second, remove(`k${index}`))
    // Blocks that were taken are spared for some minutes.
    members.country.pass(8 * 60_000)
    for (const count of files()) expect(count).toBeLessThan(4)
    for (const host of members.hosts) expect(hashOf(members.fenced(host, get("k7")))).toBe(hashOf(seededRandom(7).bytes(20_000)))
    expect(members.hosts.filter(({ phases }) => phases.has("Freeing"))).toHaveLength(1)
  })

  it("members: one that is cut off answers reads that may be old, for as long as they may be so old, and no other; then it has all again", { timeout: 60_000 }, () => {
    const members = new Members(3, 7)
    const [cut, ...others] = members.hosts as [Host, Host, Host]
    const fence = (ageMsMax?: number) => Effect.flatMap(Namespace, ({ quorum }) => quorum!.fence(ageMsMax))
    const reasonOfFence = (ageMsMax?: number): string => {
      const running = cut.run(fence(ageMsMax))
      members.country.passUntil(() => running.exit !== undefined)
      return reasonOf(running)
    }
    members.do(others[0], makeBucket)
    members.do(others[0], put("k", bodies[1]!))
    members.do(cut, fence())
    members.country.network.isolate(cut.station.id)
    const beganMs = members.country.nowMs
    members.do(others[1], put("k", bodies[2]!))
    // What it knew when it was cut off, and nothing that came since: so old a read may be.
    expect(reasonOfFence(20_000)).toBe("success")
    expect(hashOf(members.do(cut, get("k")))).toBe(hashOf(bodies[1]!))
    expect(reasonOfFence()).toBe("NoQuorum")
    members.country.pass(Math.max(0, 20_500 - (members.country.nowMs - beganMs)))
    expect(reasonOfFence(20_000)).toBe("NoQuorum")
    expect(reasonOfFence(600_000)).toBe("success")
    members.country.network.heal()
    members.country.pass(5000)
    members.do(cut, fence(1))
    expect(hashOf(members.do(cut, get("k")))).toBe(hashOf(bodies[2]!))
  })

  it("members: one of three may go at any moment, and another; what was acknowledged is there in the end, at each of them alike", { timeout: 240_000 }, () => {
    const count = Number(process.env["MEMBER_SEEDS"] ?? 3)
    const from = Number(process.env["MEMBER_FROM"] ?? 1)
    for (let seed = from; seed < from + count; seed += 1) {
      const random = seededRandom(seed)
      const members = new Members(3, seed, drawNetworkPlan(random.fork()))
      members.do(members.hosts[0]!, makeBucket)
      members.country.network.begin()
      const puts = new Map<string, { readonly hash: string; readonly running: Running<unknown, unknown> }>()
      for (let round = 0; round < 25; round += 1) {
        const host = random.pick(members.hosts)
        const key = `k${round}`
        const body = random.bytes(random.pick([20, 400, 3000, 30_000]) + random.below(500))
        if (host.rooms !== undefined) puts.set(key, { hash: hashOf(body), running: host.run(put(key, body)) })
        members.country.pass(random.below(2500))
        const isWhole = members.hosts.every(({ rooms }) => rooms !== undefined)
        if (isWhole && random.chance(0.25)) members.cut(random.pick(members.hosts))
        else if (!isWhole && random.chance(0.5)) for (const down of members.hosts) if (down.rooms === undefined && !down.station.life.isOn) members.start(down)
      }
      members.country.network.heal()
      for (const down of members.hosts) if (!down.station.life.isOn) members.start(down)
      members.ready()
      members.country.pass(60_000)
      const acknowledged = [...puts].filter(([, { running }]) => running.exit?._tag === "Success")
      expect(acknowledged.length).toBeGreaterThan(3)
      for (const host of members.hosts) {
        for (const [key, { hash }] of acknowledged) expect(`${key} ${hashOf(members.fenced(host, get(key)))}`).toBe(`${key} ${hash}`)
      }
      // No commit is under way: housework has nothing left that it would do within this second.
      const rows = members.hosts.map((host) => members.fenced(host, Effect.map(State, ({ reader }) => hashOf(Buffer.from([...reader.scan("", "\u0100")].map(([key, value]) => `${Buffer.from(key, "latin1").toString("hex")} ${toHex(value)}`).join("\n"))))))
      expect(new Set(rows).size).toBe(1)
    }
  })

  it("members: keys are linearizable wherever they are asked for, blocks are where commits say and nowhere else", { timeout: 240_000 }, () => {
    const count = Number(process.env["MEMBER_SEEDS"] ?? 2)
    let acknowledged = 0
    // 109: a member looked once for blocks that it lacks, and never again.
    for (const seed of [109, ...Array.from({ length: count }, (_, index) => index + 1)]) {
      const seen = runMembers(seed)
      expect(seen.problems).toEqual([])
      acknowledged += seen.acknowledged
    }
    expect(acknowledged).toBeGreaterThan(100 * count)
  })
})
