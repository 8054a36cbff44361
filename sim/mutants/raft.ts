/**
 * Mutants of the consensus machine (src/raft). Clusters that a seed drives judge them (test/raft/swarm.ts).
 *
 * No mutants, for another guard holds whatever happens:
 * - votes of another term counted: receive() lets no message of another term come so far;
 * - a new leader taking for written what its disk is still writing: it commits by entries of its own term alone, which are written after that;
 * - a snapshot over gaps, or over what is not applied: nothing is handed out over a gap, and a runner compacts what it has applied;
 * - a change of membership before the leader has committed in its term: what single-server changes need (raft-dev, July 2015); a joint
 *   configuration takes a majority of the one before it as well, and thousands of seeds found no harm. The rule stays, it costs nothing;
 * - a promise of a term that is over, said in its own name: whoever hears it lets it pass.
 */
import { type Mutant, mutant } from "./Mutant.ts"

const planted = (file: string) => (id: string, what: string, find: string, replace: string): Mutant => mutant("raft", id, what, `raft/${file}.ts`, find, replace)

const election = planted("Election")
const follower = planted("Follower")
const leader = planted("Leader")
const reads = planted("Reads")
const outbox = planted("Outbox")
const machine = planted("Raft")
const log = planted("RaftLog")
const configuration = planted("Configuration")
const start = planted("RaftState")

export const raftMutants: ReadonlyArray<Mutant> = [
  election("vote-before-disk", "a vote is given before it is on the disk: a crash, and the same replica votes again", `  hold(state, from, { _tag: "Vote", pre: false, granted })`, `  send(state, out, from, { _tag: "Vote", pre: false, granted })`),
  election("vote-for-two", "a second candidate of the term gets a vote as well", `const isFree = state.vote === undefined && state.leader === undefined || state.vote === from`, `const isFree = state.leader === undefined || state.vote === from`),
  election("vote-for-any-log", "a vote goes to a candidate whose log lacks what is here (5.4.1)", `  const granted = isFree && isNewEnough(state, request)\n  if`, `  const granted = isFree\n  if`),
  election("longer-log-wins", "the longer log counts as the newer one, whatever its last term", `return lastTerm > ours || (lastTerm === ours && lastIndex >= lastIndexOf(state.log))`, `return lastIndex >= lastIndexOf(state.log)`),
  election("last-term-alone", "of two logs that end in one term the shorter one is new enough", `(lastTerm === ours && lastIndex >= lastIndexOf(state.log))`, `lastTerm === ours`),
  election("own-vote-at-once", "a candidate counts its own vote before it is on the disk", `  if (pre) count(state, out, id, true)\n  else hold(`, `  count(state, out, id, true)\n  if (!pre) hold(`),
  election("pre-vote-elects", "whoever was told that it may stand leads, without having stood", `    if (state.role === "PreCandidate") stand(state, out, false)\n    else lead(state, out)`, `    lead(state, out)`),
  election("stands-with-gaps", "a replica that cannot read all of its log stands for election", `  firstGapOf(log) === undefined\n  && (`, `  (`),
  election("vote-survives-term", "the vote of one term counts in the next one", `    state.vote = undefined\n    state.proving = []`, `    state.proving = []`),
  election("term-not-written", "a term that was heard of is not written: after a crash it is earlier again", `    state.proving = []\n    hardStateChanged(state)`, `    state.proving = []`),
  election("vote-not-written", "a vote for another one is not written", `    if (state.vote === undefined) hardStateChanged(state)\n`, ``),
  election("dismissed-never-stands", "a voter that an uncommitted entry dismisses does not stand, although nobody else has the log", `&& (isVoter(configuration, id) || (`, `&& (isVoter(configuration, id) && (`),

  leader("old-term-commit", "an entry of an earlier term is committed by counting copies (figure 8)", `if (index <= state.commit || termAt(log, index) !== state.term) return`, `if (index <= state.commit) return`),
  leader("own-copy-unwritten", "a leader counts its own copy before it is written", `  hold(state, state.id, { _tag: "Appended", match: index, received: index, damagedTo: undefined, round: 0 })\n  broadcast(state, out)`, `  ownPeer(state).match = index\n  ownPeer(state).next = index + 1\n  broadcast(state, out)`),
  leader("stale-refusal-believed", "an old refusal takes back what a peer has acknowledged since", `  else if (previousIndex <= peer.match || (peer.mode === "Probe" && previousIndex !== peer.next - 1)) return`, `  else peer.match = Math.min(peer.match, hintIndex)`),
  leader("round-of-asker-believed", "an answer counts for the newest round, whichever it answers", `  peer.round = Math.max(peer.round, round)`, `  peer.round = state.round`),
  leader("members-not-followed", "who has just come into the configuration is sent nothing", `  if (body._tag === "Configuration") lookAtMembers(state, body.configuration)\n`, ``),
  leader("joint-for-ever", "a joint configuration is never left", `  if (isJoint(state.configuration)) appendOwn(state, out, { _tag: "Configuration", configuration: settled(state.configuration) })\n`, ``),
  leader("dismissed-leads-on", "a leader without a vote leads on after its removal is committed", `  role === "Leader" && configurationIndex <= commit && !isVoter(configuration, id)`, `  role === "Leader" && configurationIndex < 0 && configurationIndex <= commit && !isVoter(configuration, id)`),
  leader("damage-not-believed", "a peer that says it can no longer read what it had still counts with it", `  if (damagedTo !== undefined) peer.match = Math.min(peer.match, hintIndex)\n  // An`, `  if (damagedTo !== undefined) peer.match += 0\n  // An`),
  leader("no-fillers", "a leader with the shorter log never lets a damaged peer know what it may forget", `count < fillersMax && lastIndexOf`, `count < 0 && lastIndexOf`),
  leader("offer-once", "a state that was offered once is never offered again", `    peer.isWaiting = false\n    if (peer.mode === "Replicate" &&`, `    if (peer.mode !== "Snapshot") peer.isWaiting = false\n    if (peer.mode === "Replicate" &&`),

  follower("acknowledged-before-disk", "a copy is acknowledged before it is written", `  hold(state, from, { _tag: "Appended", match, received, damagedTo: isTaken ? undefined : lastIndexOf(log), round })`, `  send(state, out, from, { _tag: "Appended", match, received, damagedTo: isTaken ? undefined : lastIndexOf(log), round })`),
  follower("conflict-kept", "an entry of another term stays where the leader has its own", `      cutFrom(state, entry.index)\n    }\n    store(state, entry)`, `      continue\n    }\n    store(state, entry)`),
  follower("term-before-unchecked", "what follows on an entry of another term is appended", `|| termAt(log, previousIndex) !== previousTerm)) {`, `|| termAt(log, previousIndex) === undefined)) {`),
  follower("commit-beyond-match", "what the leader has committed is taken for committed here, although another entry may stand there", `Math.min(commit, match))`, `Math.min(commit, lastIndexOf(log)))`),
  follower("gap-filled-unproven", "a gap whose term is lost takes whatever the leader has there, before anything shows that it is the same", `  if (!isProven(state, entries)) {`, `  if (!isProven(state, entries) && entries.length === 0) {`),
  follower("gap-acknowledged", "while it has gaps it acknowledges what lies behind them", `  const match = isTaken ? received : gap! - 1`, `  const match = received`),
  follower("gap-refusal-forgets", "a refusal does not say that entries are damaged", `damagedTo: firstGapOf(state.log) === undefined ? undefined : lastIndexOf(state.log), round })`, `damagedTo: undefined, round })`),
  follower("state-cuts-log", "a state that is installed takes entries with it that lie behind it", `  if (mayGoOn(log, snapshot)) {`, `  if (mayGoOn(log, snapshot) && snapshot.index === -1) {`),
  follower("state-without-configuration", "a state is installed, and the configuration that it has is not looked at", `  state.handed = Math.max(state.handed, snapshot.index)\n  lookAtConfiguration(state)`, `  state.handed = Math.max(state.handed, snapshot.index)`),
  follower("state-not-handed", "what an installed state has is applied once more", `  state.handed = Math.max(state.handed, snapshot.index)\n  lookAtConfiguration(state)`, `  lookAtConfiguration(state)`),
  follower("gaps-not-asked-for", "while nobody leads, a replica with gaps asks nobody for them", `  const from = firstGapOf(log)\n  if (from === undefined) return\n  let to`, `  const from = firstGapOf(log)\n  if (from === undefined || from > 0) return\n  let to`),
  follower("found-terms-unchecked", "an entry that another replica has goes into a gap whether or not its term is that of the gap", `    if (known !== undefined && known !== term) break\n    if (known !== undefined) same = from + at`, `    if (known === undefined || known !== 0) same = from + at`),

  reads("read-without-round", "a read is answered without asking whether this replica still leads", `  answer(state, out, reachedBy(configuration, roundOf))\n  if (reads`, `  answer(state, out, Infinity)\n  if (reads`),
  reads("read-before-own-commit", "a new leader answers reads before it knows what is committed", `  if (termAt(log, commit) !== state.term) return\n`, ``),
  reads("one-round-for-all", "later reads are answered by an earlier round", `  state.round += 1\n`, `  if (state.round === 0) state.round += 1\n`),

  outbox("applied-before-disk", "an entry is applied before it is on this replica's disk", `Math.min(state.commit, durableIndexOf(state), (first`, `Math.min(state.commit, (first`),
  outbox("cut-not-written", "the end of the log that was cut off comes back after a crash", `  unsaved.truncateFrom = Math.min(unsaved.truncateFrom ?? from, from)\n`, ``),
  outbox("written-vote-lost", "the term is written, the vote is not", `unsaved.hardState ? { term: state.term, vote: state.vote }`, `unsaved.hardState ? { term: state.term, vote: undefined }`),
  outbox("held-too-short", "what is held leaves with what was written before", `  } else if (pending.length > 0) pending.at(-1)!.held.push(...held)`, `  } else if (pending.length > 1) pending[0]!.held.push(...held)`),
  outbox("applied-twice", "what was handed out to be applied is handed out again", `    state.handed += 1\n`, `    state.handed += 1\n    if (state.handed % 7 === 0) entries.push(slot)\n`),

  machine("no-loyalty", "a candidate that was cut off unseats a leader whom everyone hears", `  if (body._tag === "RequestVote" && term > state.term && isLoyal(state, body)) return\n`, ``),
  machine("two-changes-at-once", "a change of membership begins while another is under way", `  const isUnderWay = isJoint(configuration) || configurationIndex > commit || termAt(log, commit) !== state.term`, `  const isUnderWay = isJoint(configuration)`),
  machine("leader-unanswered", "a leader whom nobody answers goes on leading, and lets its clients wait", `!isAnswered(state)) return follow(`, `!isAnswered(state) && state.nowMs < 0) return follow(`),

  log("gap-has-no-term", "a gap whose term is lost counts as older than everything, when a vote is asked for", `termAt(log, lastIndexOf(log)) ?? atMost`, `termAt(log, lastIndexOf(log)) ?? Math.min(atMost, 0)`),
  log("term-concluded-across", "a lost term is taken for that of the entry before it, whatever the term behind it is", `    if (slot.term === term) for (`, `    if (slot.term >= term) for (`),
  log("configuration-forgotten", "a configuration that was compacted away is no configuration any more", `  return { configuration: log.snapshot.configuration, index: log.snapshot.index }`, `  return { configuration: noConfiguration, index: log.snapshot.index }`),

  configuration("not-joint", "membership changes in one step, whatever it changes", `  return isSame ? target :`, `  return isSame || now.voters.length > 0 ? target :`),
  configuration("new-majority-alone", "in a joint configuration the new majority decides alone", `  isMajority(voters, has) && (outgoing.length === 0 || isMajority(outgoing, has))`, `  isMajority(voters, has)`),
  configuration("joint-commit-by-one", "in a joint configuration the better of both majorities commits", `Math.min(reachedIn(voters, valueOf), reachedIn(outgoing, valueOf))`, `Math.max(reachedIn(voters, valueOf), reachedIn(outgoing, valueOf))`),
  configuration("half-is-a-majority", "half of the voters decide", `  return count > ids.length >> 1`, `  return count >= (ids.length + 1) >> 1`),

  start("gap-taken-for-absent", "a log ends before its first entry that cannot be read", `const kept: RaftLog = { snapshot, slots: [...slots] }`, `const kept: RaftLog = { snapshot, slots: slots.slice(0, Math.max(0, slots.findIndex((slot) => slot.body === undefined)) || slots.length) }`),
  start("written-beyond", "what is being written counts as written", `  for (const { from } of pending) if (from !== undefined) durable = Math.min(durable, from - 1)`, `  for (const { from } of pending.slice(1)) if (from !== undefined) durable = Math.min(durable, from - 1)`)
]
