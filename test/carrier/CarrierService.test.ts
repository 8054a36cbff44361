/** The carrier's runner by stories, on simulated machines and networks. CARRIER_SEEDS, CARRIER_FROM. */
import { Effect, Exit, Scope } from "effect"
import { ok } from "node:assert/strict"
import { describe, expect, it } from "vitest"
import { drawNetworkPlan } from "../../sim/faults/NetworkPlan.ts"
import { seededRandom } from "../../sim/Random.ts"
import { toUtf8 } from "../../src/base/bytes.ts"
import { carrierEventsQueuedMax, carrierMessageBytesMax, carrierStreamWindowBytes } from "../../src/base/clusterLimits.ts"
import { doneAnswer, failedAnswer, readAnswer } from "../../src/carrier/Answer.ts"
import { AnswerRefused, CarrierError } from "../../src/carrier/CarrierError.ts"
import type { AskOptions } from "../../src/carrier/AsksService.ts"
import type { CarrierInterface, Handler } from "../../src/carrier/CarrierService.ts"
import { areAnswers, answersTo } from "./Fleet.ts"
import { Country, reasonOf, type Station, valueOf } from "./Stations.ts"

const soon: AskOptions = { level: 2, deadlineMs: 5000 }
const late: AskOptions = { level: 2, deadlineMs: 600_000 }
const bytesOf = (count: number, seed = 1): Uint8Array => seededRandom(seed).bytes(count)
const echo: Handler = ({ bytes }) => Effect.succeed(bytes)

/** Two nodes that run. */
const pair = (more?: (station: Station, carrier: CarrierInterface) => Effect.Effect<void, never, Scope.Scope>) => {
  const country = new Country(2)
  for (const station of country.stations) station.start(more)
  const [a, b] = country.stations as [Station, Station]
  country.passUntil(() => a.carrier !== undefined && b.carrier !== undefined)
  return { country, a, b, of: (station: Station): CarrierInterface => station.carrier! }
}

const serving = (topic: number, handler: Handler) => (_: Station, carrier: CarrierInterface) => carrier.serve(topic, handler)

/** All answers, each held for a while. */
const collect = (carrier: CarrierInterface, to: Station, topic: number, bytes: Uint8Array, options: AskOptions, holdMs = 0) =>
  Effect.scoped(Effect.gen(function*() {
    const answers = yield* carrier.open(to.id, topic, bytes, options)
    const all: Array<Uint8Array> = []
    for (;;) {
      const next = yield* answers.next
      if (next === undefined) return all
      all.push(next)
      if (holdMs > 0) yield* Effect.sleep(holdMs)
    }
  }))

describe("carrier's runner", () => {
  it("runner: an ask is answered, a tell arrives, a note is heard; answers of any size, empty ones too", () => {
    const told: Array<string> = []
    const { a, b, country, of } = pair((_, carrier) => Effect.andThen(
      carrier.serve(1, echo),
      carrier.serve(2, ({ bytes, deadlineMs, from, level }) => Effect.sync(() => { told.push(`${from.slice(0, 4)} ${level} ${deadlineMs > 0} ${bytes.length}`); return bytes }))
    ))
    const asked = [0, 1, 5000, 70_000, 3_000_000].map((size) => [size, a.run(of(a).ask(b.id, 1, bytesOf(size), late))] as const)
    country.passUntil(() => asked.every(([, { exit }]) => exit !== undefined))
    for (const [size, running] of asked) expect(Buffer.compare(valueOf(running), bytesOf(size))).toBe(0)
    const tell = b.run(of(b).tell(a.id, 2, bytesOf(100_000), soon))
    const note = b.run(of(b).note(a.id, 2, bytesOf(9), 0))
    country.passUntil(() => tell.exit !== undefined && note.exit !== undefined && told.length === 2)
    expect(valueOf(tell)).toBeUndefined()
    expect(told.sort()).toEqual([`${b.id.slice(0, 4)} 0 false 9`, `${b.id.slice(0, 4)} 2 true 100000`].sort())
    country.pass(2000)
    for (const station of [a, b]) {
      const [peer] = of(station).status().peers
      expect(peer).toMatchObject({ hasSession: true, queuedBytes: 0, inFlightBytes: 0, heldBytes: 0, asks: 0, requests: 0, failure: undefined })
      expect(peer!.sentBytes).toBeGreaterThan(1000)
      expect(Math.abs(peer!.clock!.offsetMs)).toBeLessThan(50)
    }
  })

  it("runner: answers in many messages come one by one, in order, and the last may have bytes", () => {
    const { a, b, country, of } = pair(serving(1, ({ bytes }, more) => Effect.gen(function*() {
      const all = answersTo(bytes)
      for (const one of all) yield* more(one)
      return toUtf8("the end")
    })))
    for (let seed = 1; seed < 6; seed += 1) {
      const request = bytesOf(50, seed)
      const asked = a.run(collect(of(a), b, 1, request, late))
      country.passUntil(() => asked.exit !== undefined)
      const answers = valueOf(asked)
      expect(Buffer.from(answers.at(-1)!).toString()).toBe("the end")
      expect(areAnswers(request, answers.slice(0, -1))).toBe(true)
    }
    // Who wants one answer of a topic that gives many is told so.
    const one = a.run(of(a).ask(b.id, 1, bytesOf(50, 1), late))
    country.passUntil(() => one.exit !== undefined)
    expect(reasonOf(one)).toBe("Unexpected")
  })

  it("runner: who pulls slowly is sent no more than a window ahead, and the handler waits for him", () => {
    const [piece, pieces] = [128 * 1024, 80]
    let [given, got, most] = [0, 0, 0]
    const { a, b, country, of } = pair(serving(1, (_, more) => Effect.gen(function*() {
      for (let count = 0; count < pieces; count += 1) {
        yield* more(new Uint8Array(piece).fill(count))
        given += 1
      }
      return new Uint8Array(0)
    })))
    const asked = a.run(Effect.scoped(Effect.gen(function*() {
      const answers = yield* of(a).open(b.id, 1, bytesOf(3), late)
      for (;;) {
        const next = yield* answers.next
        if (next === undefined) return
        ok(next.every((byte) => byte === got), "in order")
        got += 1
        most = Math.max(most, given - got)
        if (got < 60) yield* Effect.sleep(300)
      }
    })))
    country.passUntil(() => asked.exit !== undefined)
    valueOf(asked)
    expect(got).toBe(pieces)
    // One window that the asker holds, one that the handler has given and waits for, and what is on its way.
    expect(most * piece).toBeLessThan(3 * carrierStreamWindowBytes)
    expect(most * piece).toBeGreaterThan(carrierStreamWindowBytes / 2)
  })

  it("runner: nobody serves it, its handler refuses, its handler dies, it is too long: each is answered by its name, and nobody else is harmed", () => {
    const { a, b, country, of } = pair((_, carrier) => Effect.all([
      carrier.serve(1, echo),
      carrier.serve(2, () => Effect.fail(new AnswerRefused({ detail: "the cellar is locked" }))),
      carrier.serve(3, () => Effect.die(new Error("a bug of the handler"))),
      carrier.serve(4, () => { throw new Error("a bug before the handler") }),
      carrier.serve(5, () => Effect.succeed(new Uint8Array(carrierMessageBytesMax)))
    ]))
    const topics = [9, 2, 3, 4, 5].map((topic) => a.run(of(a).ask(b.id, topic, bytesOf(5), soon)))
    const notes = [9, 2, 3, 4].map((topic) => a.run(of(a).note(b.id, topic, bytesOf(5), 2)))
    country.passUntil(() => [...topics, ...notes].every(({ exit }) => exit !== undefined))
    expect(topics.map(reasonOf)).toEqual(["NoHandler", "Refused", "Died", "Died", "TooLarge"])
    const { exit } = topics[1]!
    expect(Exit.isFailure(exit!) && String(exit.cause)).toContain("the cellar is locked")
    const after = a.run(of(a).ask(b.id, 1, bytesOf(5), soon))
    country.passUntil(() => after.exit !== undefined)
    expect(valueOf(after)).toEqual(bytesOf(5))
    country.pass(1000)
    expect(b.log.filter((line) => line.includes("has died of a message")).length).toBe(4)
    expect(of(b).status().peers[0]).toMatchObject({ heldBytes: 0, requests: 0 })
  })

  it("runner: whoever is interrupted is not answered, and the handler is interrupted with him; so it is when the deadline passes", () => {
    const ends: Array<string> = []
    const { a, b, country, of } = pair(serving(1, ({ bytes }) => Effect.onExit(Effect.never, (exit) => Effect.sync(() => { ends.push(`${bytes[0]} ${exit._tag}`) }))))
    const asked = a.run(of(a).ask(b.id, 1, Uint8Array.of(1), late))
    const opened = a.run(Effect.scoped(Effect.andThen(of(a).open(b.id, 1, Uint8Array.of(2), late), Effect.sleep(500))))
    const due = a.run(of(a).ask(b.id, 1, Uint8Array.of(3), { level: 1, deadlineMs: 2000 }))
    country.pass(300)
    expect(ends).toEqual([])
    asked.stop()
    country.pass(100)
    expect(ends).toEqual(["1 Failure"])
    country.passUntil(() => opened.exit !== undefined)
    country.pass(100)
    expect(ends).toEqual(["1 Failure", "2 Failure"])
    country.passUntil(() => due.exit !== undefined)
    expect(reasonOf(due)).toBe("Deadline")
    expect(country.nowMs).toBeLessThan(2300)
    country.pass(200)
    expect(ends.length).toBe(3)
    country.pass(2000)
    for (const station of [a, b]) expect(of(station).status().peers[0]).toMatchObject({ heldBytes: 0, asks: 0, requests: 0, queuedBytes: 0 })
  })

  it("runner: a peer that loses its power: what was under way is lost by its name, and once it is back all goes on", () => {
    const { a, b, country, of } = pair(serving(1, ({ bytes }) => (bytes.length === 1 ? Effect.never : Effect.succeed(bytes))))
    const lost = a.run(of(a).ask(b.id, 1, Uint8Array.of(1), late))
    country.pass(300)
    b.powerOff()
    country.pass(15_000)
    expect(reasonOf(lost)).toBe("SessionLost")
    const nobody = a.run(of(a).ask(b.id, 1, bytesOf(2), { level: 2, deadlineMs: 1000 }))
    country.pass(1500)
    expect(reasonOf(nobody)).toBe("Unreachable")
    const patient = a.run(of(a).ask(b.id, 1, bytesOf(4), late))
    country.pass(3000)
    b.start(serving(1, echo))
    country.passUntil(() => patient.exit !== undefined)
    expect(valueOf(patient)).toEqual(bytesOf(4))
  })

  it("runner: when its scope ends, whoever asks is told, handlers are interrupted, and nothing goes on", () => {
    let interrupted = 0
    const { a, b, country, of } = pair(serving(1, () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => { interrupted += 1 }))))
    const asks = [a.run(of(a).ask(b.id, 1, bytesOf(2), late)), a.run(Effect.scoped(Effect.flatMap(of(a).open(b.id, 1, bytesOf(2), late), ({ next }) => next)))]
    b.run(of(b).ask(a.id, 1, bytesOf(2), late))
    country.pass(300)
    const carrier = of(a)
    const closed = a.run(Scope.close(a.scope!, Exit.void))
    country.passUntil(() => closed.exit !== undefined)
    expect(asks.map(reasonOf)).toEqual(["Closed", "Closed"])
    expect(interrupted).toBe(1)
    const [ask, tell] = [a.run(carrier.ask(b.id, 1, bytesOf(2), late)), a.run(carrier.tell(b.id, 1, bytesOf(2), late))]
    country.pass(100)
    expect([reasonOf(ask), reasonOf(tell)]).toEqual(["Closed", "Closed"])
    const { sent } = country.network
    const before = country.timeline.ran
    b.powerOff()
    country.pass(5000)
    expect(country.network.sent).toBe(sent)
    expect(country.timeline.ran - before).toBeLessThan(50)
  })

  it("runner: a member that is removed is no peer any more, and one that comes is", () => {
    const country = new Country(3)
    const [a, b, c] = country.stations as [Station, Station, Station]
    for (const station of country.stations) station.start(serving(1, ({ bytes }) => (bytes.length === 1 ? Effect.never : Effect.succeed(bytes))))
    country.passUntil(() => country.stations.every(({ carrier }) => carrier !== undefined))
    const under = a.run(a.carrier!.ask(c.id, 1, Uint8Array.of(1), late))
    country.pass(500)
    a.run(a.carrier!.setMembers(country.known([c.id], 2)))
    country.pass(100)
    expect(reasonOf(under)).toBe("NotMember")
    const stranger = a.run(a.carrier!.ask(c.id, 1, bytesOf(2), late))
    const member = a.run(a.carrier!.ask(b.id, 1, bytesOf(2), late))
    country.passUntil(() => member.exit !== undefined)
    expect([reasonOf(stranger), reasonOf(member)]).toEqual(["NotMember", "success"])
    c.run(c.carrier!.note(a.id, 1, bytesOf(5), 0))
    country.pass(200)
    expect(a.carrier!.status().refused.get("NotMember")).toBeGreaterThan(0)
    expect(a.log.join("\n")).toContain("NotMember")
    expect(a.carrier!.status()).toMatchObject({ epoch: 2 })
    a.run(a.carrier!.setMembers(country.known([], 3)))
    const again = a.run(a.carrier!.ask(c.id, 1, bytesOf(2), late))
    country.passUntil(() => again.exit !== undefined)
    expect(valueOf(again)).toEqual(bytesOf(2))
  })

  it("runner: more than may wait is refused at once, and the rest is answered", () => {
    const { a, b, country, of } = pair(serving(1, echo))
    const asks = Array.from({ length: carrierEventsQueuedMax + 500 }, () => of(a).ask(b.id, 1, bytesOf(4), soon))
    const flood = a.run(Effect.forEach(asks, (ask) => Effect.exit(ask), { concurrency: "unbounded" }))
    country.passUntil(() => flood.exit !== undefined)
    const exits = valueOf(flood)
    const busy = exits.filter(Exit.isFailure)
    expect(busy.length).toBeGreaterThan(100)
    expect(exits.length - busy.length).toBeGreaterThanOrEqual(1000)
    for (const exit of busy) expect(reasonOf({ exit, stop: () => undefined })).toBe("Busy")
    const after = a.run(of(a).ask(b.id, 1, bytesOf(4), soon))
    country.passUntil(() => after.exit !== undefined)
    expect(valueOf(after)).toEqual(bytesOf(4))
  })

  it("runner: whom it hears is told to failure detection, at least every second, and not once they are silent", () => {
    const { a, b, country, of } = pair(serving(1, echo))
    a.run(of(a).note(b.id, 1, bytesOf(1), 0))
    country.pass(10_000)
    for (const station of [a, b]) {
      const times = station.heard.map(([, nowMs]) => nowMs)
      expect(times.length).toBeGreaterThan(9)
      expect(Math.max(...times.slice(1).map((at, index) => at - times[index]!))).toBeLessThan(1200)
    }
    b.powerOff()
    const count = a.heard.length
    country.pass(5000)
    expect(a.heard.length - count).toBeLessThan(3)
  })

  it("runner: whatever the network and the power do, every ask ends once by its deadline, answered right; once all is calm all is answered and nothing is left", { timeout: 120_000 }, () => {
    const from = Number(process.env["CARRIER_FROM"] ?? 1)
    const count = Number(process.env["CARRIER_SEEDS"] ?? 6)
    let [answered, failed] = [0, 0]
    for (let seed = from; seed < from + count; seed += 1) {
      const country = new Country(3, seed, drawNetworkPlan(seededRandom(seed)))
      const { random, stations } = country
      const handler: Handler = ({ bytes }, more) => Effect.gen(function*() {
        yield* Effect.sleep(bytes[0]! % 100)
        for (const one of answersTo(bytes)) yield* more(one)
        return new Uint8Array(0)
      })
      for (const station of stations) station.start(serving(1, handler))
      country.pass(100)
      country.network.begin()
      const asked: Array<{ readonly running: ReturnType<Station["run"]>; readonly station: Station; readonly life: Station["life"]; readonly dueMs: number }> = []
      const act = (deadlineMs: number): void => {
        const station = random.pick(stations)
        const to = random.pick(stations.filter((one) => one !== station))
        if (station.carrier === undefined) return
        const request = random.bytes(1 + random.below(random.pick([50, 5000, 200_000])))
        const running = station.run(Effect.map(collect(station.carrier, to, 1, request, { level: 2, deadlineMs }, random.below(50)), (answers) => ok(areAnswers(request, answers), "answers are those of its request")))
        asked.push({ running, station, life: station.life, dueMs: country.nowMs + deadlineMs })
      }
      for (let turn = 0; turn < 150; turn += 1) {
        country.pass(100)
        if (random.chance(0.5)) act(random.pick([500, 3000, 30_000]))
        if (random.chance(0.01)) {
          const station = random.pick(stations)
          station.powerOff()
          country.timeline.after(random.below(2_000_000), () => { if (!station.life.isOn) station.start(serving(1, handler)) })
        }
      }
      country.network.heal()
      country.pass(60_000)
      for (const { life, running } of asked) {
        if (!life.isOn) continue
        ok(running.exit !== undefined, `seed ${seed}: an ask has not ended`)
        if (Exit.isSuccess(running.exit)) answered += 1
        else {
          failed += 1
          ok(reasonOf(running) in { Deadline: 1, Unreachable: 1, SessionLost: 1 }, `seed ${seed}: ${reasonOf(running)}`)
        }
      }
      asked.length = 0
      for (let turn = 0; turn < 10; turn += 1) act(30_000)
      country.pass(30_000)
      for (const { running } of asked) ok(reasonOf(running) === "success", `seed ${seed}: calm, and yet ${reasonOf(running)}`)
      for (const { carrier } of stations) for (const peer of carrier!.status().peers) {
        expect(peer, `seed ${seed}`).toMatchObject({ heldBytes: 0, asks: 0, requests: 0, queuedBytes: 0, inFlightBytes: 0 })
      }
    }
    ok(answered > 10 * count && failed > count, `worlds in which something happens: ${answered} answered, ${failed} failed`)
  })
})

describe("answers", () => {
  it("answers: how one ends, there and back; what is none is seen to be", () => {
    for (const bytes of [new Uint8Array(0), bytesOf(10)]) expect(readAnswer(doneAnswer(bytes))).toEqual({ _tag: "Done", bytes })
    for (const reason of ["NoHandler", "Died", "Refused", "Busy", "TooLarge"] as const) {
      expect(readAnswer(failedAnswer(reason, "why"))).toEqual({ _tag: "Failed", reason, detail: "why" })
      const long = readAnswer(failedAnswer(reason, "\u{1f40d}\ud800".repeat(10_000)))
      expect(long?._tag === "Failed" && long.detail.length > 100).toBe(true)
    }
    for (const bytes of [new Uint8Array(0), Uint8Array.of(9), Uint8Array.of(1, 0xff), new Uint8Array(5000).fill(1)]) expect(readAnswer(bytes)).toBeUndefined()
    expect(new CarrierError({ peer: "ab".repeat(32) as never, topic: 3, reason: "Busy", detail: "too much" }).message).toBe("carrier: node abababababab, topic 3: Busy: too much")
  })
})
