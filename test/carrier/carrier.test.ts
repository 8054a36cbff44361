/** The carrier by stories: one thing after another, on a wire that the test holds in its hands. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { seededRandom } from "../../sim/Random.ts"
import { carrierFrameBytesMax, carrierIdleMsMax, carrierMessageBytesMax, carrierNotesMax, carrierStreamsMax, carrierStreamWindowBytes, carrierUnsentBytesMax, carrierWidenMs } from "../../src/base/clusterLimits.ts"
import { offsetsOf } from "../../src/carrier/Carrier.ts"
import { encodeFrame, frameBytesMax, headerBytes, plainTagging, readHeader } from "../../src/carrier/CarrierFormat.ts"
import { sceneOf } from "../membership/fixtures.ts"
import { mutateBytes } from "../fuzz/Mutation.ts"
import { areAnswers, Fleet, Hand } from "./Fleet.ts"

const bytesOf = (count: number, seed = 1): Uint8Array => seededRandom(seed).bytes(count)
const headerOf = (frame: Uint8Array) => {
  const header = readHeader(frame)
  if (typeof header === "string") throw new Error(header)
  return header
}

/** Two nodes with a session. */
const pair = (): { readonly fleet: Fleet; readonly hand: Hand } => {
  const fleet = new Fleet(2)
  const hand = new Hand(fleet)
  fleet.note(0, 1, bytesOf(3))
  hand.settle()
  fleet.seen.length = 0
  return { fleet, hand }
}

describe("carrier", () => {
  it("carrier: the first word begins a session; a note comes once, an ask is answered, in as many messages as there are", () => {
    const fleet = new Fleet(2)
    const hand = new Hand(fleet)
    fleet.note(0, 1, bytesOf(3))
    hand.settle()
    expect(fleet.of(0, "Connected").length + fleet.of(1, "Connected").length).toBe(2)
    expect(fleet.of(1, "Deliver").map(({ bytes, request, topic }) => [bytes, request, topic])).toEqual([[bytesOf(3), undefined, 1]])
    for (const [index, size] of [0, 1, 5000, carrierFrameBytesMax, carrierFrameBytesMax + 1, 3_000_000].entries()) {
      const request = bytesOf(size, index)
      fleet.ask(0, 1, index, request)
      fleet.ask(1, 0, index, request)
      hand.settle()
      for (const by of [0, 1]) {
        const answers = fleet.of(by, "Answered").filter(({ ask }) => ask === index)
        expect(areAnswers(request, answers.map(({ bytes }) => bytes))).toBe(true)
        expect(answers.map(({ isLast }) => isLast).indexOf(true)).toBe(answers.length - 1)
      }
    }
    expect([...fleet.reasons(0), ...fleet.reasons(1)]).toEqual([])
  })

  it("carrier: what is told is delivered once, and its teller hears that it has come", () => {
    const { fleet, hand } = pair()
    fleet.ask(0, 1, 1, bytesOf(200_000), { isTold: true })
    hand.settle()
    expect(fleet.of(1, "Deliver").map(({ bytes, request }) => [bytes.length, request])).toEqual([[200_000, undefined]])
    expect(fleet.of(0, "Answered").map(({ ask, isLast }) => [ask, isLast])).toEqual([[1, true]])
  })

  it("carrier: a heartbeat goes before slices that wait, behind no more than the network was given", () => {
    const { fleet, hand } = pair()
    for (let index = 0; index < 8; index += 1) fleet.ask(0, 1, index, bytesOf(3_000_000, index), { priority: 3 })
    fleet.note(0, 1, bytesOf(9))
    let before = 0
    for (;;) {
      const frame = hand.deliver()!
      if (headerOf(frame).kind === "Note") break
      before += frame.length
    }
    expect(before).toBeLessThan(carrierUnsentBytesMax + frameBytesMax)
    expect(before).toBeGreaterThan(carrierUnsentBytesMax / 2)
  })

  it("carrier: streams of one level take turns, and the least urgent gets on while there is more urgent", () => {
    const { fleet, hand } = pair()
    fleet.ask(0, 1, 1, bytesOf(600_000), { priority: 3, isTold: true })
    for (const ask of [2, 3]) fleet.ask(0, 1, ask, bytesOf(4_000_000, ask), { priority: 1, isTold: true })
    hand.settle()
    const ended = fleet.of(0, "Answered").map(({ ask }) => ask)
    expect(ended[0]).toBe(1)
    expect(ended.length).toBe(3)
  })

  it("carrier: every frame again, later: replayed, and nothing of it is heard", () => {
    const { fleet, hand } = pair()
    fleet.ask(0, 1, 1, bytesOf(100_000))
    fleet.note(0, 1, bytesOf(4))
    const frames: Array<Uint8Array> = []
    for (;;) {
      const to = hand.frames[0]?.to
      const frame = hand.deliver()
      if (frame === undefined) break
      if (to === 1) frames.push(frame)
    }
    const before = fleet.of(1, "Deliver").length
    for (const bytes of frames) fleet.do(1, { _tag: "Received", from: fleet.idOf(0), bytes })
    expect(fleet.reasons(1)).toEqual(frames.map(() => "Replayed"))
    expect(fleet.of(1, "Deliver").length).toBe(before)
    expect(before).toBe(2)
  })

  it("carrier: a Hello of long ago is answered, and the session that there is goes on", () => {
    const fleet = new Fleet(2)
    const hand = new Hand(fleet)
    fleet.note(0, 1, bytesOf(3))
    const hello = hand.frames[0]!.bytes
    hand.settle()
    fleet.nowMs += 1000
    fleet.restart(0)
    fleet.note(0, 1, bytesOf(3))
    hand.settle()
    fleet.nowMs += 5000
    fleet.do(1, { _tag: "Received", from: fleet.idOf(0), bytes: hello })
    hand.settle()
    fleet.ask(1, 0, 1, bytesOf(10))
    hand.settle()
    expect(fleet.of(1, "Answered").at(-1)?.isLast).toBe(true)
    expect(fleet.of(1, "Connected").length).toBe(2)
    expect(fleet.of(1, "Disconnected").map(({ why }) => why)).toEqual(["Replaced"])
  })

  it("carrier: Hellos right after each other cost a signature only now and then", () => {
    const fleet = new Fleet(2)
    const hand = new Hand(fleet)
    const hellos = Array.from({ length: 5 }, () => {
      fleet.restart(0)
      fleet.note(0, 1, bytesOf(3))
      return hand.frames.splice(0)[0]!.bytes
    })
    for (const bytes of hellos) fleet.do(1, { _tag: "Received", from: fleet.idOf(0), bytes })
    expect(fleet.reasons(1)).toEqual(["TooSoon", "TooSoon", "TooSoon", "TooSoon"])
  })

  it("carrier: a Hello that the network brings many times over is answered no further than the wire takes (full world 2)", () => {
    const fleet = new Fleet(2)
    const hand = new Hand(fleet)
    fleet.note(0, 1, bytesOf(3))
    const hello = hand.frames[0]!.bytes
    // Nothing that the other says leaves: his invariants look after each of these.
    for (let times = 0; times < 400; times += 1) fleet.do(1, { _tag: "Received", from: fleet.idOf(0), bytes: hello })
    expect(hand.frames.filter(({ from }) => from === 1).reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeLessThan(carrierUnsentBytesMax + frameBytesMax)
    hand.settle()
    fleet.ask(0, 1, 1, bytesOf(10))
    hand.settle()
    expect(fleet.of(0, "Answered").at(-1)?.isLast).toBe(true)
  })

  it("carrier: two that begin at once come to one session", () => {
    const fleet = new Fleet(2)
    const hand = new Hand(fleet)
    fleet.ask(0, 1, 1, bytesOf(10))
    fleet.ask(1, 0, 1, bytesOf(20))
    hand.settle()
    expect([fleet.of(0, "Connected").length, fleet.of(1, "Connected").length]).toEqual([1, 1])
    expect([fleet.of(0, "Answered").at(-1)?.isLast, fleet.of(1, "Answered").at(-1)?.isLast]).toEqual([true, true])
  })

  it("carrier: who is lost in the handshake is asked again", () => {
    const fleet = new Fleet(2)
    const hand = new Hand(fleet)
    fleet.ask(0, 1, 1, bytesOf(10))
    hand.lose()
    hand.run(600)
    expect(fleet.of(0, "Answered").at(-1)?.isLast).toBe(true)
    fleet.restart(0)
    fleet.ask(0, 1, 2, bytesOf(10))
    hand.deliver()
    hand.lose()
    hand.run(600)
    expect(fleet.of(0, "Answered").at(-1)).toMatchObject({ ask: 2, isLast: true })
  })

  it("carrier: pieces that are lost are sent again, and all of it comes once", () => {
    const { fleet, hand } = pair()
    fleet.ask(0, 1, 1, bytesOf(1_500_000), { deadlineMs: 60_000 })
    const random = seededRandom(4)
    for (let turn = 0; turn < 400 && fleet.of(0, "Answered").every(({ isLast }) => !isLast); turn += 1) {
      for (let count = hand.frames.length; count > 0; count -= 1) {
        if (random.chance(0.7)) hand.deliver()
        else {
          const lost = hand.frames.shift()!
          fleet.do(lost.from, { _tag: "Sent", to: fleet.idOf(lost.to), bytes: lost.bytes.length })
        }
      }
      fleet.nowMs += 50
      fleet.tick(0)
      fleet.tick(1)
    }
    expect(fleet.of(1, "Deliver").length).toBe(1)
    expect(areAnswers(bytesOf(1_500_000), fleet.of(0, "Answered").map(({ bytes }) => bytes))).toBe(true)
  })
})

describe("carrier: ends", () => {
  it("carrier: an ask without an answer ends at its deadline, on both sides", () => {
    const { fleet, hand } = pair()
    hand.answers = false
    fleet.ask(0, 1, 1, bytesOf(10), { deadlineMs: 2000 })
    hand.run(1900)
    expect(fleet.of(0, "Failed")).toEqual([])
    hand.run(300)
    expect(fleet.of(0, "Failed").map(({ ask, reason }) => [ask, reason])).toEqual([[1, "Deadline"]])
    expect(fleet.of(1, "Cancelled").length).toBe(1)
    const { request } = fleet.of(1, "Deliver")[0]!
    expect(fleet.do(1, { _tag: "Answer", to: fleet.idOf(0), request: request!, bytes: bytesOf(3), isLast: true })).toEqual([])
  })

  it("carrier: who asks and then does not want it says so, and an answer under way stops", () => {
    const { fleet, hand } = pair()
    hand.answers = false
    fleet.ask(0, 1, 1, bytesOf(10))
    hand.settle()
    fleet.do(0, { _tag: "CancelAsk", ask: 1 })
    fleet.do(0, { _tag: "CancelAsk", ask: 1 })
    hand.settle()
    expect(fleet.of(1, "Cancelled").length).toBe(1)
    expect(fleet.of(0, "Failed")).toEqual([])
  })

  it("carrier: half a message of an ask that was given up holds no memory, though every word of it was lost", () => {
    const { fleet, hand } = pair()
    fleet.ask(0, 1, 1, bytesOf(900_000))
    hand.deliver()
    hand.deliver()
    const held = (): number => fleet.members[1]!.state.peers.get(fleet.idOf(0))!.heldBytes
    expect(held()).toBe(900_000)
    fleet.do(0, { _tag: "CancelAsk", ask: 1 })
    // What the network had, then what waited behind that: the word of it.
    while (hand.frames.length > 0) hand.lose()
    expect(held()).toBe(900_000)
    hand.run(1500)
    expect(held()).toBe(0)
    expect([...fleet.reasons(0), ...fleet.reasons(1)]).toEqual([])
  })

  it("carrier: nobody is there: Unreachable, at the deadline", () => {
    const fleet = new Fleet(2)
    const hand = new Hand(fleet)
    fleet.ask(0, 1, 1, bytesOf(10), { deadlineMs: 1000 })
    for (let turn = 0; turn < 30; turn += 1) {
      hand.lose()
      fleet.nowMs += 50
      fleet.tick(0)
    }
    expect(fleet.of(0, "Failed").map(({ reason }) => reason)).toEqual(["Unreachable"])
  })

  it("carrier: a peer that restarts has forgotten: what it had begun is lost and said so, what it had not goes on", () => {
    const { fleet, hand } = pair()
    hand.answers = false
    fleet.ask(0, 1, 1, bytesOf(10))
    hand.settle()
    fleet.restart(1)
    hand.answers = true
    fleet.ask(0, 1, 2, bytesOf(20))
    hand.run(1000)
    fleet.ask(0, 1, 3, bytesOf(30))
    hand.run(1000)
    expect(fleet.of(0, "Failed").map(({ ask, reason }) => [ask, reason])).toEqual([[1, "SessionLost"], [2, "SessionLost"]])
    expect(fleet.of(0, "Answered").filter(({ ask }) => ask === 3).at(-1)?.isLast).toBe(true)
    expect(fleet.reasons(1)).toContain("UnknownSession")
  })

  it("carrier: what is answered late is no answer to what the asker's next life asks on the same stream", () => {
    const { fleet, hand } = pair()
    hand.answers = false
    fleet.ask(0, 1, 1, bytesOf(10))
    hand.settle()
    fleet.nowMs += 1000
    fleet.restart(0)
    fleet.ask(0, 1, 2, bytesOf(20))
    hand.settle()
    const [before, after] = fleet.of(1, "Deliver").map(({ request }) => request!)
    fleet.do(1, { _tag: "Answer", to: fleet.idOf(0), request: before!, bytes: bytesOf(1), isLast: true })
    fleet.do(1, { _tag: "Answer", to: fleet.idOf(0), request: after!, bytes: bytesOf(2), isLast: true })
    hand.settle()
    expect(fleet.of(0, "Answered").map(({ ask, bytes }) => [ask, bytes.length])).toEqual([[2, 2]])
  })

  it("carrier: a word that the session is over, which anybody could say, ends nothing by itself", () => {
    const { fleet, hand } = pair()
    hand.answers = false
    fleet.ask(0, 1, 1, bytesOf(5), { deadlineMs: 60_000 })
    hand.settle()
    const { session } = fleet.members[0]!.state.peers.get(fleet.idOf(1))!
    const forged = encodeFrame({
      kind: "Reset", priority: 0, isFirst: false, isLast: false, isTold: false, topic: 0, session: session!.id, sender: fleet.idOf(1), epoch: 1, sequence: 0, timeMs: 0, stream: 0, oldest: 0, offset: 0, messageBytes: 0, deadlineMs: 0
    }, new Uint8Array(0), plainTagging)
    fleet.seen.length = 0
    fleet.do(0, { _tag: "Received", from: fleet.idOf(1), bytes: forged })
    expect([...fleet.of(0, "Disconnected"), ...fleet.of(0, "Failed")]).toEqual([])
    expect(fleet.members[0]!.state.peers.get(fleet.idOf(1))!.session?.id).toBe(session!.id)
    // It asks whether there is another session; whoever has lost the one that there is has one to begin.
    expect(fleet.of(0, "Transmit").map(({ bytes }) => headerOf(bytes).kind)).toEqual(["Hello"])
  })

  it("carrier: a peer that falls silent is given up, and is there again when it speaks", () => {
    const { fleet, hand } = pair()
    hand.answers = false
    fleet.ask(0, 1, 1, bytesOf(10), { deadlineMs: 60_000 })
    hand.settle()
    for (let turn = 0; turn < 220; turn += 1) {
      hand.lose()
      fleet.nowMs += 50
      fleet.tick(0)
      fleet.tick(1)
    }
    expect(fleet.of(0, "Disconnected").map(({ why }) => why)).toEqual(["Silent"])
    expect(fleet.of(0, "Failed").map(({ reason }) => reason)).toEqual(["SessionLost"])
    expect(fleet.of(1, "Cancelled").length).toBe(1)
    hand.answers = true
    fleet.ask(0, 1, 2, bytesOf(10))
    hand.run(1000)
    expect(fleet.of(0, "Answered").at(-1)).toMatchObject({ ask: 2, isLast: true })
  })

  it("carrier: a session that nobody uses ends on both sides, without a word of failure", () => {
    const { fleet, hand } = pair()
    hand.run(carrierIdleMsMax + 3000, 500)
    expect([fleet.of(0, "Disconnected"), fleet.of(1, "Disconnected")].map((list) => list.map(({ why }) => why))).toEqual([["Idle"], ["Idle"]])
    fleet.seen.length = 0
    hand.run(20_000, 500)
    expect(fleet.seen).toEqual([])
  })

  it("carrier: a member that is removed is heard no more, and nothing of its is left", () => {
    const { fleet, hand } = pair()
    hand.answers = false
    fleet.ask(0, 1, 1, bytesOf(10))
    fleet.ask(1, 0, 1, bytesOf(10))
    hand.settle()
    const only = { epoch: 2, epochLeast: 0, identities: new Map([[fleet.idOf(0), fleet.members[0]!.identity.shown]]) }
    fleet.do(0, { _tag: "MembersChanged", members: only })
    expect(fleet.of(0, "Failed").map(({ reason }) => reason)).toEqual(["NotMember"])
    expect(fleet.of(0, "Cancelled").length).toBe(1)
    expect(fleet.of(0, "Disconnected").map(({ why }) => why)).toEqual(["Removed"])
    fleet.note(1, 0, bytesOf(3))
    hand.settle()
    expect(fleet.reasons(0)).toContain("NotMember")
    expect(fleet.ask(0, 1, 5, bytesOf(3))).toMatchObject([{ _tag: "Failed", reason: "NotMember" }])
  })
})

describe("carrier: bounds", () => {
  it("carrier: more than a message may have, more asks than there are streams: refused at once", () => {
    const fleet = new Fleet(2)
    const hand = new Hand(fleet)
    expect(fleet.ask(0, 1, 1, new Uint8Array(carrierMessageBytesMax + 1))).toMatchObject([{ _tag: "Failed", reason: "TooLarge" }])
    fleet.isWatched = false
    for (let ask = 2; ask < 2 + carrierStreamsMax; ask += 1) fleet.ask(0, 1, ask, bytesOf(3))
    fleet.isWatched = true
    expect(fleet.ask(0, 1, 1, bytesOf(3))).toMatchObject([{ _tag: "Failed", reason: "Busy" }])
    fleet.isWatched = false
    hand.settle()
    fleet.isWatched = true
    fleet.tick(0)
    expect(fleet.of(0, "Answered").filter(({ isLast }) => isLast).length).toBe(carrierStreamsMax)
  })

  it("carrier: of notes that wait the newest are kept", () => {
    const fleet = new Fleet(2)
    const hand = new Hand(fleet)
    for (let index = 0; index < carrierNotesMax + 5; index += 1) fleet.note(0, 1, Uint8Array.of(index >> 8, index & 255))
    hand.settle()
    const heard = fleet.of(1, "Deliver").map(({ bytes }) => bytes[0]! * 256 + bytes[1]!)
    expect(heard).toEqual(Array.from({ length: carrierNotesMax }, (_, index) => index + 5))
  })

  it("carrier: what nobody takes fills its room, and no more comes until somebody does", () => {
    const { fleet, hand } = pair()
    hand.answers = false
    for (let ask = 0; ask < 3; ask += 1) fleet.ask(0, 1, ask, new Uint8Array(60 * 1024 * 1024).fill(ask), { deadlineMs: 600_000 })
    hand.run(500, 250)
    expect(fleet.of(0, "Failed").map(({ reason }) => reason)).toEqual(["Busy"])
    expect(fleet.of(1, "Deliver").length).toBe(2)
    fleet.ask(0, 1, 9, new Uint8Array(20 * 1024 * 1024), { deadlineMs: 600_000 })
    hand.run(2000, 250)
    expect(fleet.of(1, "Deliver").length).toBe(2)
    expect(fleet.reasons(1)).toContain("TooMuch")
    fleet.do(1, { _tag: "Taken", from: fleet.idOf(0), bytes: 60 * 1024 * 1024 })
    hand.run(5000, 250)
    expect(fleet.of(1, "Deliver").length).toBe(3)
  })

  it("carrier: who does not take answers is sent no more than a window of them; as he takes, they come; a word of it that is lost is said again", () => {
    const { fleet, hand } = pair()
    hand.answers = false
    hand.takes = false
    fleet.ask(0, 1, 1, bytesOf(5), { deadlineMs: 600_000 })
    hand.settle()
    const request = fleet.of(1, "Deliver")[0]!.request!
    const piece = 200 * 1024
    for (let count = 0; count < 20; count += 1) fleet.do(1, { _tag: "Answer", to: fleet.idOf(0), request, bytes: new Uint8Array(piece).fill(count), isLast: count === 19 })
    hand.run(10_000, 250)
    const came = (): number => fleet.of(0, "Answered").length
    const held = came()
    expect(held * piece).toBeGreaterThan(700 * 1024)
    expect(held * piece).toBeLessThan(carrierStreamWindowBytes + piece)
    // Another stream of the same peer is not held back.
    fleet.ask(1, 0, 2, bytesOf(300_000))
    hand.settle()
    expect(fleet.of(0, "Deliver").length).toBe(1)
    for (let taken = 0; taken < 19; taken += 1) {
      if (came() <= taken) hand.run(2 * carrierWidenMs, 250)
      fleet.do(0, { _tag: "Taken", from: fleet.idOf(1), bytes: piece, ask: 1 })
      // Lost with all that is on the wire.
      if (taken % 3 === 0) hand.lose()
      expect(came() - taken).toBeLessThan(7)
    }
    hand.run(5000, 250)
    expect(fleet.of(0, "Answered").map(({ bytes, isLast }) => [bytes[0], bytes.length, isLast])).toEqual(Array.from({ length: 20 }, (_, count) => [count, piece, count === 19]))
  })

  it("carrier: a header that says too much is refused before anything is made of it", () => {
    const { fleet, hand } = pair()
    fleet.ask(0, 1, 1, bytesOf(100))
    const frame = hand.frames.find(({ bytes }) => headerOf(bytes).kind === "Data")!.bytes
    for (const [at, value] of [[12, carrierFrameBytesMax + 1], [12, 0xffff_ffff], [104, carrierMessageBytesMax + 1], [104, 0xffff_ffff]] as const) {
      const bytes = Buffer.from(frame)
      bytes.writeUInt32BE(value, at)
      expect(readHeader(bytes.subarray(0, headerBytes))).toContain("at most")
      fleet.do(1, { _tag: "Received", from: fleet.idOf(0), bytes })
    }
    expect(fleet.reasons(1)).toEqual(["Malformed", "Malformed", "Malformed", "Malformed"])
  })
})

describe("carrier: who is not believed", () => {
  it("carrier: a stranger, one who sends as another, one of another cluster, one without the key: each refused by its name", () => {
    const { fleet, hand } = pair()
    const other = new Fleet(3)
    const theirs = new Hand(other)
    const from = (id: string, bytes: Uint8Array) => fleet.do(1, { _tag: "Received", from: id as never, bytes })
    other.note(2, 1, bytesOf(3))
    const stranger = other.idOf(2)
    from(stranger, theirs.frames[0]!.bytes)
    from(fleet.idOf(0), theirs.frames[0]!.bytes)
    expect(fleet.reasons(1)).toEqual(["NotMember", "Misaddressed"])
    fleet.nowMs += 1000
    fleet.restart(0)
    fleet.note(0, 1, bytesOf(3))
    const hello = Buffer.from(hand.frames[0]!.bytes)
    const foreign = sceneOf(2)
    const forged = (at: number, bytes: Uint8Array): Uint8Array => {
      const changed = Buffer.from(hello)
      changed.set(bytes, headerBytes + at)
      return retagged(changed)
    }
    fleet.seen.length = 0
    for (const bytes of [forged(2, Buffer.from(foreign.cluster, "hex")), forged(18, bytesOf(32)), forged(50, bytesOf(16, 99)), forged(4000, bytesOf(8)), hello.subarray(0, -1)]) {
      fleet.nowMs += 100
      from(fleet.idOf(0), bytes)
    }
    expect(fleet.reasons(1)).toEqual(["WrongCluster", "Misaddressed", "Unsigned", "Unsigned", "Unsigned"])
  })

  it("carrier: a program of another version is refused, and says which it speaks", () => {
    const { fleet, hand } = pair()
    fleet.nowMs += 1000
    fleet.ask(0, 1, 1, bytesOf(10))
    const bytes = Buffer.from(hand.frames[0]!.bytes)
    bytes[4] = 2
    fleet.do(1, { _tag: "Received", from: fleet.idOf(0), bytes })
    expect(fleet.of(1, "Refused")[0]).toMatchObject({ reason: "Malformed", detail: "a frame of version 2; this program knows 1" })
  })

  it("carrier: a frame of an epoch that is over is refused, and so is one behind what its sender has shown", () => {
    const { fleet, hand } = pair()
    fleet.do(1, { _tag: "MembersChanged", members: fleet.known(5, 3) })
    fleet.note(0, 1, bytesOf(3))
    hand.settle()
    fleet.do(0, { _tag: "MembersChanged", members: fleet.known(4) })
    fleet.note(0, 1, bytesOf(4))
    hand.settle()
    fleet.do(0, { _tag: "MembersChanged", members: fleet.known(3) })
    fleet.note(0, 1, bytesOf(5))
    hand.settle()
    expect(fleet.reasons(1)).toEqual(["OldEpoch", "OldEpoch"])
    expect(fleet.of(1, "Deliver").map(({ bytes }) => bytes.length)).toEqual([4])
  })

  it("carrier: any bit of any frame changed: refused, and nothing of it is heard", () => {
    const { fleet, hand } = pair()
    hand.run(1100)
    fleet.ask(0, 1, 1, bytesOf(40))
    const frame = hand.frames.find(({ bytes }) => headerOf(bytes).kind === "Data")!.bytes
    fleet.seen.length = 0
    for (let at = 0; at < frame.length; at += 1) {
      fleet.do(1, { _tag: "Received", from: fleet.idOf(0), bytes: Uint8Array.from(frame, (byte, index) => (index === at ? byte ^ (1 << (at % 8)) : byte)) })
    }
    expect(fleet.reasons(1).length).toBe(frame.length)
    expect(fleet.of(1, "Deliver")).toEqual([])
  })

  it("carrier: noise, and frames that somebody has harmed: refused, never thrown at", () => {
    const { fleet, hand } = pair()
    fleet.nowMs += 1000
    fleet.restart(0)
    fleet.ask(0, 1, 1, bytesOf(4000))
    const frames = [hand.frames[0]!.bytes]
    hand.deliver()
    frames.push(hand.frames[0]!.bytes)
    hand.deliver()
    frames.push(...hand.frames.map(({ bytes }) => bytes))
    hand.settle()
    fleet.seen.length = 0
    const receive = (bytes: Uint8Array): void => {
      fleet.nowMs += 1
      for (const by of [0, 1]) fleet.do(by, { _tag: "Received", from: fleet.idOf(1 - by), bytes })
      hand.lose()
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), receive), { numRuns: 200 })
    fc.assert(fc.property(fc.nat(), fc.nat(), (seed, index) => receive(mutateBytes(seededRandom(seed), frames[index % frames.length]!))), { numRuns: 400 })
    receive(bytesOf(65_536))
    expect([...fleet.of(0, "Deliver"), ...fleet.of(1, "Deliver")]).toEqual([])
    expect(fleet.reasons(1).length).toBeGreaterThan(500)
  })
})

describe("carrier: clocks", () => {
  it("carrier: how far a peer's clock is ahead is measured, and told where it is too far", () => {
    const { fleet, hand } = pair()
    fleet.members[1]!.skewMs = 3000
    hand.run(3000)
    expect(offsetsOf(fleet.members[0]!.state).get(fleet.idOf(1))).toBe(3000)
    expect(offsetsOf(fleet.members[1]!.state).get(fleet.idOf(0))).toBe(-3000)
    expect(fleet.of(0, "ClockOff")).toEqual([])
    fleet.members[1]!.skewMs = 60_000
    hand.run(3000)
    expect(fleet.of(0, "ClockOff").map(({ offsetMs }) => offsetMs)).toEqual([60_000])
    expect(fleet.of(1, "ClockOff").map(({ offsetMs }) => offsetMs)).toEqual([-60_000])
    fleet.members[1]!.skewMs = 0
    hand.run(3000)
    expect(fleet.of(0, "ClockRight").length).toBe(1)
  })

  it("carrier: a frame that was on its way for too long is refused, by the sender's clock as it is", () => {
    const { fleet, hand } = pair()
    fleet.members[0]!.skewMs = 90_000
    hand.run(3000)
    fleet.seen.length = 0
    fleet.note(0, 1, bytesOf(3))
    const late = hand.frames.shift()!.bytes
    fleet.note(0, 1, bytesOf(4))
    hand.settle()
    hand.run(40_000, 500)
    fleet.do(1, { _tag: "Received", from: fleet.idOf(0), bytes: late })
    expect(fleet.reasons(1)).toEqual(["Stale"])
    expect(fleet.of(1, "Deliver").map(({ bytes }) => bytes.length)).toEqual([4])
  })

  it("carrier: when a clock jumps by hours, both go on within a ping or two", () => {
    const { fleet, hand } = pair()
    hand.run(3000)
    for (const by of [0, 1]) {
      fleet.members[by]!.skewMs = 7_200_000
      hand.run(2500)
      fleet.ask(0, 1, 10 + by, bytesOf(50))
      hand.run(1000)
    }
    expect(fleet.of(0, "Answered").filter(({ isLast }) => isLast).map(({ ask }) => ask)).toEqual([10, 11])
    expect([...fleet.of(0, "Disconnected"), ...fleet.of(1, "Disconnected")]).toEqual([])
  })
})

/** With the checksum that handshakes have. */
const retagged = (frame: Uint8Array): Uint8Array => {
  const bytes = Buffer.from(frame)
  bytes.set(plainTagging(bytes.subarray(0, 120), bytes.subarray(headerBytes)), 120)
  return bytes
}
