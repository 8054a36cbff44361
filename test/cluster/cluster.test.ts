/** Worlds of whole members in which everything happens at once, and what judges them. */
import { describe, expect, it } from "vitest"
import { seededRandom } from "../../sim/Random.ts"
import type { Entry } from "../../src/namespace/Entry.ts"
import { FaultAtlas } from "../../sim/faults/FaultAtlas.ts"
import { runCluster, sizes } from "./ClusterWorld.ts"
import { Members } from "./Members.ts"
import { Once } from "./Once.ts"
import { WeakDisk } from "./WeakDisk.ts"

const entryOf = (sequence: number, number: number, author = "a"): Entry =>
  ({ format: 1, group: 0, sequence, time: 1n, tenant: "31".repeat(16), vault: "11".repeat(16), author, request: { id: Uint8Array.of(number), digest: new Uint8Array(32) }, change: { _tag: "DeleteBucket", bucket: "bucket" } }) as unknown as Entry

describe("worlds of a cluster", () => {
  it("cluster worlds: members come, go and die, disks err, clocks jump, power and links fail: linearizable, once, nothing lost, whole again", { timeout: 240_000 }, () => {
    let changes = 0
    for (const seed of [101, 105]) {
      const seen = runCluster(seed, sizes.short)
      expect(seen.problems).toEqual([])
      expect(seen.acknowledged).toBeGreaterThan(50)
      changes += seen.changes
    }
    expect(changes).toBeGreaterThan(2)
  })

  it("once: another commit at the same place, and a request at two, are seen; the same again after a restart is not", () => {
    const once = new Once()
    for (const entry of [entryOf(1, 1), entryOf(2, 2), entryOf(1, 1)]) once.applied(entry)
    expect([once.problems, once.commits]).toEqual([[], 2])
    once.applied(entryOf(2, 2, "b"))
    expect(once.problems).toEqual(["commit 2 is not the same on all members"])
    once.applied(entryOf(3, 1))
    expect(once.problems[1]).toBe("the request of commit 1 was done again as commit 3")
  })

  it("weak disk: one at a time; of a member nothing is harmed that others have no copy of and that does not tell", () => {
    const atlas = new FaultAtlas("Copied")
    const paths = ["journal/reserve", "journal/0001.wal", "blocks/ab/abcd.block", "checkpoints/0000000000000001.base", "other"]
    expect(atlas.harmable(paths)).toEqual(paths.slice(1, 4))
    expect(atlas.harmable(paths, "StaleSector")).toEqual(paths.slice(2, 4))
    expect(paths.filter((path) => atlas.mayGoAstray(path, true))).toEqual(paths.slice(2, 4))
    const members = new Members(2)
    const [one, other] = members.hosts
    const weak = new WeakDisk(seededRandom(3), true)
    weak.begin(one!)
    expect([weak.explains(one!), weak.explains(other!), weak.isHarmed]).toEqual([true, false, false])
    weak.end()
    expect([weak.host, weak.explains(one!)]).toEqual([undefined, true])
  })
})
