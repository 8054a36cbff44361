/** Frames as bytes: golden ones of every kind, each field where the README's table says, and nothing else is read. */
import fc from "fast-check"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { blake3 } from "@noble/hashes/blake3.js"
import { describe, expect, it } from "vitest"
import { seededRandom } from "../../sim/Random.ts"
import { carrierFrameBytesMax, carrierMessageBytesMax } from "../../src/base/clusterLimits.ts"
import { encodeFrame, frameBytesMax, type Header, headerBytes, kinds, payloadOf, plainTagging, readHeader } from "../../src/carrier/CarrierFormat.ts"
import type { NodeId } from "../../src/membership/Identity.ts"
import { mutateBytes } from "../fuzz/Mutation.ts"
import { Fleet, Hand } from "./Fleet.ts"

const path = (name: string): URL => new URL(`golden/${name}`, import.meta.url)
const golden = (name: string): string => readFileSync(path(name), "utf8").replaceAll(/\s/g, "")
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
/** GOLDEN_MAKE=1 writes those that are missing; none is ever written over. */
const expectGolden = (name: string, bytes: Uint8Array): void => {
  if (process.env["GOLDEN_MAKE"] === "1" && !existsSync(path(name))) writeFileSync(path(name), `${(hex(bytes).match(/.{1,64}/g) ?? []).join("\n")}\n`)
  expect(hex(bytes)).toBe(golden(name))
}

const sample: Omit<Header, "payloadBytes"> = {
  kind: "Data", priority: 2, isFirst: true, isLast: false, isTold: true, topic: 0x0102, session: "0a".repeat(16), sender: "0b".repeat(32) as NodeId, epoch: 3,
  sequence: 4, timeMs: 1_795_305_600_005, stream: 7, oldest: 6, offset: 2 ** 40 + 8, messageBytes: 9, deadlineMs: 10
}

describe("frames", () => {
  it("frames: golden bytes of a session's beginning, and of every kind of frame in it", () => {
    const fleet = new Fleet(2)
    const hand = new Hand(fleet)
    const seen = new Map<string, Uint8Array>()
    const look = (): void => {
      for (const { bytes } of hand.frames) seen.set((readHeader(bytes) as Header).kind, seen.get((readHeader(bytes) as Header).kind) ?? bytes)
    }
    const settle = (): void => {
      for (look(); hand.deliver() !== undefined;) look()
    }
    fleet.note(0, 1, Buffer.from("a note"))
    settle()
    fleet.ask(0, 1, 1, Buffer.from("a request"))
    settle()
    fleet.nowMs += 1000
    fleet.restart(1)
    fleet.note(0, 1, Buffer.from("to who has forgotten"))
    settle()
    expect([...seen.keys()].sort()).toEqual([...kinds].sort())
    for (const [kind, bytes] of seen) expectGolden(`${kind.toLowerCase()}-twin.v1.hex`, bytes)
  })

  it("frames: each field lies where the table says, and the tag covers all of it", () => {
    const frame = Buffer.from(encodeFrame(sample, Buffer.from("payload"), plainTagging))
    expect(headerBytes).toBe(136)
    expect(frame.subarray(0, 12).toString("hex")).toBe("4f42434601060205".concat("0102", "0000"))
    expect([12, 96, 100, 104, 108].map((at) => frame.readUInt32BE(at))).toEqual([7, 7, 6, 9, 10])
    expect([64, 72, 80, 88, 112].map((at) => Number(frame.readBigUInt64BE(at)))).toEqual([3, 4, 1_795_305_600_005, 2 ** 40 + 8, 0])
    expect(frame.subarray(16, 64).toString("hex")).toBe("0a".repeat(16) + "0b".repeat(32))
    expect(frame.subarray(120, 136).toString("hex")).toBe(hex(blake3(Buffer.concat([frame.subarray(0, 120), Buffer.from("payload")])).subarray(0, 16)))
    expect(readHeader(frame)).toEqual({ ...sample, payloadBytes: 7 })
    expect(readHeader(frame.subarray(0, headerBytes))).toEqual({ ...sample, payloadBytes: 7 })
  })

  it("frames: any header there and back; any harm to it is another header that the tag does not fit, or none", () => {
    const u32 = fc.nat(0xffff_ffff)
    const u53 = fc.maxSafeNat()
    const header = fc.record({
      kind: fc.constantFrom(...kinds), priority: fc.constantFrom(0 as const, 1 as const, 2 as const, 3 as const), isFirst: fc.boolean(), isLast: fc.boolean(), isTold: fc.boolean(),
      topic: fc.nat(0xffff), session: fc.constant(sample.session), sender: fc.constant(sample.sender), epoch: u53, sequence: u53, timeMs: u53, stream: u32, oldest: u32, offset: u53,
      messageBytes: fc.nat(carrierMessageBytesMax), deadlineMs: u32
    })
    fc.assert(fc.property(header, fc.uint8Array({ maxLength: 50 }), fc.nat(), (one, payload, seed) => {
      const frame = encodeFrame(one, payload, plainTagging)
      expect(readHeader(frame)).toEqual({ ...one, payloadBytes: payload.length })
      const harmed = mutateBytes(seededRandom(seed), frame)
      const read = readHeader(harmed)
      expect(typeof read === "string" || hex(harmed) === hex(frame) || payloadOf(harmed, read, plainTagging) === undefined).toBe(true)
    }), { numRuns: 500 })
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => typeof readHeader(bytes) === "string"), { numRuns: 300 })
  })

  it("frames: the largest there is", () => {
    const frame = encodeFrame({ ...sample, messageBytes: carrierMessageBytesMax }, new Uint8Array(carrierFrameBytesMax), plainTagging)
    expect(frame.length).toBe(frameBytesMax)
    expect(readHeader(frame)).toMatchObject({ payloadBytes: carrierFrameBytesMax, messageBytes: carrierMessageBytesMax })
    expect(() => encodeFrame(sample, new Uint8Array(carrierFrameBytesMax + 1), plainTagging)).toThrow("at most")
  })
})
