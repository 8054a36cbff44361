/** Each rule of chunks left out once, and what then breaks. README.md tells of the models that show it. */
import type { Variant } from "../Model.ts"

export const variants: ReadonlyArray<Variant> = [
  {
    name: "a condemned chunk is a hit", rule: "R1: a hit counts only for a chunk that is live", expect: "HitsHold",
    edits: [{ find: "hits |-> {chunk \\in Chunks : IsKnown(chunk) /\\ rows[chunk].at = 0}", replace: "hits |-> {chunk \\in Chunks : IsKnown(chunk)}" }]
  },
  {
    name: "a view older than the intent", rule: "R1: a hit counts only for a chunk that is live at or after the intent", expect: "HitsHold",
    edits: [{ find: "  /\\ view[gateway].at >= gateways[gateway].at\n", replace: "" }]
  },
  {
    name: "uploads under way do not hold up freeing", rule: "R1: freed once every older intent has closed", expect: "HitsHold",
    edits: [{ find: "Open == {who \\in Who : intents[who] # 0}", replace: "Open == {who \\in {Reader} : intents[who] # 0}" }]
  },
  {
    name: "reads under way do not hold up freeing", rule: "R12: frees wait for open reads as for intents", expect: "ReadFinds", model: "MCChunkRead",
    edits: [{ find: "Open == {who \\in Who : intents[who] # 0}", replace: "Open == {who \\in Gateways : intents[who] # 0}" }]
  },
  {
    name: "freed although it was condemned anew", rule: "R1: freed by compare-and-set on the commit of its condemnation", expect: "HitsHold",
    edits: [{ find: "References(free.chunk) = {} /\\ rows[free.chunk].at = free.at IN", replace: "References(free.chunk) = {} IN" }]
  },
  {
    name: "freed as proposed, whatever happened since", rule: "R1, R9: apply judges what is freed", expect: "NamedIsKnown",
    edits: [
      { find: "References(free.chunk) = {} /\\ rows[free.chunk].at = free.at IN", replace: "TRUE IN" },
      { find: "      \\A chunk \\in gateways[gateway].want \\ gateways[gateway].fresh : ~IsSent(gateway, chunk) => IsKnown(chunk)", replace: "      TRUE" }
    ]
  },
  {
    name: "an arrival does not renew", rule: "R1: who brought a chunk has time to name it", expect: "HitsHold",
    edits: [{ find: "ELSE [old EXCEPT !.at = condemned]]", replace: "ELSE old]" }]
  },
  {
    name: "arrivals under an expired intent are taken", rule: "R1: apply refuses a commit under an expired intent", expect: "CopyIsThere",
    edits: [{ find: "  /\\ IsSent(gateway, chunk)\n  /\\ HasIntent(gateway)\n", replace: "  /\\ IsSent(gateway, chunk)\n" }]
  },
  {
    name: "what is named is not looked up, under an expired intent", rule: "R1, R9: apply refuses what names a chunk that is not there", expect: "NamedIsKnown",
    edits: [
      { find: "  /\\ IsReady(gateway)\n  /\\ HasIntent(gateway)\n  /\\ \\A chunk \\in upload.want : IsKnown(chunk)\n", replace: "  /\\ IsReady(gateway)\n" }
    ]
  },
  {
    name: "orphans of uploads under way are collected", rule: "R1: collection of orphans spares what open intents may name", expect: "RemovedIsDead",
    edits: [{ find: "  /\\ ~IsSpared(file)\n  /\\ removals'", replace: "  /\\ removals'" }]
  },
  {
    name: "a removal names a place, no incarnation", rule: "R1: every deletion names an incarnation", expect: "OwnFilesStay", model: "MCChunkPair",
    edits: [{ find: "~(file.kind = \"block\" /\\ file.inc = removal.inc)}", replace: "~(file.kind = \"block\" /\\ file.name = removal.name)}" }]
  },
  {
    name: "a block is dropped between the commits that fill it", rule: "R1: what is named at work is waited for", expect: "RemovedIsDead", model: "MCChunkPair",
    edits: [{ find: "  /\\ \\E block \\in blocks : block.inc = file.inc /\\ IsPast(block.at)\n  /\\ DeadIn(file) = file.regions", replace: "  /\\ HasRow(file.inc)\n  /\\ DeadIn(file) = file.regions" }]
  },
  {
    name: "a block is dropped with something in it", rule: "R9: apply judges what is dropped", expect: "RemovedIsDead", model: "MCChunkPair",
    edits: [{ find: "  /\\ DeadIn(file) = file.regions\n", replace: "  /\\ DeadIn(file) # {}\n" }]
  },
  {
    name: "nobody condemns", rule: "R1: unreferenced is condemned", expect: "CondemnedIsUnnamed",
    edits: [{ find: "ELSE IF row.at = 0 THEN [row EXCEPT !.at = at]", replace: "ELSE IF row.at = 0 THEN row" }]
  },
  {
    name: "what is named again stays condemned", rule: "R1: condemned iff unreferenced", expect: "CondemnedIsUnnamed",
    edits: [{ find: "THEN [row EXCEPT !.at = 0]", replace: "THEN row" }]
  },
  {
    name: "known damage is a hit", rule: "R1: a chunk known to be damaged is no hit", expect: "NewBytesHeal", model: "MCChunkHeal",
    edits: [{ find: "(want \\cap view[gateway].hits) \\ known IN", replace: "want \\cap view[gateway].hits IN" }]
  },
  {
    name: "new bytes do not heal", rule: "R1: the new bytes heal it", expect: "NewBytesHeal", model: "MCChunkHeal",
    edits: [{ find: "IF old.inc = 0 \\/ heals\n", replace: "IF old.inc = 0\n" }]
  },
  {
    name: "moved without compare-and-set", rule: "R10: moves go by compare-and-set", expect: "CopyIsRight", model: "MCChunkHeal",
    edits: [{ find: "rows' = IF rows[take.chunk].inc = take.from THEN", replace: "rows' = IF IsKnown(take.chunk) THEN" }]
  },
  {
    name: "sealed under a token that another has taken", rule: "R10: block sealed under the sealer's token", expect: "RemovedIsDead", model: "MCChunkSeal",
    edits: [{ find: "  /\\ job.phase = \"verified\"\n  /\\ intents[mover] = job.at\n", replace: "  /\\ job.phase = \"verified\"\n" }]
  },
  {
    name: "sealed without reading back", rule: "R2: the journal releases what is verified elsewhere", expect: "CopyIsRight", model: "MCChunkSeal",
    edits: [{ find: "isWhole == \\A take \\in job.take : \\E region \\in RegionsAt(job.inc, take.chunk) : region.state = \"ok\"", replace: "isWhole == TRUE" }]
  },
  {
    name: "the journal let go before its chunks are sealed", rule: "R2, R11: the journal is kept from the first record that a row names", expect: "CopyIsThere", model: "MCChunkSeal",
    edits: [{ find: "(DeadIn(one) # one.regions \\/ IsSpared(one))}})", replace: "IsSpared(one)}})" }]
  },
  {
    name: "the journal let go under an upload", rule: "R11: the journal is kept from the first pin", expect: "OwnFilesStay", model: "MCChunkSeal",
    edits: [{ find: "(DeadIn(one) # one.regions \\/ IsSpared(one))}})", replace: "DeadIn(one) # one.regions}})" }]
  },
  {
    name: "not here is lost", rule: "R12: not here resolves again at a newer commit", expect: "ReadFinds", model: "MCChunkRead",
    edits: [{ find: "IF regions = {} THEN [reader EXCEPT !.phase = \"held\", !.inc = 0, !.chunk = \"none\"]", replace: "IF regions = {} THEN [reader EXCEPT !.phase = \"lost\"]" }]
  },
  {
    name: "compaction drops the old block first", rule: "R10: moved, then dropped", expect: "RemovedIsDead", model: "MCChunkRead",
    edits: [{ find: "  /\\ DeadIn(file) = file.regions\n", replace: "  /\\ (DeadIn(file) = file.regions \\/ \\E mover \\in Movers : movers[mover].phase = \"verified\" /\\ \\E take \\in movers[mover].take : take.from = file.inc)\n" }]
  },
  {
    name: "intents of the dead never end", rule: "R1: expired by the log", expect: "GarbageGoes", model: "MCChunkLive",
    edits: [{ find: "  /\\ \\A gateway \\in Gateways : WF_vars(ExpireIntent(gateway))\n", replace: "" }]
  },
  {
    name: "a freed chunk's bytes stay in the journal", rule: "P5: everything unreachable is freed in the end", expect: "WasteGoes", model: "MCChunkLive",
    edits: [{ find: "  /\\ WF_vars(ReleaseJournal)\n", replace: "" }]
  },
  {
    name: "nobody seals, and old records pin young ones", rule: "R11: sealed by age", expect: "WasteGoes", model: "MCChunkPinned",
    edits: [{ find: "       /\\ WF_vars(Seal(mover))\n", replace: "" }]
  },
  {
    name: "blocks that no commit names stay", rule: "P5: orphans are collected", expect: "WasteGoes", model: "MCChunkLive",
    edits: [{ find: "  /\\ WF_vars(RemoveUnnamed)\n", replace: "" }]
  },
  {
    name: "sparse blocks stay", rule: "P5: blocks of which little is live are written anew", expect: "WasteGoes", model: "MCChunkSparse",
    edits: [{ find: "       /\\ WF_vars(Compact(mover))\n", replace: "" }]
  },
  {
    name: "empty blocks stay", rule: "P5: blocks of which nothing is live are dropped", expect: "WasteGoes", model: "MCChunkSparse",
    edits: [{ find: "  /\\ WF_vars(DropBlock)\n", replace: "" }]
  },
  {
    name: "a read goes back to where it found nothing", rule: "R12: not here resolves again", expect: "ReadEnds", model: "MCChunkSparse",
    edits: [{ find: "IF regions = {} THEN [reader EXCEPT !.phase = \"held\", !.inc = 0, !.chunk = \"none\"]", replace: "IF regions = {} THEN reader" }]
  }
]
