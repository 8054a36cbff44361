------------------------------ MODULE MCChunk ------------------------------
EXTENDS Chunk, TLC

CONSTANTS IncMax

Alike == Permutations(Chunks) \cup Permutations(Objects) \cup Permutations(Gateways) \cup Permutations(Movers)

(* More incarnations than the bounds let come: then the property speaks of all. *)
TypeIncarnations == next <= IncMax

WasteGoes == \A inc \in 1..IncMax : HasWaste(inc) ~> ~HasWaste(inc)
=============================================================================
