/** The sealer's kernels: name, seal and open pieces, move buffers, and know a bad copy from a bad chunk. */
import { describe, expect, it } from "vitest"
import type { Hash } from "../../src/base/ids.ts"
import { nameKernel, openKernel, sealKernel, vaultOf } from "../../src/sealer/SealKernel.ts"
import { openVault } from "../../src/sealer/Vault.ts"
import { keysOf, noise, text } from "./fixtures.ts"

const keys = keysOf(1)
const bytes = new Uint8Array(Buffer.concat([noise(3000, 1), text(50_000, 2), noise(1, 3)]))
const lengths = [3000, 50_000, 1]

const sealAll = () => {
  const { ids } = nameKernel.run({ keys, bytes, lengths })
  const pieces = ids.map((id, index) => ({ id, offset: lengths.slice(0, index).reduce((a, b) => a + b, 0), length: lengths[index] ?? 0 }))
  return sealKernel.run({ keys, bytes, pieces })
}

describe("seal kernels", () => {
  it("sealer: named, sealed, cloned across a lane's border and opened: the same bytes, every buffer moved", () => {
    const output = sealAll()
    const moved = structuredClone(output, { transfer: [...sealKernel.transfersOut({ ...output, bytes: bytes.slice() })] })
    expect(output.sealed.every((chunk) => chunk.bytes.length === 0)).toBe(true)
    const input = { keys: structuredClone(keys), pieces: moved.sealed }
    const { opened } = openKernel.run(input)
    expect(Buffer.concat(opened.filter((piece) => piece instanceof Uint8Array))).toEqual(Buffer.from(bytes))
    expect(openKernel.transfersIn(input).length).toBe(3)
    // The runtime may give a tiny plaintext a place in a shared pool: that one is copied, never torn out of the pool.
    expect(openKernel.transfersOut({ opened }).length).toBeGreaterThanOrEqual(2)
    expect(nameKernel.transfersIn({ keys, bytes, lengths })).toEqual([bytes.buffer])
  })

  it("sealer: a copy that rotted is WrongHash, another vault's chunk is WrongVault, and the others open", () => {
    const [one, two] = sealAll().sealed
    if (one === undefined || two === undefined) throw new Error("three chunks were sealed")
    const rotten = Uint8Array.from(one.bytes)
    rotten[100] = (rotten[100] ?? 0) ^ 1
    const foreign = openVault(keysOf(2))
    const theirs = foreign.sealChunk(foreign.nameChunk(noise(9, 9)), noise(9, 9))
    const { opened } = openKernel.run({ keys, pieces: [{ ...one, bytes: rotten }, two, theirs, { ...theirs, hash: "00".repeat(32) as Hash }] })
    expect(opened.map((piece) => (piece instanceof Uint8Array ? "opened" : piece.reason))).toEqual(["WrongHash", "opened", "WrongVault", "WrongHash"])
  })

  it("sealer: what opens is proved by its name and its tag, whatever hash was recorded; a bit of it anywhere and it does not open", () => {
    const [one] = sealAll().sealed
    if (one === undefined) throw new Error("three chunks were sealed")
    const [opened] = openKernel.run({ keys, pieces: [{ ...one, hash: "00".repeat(32) as Hash }] }).opened
    expect(opened).toEqual(Buffer.from(bytes.subarray(0, 3000)))
    for (let at = 0; at < one.bytes.length; at += 7) {
      const rotten = Uint8Array.from(one.bytes)
      rotten[at] = (rotten[at] ?? 0) ^ (1 << at % 8)
      expect(openKernel.run({ keys, pieces: [{ ...one, bytes: rotten }] }).opened).toMatchObject([{ reason: "WrongHash" }])
    }
  })

  it("sealer: a piece outside its bytes, or under another's name, is our own bug", () => {
    const { ids } = nameKernel.run({ keys, bytes, lengths })
    const id = ids[0] ?? ("" as never)
    expect(() => sealKernel.run({ keys, bytes, pieces: [{ id, offset: 53_000, length: 2 }] })).toThrow("no piece")
    expect(() => sealKernel.run({ keys, bytes, pieces: [{ id, offset: 1, length: 3000 }] })).toThrow("not named after its bytes")
    expect(() => nameKernel.run({ keys, bytes, lengths: [0] })).toThrow("no piece")
  })

  it("sealer: a lane opens a vault once, however often its keys are cloned, and forgets the oldest", () => {
    const vault = vaultOf(keys)
    expect(vaultOf(structuredClone(keys))).toBe(vault)
    expect(vaultOf({ ...keys, master: noise(32, 77) })).not.toBe(vault)
    for (let seed = 100; seed < 120; seed++) vaultOf(keysOf(seed))
    expect(vaultOf(keys)).not.toBe(vault)
    expect(vaultOf(keys).gearKey).toEqual(vault.gearKey)
  })
})
