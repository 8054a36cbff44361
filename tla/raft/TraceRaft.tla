------------------------------ MODULE TraceRaft ------------------------------
(***************************************************************************)
(* Accepts what replicas did, or does not: every step of a trace           *)
(* (spec/RaftTrace.ts) must be the action of Raft.tla that has its name,   *)
(* with what it says, writes and answers, and leave its replica as it      *)
(* says. Nothing is left to be tried but what a crash left of the writes   *)
(* under way. Many traces are judged in one run: the module Traces, made   *)
(* by tla/Clusters.ts, has them; one that is accepted is printed by its    *)
(* number.                                                                 *)
(***************************************************************************)
EXTENDS Raft, TLC, Traces

TReplicas == {"a", "b", "c", "d", "e"}
TFirst == {"a", "b", "c"}
TBegin == [r \in TReplicas |-> [term |-> 0, vote |-> "", terms |-> <<>>]]
TTargets == {NoConf}
Many == 1000000
TBudget == [crash |-> Many, damage |-> Many, empty |-> 0, change |-> Many, compact |-> Many, fetch |-> Many, read |-> Many, transfer |-> Many, propose |-> Many, down |-> Many]
\* What a leader could say is judged where it says it; whatever was said is remembered.
TSaidByLeader(r, s) == {}
TOver(kind, x, ms, ds) == FALSE
\* Time is known to no trace: who hears a leader is not, but that a leader hears itself.
TLoyal(s) == s.role = "Leader"
TWaits(r, x) == x.term = mem[r].term

VARIABLES
  which, line,   \* the trace that is judged, and its next step
  begun,         \* who has begun
  said,          \* all that was said
  tickets,       \* of each: the newest of its life
  denied         \* of each: who refused it, since it asked last

aux == <<begun, said, tickets>>
Trace == Traces[which]
E == Trace[line]
R == E.at
Range(f) == {f[k] : k \in DOMAIN f}

TraceInit == Init /\ which \in 1..Len(Traces) /\ line = 1 /\ begun = {} /\ said = {} /\ tickets = [r \in Replicas |-> 0] /\ denied = [r \in Replicas |-> {}]

After ==
  LET s == mem'[R]
      l == s.log
      others == IF s.role = "Leader" THEN Members(Conf(l)) \ {R} ELSE {}
      a == E.after
  IN
  /\ a.role = s.role /\ a.term = s.term /\ a.vote = s.vote /\ a.leader = s.leader /\ a.commit = s.commit /\ a.handed = s.handed
  /\ a.first = l.i /\ a.last = Last(l) /\ a.gap = (IF FirstGap(l) = Never THEN 0 ELSE FirstGap(l)) /\ a.pending = Len(pend'[R])
  /\ a.round = s.round /\ a.reads = Cardinality(s.reads) /\ a.fetching = s.fetching.i /\ a.proving = <<s.proving.i, Len(s.proving.e)>>
  /\ Len(a.match) = Cardinality(others) /\ Range(a.match) = {<<q, s.match[q]>> : q \in others}
  /\ Len(a.rounds) = Cardinality(others) /\ Range(a.rounds) = {<<q, s.rounds[q]>> : q \in others}

\* What a step writes is what has changed since the write before it.
Writes ==
  LET gone == IF E.action = "Persisted" THEN 1 ELSE 0
      grew == Len(pend'[R]) - (Len(pend[R]) - gone)
      image == pend'[R][Len(pend'[R])].image
      before == IF Len(pend'[R]) > 1 THEN pend'[R][Len(pend'[R]) - 1].image ELSE disk'[R]
      w == E.written[1]
      l == image.log
      isHard == image.term # before.term \/ image.vote # before.vote
      changed == {i \in (l.i + 1)..Last(l) : ~Has(before.log, i) \/ Slot(before.log, i) # Slot(l, i)}
  IN
  /\ Len(E.written) = grew
  /\ grew = 1 =>
       /\ w.ticket = tickets[R] + 1
       /\ w.hard = (IF isHard THEN <<[term |-> image.term, vote |-> image.vote]>> ELSE <<>>)
       /\ \A x \in Range(w.entries) : x.i <= l.i \/ (Has(l, x.i) /\ Slot(l, x.i) = x.e)
       /\ changed \subseteq {x.i : x \in Range(w.entries)}
       /\ w.place = (IF l.i # before.log.i \/ l.t # before.log.t THEN <<Place(l.i, l.t, l.c)>> ELSE <<>>)
  /\ tickets' = [tickets EXCEPT ![R] = @ + grew]

Answers ==
  /\ Range(E.answered) \subseteq answered'
  /\ answered' \ answered \subseteq Range(E.answered)

\* Up to where whoever has a gap asks for it.
Wanted(l) == Min({i \in FirstGap(l)..Last(l) : Slot(l, i).ok \/ i = Last(l)})
MaySay(x) ==
  LET s == mem'[R]
      l == s.log
      least == IF mem[R].role = "Leader" THEN mem[R].round ELSE 0
      leads == (s.role = "Leader" \/ mem[R].role = "Leader") /\ x.from = R /\ x.term = s.term
      isRound(round) == least <= round /\ round <= Max2(mem[R].round, s.round)
  IN
  CASE x.m \in {"RequestVote", "Vote", "Appended", "Heard", "Refused", "StateFound"} -> x.from = R /\ x \in msgs'[x.m]
    [] x.m = "EntriesFound" -> \E y \in msgs'.EntriesFound : y = [x EXCEPT !.entries = y.entries] /\ Len(x.entries) <= Len(y.entries) /\ x.entries = SubSeq(y.entries, 1, Len(x.entries))
    [] x.m = "TimeoutNow" -> leads /\ x.to \in Voters(Conf(l)) /\ (s.role # "Leader" \/ s.match[x.to] = Last(l))
    [] x.m = "Append" ->
         LET end == x.prev + Len(x.entries) IN
         /\ leads /\ x.prev >= l.i /\ end <= Last(l) /\ TermAt(l, x.prev) = x.prevTerm
         /\ \A k \in DOMAIN x.entries : x.entries[k] = Slot(l, x.prev + k)
         /\ Min2(IF E.action = "Persisted" THEN mem[R].commit ELSE s.commit, end) <= x.commit /\ x.commit <= Min2(s.commit, end) /\ isRound(x.round)
    [] x.m = "Offer" -> leads /\ x.place = PlaceAt(l, l.i) /\ l.i > 0 /\ isRound(x.round)
    [] x.m = "EntriesWanted" -> x.from = R /\ x.term = s.term /\ FirstGap(l) # Never /\ x.low = FirstGap(l) /\ x.high = Wanted(l)
    [] x.m = "ReadAnswered" -> x.from = R /\ x.term = s.term /\ [read |-> x.read, index |-> x.index] \in Range(E.answered)
    [] OTHER -> FALSE

\* What changes no term waits for no disk: it was said long ago, and is not what a write lets out.
IsHeld(x) == E.action = "Persisted" /\ x.m \in {"RequestVote", "Vote"} => ~x.pre

Says == (\A k \in DOMAIN E.said : MaySay(E.said[k]) /\ IsHeld(E.said[k])) /\ said' = said \cup Range(E.said)

-----------------------------------------------------------------------------

RECURSIVE Fillers(_, _)
Fillers(s, n) == IF n <= 0 THEN s ELSE Fillers(AppendOwn(s, NoConf), n - 1)

\* An answer of a member says how far it is, that it heard a round, or that it is damaged: then entries may follow that show what it may forget.
Answered(x) ==
  LET s == mem[R]
      isMember == x.from \in Members(Conf(s.log)) \ {R}
      s1 == IF isMember THEN [s EXCEPT !.rounds[x.from] = Max2(@, E.round)] ELSE s
      counts == x.m = "Appended" /\ isMember /\ x.match <= Last(s.log) /\ x.match >= s.match[x.from]
      s2 == IF x.m = "Refused" /\ isMember THEN [s1 EXCEPT !.match[x.from] = Min2(@, x.hint)] ELSE IF counts THEN [s1 EXCEPT !.match[x.from] = x.match] ELSE s1
      s3 == IF counts THEN Counted(R, s2, TRUE, DurableIndex(s.log, pend[R])) ELSE s2
  IN
  /\ s.role = "Leader" /\ x.term = s.term /\ x.to = R
  /\ E.round = 0 \/ (E.round <= s.round /\ [m |-> "Heard", from |-> x.from, to |-> R, term |-> x.term, round |-> E.round] \in said)
  /\ Does(R, Fillers(s3, E.after.last - Last(s3.log)), {}, {}) /\ Same

Asked == asked' = (IF E.read \in DOMAIN asked THEN asked ELSE (E.read :> Len(chosen)) @@ asked)
Waiting(s) == IF s.role = "Leader" THEN [s EXCEPT !.reads = @ \cup {[read |-> E.read, round |-> 0, index |-> 0]}] ELSE s

\* What a step hears, somebody said.
WasHeard == E.heard \in said

Do(action) ==
  CASE action = "Beat"              -> Does(R, mem[R], {}, {}) /\ Same
    [] action = "StandOrAsk"        -> StandOrAsk(R)
    [] action = "VoteAsked"         -> WasHeard /\ E.heard.m = "RequestVote" /\ VoteAsked(R, E.heard)
    [] action = "Voted"             -> WasHeard /\ E.heard.m = "Vote" /\ Voted(R, E.heard)
    [] action = "Denied"            -> LET s == [mem[R] EXCEPT !.votes = @ \ {E.by}]
                                           isLost == ~Quorum(Conf(s.log), Replicas \ (denied[R] \cup {E.by}))
                                       IN /\ s.role \in {"PreCandidate", "Candidate"}
                                          /\ Does(R, IF isLost THEN Follow(s, s.term, Nobody) ELSE s, {}, {}) /\ Same
    [] action = "TimeoutNow"        -> WasHeard /\ E.heard.m = "TimeoutNow" /\ TimeoutNow(R, E.heard)
    [] action = "StepDown"          -> StepDown(R)
    [] action = "Raised"            -> E.term > mem[R].term /\ Does(R, Follow(mem[R], E.term, Nobody), {}, {}) /\ Same
    [] action = "Propose"           -> Propose(R)
    [] action = "ChangeMembership"  -> ChangeMembership(R, E.target)
    [] action \in {"AppendedBy", "RefusedBy", "HeardOf"} -> WasHeard /\ E.heard.m \in {"Appended", "Refused", "Heard"} /\ Answered(E.heard)
    [] action = "AppendAsked"       -> WasHeard /\ E.heard.m = "Append" /\ AppendAsked(R, E.heard)
    [] action = "Offered"           -> WasHeard /\ E.heard.m = "Offer" /\ Offered(R, E.heard)
    [] action \in {"Read", "ReadAsked"} -> Does(R, Waiting(mem[R]), {}, {}) /\ Asked /\ UNCHANGED <<saved, budget, disturbed>>
    [] action = "ReadAnswered"      -> WasHeard /\ E.heard.m = "ReadAnswered" /\ E.answered = <<[read |-> E.heard.read, index |-> E.heard.index]>>
                                       /\ E.heard.term >= mem[R].term /\ Does(R, Raised(mem[R], E.heard.term), {}, {}) /\ Same
    [] action = "Compact"           -> E.place = PlaceAt(mem[R].log, E.place.i) /\ Compact(R, E.place.i)
    [] action = "SnapshotInstalled" -> E.place = mem[R].fetching /\ SnapshotInstalled(R)
    [] action = "SnapshotFailed"    -> SnapshotFailed(R)
    [] action = "EntriesWanted"     -> WasHeard /\ E.heard.m = "EntriesWanted" /\ EntriesWanted(R, E.heard)
    [] action = "EntriesFound"      -> WasHeard /\ E.heard.m = "EntriesFound" /\ EntriesFound(R, E.heard)
    [] action = "StateFound"        -> WasHeard /\ E.heard.m = "StateFound" /\ StateFound(R, E.heard)
    [] action = "Persisted"         -> E.ticket = tickets[R] - Len(pend[R]) + 1 /\ Persisted(R)
    [] OTHER                        -> FALSE

Image(found) == [term |-> found.term, vote |-> found.vote, log |-> [i |-> found.place.i, t |-> found.place.t, c |-> found.place.c, slots |-> found.slots]]
\* An entry may have rotten meanwhile; it is a gap then, whose term is known or lost.
MayRot(was, now) == was = now \/ (now = Gap(Lost)) \/ (now = Gap(was.t))
TBegin1 ==
  /\ R \notin begun /\ begun' = begun \cup {R}
  /\ Image(E.found) = disk[R] /\ E.found.saved = saved[R]
  /\ UNCHANGED <<vars, said, tickets>>
TCrash ==
  /\ R \in begun /\ E.found.saved = saved[R]
  /\ \E d \in Left(R) :
       LET f == Image(E.found) IN
       /\ d.term = f.term /\ d.vote = f.vote /\ d.log.i = f.log.i /\ d.log.t = f.log.t /\ d.log.c = f.log.c /\ Len(d.log.slots) = Len(f.log.slots)
       /\ \A k \in DOMAIN d.log.slots : MayRot(d.log.slots[k], f.log.slots[k])
  /\ Restart(R, Image(E.found)) /\ budget' = budget
  /\ tickets' = [tickets EXCEPT ![R] = 0] /\ UNCHANGED <<begun, said>>
TSaved ==
  /\ R \in begun /\ E.place = PlaceAt(mem[R].log, E.place.i) /\ saved[R].i < E.place.i /\ E.place.i <= mem[R].handed
  /\ saved' = [saved EXCEPT ![R] = E.place]
  /\ UNCHANGED <<mem, disk, pend, msgs, budget, chosen, led, asked, answered, disturbed, aux>>

\* Whoever asks anew, or stands no longer, forgets who refused it.
Denies ==
  LET s == mem'[R]
      isAsked == E.action = "StandOrAsk" \/ s.role # mem[R].role \/ s.term # mem[R].term \/ s.role \notin {"PreCandidate", "Candidate"}
  IN denied' = [denied EXCEPT ![R] = IF isAsked THEN {} ELSE IF E.action = "Denied" THEN @ \cup {E.by} ELSE IF E.action = "Voted" THEN @ \ {E.heard.from} ELSE @]

Step ==
  /\ line < Len(Trace)
  /\ line' = line + 1 /\ UNCHANGED which
  /\ CASE E.action = "Begin" -> TBegin1 /\ After
       [] E.action = "Crash" -> TCrash /\ After
       [] E.action = "Saved" -> TSaved /\ After
       [] OTHER -> R \in begun /\ Do(E.action) /\ UNCHANGED begun /\ After /\ Writes /\ Answers /\ Says
  /\ Denies

Accepted ==
  /\ line = Len(Trace) /\ Len(Trace) > 1
  /\ E.action = "Finish" /\ E.at = "" /\ E.steps = line - 1
  /\ PrintT(<<"accepted", which>>)
  /\ line' = line + 1
  /\ UNCHANGED <<which, aux, denied, vars>>

TraceNext == Step \/ Accepted
TraceSpec == TraceInit /\ [][TraceNext]_<<vars, which, line, aux, denied>>
TraceView == <<which, line>>
=============================================================================
