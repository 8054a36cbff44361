------------------------------ MODULE MCHistory ------------------------------
(* Serves all MCHistory*.cfg: what a cfg cannot say. *)
EXTENDS History

JumpsBothWays == {-3, 0, 3}
JumpsAndDrift == {-4, -1, 0, 1, 4}
=============================================================================
