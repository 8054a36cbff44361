/** Leadership goes where it is sent: to whom an operator names, or to the best who is there; and stays where nobody can take it. */
import { Effect } from "effect"
import { expect, it } from "vitest"
import { askHandOver, type HandingOver, handOver, handOverBeforeStop, serveHandOver } from "../../src/cluster/HandOver.ts"
import type { CarrierInterface } from "../../src/carrier/CarrierService.ts"
import { Member } from "../../src/node/MemberLayer.ts"
import { Members, type Host } from "./Members.ts"

const leaderOf = (members: Members): Host => {
  let leader: Host | undefined
  members.country.passUntil(() => {
    leader = members.hosts.find((host) => host.rooms !== undefined && members.do(host, Effect.map(Member, ({ raft }) => raft.status().role === "Leader")))
    return leader !== undefined
  })
  return leader!
}

const handing = (members: Members, host: Host, isUp: (id: string) => boolean = () => true) =>
  Effect.map(Member, ({ raft }): HandingOver => ({ raft, self: host.station.id, isUp: (id) => isUp(id) && members.hosts.some(({ rooms, station }) => station.id === id && rooms !== undefined) }))

it("hand over: to the one that is named; before a stop to one that is there; not to one that is no voter, nor where nobody is", () => {
  const members = new Members(3, 5)
  const first = leaderOf(members)
  const others = members.hosts.filter((host) => host !== first)
  const [second, third] = others as [Host, Host]
  expect(members.do(first, Effect.flatMap(handing(members, first), (how) => handOver(how, second.station.id)))).toBe(second.station.id)
  expect(leaderOf(members)).toBe(second)
  expect(members.do(second, Effect.flatMap(handing(members, second), (how) => Effect.flip(handOver(how, "f".repeat(64))))).detail).toContain("does not vote")
  expect(members.do(second, Effect.flatMap(handing(members, second, () => false), (how) => Effect.flip(handOver(how, undefined)))).detail).toContain("no other voter is there")
  members.do(second, Effect.flatMap(handing(members, second, (id) => id === third.station.id), handOverBeforeStop))
  expect(leaderOf(members)).toBe(third)
  // Of one that does not lead there is nothing to do, and nothing changes.
  members.do(first, Effect.flatMap(handing(members, first), handOverBeforeStop))
  expect(leaderOf(members)).toBe(third)
})

it("hand over: of two that go at once the first is not waited for", () => {
  const members = new Members(3, 7)
  const first = leaderOf(members)
  const [second, third] = members.hosts.filter((host) => host !== first) as [Host, Host]
  third.station.powerOff()
  second.station.powerOff()
  let looks = 0
  // It seems to be there at first.
  const isUp = (id: string): boolean => id === second.station.id && looks++ === 0
  const { nowMs } = members.country
  const refused = members.do(first, Effect.flatMap(Member, ({ raft }) => Effect.flip(handOver({ raft, self: first.station.id, isUp }, undefined))))
  expect(refused.detail).toMatch(/no other voter is there/)
  expect(members.country.nowMs - nowMs).toBeLessThan(2_000)
})

it("hand over: whoever is asked and does not lead asks who does", () => {
  const members = new Members(3, 6)
  const first = leaderOf(members)
  const [second, third] = members.hosts.filter((host) => host !== first) as [Host, Host]
  const carrier = (host: Host): CarrierInterface => host.station.carrier!
  for (const host of members.hosts) {
    const how = members.do(host, handing(members, host))
    host.station.run(Effect.andThen(serveHandOver(carrier(host), how), Effect.never).pipe(Effect.scoped))
  }
  expect(members.do(second, Effect.flatMap(handing(members, second), (how) => askHandOver(carrier(second), how, third.station.id)))).toBe(third.station.id)
  expect(leaderOf(members)).toBe(third)
  expect(members.do(second, Effect.flatMap(handing(members, second), (how) => Effect.flip(askHandOver(carrier(second), how, "f".repeat(64))))).message).toContain("does not vote")
  third.station.powerOff()
  first.station.powerOff()
  members.country.pass(5000)
  expect(members.do(second, Effect.flatMap(handing(members, second), (how) => Effect.flip(askHandOver(carrier(second), how, undefined)))).message).toMatch(/nobody leads|no answer|Deadline|ended/)
})
