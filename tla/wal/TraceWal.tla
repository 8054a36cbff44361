------------------------------ MODULE TraceWal ------------------------------
(***************************************************************************)
(* Accepts what the code did, or does not: every step of a trace           *)
(* (spec/WalTrace.ts) must be the action of Wal.tla that has its name,     *)
(* with the values that it says; what the disk kept of what was not        *)
(* synced, no trace says: TLC tries all of it. Many traces are judged in   *)
(* one run: the module Traces, made by tla/trace.ts, has them; a trace     *)
(* that is accepted is printed by its number.                              *)
(***************************************************************************)
EXTENDS Wal, TLC, Traces

TraceBudget == [crash |-> 1000000, kill |-> 1000000, fail |-> 1000000, rot |-> 0, restore |-> 0, stop |-> 0, any |-> 1000000]
TraceKindOf(id) == "commit"
\* Which records stand or fall together, a trace says where they are appended: TWrite.
TraceJoined(id) == FALSE

VARIABLES
  which, line,       \* the trace that is judged, and its next step
  extents,      \* <<segment, slot>> -> [offset, length, hash]: bytes and hashes, which Wal.tla knows nothing of
  runIds,        \* restart runIds, by the number of their run
  waiting,    \* <<ticket, its last record, whether it is whole>>, not settled
  tickets,    \* tickets given in this life
  kept,       \* segments whose files may be there, as the machine counts them
  steps, lives

aux == <<extents, runIds, waiting, tickets, kept, steps, lives>>
Trace == Traces[which]
E == Trace[line]

Offset(p) == \* bytes of a place between batches
  IF p.seg = 0 THEN 0 ELSE IF p.slot <= 1 THEN 4096 ELSE extents[p.seg, p.slot - 1].offset + extents[p.seg, p.slot - 1].length
NoHash == "0000000000000000000000000000000000000000000000000000000000000000"
HashOf(link) == IF link.n = 0 THEN NoHash ELSE extents[link.seg, link.slot].hash
Known(s, k) == <<s, k>> \in DOMAIN extents
SetPlace(s, k, x) == extents' = [y \in DOMAIN extents \cup {<<s, k>>} |-> IF y = <<s, k>> THEN x ELSE extents[y]]
RunName == IF run = 0 THEN "" ELSE runIds[run]

TraceInit == Init /\ which \in 1..Len(Traces) /\ line = 1 /\ extents = <<>> /\ runIds = <<>> /\ waiting = <<>> /\ tickets = 0 /\ kept = {} /\ steps = 0 /\ lives = 0

\* What the machine holds once the step is done.
After ==
  /\ E.after.phase = IF phase' \in {"Recovered", "Replaying"} THEN "Running" ELSE phase'
  /\ E.after.opening = opening' /\ E.after.closing = closingDue' /\ E.after.kept = Cardinality(kept')
  /\ E.after.epoch = epoch'
  /\ E.after.batch = last'.n
  /\ E.after.hash = IF last'.n = 0 THEN NoHash ELSE extents'[last'.seg, last'.slot].hash
  /\ E.after.durable.segment = durable'.seg
  /\ E.after.durable.offset = IF durable'.seg = 0 THEN 0 ELSE IF durable'.slot <= 1 THEN 4096
       ELSE extents'[durable'.seg, durable'.slot - 1].offset + extents'[durable'.seg, durable'.slot - 1].length
  /\ E.after.queued = Len(queue')
  /\ E.after.flight = IF flight' = NoBatch \/ ~written' THEN "" ELSE extents'[flight'.seg, flight'.slot].hash
  /\ E.after.state = [segment |-> marks'.state.seg, offset |-> marks'.state.slot]
  /\ E.after.ingest = [segment |-> marks'.ingest.seg, offset |-> marks'.ingest.slot]

\* Tickets whose last record is among runIds; all that wait.
TicketsIn(S) == SelectSeq(waiting, LAMBDA w : w[2] \in S)
Numbers(ws) == [k \in DOMAIN ws |-> ws[k][1]]

SameLog ==
  /\ Len(log') = Len(E.log)
  /\ \A k \in DOMAIN log' :
       LET h == HeaderOf(log'[k]) IN
       E.log[k] = [segment |-> log'[k], epoch |-> h.epoch, run |-> runIds[h.run], batch |-> h.prev.n]

TSurvey ==
  /\ Survey /\ phase' # "Damaged"
  /\ E.run \notin Range(runIds)
  /\ runIds' = Append(runIds, E.run)
  /\ SameLog /\ E.epoch = epoch'
  /\ Range(E.segments) = Visible /\ Len(E.segments) = Cardinality(Visible)
  /\ UNCHANGED <<extents, waiting, tickets>>

TAccept ==
  /\ Accept
  /\ E.segment = scan.seg /\ Known(scan.seg, scan.slot)
  /\ LET x == extents[scan.seg, scan.slot] IN
     /\ E.offset = x.offset /\ E.length = x.length /\ E.batch = scan'.link.n
     /\ x.hash \in {"", E.hash}
     /\ SetPlace(scan.seg, scan.slot, [x EXCEPT !.hash = E.hash])
  /\ UNCHANGED <<runIds, waiting, tickets>>

TScanned ==
  /\ E.segment = scan.seg /\ E.offset = Offset(durable')
  /\ E.batch = scan.link.n /\ E.hash = HashOf(scan.link)
  /\ UNCHANGED <<extents, runIds, waiting, tickets>>

TWrite ==
  /\ E.segment = flight'.seg /\ E.batch = flight'.n /\ E.previous = HashOf(last)
  /\ E.offset = Offset([seg |-> flight'.seg, slot |-> flight'.slot])
  /\ E.length > 0 /\ E.end = E.offset + E.length /\ E.count = Len(flight'.records)
  \* Of a whole ticket either all that is left is taken, or nothing: what is left of it is all, or it would have been cut before.
  /\ \A k \in DOMAIN waiting : waiting[k][3] /\ waiting[k][2] \notin Range(flight'.records) =>
       Range(flight'.records) \cap ((IF k = 1 THEN 1 ELSE waiting[k - 1][2] + 1)..waiting[k][2]) = {}
  /\ SetPlace(flight'.seg, flight'.slot, [offset |-> E.offset, length |-> E.length, hash |-> ""])
  /\ UNCHANGED <<runIds, waiting, tickets>>

TSynced ==
  /\ Synced
  /\ E.batch = last'.n
  /\ LET done == TicketsIn(Range(flight.records)) IN
     /\ E.acknowledged = Numbers(done)
     /\ waiting' = SubSeq(waiting, Len(done) + 1, Len(waiting))
  /\ UNCHANGED <<extents, runIds, tickets>>

TAbandoned == E.rejected = Numbers(waiting) /\ waiting' = <<>> /\ UNCHANGED <<extents, runIds, tickets>>

TAppend ==
  /\ E.count > 0 /\ E.ticket = tickets + 1
  /\ AppendRecords([k \in 1..E.count |-> next + k - 1])
  /\ tickets' = tickets + 1
  /\ waiting' = Append(waiting, <<E.ticket, next + E.count - 1, E.whole>>)
  /\ UNCHANGED <<extents, runIds>>

TRefuse == phase # "Running" /\ E.ticket = tickets + 1 /\ tickets' = tickets + 1 /\ UNCHANGED <<vars, extents, runIds, waiting>>

\* A segment whose creation failed may have left no file: its removal removes nothing, and syncs the folder.
TRemoved ==
  /\ IF E.segment \in DOMAIN files THEN Removed(E.segment)
     ELSE /\ phase \in {"Running", "Stopping", "Stopped", "Full", "Failed"}
          /\ E.segment < Limit(marks) /\ E.segment <= top /\ \A s \in Visible : E.segment < s
          /\ files' = SyncNames(files)
          /\ UNCHANGED <<old, budget, machine, store, ghost>>
  /\ UNCHANGED <<extents, runIds, waiting, tickets>>

TDied == E.steps = steps /\ waiting' = <<>> /\ tickets' = 0 /\ UNCHANGED <<extents, runIds>>

Same == UNCHANGED <<extents, runIds, waiting, tickets>>

Do(action) ==
  CASE action = "Survey"        -> TSurvey
    [] action = "Accept"        -> TAccept
    [] action = "End"           -> End /\ TScanned
    [] action = "TornTail"      -> TornTail /\ TScanned
    [] action = "Rewrite"       -> Rewrite /\ E.segment = scan.seg /\ Same
    [] action = "Resynced"      -> Resynced /\ E.segment = scan.seg /\ Same
    [] action = "OpenSegment"   -> OpenSegment(E.segment) /\ E.epoch = epoch /\ E.batch = last.n /\ Same /\ After
    [] action = "SegmentOpened" -> SegmentOpened /\ E.segment = current' /\ Same /\ After
    [] action = "OpenFailed"    -> OpenFailed /\ E.segment = opening /\ TAbandoned /\ After
    [] action = "Replay"        -> ReplayFrom(LogBegin) /\ phase' = "Running" /\ Same /\ After
    [] action = "Append"        -> TAppend /\ After
    [] action = "Refuse"        -> TRefuse /\ After
    [] action = "WriteBatch"    -> E.count > 0 /\ WriteBatch(E.count) /\ TWrite /\ After
    [] action = "WriteClosing"  -> WriteClosing /\ TWrite /\ After
    [] action = "Written"       -> Written /\ E.hash # "" /\ SetPlace(flight.seg, flight.slot, [extents[flight.seg, flight.slot] EXCEPT !.hash = E.hash])
                                   /\ UNCHANGED <<runIds, waiting, tickets>> /\ After
    [] action = "Synced"        -> TSynced /\ After
    [] action = "SyncFailed"    -> SyncFailed /\ TAbandoned /\ After
    [] action = "Retry"         -> Retry /\ Same /\ After
    [] action = "Idle"          -> Idle /\ Same /\ After
    [] action = "Stop"          -> Stop /\ Same /\ After
    [] action = "Stopped"       -> Stopped /\ Same /\ After
    [] action = "Release"       -> Release(E.consumer, [seg |-> E.keepFrom.segment, slot |-> E.keepFrom.offset]) /\ Same /\ After
    [] action = "Removed"       -> TRemoved /\ After
    [] action = "Crash"         -> PowerCut /\ TDied /\ budget' = budget
    [] action = "Kill"          -> EndOfProcess /\ TDied /\ budget' = budget
    [] OTHER                    -> FALSE

Dies(action) == action \in {"Crash", "Kill"}

Step ==
  /\ line < Len(Trace)
  /\ E.run = IF E.action = "Survey" THEN E.run ELSE RunName
  /\ line' = line + 1
  /\ steps' = IF Dies(E.action) THEN 0 ELSE steps + 1
  /\ lives' = IF Dies(E.action) THEN lives + 1 ELSE lives
  /\ kept' = CASE E.action = "Survey" -> Visible
               [] E.action = "OpenSegment" -> kept \cup {E.segment}
               [] E.action = "Removed" -> kept \ {E.segment}
               [] OTHER -> kept
  /\ Do(E.action)
  /\ UNCHANGED which

\* The file goes somewhere between the mark's move and the end of its removal, or of the life.
Going ==
  /\ line < Len(Trace)
  /\ Dies(E.action) \/ E.action = "Removed"
  /\ \E s \in Visible : (IF Dies(E.action) THEN TRUE ELSE s = E.segment) /\ RemoveSegment(s)
  /\ UNCHANGED <<which, line, aux>>

Accepted ==
  /\ line = Len(Trace) /\ Len(Trace) > 1
  /\ E.action = "Finish" /\ E.run = RunName
  /\ phase = "Down" /\ steps = 0 /\ E.lives = lives /\ E.steps = line - 1
  /\ PrintT(<<"accepted", which>>)
  /\ line' = line + 1
  /\ UNCHANGED <<which, aux, vars>>

-----------------------------------------------------------------------------
(* What a failed sync left matters no more once a later header is durable: it names where the log goes on from, and nothing  *)
(* behind that place is read again. States that differ only there are one, or every failure would multiply all that follows. *)

\* Its header and name are on the disk and stay: rot is no step of a trace.
Stays(s) == files[s].name = "durable" /\ files[s].hdr.d.t = "header" /\ ~files[s].hdr.dirty
RECURSIVE EndsBefore(_, _)
EndsBefore(link, ends) ==
  IF link.seg = 0 \/ link.seg \notin DOMAIN files THEN ends
  ELSE EndsBefore(IF files[link.seg].hdr.d.t = "header" THEN files[link.seg].hdr.d.prev ELSE NoLink, (link.seg :> link.slot) @@ ends)
Seen ==
  LET staying == {s \in DOMAIN files : Stays(s)} IN
  IF staying = {} THEN files
  ELSE LET newest == Max(staying)
           ends == EndsBefore(files[newest].hdr.d.prev, <<>>)
       IN [s \in DOMAIN files |->
            IF s >= newest THEN files[s]
            ELSE LET end == IF s \in DOMAIN ends THEN ends[s] ELSE 0
                 IN [files[s] EXCEPT !.slots = [k \in {k \in DOMAIN @ : k <= end} |-> @[k]]]]
TraceView == <<which, line, aux, Seen, old, machine, store, ghost>>

TraceNext == Step \/ Going \/ Accepted
TraceSpec == TraceInit /\ [][TraceNext]_<<vars, which, line, aux>>
=============================================================================
