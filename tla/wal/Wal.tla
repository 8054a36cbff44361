-------------------------------- MODULE Wal --------------------------------
(***************************************************************************)
(* One node's journal, what settles out of it, and what checkpoints take   *)
(* over from it (rules R3, R4, R8, R11; promises P1, P3, P8).              *)
(*                                                                         *)
(* A batch is two sectors that persist separately: "h", its header with    *)
(* the headers of its records, and "p", the payloads. Every sector has     *)
(* what the disk holds (d), what the page cache shows (c), and whether the *)
(* cache owes it to the disk (dirty). A failed sync drops dirty pages: the *)
(* cache goes on showing what the disk may not have. Names are durable     *)
(* apart from data. Crash is a power cut, Kill the end of the process.     *)
(*                                                                         *)
(* Actions have the names of src/wal/Wal.ts's events and commands; the     *)
(* table in README.md says which function and which trace event each is.   *)
(***************************************************************************)
EXTENDS Integers, Sequences, FiniteSets

CONSTANTS
  Segments,   \* highest number of a segment
  Slots,      \* batches a segment has room for; the last one is for a closing batch
  Records,    \* records that clients append
  BatchMax,   \* records in a batch, at most
  Budget,     \* faults of each kind: [crash, kill, fail, rot, restore, any], and runs that may stop
  Sealing,    \* settle and checkpoints are at work
  EarlyRoll,  \* a segment may be full with fewer batches: they differ in size
  KindOf(_),  \* id of a record -> "chunk", "commit" or "sealed"
  Joined(_)   \* whether the record was appended together with the next one, and both are no chunks: they stand or fall together

VARIABLES
  \* the disk
  files,      \* segment -> its file
  old,        \* slot -> what lay where a new file may come to lie
  budget,
  \* the machine, volatile
  phase, run, epoch, current, opening, top, queue, flight, written, closingDue,
  last, unproven, fails, durable, marks, log, scan, torn,
  \* what the store holds, beside the journal
  blocks, gens, pending, applied,
  \* what the world knows: ghosts
  next, acked, lay, served, sure, void, reported, gone

disk     == <<files, old>>
machine  == <<phase, run, epoch, current, opening, top, queue, flight, written, closingDue,
              last, unproven, fails, durable, marks, log, scan, torn>>
store    == <<blocks, gens, pending, applied>>
ghost    == <<next, acked, lay, served, sure, void, reported, gone>>
vars     == <<disk, budget, machine, store, ghost>>

Range(f) == {f[x] : x \in DOMAIN f}
Max(S) == CHOOSE x \in S : \A y \in S : y <= x
Min(S) == CHOOSE x \in S : \A y \in S : x <= y

Zero   == [t |-> "zero"]
Rotten == [t |-> "rot"]
NoBatch == [t |-> "none"]
NoLink == [seg |-> 0, slot |-> 0, n |-> 0, epoch |-> 0, run |-> 0]
Nowhere == [seg |-> 0, slot |-> 0]

Sector(d, c, dirty) == [d |-> d, c |-> c, dirty |-> dirty]
Unwritten == Sector(Zero, Zero, FALSE)

\* The hash in a link covers all that tells batches apart: place, number, run, epoch (and, by induction, what came before).
LinkOf(b) == [seg |-> b.seg, slot |-> b.slot, n |-> b.n, epoch |-> b.epoch, run |-> b.run]
Payload(b) == [t |-> "payload", of |-> LinkOf(b)]

Before(a, b) == a.seg < b.seg \/ (a.seg = b.seg /\ a.slot < b.slot)
Behind(link) == [seg |-> link.seg, slot |-> link.slot + 1]

NoGeneration == [set |-> {}, stamp |-> Nowhere, d |-> "good"]
NoPending == [set |-> {}, stamp |-> Nowhere, stage |-> "none"]
NoMarks == [state |-> Nowhere, ingest |-> Nowhere]
NoScan == [seg |-> 0, slot |-> 0, link |-> NoLink]

Init ==
  /\ files = <<>> /\ old = <<>> /\ budget = Budget
  /\ phase = "Down" /\ run = 0 /\ epoch = 0 /\ current = 0 /\ opening = 0 /\ top = 0
  /\ queue = <<>> /\ flight = NoBatch /\ written = FALSE /\ closingDue = FALSE
  /\ last = NoLink /\ unproven = FALSE /\ fails = 0 /\ durable = Nowhere /\ marks = NoMarks
  /\ log = <<>> /\ scan = NoScan /\ torn = Nowhere
  /\ blocks = <<>> /\ gens = <<NoGeneration, NoGeneration>> /\ pending = NoPending /\ applied = {}
  /\ next = 1 /\ acked = {} /\ lay = <<>> /\ served = {} /\ sure = {} /\ void = {} /\ reported = {} /\ gone = {}

-----------------------------------------------------------------------------
(* The disk *)

Visible == {s \in DOMAIN files : files[s].name # "leaving"}
SlotsOf(s) == DOMAIN files[s].slots
Shown(s, k) == IF k \in SlotsOf(s) THEN [h |-> files[s].slots[k].h.c, p |-> files[s].slots[k].p.c] ELSE [h |-> Zero, p |-> Zero]
HasHeader(s) == files[s].hdr.c.t = "header"
HeaderOf(s) == files[s].hdr.c
\* Something was written behind the header: the file is longer than that.
HasBody(s) == \E k \in SlotsOf(s) : Shown(s, k).h # Zero \/ Shown(s, k).p # Zero

\* What a sector may hold under what was never synced: what the place held before.
Under(sector, stale) == IF sector = Unwritten THEN stale ELSE sector.d
OldAt(k, part) == IF k \in DOMAIN old THEN old[k][part] ELSE Zero

Synced1(x) == Sector(x.c, x.c, FALSE)
SyncSlot(x) == [h |-> Synced1(x.h), p |-> Synced1(x.p)]
\* A sync writes everything that is dirty in the file; what an earlier failure dropped is clean, and stays as it is.
SyncDirty(x) == IF x.dirty THEN Synced1(x) ELSE x
SyncFile(f) == [f EXCEPT !.hdr = SyncDirty(@), !.slots = [k \in DOMAIN @ |-> [h |-> SyncDirty(@[k].h), p |-> SyncDirty(@[k].p)]]]
SyncNames(fs) == [s \in {s \in DOMAIN fs : fs[s].name # "leaving"} |-> [fs[s] EXCEPT !.name = "durable"]]

\* After a power cut: each dirty sector as the disk had it, or as it was to be.
Cut1(x) == IF x.dirty THEN {Sector(x.d, x.d, FALSE), Sector(x.c, x.c, FALSE)} ELSE {Sector(x.d, x.d, FALSE)}
CutSlot(x) == {[h |-> h, p |-> p] : h \in Cut1(x.h), p \in Cut1(x.p)}
RECURSIVE CutSlots(_, _)
CutSlots(slots, ks) ==
  IF ks = {} THEN {slots}
  ELSE LET k == CHOOSE k \in ks : TRUE
       IN UNION {{[rest EXCEPT ![k] = x] : x \in CutSlot(slots[k])} : rest \in CutSlots(slots, ks \ {k})}
\* Few slots differ: a dirty one, or one whose sync failed.
Unsettled(slots) == {k \in DOMAIN slots : slots[k].h.dirty \/ slots[k].p.dirty \/ slots[k].h.d # slots[k].h.c \/ slots[k].p.d # slots[k].p.c}
CutFile(f) == {[name |-> "durable", hdr |-> hdr, slots |-> slots] : hdr \in Cut1(f.hdr), slots \in CutSlots(f.slots, Unsettled(f.slots))}
RECURSIVE CutAll(_, _)
CutAll(fs, ss) ==
  IF ss = {} THEN {fs}
  ELSE LET s == CHOOSE s \in ss : TRUE
           rest == CutAll(fs, ss \ {s})
           kept == UNION {{[r EXCEPT ![s] = f] : f \in CutFile(fs[s])} : r \in rest}
           lost == {[x \in DOMAIN r \ {s} |-> r[x]] : r \in rest}
       IN IF fs[s].name = "durable" THEN kept ELSE kept \cup lost

\* A failed write or sync: what was dirty is on the disk or not, and clean; the cache shows what was written, or the truth.
Drop1(x) == IF x.dirty THEN {Sector(x.c, x.c, FALSE), Sector(x.d, x.c, FALSE), Sector(x.d, x.d, FALSE)} ELSE {x}
DropSlot(x) == {[h |-> h, p |-> p] : h \in Drop1(x.h), p \in Drop1(x.p)}

-----------------------------------------------------------------------------
(* Appending: group commit *)

NextSlot == IF last.seg = current THEN last.slot + 1 ELSE 1
Full(slot) == slot >= Slots
Idling == flight = NoBatch /\ opening = 0
\* Faults are bounded, each kind and all together.
Spend(kind) ==
  /\ budget[kind] > 0 /\ budget.any > 0
  /\ budget' = [budget EXCEPT ![kind] = @ - 1, !.any = @ - 1]

Ended == {"Down", "Damaged"}
Works == phase \in {"Running", "Stopping"}

AppendRecords(records) ==
  /\ phase = "Running"
  /\ queue' = queue \o records
  /\ next' = next + Len(records)
  /\ UNCHANGED <<disk, budget, phase, run, epoch, current, opening, top, flight, written, closingDue, last, unproven, fails,
                 durable, marks, log, scan, torn, store, acked, lay, served, sure, void, reported, gone>>

Batch(records, closing) ==
  [t |-> "batch", seg |-> current, slot |-> NextSlot, n |-> last.n + 1, epoch |-> epoch, run |-> run, prev |-> last,
   closing |-> closing, records |-> records]

PutBatch(fs, b) ==
  LET f == fs[b.seg]
      x == IF b.slot \in DOMAIN f.slots THEN f.slots[b.slot] ELSE [h |-> Unwritten, p |-> Unwritten]
      y == [h |-> Sector(Under(x.h, OldAt(b.slot, "h")), b, TRUE), p |-> Sector(Under(x.p, OldAt(b.slot, "p")), Payload(b), TRUE)]
  IN [fs EXCEPT ![b.seg].slots = [k \in DOMAIN @ \cup {b.slot} |-> IF k = b.slot THEN y ELSE @[k]]]

\* A batch that ends there would part what was appended together.
Cuts(count) == Joined(queue[count])

WriteBatch(count) ==
  /\ Works /\ Idling /\ current # 0 /\ ~closingDue
  /\ count \in 1..Len(queue) /\ ~Cuts(count)
  /\ ~Full(NextSlot)
  /\ flight' = Batch(SubSeq(queue, 1, count), FALSE)
  /\ files' = PutBatch(files, flight')
  /\ queue' = SubSeq(queue, count + 1, Len(queue))
  /\ UNCHANGED <<old, budget, phase, run, epoch, current, opening, top, written, closingDue, last, unproven, fails, durable,
                 marks, log, scan, torn, store, ghost>>

\* Nothing has followed the last batch for a while: one without records shall prove it.
CanClose == unproven /\ queue = <<>> /\ Idling /\ current # 0 /\ current = last.seg /\ ~closingDue

Idle ==
  /\ phase = "Running" /\ CanClose
  /\ closingDue' = TRUE
  /\ UNCHANGED <<disk, budget, phase, run, epoch, current, opening, top, queue, flight, written, last, unproven, fails, durable,
                 marks, log, scan, torn, store, ghost>>

WriteClosing ==
  /\ Works /\ Idling
  /\ closingDue \/ (phase = "Stopping" /\ CanClose)
  /\ flight' = Batch(<<>>, TRUE)
  /\ files' = PutBatch(files, flight')
  /\ closingDue' = FALSE
  /\ UNCHANGED <<old, budget, phase, run, epoch, current, opening, top, queue, written, last, unproven, fails, durable,
                 marks, log, scan, torn, store, ghost>>

Written ==
  /\ flight # NoBatch /\ ~written
  /\ written' = TRUE
  /\ UNCHANGED <<disk, budget, phase, run, epoch, current, opening, top, queue, flight, closingDue, last, unproven, fails, durable,
                 marks, log, scan, torn, store, ghost>>

\* The commits among records: what the state applies once they are durable.
Commits(ids) == {id \in ids : KindOf(id) # "chunk"}
\* The record that says that chunk c is in a block has the id Records + c.
SealedOf(ids) == {id - Records : id \in {id \in ids : KindOf(id) = "sealed"}}

\* The sync returned: the batch is durable, and acknowledged in the same step (Acknowledge).
Synced ==
  /\ flight # NoBatch /\ written
  /\ files' = [files EXCEPT ![flight.seg] = SyncFile(@)]
  /\ last' = LinkOf(flight)
  /\ unproven' = ~flight.closing
  /\ durable' = Behind(LinkOf(flight))
  /\ flight' = NoBatch /\ written' = FALSE /\ fails' = 0
  /\ LET ids == Range(flight.records) IN
     /\ acked' = acked \cup ids
     /\ served' = served \cup ids
     /\ lay' = [id \in DOMAIN lay \cup ids |-> IF id \in ids THEN [seg |-> flight.seg, slot |-> flight.slot] ELSE lay[id]]
     /\ sure' = sure \cup (acked \ reported) \cup (IF flight.closing THEN ids ELSE {})
     \* Whatever is neither durable nor waiting by now is not to be seen again.
     /\ void' = void \cup ((1..(next - 1)) \ (served' \cup Range(queue) \cup reported \cup gone))
  /\ applied' = IF Sealing THEN applied \cup Commits(Range(flight.records)) ELSE applied
  /\ UNCHANGED <<old, budget, phase, run, epoch, current, opening, top, queue, closingDue, marks, log, scan, torn,
                 blocks, gens, pending, next, reported, gone>>

\* A segment is given up: everything not acknowledged is lost, and nothing more is written to it.
Abandon ==
  /\ queue' = <<>> /\ flight' = NoBatch /\ written' = FALSE /\ closingDue' = FALSE
  /\ opening' = 0 /\ current' = 0
  /\ epoch' = epoch + 1 /\ fails' = fails + 1
  /\ blocks' = [c \in DOMAIN blocks |-> IF blocks[c].stage = "committing" THEN [blocks[c] EXCEPT !.stage = "verified"] ELSE blocks[c]]
  /\ IF fails + 1 >= 2 /\ phase # "Recovered"
     THEN phase' \in (IF phase = "Stopping" THEN {"Failed"} ELSE {"Full", "Failed"})
     ELSE phase' = IF fails + 1 >= 2 THEN "Failed" ELSE phase
  /\ UNCHANGED <<old, run, top, last, unproven, durable, marks, log, scan, torn, gens, pending, applied, ghost>>

SyncFailed ==
  /\ flight # NoBatch /\ Spend("fail")
  /\ \E x \in DropSlot(files[flight.seg].slots[flight.slot]) :
       files' = [files EXCEPT ![flight.seg].slots[flight.slot] = x]
  /\ Abandon

Retry ==
  /\ phase = "Full"
  /\ phase' = "Running"
  /\ UNCHANGED <<disk, budget, run, epoch, current, opening, top, queue, flight, written, closingDue, last, unproven, fails,
                 durable, marks, log, scan, torn, store, ghost>>

-----------------------------------------------------------------------------
(* Segments *)

OpenSegment(s) ==
  /\ Works \/ phase = "Recovered"
  /\ Idling /\ ~closingDue
  /\ \/ current = 0
     \/ queue # <<>> /\ (Full(NextSlot) \/ EarlyRoll)
  /\ s > top
  /\ files' = [x \in DOMAIN files \cup {s} |-> IF x # s THEN files[x] ELSE
       [name |-> "cached", hdr |-> Sector(Zero, [t |-> "header", run |-> run, epoch |-> epoch, prev |-> last], TRUE), slots |-> <<>>]]
  /\ opening' = s /\ top' = s /\ current' = 0
  /\ UNCHANGED <<old, budget, phase, run, epoch, queue, flight, written, closingDue, last, unproven, fails, durable, marks, log,
                 scan, torn, store, ghost>>

\* Header and name are durable: the header proves the last batch.
SegmentOpened ==
  /\ opening # 0
  /\ files' = SyncNames([files EXCEPT ![opening] = SyncFile(@)])
  /\ current' = opening /\ opening' = 0
  /\ unproven' = FALSE
  /\ sure' = sure \cup (acked \ reported)
  /\ phase' = IF phase = "Recovered" THEN "Replaying" ELSE phase
  /\ UNCHANGED <<old, budget, run, epoch, top, queue, flight, written, closingDue, last, fails, durable, marks, log, scan, torn,
                 store, next, acked, lay, served, void, reported, gone>>

OpenFailed ==
  /\ opening # 0 /\ Spend("fail")
  /\ \/ \E x \in Drop1(files[opening].hdr) : files' = [files EXCEPT ![opening].hdr = x]
     \/ files' = [s \in DOMAIN files \ {opening} |-> files[s]]
  /\ Abandon

\* Below every consumer's mark, and never the segment that is written to. A journal that has failed or is full writes to none:
\* what it had let go of before still leaves.
Limit(at) == Min({IF current # 0 THEN current ELSE IF opening # 0 THEN opening ELSE top + 1, at.state.seg, at.ingest.seg})

Release(consumer, place) ==
  /\ phase \in {"Running", "Stopping", "Stopped", "Full", "Failed"}
  /\ Before(marks[consumer], place)
  /\ marks' = [marks EXCEPT ![consumer] = place]
  /\ UNCHANGED <<disk, budget, phase, run, epoch, current, opening, top, queue, flight, written, closingDue, last, unproven, fails,
                 durable, log, scan, torn, store, ghost>>

\* Oldest first, each removal synced before the next.
RemoveSegment(s) ==
  /\ phase \in {"Running", "Stopping", "Stopped", "Full", "Failed"}
  /\ Visible # {} /\ s = Min(Visible) /\ s < Limit(marks)
  /\ \A x \in DOMAIN files : files[x].name # "leaving"
  /\ files' = [files EXCEPT ![s].name = "leaving"]
  /\ gone' = gone \cup {id \in DOMAIN lay : lay[id].seg = s}
  /\ UNCHANGED <<old, budget, machine, store, next, acked, lay, served, sure, void, reported>>

Removed(s) ==
  /\ phase \in {"Running", "Stopping", "Stopped", "Full", "Failed"}
  /\ s \in DOMAIN files /\ files[s].name = "leaving"
  /\ files' = SyncNames(files)
  /\ lay' = [id \in {id \in DOMAIN lay : lay[id].seg # s} |-> lay[id]]
  /\ UNCHANGED <<old, budget, machine, store, next, acked, served, sure, void, reported, gone>>

-----------------------------------------------------------------------------
(* Ends *)

Stop ==
  /\ phase \in {"Running", "Full"}
  /\ phase' = IF phase = "Full" THEN "Stopped" ELSE "Stopping"
  /\ UNCHANGED <<disk, budget, run, epoch, current, opening, top, queue, flight, written, closingDue, last, unproven, fails, durable,
                 marks, log, scan, torn, store, ghost>>

\* Nothing waits any more, and the last batch is proven.
Stopped ==
  /\ phase = "Stopping" /\ Idling /\ queue = <<>> /\ ~closingDue /\ current # 0 /\ ~CanClose
  /\ phase' = "Stopped"
  /\ sure' = sure \cup (acked \ reported)
  /\ UNCHANGED <<disk, budget, run, epoch, current, opening, top, queue, flight, written, closingDue, last, unproven, fails, durable,
                 marks, log, scan, torn, store, next, acked, lay, served, void, reported, gone>>

\* What is volatile goes. Blocks that no commit names yet: whole or not there.
Vanish ==
  /\ phase' = "Down" /\ epoch' = 0 /\ current' = 0 /\ opening' = 0 /\ top' = 0
  /\ queue' = <<>> /\ flight' = NoBatch /\ written' = FALSE /\ closingDue' = FALSE
  /\ last' = NoLink /\ unproven' = FALSE /\ fails' = 0 /\ durable' = Nowhere /\ marks' = NoMarks
  /\ log' = <<>> /\ scan' = NoScan /\ torn' = Nowhere
  /\ pending' = NoPending /\ applied' = {} /\ served' = {}
  /\ UNCHANGED <<run, next, acked, lay, sure, void, reported, gone>>

BlocksAfter(cut) ==
  IF cut THEN {[c \in DOMAIN blocks |-> [stage |-> "none", d |-> IF c \in kept THEN "good" ELSE blocks[c].d]] :
               kept \in SUBSET {c \in DOMAIN blocks : blocks[c].stage = "written"}}
  ELSE {[c \in DOMAIN blocks |-> [stage |-> "none", d |-> blocks[c].d]]}
\* A checkpoint's name may be durable although its folder was not synced; its bytes were synced before it got the name.
GensAfter == IF pending.stage = "named" THEN {gens, <<gens[2], [set |-> pending.set, stamp |-> pending.stamp, d |-> "good"]>>} ELSE {gens}

\* The process ends by itself, or is ended: the page cache is there for the next one.
Exit ==
  /\ phase \in {"Stopped", "Failed"}
  /\ blocks' \in BlocksAfter(FALSE) /\ gens' \in GensAfter
  /\ Vanish
  /\ UNCHANGED <<disk, budget>>

PowerCut ==
  /\ files' \in CutAll(files, {s \in DOMAIN files : files[s].name # "durable" \/ files[s].hdr.dirty \/ files[s].hdr.d # files[s].hdr.c \/ Unsettled(files[s].slots) # {}})
  /\ blocks' \in BlocksAfter(TRUE) /\ gens' \in GensAfter
  /\ Vanish
  /\ UNCHANGED old

Crash == phase \notin Ended /\ Spend("crash") /\ PowerCut

\* What was under way may be half done in the page cache; the rest of it survives.
Half1(x) == IF x.dirty THEN {x, IF x.d = Zero THEN Unwritten ELSE Sector(x.d, x.d, FALSE)} ELSE {x}
EndOfProcess ==
  /\ IF flight # NoBatch /\ ~written
     THEN \E h \in Half1(files[flight.seg].slots[flight.slot].h), p \in Half1(files[flight.seg].slots[flight.slot].p) :
            files' = [files EXCEPT ![flight.seg].slots[flight.slot] = [h |-> h, p |-> p]]
     ELSE IF opening # 0
     THEN \/ \E x \in Half1(files[opening].hdr) : files' = [files EXCEPT ![opening].hdr = x]
          \/ files' = [s \in DOMAIN files \ {opening} |-> files[s]]
     ELSE files' = files
  /\ blocks' \in BlocksAfter(FALSE) /\ gens' \in GensAfter
  /\ Vanish
  /\ UNCHANGED old

Kill == phase \notin Ended /\ Spend("kill") /\ EndOfProcess

\* One sector at rest is not what was written any more.
RotSector(x) == Sector(Rotten, Rotten, FALSE)
Rot ==
  /\ phase = "Down" /\ Spend("rot")
  /\ \/ \E s \in Visible : files[s].hdr.c # Zero /\ files' = [files EXCEPT ![s].hdr = RotSector(@)]
     \/ \E s \in Visible : \E k \in SlotsOf(s), part \in {"h", "p"} :
          /\ files[s].slots[k][part].c # Zero
          /\ files' = [files EXCEPT ![s].slots[k][part] = RotSector(@)]
  /\ UNCHANGED <<old, machine, store, ghost>>

RotCheckpoint ==
  /\ Sealing /\ phase = "Down" /\ gens[2].set # {}
  /\ Spend("rot")
  /\ gens' = [gens EXCEPT ![2].d = "bad"]
  /\ UNCHANGED <<disk, machine, blocks, pending, applied, ghost>>

\* An operator puts a copy of the folder back that lacks the newest segment; new files may come to lie where that one lay.
Restore ==
  /\ phase = "Down" /\ Visible # {}
  /\ Spend("restore")
  /\ LET s == Max(Visible)
         ids == {id \in DOMAIN lay : lay[id].seg = s} IN
     /\ \A k \in SlotsOf(s) : ~files[s].slots[k].h.dirty /\ ~files[s].slots[k].p.dirty
     /\ old' = [k \in SlotsOf(s) |-> [h |-> files[s].slots[k].h.d, p |-> files[s].slots[k].p.d]]
     /\ files' = [x \in DOMAIN files \ {s} |-> files[x]]
     /\ acked' = acked \ ids /\ sure' = sure \ ids /\ void' = void \cup ids
     /\ lay' = [id \in DOMAIN lay \ ids |-> lay[id]]
  /\ UNCHANGED <<machine, store, next, served, reported, gone>>

-----------------------------------------------------------------------------
(* Recovery, step by step *)

\* The log, backwards from the newest whole header: each header names the end of the segment before.
RECURSIVE Chain(_)
Chain(s) == LET p == HeaderOf(s).prev IN
  IF p.seg # 0 /\ p.seg \in Visible /\ HasHeader(p.seg) /\ p.seg < s THEN Chain(p.seg) \o <<s>> ELSE <<s>>

Headers == {s \in Visible : HasHeader(s)}
Newest == IF Headers = {} THEN 0 ELSE Max(Headers)
HeaderProblem == \E s \in Visible : s > Newest /\ HasBody(s)
ChainProblem ==
  LET chain == Chain(Newest)
      p == HeaderOf(chain[1]).prev IN
  \/ p.seg # 0 /\ p.seg \in Visible                             \* a segment that the log needs has no header
  \/ p.seg # 0 /\ p.seg \notin Visible /\ \E s \in Visible : s < p.seg   \* older ones are there, and this one is missing
  \/ \E i \in 1..(Len(chain) - 1) : HeaderOf(chain[i]).epoch > HeaderOf(chain[i + 1]).epoch

Survey ==
  /\ phase = "Down"
  /\ run' = run + 1
  /\ top' = Max(Visible \cup {0})
  /\ epoch' = Max({HeaderOf(s).epoch : s \in Headers} \cup {0}) + 1
  /\ IF HeaderProblem \/ (Newest # 0 /\ ChainProblem)
     THEN phase' = "Damaged" /\ UNCHANGED <<log, scan>>
     ELSE /\ log' = IF Newest = 0 THEN <<>> ELSE Chain(Newest)
          /\ phase' = IF Newest = 0 THEN "Recovered" ELSE "Scanning"
          /\ scan' = IF Newest = 0 THEN NoScan ELSE [seg |-> Newest, slot |-> 1, link |-> HeaderOf(Newest).prev]
  /\ UNCHANGED <<disk, budget, current, opening, queue, flight, written, closingDue, last, unproven, fails, durable, marks, torn,
                 store, next, acked, lay, served, sure, void, reported, gone>>

\* The batch at the scan's place is one that can follow the batch accepted before.
Follows(h, s, k, link) ==
  /\ h.t = "batch"
  /\ h.seg = s /\ h.slot = k
  /\ h.run = HeaderOf(s).run
  /\ h.epoch = HeaderOf(s).epoch
  /\ h.prev = link
Whole(x) == x.h.t = "batch" /\ x.p = Payload(x.h)
OnlyChunks(h) == \A i \in DOMAIN h.records : KindOf(h.records[i]) = "chunk"

AtEnd(s, k) == \A x \in SlotsOf(s) : x >= k => Shown(s, x).h = Zero /\ Shown(s, x).p = Zero
\* Any later batch of the segment: it was written only after the one in doubt had been synced.
Proof(s, k, link) == \E x \in SlotsOf(s) : x > k /\ LET h == Shown(s, x).h IN
  h.t = "batch" /\ h.seg = s /\ h.slot = x /\ h.run = HeaderOf(s).run /\ h.n > link.n + 1

Here == Shown(scan.seg, scan.slot)
Fits == Follows(Here.h, scan.seg, scan.slot, scan.link)

Accept ==
  /\ phase = "Scanning"
  /\ Fits
  /\ Whole(Here) \/ (OnlyChunks(Here.h) /\ Proof(scan.seg, scan.slot, scan.link))
  /\ scan' = [scan EXCEPT !.slot = @ + 1, !.link = LinkOf(Here.h)]
  /\ UNCHANGED <<disk, budget, phase, run, epoch, current, opening, top, queue, flight, written, closingDue, last, unproven, fails,
                 durable, marks, log, torn, store, ghost>>

Scanned ==
  /\ phase' = "Rewriting"
  /\ last' = scan.link
  /\ durable' = [seg |-> scan.seg, slot |-> scan.slot]
  /\ UNCHANGED <<disk, budget, run, epoch, current, opening, top, queue, flight, written, closingDue, unproven, fails, marks, log,
                 scan, store, next, acked, lay, served, sure, void, gone>>

End ==
  /\ phase = "Scanning" /\ ~Fits /\ AtEnd(scan.seg, scan.slot)
  /\ torn' = torn /\ reported' = reported
  /\ Scanned

Doubt == phase = "Scanning" /\ ~AtEnd(scan.seg, scan.slot) /\ (~Fits \/ ~Whole(Here))

\* Not proven: its bytes stay where they are, and the status reports them.
TornTail ==
  /\ Doubt /\ ~Proof(scan.seg, scan.slot, scan.link)
  /\ torn' = [seg |-> scan.seg, slot |-> scan.slot]
  /\ reported' = reported \cup {id \in DOMAIN lay : lay[id].seg = scan.seg /\ lay[id].slot >= scan.slot}
  /\ Scanned

\* Proven, and not what was written: named, and nothing is changed.
Damaged ==
  /\ Doubt /\ Proof(scan.seg, scan.slot, scan.link)
  /\ ~(Fits /\ OnlyChunks(Here.h))
  /\ phase' = "Damaged"
  /\ UNCHANGED <<disk, budget, run, epoch, current, opening, top, queue, flight, written, closingDue, last, unproven, fails,
                 durable, marks, log, scan, torn, store, next, acked, lay, served, sure, void, reported, gone>>

\* The last batch, which nothing proves, is written again as it is: its first sync may have failed and left it clean.
Rewrite ==
  /\ phase = "Rewriting"
  /\ files' = IF last.seg = scan.seg /\ Whole(Shown(last.seg, last.slot))
       THEN [files EXCEPT ![last.seg].slots[last.slot] = [h |-> Sector(@.h.d, @.h.c, TRUE), p |-> Sector(@.p.d, @.p.c, TRUE)]]
       ELSE files
  /\ phase' = "Resyncing"
  /\ UNCHANGED <<old, budget, run, epoch, current, opening, top, queue, flight, written, closingDue, last, unproven, fails,
                 durable, marks, log, scan, torn, store, ghost>>

Resynced ==
  /\ phase = "Resyncing"
  /\ files' = [files EXCEPT ![scan.seg] = SyncFile(@)]
  /\ phase' = "Recovered"
  /\ UNCHANGED <<old, budget, run, epoch, current, opening, top, queue, flight, written, closingDue, last, unproven, fails,
                 durable, marks, log, scan, torn, store, ghost>>

\* The start fails with the sync; the next one begins anew on what the cache shows.
ResyncFailed ==
  /\ phase = "Resyncing" /\ Spend("fail")
  /\ IF last.seg = scan.seg
     THEN \E x \in DropSlot(files[last.seg].slots[last.slot]) : files' = [files EXCEPT ![last.seg].slots[last.slot] = x]
     ELSE files' = files
  /\ UNCHANGED <<blocks, gens>>
  /\ Vanish
  /\ UNCHANGED old

\* Where a segment of the log ends: at what the next header names, or at what the scan accepted.
EndOf(i) == IF i < Len(log) THEN HeaderOf(log[i + 1]).prev ELSE last
\* The slots of the log that count, with what each shows.
LogSlots == UNION {{[seg |-> log[i], slot |-> k] : k \in 1..(IF EndOf(i).seg = log[i] THEN EndOf(i).slot ELSE 0)} : i \in DOMAIN log}
PrevIn(i, k) == IF k = 1 THEN HeaderOf(log[i]).prev ELSE LinkOf(Shown(log[i], k - 1).h)
RECURSIVE GoodUpTo(_, _)
GoodUpTo(i, k) == \* every slot of log[i] below k holds a batch that follows
  k = 1 \/ (GoodUpTo(i, k - 1) /\ Follows(Shown(log[i], k - 1).h, log[i], k - 1, PrevIn(i, k - 1)))
SlotGood(place) == \E i \in DOMAIN log : log[i] = place.seg /\ GoodUpTo(i, place.slot + 1)
SlotWhole(place) == SlotGood(place) /\ Whole(Shown(place.seg, place.slot))
SlotRecords(place) == IF SlotGood(place) THEN Range(Shown(place.seg, place.slot).h.records) ELSE {}

\* The newest generation that is whole.
Best == IF gens[2].d = "good" THEN gens[2] ELSE gens[1]
LogBegin == IF log = <<>> THEN Nowhere ELSE Behind(HeaderOf(log[1]).prev)

ReplayFrom(from) ==
  /\ phase = "Replaying"
  /\ LET wanted == {x \in LogSlots : ~Before(x, from)}
         bad == \E x \in wanted : ~SlotGood(x) \/ (~SlotWhole(x) /\ ~OnlyChunks(Shown(x.seg, x.slot).h))
         missing == log # <<>> /\ LogBegin # [seg |-> 0, slot |-> 1] /\ Before(from, LogBegin)
         whole == UNION {SlotRecords(x) : x \in {x \in LogSlots : SlotWhole(x)}}
         fresh == Commits(UNION {SlotRecords(x) : x \in wanted})
     IN IF bad \/ missing
        THEN /\ phase' = "Damaged"
             /\ UNCHANGED <<applied, served, acked, lay, reported, blocks, gens>>
        ELSE /\ phase' = "Running"
             /\ served' = whole /\ acked' = acked \cup whole
             /\ lay' = [id \in DOMAIN lay \cup whole |-> IF id \in whole THEN CHOOSE x \in LogSlots : id \in SlotRecords(x) ELSE lay[id]]
             \* What is not whole is one record's loss, named where it is read.
             /\ reported' = reported \cup {id \in DOMAIN lay : \E x \in LogSlots : lay[id] = x /\ ~SlotWhole(x)}
             /\ applied' = IF Sealing THEN Best.set \cup fresh ELSE {}
             \* Blocks that no commit names go, unless something was kept that may name them.
             /\ blocks' = [c \in {c \in DOMAIN blocks : c \in SealedOf(applied') \/ torn # Nowhere} |->
                            [blocks[c] EXCEPT !.stage = IF c \in SealedOf(applied') THEN "sealed" ELSE "left"]]
             /\ gens' = IF gens[2].d = "good" THEN gens ELSE <<NoGeneration, gens[1]>>
  /\ UNCHANGED <<disk, budget, run, epoch, current, opening, top, queue, flight, written, closingDue, last, unproven, fails, durable,
                 marks, log, scan, torn, pending, next, sure, void, gone>>

Replay == ReplayFrom(Best.stamp)

-----------------------------------------------------------------------------
(* Settling: wal -> block -> verified -> named by a commit -> the journal may let go *)

Journaled == {id \in acked : id \in DOMAIN lay /\ id \in served /\ KindOf(id) = "chunk" /\ id \notin SealedOf(applied)}

SetBlock(c, b) == blocks' = [x \in DOMAIN blocks \cup {c} |-> IF x = c THEN b ELSE blocks[x]]

Seal(c) ==
  /\ Sealing /\ phase = "Running" /\ c \in Journaled /\ c \notin reported
  /\ IF c \in DOMAIN blocks THEN blocks[c].stage = "left" ELSE TRUE
  /\ SetBlock(c, [stage |-> "written", d |-> "none"])
  /\ UNCHANGED <<disk, budget, machine, gens, pending, applied, ghost>>

\* The disk may say that it has written what it has not (a lost write).
BlockSynced(c) ==
  /\ Sealing /\ phase = "Running" /\ c \in DOMAIN blocks /\ blocks[c].stage = "written"
  /\ \/ SetBlock(c, [stage |-> "synced", d |-> "good"]) /\ budget' = budget
     \/ /\ Spend("rot")
        /\ SetBlock(c, [stage |-> "synced", d |-> "none"])
  /\ UNCHANGED <<disk, machine, gens, pending, applied, ghost>>

\* Read back from the disk, past the page cache; a block that is not what was written is written anew.
Verify(c) ==
  /\ Sealing /\ phase = "Running" /\ c \in DOMAIN blocks /\ blocks[c].stage = "synced"
  /\ IF blocks[c].d = "good" THEN SetBlock(c, [blocks[c] EXCEPT !.stage = "verified"])
     ELSE blocks' = [x \in DOMAIN blocks \ {c} |-> blocks[x]]
  /\ UNCHANGED <<disk, budget, machine, gens, pending, applied, ghost>>

CommitSealed(c) ==
  /\ Sealing /\ phase = "Running" /\ c \in DOMAIN blocks /\ blocks[c].stage = "verified"
  /\ queue' = Append(queue, Records + c)
  /\ SetBlock(c, [blocks[c] EXCEPT !.stage = "committing"])
  /\ UNCHANGED <<disk, budget, phase, run, epoch, current, opening, top, flight, written, closingDue, last, unproven, fails, durable,
                 marks, log, scan, torn, gens, pending, applied, ghost>>

\* The first chunk that only the journal has, else its end.
KeepFrom == LET places == {lay[c] : c \in Journaled \ reported} IN
  IF places = {} THEN durable ELSE CHOOSE p \in places : \A q \in places : ~Before(q, p)

ReleaseIngest == Sealing /\ phase = "Running" /\ Release("ingest", KeepFrom)

\* Reads go to the new generation from here on; its file has another name yet.
Checkpoint ==
  /\ Sealing /\ phase = "Running" /\ pending = NoPending /\ (applied # gens[2].set \/ durable # gens[2].stamp)
  /\ pending' = [set |-> applied, stamp |-> durable, stage |-> "visible"]
  /\ UNCHANGED <<disk, budget, machine, blocks, gens, applied, ghost>>

\* Synced, read back, and given its name.
Named ==
  /\ pending.stage = "visible" /\ phase = "Running"
  /\ pending' = [pending EXCEPT !.stage = "named"]
  /\ UNCHANGED <<disk, budget, machine, blocks, gens, applied, ghost>>

\* The folder is synced: the generation is durable, and two are kept.
Flushed ==
  /\ pending.stage = "named" /\ phase = "Running"
  /\ gens' = <<gens[2], [set |-> pending.set, stamp |-> pending.stamp, d |-> "good"]>>
  /\ pending' = NoPending
  /\ UNCHANGED <<disk, budget, machine, blocks, applied, ghost>>

\* The journal is kept back to the older generation.
ReleaseState == Sealing /\ phase = "Running" /\ Release("state", gens[1].stamp)

-----------------------------------------------------------------------------
(* The bounded world *)

\* A client's chunk and the commit that names it, one behind the other; or commits: two together, or one.
Append2 ==
  IF KindOf(next) = "chunk" \/ Joined(next) THEN next + 1 <= Records /\ AppendRecords(<<next, next + 1>>)
  ELSE next <= Records /\ AppendRecords(<<next>>)

OpenNext == top < Segments /\ OpenSegment(top + 1)
\* All that waits, as far as it fits.
WriteNext == queue # <<>> /\ WriteBatch(Max({count \in 1..Min({BatchMax, Len(queue)}) : ~Cuts(count)}))
RemoveNext == \E s \in DOMAIN files : RemoveSegment(s)
RemovedNext == \E s \in DOMAIN files : Removed(s)
SealNext == \E c \in 1..Records : Seal(c)
BlockSyncedNext == \E c \in DOMAIN blocks : BlockSynced(c)
VerifyNext == \E c \in DOMAIN blocks : Verify(c)
CommitSealedNext == \E c \in DOMAIN blocks : CommitSealed(c)
StopOnce == run <= budget.stop /\ Stop

\* What the node does by itself, and must be able to do for ever.
Journals == OpenNext \/ SegmentOpened \/ WriteNext \/ WriteClosing \/ Written \/ Synced \/ Retry \/ RemoveNext \/ RemovedNext
Recovers == Survey \/ Accept \/ End \/ TornTail \/ Damaged \/ Rewrite \/ Resynced \/ Replay \/ Stopped \/ Exit
Settles == SealNext \/ BlockSyncedNext \/ VerifyNext \/ CommitSealedNext \/ ReleaseIngest
Checkpoints == Checkpoint \/ Named \/ Flushed \/ ReleaseState
Faulty == SyncFailed \/ OpenFailed \/ ResyncFailed \/ Crash \/ Kill \/ Rot \/ RotCheckpoint \/ Restore

Next == Journals \/ Recovers \/ Settles \/ Checkpoints \/ Faulty \/ Append2 \/ Idle \/ StopOnce

Spec == Init /\ [][Next]_vars
FairSpec == Spec /\ WF_vars(Journals) /\ WF_vars(Recovers) /\ WF_vars(Settles) /\ WF_vars(Checkpoints)

-----------------------------------------------------------------------------
(* What must hold *)

Serving == phase \in {"Running", "Stopping", "Full"}

\* P1: what was acknowledged, or shown after a start, is there, or its loss was reported.
\* What is lost to rot is reported; nothing else loses anything.
Rotted == budget.rot < Budget.rot
AcknowledgedKept == Serving => acked \subseteq served \cup gone \cup (IF Rotted THEN reported ELSE {})

\* What is served is on the disk, not in the page cache alone.
OnDisk(id) ==
  /\ id \in DOMAIN lay /\ lay[id].seg \in DOMAIN files
  /\ files[lay[id].seg].name # "cached"
  /\ lay[id].slot \in SlotsOf(lay[id].seg)
  /\ LET x == files[lay[id].seg].slots[lay[id].slot] IN
       x.h.d.t = "batch" /\ id \in Range(x.h.d.records) /\ x.p.d = Payload(x.h.d)
ServedDurable == Serving => \A id \in served \ gone : OnDisk(id)

\* Nothing comes back that was lost, or that is of another run, another life of the place, or a copy's future.
NoStaleRecord == Serving => served \cap void = {}

\* R3: a chunk goes before its commit.
ChunkBeforeCommit == Serving => \A id \in served : KindOf(id) = "commit" => id - 1 \in served \cup gone \cup reported

\* What was appended together is there as one: nothing of it where any of it was lost (P1: its sequences are given out again).
AllOrNothing == Serving => \A id \in served : Joined(id) => id + 1 \notin void

\* R4: what a later batch, a header or a closing batch had proven is never taken for a torn tail.
CorruptIsNotTorn == torn # Nowhere => \A id \in sure : ~(id \in DOMAIN lay /\ lay[id].seg = torn.seg /\ lay[id].slot >= torn.slot)
\* And what a crash alone leaves is never taken for corruption.
TornIsNotCorrupt == phase = "Damaged" => Rotted

\* The journal lets go of nothing that is not verified elsewhere (R10, R11).
Standing == IF gens[2].d = "bad" THEN {gens[1]} ELSE IF budget.rot = 0 THEN {gens[2]} ELSE {gens[1], gens[2]}
ReleasedVerified ==
  \A id \in gone :
    IF KindOf(id) = "chunk" THEN id \in DOMAIN blocks /\ blocks[id].d = "good" /\ (phase = "Running" => id \in SealedOf(applied))
    ELSE \A g \in Standing : id \in g.set
\* What the state serves is all that was acknowledged.
StateWhole == Sealing /\ phase = "Running" => Commits(acked) \subseteq applied \cup reported

\* P8: once faults stop, the node serves, unless damage is named.
ServesAgain == <>[](phase \in {"Running", "Damaged"})

=============================================================================
