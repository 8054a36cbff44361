import type { Variant } from "../Model.ts"

/** The rules of the journal, each left out once. */
export const variants: ReadonlyArray<Variant> = [
  {
    name: "acknowledge before the sync", rule: "R3: acknowledged after the sync of the batch with the last record",
    edits: [{ find: "  /\\ files' = [files EXCEPT ![flight.seg] = SyncFile(@)]\n  /\\ last' = LinkOf(flight)", replace: "  /\\ files' = files\n  /\\ last' = LinkOf(flight)" }],
    expect: "ServedDurable"
  },
  {
    name: "batch n+1 written before n is synced", rule: "R4: batch n+1 is written only after n is synced, so that it proves n",
    edits: [{
      find: "  /\\ flight' = Batch(SubSeq(queue, 1, count), FALSE)\n  /\\ files' = PutBatch(files, flight')",
      replace: "  /\\ count = 2\n  /\\ LET first == Batch(SubSeq(queue, 1, 1), FALSE) IN\n" +
        "     /\\ flight' = [first EXCEPT !.slot = @ + 1, !.n = @ + 1, !.prev = LinkOf(first), !.records = SubSeq(queue, 2, 2)]\n" +
        "     /\\ files' = PutBatch(PutBatch(files, first), flight')"
    }, {
      find: "  /\\ LET ids == Range(flight.records) IN",
      replace: "  /\\ LET ids == Range(flight.records) \\cup (IF flight.slot > 1 THEN Range(files[flight.seg].slots[flight.slot - 1].h.c.records) ELSE {}) IN"
    }, {
      find: "IF id \\in ids THEN [seg |-> flight.seg, slot |-> flight.slot]",
      replace: "IF id \\in ids THEN [seg |-> flight.seg, slot |-> IF id \\in Range(flight.records) THEN flight.slot ELSE flight.slot - 1]"
    }],
    expect: "TornIsNotCorrupt"
  },
  {
    name: "truncate at any bad checksum", rule: "R4: damage up to the last proven batch is corruption, not a torn tail",
    edits: [{ find: "Proof(s, k, link) == \\E x", replace: "Proof(s, k, link) == FALSE /\\ \\E x" }],
    expect: "CorruptIsNotTorn"
  },
  {
    name: "any bad checksum is corruption", rule: "R4: the last batch, unproven, is a torn tail, and the node starts",
    edits: [{ find: "Proof(s, k, link) == \\E x", replace: "Proof(s, k, link) == TRUE \\/ \\E x" }],
    expect: "TornIsNotCorrupt"
  },
  {
    name: "a failed sync is tried again in place", rule: "R4: a failed sync is never retried; the segment is abandoned",
    edits: [{
      find: "       files' = [files EXCEPT ![flight.seg].slots[flight.slot] = x]\n  /\\ Abandon",
      replace: "       files' = [files EXCEPT ![flight.seg].slots[flight.slot] = x]\n  /\\ UNCHANGED <<old, machine, store, ghost>>"
    }],
    expect: "ServedDurable"
  },
  {
    name: "a segment ends where its batches end", rule: "R4: the next header's link says where a segment ends; a failed batch behind it is not the log's",
    edits: [{
      find: "EndOf(i) == IF i < Len(log) THEN HeaderOf(log[i + 1]).prev ELSE last",
      replace: "EndOf(i) == IF i < Len(log) THEN [seg |-> log[i], slot |-> Max({0} \\cup {k \\in SlotsOf(log[i]) : Whole(Shown(log[i], k))})] ELSE last"
    }],
    expect: "ServedDurable"
  },
  {
    name: "the restart id is not checked", rule: "R4: a batch carries the restart id of its segment's header",
    edits: [{ find: "  /\\ h.run = HeaderOf(s).run\n", replace: "" }],
    expect: "NoStaleRecord", model: "MCWalCopy"
  },
  {
    name: "recovery does not sync what it accepts", rule: "R4: recovery syncs again what it accepts",
    edits: [{ find: "  /\\ files' = [files EXCEPT ![scan.seg] = SyncFile(@)]\n", replace: "  /\\ files' = files\n" }],
    expect: "ServedDurable"
  },
  {
    name: "recovery syncs, and does not write the last batch again", rule: "R4: its first sync may have failed and left its pages clean",
    edits: [{ find: "  /\\ files' = IF last.seg = scan.seg /\\ Whole(Shown(last.seg, last.slot))", replace: "  /\\ files' = IF FALSE" }],
    expect: "ServedDurable"
  },
  {
    name: "recovery goes on in the old segment", rule: "R4: recovery opens a new segment before it serves",
    edits: [
      { find: "  /\\ phase' = \"Recovered\"\n  /\\ UNCHANGED <<old, budget, run, epoch, current, opening,", replace: "  /\\ phase' = \"Replaying\" /\\ current' = scan.seg\n  /\\ UNCHANGED <<old, budget, run, epoch, opening," }
    ],
    expect: "ServedDurable"
  },
  {
    name: "batches before the segment's name is durable", rule: "R4: a segment's header is synced, and its name, before any batch in it",
    edits: [{ find: "  /\\ files' = SyncNames([files EXCEPT ![opening] = SyncFile(@)])", replace: "  /\\ files' = [files EXCEPT ![opening] = SyncFile(@)]" }],
    expect: "ServedDurable"
  },
  {
    name: "a newest header that is not readable is a creation cut short", rule: "R4: not if batches follow it: they came only after its sync",
    edits: [{ find: "     THEN phase' = \"Damaged\" /\\ UNCHANGED <<log, scan>>", replace: "     THEN phase' = \"Damaged\" /\\ FALSE /\\ UNCHANGED <<log, scan>>" },
      { find: "HeaderProblem == \\E s", replace: "HeaderProblem == FALSE /\\ \\E s" }],
    expect: "AcknowledgedKept"
  },
  {
    name: "what waits outlives an abandoned segment", rule: "R3: every ticket not yet acknowledged is lost with it, in order",
    edits: [{ find: "Abandon ==\n  /\\ queue' = <<>> /\\", replace: "Abandon ==\n  /\\ queue' = queue /\\" }],
    expect: "ChunkBeforeCommit", model: "MCWalDeep"
  },
  {
    name: "an append of commits is parted by the end of a batch", rule: "P1: what was appended together is lost together, before its sequences are given out again",
    edits: [{ find: "Cuts(count) == Joined(queue[count])", replace: "Cuts(count) == FALSE" }],
    expect: "AllOrNothing", model: "MCWalTogether"
  },
  {
    name: "a stopping node writes no closing batch", rule: "R4: an idle or stopping node writes a closing batch",
    edits: [{ find: "~closingDue /\\ current # 0 /\\ ~CanClose", replace: "~closingDue /\\ current # 0" }],
    expect: "CorruptIsNotTorn"
  },
  {
    name: "a block is named before it is verified", rule: "R2, R10: released implies verified elsewhere",
    edits: [{ find: "c \\in DOMAIN blocks /\\ blocks[c].stage = \"verified\"", replace: "c \\in DOMAIN blocks /\\ blocks[c].stage \\in {\"synced\", \"verified\"}" }],
    expect: "ReleasedVerified", model: "MCWalLetGo"
  },
  {
    name: "the journal lets go before the seal is committed", rule: "R10: only the commit \"block sealed\" moves a chunk",
    edits: [{
      find: "KeepFrom == LET places == {lay[c] : c \\in Journaled \\ reported} IN",
      replace: "KeepFrom == LET places == {lay[c] : c \\in {c \\in Journaled \\ reported : c \\notin DOMAIN blocks \\/ blocks[c].stage # \"committing\"}} IN"
    }],
    expect: "ReleasedVerified", model: "MCWalLetGo"
  },
  {
    name: "release below one mark only", rule: "R11: below every consumer's mark",
    edits: [{ find: "ELSE top + 1, at.state.seg, at.ingest.seg})", replace: "ELSE top + 1, at.ingest.seg})" }],
    expect: "ReleasedVerified", model: "MCWalLetGo"
  },
  {
    name: "the checkpoint's mark moves before it is flushed", rule: "R8: low-water marks move after flushed",
    edits: [{
      find: "Release(\"state\", gens[1].stamp)",
      replace: "Release(\"state\", IF pending = NoPending THEN gens[1].stamp ELSE gens[2].stamp)"
    }],
    expect: "ReleasedVerified", model: "MCWalLetGo"
  },
  {
    name: "the journal is kept back to the newest generation only", rule: "R8: two generations, and the journal back to the older",
    edits: [{ find: "Release(\"state\", gens[1].stamp)", replace: "Release(\"state\", gens[2].stamp)" }],
    expect: "ReleasedVerified", model: "MCWalLetGo"
  },
  {
    name: "the older generation is replayed from the newer one's place", rule: "R8: replay begins at the stamp of the generation that is used",
    edits: [{ find: "Replay == ReplayFrom(Best.stamp)", replace: "Replay == ReplayFrom(gens[2].stamp)" }],
    expect: "StateWhole", model: "MCWalSeal"
  },
  {
    name: "a full journal never tries again", rule: "P8: once faults stop the node serves again",
    edits: [{ find: "  /\\ phase = \"Full\"\n  /\\ phase' = \"Running\"", replace: "  /\\ phase = \"Full\" /\\ FALSE\n  /\\ phase' = \"Running\"" }],
    expect: "ServesAgain", model: "MCWalLive"
  }
]
