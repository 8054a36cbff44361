------------------------------- MODULE MCWal -------------------------------
(* The bounded worlds of MCWal*.cfg; README.md says what each is for. *)
EXTENDS Wal

\* Odd ids are chunks, each followed by the commit that names it.
MCKindOf(id) == IF id > Records THEN "sealed" ELSE IF id % 2 = 1 THEN "chunk" ELSE "commit"
MCJoined(id) == FALSE
\* Commits alone: one, two that stand or fall together, one, and two.
TogetherKindOf(id) == IF id > Records THEN "sealed" ELSE "commit"
TogetherJoined(id) == id \in {2, 5}

Faults(crash, kill, fail, rot, restore, stop, any) ==
  [crash |-> crash, kill |-> kill, fail |-> fail, rot |-> rot, restore |-> restore, stop |-> stop, any |-> any]

JournalFaults == Faults(2, 1, 1, 1, 0, 1, 2)
TogetherFaults == Faults(1, 1, 1, 0, 0, 0, 2)
DeepFaults    == Faults(1, 1, 1, 1, 0, 0, 3)
CopyFaults    == Faults(2, 0, 0, 0, 1, 0, 3)
SealFaults    == Faults(1, 0, 0, 1, 0, 0, 2)
LetGoFaults   == Faults(0, 0, 0, 1, 0, 0, 1)
LiveFaults    == Faults(1, 1, 2, 0, 0, 1, 2)
NightFaults   == Faults(2, 1, 2, 1, 0, 1, 3)
SealNightFaults == Faults(2, 1, 1, 1, 0, 1, 3)
=============================================================================
