------------------------------- MODULE MCRaft -------------------------------
(* The bounded worlds of MCRaft*.cfg; README.md says what each is for. *)
EXTENDS Raft, TLC

CONSTANTS a, b, c

One == {a}
Two == {a, b}
Other == {b}
Three == {a, b, c}
NoTargets == {}
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
NightBudget        == [Quiet EXCEPT !.crash = 2, !.propose = 1, !.transfer = 1, !.down = 1, !.read = 2, !.empty = 1]
MembersNightBudget == [Quiet EXCEPT !.change = 2, !.compact = 2, !.fetch = 1, !.crash = 1, !.propose = 1]
DamageNightBudget  == [Quiet EXCEPT !.damage = 2, !.compact = 1, !.crash = 1, !.propose = 1]
=============================================================================
