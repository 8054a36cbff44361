/** A cluster that grows from one member, and whose members go: whole stores, consensus brought behind the members' table by whoever leads. */
import { describe, expect, it } from "vitest"
import { calmPlan } from "../../sim/faults/NetworkPlan.ts"
import { seededRandom } from "../../sim/Random.ts"
import { hashOf } from "../../src/base/hash.ts"
import { get, makeBucket, put } from "../pipeline/operations.ts"
import { GrowingMembers } from "./GrowingMembers.ts"
import type { Host } from "./Members.ts"

describe("members that come and go", () => {
  it("growing: one becomes three, one leaves, a dead one is removed by force and another comes in, the first leaves while it leads: what was put at every stage is there", { timeout: 240_000 }, () => {
    const growing = new GrowingMembers(5, 1, calmPlan)
    const { members } = growing
    const [a, b, c, d, e] = members.hosts as [Host, Host, Host, Host, Host]
    const { country } = members
    const bodies = new Map<string, string>()
    const puts = (...hosts: ReadonlyArray<Host>): void => {
      for (const host of hosts) {
        for (const size of [20, 30_000]) {
          const key = `k${bodies.size}`
          const body = seededRandom(bodies.size + 1).bytes(size)
          bodies.set(key, hashOf(body))
          members.do(host, put(key, body))
        }
      }
    }
    const settled = (...hosts: ReadonlyArray<Host>): void => {
      country.passUntil(() => growing.isSettled(hosts[0]!) && growing.record.members.size === hosts.length && hosts.every((host) => growing.isMember(host) && host.rooms !== undefined), 240_000)
      puts(...hosts)
    }
    members.do(a, makeBucket)
    puts(a)
    growing.admit(b, a)
    growing.admit(c, a)
    settled(a, b, c)
    members.do(c, growing.leaving(b, false))
    settled(a, c)
    members.cut(b)
    growing.admit(d, c)
    settled(a, c, d)
    // What had two copies has three by now.
    country.pass(60_000)
    members.cut(c)
    country.pass(8000)
    members.do(d, growing.leaving(c, true))
    settled(a, d)
    growing.admit(e, d)
    settled(a, d, e)
    members.do(e, growing.leaving(a, false))
    settled(d, e)
    members.cut(a)
    puts(e, d)
    for (const host of [d, e]) for (const [key, hash] of bodies) expect(`${key} ${hashOf(members.fenced(host, get(key)))}`).toBe(`${key} ${hash}`)
    const kinds = growing.steps.map(({ _tag }) => _tag)
    expect(kinds.filter((kind) => kind === "Gone")).toHaveLength(3)
    expect(kinds).toContain("HandOver")
  })
})
