/** Rules of history left out, each with the invariant or property that must notice. */
import type { Variant } from "../Model.ts"

export const variants: ReadonlyArray<Variant> = [
  {
    name: "a read below the horizon is answered", expect: "ReadIsFold",
    rule: "R5: reads below oldestReadable are refused",
    edits: [
      { find: "IF s < horizon THEN [refused |-> TRUE]\n  ELSE [b", replace: "IF s < horizon - 1 THEN [refused |-> TRUE]\n  ELSE [b" }
    ]
  },
  {
    name: "a rollback goes below the horizon", expect: "ReadIsFold", model: "MCHistoryHorizon",
    rule: "R5: rollbacks below oldestReadable are refused in apply",
    edits: [
      { find: "  /\\ Readable(to)", replace: "  /\\ to <= head" }
    ]
  },
  {
    name: "a branch begins below the horizon", expect: "ReadIsFold",
    rule: "R5: branches below oldestReadable are refused in apply",
    edits: [
      { find: "  /\\ Readable(from)", replace: "  /\\ from <= head" }
    ]
  },
  {
    name: "rows go before the horizon has been raised", expect: "ReadIsFold",
    rule: "R5: first raise oldestReadable, then drop rows",
    edits: [
      { find: "  /\\ r.at <= horizon\n  /\\ ~Locked(r.at)", replace: "  /\\ ~Locked(r.at)" },
      { find: "first(c) == Max({horizon, c.at})", replace: "first(c) == Max({head, c.at})" },
      { find: "endOf(c) >= horizon /\\", replace: "endOf(c) >= head /\\" }
    ]
  },
  {
    name: "purging asks only the bucket that made the row", expect: "ReadIsFold",
    rule: "R5: drop rows that no lineage can see",
    edits: [
      { find: "b \\in {src} \\cup {u.b : u \\in {u \\in users : u.src = src}}", replace: "b \\in {src}" }
    ]
  },
  {
    name: "a branch is not noted at its source", expect: "ReadIsFold",
    rule: "R5: drop rows that no lineage can see",
    edits: [
      { find: "  /\\ users' = users \\cup {[src |-> lin[j].src, b |-> b] : j \\in {j \\in DOMAIN lin : lin[j].src # b}}", replace: "  /\\ users' = users" }
    ]
  },
  {
    name: "purging asks only the newest configuration", expect: "ReadIsFold",
    rule: "R5: what a readable commit before a rollback shows is needed",
    edits: [
      { find: "c \\in {c \\in cs : endOf(c) >= horizon /\\ first(c) <= endOf(c)}", replace: "c \\in {c \\in cs : c = NewestOf(cs) /\\ endOf(c) >= horizon}" }
    ]
  },
  {
    name: "retention counts from when a row was first hidden", expect: "ReadIsFold", model: "MCHistoryHorizon",
    rule: "R5: retention counts from when a row stops being visible, as it is now",
    edits: [
      { find: "~InView(view, r.src, r.at) \\/ HiddenIn(view, r)", replace: "~InView(view, r.src, r.at) \\/ \\E h \\in r.hides : h.at <= horizon" }
    ]
  },
  {
    name: "a rollback drops the rows after it", expect: "ReadIsFold",
    rule: "R5: rollback adds to the lineage and touches no row",
    edits: [
      { find: "  /\\ UNCHANGED <<naming, rows, users, horizon, kept, expiry, locks, clockVars, early>>\n\nBranch", replace: "  /\\ rows' = {r \\in rows : r.src # b \\/ r.at <= to}\n  /\\ UNCHANGED <<naming, users, horizon, kept, expiry, locks, clockVars, early>>\n\nBranch" }
    ]
  },
  {
    name: "a rollback puts rows back on the list", expect: "RollbackTouchesNoRow", model: "MCHistoryLive",
    rule: "R5: rollback touches no row, harmless as it may look",
    edits: [
      { find: "  /\\ UNCHANGED <<naming, rows, users, horizon, kept, expiry, locks, clockVars, early>>\n\nBranch", replace: "  /\\ rows' = {IF r.src = b THEN [r EXCEPT !.listed = TRUE] ELSE r : r \\in rows}\n  /\\ UNCHANGED <<naming, users, horizon, kept, expiry, locks, clockVars, early>>\n\nBranch" }
    ]
  },
  {
    name: "a rollback brings the locks of then back", expect: "RollbackTouchesNoRow", model: "MCHistoryTime",
    rule: "R5: locks are judged as of now; a rollback removes no lock",
    edits: [
      { find: "  /\\ UNCHANGED <<naming, rows, users, horizon, kept, expiry, locks, clockVars, early>>\n\nBranch", replace: "  /\\ locks' = {l \\in locks : l.v <= to}\n  /\\ UNCHANGED <<naming, rows, users, horizon, kept, expiry, clockVars, early>>\n\nBranch" }
    ]
  },
  {
    name: "a rollback leaves the interval open", expect: "LineagesWhole",
    rule: "R5: a lineage's intervals are disjoint",
    edits: [
      { find: "Extended(Clip(ConfigAt(b, to).lin, to), to, b", replace: "Extended(ConfigAt(b, to).lin, to, b" }
    ]
  },
  {
    name: "intervals are joined whatever happened between", expect: "ReadIsFold",
    rule: "R5: an undone rollback shows what was, and nothing of what was done meanwhile",
    edits: [
      { find: "last.to = at /\\ changed <= at", replace: "last.to = at" }
    ]
  },
  {
    name: "a change is not noted", expect: "ReadIsFold",
    rule: "ApplyHistory: lastChange proves that nothing happened since",
    edits: [
      { find: "IF b \\in bs /\\ Len(ConfigAt(b, Next1).lin) > 1 THEN Next1 ELSE lastChange[b]", replace: "lastChange[b]" }
    ]
  },
  {
    name: "a hide counts in every bucket", expect: "ReadIsFold",
    rule: "R5: what is hidden in one lineage is visible in another",
    edits: [
      { find: "HiddenIn(view, r) == \\E h \\in r.hides : InView(view, h.b, h.at)", replace: "HiddenIn(view, r) == r.hides # {}" }
    ]
  },
  {
    name: "a branch's hide takes the row off its source's list", expect: "ListedShowsAll",
    rule: "namespace invariant 3: a row lies in the table of what its own bucket lists",
    edits: [
      { find: "!.listed = @ /\\ r.src # b]", replace: "!.listed = FALSE]" }
    ]
  },
  {
    name: "room for a hide is made of any", expect: "ReadIsFold", model: "MCHistoryHides",
    rule: "R5: hides of buckets that can be read are kept",
    edits: [
      { find: "ELSE {h \\in r.hides : Reachable(h.b)}", replace: "ELSE {}" }
    ]
  },
  {
    name: "a bucket's hides go with its name", expect: "ReadIsFold", model: "MCHistoryHides",
    rule: "R5: a deleted bucket is read in the past",
    edits: [
      { find: "IN \\E m \\in ns : m.b = b /\\ ~\\E d \\in ns : d.at > m.at /\\ d.at <= horizon", replace: "IN \\E m \\in ns : m.b = b /\\ ~\\E d \\in ns : d.at > m.at" }
    ]
  },
  {
    name: "the configuration in force at the horizon goes", expect: "ReadIsFold",
    rule: "R5: what is read at the horizon stays",
    edits: [
      { find: "THEN {} ELSE by \\ {NewestOf(by)}", replace: "THEN {} ELSE by" }
    ]
  },
  {
    name: "an empty bucket is dropped though it has its name", expect: "ReadIsFold",
    rule: "R5: only what no readable commit names goes",
    edits: [
      { find: "rest |-> IF mapped \\/ Used(b) THEN {}", replace: "rest |-> IF Used(b) THEN {}" }
    ]
  },
  {
    name: "purging does not ask for locks", expect: "LockedKept", model: "MCHistoryTime",
    rule: "R5: drop rows that no lineage and no lock can see",
    edits: [
      { find: "  /\\ ~Locked(r.at)\n  /\\ \\A view", replace: "  /\\ \\A view" }
    ]
  },
  {
    name: "only hidden rows are walked", expect: "Collected", model: "MCHistoryLive",
    rule: "P5: what nobody can see goes in the end",
    edits: [
      { find: "(~r.listed \\/ ~ListsAll(r.src)) /\\ Purgeable(r)", replace: "~r.listed /\\ Purgeable(r)" }
    ]
  },
  {
    name: "the horizon goes where it is told", expect: "HorizonNeverBack", model: "MCHistoryLive",
    rule: "R5: the horizon never goes back",
    edits: [
      { find: "  /\\ h > horizon\n", replace: "  /\\ h # horizon\n" }
    ]
  },
  {
    name: "the horizon's commit row goes too", expect: "TimeIsFold", model: "MCHistoryTime",
    rule: "a time before the horizon is known as such",
    edits: [
      { find: "  /\\ kept' = horizon\n", replace: "  /\\ kept' = horizon + 1\n" }
    ]
  },
  {
    name: "the horizon follows a clock that has jumped", expect: "RetentionKept", model: "MCHistoryTime",
    rule: "R6: a larger jump suspends purge",
    edits: [
      { find: "  /\\ ~Suspended\n  /\\ RaiseTo(SequenceAt(Now - Retention))", replace: "  /\\ RaiseTo(SequenceAt(Wall - Retention))" }
    ]
  },
  {
    name: "what expires follows a clock that has jumped", expect: "NothingEarly", model: "MCHistoryTime",
    rule: "R6: a larger jump suspends expiry",
    edits: [
      { find: "LET due == {e \\in expiry : e.expires <= Stamp}", replace: "LET due == {e \\in expiry : e.expires <= Wall}" },
      { find: "  /\\ ~Suspended\n  /\\ \\E d \\in expiry : d.expires <= Now", replace: "  /\\ \\E d \\in expiry : d.expires <= Wall" }
    ]
  },
  {
    name: "locks follow a clock that has jumped", expect: "NothingEarly", model: "MCHistoryTime",
    rule: "R6: a larger jump suspends lock release",
    edits: [
      { find: "  /\\ ~Suspended\n  /\\ l.until <= Now", replace: "  /\\ l.until <= Wall" }
    ]
  },
  {
    name: "commits carry the wall clock, wherever it jumps", expect: "StampNear", model: "MCHistoryTime",
    rule: "R6: hybrid time is bounded against the monotonic clock",
    edits: [
      { find: "Stamp == Max({Now, StampOf(head)", replace: "Stamp == Max({Wall, StampOf(head)" }
    ]
  },
  {
    name: "a restart believes a clock that is behind", expect: "StampNear", model: "MCHistoryTime",
    rule: "R6: until an operator has confirmed it",
    edits: [
      { find: "  /\\ Abs(offset) <= Drift\n", replace: "  /\\ offset <= Drift\n" }
    ]
  },
  {
    name: "time follows the clock back", expect: "TimeForward", model: "MCHistoryTime",
    rule: "R6: strictly increasing hybrid time",
    edits: [
      { find: "Stamp == Max({Now, StampOf(head), floor + 1})", replace: "Stamp == Min({Now, Wall})" }
    ]
  },
  {
    name: "AS OF the future is answered", expect: "StampNear", model: "MCHistoryTime",
    rule: "R6: AS OF a future time is refused",
    edits: [
      { find: "  /\\ ms <= Latest\n", replace: "" }
    ]
  },
  {
    name: "a commit may come to lie before a time that was read", expect: "AskedStays", model: "MCHistoryTime",
    rule: "R12: AS OF reads are snapshots of one commit",
    edits: [
      { find: "  /\\ floor' = Max({floor, ms})", replace: "  /\\ floor' = floor" }
    ]
  },
  {
    name: "a version expires only where it was made", expect: "ReadIsFold", model: "MCHistoryExpiry",
    rule: "R5: every bucket that sees a version hides it by its own lineage",
    edits: [
      { find: "buckets == {e.src} \\cup {u.b : u \\in {u \\in users : u.src = e.src}}", replace: "buckets == {e.src}" }
    ]
  },
  {
    name: "an older version comes back", expect: "ReadIsFold", model: "MCHistoryExpiry",
    rule: "namespace invariant 10: a marker takes the place of what expired",
    edits: [
      { find: "ELSE next \\cup {NewRow(b)}", replace: "ELSE next" }
    ]
  }
]
