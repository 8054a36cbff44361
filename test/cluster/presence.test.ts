/** Members that have nothing to say to each other hear each other all the same; who has gone falls silent. */
import { expect, it } from "vitest"
import { sayPresence } from "../../src/cluster/Presence.ts"
import { Country } from "../carrier/Stations.ts"

it("presence: each of five hears every other within two seconds, and goes on doing so when one has gone and another came back", () => {
  const country = new Country(5, 4)
  const ids = country.stations.map(({ id }) => id)
  for (const station of country.stations) station.start((_, carrier) => sayPresence(carrier, () => ids.filter((id) => id !== station.id)))
  const [gone] = country.stations
  const heardBy = (id: string, sinceMs: number): number => new Set(country.stations.find((station) => station.id === id)!.heard.flatMap(([from, nowMs]) => (nowMs >= sinceMs ? [from] : []))).size
  country.pass(6 * 60_000)
  for (const id of ids) expect(heardBy(id, country.nowMs - 2000)).toBe(4)
  gone!.powerOff()
  country.pass(20_000)
  for (const id of ids.slice(1)) expect(heardBy(id, country.nowMs - 2000)).toBe(3)
  // Its clock begins anew.
  gone!.heard.length = 0
  gone!.start((station, carrier) => sayPresence(carrier, () => ids.filter((id) => id !== station.id)))
  country.pass(10_000)
  for (const id of ids) expect(heardBy(id, id === gone!.id ? 0 : country.nowMs - 2000)).toBe(4)
})
