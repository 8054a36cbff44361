/**
 * Mutants of what nodes say to each other: the carrier's machine and runner, membership, and both together (src/cluster). Worlds of carriers that a seed drives judge the
 * carrier's (test/carrier/swarm.ts), and the stories of their room what worlds let pass.
 */
import { type Mutant, mutant } from "./Mutant.ts"

const planted = (room: "carrier" | "membership" | "cluster", file: string) => (id: string, what: string, find: string, replace: string): Mutant => mutant(room, id, what, `${room}/${file}.ts`, find, replace)

const session = planted("carrier", "Session")
const format = planted("carrier", "CarrierFormat")
const machine = planted("carrier", "Carrier")
const handshake = planted("carrier", "Handshake")
const streams = planted("carrier", "Streams")
const outlet = planted("carrier", "Outlet")
const clock = planted("carrier", "PeerClock")
const asks = planted("carrier", "AsksService")
const runner = planted("carrier", "CarrierService")
const book = planted("membership", "JoinBook")
const record = planted("membership", "Membership")
const service = planted("membership", "MembershipService")
const availability = planted("membership", "Availability")
const raft = planted("cluster", "RaftCarrier")

export const carrierMutants: ReadonlyArray<Mutant> = [
  session("frame-counts-twice", "a frame that comes again is heard again", ` || window.seen[at] === sequence) return false`, `) return false`),
  format("tag-unchecked", "a frame that was changed on its way is believed", `  return equalBytes(tagging(bytes.subarray(0, tagAt), payload).subarray(0, tagBytes), bytes.subarray(tagAt, headerBytes)) ? payload : undefined`, `  return payload`),
  machine("sender-uncompared", "a node may send as another one", `if (header.sender !== from) return`, `if (header.sender === "") return`),
  machine("epoch-goes-back", "a frame of an epoch before what its sender has shown is heard", `header.epoch < Math.max(session.epoch, state.members.epochLeast)) return`, `header.epoch < state.members.epochLeast) return`),
  machine("stale-heard", "a frame that was on its way for hours is heard", `else if (isStale(peer.clock, header.timeMs, at.wallMs)) {`, `else if (at.nowMs < 0 && isStale(peer.clock, header.timeMs, at.wallMs)) {`),
  machine("anybody-ends-sessions", "a Reset, which anybody can say, ends what is under way", `if (!isWanted(peer) && peer.requests.size === 0) return end(`, `if (peer.session !== undefined) return end(`),
  machine("taken-uncounted", "what was taken still counts as held", `peer.heldBytes = Math.max(0, peer.heldBytes - bytes)`, `peer.heldBytes = Math.max(0, peer.heldBytes)`),
  machine("silence-unnoticed", "a peer that says nothing any more is never given up", `if (nowMs - peer.heardMs >= carrierSilentMsMax) end(`, `if (nowMs < 0) end(`),
  handshake("hello-for-another", "a Hello for another node begins a session here", `if (!equalBytes(body.subarray(18, 50), fromHex(state.self.id))) return`, `if (body.length === 0) return`),
  handshake("hello-of-another-cluster", "a Hello of another cluster begins a session here", `if (!equalBytes(body.subarray(2, 18), fromHex(state.cluster))) return`, `if (body.length === 0) return`),
  handshake("handshake-unsigned", "the signature of a handshake is not looked at", `if (!state.pairs.verify(peer.shown.signing, context, concatBytes([signedPartOf(header), body]), payload.subarray(bodyBytes))) {`, `if (payload.length === 0) {`),
  handshake("welcome-to-another", "a Welcome to another Hello is taken", `if (!equalBytes(said.rest.subarray(0, 32), opening.helloHash)) return`, `if (said.rest.length === 0) return`),
  streams("pieces-again", "a piece that comes again is put behind what is there", `if (header.offset !== incoming.expected || incoming.isOver ||`, `if (header.offset > incoming.expected || incoming.isOver ||`),
  streams("over-forgotten", "a request that is over is forgotten at once: pieces that come late begin it anew", `  if (incoming !== undefined && stream >= peer.peerOldest) peer.closed.set(stream, incoming.expected)\n`, ``),
  streams("half-held", "half a message that is given up still counts as held", `  if (incoming?.message !== undefined) peer.heldBytes -= incoming.message.bytes.length\n`, ``),
  streams("deadline-passed-over", "an ask goes on behind its deadline", `if (nowMs < own.dueMs) continue`, `if (nowMs < 10 * own.dueMs) continue`),
  streams("begun-said-again", "what was begun in a session that is lost is said again in the next", `outgoing.sent > 0 || outgoing.resendMs !== carrierResendMs`, `outgoing.acked > 0`),
  streams("never-again", "what is lost is never sent again", `    rewind(peer, stream)\n    stream.resendMs`, `    stream.resendMs`),
  streams("oldest-unheard", "which streams are over is not heard of", `  if (oldest <= peer.peerOldest) return\n`, `  if (oldest >= 0) return\n`),
  streams("held-unsaid", "answers that nobody takes do not narrow their window", `    incoming.heldUnits += 1 + bytes.length\n`, ``),
  streams("widened-once", "the word that a window is wide again is said once: where it is lost, both wait", `  for (const { stream, widenDueMs } of peer.incoming.values()) if (widenDueMs !== undefined && nowMs >= widenDueMs) peer.creditsDue.add(stream)\n`, ``),
  streams("requests-go-on", "whoever answers is not told that nobody waits any more", `  if (under !== undefined) out.push({ _tag: "Cancelled", from: peer.id, request: under.request })\n`, ``),
  outlet("urgent-waits", "votes wait while slices fill the window", `if (level > 0 && peer.inFlightBytes >= carrierPeerWindowBytes) return undefined`, `if (peer.inFlightBytes >= carrierPeerWindowBytes) return undefined`),
  outlet("least-starves", "what is least urgent waits for ever behind what is more so", `const isTurned = peer.turn % carrierFairShare === 0`, `const isTurned = peer.turn < 0`),
  outlet("first-takes-all", "streams of one level take no turns", `(next === undefined || stream.turn < next.turn)`, `next === undefined`),
  outlet("all-at-once", "the network is given everything: what is urgent waits behind it", `while (peer.unsentBytes < carrierUnsentBytesMax) {`, `for (;;) {`),
  outlet("window-shrinks", "a late word of less takes back what was acknowledged", `  if (offset <= stream.acked) return\n`, `  if (offset < 0) return\n`),
  clock("one-way", "an offset is measured by the way there alone", `offsetMs: (gotMs - ping.wallMs + (sentMs - backMs)) / 2, roundMs`, `offsetMs: gotMs - ping.wallMs, roundMs`),
  clock("jump-unseen", "samples from before a clock has jumped go on counting", `clock.samples = hasJumped ? [sample]`, `clock.samples = hasJumped && roundMs < 0 ? [sample]`),

  asks("wake-lost", "whoever waits again while he is woken is never woken again", `  const { wake } = asking\n  asking.wake = undefined\n  if (wake !== undefined) Deferred.doneUnsafe(wake, Effect.void)`, `  if (asking.wake !== undefined) Deferred.doneUnsafe(asking.wake, Effect.void)\n  asking.wake = undefined`),
  asks("given-up-unsaid", "an ask that is given up goes on at the other end", `  if (asks.byNumber.delete(asking.number)) asks.tell({ _tag: "CancelAsk", ask: asking.number })`, `  asks.byNumber.delete(asking.number)`),
  asks("lent-for-ever", "an answer that was pulled is never given back", `  if (asking.lent !== undefined) taken(asks, asking, asking.lent.wireBytes)\n`, ``),
  asks("stop-unsaid", "whoever waits for an answer when the node stops waits for ever", `  for (const asking of asks.byNumber.values()) endAsk(asks, asking, errorOf(asking, "Closed", "this node stops"))\n`, ``),
  runner("handler-runs-on", "a handler goes on although nobody waits for its answer", `return Effect.sync(() => room.requests.get(command.request)?.interruptUnsafe())`, `return Effect.void`),
  runner("death-unanswered", "a handler that dies answers nothing", `  if (request !== undefined) end(room, from, request, "Died", "its handler has failed; the log there says how")\n`, ``),
  runner("more-at-once", "a handler does not wait until its asker has heard more", `    room.waiters.add(waiter)\n`, `    if (request >= 0) return Effect.void\n    room.waiters.add(waiter)\n`),
  runner("heard-for-ever", "the memory of what a handler was given is never given back", `  if (request !== undefined) room.requests.delete(request)\n  tell(room, { _tag: "Taken", from, bytes: bytes.length })\n`, `  if (request !== undefined) room.requests.delete(request)\n`),

  book("token-for-many", "a token lets in whoever shows it after the first", `return entry.by.node === node ? [book, entry.by.standing]`, `return entry.by.node !== "" ? [book, entry.by.standing]`),
  book("token-for-ever", "a token does not expire", `return token.expiresMs < nowMs ? refuse(`, `return token.expiresMs < 0 ? refuse(`),
  book("no-becomes-yes", "who was denied can be approved under the same token", `const waiting = shown.filter(({ by }) => by.standing === "Pending")`, `const waiting = shown`),
  record("in-unapproved", "a node comes in that nobody has approved", `if (by?.node !== node || by.standing !== "Approved") return`, `if (by?.node !== node) return`),
  record("in-twice", "two answers to one ask make two epochs, and two certificates that count", `  if (record.members.get(node)?.token === token) return record\n`, ``),
  record("last-goes", "the last member can be removed", `if (record.members.size === 1) return`, `if (record.members.size === 0) return`),
  record("back-by-old-token", "who was removed comes back under the token that let it in", `entry.by?.node === node ? {`, `entry.by?.node === undefined && entry.by !== undefined ? {`),
  record("earlier-certificate-counts", "of a node that was removed the certificate before its last one still counts", `[certificate, earlier].flatMap(`, `[certificate].flatMap(`),
  record("anybody-of-the-authority", "whoever once had a certificate counts as a member", `return node !== undefined && record.members.has(node) ? { node }`, `return node !== undefined ? { node }`),
  service("leave-of-before", "what a node said in an earlier membership makes it leave the present one", `if (epoch < member.sinceEpoch) return`, `if (epoch < 0) return`),
  service("renewed-at-will", "whoever asks gets a new certificate, due or not", `if (!isRenewalDue(yield* right(readCertificate(row.certificate)), nowMs)) return`, `if (nowMs < 0) return`),
  availability("every-frame-counts", "a busy peer that falls quiet is suspected at once", `  if (gapMs < availabilitySampleMs) return undefined\n`, ``),
  availability("silence-without-end", "a peer that was heard irregularly may be silent for ever", `  nowMs - watched.heardMs >= options.silentMsMax || (`, `  (`),
  availability("absence-is-a-gap", "how long a peer was away counts among its gaps", `    watched.gapsMs.length = 0\n    watched.sampledMs = nowMs\n`, `    watched.gapsMs.push(silentMs)\n    watched.sampledMs = nowMs\n`),

  raft("anybodys-replica", "a node may speak for another node's replica", `room.nodeOf(said.group, said.message.from) !== from || `, ``),
  raft("for-another-replica", "what another replica was told is heard here", ` || said.message.to !== group.replica) return`, `) return`)
]
