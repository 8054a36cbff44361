import type { Variant } from "../Model.ts"

/** Every step ends in the same long one (`Done`), which TLC would walk once for every way to it. */
export const isCounted = false

/** The rules of consensus, each left out once. */
export const variants: ReadonlyArray<Variant> = [
  {
    name: "a vote is said before it is on the disk", rule: "a promise is on the disk before it is said",
    edits: [{
      find: "Does(r, [s EXCEPT !.vote = x.from], {Vote(r, x.from, x.term, FALSE)}, {})",
      replace: "Does(r, [s EXCEPT !.vote = x.from], {}, {Vote(r, x.from, x.term, FALSE)})"
    }],
    expect: "PromisesAreDurable"
  },
  {
    name: "a candidate asks before its own vote is on the disk", rule: "a promise is on the disk before it is said, to itself too",
    edits: [{
      find: "Does(r, next, {RequestVote(r, next, next.term, FALSE, transfer)}, {})",
      replace: "Does(r, next, {}, {RequestVote(r, next, next.term, FALSE, transfer)})"
    }],
    expect: "PromisesAreDurable"
  },
  {
    name: "a copy is acknowledged before it is on the disk", rule: "a promise is on the disk before it is said",
    edits: [{ find: "                  {Appended(r, x.from, x.term, match)}, heard)", replace: "                  {}, heard \\cup {Appended(r, x.from, x.term, match)})" }],
    expect: "PromisesAreDurable"
  },
  {
    name: "a leader counts its own copy before it is on the disk", rule: "its own copy counts once written",
    edits: [{ find: "TRUE, DurableIndex(s.log, pend[r])), {}, {})", replace: "TRUE, Last(s.log)), {}, {})" }],
    expect: "CommittedStays", model: "MCRaftWrites"
  },
  {
    name: "applied before it is on the disk", rule: "what is applied is on this replica's disk",
    edits: [{ find: "Min2(s.commit, Min2(durable, Readable(s.log)))", replace: "Min2(s.commit, Readable(s.log))" }],
    expect: "AppliedIsDurable"
  },
  {
    name: "two votes in a term", rule: "one vote a term",
    edits: [{ find: "IsFree(s, x) == (s.vote = Nobody /\\ s.leader = Nobody) \\/ s.vote = x.from", replace: "IsFree(s, x) == TRUE" }],
    expect: "ElectionSafety", model: "MCRaftEmpty"
  },
  {
    name: "an emptied disk comes back under its old name", rule: "R2: an emptied disk is another replica, with another id",
    edits: [{ find: "[Started(FirstDisk, FirstPlace) EXCEPT !.role = \"Gone\"]", replace: "Started(FirstDisk, FirstPlace)" }],
    expect: "ElectionSafety", model: "MCRaftEmpty"
  },
  {
    name: "votes without a look at the log", rule: "no vote for a log that may lack something",
    edits: [{ find: "IN x.lastTerm > ours \\/ (x.lastTerm = ours /\\ x.lastIndex >= Last(s.log))", replace: "IN ours <= TermMax" }],
    expect: "LeaderCompleteness", model: "MCRaftTerms"
  },
  {
    name: "logs are compared by their lengths alone", rule: "no vote for a log whose last term is older",
    edits: [{ find: "IN x.lastTerm > ours \\/ (x.lastTerm = ours /\\ x.lastIndex >= Last(s.log))", replace: "IN ours <= TermMax /\\ x.lastIndex >= Last(s.log)" }],
    expect: "LeaderCompleteness", model: "MCRaftEmpty"
  },
  {
    name: "an entry of an earlier term is committed by counting", rule: "a leader counts copies only for entries of its term (figure 8)",
    edits: [{ find: "IF reached > s.commit /\\ TermAt(s.log, reached) = s.term", replace: "IF reached > s.commit" }],
    expect: "LeaderCompleteness", model: "MCRaftTerms"
  },
  {
    name: "a leader of an earlier term is listened to", rule: "a message of an earlier term is over",
    edits: [{
      find: "AppendAsked(r, x) ==\n  /\\ x.from # r /\\ HasRoom(r) /\\ ~IsOld(r, x)\n  /\\ x.term > mem[r].term \\/ (x.term = mem[r].term /\\ mem[r].role # \"Leader\")\n  /\\ LET s == Follow(mem[r], x.term, x.from)",
      replace: "AppendAsked(r, x) ==\n  /\\ x.from # r /\\ HasRoom(r) /\\ ~IsOld(r, x)\n  /\\ x.term # mem[r].term \\/ mem[r].role # \"Leader\"\n  /\\ LET s == Follow(mem[r], Max2(mem[r].term, x.term), x.from)"
    }],
    expect: "StateMachineSafety", model: "MCRaftEmpty"
  },
  {
    name: "entries are appended to whatever is there", rule: "a follower takes what follows on an entry that is the same here",
    edits: [{ find: "ELSE IF ~goesOn /\\ (x.prev >= gap \\/ TermAt(l, x.prev) # x.prevTerm)", replace: "ELSE IF ~goesOn /\\ (x.prev >= gap \\/ x.prev > Last(l))" }],
    expect: "LogMatching", model: "MCRaftTerms"
  },
  {
    name: "a stale append cuts what came after it", rule: "what is the same stays, and what follows it too",
    edits: [{ find: "end == IF others = {} THEN Last(l) ELSE base + Min(others) - 1", replace: "end == IF others = {} THEN base + Len(es) ELSE base + Min(others) - 1" }],
    expect: "PromisesAreDurable", model: "MCRaftTerms"
  },
  {
    name: "a new leader cuts what it does not know to be committed", rule: "a leader cuts nothing of its own log",
    edits: [{
      find: "  AppendOwn([s EXCEPT !.role = \"Leader\", ",
      replace: "  AppendOwn([s EXCEPT !.log.slots = SubSeq(@, 1, s.commit - s.log.i), !.role = \"Leader\", "
    }],
    expect: "LeaderAppends", model: "MCRaftTerms"
  },
  {
    name: "a follower believes what its leader says is committed, whatever it has itself", rule: "committed is what is stored up to the entries that came",
    edits: [{
      find: "    commit |-> Min2(s.commit, i + Len(Behind(s.log, i))), round", replace: "    commit |-> s.commit, round"
    }, { find: "!.commit = Max2(@, Min2(x.commit, match))],", replace: "!.commit = Max2(@, Min2(x.commit, Last(IF taken THEN Taken(l, base, es) ELSE l)))]," }],
    expect: "StateMachineSafety", model: "MCRaftTerms"
  },
  {
    name: "one majority decides while there are two", rule: "joint: both majorities",
    edits: [{ find: "Quorum(c, has) == Majority(c.voters, has) /\\ (~Joint(c) \\/ Majority(c.outgoing, has))", replace: "Quorum(c, has) == Majority(c.voters, has)" }],
    expect: "MembershipSafety", model: "MCRaftMembers"
  },
  {
    name: "straight to the new voters", rule: "changes go over a joint configuration",
    edits: [{ find: "IF now.voters = target.voters THEN target ELSE [target EXCEPT !.outgoing = now.voters]", replace: "IF now.voters = {} THEN now ELSE target" }],
    expect: "MembershipSafety", model: "MCRaftMembers"
  },
  {
    name: "a second change while one is under way", rule: "one change of membership at a time",
    edits: [{ find: "  /\\ ~Joint(Conf(s.log))\n  /\\ ConfIndex(s.log) <= s.commit\n", replace: "" }],
    expect: "MembershipSafety", model: "MCRaftMembers"
  },
  {
    name: "a joint configuration is left before it is committed", rule: "a joint configuration is left once it is committed",
    edits: [{
      find: "Does(r, AppendOwn(s, Towards(Conf(s.log), target)), {}, {})",
      replace: "Does(r, AppendOwn(AppendOwn(s, Towards(Conf(s.log), target)), target), {}, {})"
    }],
    expect: "MembershipSafety", model: "MCRaftMembers"
  },
  {
    name: "a snapshot keeps the configuration of the one before", rule: "a snapshot stands for its configuration too",
    edits: [{ find: "[s EXCEPT !.log = Compacted(s.log, PlaceAt(s.log, i))]", replace: "[s EXCEPT !.log = Compacted(s.log, [PlaceAt(s.log, i) EXCEPT !.c = s.log.c])]" }],
    expect: "SnapshotIsWhole", model: "MCRaftSnapshot"
  },
  {
    name: "a log is compacted past what is applied", rule: "a snapshot stands for what was applied",
    edits: [{ find: "s.log.i < i /\\ i <= s.handed", replace: "s.log.i < i /\\ i <= Last(s.log)" }],
    expect: "SnapshotIsWhole", model: "MCRaftSnapshot"
  },
  {
    name: "a log is compacted before the state is on the disk", rule: "no entry goes before a state stands for it",
    edits: [{
      find: "  /\\ saved' = [saved EXCEPT ![r] = IF @.i < i THEN PlaceAt(s.log, i) ELSE @]\n", replace: "  /\\ saved' = saved\n"
    }],
    expect: "SnapshotIsWhole", model: "MCRaftSnapshot"
  },
  {
    name: "a read before the leader has committed in its term", rule: "what earlier leaders committed is known once an entry of this term is",
    edits: [{ find: "s.reads = {} \\/ TermAt(s.log, s.commit) # s.term THEN", replace: "s.reads = {} THEN" }],
    expect: "ReadIsLinearizable", model: "MCRaftReads"
  },
  {
    name: "a gap of unknown term is filled with what comes", rule: "entries are taken once they show whether what lies behind a gap is of the same history",
    edits: [{ find: "         taken == IsProven(l, base, es)\n", replace: "         taken == TRUE\n" }],
    expect: "LogMatching", model: "MCRaftGaps"
  },
  {
    name: "what is behind a gap stays behind the state that comes for it", rule: "entries of an earlier term than a state's are of another history",
    edits: [{ find: "      fits == MayGoOn(s.log, p)\n", replace: "      fits == TermAt(s.log, p.i) \\in {p.t, Lost}\n" }],
    expect: "LogMatching", model: "MCRaftGaps"
  },
  {
    name: "a candidate does not ask first", rule: "whoever is to stand asks first, and changes no term by that",
    edits: [{ find: "          THEN Does(r, [s EXCEPT !.role = \"PreCandidate\"]", replace: "             /\\ r \\notin Standing\n          THEN Does(r, [s EXCEPT !.role = \"PreCandidate\"]" }],
    expect: "Undisturbed", model: "MCRaftAsk"
  },
  {
    name: "who hears a leader listens to others", rule: "while a leader is heard nobody else is listened to",
    edits: [{ find: "ignores == PreVote /\\ x.term > mem[r].term", replace: "ignores == FALSE /\\ x.term > mem[r].term" }],
    expect: "Undisturbed", model: "MCRaftAsk"
  },
  {
    name: "ReadIndex without its round", rule: "a read waits until its leader is known to have led after it came",
    edits: [{ find: "x.round # 0 /\\ x.round <= reached", replace: "x.round # 0 /\\ reached >= 0" }],
    expect: "ReadIsLinearizable", model: "MCRaftRounds"
  },
  {
    name: "a gap is taken for nothing where logs are compared", rule: "a gap counts as the newest that it may have been",
    edits: [{
      find: "  LET ours == LastTerm(s.log, s.term) IN x.lastTerm > ours \\/ (x.lastTerm = ours /\\ x.lastIndex >= Last(s.log))",
      replace: "  LET ours == TermAt(s.log, Readable(s.log)) IN x.lastTerm > ours \\/ (x.lastTerm = ours /\\ x.lastIndex >= Readable(s.log))"
    }],
    expect: "LeaderCompleteness", model: "MCRaftDamage"
  },
  {
    name: "whoever has gaps may lead", rule: "whoever has gaps does not stand",
    edits: [{ find: "  /\\ FirstGap(s.log) = Never\n  /\\ \\/ r \\in Voters", replace: "  /\\ \\/ r \\in Voters" }],
    expect: "LeaderCompleteness", model: "MCRaftDamage"
  },
  {
    name: "a damaged log ends before its first gap", rule: "an entry that cannot be read is not an absent one",
    edits: [{
      find: "ELSE IF FirstGap(l) <= p.i THEN Concluded(Compacted(l, p)) ELSE l\n",
      replace: "ELSE IF FirstGap(l) <= p.i THEN Compacted(l, p) ELSE [l EXCEPT !.slots = SubSeq(@, 1, Min2(Len(@), FirstGap(l) - 1 - l.i))]\n"
    }],
    expect: "CommittedStays", model: "MCRaftDamage"
  },
  {
    name: "whoever has an entry may fill a gap with it", rule: "terms show which of the entries found are the same",
    edits: [{ find: "      same == Max({x.low - 1} \\cup", replace: "      same == Max({x.low + Len(x.terms) - 1} \\cup" }],
    expect: "CommittedStays", model: "MCRaftDamage"
  },
  {
    name: "a lost term is that of the entry before it", rule: "a lost term is known only between two that are the same",
    edits: [{ find: "behind(k) = {} \\/ term(Min(behind(k))) # before(k)", replace: "behind(k) = {}" }],
    expect: "CommittedStays", model: "MCRaftBetween"
  },
  {
    name: "a leader begins without an entry of its own", rule: "the first entry of every leader: what came before it is committed with it",
    edits: [{
      find: "  AppendOwn([s EXCEPT !.role = \"Leader\", !.leader = r, !.votes = {}, !.match = Zeros, !.round = 0, !.rounds = Zeros], NoConf)",
      replace: "  [s EXCEPT !.role = \"Leader\", !.leader = r, !.votes = {}, !.match = Zeros, !.round = 0, !.rounds = Zeros]"
    }],
    expect: "Deadlock", model: "MCRaftLive"
  },
  {
    name: "a leader tells nobody what is committed", rule: "what is committed is said with entries and heartbeats",
    edits: [{ find: "    commit |-> Min2(s.commit, i + Len(Behind(s.log, i))), round", replace: "    commit |-> 0, round" }],
    expect: "Deadlock", model: "MCRaftLive"
  }
]
