/**
 * Handshake: how two members come to a session: Hello and Welcome, each signed by its sender's ML-DSA key and carrying a secret for the
 * other's agreement key. Between the machine (Carrier.ts) and Session. One round trip; nothing of it is secret but the agreed keys.
 *
 * 1. A session's keys are known to who holds the private keys of both ids, and to nobody else: each side has agreed on one secret with the
 *    other's key, and signed everything that the keys are made of.
 * 2. A Hello of long ago comes to nothing: whoever sends it again cannot open the Welcome's secret, so no frame of that session ever comes, and the
 *    session that there is goes on until one does.
 * 3. Of two that begin at once the one with the smaller id goes on.
 */
import { assert } from "../base/assert.ts"
import { concatBytes, copyOf, equalBytes, fromHex, putU64, toHex } from "../base/bytes.ts"
import { carrierHelloEveryMs, carrierHelloLeastMs, carrierUnsentBytesMax } from "../base/clusterLimits.ts"
import { hashBytes } from "../base/hash.ts"
import type { RestartId } from "../base/ids.ts"
import { encodeFrame, formatVersion, type Header, type Kind, noSession, plainTagging, signedPartOf } from "./CarrierFormat.ts"
import type { CarrierState, Instant, Out, Peer } from "./CarrierState.ts"
import { refuse, transmit } from "./Outlet.ts"
import { sessionOf } from "./Session.ts"

const context = "ouroborosdb 2026 carrier handshake 1"
const ciphertextBytes = 1120
const signatureBytes = 3309
const commonBytes = 2 + 16 + 32 + 16 + 32
const helloBytes = commonBytes + ciphertextBytes
const welcomeBytes = commonBytes + 32 + ciphertextBytes

const nonceOf = (state: CarrierState): Uint8Array => {
  state.nonceNext += 1
  const count = new Uint8Array(8)
  putU64(count, 0, state.nonceNext)
  return copyOf(state.nonce(count))
}

const headerOf = (state: CarrierState, kind: Kind, at: Instant): Omit<Header, "payloadBytes"> => ({
  kind, priority: 0, isFirst: false, isLast: false, isTold: false, topic: 0, session: noSession, sender: state.self.id, epoch: state.members.epoch, sequence: 0,
  timeMs: at.wallMs, stream: 0, oldest: 0, offset: 0, messageBytes: 0, deadlineMs: 0
})

/** `versions`: Hello: the least and the highest that are known. Welcome: the one that is taken, and 0. */
const bodyOf = (state: CarrierState, peer: Peer, versions: readonly [number, number], ...rest: ReadonlyArray<Uint8Array>): Uint8Array =>
  concatBytes([Uint8Array.from(versions), fromHex(state.cluster), fromHex(peer.id), fromHex(state.restart), nonceOf(state), ...rest])

const signed = (state: CarrierState, header: Omit<Header, "payloadBytes">, body: Uint8Array): Uint8Array =>
  encodeFrame(header, concatBytes([body, state.self.signer.sign(context, concatBytes([signedPartOf(header), body]))]), plainTagging)

/** Begins a session, or asks again for the one that was begun. */
export const openSession = (state: CarrierState, out: Out, peer: Peer, at: Instant): void => {
  const { opening } = peer
  if (opening !== undefined) {
    if (at.nowMs < opening.nextMs) return
    opening.nextMs = at.nowMs + carrierHelloEveryMs
    // The network still has those before.
    return peer.unsentBytes < carrierUnsentBytesMax ? transmit(out, peer, opening.hello) : undefined
  }
  const agreed = state.pairs.encapsulate(peer.shown.agreement)
  // Membership has checked no lattice key: one that is none makes a peer that nobody can speak to.
  if (agreed === undefined) return refuse(out, peer.id, "Broken", "its agreement key is none")
  const hello = signed(state, headerOf(state, "Hello", at), bodyOf(state, peer, [formatVersion, formatVersion], agreed.ciphertext))
  peer.opening = { hello, helloHash: hashBytes(hello), secret: agreed.secret, nextMs: at.nowMs + carrierHelloEveryMs }
  if (peer.unsentBytes < carrierUnsentBytesMax) transmit(out, peer, hello)
}

interface Said {
  readonly versions: readonly [number, number]
  readonly restart: RestartId
  readonly rest: Uint8Array
}

/** What both frames have in common, checked: for this node, of this cluster, signed by the peer. */
const saidBy = (state: CarrierState, out: Out, peer: Peer, header: Header, payload: Uint8Array, bodyBytes: number): Said | undefined => {
  if (payload.length !== bodyBytes + signatureBytes) return refuse(out, peer.id, "Malformed", `a ${header.kind} of ${payload.length} bytes`)
  const body = payload.subarray(0, bodyBytes)
  if (!equalBytes(body.subarray(2, 18), fromHex(state.cluster))) return refuse(out, peer.id, "WrongCluster", `a ${header.kind} of cluster ${toHex(body.subarray(2, 18))}`)
  if (!equalBytes(body.subarray(18, 50), fromHex(state.self.id))) return refuse(out, peer.id, "Misaddressed", `a ${header.kind} for node ${toHex(body.subarray(18, 50))}`)
  if (!state.pairs.verify(peer.shown.signing, context, concatBytes([signedPartOf(header), body]), payload.subarray(bodyBytes))) {
    return refuse(out, peer.id, "Unsigned", `a ${header.kind} that its sender has not signed`)
  }
  return { versions: [body[0]!, body[1]!], restart: toHex(body.subarray(50, 66)) as RestartId, rest: body.subarray(commonBytes) }
}

export const helloHeard = (state: CarrierState, out: Out, peer: Peer, header: Header, frame: Uint8Array, payload: Uint8Array, at: Instant): void => {
  if (peer.opening !== undefined && state.self.id < peer.id) return
  // Hellos that the network brings many times over are not answered into a wire that stands still: whoever means it says Hello again.
  if (peer.unsentBytes >= carrierUnsentBytesMax) return
  const helloHash = hashBytes(frame)
  if (peer.welcomed?.helloHash === toHex(helloHash)) return transmit(out, peer, peer.welcomed.welcome)
  // Two signatures and two agreements each: not as often as somebody likes.
  if (at.nowMs < peer.helloMs + carrierHelloLeastMs) return refuse(out, peer.id, "TooSoon", "a Hello right after another")
  peer.helloMs = at.nowMs
  const said = saidBy(state, out, peer, header, payload, helloBytes)
  if (said === undefined) return
  const [least, most] = said.versions
  if (least > formatVersion || most < formatVersion) return refuse(out, peer.id, "Version", `speaks versions ${least} to ${most}, this node ${formatVersion}`)
  const ofHello = state.self.opener.open(said.rest)
  const agreed = state.pairs.encapsulate(peer.shown.agreement)
  if (ofHello === undefined || agreed === undefined) return refuse(out, peer.id, "Broken", "no secret can be agreed on with its key")
  const welcome = signed(state, headerOf(state, "Welcome", at), bodyOf(state, peer, [formatVersion, 0], helloHash, agreed.ciphertext))
  const secrets = { ofHello, ofWelcome: agreed.secret, helloHash, welcomeHash: hashBytes(welcome) }
  peer.welcomed = { helloHash: toHex(helloHash), welcome, session: sessionOf(secrets, false, said.restart) }
  peer.opening = undefined
  transmit(out, peer, welcome)
}

/** True: there is a session now, and the peer does not know it yet. */
export const welcomeHeard = (state: CarrierState, out: Out, peer: Peer, header: Header, frame: Uint8Array, payload: Uint8Array): ReturnType<typeof sessionOf> | undefined => {
  const { opening } = peer
  // One that comes twice, or to a Hello that was given up.
  if (opening === undefined) return undefined
  const said = saidBy(state, out, peer, header, payload, welcomeBytes)
  if (said === undefined) return undefined
  if (!equalBytes(said.rest.subarray(0, 32), opening.helloHash)) return refuse(out, peer.id, "Replayed", "a Welcome to another Hello")
  if (said.versions[0] !== formatVersion) return refuse(out, peer.id, "Version", `takes version ${said.versions[0]}, which was not offered`)
  const ofWelcome = state.self.opener.open(said.rest.subarray(32))
  if (ofWelcome === undefined) return refuse(out, peer.id, "Broken", "no secret can be agreed on with its key")
  const session = sessionOf({ ofHello: opening.secret, ofWelcome, helloHash: opening.helloHash, welcomeHash: hashBytes(frame) }, true, said.restart)
  assert(session.sequence === 0, "a session begins with nothing said")
  peer.opening = undefined
  return session
}
