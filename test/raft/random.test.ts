import { ok } from "node:assert"
import { describe, it } from "vitest"
import { world } from "./RandomWorld.ts"

describe("raft", () => {
  it("random: whatever messages, disks and crashes do, one leader a term, one history, nothing committed is lost, and once it is calm all goes on", { timeout: 240_000 }, () => {
    const from = Number(process.env["RAFT_FROM"] ?? 1)
    const count = Number(process.env["RAFT_SEEDS"] ?? 300)
    let committed = 0
    let terms = 0
    for (let seed = from; seed < from + count; seed += 1) {
      const seen = world(seed)
      committed += seen.committed
      terms += seen.terms
    }
    ok(committed > 20 * count && terms > 3 * count, `worlds in which something happens: ${committed} commits, ${terms} terms`)
  })
})
