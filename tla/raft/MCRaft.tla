------------------------------- MODULE MCRaft -------------------------------
(* The bounded worlds of MCRaft*.cfg; README.md says what each is for. *)
EXTENDS Raft, TLC

CONSTANTS a, b, c

One == {a}
Two == {a, b}
Other == {b}
Others == {b, c}
Three == {a, b, c}
NoTargets == {}
Nobodies == {}
\* From three to one of them: the first leader, or another.
Singles == {ConfOf({a}, {c}), ConfOf({c}, {})}
Growth == {ConfOf({a, b}, {})}

OnDisk(term, vote, terms) == [term |-> term, vote |-> vote, terms |-> terms]
Fresh == [r \in Replicas |-> OnDisk(0, Nobody, <<>>)]
\* Figure 8 of the paper with three: each of two leaders has an entry that nobody else has.
Figure8 == [r \in Replicas |-> IF r = a THEN OnDisk(2, Nobody, <<1>>) ELSE OnDisk(2, b, IF r = b THEN <<2>> ELSE <<>>)]
\* A leader that had brought its entry to nobody is off.
Alone == [r \in Replicas |-> IF r = b THEN OnDisk(1, Nobody, <<>>) ELSE OnDisk(1, a, IF r = a THEN <<1>> ELSE <<>>)]
\* A leader that had brought its entries to nobody will find them damaged.
Long == [r \in Replicas |-> IF r = b THEN OnDisk(1, b, <<1, 1>>) ELSE OnDisk(1, IF r = c THEN b ELSE Nobody, <<>>)]
\* A leader with its entry everywhere, committed.
Led == [r \in Replicas |-> OnDisk(1, a, <<1>>)]
\* What c alone had was overwritten where it counts: one and two have the later one, which was committed.
Overwritten == [r \in Replicas |-> IF r = c THEN OnDisk(2, Nobody, <<1>>) ELSE OnDisk(2, a, <<2>>)]
\* Three entries of one term, committed by both that there are.
Between == [r \in Replicas |-> OnDisk(2, a, <<2, 2, 2>>)]
Symmetric == Permutations(Replicas)
SymmetricTwo == Permutations({a, b})

Quiet == [crash |-> 0, damage |-> 0, empty |-> 0, change |-> 0, compact |-> 0, fetch |-> 0, read |-> 0, transfer |-> 0, propose |-> 0, down |-> 0]
CrashBudget    == [Quiet EXCEPT !.crash = 1]
ChangeBudget   == [Quiet EXCEPT !.change = 2]
WriteBudget    == [Quiet EXCEPT !.crash = 1, !.propose = 1]
SnapshotBudget == [Quiet EXCEPT !.change = 1, !.compact = 1, !.crash = 1, !.fetch = 1]
DamageBudget   == [Quiet EXCEPT !.damage = 1]
GapsBudget     == [Quiet EXCEPT !.damage = 1, !.compact = 1]
EmptyBudget    == [Quiet EXCEPT !.empty = 1]
ReadBudget     == [Quiet EXCEPT !.read = 1, !.crash = 1]
AskBudget      == [Quiet EXCEPT !.transfer = 1, !.down = 1]
ReadsBudget    == [Quiet EXCEPT !.read = 1]
NightBudget        == [Quiet EXCEPT !.crash = 2, !.propose = 1, !.transfer = 1, !.down = 1, !.read = 2, !.empty = 1]
MembersNightBudget == [Quiet EXCEPT !.change = 2, !.compact = 2, !.fetch = 1, !.crash = 1, !.propose = 1]
DamageNightBudget  == [Quiet EXCEPT !.damage = 2, !.compact = 1, !.crash = 1, !.propose = 1]

-----------------------------------------------------------------------------
(* Worlds that begin where others come to, so that they need not come there. *)

Unsaid == saved = [r \in Replicas |-> FirstPlace] /\ pend = [r \in Replicas |-> <<>>] /\ msgs = [kind \in Kinds |-> {}] /\ budget = Budget
          /\ asked = <<>> /\ answered = {} /\ disturbed = FALSE
InitLed ==
  /\ Unsaid /\ disk = [r \in Replicas |-> DiskAt(r)]
  /\ chosen = <<Entry(1, NoConf)>> /\ led = {<<1, a>>}
  /\ mem = [r \in Replicas |-> LET s == Started(DiskAt(r), FirstPlace) IN
              IF r = a THEN [s EXCEPT !.role = "Leader", !.leader = a, !.commit = 1, !.handed = 1, !.match = [q \in Replicas |-> IF q = a THEN 0 ELSE 1]]
              ELSE [s EXCEPT !.leader = a]]
SpecLed == InitLed /\ [][Next]_vars
InitOverwritten ==
  /\ Unsaid /\ disk = [r \in Replicas |-> DiskAt(r)]
  /\ chosen = <<Entry(2, NoConf)>> /\ led = {<<1, c>>, <<2, a>>}
  /\ mem = [r \in Replicas |-> Started(DiskAt(r), FirstPlace)]
SpecOverwritten == InitOverwritten /\ [][Next]_vars
\* Damaged already: in the middle of one term, where terms differ, in both, or at the end.
InitBetween ==
  /\ Unsaid /\ chosen = [k \in 1..3 |-> Entry(2, NoConf)] /\ led = {<<2, a>>}
  /\ \E rotten \in {{1}, {2}, {1, 2}, {3}} :
       disk = [r \in Replicas |-> IF r # b THEN DiskAt(r)
                                 ELSE [DiskAt(b) EXCEPT !.log.slots = [k \in DOMAIN @ |-> IF k \in rotten THEN Gap(Lost) ELSE @[k]]]]
  /\ mem = [r \in Replicas |-> Started(disk[r], FirstPlace)]
SpecBetween == InitBetween /\ [][Next]_vars

-----------------------------------------------------------------------------
(* Liveness. Every step leads on (TypeEnds), so whoever goes on as long as it can comes to an end; and a world may end only where   *)
(* there is Progress: else TLC finds that nothing goes on (Deadlock). That is weak fairness of what a replica does by itself,       *)
(* without asking of every state which of these steps it allows. Crashes are no such steps: they may stop at any time.              *)
(* Elections come to an end by chance: here the last term is one in which the chance has come. Whoever stands then can be elected,   *)
(* and stands alone, and what was said in earlier terms has come, or is lost. Nothing else is cut off.                              *)

Chance(r) ==
  mem[r].term + 1 < TermMax \/
    /\ \A q \in Replicas : mem[q].term < TermMax
    /\ Quorum(Conf(mem[r].log), {q \in Replicas : IsNewEnough(mem[q], RequestVote(r, mem[r], TermMax, FALSE, FALSE))})
LiveStand == \E r \in Replicas : Chance(r) /\ StandOrAsk(r)
InTime(x) == x.term = TermMax \/ \A q \in Replicas : mem[q].term < TermMax
Good ==
  \/ LiveStand \/ PersistedNext
  \/ \E r \in Replicas :
       \/ \E x \in msgs.RequestVote : InTime(x) /\ VoteAsked(r, x)
       \/ \E x \in msgs.Vote : InTime(x) /\ Voted(r, x)
       \/ \E x \in msgs.Append : InTime(x) /\ AppendAsked(r, x)
       \/ \E x \in msgs.Appended : InTime(x) /\ AppendedBy(r, x)
LiveCrash == (\A r \in Replicas : mem[r].term < TermMax) /\ CrashNext
FaultsStop == budget.crash > 0 /\ budget' = [budget EXCEPT !.crash = 0] /\ UNCHANGED <<mem, disk, saved, pend, msgs, chosen, led, asked, answered, disturbed>>
\* Somebody leads, and everyone knows that its entry is committed.
Progress ==
  \E r \in Replicas : mem[r].role = "Leader" /\ \A q \in Replicas :
    mem[q].term = mem[r].term /\ mem[q].commit = mem[r].commit /\ TermAt(mem[q].log, mem[q].commit) = mem[r].term
Rests == Progress /\ UNCHANGED vars
SpecLive == Init /\ [][((Good \/ LiveCrash \/ FaultsStop) /\ vars' # vars) \/ Rests]_vars
TypeEnds == <>[][FALSE]_vars

-----------------------------------------------------------------------------
(* TLC's count of actions does not come to its end here: each says once that it is taken. *)

ASSUME \A number \in 1..25 : TLCSet(number, 0)
Witnessed(number, name) == IF TLCGet(number) = 0 THEN TLCSet(number, 1) /\ PrintT(<<"taken", name>>) ELSE TRUE
=============================================================================
