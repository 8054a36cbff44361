------------------------------- MODULE History -------------------------------
(***************************************************************************)
(* Buckets with history: lineages, rollback, branch, the horizon, purge,    *)
(* locks, expiry, and clocks that jump (rules R5 and R6 of the design).     *)
(*                                                                          *)
(* Two halves. `shown` is the log, folded: what every name showed after     *)
(* every commit, kept whole. The rows are what the code keeps instead:      *)
(* names, configurations with lineages, version rows with their hides. The  *)
(* invariants say that what is read from the rows is what the fold says.    *)
(*                                                                          *)
(* What history adds is numbered; housework (horizon, purge, dropping) is   *)
(* logged too, but shows nothing, so that its commits have no number here.  *)
(* Locks are not in the code yet.                                           *)
(***************************************************************************)
EXTENDS Integers, Sequences, FiniteSets

CONSTANTS
  Names, Keys,
  BucketsMax,   \* ids 1..BucketsMax, never used again
  CommitsMax,
  HidesMax,     \* of one row
  Keeps,        \* subset of BOOLEAN: whether a put leaves the version before it listed (versioning) or hides it
  Ttls,         \* of a put; 0: never
  LockTimes,    \* of a lock; Forever: until somebody takes it off
  TimeMax,      \* of the true clock
  Jumps,        \* by how much the wall clock may be wrong
  Drift,        \* by how much the clocks may differ before nothing is believed
  Retention,
  AsksMax,      \* reads AS OF a time that are remembered
  AnyHorizon,   \* whether an operator may raise the horizon to any commit
  Ops           \* what clients do

Forever == 99
NoBucket == 0

VARIABLES
  \* the rows
  head,       \* number of the newest commit; 0: none
  stamps,     \* its time, of each commit: milliseconds of the hybrid clock, whose counter is the order itself
  naming,     \* [name, at, b]: from commit `at` on the name means that bucket, or none
  config,     \* [b, at, name, lin]: lineage of a bucket from commit `at` on: <<[src, from, to]>>
  rows,       \* [src, at, hides, listed]: a version made in bucket src by commit at; hides: [b, at]; listed: in which table
  users,      \* [src, b]: b may read rows of src
  lastChange, \* of buckets of several intervals: the newest commit that changed what it shows
  horizon,    \* oldestReadable
  kept,       \* the oldest commit whose row, with its time, is kept
  expiry,     \* [expires, src, at]: versions whose turn to expire has not come
  locks,      \* [v, until, ends]: ends is `until` by the true clock, a ghost
  \* the process
  base,       \* how wrong the wall clock was when it was last believed
  floor,      \* every commit to come has a time after it
  \* the world
  true, offset,
  \* ghosts
  info,       \* of each commit: the version it made
  shown,      \* the fold: shown[s + 1] is what every name shows after commit s
  trueAt,     \* of each commit: the true time
  asked,      \* <<ms, s>>: the newest time that was read, and the commit that it meant
  asks,
  early       \* something expired or was released before its true time

stateVars == <<naming, config, rows, users, lastChange, horizon, kept, expiry, locks>>
commitVars == <<head, stamps, info, shown, trueAt>>
clockVars == <<base, floor, true, offset, asked, asks>>
vars == <<stateVars, commitVars, clockVars, early>>

Max(S) == CHOOSE m \in S : \A x \in S : x <= m
Min(S) == CHOOSE m \in S : \A x \in S : m <= x
Abs(n) == IF n < 0 THEN -n ELSE n
Last(seq) == seq[Len(seq)]
Front(seq) == SubSeq(seq, 1, Len(seq) - 1)
Next1 == head + 1

(***************************************************************************)
(* Time (R6)                                                               *)
(***************************************************************************)
Wall == true + offset
Steady == true + base
Suspended == Abs(offset - base) > Drift
\* The wall clock, as far as the monotonic clock bears it out.
Now == IF Suspended THEN (IF offset > base THEN Steady + Drift ELSE Steady - Drift) ELSE Wall
StampOf(s) == IF s = 0 THEN 0 ELSE stamps[s]
Stamp == Max({Now, StampOf(head), floor + 1})
\* Reads of the newest commit are of this moment.
Latest == Max({Now, StampOf(head)})

\* A commit row that is gone is taken for older than what is asked.
SequenceAt(ms) == Max({s \in 0..head : s < kept \/ StampOf(s) <= ms})

(***************************************************************************)
(* Views                                                                   *)
(***************************************************************************)
NewestOf(S) == CHOOSE x \in S : \A y \in S : y.at <= x.at
NamingsOf(n) == {m \in naming : m.name = n}
ConfigsOf(b) == {c \in config : c.b = b}
NameAt(n, s) ==
  LET then == {m \in NamingsOf(n) : m.at <= s} IN IF then = {} THEN NoBucket ELSE NewestOf(then).b
ConfigAt(b, s) ==
  LET then == {c \in ConfigsOf(b) : c.at <= s} IN IF then = {} THEN [b |-> b, at |-> 0, name |-> "", lin |-> <<>>] ELSE NewestOf(then)

Clip(lin, s) ==
  LET begun == SelectSeq(lin, LAMBDA i : i.from <= s)
  IN [j \in DOMAIN begun |-> [begun[j] EXCEPT !.to = Min({@, s})]]
InView(view, src, s) == \E j \in DOMAIN view : view[j].src = src /\ view[j].from <= s /\ s <= view[j].to
HiddenIn(view, r) == \E h \in r.hides : InView(view, h.b, h.at)
VisibleIn(rs, view) == {r \in rs : InView(view, r.src, r.at) /\ ~HiddenIn(view, r)}
KeyOf(r) == info[r.at].key
OfKey(rs, k) == {r \in rs : KeyOf(r) = k}

ViewAt(n, s) == Clip(ConfigAt(NameAt(n, s), s).lin, s)
\* What a commit that is being applied sees.
ViewNow(n) == ViewAt(n, Next1)
VisibleNow(n) == VisibleIn(rows, ViewNow(n))
Expired(v) == info[v].expires <= Stamp

\* A read AS OF commit s.
Read(n, s) ==
  IF s < horizon THEN [refused |-> TRUE]
  ELSE [b |-> NameAt(n, s), vis |-> IF NameAt(n, s) = NoBucket THEN {} ELSE {r.at : r \in VisibleIn(rows, ViewAt(n, s))}]

(***************************************************************************)
(* The log and its fold                                                    *)
(***************************************************************************)
Shows == shown[head + 1]
Nothing == [b |-> NoBucket, vis |-> {}]
VersionsOf(vis, k) == {v \in vis : info[v].key = k}
NoVersion == [key |-> "", marker |-> FALSE, expires |-> Forever, ttl |-> 0]

Logged(next, version) ==
  /\ head < CommitsMax
  /\ head' = Next1
  /\ stamps' = Append(stamps, Stamp)
  /\ trueAt' = Append(trueAt, true)
  /\ info' = Append(info, version)
  /\ shown' = Append(shown, next)

(***************************************************************************)
(* Hiding                                                                  *)
(***************************************************************************)
\* Whether any read from the horizon on may go through the bucket.
Reachable(b) ==
  \/ \E u \in users : u.src = b
  \/ /\ ConfigsOf(b) # {}
     /\ LET ns == NamingsOf(NewestOf(ConfigsOf(b)).name)
        IN \E m \in ns : m.b = b /\ ~\E d \in ns : d.at > m.at /\ d.at <= horizon

HidesThatMatter(r) == IF Cardinality(r.hides) < HidesMax THEN r.hides ELSE {h \in r.hides : Reachable(h.b)}
CanHide(r) == Cardinality(HidesThatMatter(r)) < HidesMax
Hidden(r, b) == [r EXCEPT !.hides = HidesThatMatter(r) \cup {[b |-> b, at |-> Next1]}, !.listed = @ /\ r.src # b]
NewRow(b) == [src |-> b, at |-> Next1, hides |-> {}, listed |-> TRUE]
Locked(v) == \E l \in locks : l.v = v
LockOf(v) == CHOOSE l \in locks : l.v = v

\* What a commit notes of a bucket that it changed.
Noted(bs) == [b \in DOMAIN lastChange |-> IF b \in bs /\ Len(ConfigAt(b, Next1).lin) > 1 THEN Next1 ELSE lastChange[b]]

(***************************************************************************)
(* Buckets and objects                                                     *)
(***************************************************************************)
NewBucket == Max({NoBucket} \cup {shown[s][n].b : s \in DOMAIN shown, n \in Names}) + 1

CreateBucket(n) ==
  LET b == NewBucket IN
  /\ "create" \in Ops
  /\ b <= BucketsMax
  /\ NameAt(n, Next1) = NoBucket
  /\ Logged([Shows EXCEPT ![n] = [b |-> b, vis |-> {}]], NoVersion)
  /\ naming' = naming \cup {[name |-> n, at |-> Next1, b |-> b]}
  /\ config' = config \cup {[b |-> b, at |-> Next1, name |-> n, lin |-> <<[src |-> b, from |-> Next1, to |-> Forever]>>]}
  /\ UNCHANGED <<rows, users, lastChange, horizon, kept, expiry, locks, clockVars, early>>

DeleteBucket(n) ==
  /\ "drop" \in Ops
  /\ NameAt(n, Next1) # NoBucket
  /\ \A r \in VisibleNow(n) : Expired(r.at)
  /\ Logged([Shows EXCEPT ![n] = Nothing], NoVersion)
  /\ naming' = naming \cup {[name |-> n, at |-> Next1, b |-> NoBucket]}
  /\ UNCHANGED <<config, rows, users, lastChange, horizon, kept, expiry, locks, clockVars, early>>

PutObject(n, k, keep, ttl) ==
  LET b == NameAt(n, Next1)
      olds == IF keep THEN {} ELSE OfKey(VisibleNow(n), k)
      hidden == IF olds = {} THEN {} ELSE {NewestOf(olds)}
      expires == IF ttl = 0 THEN Forever ELSE Stamp + ttl
      before == VersionsOf(Shows[n].vis, k)
      goes == IF keep \/ before = {} THEN {} ELSE {Max(before)}
  IN
  /\ b # NoBucket
  /\ \A r \in hidden : CanHide(r) /\ ~Locked(r.at)
  /\ Logged([Shows EXCEPT ![n].vis = (@ \ goes) \cup {Next1}], [key |-> k, marker |-> FALSE, expires |-> expires, ttl |-> ttl])
  /\ rows' = (rows \ hidden) \cup {Hidden(r, b) : r \in hidden} \cup {NewRow(b)}
  /\ expiry' = IF ttl = 0 THEN expiry ELSE expiry \cup {[expires |-> expires, src |-> b, at |-> Next1]}
  /\ lastChange' = Noted({b})
  /\ UNCHANGED <<naming, config, users, horizon, kept, locks, clockVars, early>>

\* A version, by its id: what S3 lists loses it, history does not.
DeleteObjects(n, v) ==
  LET b == NameAt(n, Next1)
      gone == {r \in VisibleNow(n) : r.at = v}
  IN
  /\ "delete" \in Ops
  /\ b # NoBucket
  /\ gone # {} /\ ~Expired(v) /\ ~Locked(v)
  /\ \A r \in gone : CanHide(r)
  /\ Logged([Shows EXCEPT ![n].vis = @ \ {v}], NoVersion)
  /\ rows' = (rows \ gone) \cup {Hidden(r, b) : r \in gone}
  /\ lastChange' = Noted({b})
  /\ UNCHANGED <<naming, config, users, horizon, kept, expiry, locks, clockVars, early>>

(***************************************************************************)
(* Rollback and branch: of a lineage, never of a row                       *)
(***************************************************************************)
Readable(s) == horizon <= s /\ s <= head

\* The lineage of then, ended at then, and on in the bucket's own rows. Joined where nothing happened to it since.
Extended(then, at, own, from, changed) ==
  LET last == Last(then)
      filled == SelectSeq(Tail(then), LAMBDA i : i.from < i.to)
  IN IF then = <<>> THEN <<[src |-> own, from |-> from, to |-> Forever]>>
     ELSE IF last.src = own /\ last.to = at /\ changed <= at
     THEN Append(Front(then), [last EXCEPT !.to = Forever])
     ELSE Append(<<Head(then)>> \o filled, [src |-> own, from |-> from, to |-> Forever])

Rollback(n, to) ==
  LET b == NameAt(n, Next1)
      now == ConfigAt(b, Next1)
      changed == IF Len(now.lin) = 1 THEN head ELSE lastChange[b]
      lin == Extended(Clip(ConfigAt(b, to).lin, to), to, b, Next1, changed)
      same == lin = now.lin
  IN
  /\ "rollback" \in Ops
  /\ b # NoBucket
  /\ Readable(to)
  /\ NameAt(n, to) = b
  /\ Logged([Shows EXCEPT ![n].vis = shown[to + 1][n].vis], NoVersion)
  /\ config' = IF same THEN config ELSE config \cup {[b |-> b, at |-> Next1, name |-> n, lin |-> lin]}
  /\ lastChange' = IF same THEN lastChange
                   ELSE [lastChange EXCEPT ![b] = IF Len(lin) = 1 THEN 0 ELSE IF Len(now.lin) = 1 THEN head ELSE @]
  /\ UNCHANGED <<naming, rows, users, horizon, kept, expiry, locks, clockVars, early>>

Branch(n, source, from) ==
  LET b == NewBucket
      then == ConfigAt(NameAt(source, from), from)
      lin == Extended(Clip(then.lin, from), from, b, Next1, Next1)
  IN
  /\ "branch" \in Ops
  /\ b <= BucketsMax
  /\ Readable(from)
  /\ NameAt(source, from) # NoBucket
  /\ NameAt(n, Next1) = NoBucket
  /\ Logged([Shows EXCEPT ![n] = [b |-> b, vis |-> shown[from + 1][source].vis]], NoVersion)
  /\ naming' = naming \cup {[name |-> n, at |-> Next1, b |-> b]}
  /\ config' = config \cup {[b |-> b, at |-> Next1, name |-> n, lin |-> lin]}
  /\ lastChange' = [lastChange EXCEPT ![b] = head]
  /\ users' = users \cup {[src |-> lin[j].src, b |-> b] : j \in {j \in DOMAIN lin : lin[j].src # b}}
  /\ UNCHANGED <<rows, horizon, kept, expiry, locks, clockVars, early>>

(***************************************************************************)
(* Housework: horizon, purge, what is left of buckets and commits          *)
(***************************************************************************)
\* The last commit at which a name means the bucket; -1 where none can be read.
MappedUntil(c) ==
  LET ns == NamingsOf(c.name)
      mine == {m \in ns : m.b = c.b}
      newer == {m \in ns : \A d \in mine : d.at < m.at}
      until == IF newer = {} THEN Forever ELSE Min({m.at : m \in newer}) - 1
  IN IF mine = {} \/ until < horizon THEN -1 ELSE until

\* Of each configuration that was in force at some readable commit: the view at the first of these.
ViewsThrough(b) ==
  LET cs == ConfigsOf(b)
      endOf(c) == LET newer == {d \in cs : d.at > c.at}
                  IN IF newer = {} THEN MappedUntil(c) ELSE IF MappedUntil(NewestOf(cs)) < horizon THEN -1 ELSE Min({d.at : d \in newer}) - 1
      first(c) == Max({horizon, c.at})
  IN {Clip(c.lin, first(c)) : c \in {c \in cs : endOf(c) >= horizon /\ first(c) <= endOf(c)}}

ViewsOf(src) == UNION {ViewsThrough(b) : b \in {src} \cup {u.b : u \in {u \in users : u.src = src}}}

Purgeable(r) ==
  /\ r.at <= horizon
  /\ ~Locked(r.at)
  /\ \A view \in ViewsOf(r.src) : ~InView(view, r.src, r.at) \/ HiddenIn(view, r)

\* Every listed row is shown by the newest commit: the collector does not look at them.
ListsAll(b) ==
  /\ ConfigsOf(b) # {}
  /\ LET c == NewestOf(ConfigsOf(b)) IN Len(c.lin) = 1 /\ MappedUntil(c) = Forever

\* What a walk of the collector comes to.
Candidates == {r \in rows : (~r.listed \/ ~ListsAll(r.src)) /\ Purgeable(r)}
Before(r, q) == r.src < q.src \/ (r.src = q.src /\ r.at < q.at)

\* Row by row, in the order of the table; each judged in the commit that drops it.
PurgeVersions ==
  /\ Candidates # {}
  /\ LET r == CHOOSE r \in Candidates : \A q \in Candidates \ {r} : Before(r, q) IN
     /\ rows' = rows \ {r}
     /\ expiry' = {e \in expiry : ~(e.src = r.src /\ e.at = r.at)}
  /\ UNCHANGED <<naming, config, users, lastChange, horizon, kept, locks, commitVars, clockVars, early>>

RaiseTo(h) ==
  /\ h > horizon
  /\ horizon' = Min({h, head})
  /\ UNCHANGED <<naming, config, rows, users, lastChange, kept, expiry, locks, commitVars, clockVars, early>>

\* Retention: only what has not been the newest for so long.
RaiseHorizon ==
  /\ ~Suspended
  /\ RaiseTo(SequenceAt(Now - Retention))

\* By hand, with no regard to time.
RaiseByHand(h) == AnyHorizon /\ h <= head /\ RaiseTo(h)

\* Names and configurations that another has taken the place of by the horizon.
Superseded(S) == LET by == {x \in S : x.at <= horizon} IN IF by = {} THEN {} ELSE by \ {NewestOf(by)}
Used(b) == (\E r \in rows : r.src = b) \/ (\E u \in users : u.src = b)
Old(b) ==
  LET c == NewestOf(ConfigsOf(b))
      ns == NamingsOf(c.name)
      oldNames == Superseded(ns)
      oldConfigs == Superseded(ConfigsOf(b))
      by == {m \in ns : m.at <= horizon}
      ended == IF by # {} /\ NewestOf(by).b = NoBucket THEN {NewestOf(by)} ELSE {}
      mapped == \E m \in ns \ oldNames : m.b = b
      mine == {u \in users : u.b = b /\ \E j \in DOMAIN c.lin : c.lin[j].src = u.src}
  IN [names |-> oldNames, configs |-> oldConfigs, ended |-> ended, users |-> IF mapped \/ Used(b) THEN {} ELSE mine,
      rest |-> IF mapped \/ Used(b) THEN {} ELSE ConfigsOf(b)]
Oldest(S) == CHOOSE x \in S : \A y \in S : x.at <= y.at

\* Row by row, oldest first, so that what is left never says more than before.
DropHistory(b) ==
  /\ ConfigsOf(b) # {}
  /\ LET old == Old(b) IN
     \/ /\ old.names # {}
        /\ naming' = naming \ {Oldest(old.names)} /\ UNCHANGED <<config, users>>
     \/ /\ old.names = {} /\ old.configs # {}
        /\ config' = config \ {Oldest(old.configs)} /\ UNCHANGED <<naming, users>>
     \/ /\ old.names = {} /\ old.configs = {} /\ old.ended # {}
        /\ naming' = naming \ old.ended /\ UNCHANGED <<config, users>>
     \/ /\ old.names = {} /\ old.configs = {} /\ old.ended = {} /\ old.users # {}
        /\ users' = users \ {CHOOSE u \in old.users : \A w \in old.users : u.src <= w.src} /\ UNCHANGED <<naming, config>>
     \/ /\ old.names = {} /\ old.configs = {} /\ old.ended = {} /\ old.users = {} /\ old.rest # {}
        /\ config' = config \ {Oldest(old.rest)} /\ UNCHANGED <<naming, users>>
  /\ UNCHANGED <<rows, lastChange, horizon, kept, expiry, locks, commitVars, clockVars, early>>

\* Rows of commits before the horizon; its own stays, so that a time before it is known as such.
DropCommits ==
  /\ kept < horizon
  /\ kept' = horizon
  /\ UNCHANGED <<naming, config, rows, users, lastChange, horizon, expiry, locks, commitVars, clockVars, early>>

(***************************************************************************)
(* Expiry and locks: what time does                                        *)
(***************************************************************************)
Tolerance == 4 * Drift
TooEarly(trueEnd) == true + Tolerance < trueEnd

\* The version in one bucket that sees it: hidden; a marker takes its place where an older one would come back.
ExpireIn(rs, b, e) ==
  LET c == ConfigAt(b, Next1)
      view == Clip(c.lin, Next1)
      found == {r \in VisibleIn(rs, view) : r.src = e.src /\ r.at = e.at}
  IN IF ConfigsOf(b) = {} \/ NameAt(c.name, Next1) # b \/ found = {} THEN rs
     ELSE LET r == CHOOSE r \in found : TRUE
              k == KeyOf(r)
              newest == NewestOf(OfKey(VisibleIn(rs, view), k))
              next == (rs \ {r}) \cup {Hidden(r, b)}
              older == OfKey(VisibleIn(next, view), k)
          IN IF ~CanHide(r) THEN rs
             ELSE IF newest # r \/ older = {} \/ info[NewestOf(older).at].marker \/ Expired(NewestOf(older).at) THEN next
             ELSE next \cup {NewRow(b)}

RECURSIVE ExpireInAll(_, _, _)
ExpireInAll(rs, bs, e) ==
  IF bs = {} THEN rs ELSE LET b == Min(bs) IN ExpireInAll(ExpireIn(rs, b, e), bs \ {b}, e)

FoldExpired(vis, v) ==
  LET older == VersionsOf(vis, info[v].key) \ {v}
      top == Max(older)
      marked == older # {} /\ (\A o \in older : o < v) /\ ~info[top].marker /\ ~Expired(top)
  IN IF v \notin vis THEN vis ELSE (vis \ {v}) \cup (IF marked THEN {Next1} ELSE {})

\* One version's turn, the earliest first, in every bucket that may see it.
ExpireVersions ==
  LET due == {e \in expiry : e.expires <= Stamp}
      e == CHOOSE e \in due : \A d \in due \ {e} : e.expires < d.expires \/ (e.expires = d.expires /\ e.at < d.at)
      buckets == {e.src} \cup {u.b : u \in {u \in users : u.src = e.src}}
      next == ExpireInAll(rows, buckets, e)
  IN
  /\ ~Suspended
  /\ \E d \in expiry : d.expires <= Now
  /\ \A r \in rows : (r.src = e.src /\ r.at = e.at) => Cardinality(r.hides) + Cardinality(buckets) <= HidesMax
  /\ Logged([n \in Names |-> [Shows[n] EXCEPT !.vis = FoldExpired(@, e.at)]], [NoVersion EXCEPT !.key = info[e.at].key, !.marker = TRUE])
  /\ rows' = next
  /\ expiry' = expiry \ {e}
  /\ lastChange' = Noted({b \in buckets : \E r \in next : [b |-> b, at |-> Next1] \in r.hides})
  /\ early' = (early \/ TooEarly(trueAt[e.at] + info[e.at].ttl))
  /\ UNCHANGED <<naming, config, users, horizon, kept, locks, clockVars>>

Lock(n, v, time) ==
  /\ v \in {r.at : r \in VisibleNow(n)}
  /\ ~Locked(v)
  /\ locks' = locks \cup {[v |-> v, until |-> IF time = Forever THEN Forever ELSE Stamp + time, ends |-> IF time = Forever THEN Forever ELSE true + time]}
  /\ UNCHANGED <<naming, config, rows, users, lastChange, horizon, kept, expiry, commitVars, clockVars, early>>

\* A hold without an end is taken off by whoever may.
Unlock(v) ==
  LET l == LockOf(v) IN
  /\ Locked(v)
  /\ l.until = Forever
  /\ locks' = locks \ {l}
  /\ UNCHANGED <<naming, config, rows, users, lastChange, horizon, kept, expiry, commitVars, clockVars, early>>

\* Judged as of now, never AS OF.
ReleaseLock(v) ==
  LET l == LockOf(v) IN
  /\ Locked(v)
  /\ ~Suspended
  /\ l.until <= Now
  /\ locks' = locks \ {l}
  /\ early' = (early \/ TooEarly(l.ends))
  /\ UNCHANGED <<naming, config, rows, users, lastChange, horizon, kept, expiry, commitVars, clockVars>>

(***************************************************************************)
(* Clocks and readers                                                      *)
(***************************************************************************)
Tick ==
  /\ true < TimeMax
  /\ true' = true + 1
  /\ UNCHANGED <<stateVars, commitVars, base, floor, offset, asked, asks, early>>

Jump(by) ==
  /\ by # offset
  /\ offset' = by
  /\ UNCHANGED <<stateVars, commitVars, base, floor, true, asked, asks, early>>

\* Somebody has seen to it that the clock is right; a new process knows nothing of the monotonic clock before.
Restart ==
  /\ Abs(offset) <= Drift
  /\ base # offset \/ floor >= 0
  /\ base' = offset
  /\ floor' = -1
  /\ asked' = <<-1, 0>>
  /\ UNCHANGED <<stateVars, commitVars, true, offset, asks, early>>

\* Once a time was read, no later commit gets a time at or before it.
ReadAsOfTime(ms) ==
  /\ asks < AsksMax
  /\ ms <= Latest
  /\ ms > asked[1]
  /\ SequenceAt(ms) >= horizon
  /\ floor' = Max({floor, ms})
  /\ asked' = <<ms, SequenceAt(ms)>>
  /\ asks' = asks + 1
  /\ UNCHANGED <<stateVars, commitVars, base, true, offset, early>>

\* Commit 1 made a bucket.
First == CHOOSE n \in Names : TRUE
Init ==
  /\ head = 1 /\ stamps = <<1>> /\ rows = {} /\ users = {}
  /\ naming = {[name |-> First, at |-> 1, b |-> 1]}
  /\ config = {[b |-> 1, at |-> 1, name |-> First, lin |-> <<[src |-> 1, from |-> 1, to |-> Forever]>>]}
  /\ lastChange = [b \in 1..BucketsMax |-> 0]
  /\ horizon = 0 /\ kept = 1 /\ expiry = {} /\ locks = {}
  /\ base = 0 /\ floor = -1 /\ true = 1 /\ offset = 0
  /\ info = <<NoVersion>> /\ trueAt = <<1>>
  /\ shown = <<[n \in Names |-> Nothing], [n \in Names |-> IF n = First THEN [b |-> 1, vis |-> {}] ELSE Nothing]>>
  /\ asked = <<-1, 0>> /\ asks = 0 /\ early = FALSE

\* Over constants, so that TLC tells these actions apart.
Next ==
  \/ \E n \in Names : CreateBucket(n)
  \/ \E n \in Names : DeleteBucket(n)
  \/ \E n \in Names, k \in Keys, keep \in Keeps, ttl \in Ttls : PutObject(n, k, keep, ttl)
  \/ \E n \in Names, v \in 1..CommitsMax : DeleteObjects(n, v)
  \/ \E n \in Names, to \in 0..CommitsMax : Rollback(n, to)
  \/ \E n \in Names, source \in Names, from \in 0..CommitsMax : Branch(n, source, from)
  \/ RaiseHorizon
  \/ \E h \in 1..CommitsMax : RaiseByHand(h)
  \/ PurgeVersions
  \/ \E b \in 1..BucketsMax : DropHistory(b)
  \/ DropCommits
  \/ ExpireVersions
  \/ \E n \in Names, v \in 1..CommitsMax, time \in LockTimes : Lock(n, v, time)
  \/ \E v \in 1..CommitsMax : Unlock(v)
  \/ \E v \in 1..CommitsMax : ReleaseLock(v)
  \/ Tick
  \/ \E by \in Jumps : Jump(by)
  \/ Restart
  \/ \E ms \in 0..TimeMax + Max(Jumps) + 1 : ReadAsOfTime(ms)

Fairness ==
  /\ WF_vars(PurgeVersions)
  /\ \A b \in 1..BucketsMax : WF_vars(DropHistory(b))

Spec == Init /\ [][Next]_vars /\ Fairness

(***************************************************************************)
(* What must hold                                                          *)
(***************************************************************************)
\* P2, P3: what is read AS OF a commit is what the log says, or it is refused; and it is refused only below the horizon.
ReadIsFold ==
  \A s \in 0..head, n \in Names : IF s < horizon THEN Read(n, s) = [refused |-> TRUE] ELSE Read(n, s) = shown[s + 1][n]

\* A bucket of one interval is listed from its listed rows alone.
ListedShowsAll ==
  \A n \in Names :
    LET b == NameAt(n, head) IN
    (b # NoBucket /\ Len(ConfigAt(b, head).lin) = 1) => \A r \in VisibleIn(rows, ViewAt(n, head)) : r.listed

\* A read AS OF a time means the commit that was the newest then, or is refused as that would be.
TimeIsFold ==
  \A ms \in 0..TimeMax + 2 :
    LET means == Max({s \in 0..head : StampOf(s) <= ms})
    IN SequenceAt(ms) = means \/ (SequenceAt(ms) < horizon /\ means < horizon)

\* Time never runs back, and runs ahead of the truth no further than clocks may differ.
TimeForward == \A s \in 1..head : StampOf(s - 1) <= stamps[s]
StampNear == \A s \in 1..head : stamps[s] <= trueAt[s] + 2 * Drift + asks /\ stamps[s] >= trueAt[s] - 2 * Drift

\* A time that was read means the same commit ever after.
AskedStays == asked[1] >= 0 => asked[2] = Max({s \in 0..head : StampOf(s) <= asked[1]})

\* What could be seen within the retention can be read.
RetentionKept == AnyHorizon \/ horizon <= Max({s \in 0..head : s = 0 \/ trueAt[s] <= true - Retention + Tolerance})

LockedKept == \A l \in locks : \E r \in rows : r.at = l.v
NothingEarly == ~early

\* Lineages: disjoint intervals, oldest first, the last one open and the bucket's own; bounded by the commits.
LineagesWhole ==
  \A c \in config :
    /\ c.lin # <<>>
    /\ Last(c.lin).src = c.b /\ Last(c.lin).to = Forever
    /\ \A j \in 1..Len(c.lin) - 1 : c.lin[j].to < c.lin[j + 1].from

TypeOK ==
  /\ head \in 0..CommitsMax /\ horizon \in 0..head
  /\ Len(stamps) = head /\ Len(info) = head /\ Len(shown) = head + 1
  /\ \A r \in rows : r.at \in 1..head /\ Cardinality(r.hides) <= HidesMax

\* A commit that changes lineages, of buckets that are there, is a rollback.
RollbackTouchesNoRow == [][(head' # head /\ config' # config /\ naming' = naming) => UNCHANGED <<rows, locks>>]_vars
HorizonNeverBack == [][horizon <= horizon']_vars

(***************************************************************************)
(* What must come to pass (P5, P8): what nobody can see goes               *)
(***************************************************************************)
Garbage == {r \in rows : ~Locked(r.at) /\ \A s \in horizon..head, n \in Names : r.at \notin shown[s + 1][n].vis}
\* Buckets that no readable commit names, that no rows are left of and that nobody reads through.
Remains ==
  {c \in config : /\ \A s \in horizon..head, n \in Names : shown[s + 1][n].b # c.b
                  /\ \A r \in rows : r.src # c.b
                  /\ \A d \in config : d.b # c.b => \A j \in DOMAIN d.lin : d.lin[j].src # c.b}
Collected == []<>(Garbage = {} /\ Remains = {})
=============================================================================
