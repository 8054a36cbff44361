/** A store of one node becomes the first member of a cluster: nothing of its past is lost, whatever cuts that short, and others come in and have it all. */
import { Effect, Exit } from "effect"
import { describe, expect, it } from "vitest"
import { calmPlan } from "../../sim/faults/NetworkPlan.ts"
import { seededRandom } from "../../sim/Random.ts"
import { Country } from "../carrier/Stations.ts"
import { seedsOf } from "../membership/fixtures.ts"
import { hashOf } from "../../src/base/hash.ts"
import { identityOf } from "../../src/membership/Identity.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { get, put } from "../pipeline/operations.ts"
import { type Machine, withStore } from "../pipeline/store.ts"
import { after, aStore, grow, isMember, pastOf, sameAs, type Past } from "./Alone.ts"
import { GrowingMembers } from "./GrowingMembers.ts"
import type { Host } from "./Members.ts"

const count = 3
/** Who will be the first of such a world. */
const firstOf = (): { readonly identity: Country["stations"][number]["identity"]; readonly seed: number } => {
  const { scene, stations } = new Country(count)
  const [{ identity }] = stations as [Country["stations"][number]]
  const seed = Array.from({ length: count }, (_, index) => 10 + index).find((number) => identityOf(scene.pairs, seedsOf(number)).id === identity.id)!
  return { identity, seed }
}
const own = firstOf()

const asMember = (alone: Machine, seed = 1): { readonly growing: GrowingMembers; readonly hosts: readonly [Host, Host, Host] } => {
  const growing = new GrowingMembers(count, seed, calmPlan, {}, { alone })
  return { growing, hosts: growing.members.hosts as unknown as readonly [Host, Host, Host] }
}

const changed = (growing: GrowingMembers, host: Host, past: Past): ReadonlyArray<string> => growing.members.fenced(host, sameAs(past))

/** Its power, or its process, goes in the midst of it; what it then is, and what is not as it was: alone, and as the member that it becomes. */
const cutShort = async (stop: number, variant: number): Promise<{ readonly became: "Store" | "Member"; readonly lost: ReadonlyArray<string> }> => {
  const { machine, past } = await aStore(2)
  machine.disk.stopAfter(stop)
  await grow(machine, own)
  const random = seededRandom(stop)
  let next = after(machine, variant % 4 === 3 ? "Kill" : "Cut", random)
  const became = await isMember(next) ? "Member" : "Store"
  const lost: Array<string> = []
  if (became === "Store") {
    lost.push(...await withStore(next, sameAs(past)))
    if (variant % 2 === 0) next = after(next, "Cut", random)
    const again = await grow(next, own)
    if (again === "Died" || Exit.isFailure(again)) lost.push(`it does not grow: ${JSON.stringify(again)}`)
  }
  const { growing, hosts: [first] } = asMember(next)
  return { became, lost: [...lost, ...changed(growing, first, past)] }
}

describe("a store of one node grows", () => {
  it("the first of three: two others come in and have every block and all of its past, and go on when it is gone", { timeout: 240_000 }, async () => {
    const { journaledBytes, machine, past } = await aStore(1)
    expect([journaledBytes > 20_000, [...past.values()].filter((hash) => !hash.startsWith("refused")).length > 60]).toEqual([true, true])
    expect(await grow(machine, own)).toSatisfy(Exit.isSuccess)
    expect(await isMember(machine)).toBe(true)
    const { growing, hosts: [a, b, c] } = asMember(machine)
    const { country } = growing.members
    // Of what lies in the journal of one the others could have nothing.
    expect(growing.members.do(a, Effect.map(Namespace, ({ counts }) => counts().journaledBytes))).toBe(0)
    expect(changed(growing, a, past)).toEqual([])
    const body = seededRandom(5).bytes(30_000)
    growing.members.do(a, put("new", body))
    growing.admit(b, a)
    growing.admit(c, a)
    country.passUntil(() => growing.isSettled(a) && growing.record.members.size === 3 && [a, b, c].every((host) => growing.isMember(host) && host.rooms !== undefined), 240_000)
    country.pass(60_000)
    growing.members.cut(a)
    country.pass(8000)
    for (const host of [b, c]) {
      expect(changed(growing, host, past)).toEqual([])
      expect(hashOf(growing.members.fenced(host, get("new")))).toBe(hashOf(body))
    }
    growing.members.do(c, put("newer", body))
    growing.members.start(a)
    country.passUntil(() => a.rooms !== undefined)
    expect(changed(growing, a, past)).toEqual([])
    expect(hashOf(growing.members.fenced(a, get("newer")))).toBe(hashOf(body))
  })

  it("power cut or kill at any operation of the disk: it is the store that it was, and grows when it is told again, or it is the member", { timeout: 240_000 }, async () => {
    const whole = await aStore(2)
    const from = whole.machine.disk.operations
    expect(await grow(whole.machine, own)).toSatisfy(Exit.isSuccess)
    const total = whole.machine.disk.operations
    const stride = Math.max(1, Math.floor((total - from) / 24))
    const last = total - 12
    const stops = [...Array.from({ length: Math.ceil((last - from) / stride) }, (_, at) => from + 1 + at * stride), ...Array.from({ length: 12 }, (_, at) => last + 1 + at)]
    const found: Array<string> = []
    const was = { Store: 0, Member: 0 }
    for (const [at, stop] of stops.entries()) {
      const { became, lost } = await cutShort(stop, at)
      was[became] += 1
      found.push(...lost.map((what) => `operation ${stop - from} of ${total - from}: ${what}`))
    }
    expect(found).toEqual([])
    expect([was.Store > 24, was.Member > 1]).toEqual([true, true])
  })

  it("it goes on as a store of its own after an attempt that was cut short, and what was put since grows with it", { timeout: 60_000 }, async () => {
    const { machine } = await aStore(3)
    const from = machine.disk.operations
    const probe = await aStore(3)
    expect(await grow(probe.machine, own)).toSatisfy(Exit.isSuccess)
    // All is there but the marker.
    machine.disk.stopAfter(from + (probe.machine.disk.operations - from) - 8)
    expect(await grow(machine, own)).toBe("Died")
    const next = after(machine, "Kill", seededRandom(1))
    expect(await isMember(next)).toBe(false)
    const past = await withStore(next, Effect.andThen(put("small", seededRandom(9).bytes(5000)), pastOf))
    expect(await grow(next, own)).toSatisfy(Exit.isSuccess)
    const { growing, hosts: [a] } = asMember(next)
    expect(changed(growing, a, past)).toEqual([])
  })

  it("refused by its name, and still the store that it was: a chunk that only the journal has is damaged; the disk is full, which leaves nothing behind", { timeout: 60_000 }, async () => {
    const hurt = await aStore(4)
    const place = hurt.waiting.copies[0]?.place
    const segment = [...hurt.machine.disk.contents().keys()].find((path) => place?._tag === "Journal" && path.endsWith(`${String(place.segment).padStart(8, "0")}.seg`))
    hurt.machine.disk.corrupt(segment!, place!.offset + 50)
    expect(String(await grow(hurt.machine, own))).toContain(`1 of its chunks can no longer be read, and only the journal had them, the first is ${hurt.waiting.id}`)
    expect(await isMember(hurt.machine)).toBe(false)
    expect([...hurt.machine.disk.contents().keys()].filter((path) => path.startsWith("checkpoints/0/") || path === "members")).toEqual([])

    const { machine, past } = await aStore(5)
    machine.disk.fault = (operation, path) => (operation === "write" && path.startsWith("checkpoints/0/") ? "NoSpace" : undefined)
    expect(String(await grow(machine, own))).toContain("NoSpace")
    machine.disk.fault = undefined
    expect(await isMember(machine)).toBe(false)
    expect([...machine.disk.contents().keys()].filter((path) => path.startsWith("checkpoints/0/"))).toEqual([])
    expect(await withStore(machine, sameAs(past))).toEqual([])
    expect(await grow(machine, own)).toSatisfy(Exit.isSuccess)
  })
})
