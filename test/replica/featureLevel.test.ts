/** The cluster's feature level: it rises once all members read more, never sinks, and no older program goes on with what it cannot read. */
import { Effect } from "effect"
import { deepStrictEqual, ok, strictEqual, throws } from "node:assert"
import { it } from "vitest"
import { levelLookMs } from "../../src/base/replicaLimits.ts"
import type { Change } from "../../src/namespace/Model.ts"
import { configurationOf } from "../../src/raft/Configuration.ts"
import type { RaftStatus } from "../../src/raft/RaftService.ts"
import { featureLevels, type FeatureLevels, levelOf, raisedTo, tooNew, tooOld } from "../../src/replica/FeatureLevel.ts"
import { raising } from "../../src/replica/LevelService.ts"
import { PeerError } from "../../src/replica/Peers.ts"
import { replyFormat } from "../../src/replica/ReplicaFormat.ts"
import type { Reply } from "../../src/replica/Request.ts"
import { MemoryRows } from "../namespace/MemoryState.ts"
import { Country } from "../carrier/Stations.ts"

const third: FeatureLevels = { program: 3, of: ({ _tag }) => (_tag === "SetVersioning" ? 3 : _tag === "DeleteBucket" ? 2 : 1) }
const deletion: Change = { _tag: "DeleteBucket", bucket: "b" }

it("feature level: a state begins at the first, rises by an entry, and never sinks; a program that reads less does not go on", () => {
  const rows = new MemoryRows()
  strictEqual(levelOf(rows), 1)
  ok(tooNew(rows, deletion, third)?.startsWith("DeleteBucket needs feature level 2, and this cluster is at 1"))
  rows.write(raisedTo(rows, 2, third))
  strictEqual(levelOf(rows), 2)
  strictEqual(tooNew(rows, deletion, third), undefined)
  deepStrictEqual(raisedTo(rows, 1, third), [])
  throws(() => raisedTo(rows, 4, third), /come to feature level 4, and this program reads 3/)
  strictEqual(tooOld(3, third), undefined)
  ok(tooOld(4, third) !== undefined)
  // Whatever this program knows was there from the beginning.
  strictEqual(featureLevels.program, featureLevels.of(deletion))
})

/** What a leader of three raises, whose others answer so. */
const raisedBy = (replies: ReadonlyArray<Reply | "silent">, role: RaftStatus["role"] = "Leader"): ReadonlyArray<number> => {
  const country = new Country(1, 3)
  const raised: Array<number> = []
  const status: RaftStatus = { id: "a", role, term: 1, leader: "a", commit: 9, applied: 9, last: 9, configurationIndex: 0, matched: new Map(), configuration: configurationOf(["a", "b"], ["c"]), failure: undefined }
  const [station] = country.stations
  station!.start(() => Effect.asVoid(Effect.forkScoped(raising({
    id: "a", levels: third, state: new MemoryRows(), raft: { status: () => status },
    lead: { raise: (level) => Effect.sync((): Reply => { raised.push(level); return { _tag: "Settled" } }) },
    peers: { ask: (peer) => {
      const reply = replies[peer === "b" ? 0 : 1]!
      return reply === "silent" ? Effect.fail(new PeerError({ peer, detail: "silent" })) : Effect.succeed(replyFormat.encode(reply))
    } }
  }))))
  country.pass(levelLookMs + 1000)
  return raised
}

const reads = (level: number): Reply => ({ _tag: "Reads", level })

it("feature level: who leads raises it to the least that all members read, learners among them, and not while one is silent, or does not know what it is asked", () => {
  deepStrictEqual(raisedBy([reads(3), reads(3)]), [3])
  deepStrictEqual(raisedBy([reads(9), reads(2)]), [2])
  deepStrictEqual(raisedBy([reads(3), reads(1)]), [])
  deepStrictEqual(raisedBy([reads(3), "silent"]), [])
  deepStrictEqual(raisedBy([{ _tag: "Refused", reason: "Misused" }, reads(3)]), [])
  deepStrictEqual(raisedBy([reads(3), reads(3)], "Follower"), [])
})
