/** Syncs of a state that is fetched: without any one of them a power cut costs a replica what it had, and a scene says so. */
import { expect, test } from "vitest"
import { seededRandom } from "../../sim/Random.ts"
import { create } from "../namespace/store.ts"
import { syncSites, watched } from "../store/sites.ts"
import { Scene, secondUs } from "./ReplicaScene.ts"

const seedsMost = 8
const byOpening = "whoever opens a slot syncs its folder before he takes what he finds there (CheckpointFilesService), and the slot counts after that"

/** Lines of FetchService whose syncs nothing is lost without, and why. */
const covered: ReadonlyArray<readonly [text: string, why: string]> = [
  ["yield* Effect.mapError(disk.syncFolder(folder), diskError)", byOpening],
  ["yield* Effect.mapError(Effect.andThen(disk.rename(part, path), disk.syncFolder(folder)), diskError)", byOpening],
  ["yield* disk.syncFolder(folder)", "what has rotted and comes back is found to be so again, and goes again"],
  ["yield* Effect.mapError(file.sync, diskError)", "it makes a truncation durable, and no part is longer than its file: parts bear the identity of what they are of"]
]

/** One that was away fetches a state, twice, through power cuts at moments that a seed draws: what it had is not fetched again, and what it said counts. Undefined: so it was. */
const broken = (seed: number, leaveOut: (site: string) => boolean): string | undefined => {
  const random = seededRandom(seed)
  const scene = new Scene(1000 + seed, 3000)
  const { a, c, world } = scene
  scene.at(a, ({ namespace }) => namespace.propose(create("things", 1)))
  scene.putMany(a, 5)
  const pieces: Array<string> = []
  let offers = 0
  world.asked = (from, _, ask) => {
    if (from === "c" && ask._tag === "Piece") pieces.push(`${ask.kind} ${ask.generation} ${ask.offset}`)
    if (from === "c" && ask._tag === "Offer") offers += 1
  }
  world.disk = watched(leaveOut)
  const has = (index: number): boolean => (c.replica?.raft.status().applied ?? 0) >= index
  const cut = (): void => {
    c.cutPower()
    scene.later(secondUs)
    c.start()
  }
  for (let round = 0, from = 5; round < 2; round += 1) {
    c.cutPower()
    // The logs of the others begin behind this.
    const least = a.replica!.raft.status().commit + 20
    for (let batch = 0; batch < 4; batch += 1, from += 20) scene.putMany(a, 20, from)
    scene.at(a, ({ namespace }) => namespace.checkpoint(true))
    pieces.length = 0
    const cutAfter = 1 + random.below(16)
    c.start()
    scene.until(() => pieces.length >= cutAfter || has(least), "pieces come")
    cut()
    scene.until(() => has(least), "its state is another")
    const again = pieces.length - new Set(pieces).size
    if (again > 2) return `${again} pieces were fetched twice`
    const before = offers
    cut()
    const { commit } = a.replica!.raft.status()
    scene.until(() => has(commit), "it is there again")
    if (offers > before) return "a state that was there was fetched again"
    scene.equal()
  }
  return undefined
}

const failing = (seed: number, leaveOut: (site: string) => boolean): string | undefined => {
  try {
    return broken(seed, leaveOut)
  } catch (error) {
    return String(error)
  }
}

test("syncs of a replica: with all of them nothing that was fetched is lost", { timeout: 120_000 }, () => {
  for (let seed = 1; seed <= seedsMost; seed += 1) expect(failing(seed, () => false), `seed ${seed}`).toBeUndefined()
})

const sites = [...syncSites("replica")].filter(([site, line]) => !(site.startsWith("replica/FetchService.ts") && covered.some(([text]) => text === line)))

test("syncs of a replica: each that is said to be covered is a line of the code", () => {
  expect(syncSites("replica").size - sites.length).toBe(covered.length)
})

for (const [site, line] of sites) {
  test(`syncs of a replica: without ${site} (${line}) a power cut costs what it had`, { timeout: 120_000 }, () => {
    let seed = 1
    while (seed <= seedsMost && failing(seed, (where) => where === site) === undefined) seed += 1
    if (process.env["OUROBOROS_VERBOSE"] !== undefined) console.log(`${site}: seed ${seed}`)
    expect(seed, `no seed up to ${seedsMost} breaks`).toBeLessThanOrEqual(seedsMost)
  })
}
