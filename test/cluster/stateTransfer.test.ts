/** A state from one replica to another, on simulated machines: whatever comes between, what is used is what was there, or nothing is. STATE_SEEDS, STATE_FROM. */
import { Effect, type Scope } from "effect"
import { ok } from "node:assert/strict"
import { describe, expect, it } from "vitest"
import { calmPlan, drawNetworkPlan, type NetworkPlan } from "../../sim/faults/NetworkPlan.ts"
import { seededRandom } from "../../sim/Random.ts"
import { stateIdleMsMax, stateOpenMax } from "../../src/base/raftLimits.ts"
import type { GroupId } from "../../src/base/ids.ts"
import type { CarrierInterface } from "../../src/carrier/CarrierService.ts"
import { fetchState, SinkError, type SnapshotSink } from "../../src/cluster/StateFetch.ts"
import { decodePlan, encodePlan, encodePlanAsk, type Piece, piecesOf } from "../../src/cluster/StatePlan.ts"
import { serveStates, SnapshotReadError, type SnapshotSource } from "../../src/cluster/StateServer.ts"
import { topics } from "../../src/cluster/Topics.ts"
import { configurationOf } from "../../src/raft/Configuration.ts"
import type { SnapshotPlace } from "../../src/raft/Entry.ts"
import { Country, reasonOf, type Station, valueOf } from "../carrier/Stations.ts"

const group = "60".repeat(16) as GroupId
const placeAt = (index: number): SnapshotPlace => ({ index, term: 3, configuration: configurationOf(["a", "b"], ["c"]) })
const pieceBytes = 20_000

type Files = Map<string, Uint8Array>
const filesOf = (seed: number, sizes: ReadonlyArray<number>): Files => new Map(sizes.map((size, index) => [`part-${index}.bin`, seededRandom(seed + index).bytes(size)]))

/** Files in memory, and what is done with them. */
class Source implements SnapshotSource {
  opened = 0
  closed = 0
  reads = 0
  place = placeAt(70)
  readonly files: Files

  constructor(files: Files) {
    this.files = files
  }

  open: SnapshotSource["open"] = (of, index) => Effect.gen({ self: this }, function*() {
    if (of !== group || index > this.place.index) return undefined
    yield* Effect.acquireRelease(Effect.sync(() => { this.opened += 1 }), () => Effect.sync(() => { this.closed += 1 }))
    return {
      place: this.place, files: [...this.files].map(([name, { length }]) => ({ name, bytes: length })),
      read: (file, offset, bytes) => Effect.suspend(() => {
        this.reads += 1
        const all = this.files.get(file)
        return all === undefined ? Effect.fail(new SnapshotReadError({ file, offset, detail: "it is gone" })) : Effect.succeed(Uint8Array.from(all.subarray(offset, offset + bytes)))
      })
    }
  })
}

/** What lies on the fetcher's disk, and outlives its power. */
class Sink implements SnapshotSink {
  readonly files: Files = new Map()
  plan: string | undefined
  have = 0
  written = 0
  committed = 0
  /** Does a disk's worst to what was written. */
  harm: (piece: Piece, bytes: Uint8Array) => void = () => undefined

  begin: SnapshotSink["begin"] = (plan) => Effect.sync(() => {
    if (this.plan !== plan.id) {
      this.files.clear()
      this.have = 0
      for (const { bytes, name } of plan.files) this.files.set(name, new Uint8Array(bytes))
    }
    this.plan = plan.id
    const { have } = this
    return {
      have,
      write: ({ file, number, offset }, bytes) => Effect.suspend(() => {
        if (offset + bytes.length > this.files.get(file)!.length) return Effect.fail(new SinkError({ detail: "behind the end" }))
        this.files.get(file)!.set(bytes, offset)
        this.written += 1
        this.have = Math.max(this.have, number + 1)
        return Effect.void
      }),
      read: (piece) => Effect.sync(() => {
        const bytes = this.files.get(piece.file)!.slice(piece.offset, piece.offset + piece.bytes)
        this.harm(piece, bytes)
        return bytes
      }),
      commit: Effect.sync(() => { this.committed += 1 })
    }
  })
}

const scene = (source: SnapshotSource, seed = 1, plan: NetworkPlan = calmPlan) => {
  const country = new Country(2, seed, plan)
  const [server, fetcher] = country.stations as [Station, Station]
  const serving = (_: Station, carrier: CarrierInterface): Effect.Effect<void, never, Scope.Scope> => serveStates(carrier, source, pieceBytes)
  server.start(serving)
  fetcher.start()
  country.passUntil(() => server.carrier !== undefined && fetcher.carrier !== undefined)
  const fetch = (sink: SnapshotSink, index = 50) => fetcher.run(fetchState({ carrier: fetcher.carrier!, from: server.id, group, index, sink }))
  return { country, server, fetcher, serving, fetch }
}

const isSame = (a: Files, b: Files): boolean => a.size === b.size && [...a].every(([name, bytes]) => Buffer.compare(bytes, b.get(name) ?? Buffer.from("none")) === 0)

describe("state transfer", () => {
  it("state: files of any size come whole, each piece once, and what it stands for is said", () => {
    const source = new Source(filesOf(1, [0, 1, pieceBytes, pieceBytes + 1, 3_000_000]))
    const { country, fetch } = scene(source)
    const sink = new Sink()
    const running = fetch(sink)
    country.passUntil(() => running.exit !== undefined)
    expect(valueOf(running)).toEqual(placeAt(70))
    expect([isSame(source.files, sink.files), sink.committed, sink.written]).toEqual([true, 1, 1 + 1 + 2 + 150])
  })

  it("state: the power of who serves it goes again and again: it goes on from where it stands", () => {
    const source = new Source(filesOf(2, [5_000_000, 1_000_000]))
    const { country, fetch, server, serving } = scene(source, 2, { ...calmPlan, delayMeanUs: 50_000 })
    country.network.begin()
    const sink = new Sink()
    const running = fetch(sink)
    const stood: Array<number> = []
    for (let count = 0; count < 4; count += 1) {
      country.passUntil(() => sink.have >= 30 * (count + 1))
      server.powerOff()
      stood.push(sink.have)
      country.pass(300)
      server.start(serving)
      // It has nothing open any more, and the same state under the same name.
      country.passUntil(() => sink.have > stood.at(-1)!)
    }
    for (const have of stood) expect(have).toBeLessThan(300)
    country.passUntil(() => running.exit !== undefined)
    expect(valueOf(running)).toEqual(placeAt(70))
    expect([isSame(source.files, sink.files), sink.committed]).toEqual([true, 1])
    expect(sink.written).toBeLessThan(300 + 10)
  })

  it("state: sessions that are lost, in networks that do their worst: every piece in the end, and not all of them twice", { timeout: 120_000 }, () => {
    const from = Number(process.env["STATE_FROM"] ?? 1)
    const count = Number(process.env["STATE_SEEDS"] ?? 8)
    let whole = 0
    for (let seed = from; seed < from + count; seed += 1) {
      const source = new Source(filesOf(seed, [500_000, 0, 400_000]))
      const { country, fetch } = scene(source, seed, drawNetworkPlan(seededRandom(seed)))
      country.network.begin()
      const sink = new Sink()
      let running = fetch(sink)
      for (let attempt = 0; attempt < 3 && sink.committed === 0; attempt += 1) {
        country.pass(20_000)
        if (running.exit?._tag === "Failure") running = fetch(sink)
      }
      if (sink.committed > 0) whole += 1
      country.network.heal()
      country.pass(30_000)
      if (running.exit?._tag === "Failure") running = fetch(sink)
      country.passUntil(() => running.exit !== undefined)
      expect(valueOf(running), `seed ${seed}`).toEqual(placeAt(70))
      ok(isSame(source.files, sink.files) && sink.committed === 1, `seed ${seed}: what is used is what was there`)
      expect(sink.written, `seed ${seed}`).toBeLessThan(2 * 45)
    }
    expect(whole).toBeGreaterThan(0)
  })

  it("state: who serves it is started anew and has another state by then: the first is given up by its name", () => {
    const source = new Source(filesOf(8, [5_000_000]))
    const { country, fetch, server, serving } = scene(source, 2, { ...calmPlan, delayMeanUs: 50_000 })
    country.network.begin()
    const sink = new Sink()
    const running = fetch(sink)
    country.passUntil(() => sink.have >= 30)
    server.powerOff()
    source.place = placeAt(90)
    server.start(serving)
    country.passUntil(() => running.exit !== undefined)
    expect([reasonOf(running), sink.committed]).toEqual(["Refused", 0])
    const again = fetch(sink)
    country.passUntil(() => again.exit !== undefined)
    expect([valueOf(again), sink.committed]).toEqual([placeAt(90), 1])
  })

  it("state: what changes under who serves it is refused by its name, and nothing of it is used", () => {
    const source = new Source(filesOf(3, [200_000]))
    const { country, fetch, fetcher, server } = scene(source)
    const planned = fetcher.run(fetcher.carrier!.ask(server.id, topics.statePlan, encodePlanAsk(group, 1), { level: 3, deadlineMs: 5000 }))
    country.passUntil(() => planned.exit !== undefined)
    source.files.get("part-0.bin")![150_000] = 255 - source.files.get("part-0.bin")![150_000]!
    const sink = new Sink()
    const running = fetch(sink)
    country.passUntil(() => running.exit !== undefined)
    expect(reasonOf(running)).toBe("Refused")
    expect(String((running.exit as { readonly cause?: unknown }).cause)).toContain("damaged")
    expect([sink.committed, sink.have]).toEqual([0, 7])
    source.files.clear()
    const gone = fetch(new Sink())
    country.passUntil(() => gone.exit !== undefined)
    expect(reasonOf(gone)).toBe("Refused")
  })

  it("state: who sends other bytes than he planned, a plan that is none, or one of less than was asked for: refused, and nothing of it is used", () => {
    const files = filesOf(4, [50_000])
    const hashes = piecesOf([{ name: "part-0.bin", bytes: 50_000 }], pieceBytes).map(() => new Uint8Array(32))
    const plans: ReadonlyArray<readonly [bytes: Uint8Array, reason: string]> = [
      [encodePlan(group, placeAt(70), [{ name: "part-0.bin", bytes: 50_000 }], pieceBytes, hashes), "Damaged"],
      [encodePlan(group, placeAt(10), [], pieceBytes, []), "Malformed"],
      [encodePlan("61".repeat(16) as GroupId, placeAt(70), [], pieceBytes, []), "Malformed"],
      [encodePlan(group, placeAt(70), [{ name: "../escape", bytes: 0 }], pieceBytes, []), "Malformed"],
      [new Uint8Array(100), "Malformed"]
    ]
    for (const [bytes, reason] of plans) {
      const country = new Country(2)
      const [server, fetcher] = country.stations as [Station, Station]
      server.start((_, carrier) => Effect.andThen(
        carrier.serve(topics.statePlan, () => Effect.succeed(bytes)),
        carrier.serve(topics.statePieces, (_, more) => Effect.as(more(files.get("part-0.bin")!.slice(0, pieceBytes)), new Uint8Array(0)))
      ))
      fetcher.start()
      country.passUntil(() => server.carrier !== undefined && fetcher.carrier !== undefined)
      const sink = new Sink()
      const running = fetcher.run(fetchState({ carrier: fetcher.carrier!, from: server.id, group, index: 50, sink }))
      country.passUntil(() => running.exit !== undefined)
      expect([reasonOf(running), sink.committed, sink.written]).toEqual([reason, 0, 0])
    }
  })

  it("state: a disk that does not keep a piece: it is fetched again; one that never keeps it: nothing is used", () => {
    const source = new Source(filesOf(5, [300_000]))
    const { country, fetch } = scene(source)
    const sink = new Sink()
    let left = 3
    sink.harm = ({ number }, bytes) => {
      if (number !== 4 || left === 0) return
      left -= 1
      bytes[0] = 255 - bytes[0]!
    }
    const running = fetch(sink)
    country.passUntil(() => running.exit !== undefined)
    expect(valueOf(running)).toEqual(placeAt(70))
    expect([sink.written, sink.committed]).toEqual([15 + 3, 1])
    const bad = new Sink()
    bad.harm = ({ number }, bytes) => { if (number === 4) bytes[0] = 255 - bytes[0]! }
    const never = fetch(bad)
    country.passUntil(() => never.exit !== undefined)
    expect([reasonOf(never), bad.committed]).toEqual(["Damaged", 0])
  })

  it("state: who does not take what comes is sent no more; a fetch that is given up ends there too; what nobody asks for is closed", () => {
    const source = new Source(filesOf(6, [8_000_000]))
    const { country, fetch } = scene(source)
    const sink = new Sink()
    const { begin } = sink
    let writes = 0
    sink.begin = (plan) => Effect.map(begin(plan), (one) => ({ ...one, write: (piece, bytes) => Effect.andThen(Effect.suspend(() => { writes += 1; return writes > 5 ? Effect.never : Effect.void }), one.write(piece, bytes)) }))
    const running = fetch(sink)
    country.pass(20_000)
    const planning = 400
    expect(source.reads - planning).toBeLessThan(200)
    running.stop()
    country.pass(1000)
    const { reads } = source
    country.pass(5000)
    expect([source.reads, source.opened, source.closed]).toEqual([reads, 1, 0])
    country.pass(2 * stateIdleMsMax)
    expect([source.opened, source.closed]).toEqual([1, 1])
  })

  it("state: so many states are open at once; the one that was asked for longest ago makes room, one that is read does not", () => {
    const source = new Source(filesOf(7, [60_000]))
    const { country, fetcher, server } = scene(source)
    for (let index = 1; index <= stateOpenMax + 2; index += 1) {
      source.place = placeAt(100 * index)
      const planned = fetcher.run(fetcher.carrier!.ask(server.id, topics.statePlan, encodePlanAsk(group, 100 * index), { level: 3, deadlineMs: 5000 }))
      country.passUntil(() => planned.exit !== undefined)
      ok(typeof decodePlan(valueOf(planned)) !== "string")
    }
    expect([source.opened, source.closed]).toEqual([stateOpenMax + 2, 2])
    const none = fetcher.run(fetcher.carrier!.ask(server.id, topics.statePlan, encodePlanAsk(group, 10_000), { level: 3, deadlineMs: 5000 }))
    country.passUntil(() => none.exit !== undefined)
    expect(reasonOf(none)).toBe("Refused")
  })
})
