/** Nodes that watch each other by what their carriers hear, and replicas that ask each other, on simulated machines. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { peersOver, servePeers } from "../../src/cluster/PeersCarrier.ts"
import { type AvailabilityInterface, watchAvailability } from "../../src/membership/AvailabilityService.ts"
import type { Turn } from "../../src/membership/Availability.ts"
import { Country, reasonOf, type Station, valueOf } from "../carrier/Stations.ts"

describe("nodes that watch each other", () => {
  it("watch: who falls silent has gone within seconds, who is there again is there, and a cut is seen on both sides", () => {
    const country = new Country(3)
    const turns: Array<readonly [by: number, node: number, standing: string, ms: number]> = []
    const indexOf = (id: string): number => country.stations.findIndex((one) => one.id === id)
    const watchers = new Map<Station, AvailabilityInterface>()
    const start = (station: Station): void => station.start((_, carrier) => Effect.gen(function*() {
      const others = country.stations.filter((one) => one !== station)
      const availability = yield* watchAvailability(undefined, (turn: Turn) => Effect.sync(() => void turns.push([indexOf(station.id), indexOf(turn.node), turn.standing, country.nowMs])))
      watchers.set(station, availability)
      yield* availability.watch(others.map(({ id }) => id))
      // The runner has told those that were heard to the station; from here on to the watcher.
      station.hears = (from, at) => availability.heard(from, at)
      yield* carrier.serve(1, ({ bytes }) => Effect.succeed(bytes))
      // A session with everybody, as consensus has one.
      for (const { id } of others) yield* Effect.forkScoped(Effect.forever(Effect.andThen(carrier.note(id, 1, new Uint8Array(1), 0), Effect.sleep(500))))
    }))
    for (const station of country.stations) start(station)
    country.pass(20_000)
    expect(turns.map(([by, node, standing]) => [by, node, standing].join(" ")).sort()).toEqual(["0 1 Up", "0 2 Up", "1 0 Up", "1 2 Up", "2 0 Up", "2 1 Up"])
    turns.length = 0
    const beganMs = country.nowMs
    country.stations[2]!.powerOff()
    country.pass(6000)
    expect(turns.map(([by, node, standing]) => [by, node, standing].join(" ")).sort()).toEqual(["0 2 Down", "1 2 Down"])
    for (const [, , , ms] of turns) expect(ms - beganMs).toBeLessThan(4000)
    turns.length = 0
    start(country.stations[2]!)
    country.pass(15_000)
    expect(turns.map(([by, node, standing]) => [by, node, standing].join(" ")).sort()).toEqual(["0 2 Up", "1 2 Up", "2 0 Up", "2 1 Up"])
    const status = country.stations[0]!.run(watchers.get(country.stations[0]!)!.status)
    country.pass(10)
    expect(valueOf(status).map(({ downs, node, standing }) => [indexOf(node), standing, downs])).toEqual([[1, "Up", 0], [2, "Up", 1]])
    expect(country.stations[0]!.log.some((line) => line.includes("has gone"))).toBe(true)
  })

  it("peers: one replica asks another by its node; one that nobody has, and one that is off, are errors of their names", () => {
    const country = new Country(2)
    const [a, b] = country.stations as [Station, Station]
    for (const station of country.stations) station.start((_, carrier) => servePeers(carrier, (ask) => Effect.succeed(Uint8Array.from([...ask, 9]))))
    country.passUntil(() => a.carrier !== undefined && b.carrier !== undefined)
    const peers = peersOver({ carrier: a.carrier!, nodeOf: (replica) => (replica === "b1" ? b.id : undefined) })
    const asked = a.run(peers.ask("b1", Uint8Array.of(1, 2)))
    const nobody = a.run(peers.ask("c1", Uint8Array.of(1)))
    country.pass(500)
    expect([...valueOf(asked)]).toEqual([1, 2, 9])
    expect(reasonOf(nobody)).toContain("no member has it")
    b.powerOff()
    const off = a.run(peers.ask("b1", Uint8Array.of(1)))
    country.pass(15_000)
    expect(reasonOf(off)).toMatch(/SessionLost|Deadline|Unreachable/)
  })
})
