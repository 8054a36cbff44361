/**
 * Mutants of the namespace on Raft (src/replica). Clusters that a seed drives judge them (test/replica/swarm.ts); how a state is fetched, stories (test/replica/fetch.test.ts).
 *
 * No mutants, for another guard holds whatever happens:
 * - a commit of another term's stamp taken where its sequence is the next: its time and request are judged all the same, and what it changes is
 *   what was asked for. The term spares those behind it; the rule costs nothing;
 * - a state fetched without its files being read through: every section is sealed and hashed, and the root is compared when the tree is built from them. The story of
 *   a disk that shows in its cache what it has not kept is another matter (fetched-seen-in-cache);
 * - the same request stamped twice while it is under way: the second has the first one's answer, and those behind it are stamped anew;
 * - a commit of no later time applied: leaders stamp later ones; test/replica/apply.test.ts holds it;
 * - an older state given or taken, a state that the log does not go on from kept at the start: whoever offers one has a newer one, and logs are let go behind
 *   checkpoints alone. test/replica/scenes.test.ts holds what happens where disks are harmed;
 * - a session of one replica used by two of its lives: ids come from the log.
 */
import { type Mutant, mutant } from "./Mutant.ts"

const planted = (file: string) => (id: string, what: string, find: string, replace: string): Mutant => mutant("replica", id, what, `replica/${file}.ts`, find, replace)

const apply = planted("ReplicaApply")
const sessions = planted("Sessions")
const named = planted("NamedAnswers")
const lead = planted("LeadService")
const machine = planted("MachineService")
const slot = planted("SlotService")
const service = planted("ReplicaService")
const ask = planted("AskService")
const own = planted("OwnSessionService")
const fetching = planted("FetchService")
const members = planted("MembersService")
const level = planted("FeatureLevel")
const levels = planted("LevelService")

export const replicaMutants: ReadonlyArray<Mutant> = [
  { ...lead("barrier-skipped", "a new leader stamps before it has applied an entry of its own term", `  return room.machine.term() === term ? undefined : again(room, "Settling")`, `  return term > 0 ? undefined : again(room, "Settling")`), open: "requests seldom reach a leader before it has applied its first entry; test/replica/lead.test.ts catches it" },
  lead("counts-on-after-refusal", "after one came to nothing the next are stamped behind it for ever", `    room.sequence = undefined\n`, `    room.sequence = room.sequence === undefined ? undefined : Math.max(room.sequence, at.sequence)\n`),
  apply("sequence-unchecked", "an entry is applied whatever its sequence", `  if (sequenceOf(sealed) !== stamp.sequence + 1) return unchanged(stale)\n`, `  if (sequenceOf(sealed) === 0) return unchanged(stale)\n`),
  apply("stale-moves-sequence", "an entry that came to nothing has its sequence all the same", `  const unchanged = (reply: Reply): AppliedEntry => ({ rows: [], stamp, reply, commit: undefined })`, `  const unchanged = (reply: Reply): AppliedEntry => ({ rows: [], stamp: { ...stamp, sequence: stamp.sequence + 1 }, reply, commit: undefined })`),
  {
    id: "repeated-runs", room: "replica", breaksMembers: true, what: "a request that was done is done again, by whoever leads",
    edits: [
      { file: "replica/ReplicaApply.ts", find: `  if (verdict._tag === "Answered") return unchanged({ _tag: "Done", ...verdict.done })\n`, replace: `` },
      { file: "replica/ReplicaApply.ts", find: `record(state, request, verdict.row, done,`, replace: `record(state, request, verdict._tag === "Free" ? verdict.row : { usedMs: 0, high: request.number }, done,` },
      { file: "replica/LeadService.ts", find: `    if (verdict._tag === "Answered") return Effect.succeed<Reply>({ _tag: "Done", ...withKeys(verdict.done, change.change) })\n`, replace: `` }
    ]
  },
  { ...apply("place-not-moved", "a state's place stays where the last commit was: an entry that is no commit is applied again after a restart", `  const stamp: Stamp = { ...before, wal: placeOf(entry.index) }`, `  const stamp: Stamp = entry.body._tag === "Command" ? { ...before, wal: placeOf(entry.index) } : before`), breaksMembers: true },
  apply("term-row-forgotten", "a state does not say of which term its last entry is", `  const terms: ReadonlyArray<RowChange> = termOf(state) === entry.term ? [] :`, `  const terms: ReadonlyArray<RowChange> = termOf(state) !== 0 ? [] :`),
  sessions("answers-forgotten", "the answer of a request is not kept", `  const changes: Array<RowChange> = [[keptKey(session, number), keptRow.encode({ digest, done })], [sessionKey(`, `  const changes: Array<RowChange> = [[sessionKey(`),
  sessions("name-unheeded", "what was done under a name is done again in another session", `namedDone(state, name)`, `namedDone(state, undefined)`),
  sessions("name-forgotten", "what was done under a name is not kept", `  if (name !== undefined) changes.push(...keepNamed(state, name, done, rules))\n`, ``),
  named("names-go-early", "no more than one name is kept", `(count <= namedMax &&`, `(count <= Math.min(1, namedMax) &&`),
  sessions("window-not-refused", "a number before the window counts as new", `  if (number + window <= row.high) return { _tag: "Refused", reason: "Forgotten" }\n`, ``),
  sessions("window-too-short", "answers leave one number before they may", `  for (let gone = Math.max(1, row.high - rules.window + 1); gone <= high - rules.window; gone += 1) {`, `  for (let gone = Math.max(1, row.high - rules.window + 2); gone <= high - rules.window + 1; gone += 1) {`),
  sessions("expired-opens", "a request of a session that is gone opens it again", `  if (bytes === undefined) return { _tag: "Refused", reason: "Expired" }\n  const row = sessionRow.decode(bytes)`, `  const row = bytes === undefined ? { usedMs: 0, high: 0 } : sessionRow.decode(bytes)`),
  {
    id: "dedup-not-in-snapshot", room: "replica", what: "what sessions keep stays in memory: neither a checkpoint nor whoever fetches the state has it",
    edits: [
      { file: "replica/MachineService.ts", find: `  state.write(applied.rows, applied.stamp)`, replace: `  state.write(applied.rows.filter(([key]) => key.charCodeAt(0) !== 0x46), applied.stamp)\n  for (const [key, value] of applied.rows) if (key.charCodeAt(0) === 0x46) value === undefined ? byHeart.delete(key) : byHeart.set(key, value)` },
      { file: "replica/MachineService.ts", find: `  const applied = applyEntry(state.reader, state.stamp(), entry, options)`, replace: `  const byHeart = hearts.get(room) ?? new Map<RowKey, Uint8Array>()\n  hearts.set(room, byHeart)\n  const applied = applyEntry({ ...state.reader, get: (key) => state.reader.get(key) ?? byHeart.get(key) }, state.stamp(), entry, options)` },
      { file: "replica/MachineService.ts", find: `const applyOne = (room: Room, entry: Entry): Reply => {`, replace: `const hearts = new WeakMap<Room, Map<RowKey, Uint8Array>>()\nconst applyOne = (room: Room, entry: Entry): Reply => {` }
    ]
  },
  { ...machine("log-goes-early", "the log is let go up to what is applied, before the checkpoint is on the disk", `    const { logBytes } = room\n    return Effect.flatMap(room.current.state.checkpoint,`, `    const { logBytes } = room\n    return Effect.flatMap(Effect.andThen(room.compact(indexOf(room.current.state.stamp())), room.current.state.checkpoint),`), open: "the power seldom goes between the two" },
  machine("fetched-counts-unsaid", "a fetched state is used, and nothing on the disk says that it counts", `Effect.andThen(writePointer(slots, { slot: next.slot, founding: wanted.configuration }), Effect.sync(`, `Effect.andThen(Effect.void, Effect.sync(`),
  machine("place-of-the-offer", "a fetched state is taken for the one that was offered, though it is a later one", `  return placeOfState(room)\n})`, `  return wanted\n})`),
  { ...machine("applied-by-halves", "an entry's rows are written without its place", `  state.write(applied.rows, applied.stamp)`, `  state.write(applied.rows, { ...applied.stamp, wal: entry.index % 5 === 0 ? state.stamp().wal : applied.stamp.wal })`), breaksMembers: true },
  slot("pointer-not-synced", "the file that says which state counts gets its name before its bytes are on the disk", `Effect.andThen(file.write(0, [encodePointer(pointer)]), file.sync)))`, `file.write(0, [encodePointer(pointer)])))`),
  { ...slot("tables-shared", "both slots have the same tables of the index", "  const nameOf = (table: string): string => `${table}.${slot}`", "  const nameOf = (table: string): string => `${table}.${slot === 0 ? slot : 0}`"), open: "states of these worlds are small: their nodes are all in memory, and an index that is lost is rebuilt" },
  { ...service("fence-without-round", "a read is made at once where this replica leads", `Effect.timeoutOption(Effect.result(room.raft.read), `, `Effect.timeoutOption(Effect.result(room.raft.status().role === "Leader" ? Effect.succeed(0) : room.raft.read), `), breaksMembers: true, open: "a leader that was deposed seldom believes in itself for long enough; worlds of whole members see to it that one does" },
  { ...service("read-without-fence", "a fence is none", `  if (ageMsMax > 0 && beganMs - room.freshMs <= ageMsMax) return\n`, `  if (ageMsMax >= 0) return\n`), breaksMembers: true },
  { ...ask("new-number-unknown", "what nobody answered counts as not done", `    isSure &&= reply.reason !== "Unknown"\n`, ``), open: "a session seldom ends between an attempt that nobody answered and the next" },
  { ...own("numbers-begin-anew", "what was not answered is asked for again under another number", `      if (reply.reason === "Expired" && reply.isSure && tried < sessionsTried) continue`, `      if (reply.reason === "Expired" && tried < sessionsTried) continue`), open: "a session seldom ends between an attempt that nobody answered and the next" },
  own("window-unheeded", "a session asks for more at once than its window has", `      if (mine.next - oldest >= window) {`, `      if (mine.next - oldest >= 100 * window) {`),

  fetching("fetch-begins-anew", "a file that was half there is fetched from its first piece", `let offset = Math.max(0, (Math.ceil(there / pieceBytes) - 1) * pieceBytes);`, `let offset = there < 0 ? there : 0;`),
  fetching("torn-piece-counts", "the last piece that was there before a power cut is taken for whole", `(Math.ceil(there / pieceBytes) - 1) * pieceBytes`, `Math.ceil(there / pieceBytes) * pieceBytes`),
  fetching("pieces-unsynced", "pieces are written behind pieces that no sync covers", `Effect.andThen(file.write(offset, [reply.bytes]), file.sync)`, `file.write(offset, [reply.bytes])`),
  fetching("fetched-seen-in-cache", "a fetched file is read back from the page cache", `readThrough({ ...disk, open: (at, mode) => disk.open(at, mode, { direct: true }) },`, `readThrough(disk,`),
  fetching("damaged-part-stays", "half a file that proved to be none is the beginning of the next attempt", `    yield* Effect.mapError(disk.remove(part), diskError)\n    return yield* new StateError(`, `    return yield* new StateError(`),
  fetching("other-than-offered", "another file than the one that was offered gets its name", `if (read._tag === "Failure" || !equalBytes(identityOf(read.success), offered.identity)) {`, `if (read._tag === "Failure") {`),
  fetching("other-files-stay", "a file of an earlier offer stays where another of its number is offered", `if (offered !== undefined && (name === partOf(offered) ||`, `if (offered !== undefined && (name !== "" ||`),
  fetching("rotten-kept", "files that have rotted since they were whole are kept for every attempt to come", `    if (opened.failure.reason === "Damaged") yield* emptied(options, slot)\n`, ``),
  fetching("older-taken", "a state that is older than what is wanted is taken", `  if (at >= index) return open\n`, `  if (at >= 0) return open\n`),
  fetching("lost-session-ends", "a session that is lost for a moment ends a fetch", `(tries >= fetchTriesMax ? `, `(tries >= 1 ? `),
  fetching("any-length", "a piece of more than was asked for is written", `if (reply.bytes.length !== ask.lengthBytes) return`, `if (reply.bytes.length < ask.lengthBytes) return`),
  fetching("silence-awaited", "an answer that never comes is waited for", `Effect.timeoutOption(peers.ask(from, encodeAsk(ask)!), fetchMsMax)`, `Effect.asSome(peers.ask(from, encodeAsk(ask)!))`),

  members("members-unseen", "who changes the members hears the record as it was here before", `  yield* seen(room, reply.index)\n`, ``),
  machine("members-of-last-state", "a fetched state has another record of members than is kept in memory, and nobody is told", `  changed(room, recordOf(next.state.reader))\n`, ``),
  { ...level("older-cannot-read", "a change is logged that older members cannot read", `return needs > has ?`, `return needs < 0 ?`), breaksMembers: true },
  { ...levels("raised-by-the-newest", "the cluster's level rises as soon as who leads reads more", `Math.min(program, ...read`, `Math.max(program, ...read`), breaksMembers: true },
  { ...levels("silent-is-new", "a member that does not answer counts as one that reads everything", `    onFailure: () => firstLevel`, `    onFailure: () => Number.MAX_SAFE_INTEGER`), breaksMembers: true }
]
