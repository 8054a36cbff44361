/** No sync is there for nothing: the store without any one of them loses what it acknowledged, and the property says so. */
import { describe, expect, test } from "vitest"
import { runSeed, SeedFailed } from "./run.ts"
import { roomsAlone } from "./alone.ts"
import type { Plan } from "./world.ts"
import { syncSites, watched } from "./sites.ts"

const seedsMax = Number(process.env["OUROBOROS_SYNC_SEEDS"] ?? 600)
/** Lives of each kind by turns. */
const styles: ReadonlyArray<Plan> = [{ style: "Births" }, {}, { style: "Segments" }]
const cutsAlone = Number(process.env["OUROBOROS_SYNC_CUTS"] ?? 12)
const only = process.env["OUROBOROS_SITE"]

/** The first seed at which the store without the syncs of one line breaks a promise that it keeps with them. */
const firstCaught = (site: string) => {
  let asked = 0
  const disk = watched((where) => {
    asked += where === site ? 1 : 0
    return where === site
  })
  for (let seed = 1; seed <= seedsMax; seed += 1) {
    const style = styles[seed % styles.length]!
    try {
      runSeed(seed, { ...style, disk })
    } catch (error) {
      if (!(error instanceof SeedFailed)) throw error
      // With all its syncs the store comes through: else it is something else that shows.
      runSeed(seed, style)
      return { asked, seed, why: error.message.split("\n", 1)[0] }
    }
  }
  return { asked, seed: undefined, why: undefined }
}

/** How the rooms that are alone fail without the syncs of a line; undefined: they do not. */
const failureAlone = (site: string): Promise<string | undefined> =>
  roomsAlone(cutsAlone, watched((where) => where === site)).then(() => undefined, (error: unknown) => `alone: ${String(error)}`)

describe("syncs", () => {
  test("syncs: with all of them rooms keep their promises alone", () => roomsAlone(cutsAlone, watched(() => false)))

  for (const [site, line] of syncSites()) {
    if (only !== undefined && !site.includes(only)) continue
    test(`syncs: without ${site} (${line}) something acknowledged is lost`, { timeout: 600_000 }, async () => {
      // Alone first: there a room has no neighbour whose sync covers for its own.
      const alone = await failureAlone(site)
      const { asked, seed, why } = alone === undefined ? firstCaught(site) : { asked: 1, seed: 0, why: alone }
      if (process.env["OUROBOROS_VERBOSE"] !== undefined) console.log(`${site}: left out ${asked} times, ${why}`)
      expect(asked, "the line is reached").toBeGreaterThan(0)
      expect(seed, `no seed up to ${seedsMax} breaks`).toBeDefined()
    })
  }
})
