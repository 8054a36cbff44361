-------------------------------- MODULE Raft --------------------------------
(***************************************************************************)
(* One log of many replicas: src/raft, action by action (README.md has the *)
(* table). What a replica knows (mem) runs ahead of what is on its disk by *)
(* the Persists under way (pend); what promises something is held until    *)
(* they are written, and a crash keeps a prefix of them.                   *)
(*                                                                         *)
(* Messages are a set from which nothing is taken: whatever was said may   *)
(* come late, twice, in any order, or never. A leader's messages are said  *)
(* as soon as they could be, for the same reason; `Over` forgets those     *)
(* that can do nothing any more. An entry is its place and term, and the   *)
(* configuration that it may be: which command it carries follows from     *)
(* these, as there is one leader a term that never changes its log.        *)
(*                                                                         *)
(* A replica that is off is one that takes no step; Crash is both ends of  *)
(* that. Time is no number: whoever waits may have waited long enough.     *)
(***************************************************************************)
EXTENDS Integers, Sequences, FiniteSets

CONSTANTS
  Replicas,    \* incarnations of disks; those outside First are new and empty
  First,       \* the voters at the beginning
  Standing,    \* who may lose patience
  Again,       \* a candidate may lose it too
  Fragile,     \* whose disks may be damaged
  Nobody,
  Begin,       \* what is on each disk: [term, vote, terms], terms: of its entries
  TermMax, LogMax,
  PendingMax,  \* Persists under way; 0: writing is one with deciding
  AppendMax,   \* entries of one message
  PreVote,     \* whoever is to stand asks first, and who hears a leader does not listen
  Targets,     \* configurations that may be asked for: [voters, learners]
  Budget       \* of what clients, operators and faults do

VARIABLES
  mem,         \* what a replica knows
  disk,        \* term, vote and log on its disk
  saved,       \* where the state on its disk stands, as [i, t, c]
  pend,        \* Persists under way: [image, from, held]
  msgs,        \* of each kind: what was said, and may still matter
  budget,
  \* what the world knows: ghosts
  chosen,      \* all that was ever known to be committed anywhere
  led,         \* <<term, replica>> of every leader
  asked,       \* of every read: how much was chosen when it was asked
  answered,    \* [read, index]
  disturbed    \* a term was begun although too many heard a leader

vars == <<mem, disk, saved, pend, msgs, budget, chosen, led, asked, answered, disturbed>>

Max(S) == CHOOSE x \in S : \A y \in S : y <= x
Min(S) == CHOOSE x \in S : \A y \in S : x <= y
Max2(x, y) == IF x >= y THEN x ELSE y
Min2(x, y) == IF x <= y THEN x ELSE y

-----------------------------------------------------------------------------
(* Configurations: Configuration.ts *)

NoConf == [voters |-> {}, outgoing |-> {}, learners |-> {}]
ConfOf(voters, learners) == [voters |-> voters, outgoing |-> {}, learners |-> learners \ voters]
Joint(c) == c.outgoing # {}
Voters(c) == c.voters \cup c.outgoing
Members(c) == Voters(c) \cup c.learners
Majority(ids, has) == 2 * Cardinality(ids \cap has) > Cardinality(ids)
Quorum(c, has) == Majority(c.voters, has) /\ (~Joint(c) \/ Majority(c.outgoing, has))
\* The highest value that a quorum has reached; f: of each replica.
ReachedBy(c, f) == Max({0} \cup {f[q] : q \in {q \in Voters(c) : Quorum(c, {p \in Replicas : f[p] >= f[q]})}})
Towards(now, target) == IF now.voters = target.voters THEN target ELSE [target EXCEPT !.outgoing = now.voters]
Settled(c) == [c EXCEPT !.outgoing = {}]

-----------------------------------------------------------------------------
(* The log: RaftLog.ts. A gap is an entry that was there and cannot be read; its term may be lost with it. *)

Lost == -1
Absent == -2
Never == 99
Entry(t, c) == [t |-> t, c |-> c, ok |-> TRUE]
Gap(t) == [t |-> t, c |-> NoConf, ok |-> FALSE]
Place(i, t, c) == [i |-> i, t |-> t, c |-> c]
NoPlace == Place(0, 0, NoConf)

Last(l) == l.i + Len(l.slots)
Has(l, i) == l.i < i /\ i <= Last(l)
Slot(l, i) == l.slots[i - l.i]
TermAt(l, i) == IF i = l.i THEN l.t ELSE IF Has(l, i) THEN Slot(l, i).t ELSE Absent
LastTerm(l, atMost) == IF TermAt(l, Last(l)) = Lost THEN atMost ELSE TermAt(l, Last(l))
FirstGap(l) == IF Budget.damage = 0 THEN Never ELSE LET gaps == {k \in DOMAIN l.slots : ~l.slots[k].ok} IN IF gaps = {} THEN Never ELSE l.i + Min(gaps)
ConfIndexUpTo(l, i) == IF Targets = {} THEN l.i ELSE Max({l.i} \cup {l.i + k : k \in {k \in DOMAIN l.slots : l.i + k <= i /\ l.slots[k].c # NoConf}})
ConfUpTo(l, i) == LET at == ConfIndexUpTo(l, i) IN IF at = l.i THEN l.c ELSE Slot(l, at).c
ConfIndex(l) == ConfIndexUpTo(l, Last(l))
Conf(l) == ConfUpTo(l, Last(l))
Compacted(l, p) == [i |-> p.i, t |-> p.t, c |-> p.c, slots |-> SubSeq(l.slots, p.i - l.i + 1, Len(l.slots))]
Empty(p) == [i |-> p.i, t |-> p.t, c |-> p.c, slots |-> <<>>]
PlaceAt(l, i) == Place(i, TermAt(l, i), ConfUpTo(l, i))
\* The last place up to i whose term is known and at most t: where two logs may agree.
LastUpTo(l, i, t) == Max({l.i} \cup {j \in l.i..Min2(i, Last(l)) : TermAt(l, j) >= 0 /\ TermAt(l, j) <= t})
Behind(l, i) == SubSeq(l.slots, i - l.i + 1, Min2(Len(l.slots), i - l.i + AppendMax))
\* Whether what stands at a state's place may be what the state stands for, and what is behind it of the same history.
MayGoOn(l, p) ==
  LET later == {i \in (p.i + 1)..Last(l) : TermAt(l, i) >= 0}
  IN TermAt(l, p.i) \in {p.t, Lost} /\ (later = {} \/ TermAt(l, Min(later)) >= p.t)
\* Terms do not fall: one that is lost between two that are the same, the end of what a state stands for among them, is that one.
Concluded(l) ==
  IF FirstGap(l) = Never THEN l
  ELSE LET term(k) == IF k = 0 THEN l.t ELSE l.slots[k].t
           known == {k \in 0..Len(l.slots) : term(k) # Lost}
           before(k) == term(Max({j \in known : j < k}))
           behind(k) == {j \in known : j > k}
           isKnown(k) == k \in known \/ behind(k) = {} \/ term(Min(behind(k))) # before(k)
       IN [l EXCEPT !.slots = [k \in DOMAIN @ |-> IF isKnown(k) THEN @[k] ELSE Gap(before(k))]]
\* The first place at which they differ.
FirstDiff(a, b) ==
  LET low == Max2(a.i, b.i)
      differ == {i \in (low + 1)..Max2(Last(a), Last(b)) : ~Has(a, i) \/ ~Has(b, i) \/ Slot(a, i) # Slot(b, i)}
  IN IF differ = {} THEN Never ELSE Min(differ)

-----------------------------------------------------------------------------
(* A replica *)

Zeros == [q \in Replicas |-> 0]
Kinds == {"RequestVote", "Vote", "TimeoutNow", "Append", "Appended", "Refused", "Heard", "Offer", "EntriesWanted", "EntriesFound", "StateFound"}
NoProof == [i |-> 0, e |-> <<>>]

\* From its disk: RaftState.ts initialState. The state may be ahead of the log, which is then given up for it, or stand for gaps.
Started(d, p) ==
  LET l == Concluded(d.log)
      isOfLog == p.i < l.i \/ MayGoOn(l, p)
      log == IF ~isOfLog THEN Empty(p) ELSE IF FirstGap(l) <= p.i THEN Concluded(Compacted(l, p)) ELSE l
      handed == Max2(p.i, log.i)
  IN [role |-> "Follower", term |-> d.term, vote |-> d.vote, leader |-> Nobody, log |-> log, commit |-> handed, handed |-> handed,
      votes |-> {}, match |-> Zeros, proving |-> NoProof, fetching |-> NoPlace, round |-> 0, rounds |-> Zeros, reads |-> {}]

FirstPlace == Place(0, 0, ConfOf(First, {}))
FirstDisk == [term |-> 0, vote |-> Nobody, log |-> Empty(FirstPlace)]
DiskAt(r) ==
  [term |-> Begin[r].term, vote |-> Begin[r].vote,
   log |-> [Empty(FirstPlace) EXCEPT !.slots = [k \in DOMAIN Begin[r].terms |-> Entry(Begin[r].terms[k], NoConf)]]]

Init ==
  /\ disk = [r \in Replicas |-> DiskAt(r)]
  /\ saved = [r \in Replicas |-> FirstPlace]
  /\ mem = [r \in Replicas |-> Started(DiskAt(r), FirstPlace)]
  /\ pend = [r \in Replicas |-> <<>>]
  /\ msgs = [kind \in Kinds |-> {}] /\ budget = Budget
  /\ chosen = <<>> /\ led = {} /\ asked = <<>> /\ answered = {} /\ disturbed = FALSE

\* Election.ts follow
Follow(s, term, leader) ==
  [s EXCEPT !.role = "Follower", !.term = term, !.vote = IF term > s.term THEN Nobody ELSE @, !.leader = leader,
   !.proving = IF term > s.term THEN NoProof ELSE @, !.votes = {}, !.match = Zeros, !.round = 0, !.rounds = Zeros, !.reads = {}]
Raised(s, term) == IF term > s.term THEN Follow(s, term, Nobody) ELSE s

\* Leader.ts appendOwn. The bounded world ends where there is no room.
AppendOwn(s, c) ==
  IF Last(s.log) >= LogMax THEN s
  ELSE [s EXCEPT !.log.slots = Append(@, Entry(s.term, c)),
                 !.match = IF c = NoConf THEN @ ELSE [q \in Replicas |-> IF q \in Members(c) THEN @[q] ELSE 0],
                 !.rounds = IF c = NoConf THEN @ ELSE [q \in Replicas |-> IF q \in Members(c) THEN @[q] ELSE 0]]

Lead(r, s) ==
  AppendOwn([s EXCEPT !.role = "Leader", !.leader = r, !.votes = {}, !.match = Zeros, !.round = 0, !.rounds = Zeros], NoConf)

\* A joint configuration is left as soon as it is committed.
ConfigurationCommitted(s) ==
  IF ConfIndex(s.log) <= s.commit /\ Joint(Conf(s.log)) THEN AppendOwn(s, Settled(Conf(s.log))) ELSE s

AdvanceCommit(r, s, durable) ==
  LET reached == ReachedBy(Conf(s.log), [s.match EXCEPT ![r] = durable]) IN
  IF reached > s.commit /\ TermAt(s.log, reached) = s.term
  THEN ConfigurationCommitted([s EXCEPT !.commit = reached]) ELSE s

\* What follows once its own vote, or its own copy, counts with the others'.
Counted(r, s, voted, durable) ==
  IF s.role = "Candidate" /\ Quorum(Conf(s.log), s.votes \cup (IF voted THEN {r} ELSE {})) THEN Lead(r, s)
  ELSE IF s.role = "Leader" THEN AdvanceCommit(r, s, durable)
  ELSE s
RECURSIVE CountedAtOnce(_, _)
CountedAtOnce(r, s) ==
  LET next == Counted(r, s, s.vote = r, Last(s.log)) IN IF next = s THEN s ELSE CountedAtOnce(r, next)

\* Everything up to its removal is committed: somebody else may lead.
Dismissed(r, s) == s.role = "Leader" /\ ConfIndex(s.log) <= s.commit /\ r \notin Voters(Conf(s.log))
Leaves(r, s) == IF Dismissed(r, s) THEN Follow(s, s.term, Nobody) ELSE s

\* Reads.ts settleReads: [s, out], out: reads that are answered.
Answerable(r, s) ==
  LET reached == ReachedBy(Conf(s.log), [s.rounds EXCEPT ![r] = s.round]) IN {x \in s.reads : x.round # 0 /\ x.round <= reached}
SettleReads(r, s) ==
  IF s.role # "Leader" \/ s.reads = {} \/ TermAt(s.log, s.commit) # s.term THEN [s |-> s, out |-> {}]
  ELSE
    LET first == Answerable(r, s)
        left == s.reads \ first
        begins == left # {} /\ \A x \in left : x.round = 0
        next == IF begins THEN [s EXCEPT !.round = @ + 1, !.reads = {[x EXCEPT !.round = s.round + 1, !.index = s.commit] : x \in left}]
                ELSE [s EXCEPT !.reads = left]
        second == IF begins THEN Answerable(r, next) ELSE {}
    IN [s |-> [next EXCEPT !.reads = @ \ second], out |-> first \cup second]

-----------------------------------------------------------------------------
(* Messages *)

RequestVote(r, s, term, pre, transfer) ==
  [m |-> "RequestVote", from |-> r, term |-> term, pre |-> pre, transfer |-> transfer,
   lastIndex |-> Last(s.log), lastTerm |-> LastTerm(s.log, s.term)]
Vote(r, to, term, pre) == [m |-> "Vote", from |-> r, to |-> to, term |-> term, pre |-> pre]
Appended(r, to, term, match) == [m |-> "Appended", from |-> r, to |-> to, term |-> term, match |-> match]
HeardAnswer(r, to, term, round) == IF round = 0 THEN {} ELSE {[m |-> "Heard", from |-> r, to |-> to, term |-> term, round |-> round]}

\* All that a leader may say of its log, wherever it believes the others to be.
Appends(r, s) ==
  {[m |-> "Append", from |-> r, term |-> s.term, prev |-> i, prevTerm |-> TermAt(s.log, i), entries |-> Behind(s.log, i),
    commit |-> Min2(s.commit, i + Len(Behind(s.log, i))), round |-> s.round] : i \in s.log.i..Last(s.log)}
Offers(r, s) == IF s.log.i = 0 THEN {} ELSE {[m |-> "Offer", from |-> r, term |-> s.term, place |-> PlaceAt(s.log, s.log.i), round |-> s.round]}
SaidByLeader(r, s) == IF s.role = "Leader" THEN Appends(r, s) \cup Offers(r, s) ELSE {}

\* It can do nothing any more, whatever happens: terms on disks never fall, nobody is a candidate or leader of a term twice.
Over(kind, x, ms, ds) ==
  CASE kind = "Vote" ->
         LET s == ms[x.to] IN IF x.pre THEN s.role # "PreCandidate" \/ s.term + 1 # x.term ELSE s.role # "Candidate" \/ s.term # x.term
    [] kind = "Appended" ->
         LET s == ms[x.to] IN s.role # "Leader" \/ s.term # x.term \/ (Budget.damage = 0 /\ x.match <= s.match[x.from])
    [] kind \in {"Heard", "Refused"} -> ms[x.to].role # "Leader" \/ ms[x.to].term # x.term
    [] kind = "RequestVote" /\ x.pre -> ms[x.from].role # "PreCandidate" \/ ms[x.from].term + 1 # x.term
    [] kind \in {"RequestVote", "Append", "Offer"} -> \A r \in Replicas : r = x.from \/ ds[r].term > x.term
    [] kind \in {"EntriesFound", "StateFound"} -> Budget.damage = 1 /\ FirstGap(ms[x.to].log) = Never
    [] kind = "EntriesWanted" -> Budget.damage = 1 /\ FirstGap(ms[x.from].log) = Never
    [] OTHER -> FALSE
StillSaid(new, ms, ds) == [kind \in Kinds |-> {x \in msgs[kind] \cup {y \in new : y.m = kind} : ~Over(kind, x, ms, ds)}]

-----------------------------------------------------------------------------
(* The end of every step: Outbox.ts flush *)

\* What was learned of a gap's term is not written.
Kept(before, log) ==
  [log EXCEPT !.slots = [k \in DOMAIN @ |-> IF ~@[k].ok /\ Has(before, log.i + k) THEN Slot(before, log.i + k) ELSE @[k]]]
DurableIndex(l, p) == Min({Last(l)} \cup {p[k].from - 1 : k \in DOMAIN p})
Readable(l) == IF FirstGap(l) = Never THEN Last(l) ELSE FirstGap(l) - 1
Handed(s, durable) == [s EXCEPT !.handed = Max2(@, Min2(s.commit, Min2(durable, Readable(s.log))))]
Chosen(s) ==
  IF s.commit <= Len(chosen) THEN chosen
  ELSE chosen \o [k \in 1..(s.commit - Len(chosen)) |-> IF Has(s.log, Len(chosen) + k) THEN Slot(s.log, Len(chosen) + k) ELSE Gap(Lost)]

\* Replica r is s after a step; held waits for the disk, sends leave at once; d, p: its disk and its Persists under way.
\* Each part is a value of its own before the next is looked at (of a set of one): TLC would come to it once for every use.
Done(r, s0, held0, sends0, d, p) ==
  \E s3 \in {[s0 EXCEPT !.log = Concluded(@)]} :
  \E held \in {held0}, sends \in {sends0}, s2 \in {IF PendingMax = 0 THEN CountedAtOnce(r, s3) ELSE s3} :
  \E s1 \in {Leaves(r, s2)} :
  \E reads \in {SettleReads(r, s1)} :
  \E s \in {reads.s}, before \in {IF p = <<>> THEN d ELSE p[Len(p)].image} :
  \E image \in {[term |-> s.term, vote |-> s.vote, log |-> Kept(before.log, s.log)]} :
  \E changed \in {image # before} :
  \E atOnce \in {PendingMax = 0 \/ (~changed /\ p = <<>>)} :
  \E p1 \in {IF atOnce THEN p
             ELSE IF changed THEN Append(p, [image |-> image, from |-> FirstDiff(before.log, image.log), held |-> held])
             ELSE [p EXCEPT ![Len(p)].held = @ \cup held]} :
  \E now \in {Handed(s, DurableIndex(s.log, p1))} :
  \E isNews \in {now.role # mem[r].role \/ now.log # mem[r].log \/ now.commit # mem[r].commit \/ now.round # mem[r].round} :
  \E new \in {sends \cup (IF atOnce THEN held ELSE {}) \cup (IF isNews THEN SaidByLeader(r, now) ELSE {})},
     mems \in {[mem EXCEPT ![r] = now]}, disks \in {[disk EXCEPT ![r] = IF PendingMax = 0 THEN image ELSE d]} :
  /\ mem' = mems
  /\ disk' = disks
  /\ pend' = [pend EXCEPT ![r] = p1]
  /\ msgs' = StillSaid(new, mems, disks)
  /\ chosen' = Chosen(now)
  /\ led' = IF s2.role = "Leader" \/ s1.role = "Leader" THEN led \cup {<<s1.term, r>>} ELSE led
  /\ answered' = answered \cup {[read |-> x.read, index |-> x.index] : x \in reads.out}

\* As most steps end.
Does(r, s, held, sends) == Done(r, s, held, sends, disk[r], pend[r])
HasRoom(r) == mem[r].role # "Gone" /\ (PendingMax = 0 \/ Len(pend[r]) < PendingMax)
Spend(kind) == budget[kind] > 0 /\ budget' = [budget EXCEPT ![kind] = @ - 1]
Same == UNCHANGED <<saved, budget, asked, disturbed>>
\* A term begins, not by its leader's wish: so many did not hear one.
Begins(r, s, transfer) ==
  /\ disturbed' = (disturbed \/ (PreVote /\ ~transfer /\ ~Quorum(Conf(s.log), s.votes \cup {r})))
  /\ UNCHANGED <<saved, budget, asked>>

-----------------------------------------------------------------------------
(* Elections: Election.ts *)

MayStand(r, s) ==
  /\ FirstGap(s.log) = Never
  /\ \/ r \in Voters(Conf(s.log))
     \/ ConfIndex(s.log) > s.commit /\ r \in Voters(ConfUpTo(s.log, ConfIndex(s.log) - 1))

Stood(r, s) == [s EXCEPT !.role = "Candidate", !.leader = Nobody, !.term = @ + 1, !.vote = r, !.votes = {}, !.proving = NoProof]
Stand(r, s, transfer) ==
  LET next == Stood(r, s) IN
  /\ Does(r, next, {RequestVote(r, next, next.term, FALSE, transfer)}, {})
  /\ Begins(r, s, transfer)

\* Its leader is silent.
StandOrAsk(r) ==
  LET s == [mem[r] EXCEPT !.leader = Nobody, !.votes = {}] IN
  /\ s.role # "Leader" /\ HasRoom(r)
  /\ IF r \in Standing /\ (Again \/ s.role = "Follower") /\ s.term < TermMax /\ MayStand(r, s)
     THEN IF PreVote /\ ~Quorum(Conf(s.log), {r})
          THEN Does(r, [s EXCEPT !.role = "PreCandidate"], {}, {RequestVote(r, s, s.term + 1, TRUE, FALSE)}) /\ Same
          ELSE Stand(r, s, FALSE)
     ELSE PreVote /\ Does(r, s, {}, {}) /\ Same

Loyal(s) == s.role = "Leader" \/ s.leader # Nobody
IsNewEnough(s, x) ==
  LET ours == LastTerm(s.log, s.term) IN x.lastTerm > ours \/ (x.lastTerm = ours /\ x.lastIndex >= Last(s.log))
IsFree(s, x) == (s.vote = Nobody /\ s.leader = Nobody) \/ s.vote = x.from

\* Somebody waits for the vote, and may get it: else nothing follows.
Waits(r, x) == x.term = mem[r].term /\ IsFree(mem[r], x) /\ mem[x.from].role = "Candidate"

VoteAsked(r, x) ==
  /\ x.from # r /\ HasRoom(r)
  /\ LET s == Raised(mem[r], x.term)
         ignores == PreVote /\ x.term > mem[r].term /\ Loyal(mem[r]) /\ ~x.transfer
     IN /\ ~ignores
        /\ IF x.pre
           THEN /\ x.term > mem[r].term \/ (x.term = mem[r].term /\ IsFree(mem[r], x))
                /\ IsNewEnough(mem[r], x)
                /\ Does(r, mem[r], {}, {Vote(r, x.from, x.term, TRUE)})
                /\ disturbed' = (disturbed \/ Loyal(mem[r]))
           ELSE /\ x.term > mem[r].term \/ Waits(r, x)
                /\ IF IsFree(s, x) /\ IsNewEnough(s, x)
                   THEN Does(r, [s EXCEPT !.vote = x.from], {Vote(r, x.from, x.term, FALSE)}, {})
                   ELSE Does(r, s, {}, {})
                /\ UNCHANGED disturbed
  /\ UNCHANGED <<saved, budget, asked>>

Voted(r, x) ==
  /\ x.to = r /\ HasRoom(r)
  /\ LET s == [mem[r] EXCEPT !.votes = @ \cup {x.from}] IN
     IF x.pre
     THEN /\ s.role = "PreCandidate" /\ x.term = s.term + 1
          /\ IF Quorum(Conf(s.log), s.votes \cup {r}) THEN Stand(r, s, FALSE) ELSE Does(r, s, {}, {}) /\ Same
     ELSE /\ s.role = "Candidate" /\ x.term = s.term
          /\ Does(r, Counted(r, s, disk[r].term = s.term /\ disk[r].vote = r, 0), {}, {})
          /\ Same

TransferLeadership(r, to) ==
  /\ Spend("transfer")
  /\ mem[r].role = "Leader" /\ to # r /\ to \in Voters(Conf(mem[r].log)) /\ mem[r].match[to] = Last(mem[r].log)
  /\ Does(r, mem[r], {}, {[m |-> "TimeoutNow", from |-> r, to |-> to, term |-> mem[r].term]})
  /\ UNCHANGED <<saved, asked, disturbed>>

TimeoutNow(r, x) ==
  /\ x.to = r /\ x.term >= mem[r].term /\ mem[r].role # "Leader" /\ HasRoom(r)
  /\ mem[r].term < TermMax /\ x.term < TermMax /\ MayStand(r, mem[r])
  /\ Stand(r, Raised(mem[r], x.term), TRUE)

\* A leader that no quorum answers leads no longer.
StepDown(r) ==
  /\ Spend("down")
  /\ mem[r].role = "Leader"
  /\ Does(r, Follow(mem[r], mem[r].term, Nobody), {}, {})
  /\ UNCHANGED <<saved, asked, disturbed>>

-----------------------------------------------------------------------------
(* The leader: Leader.ts *)

Propose(r) ==
  /\ Spend("propose")
  /\ mem[r].role = "Leader" /\ Last(mem[r].log) < LogMax /\ HasRoom(r)
  /\ Does(r, AppendOwn(mem[r], NoConf), {}, {})
  /\ UNCHANGED <<saved, asked, disturbed>>

ChangeMembership(r, target) ==
  LET s == mem[r] IN
  /\ Spend("change")
  /\ s.role = "Leader" /\ Last(s.log) < LogMax /\ HasRoom(r)
  /\ ~Joint(Conf(s.log))
  /\ ConfIndex(s.log) <= s.commit
  /\ TermAt(s.log, s.commit) = s.term
  /\ Does(r, AppendOwn(s, Towards(Conf(s.log), target)), {}, {})
  /\ UNCHANGED <<saved, asked, disturbed>>

AppendedBy(r, x) ==
  LET s == mem[r] IN
  /\ x.to = r /\ s.role = "Leader" /\ x.term = s.term /\ HasRoom(r)
  /\ x.from \in Members(Conf(s.log)) /\ x.match <= Last(s.log) /\ x.match > s.match[x.from]
  /\ Does(r, Counted(r, [s EXCEPT !.match[x.from] = x.match], TRUE, DurableIndex(s.log, pend[r])), {}, {})
  /\ Same

\* It can no longer read what it may have acknowledged.
RefusedBy(r, x) ==
  LET s == mem[r] IN
  /\ x.to = r /\ s.role = "Leader" /\ x.term = s.term
  /\ Does(r, [s EXCEPT !.match[x.from] = Min2(@, x.hint)], {}, {})
  /\ Same

HeardOf(r, x) ==
  /\ x.to = r /\ mem[r].role = "Leader" /\ x.term = mem[r].term /\ HasRoom(r)
  /\ x.round > mem[r].rounds[x.from]
  /\ Does(r, [mem[r] EXCEPT !.rounds[x.from] = x.round], {}, {})
  /\ Same

Read(r) ==
  /\ Spend("read")
  /\ mem[r].role = "Leader" /\ HasRoom(r)
  /\ asked' = Append(asked, Len(chosen))
  /\ Does(r, [mem[r] EXCEPT !.reads = @ \cup {[read |-> Len(asked) + 1, round |-> 0, index |-> 0]}], {}, {})
  /\ UNCHANGED <<saved, disturbed>>

-----------------------------------------------------------------------------
(* Followers: Follower.ts *)

\* Entries begin in gaps whose terms are lost, and end before they show whether what lies behind is of the same history.
IsProven(l, base, es) ==
  \/ \E k \in DOMAIN es : LET t == TermAt(l, base + k) IN t = Absent \/ (t # Lost /\ t # es[k].t)
  \/ es = <<>>
  \/ TermAt(l, base + Len(es)) # Lost
  \/ base + Len(es) >= Last(l)

\* What is the same stays, gaps are filled, and from the first entry on that is another all is cut.
Taken(l, base, es) ==
  LET others == {k \in DOMAIN es : LET t == TermAt(l, base + k) IN base + k > l.i /\ (t = Absent \/ (t # Lost /\ t # es[k].t))}
      end == IF others = {} THEN Last(l) ELSE base + Min(others) - 1
      filled == [n \in 1..(end - l.i) |->
                  LET i == l.i + n IN IF l.slots[n].ok \/ i <= base \/ i > base + Len(es) THEN l.slots[n] ELSE es[i - base]]
  IN [l EXCEPT !.slots = filled \o (IF others = {} THEN <<>> ELSE SubSeq(es, Min(others), Len(es)))]

Refuses(r, s, x, upTo) ==
  IF FirstGap(s.log) = Never THEN {}
  ELSE {[m |-> "Refused", from |-> r, to |-> x.from, term |-> s.term, hint |-> LastUpTo(s.log, upTo, x.prevTerm)]}

\* It would change nothing; said here to spare TLC the step.
IsOld(r, x) ==
  LET s == mem[r]
      fits == x.prev >= s.log.i /\ TermAt(s.log, x.prev) = x.prevTerm
      same == \A k \in DOMAIN x.entries : TermAt(s.log, x.prev + k) = x.entries[k].t
  IN
  /\ Budget.damage = 0 /\ x.term = s.term /\ s.leader = x.from /\ x.round = 0 /\ s.role = "Follower"
  /\ ~fits \/ (x.commit <= s.commit /\ same /\ mem[x.from].match[r] >= x.prev + Len(x.entries))
  /\ x.prev >= s.log.i

AppendAsked(r, x) ==
  /\ x.from # r /\ HasRoom(r) /\ ~IsOld(r, x)
  /\ x.term > mem[r].term \/ (x.term = mem[r].term /\ mem[r].role # "Leader")
  /\ LET s == Follow(mem[r], x.term, x.from)
         l == s.log
         gap == FirstGap(l)
         heard == HeardAnswer(r, x.from, x.term, x.round)
         goesOn == LET n == Len(s.proving.e) IN n > 0 /\ s.proving.i + n = x.prev /\ s.proving.e[n].t = x.prevTerm
         base == IF goesOn THEN s.proving.i ELSE x.prev
         es == IF goesOn THEN s.proving.e \o x.entries ELSE x.entries
         taken == IsProven(l, base, es)
         received == x.prev + Len(x.entries)
         match == IF taken THEN received ELSE gap - 1
     IN IF x.prev < l.i
        THEN IF gap = Never THEN Does(r, s, {Appended(r, x.from, x.term, l.i)}, heard)
             ELSE Does(r, s, {}, heard \cup Refuses(r, s, x, l.i))
        ELSE IF ~goesOn /\ (x.prev >= gap \/ TermAt(l, x.prev) # x.prevTerm)
        THEN Does(r, s, {}, heard \cup Refuses(r, s, x, Min2(x.prev, gap - 1)))
        ELSE Does(r, [s EXCEPT !.log = IF taken THEN Taken(l, base, es) ELSE l, !.proving = IF taken THEN NoProof ELSE [i |-> base, e |-> es],
                               !.commit = Max2(@, Min2(x.commit, match))],
                  {Appended(r, x.from, x.term, match)}, heard)
  /\ Same

Fetches(s, place) == IF s.fetching.i >= place.i THEN s ELSE [s EXCEPT !.fetching = place]

Offered(r, x) ==
  /\ x.from # r /\ HasRoom(r)
  /\ x.term > mem[r].term \/ (x.term = mem[r].term /\ mem[r].role # "Leader")
  /\ LET s == Follow(mem[r], x.term, x.from)
         isThere == x.place.i <= s.log.i \/ (FirstGap(s.log) > x.place.i /\ TermAt(s.log, x.place.i) = x.place.t)
         heard == HeardAnswer(r, x.from, x.term, x.round)
     IN IF isThere
        THEN Does(r, [s EXCEPT !.commit = Max2(@, x.place.i)], {Appended(r, x.from, x.term, Max2(x.place.i, s.log.i))}, heard)
        ELSE Does(r, Fetches(s, x.place), {}, heard)
  /\ Same

\* The state that was fetched is on the disk.
SnapshotInstalled(r) ==
  LET s == mem[r]
      p == s.fetching
      fits == MayGoOn(s.log, p)
      next == [s EXCEPT !.fetching = NoPlace, !.proving = NoProof, !.log = IF fits THEN Compacted(s.log, p) ELSE Empty(p),
                        !.commit = Max2(@, p.i), !.handed = Max2(@, p.i)]
  IN
  /\ p.i > 0 /\ HasRoom(r)
  /\ saved' = [saved EXCEPT ![r] = IF @.i < p.i THEN p ELSE @]
  /\ IF p.i <= s.log.i THEN Does(r, [s EXCEPT !.fetching = NoPlace], {}, {})
     ELSE Does(r, next, IF s.leader \in {Nobody, r} THEN {} ELSE {Appended(r, s.leader, s.term, p.i)}, {})
  /\ UNCHANGED <<budget, asked, disturbed>>

SnapshotFailed(r) ==
  /\ Spend("fetch")
  /\ mem[r].fetching # NoPlace
  /\ Does(r, [mem[r] EXCEPT !.fetching = NoPlace], {}, {})
  /\ UNCHANGED <<saved, asked, disturbed>>

\* A state is on the disk, and no entry before it is needed. Never over a gap: it may have been a configuration.
Compact(r, i) ==
  LET s == mem[r] IN
  /\ Spend("compact")
  /\ s.log.i < i /\ i <= s.handed /\ FirstGap(s.log) > i /\ HasRoom(r)
  /\ saved' = [saved EXCEPT ![r] = IF @.i < i THEN PlaceAt(s.log, i) ELSE @]
  /\ Does(r, [s EXCEPT !.log = Compacted(s.log, PlaceAt(s.log, i))], {}, {})
  /\ UNCHANGED <<asked, disturbed>>

-----------------------------------------------------------------------------
(* Gaps while nobody leads *)

AskForGaps(r) ==
  LET l == mem[r].log
      from == FirstGap(l)
      to == Min({i \in from..Last(l) : Slot(l, i).ok \/ i = Last(l)})
  IN
  /\ mem[r].role # "Leader" /\ from # Never
  /\ Does(r, mem[r], {}, {[m |-> "EntriesWanted", from |-> r, term |-> mem[r].term, low |-> from, high |-> to]})
  /\ Same

\* Terms of all, which show whether they are the same, and the first of the entries.
EntriesWanted(r, x) ==
  LET s == Raised(mem[r], x.term)
      l == s.log
      known == {i \in x.low..x.high : \A j \in x.low..i : TermAt(l, j) >= 0}
      terms == [k \in 1..Cardinality(known) |-> TermAt(l, x.low + k - 1)]
      whole == {k \in DOMAIN terms : k <= AppendMax /\ \A j \in 1..k : Slot(l, x.low + j - 1).ok}
      entries == [k \in 1..Cardinality(whole) |-> Slot(l, x.low + k - 1)]
  IN
  /\ x.from # r /\ HasRoom(r)
  /\ Does(r, s, {},
       IF x.low <= l.i THEN {[m |-> "StateFound", from |-> r, to |-> x.from, term |-> s.term, place |-> PlaceAt(l, l.i)]}
       ELSE IF known = {} THEN {}
       ELSE {[m |-> "EntriesFound", to |-> x.from, term |-> s.term, low |-> x.low, terms |-> terms, entries |-> entries]})
  /\ Same

\* Up to the last one whose term is known here to be the same, all are (log matching).
EntriesFound(r, x) ==
  LET s == Raised(mem[r], x.term)
      l == s.log
      wrong == {k \in DOMAIN x.terms : TermAt(l, x.low + k - 1) >= 0 /\ TermAt(l, x.low + k - 1) # x.terms[k]}
      upTo == IF wrong = {} THEN Len(x.terms) ELSE Min(wrong) - 1
      same == Max({x.low - 1} \cup {x.low + k - 1 : k \in {k \in 1..upTo : TermAt(l, x.low + k - 1) = x.terms[k]}})
      slot(i) == LET k == i - x.low + 1 IN
        IF Slot(l, i).ok \/ i < x.low \/ i > same THEN Slot(l, i) ELSE IF k <= Len(x.entries) THEN x.entries[k] ELSE Gap(x.terms[k])
  IN
  /\ x.to = r /\ HasRoom(r) /\ s.role # "Leader"
  /\ Does(r, [s EXCEPT !.log.slots = [n \in DOMAIN @ |-> slot(l.i + n)]], {}, {})
  /\ Same

StateFound(r, x) ==
  LET s == Raised(mem[r], x.term) IN
  /\ x.to = r /\ HasRoom(r)
  /\ Does(r, IF FirstGap(s.log) > x.place.i THEN s ELSE Fetches(s, x.place), {}, {})
  /\ Same

-----------------------------------------------------------------------------
(* Disks *)

\* The oldest of what is under way is written; what it promises may be said, unless its term is over.
Persisted(r) ==
  LET first == Head(pend[r])
      rest == Tail(pend[r])
      s == mem[r]
      d == first.image
  IN
  /\ pend[r] # <<>>
  /\ Done(r, Counted(r, s, d.term = s.term /\ d.vote = r, DurableIndex(s.log, rest)), {}, {x \in first.held : x.term = s.term}, d, rest)
  /\ Same

\* Of one Persist a crash may leave the first parts: hard state, then where the log ends, then entries in order.
Parts(a, b) ==
  {b, [b EXCEPT !.log = a.log]}
  \cup (IF a.log.i # b.log.i THEN {}
        ELSE LET from == FirstDiff(a.log, b.log) - 1 - a.log.i
             IN IF from > Len(b.log.slots) THEN {} ELSE {[b EXCEPT !.log.slots = SubSeq(@, 1, k)] : k \in from..Len(b.log.slots)})
\* What a crash may leave on the disk.
Left(r) ==
  LET image(k) == IF k = 0 THEN disk[r] ELSE pend[r][k].image
  IN {disk[r]} \cup UNION {Parts(image(k - 1), image(k)) : k \in DOMAIN pend[r]}

Restart(r, d) ==
  /\ disk' = [disk EXCEPT ![r] = d]
  /\ mem' = [mem EXCEPT ![r] = Started(d, saved[r])]
  /\ pend' = [pend EXCEPT ![r] = <<>>]
  /\ msgs' = StillSaid({}, mem', disk')
  /\ UNCHANGED <<saved, chosen, led, asked, answered, disturbed>>

Crash(r) ==
  /\ Spend("crash")
  /\ \E d \in Left(r) : Restart(r, d)

\* An entry that was written cannot be read any more; its term was kept beside it, or not.
Damage(r) ==
  /\ r \in Fragile /\ Spend("damage")
  /\ \E k \in DOMAIN disk[r].log.slots :
       /\ disk[r].log.slots[k].ok
       /\ \E t \in {disk[r].log.slots[k].t, Lost} : Restart(r, [disk[r] EXCEPT !.log.slots[k] = Gap(t)])

\* A disk is emptied: it comes back under another name, as one of those that are new. This one is no more.
EmptyDisk(r) ==
  /\ Spend("empty")
  /\ mem[r].role # "Gone"
  /\ disk' = [disk EXCEPT ![r] = FirstDisk]
  /\ saved' = [saved EXCEPT ![r] = FirstPlace]
  /\ mem' = [mem EXCEPT ![r] = [Started(FirstDisk, FirstPlace) EXCEPT !.role = "Gone"]]
  /\ pend' = [pend EXCEPT ![r] = <<>>]
  /\ UNCHANGED <<msgs, chosen, led, asked, answered, disturbed>>

-----------------------------------------------------------------------------
(* The bounded world *)

StandNext == \E r \in Replicas : StandOrAsk(r)
VoteAskedNext == \E r \in Replicas : \E x \in msgs.RequestVote : VoteAsked(r, x)
VotedNext == \E r \in Replicas : \E x \in msgs.Vote : Voted(r, x)
TransferNext == \E r \in Replicas, to \in Replicas : TransferLeadership(r, to)
TimeoutNowNext == \E r \in Replicas : \E x \in msgs.TimeoutNow : TimeoutNow(r, x)
StepDownNext == \E r \in Replicas : StepDown(r)
ProposeNext == \E r \in Replicas : Propose(r)
ChangeNext == \E r \in Replicas, target \in Targets : ChangeMembership(r, target)
AppendedNext == \E r \in Replicas : \E x \in msgs.Appended : AppendedBy(r, x)
RefusedNext == \E r \in Replicas : \E x \in msgs.Refused : RefusedBy(r, x)
HeardNext == \E r \in Replicas : \E x \in msgs.Heard : HeardOf(r, x)
ReadNext == \E r \in Replicas : Read(r)
AppendAskedNext == \E r \in Replicas : \E x \in msgs.Append : AppendAsked(r, x)
OfferedNext == \E r \in Replicas : \E x \in msgs.Offer : Offered(r, x)
InstalledNext == \E r \in Replicas : SnapshotInstalled(r)
FetchFailedNext == \E r \in Replicas : SnapshotFailed(r)
CompactNext == \E r \in Replicas, i \in 1..LogMax : Compact(r, i)
AskForGapsNext == \E r \in Replicas : AskForGaps(r)
EntriesWantedNext == \E r \in Replicas : \E x \in msgs.EntriesWanted : EntriesWanted(r, x)
EntriesFoundNext == \E r \in Replicas : \E x \in msgs.EntriesFound : EntriesFound(r, x)
StateFoundNext == \E r \in Replicas : \E x \in msgs.StateFound : StateFound(r, x)
PersistedNext == \E r \in Replicas : Persisted(r)
CrashNext == \E r \in Replicas : Crash(r)
DamageNext == \E r \in Replicas : Damage(r)
EmptyNext == \E r \in Replicas : EmptyDisk(r)

\* Worlds that say which actions they take replace it.
Took(number, name) == TRUE

Next ==
  \/ StandNext /\ Took(1, "StandNext")
  \/ VoteAskedNext /\ Took(2, "VoteAskedNext")
  \/ VotedNext /\ Took(3, "VotedNext")
  \/ TransferNext /\ Took(4, "TransferNext")
  \/ TimeoutNowNext /\ Took(5, "TimeoutNowNext")
  \/ StepDownNext /\ Took(6, "StepDownNext")
  \/ ProposeNext /\ Took(7, "ProposeNext")
  \/ ChangeNext /\ Took(8, "ChangeNext")
  \/ ReadNext /\ Took(9, "ReadNext")
  \/ AppendedNext /\ Took(10, "AppendedNext")
  \/ RefusedNext /\ Took(11, "RefusedNext")
  \/ HeardNext /\ Took(12, "HeardNext")
  \/ AppendAskedNext /\ Took(13, "AppendAskedNext")
  \/ OfferedNext /\ Took(14, "OfferedNext")
  \/ InstalledNext /\ Took(15, "InstalledNext")
  \/ FetchFailedNext /\ Took(16, "FetchFailedNext")
  \/ CompactNext /\ Took(17, "CompactNext")
  \/ AskForGapsNext /\ Took(18, "AskForGapsNext")
  \/ EntriesWantedNext /\ Took(19, "EntriesWantedNext")
  \/ EntriesFoundNext /\ Took(20, "EntriesFoundNext")
  \/ StateFoundNext /\ Took(21, "StateFoundNext")
  \/ PersistedNext /\ Took(22, "PersistedNext")
  \/ CrashNext /\ Took(23, "CrashNext")
  \/ DamageNext /\ Took(24, "DamageNext")
  \/ EmptyNext /\ Took(25, "EmptyNext")
Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
(* What must hold *)

Log(r) == mem[r].log

TypeOK ==
  \A r \in Replicas : LET s == mem[r] IN
    /\ s.handed <= s.commit /\ s.commit <= Last(s.log)
    /\ LastTerm(s.log, s.term) <= s.term /\ disk[r].term <= s.term
    /\ s.role = "Leader" => s.vote = r

\* One leader a term.
ElectionSafety == \A x \in led, y \in led : x[1] = y[1] => x[2] = y[2]

\* Logs that agree on an entry agree on all before it; terms do not fall.
LogMatching ==
  \A r \in Replicas, q \in Replicas : LET a == Log(r) b == Log(q) IN
    IF r = q THEN \A i \in a.i..Last(a), j \in (a.i + 1)..Last(a) : i < j /\ TermAt(a, j) >= 0 => TermAt(a, i) <= TermAt(a, j)
    ELSE \A i \in (Max2(a.i, b.i) + 1)..Min2(Last(a), Last(b)) :
      TermAt(a, i) = TermAt(b, i) /\ TermAt(a, i) >= 0 =>
        \A j \in (Max2(a.i, b.i) + 1)..i : Slot(a, j).ok /\ Slot(b, j).ok => Slot(a, j) = Slot(b, j)

\* Whoever leads has all that was ever committed.
LeaderCompleteness ==
  \A r \in Replicas : mem[r].role = "Leader" /\ (\A x \in led : x[1] <= mem[r].term) =>
    \A i \in (Log(r).i + 1)..Len(chosen) : Has(Log(r), i) /\ Slot(Log(r), i) = chosen[i]

\* Nobody takes for committed what another knows to be something else.
StateMachineSafety ==
  \A r \in Replicas : LET l == Log(r) IN
    \A i \in (l.i + 1)..mem[r].commit : Has(l, i) /\ i <= Len(chosen) /\ (IF Slot(l, i).ok THEN Slot(l, i) = chosen[i] ELSE Slot(l, i).t \in {Lost, chosen[i].t})

\* What is applied is on this replica's disk.
AppliedIsDurable ==
  \A r \in Replicas : LET l == disk[r].log IN
    \A i \in (Max2(l.i, saved[r].i) + 1)..mem[r].handed : Has(l, i) /\ Slot(l, i) = chosen[i]

\* Votes and copies are on the disk before they are said, and stay while their term is not over.
IsGone(r) == mem[r].role = "Gone"
VoteIsKept(r, term, vote) == IsGone(r) \/ disk[r].term > term \/ (disk[r].term = term /\ disk[r].vote = vote)
PromisesAreDurable ==
  /\ \A x \in msgs.Vote : x.pre \/ VoteIsKept(x.from, x.term, x.to)
  /\ \A x \in msgs.RequestVote : x.pre \/ VoteIsKept(x.from, x.term, x.from)
  /\ \A x \in msgs.Appended : IsGone(x.from) \/ disk[x.from].term > x.term \/ (disk[x.from].term = x.term /\ Last(disk[x.from].log) >= x.match)

\* A committed entry is with a quorum, whole, or as a gap that is not taken for nothing, or in a state; emptied disks apart.
Holds(r, i) ==
  LET l == disk[r].log IN
  IsGone(r) \/ i <= Max2(l.i, saved[r].i) \/ (Has(l, i) /\ (IF Slot(l, i).ok THEN Slot(l, i) = chosen[i] ELSE Slot(l, i).t \in {Lost, chosen[i].t}))
CommittedStays == Targets = {} => \A i \in DOMAIN chosen : Quorum(ConfOf(First, {}), {r \in Replicas : Holds(r, i)})

\* Whoever can be elected under their configurations cannot be so without each other.
Overlap(c1, c2) == \A ids \in SUBSET (Members(c1) \cup Members(c2)) : ~(Quorum(c1, ids) /\ Quorum(c2, (Members(c1) \cup Members(c2)) \ ids))
Deciding == {Conf(Log(r)) : r \in {r \in Replicas : \A i \in (Log(r).i + 1)..Len(chosen) : Has(Log(r), i) /\ Slot(Log(r), i) = chosen[i]}}
MembershipSafety == \A c1 \in Deciding, c2 \in Deciding : Voters(c1) # {} /\ Overlap(c1, c2)

\* A snapshot stands for what was committed, with the configuration of then; and a state is there for it.
ChosenConf(i) == LET cs == {j \in 1..i : chosen[j].c # NoConf} IN IF cs = {} THEN ConfOf(First, {}) ELSE chosen[Max(cs)].c
IsState(p) == p.i <= Len(chosen) /\ (p.i > 0 => p.t = chosen[p.i].t) /\ p.c = ChosenConf(p.i)
SnapshotIsWhole ==
  \A r \in Replicas : IsState(Place(Log(r).i, Log(r).t, Log(r).c)) /\ IsState(saved[r]) /\ Log(r).i <= saved[r].i /\ saved[r].i <= mem[r].handed

\* A read sees what was committed anywhere when it was asked.
ReadIsLinearizable == \A x \in answered : x.index >= asked[x.read]

\* No term begins while a quorum hears a leader who does not wish it.
Undisturbed == ~disturbed

\* A leader cuts and changes nothing of its log.
LeaderAppends ==
  [][\A r \in Replicas : mem[r].role \in {"Candidate", "Leader"} /\ mem'[r].role = "Leader" /\ mem'[r].term = mem[r].term =>
       \A i \in (mem'[r].log.i + 1)..Last(mem[r].log) : Has(mem'[r].log, i) /\ Slot(mem'[r].log, i) = Slot(mem[r].log, i)]_vars

=============================================================================
