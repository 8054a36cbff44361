------------------------------- MODULE Alarm -------------------------------
(* The runner's own model: small, and with one of everything that the      *)
(* runner must see: an action that is never taken, an invariant and a      *)
(* property that its variants break. README.md of tla/ tells of it.        *)
EXTENDS Naturals

CONSTANT Max

VARIABLE count

Init == count = 0

Add == count < Max /\ count' = count + 1

Never == count > Max /\ count' = 0

Next == Add \/ Never

Spec == Init /\ [][Next]_count /\ WF_count(Next)

Bounded == count <= Max

Exact == count <= Max

Ends == <>(count = Max)
=============================================================================
