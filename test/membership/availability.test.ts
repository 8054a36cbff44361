/** Who is there: never doubted while it is heard as before, gone within a bound once it is silent, there again at its first word. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { seededRandom } from "../../sim/Random.ts"
import { availabilityPauseMs, availabilitySilentMsMax, availabilityTurnsMax, carrierPingMs } from "../../src/base/clusterLimits.ts"
import { availabilityIn, type AvailabilityState, availabilityOptions, heard, look, makeAvailability, phiOf, type Turn, watch } from "../../src/membership/Availability.ts"
import { sceneOf } from "./fixtures.ts"

const scene = sceneOf(1)
const [node, other] = [scene.node(2).id, scene.node(3).id]
const wallMs = 1_795_305_600_000

/** Looks every 50 ms, as a runner does; what is heard when. */
const live = (state: AvailabilityState, from: number, hearings: ReadonlyArray<number>, until: number): ReadonlyArray<Turn> => {
  const turns: Array<Turn> = []
  let next = 0
  for (let nowMs = from; nowMs <= until; nowMs += 50) {
    for (; next < hearings.length && hearings[next]! <= nowMs; next += 1) {
      const turn = heard(state, node, hearings[next]!, wallMs + hearings[next]!)
      if (turn !== undefined) turns.push(turn)
    }
    turns.push(...look(state, nowMs, wallMs + nowMs))
  }
  return turns
}

const watching = (options = availabilityOptions): AvailabilityState => {
  const state = makeAvailability(options)
  watch(state, [node, other], 0)
  return state
}

/** Gaps of a mean and a spread, from 0 on. */
const hearingsOf = (seed: number, count: number, meanMs: number, spreadMs: number): ReadonlyArray<number> => {
  const random = seededRandom(seed)
  let at = 0
  return Array.from({ length: count }, () => (at += Math.max(1, meanMs - spreadMs + random.below(2 * spreadMs + 1))))
}

/** How long it is silent until it is gone. */
const silenceOf = (state: AvailabilityState, fromMs: number): number => {
  for (let nowMs = fromMs; ; nowMs += 10) if (look(state, nowMs, wallMs).some((turn) => turn.node === node)) return nowMs - fromMs
}

const standingOf = (state: AvailabilityState): string => availabilityIn(state, 0).find((one) => one.node === node)!.standing

describe("availability", () => {
  it("availability: a steady peer is never suspected, however fast, slow or busy it is", () => {
    fc.assert(fc.property(fc.nat(1_000_000), fc.integer({ min: 1, max: 1500 }), fc.double({ min: 0, max: 0.3, noNaN: true }), (seed, meanMs, share) => {
      const state = watching()
      const hearings = hearingsOf(seed, 200, meanMs, Math.floor(meanMs * share))
      const turns = live(state, 0, hearings, hearings.at(-1)!).filter((turn) => turn.node === node)
      expect(turns.map(({ standing }) => standing)).toEqual(["Up"])
    }), { numRuns: 60 })
  })

  it("availability: a busy peer that becomes quiet, and is heard every second from then on, is not suspected; nor is it when the first ping is lost", () => {
    const busy = hearingsOf(1, 5000, 5, 4)
    const from = busy.at(-1)!
    const quiet = Array.from({ length: 30 }, (_, index) => from + 0.8 * carrierPingMs + (index + 1) * carrierPingMs)
    const state = watching()
    expect(live(state, 0, [...busy, ...quiet], quiet.at(-1)!).filter((turn) => turn.node === node).length).toBe(1)
  })

  it("availability: a silent peer is suspected within the bound, whatever it was like before; phi only grows with silence", () => {
    fc.assert(fc.property(fc.nat(1_000_000), fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 0, max: 5000 }), (seed, meanMs, spreadMs) => {
      const state = watching()
      const hearings = hearingsOf(seed, 50, meanMs, spreadMs)
      live(state, 0, hearings, hearings.at(-1)!)
      const last = hearings.at(-1)!
      let before = 0
      for (let nowMs = last; nowMs < last + 20_000; nowMs += 500) {
        const phi = phiOf(state, node, nowMs)!
        expect(phi).toBeGreaterThanOrEqual(before)
        before = phi
      }
      expect(standingOf(state) === "Up" ? silenceOf(state, last) : 0).toBeLessThanOrEqual(availabilitySilentMsMax)
    }), { numRuns: 60 })
    const steady = watching()
    const hearings = hearingsOf(7, 100, carrierPingMs, 50)
    live(steady, 0, hearings, hearings.at(-1)!)
    const silence = silenceOf(steady, hearings.at(-1)!)
    // Sooner than the carrier gives the session up, and not before a pause and a gap.
    expect(silence).toBeLessThan(4000)
    expect(silence).toBeGreaterThan(carrierPingMs + availabilityPauseMs)
  })

  it("availability: the more a peer's gaps vary, the longer it may be silent", () => {
    const silences = [20, 400, 900].map((spreadMs) => {
      const state = watching()
      const hearings = hearingsOf(3, 100, 1000, spreadMs)
      live(state, 0, hearings, hearings.at(-1)!)
      expect(standingOf(state)).toBe("Up")
      return silenceOf(state, hearings.at(-1)!)
    })
    expect(silences).toEqual([...silences].sort((a, b) => a - b))
    expect(silences[2]! - silences[0]!).toBeGreaterThan(500)
  })

  it("availability: who is never heard is gone after the bound, and who returns is there at once, with what it did before forgotten", () => {
    const state = watching()
    expect(look(state, availabilitySilentMsMax - 1, wallMs)).toEqual([])
    expect(look(state, availabilitySilentMsMax, wallMs).map((turn) => [turn.node, turn.standing])).toEqual([[node, "Down"], [other, "Down"]])
    expect(look(state, availabilitySilentMsMax + 5000, wallMs)).toEqual([])
    expect(heard(state, node, 60_000, wallMs)).toEqual({ node, standing: "Up", atMs: wallMs, silentMs: 60_000 })
    expect(heard(state, node, 60_100, wallMs)).toBeUndefined()
    // The minute of silence is no sample: its next silence is seen as soon as any.
    expect(silenceOf(state, 60_100)).toBeLessThan(4000)
    expect(availabilityIn(state, 70_000).find((one) => one.node === node)).toMatchObject({ standing: "Down", downs: 2 })
    expect(heard(state, scene.node(9).id, 0, wallMs)).toBeUndefined()
  })

  it("availability: a peer that comes and goes is remembered so far, and no farther; who is no member is forgotten", () => {
    const state = watching()
    let nowMs = 0
    for (let count = 0; count < 2 * availabilityTurnsMax; count += 1) {
      heard(state, node, nowMs, wallMs + nowMs)
      nowMs += 30_000
      look(state, nowMs, wallMs + nowMs)
    }
    const seen = availabilityIn(state, nowMs).find((one) => one.node === node)!
    expect(seen.turns.length).toBe(availabilityTurnsMax)
    expect(seen.downs).toBe(2 * availabilityTurnsMax)
    expect(seen.turns.at(-1)).toMatchObject({ standing: "Down", atMs: wallMs + nowMs, silentMs: 30_000 })
    for (const [index, turn] of seen.turns.entries()) expect(turn.standing).toBe(index % 2 === 0 ? "Up" : "Down")
    watch(state, [other], nowMs)
    expect(availabilityIn(state, nowMs).map((one) => one.node)).toEqual([other])
    expect(phiOf(state, node, nowMs)).toBeUndefined()
  })
})
