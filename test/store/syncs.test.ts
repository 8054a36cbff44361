/** No sync is there for nothing: the store without any one of them loses what it acknowledged, and the property says so. */
import { describe, expect, test } from "vitest"
import { runSeed, SeedFailed } from "./run.ts"
import { syncSites, watched } from "./sites.ts"

const seedsMax = Number(process.env["OUROBOROS_SYNC_SEEDS"] ?? 60)
const only = process.env["OUROBOROS_SITE"]

describe("syncs", () => {
  for (const [site, line] of syncSites()) {
    if (only !== undefined && !site.includes(only)) continue
    test(`syncs: without ${site} (${line}) something acknowledged is lost`, { timeout: 600_000 }, () => {
      let asked = 0
      const leaveOut = watched((where) => {
        if (where !== site) return false
        asked += 1
        return true
      })
      let caught: string | undefined
      let seed = 0
      while (caught === undefined && seed < seedsMax) {
        seed += 1
        try {
          runSeed(seed, { disk: leaveOut })
        } catch (error) {
          if (!(error instanceof SeedFailed)) throw error
          caught = error.message.split("\n", 1)[0]
        }
      }
      console.log(`${site}: asked ${asked}, seed ${seed}: ${caught}`)
      expect(asked, "the line is reached").toBeGreaterThan(0)
      expect(caught).toBeDefined()
    })
  }
})
