------------------------------- MODULE Chunk -------------------------------
(***************************************************************************)
(* Chunks from their upload to their end: intents, deduplication against   *)
(* freeing, incarnations, sealing, compaction, removal of files, reads     *)
(* (protocols.md, R1, R10, R12; promises P1, P3, P5, P8).                  *)
(*                                                                         *)
(* The log of commits is abstract: an action that changes rows is one      *)
(* commit, applied. Everything between commits is a step of its own, and   *)
(* everybody but the log may be slow, or crash. A chunk has one copy;      *)
(* several (replicas, slices) come with the loss of disks: a row's `inc`   *)
(* becomes a set then. README.md tells which code each action is.          *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets

CONSTANTS
  Chunks,       \* names of contents
  Objects,
  Gateways,
  Movers,       \* processes that seal and compact
  Reader,       \* the reader's name among those who have intents
  Opens,        \* how often gateways open an intent; the others likewise
  Puts,
  Kinds,        \* where uploads go: the journal, blocks of their own
  Drops,
  Crashes,
  Rots,         \* regions that rot at rest
  LostWrites,   \* blocks whose write did not reach the disk
  Takeovers,    \* leases of movers that the log ends under their feet
  Reads

VARIABLES
  seq,          \* the newest commit
  next,         \* the next incarnation: never reused
  names,        \* object -> the chunks that it names
  rows,         \* chunk -> where its copy is, what bytes it has, since when condemned
  known,        \* chunks of which a damaged copy is known
  files,        \* journal records and blocks, as the disk has them
  blocks,       \* blocks that have a row: incarnation, commit that brought it
  removals,     \* removals of files that were asked for
  intents,      \* who -> since which commit; 0: none
  gateways,
  view,         \* gateway -> what it saw of the index, and as of when
  freeing,      \* a proposal to free a chunk, on its way to the log
  movers,
  reader,
  left          \* what the bounds still allow

vars == <<seq, next, names, rows, known, files, blocks, removals, intents, gateways, view, freeing, movers, reader, left>>

Who == Gateways \cup Movers \cup {Reader}

Min(S) == CHOOSE n \in S : \A other \in S : n <= other

NoRow == [inc |-> 0, form |-> 0, at |-> 0]
NoView == [at |-> 0, hits |-> {}]
Idle == [at |-> 0, object |-> "none", want |-> {}, fresh |-> {}, sent |-> [chunk \in Chunks |-> 0], heal |-> {}]
NoJob == [phase |-> "none", kind |-> "none", at |-> 0, take |-> {}, inc |-> 0]
NoRead == [phase |-> "none", at |-> 0, want |-> {}, inc |-> 0, chunk |-> "none"]

Init ==
  /\ seq = 1
  /\ next = 1
  /\ names = [object \in Objects |-> {}]
  /\ rows = [chunk \in Chunks |-> NoRow]
  /\ known = {}
  /\ files = {}
  /\ blocks = {}
  /\ removals = {}
  /\ intents = [who \in Who |-> 0]
  /\ gateways = [gateway \in Gateways |-> Idle]
  /\ view = [gateway \in Gateways |-> NoView]
  /\ freeing = {}
  /\ movers = [mover \in Movers |-> NoJob]
  /\ reader = NoRead
  /\ left = [opens |-> Opens, puts |-> Puts, drops |-> Drops, crashes |-> Crashes, rots |-> Rots, lost |-> LostWrites,
             takeovers |-> Takeovers, reads |-> Reads]

(***************************************************************************)
(* What is there.                                                          *)
(***************************************************************************)
IsKnown(chunk) == rows[chunk].inc # 0

ReferencesIn(named, chunk) == {object \in Objects : chunk \in named[object]}

References(chunk) == ReferencesIn(names, chunk)

FilesOf(inc) == {file \in files : file.inc = inc}

RegionsAt(inc, chunk) == UNION {{region \in file.regions : region.chunk = chunk} : file \in FilesOf(inc)}

IsNamed(inc, chunk) == rows[chunk].inc = inc

IsJournaled(chunk) == \E file \in FilesOf(rows[chunk].inc) : file.kind = "journal"

IsWhole(chunk) == \E region \in RegionsAt(rows[chunk].inc, chunk) : region.state = "ok" /\ region.form = rows[chunk].form

DeadIn(file) == {region \in file.regions : ~IsNamed(file.inc, region.chunk)}

HasRow(inc) == \E block \in blocks : block.inc = inc

(* Who wrote the file may still name it: the intent under which he wrote it is open. *)
IsSpared(file) == file.owner # "none" /\ intents[file.owner] = file.since

Open == {who \in Who : intents[who] # 0}

(* Nobody at work counts on what was condemned, or brought, by then. *)
IsPast(at) == \A who \in Open : at <= intents[who]

(* A name that no file has: a place may be used again, an incarnation never is. *)
FreeName == Min({name \in 1..(Cardinality(files) + 1) : \A file \in files : file.name # name})

Region(chunk, form, state) == [chunk |-> chunk, form |-> form, state |-> state]

Block(regions, who) ==
  [inc |-> next, name |-> FreeName, kind |-> "block", regions |-> regions, owner |-> who, since |-> intents[who]]

Spend(what) == left[what] > 0 /\ left' = [left EXCEPT ![what] = @ - 1]

(* What apply does to a row once it knows who names it: condemned iff nobody does, since the commit that left it so. *)
Judged(named, at) ==
  [chunk \in Chunks |->
    LET row == rows[chunk] IN
    IF row.inc = 0 THEN row
    ELSE IF ReferencesIn(named, chunk) # {} THEN [row EXCEPT !.at = 0]
    ELSE IF row.at = 0 THEN [row EXCEPT !.at = at]
    ELSE row]

(* The block comes with the first commit that says that something lies in it. *)
Brought(inc, at) == IF HasRow(inc) THEN blocks ELSE blocks \cup {[inc |-> inc, at |-> at]}

(***************************************************************************)
(* Gateways: an upload counts on what it found, and names it in the end.   *)
(***************************************************************************)
IsIdle(gateway) == gateways[gateway].object = "none"

HasIntent(gateway) == gateways[gateway].at # 0 /\ intents[gateway] = gateways[gateway].at

(* One for all uploads of a gateway; opened anew between them, so that an old one holds nothing up. *)
OpenIntent(gateway) ==
  /\ Spend("opens")
  /\ IsIdle(gateway)
  /\ intents' = [intents EXCEPT ![gateway] = seq]
  /\ gateways' = [gateways EXCEPT ![gateway].at = seq]
  /\ UNCHANGED <<seq, next, names, rows, known, files, blocks, removals, view, freeing, movers, reader>>

CloseIntent(gateway) ==
  /\ IsIdle(gateway)
  /\ HasIntent(gateway)
  /\ intents' = [intents EXCEPT ![gateway] = 0]
  /\ gateways' = [gateways EXCEPT ![gateway] = Idle]
  /\ UNCHANGED <<seq, next, names, rows, known, files, blocks, removals, view, freeing, movers, reader, left>>

(* The log ends the intent of one that it has not heard of; he does not know. *)
ExpireIntent(gateway) ==
  /\ intents[gateway] # 0
  /\ intents' = [intents EXCEPT ![gateway] = 0]
  /\ UNCHANGED <<seq, next, names, rows, known, files, blocks, removals, gateways, view, freeing, movers, reader, left>>

(* A gateway's index follows the log, late. A condemned chunk is no hit: it may be gone any moment. *)
See(gateway) ==
  /\ IsIdle(gateway)
  /\ left.puts > 0
  /\ view[gateway] = NoView \/ view[gateway].at < gateways[gateway].at
  /\ view' = [view EXCEPT ![gateway] = [at |-> seq, hits |-> {chunk \in Chunks : IsKnown(chunk) /\ rows[chunk].at = 0}]]
  /\ UNCHANGED <<seq, next, names, rows, known, files, blocks, removals, intents, gateways, freeing, movers, reader, left>>

(* A hit needs a view no older than the intent; a chunk known to be damaged is none. *)
LookUp(gateway, object, want) ==
  /\ IsIdle(gateway)
  /\ gateways[gateway].at # 0
  /\ view[gateway].at >= gateways[gateway].at
  /\ Spend("puts")
  /\ LET hits == (want \cap view[gateway].hits) \ known IN
     gateways' = [gateways EXCEPT ![gateway] =
       [Idle EXCEPT !.at = gateways[gateway].at, !.object = object, !.want = want, !.fresh = want \ hits,
                    !.heal = {[chunk |-> chunk, inc |-> rows[chunk].inc] : chunk \in want \cap known}]]
  /\ view' = [view EXCEPT ![gateway] = NoView]
  /\ UNCHANGED <<seq, next, names, rows, known, files, blocks, removals, intents, freeing, movers, reader>>

Upload(gateway, chunks, file) ==
  /\ files' = files \cup {file}
  /\ next' = next + 1
  /\ gateways' = [gateways EXCEPT ![gateway].fresh = @ \ chunks,
                                  ![gateway].sent = [chunk \in Chunks |-> IF chunk \in chunks THEN next ELSE @[chunk]]]
  /\ UNCHANGED <<seq, names, rows, known, blocks, removals, intents, view, freeing, movers, reader, left>>

(* What a gateway writes carries its intent, whether or not that is still open: it does not know. *)
ToJournal(gateway, chunk) ==
  /\ "journal" \in Kinds
  /\ chunk \in gateways[gateway].fresh
  /\ Upload(gateway, {chunk}, [inc |-> next, name |-> 0, kind |-> "journal", regions |-> {Region(chunk, next, "ok")},
                               owner |-> gateway, since |-> gateways[gateway].at])

ToBlock(gateway) ==
  LET fresh == gateways[gateway].fresh IN
  /\ "block" \in Kinds
  /\ fresh # {}
  /\ Upload(gateway, fresh, [Block({Region(chunk, next, "ok") : chunk \in fresh}, gateway) EXCEPT !.since = gateways[gateway].at])

IsSent(gateway, chunk) == gateways[gateway].sent[chunk] # 0

(*
  A chunk that has a copy keeps it, unless that is damaged; whoever brought new bytes has time to name it. The first
  commit of several that an upload makes: nothing names the chunk yet.
*)
Arrive(gateway, chunk) ==
  LET inc == gateways[gateway].sent[chunk]
      old == rows[chunk]
      condemned == IF old.inc # 0 /\ old.at = 0 THEN 0 ELSE seq + 1
      heals == \E bad \in gateways[gateway].heal : bad.chunk = chunk
  IN
  /\ IsSent(gateway, chunk)
  /\ HasIntent(gateway)
  /\ rows' = [rows EXCEPT ![chunk] =
       IF old.inc = 0 \/ heals
       THEN [inc |-> inc, form |-> inc, at |-> condemned]
       ELSE [old EXCEPT !.at = condemned]]
  /\ known' = IF heals THEN known \ {chunk} ELSE known
  /\ blocks' = IF \E file \in FilesOf(inc) : file.kind = "journal" THEN blocks ELSE Brought(inc, seq + 1)
  /\ seq' = seq + 1
  /\ gateways' = [gateways EXCEPT ![gateway].sent[chunk] = 0]
  /\ UNCHANGED <<next, names, files, removals, intents, view, freeing, movers, reader, left>>

IsReady(gateway) ==
  /\ ~IsIdle(gateway)
  /\ gateways[gateway].fresh = {}
  /\ \A chunk \in Chunks : ~IsSent(gateway, chunk)

Commit(gateway) ==
  LET upload == gateways[gateway]
      named == [names EXCEPT ![upload.object] = upload.want]
  IN
  /\ IsReady(gateway)
  /\ HasIntent(gateway)
  /\ \A chunk \in upload.want : IsKnown(chunk)
  /\ names' = named
  /\ rows' = Judged(named, seq + 1)
  /\ seq' = seq + 1
  /\ gateways' = [gateways EXCEPT ![gateway] = [Idle EXCEPT !.at = upload.at]]
  /\ UNCHANGED <<next, known, files, blocks, removals, intents, view, freeing, movers, reader, left>>

(* Apply refuses whatever comes under an intent that has ended: what it counts on, or wrote, may be gone. *)
Refuse(gateway) ==
  /\ gateways[gateway].at # 0
  /\ ~HasIntent(gateway)
  /\ gateways' = [gateways EXCEPT ![gateway] = Idle]
  /\ UNCHANGED <<seq, next, names, rows, known, files, blocks, removals, intents, view, freeing, movers, reader, left>>

(* All that it had in memory is gone; the log still has its intent. *)
CrashGateway(gateway) ==
  /\ Spend("crashes")
  /\ gateways[gateway] # Idle
  /\ gateways' = [gateways EXCEPT ![gateway] = Idle]
  /\ view' = [view EXCEPT ![gateway] = NoView]
  /\ UNCHANGED <<seq, next, names, rows, known, files, blocks, removals, intents, freeing, movers, reader>>

DropObject(object) ==
  LET named == [names EXCEPT ![object] = {}] IN
  /\ names[object] # {}
  /\ Spend("drops")
  /\ names' = named
  /\ rows' = Judged(named, seq + 1)
  /\ seq' = seq + 1
  /\ UNCHANGED <<next, known, files, blocks, removals, intents, gateways, view, freeing, movers, reader>>

(***************************************************************************)
(* The collector: what is condemned is freed by a later commit.            *)
(***************************************************************************)
ChooseFree(chunk) ==
  /\ freeing = {}
  /\ IsKnown(chunk)
  /\ rows[chunk].at # 0
  /\ IsPast(rows[chunk].at)
  /\ freeing' = {[chunk |-> chunk, at |-> rows[chunk].at]}
  /\ UNCHANGED <<seq, next, names, rows, known, files, blocks, removals, intents, gateways, view, movers, reader, left>>

(* By compare-and-set on the commit of its condemnation. *)
FreeChunk == \E free \in freeing :
  /\ LET goes == References(free.chunk) = {} /\ rows[free.chunk].at = free.at IN
     /\ rows' = IF goes THEN [rows EXCEPT ![free.chunk] = NoRow] ELSE rows
     /\ known' = IF goes THEN known \ {free.chunk} ELSE known
  /\ freeing' = {}
  /\ UNCHANGED <<seq, next, names, files, blocks, removals, intents, gateways, view, movers, reader, left>>

Removal(file) == [inc |-> file.inc, name |-> file.name]

(* Nothing lies in it, and nobody at work is about to say that something does. *)
DropBlock == \E file \in files :
  /\ \E block \in blocks : block.inc = file.inc /\ IsPast(block.at)
  /\ DeadIn(file) = file.regions
  /\ blocks' = {block \in blocks : block.inc # file.inc}
  /\ removals' = removals \cup {Removal(file)}
  /\ UNCHANGED <<seq, next, names, rows, known, files, intents, gateways, view, freeing, movers, reader, left>>

(* A block that no commit names, and that whoever wrote it can name no more. *)
RemoveUnnamed == \E file \in files :
  /\ file.kind = "block"
  /\ ~HasRow(file.inc)
  /\ Removal(file) \notin removals
  /\ ~IsSpared(file)
  /\ removals' = removals \cup {Removal(file)}
  /\ UNCHANGED <<seq, next, names, rows, known, files, blocks, intents, gateways, view, freeing, movers, reader, left>>

(* Late, and perhaps more than once, for ever: what it meets may be another file of the same name. *)
RemoveFile == \E removal \in removals :
  /\ files' = {file \in files : ~(file.kind = "block" /\ file.inc = removal.inc)}
  /\ files' # files
  /\ UNCHANGED <<seq, next, names, rows, known, blocks, removals, intents, gateways, view, freeing, movers, reader, left>>

(* The journal goes up to the first record that a row names, or that an upload under way may name. *)
KeepFrom ==
  Min({next} \cup {file.inc : file \in {one \in files :
    one.kind = "journal" /\ (DeadIn(one) # one.regions \/ IsSpared(one))}})

ReleaseJournal ==
  /\ files' = {file \in files : ~(file.kind = "journal" /\ file.inc < KeepFrom)}
  /\ files' # files
  /\ UNCHANGED <<seq, next, names, rows, known, blocks, removals, intents, gateways, view, freeing, movers, reader, left>>

(***************************************************************************)
(* Movers: from the journal into blocks, and from sparse blocks into full  *)
(* ones. A mover works under a lease, as gateways under intents; who       *)
(* begins to seal takes the sealer's token, and ends the other's lease.    *)
(***************************************************************************)
Take(chunk) == [chunk |-> chunk, from |-> rows[chunk].inc, form |-> rows[chunk].form]

Begin(mover, kind, chunks) ==
  /\ movers[mover] = NoJob
  /\ chunks # {}
  /\ movers' = [movers EXCEPT ![mover] = [phase |-> "read", kind |-> kind, at |-> seq, take |-> {Take(chunk) : chunk \in chunks}, inc |-> 0]]
  /\ UNCHANGED <<seq, next, names, rows, known, files, blocks, removals, gateways, view, freeing, reader>>

(* Damaged records are passed over. *)
Seal(mover) ==
  LET others == {other \in Movers \ {mover} : movers[other].kind = "seal" /\ intents[other] # 0} IN
  /\ Begin(mover, "seal", {chunk \in Chunks : IsKnown(chunk) /\ IsJournaled(chunk) /\ IsWhole(chunk)})
  /\ others = {} \/ left.takeovers > 0
  /\ left' = [left EXCEPT !.takeovers = IF others = {} THEN @ ELSE @ - 1]
  /\ intents' = [who \in Who |-> IF who = mover THEN seq ELSE IF who \in others THEN 0 ELSE intents[who]]

(* A block of which something is nobody's; one that has a damaged region stays as it is. *)
Compact(mover) == \E file \in files :
  LET live == file.regions \ DeadIn(file) IN
  /\ file.kind = "block"
  /\ DeadIn(file) # {}
  /\ \E block \in blocks : block.inc = file.inc /\ IsPast(block.at)
  /\ \A region \in live : region.state = "ok"
  /\ Begin(mover, "compact", {region.chunk : region \in live})
  /\ intents' = [intents EXCEPT ![mover] = seq]
  /\ UNCHANGED left

WriteBlock(mover, state) ==
  LET job == movers[mover] IN
  /\ job.phase = "read"
  /\ files' = files \cup {[Block({Region(take.chunk, take.form, state) : take \in job.take}, mover) EXCEPT !.since = job.at]}
  /\ next' = next + 1
  /\ movers' = [movers EXCEPT ![mover].phase = "written", ![mover].inc = next]
  /\ IF state = "ok" THEN UNCHANGED left ELSE Spend("lost")
  /\ UNCHANGED <<seq, names, rows, known, blocks, removals, intents, gateways, view, freeing, reader>>

(* Read back. What is not what was written is never named. *)
VerifyBlock(mover) ==
  LET job == movers[mover]
      isWhole == \A take \in job.take : \E region \in RegionsAt(job.inc, take.chunk) : region.state = "ok"
  IN
  /\ job.phase = "written"
  /\ movers' = [movers EXCEPT ![mover] = IF isWhole THEN [job EXCEPT !.phase = "verified"] ELSE NoJob]
  /\ intents' = [intents EXCEPT ![mover] = IF isWhole \/ @ # job.at THEN @ ELSE 0]
  /\ UNCHANGED <<seq, next, names, rows, known, files, blocks, removals, gateways, view, freeing, reader, left>>

(* One commit for each chunk: a large block takes several. By compare-and-set, under the lease. *)
BlockSealed(mover) == \E take \in movers[mover].take :
  LET job == movers[mover]
      rest == job.take \ {take}
  IN
  /\ job.phase = "verified"
  /\ intents[mover] = job.at
  /\ rows' = IF rows[take.chunk].inc = take.from THEN [rows EXCEPT ![take.chunk].inc = job.inc] ELSE rows
  /\ blocks' = Brought(job.inc, seq + 1)
  /\ seq' = seq + 1
  /\ movers' = [movers EXCEPT ![mover] = IF rest = {} THEN NoJob ELSE [job EXCEPT !.take = rest]]
  /\ intents' = [intents EXCEPT ![mover] = IF rest = {} THEN 0 ELSE @]
  /\ UNCHANGED <<next, names, known, files, removals, gateways, view, freeing, reader, left>>

(* The log ends the lease of a mover that it has not heard of. *)
ExpireMover(mover) ==
  /\ intents[mover] # 0
  /\ IF movers[mover] = NoJob THEN UNCHANGED left ELSE Spend("takeovers")
  /\ intents' = [intents EXCEPT ![mover] = 0]
  /\ UNCHANGED <<seq, next, names, rows, known, files, blocks, removals, gateways, view, freeing, movers, reader>>

RefuseMover(mover) ==
  /\ movers[mover] # NoJob
  /\ intents[mover] # movers[mover].at
  /\ movers' = [movers EXCEPT ![mover] = NoJob]
  /\ UNCHANGED <<seq, next, names, rows, known, files, blocks, removals, intents, gateways, view, freeing, reader, left>>

CrashMover(mover) ==
  /\ Spend("crashes")
  /\ movers[mover] # NoJob
  /\ movers' = [movers EXCEPT ![mover] = NoJob]
  /\ UNCHANGED <<seq, next, names, rows, known, files, blocks, removals, intents, gateways, view, freeing, reader>>

(***************************************************************************)
(* A read is of the commit at which it was opened, whatever comes later.   *)
(***************************************************************************)
HoldRead(object) ==
  /\ Spend("reads")
  /\ reader = NoRead
  /\ names[object] # {}
  /\ reader' = [NoRead EXCEPT !.phase = "held", !.at = seq, !.want = names[object]]
  /\ intents' = [intents EXCEPT ![Reader] = seq]
  /\ UNCHANGED <<seq, next, names, rows, known, files, blocks, removals, gateways, view, freeing, movers>>

Resolve(chunk) ==
  /\ reader.phase = "held"
  /\ chunk \in reader.want
  /\ reader' = IF IsKnown(chunk)
       THEN [reader EXCEPT !.phase = "placed", !.chunk = chunk, !.inc = rows[chunk].inc]
       ELSE [reader EXCEPT !.phase = "lost"]
  /\ UNCHANGED <<seq, next, names, rows, known, files, blocks, removals, intents, gateways, view, freeing, movers, left>>

(* "Not here" resolves again; damage is an answer, and is remembered. *)
ReadCopy ==
  LET regions == RegionsAt(reader.inc, reader.chunk)
      isWhole == \E region \in regions : region.state = "ok"
      want == reader.want \ {reader.chunk}
      ends == regions # {} /\ (~isWhole \/ want = {})
  IN
  /\ reader.phase = "placed"
  /\ reader' = IF regions = {} THEN [reader EXCEPT !.phase = "held", !.inc = 0, !.chunk = "none"]
       ELSE IF ends THEN NoRead
       ELSE [reader EXCEPT !.phase = "held", !.inc = 0, !.chunk = "none", !.want = want]
  /\ intents' = IF ends THEN [intents EXCEPT ![Reader] = 0] ELSE intents
  /\ known' = IF regions # {} /\ ~isWhole /\ IsNamed(reader.inc, reader.chunk) THEN known \cup {reader.chunk} ELSE known
  /\ UNCHANGED <<seq, next, names, rows, files, blocks, removals, gateways, view, freeing, movers, left>>

(***************************************************************************)
(* Damage.                                                                 *)
(***************************************************************************)
Rot == \E file \in files : \E region \in file.regions :
  /\ Spend("rots")
  /\ region.state = "ok"
  /\ files' = (files \ {file}) \cup {[file EXCEPT !.regions = (@ \ {region}) \cup {[region EXCEPT !.state = "rot"]}]}
  /\ UNCHANGED <<seq, next, names, rows, known, blocks, removals, intents, gateways, view, freeing, movers, reader>>

Scrub(chunk) ==
  /\ IsKnown(chunk)
  /\ chunk \notin known
  /\ ~IsWhole(chunk)
  /\ known' = known \cup {chunk}
  /\ UNCHANGED <<seq, next, names, rows, files, blocks, removals, intents, gateways, view, freeing, movers, reader, left>>

Next ==
  \/ \E gateway \in Gateways :
       \/ OpenIntent(gateway)
       \/ CloseIntent(gateway)
       \/ ExpireIntent(gateway)
       \/ See(gateway)
       \/ \E object \in Objects, want \in SUBSET Chunks \ {{}} : LookUp(gateway, object, want)
       \/ \E chunk \in Chunks : ToJournal(gateway, chunk)
       \/ ToBlock(gateway)
       \/ \E chunk \in Chunks : Arrive(gateway, chunk)
       \/ Commit(gateway)
       \/ Refuse(gateway)
       \/ CrashGateway(gateway)
  \/ \E object \in Objects : DropObject(object)
  \/ \E chunk \in Chunks : ChooseFree(chunk)
  \/ FreeChunk
  \/ DropBlock
  \/ RemoveUnnamed
  \/ RemoveFile
  \/ ReleaseJournal
  \/ \E mover \in Movers :
       \/ Seal(mover)
       \/ Compact(mover)
       \/ WriteBlock(mover, "ok")
       \/ WriteBlock(mover, "lost")
       \/ VerifyBlock(mover)
       \/ BlockSealed(mover)
       \/ ExpireMover(mover)
       \/ RefuseMover(mover)
       \/ CrashMover(mover)
  \/ \E object \in Objects : HoldRead(object)
  \/ \E chunk \in Chunks : Resolve(chunk)
  \/ ReadCopy
  \/ Rot
  \/ \E chunk \in Chunks : Scrub(chunk)

(* Whoever tidies goes on tidying; clients may stop anywhere, then the log ends their intents. *)
Fairness ==
  /\ \A gateway \in Gateways : WF_vars(ExpireIntent(gateway))
  /\ WF_vars(\E chunk \in Chunks : ChooseFree(chunk))
  /\ WF_vars(FreeChunk)
  /\ WF_vars(DropBlock)
  /\ WF_vars(RemoveUnnamed)
  /\ WF_vars(RemoveFile)
  /\ WF_vars(ReleaseJournal)
  /\ \A mover \in Movers :
       /\ WF_vars(Seal(mover))
       /\ WF_vars(Compact(mover))
       /\ WF_vars(WriteBlock(mover, "ok"))
       /\ WF_vars(VerifyBlock(mover))
       /\ WF_vars(BlockSealed(mover))
       /\ WF_vars(RefuseMover(mover))
       /\ WF_vars(movers[mover] = NoJob /\ ExpireMover(mover))
  /\ WF_vars(\E chunk \in Chunks : Resolve(chunk))
  /\ WF_vars(ReadCopy)

Spec == Init /\ [][Next]_vars

FairSpec == Spec /\ Fairness

(***************************************************************************)
(* What must hold.                                                         *)
(***************************************************************************)
TypeOK ==
  /\ seq \in Nat /\ next \in Nat
  /\ \A object \in Objects : names[object] \subseteq Chunks
  /\ \A chunk \in Chunks : rows[chunk].inc < next /\ rows[chunk].form < next /\ rows[chunk].at <= seq
  /\ known \subseteq Chunks
  /\ \A file \in files : file.inc < next
  /\ \A one, other \in files : one # other => one.inc # other.inc /\ (one.kind = "block" /\ other.kind = "block" => one.name # other.name)
  /\ \A who \in Who : intents[who] <= seq
  /\ Cardinality(freeing) <= 1

(* P5: what an upload counts on, by a hit or by its own arrival, is there for as long as its intent is open. *)
HitsHold ==
  \A gateway \in Gateways :
    (~IsIdle(gateway) /\ HasIntent(gateway)) =>
      \A chunk \in gateways[gateway].want \ gateways[gateway].fresh : ~IsSent(gateway, chunk) => IsKnown(chunk)

(* What an upload wrote and is about to name is there for as long. *)
OwnFilesStay ==
  \A gateway \in Gateways :
    HasIntent(gateway) => \A chunk \in Chunks : IsSent(gateway, chunk) => RegionsAt(gateways[gateway].sent[chunk], chunk) # {}

(* P5, P8: a chunk is condemned iff nothing names it. *)
CondemnedIsUnnamed == \A chunk \in Chunks : IsKnown(chunk) => (rows[chunk].at = 0 <=> References(chunk) # {})

(* P1: what an acknowledged write names is known. *)
NamedIsKnown == \A object \in Objects : \A chunk \in names[object] : IsKnown(chunk)

(* P1, P5: a copy that a row names is on the disk: nothing was removed, released or dropped under it. *)
CopyIsThere == \A chunk \in Chunks : IsKnown(chunk) => RegionsAt(rows[chunk].inc, chunk) # {}

(* P3: it has the bytes that the row says; where they have rotted since, they were right once. *)
CopyIsRight ==
  \A chunk \in Chunks : IsKnown(chunk) =>
    \A region \in RegionsAt(rows[chunk].inc, chunk) : region.form = rows[chunk].form /\ region.state \in {"ok", "rot"}

(* P5: no removal names an incarnation that a row names. *)
RemovedIsDead == \A removal \in removals : \A chunk \in Chunks : ~IsNamed(removal.inc, chunk)

(* P2, P5: a read finds whatever it was opened for. *)
ReadFinds == reader.phase # "lost"

(* P4: new bytes of a chunk known to be damaged take the damaged copy's place before anything counts on them. *)
NewBytesHeal ==
  \A gateway \in Gateways :
    (IsReady(gateway) /\ HasIntent(gateway)) => \A bad \in gateways[gateway].heal : ~IsNamed(bad.inc, bad.chunk)

(* P5, P8: what nothing names is freed in the end. *)
GarbageGoes == \A chunk \in Chunks : (IsKnown(chunk) /\ References(chunk) = {}) ~> (~IsKnown(chunk) \/ References(chunk) # {})

(* And its bytes go, in journal, blocks that hold nothing, and blocks that hold little. *)
HasWaste(inc) == \E file \in FilesOf(inc) : DeadIn(file) # {}

(* P8: a read ends. *)
ReadEnds == reader.phase = "held" ~> reader.phase = "none"
=============================================================================
