/** Disks that do worse than fail, and what the store makes of them: named or refused, never wrong; or the oracle sees it. */
import { Effect } from "effect"
import { describe, expect, test } from "vitest"
import type { DiskFile, DiskService } from "../../src/ports/Disk.ts"
import { seededRandom } from "../../sim/Random.ts"
import { runSeed, SeedFailed } from "./run.ts"

const seedsMax = 30

/** Every so many writes of blocks and checkpoints get lost, and nobody says so. */
const losing = (seed: number, probability: number) => {
  const random = seededRandom(seed)
  let lost = 0
  const loseWrite = (path: string): boolean => {
    const loses = /^(?:blocks|checkpoints)\//.test(path) && random.chance(probability)
    lost += loses ? 1 : 0
    return loses
  }
  return { loseWrite, lost: () => lost }
}

/** Shows, to whoever reads a file back for the first time, what was written to it, and not what the disk holds. */
const flattering = (disk: DiskService): DiskService => {
  const written = new Map<string, Array<{ readonly offset: number; readonly bytes: Uint8Array }>>()
  const remembering = (file: DiskFile): DiskFile => ({
    ...file,
    write: (offset, parts) => {
      written.set(file.path, [...written.get(file.path) ?? [], { offset, bytes: Buffer.concat(parts) }])
      return file.write(offset, parts)
    }
  })
  const shows = (file: DiskFile): DiskFile => {
    const writes = written.get(file.path)
    written.delete(file.path)
    if (writes === undefined) return file
    const sizeBytes = Math.max(...writes.map(({ offset, bytes }) => offset + bytes.length))
    const whole = new Uint8Array(sizeBytes)
    for (const { offset, bytes } of writes) whole.set(bytes, offset)
    return { ...file, size: Effect.succeed(sizeBytes), read: (offset, length) => Effect.succeed(whole.slice(offset, offset + length)) }
  }
  return {
    ...disk,
    open: (path, mode, options) => Effect.map(disk.open(path, mode, options), (file) => mode === "create" ? remembering(file) : shows(file))
  }
}

describe("mutants", () => {
  test("mutants: a disk that loses writes is found out by reading back, and nothing is lost with it", { timeout: 120_000 }, () => {
    let lost = 0
    for (let seed = 1; seed <= 12; seed += 1) {
      const losses = losing(seed, 0.05)
      runSeed(seed, { loseWrite: losses.loseWrite, mayFail: true })
      lost += losses.lost()
    }
    expect(lost).toBeGreaterThan(10)
  })

  test("mutants: were nothing read back, lost writes would be lost objects", { timeout: 120_000 }, () => {
    let caught: number | undefined
    for (let seed = 1; seed <= seedsMax && caught === undefined; seed += 1) {
      try {
        runSeed(seed, { loseWrite: losing(seed, 0.2).loseWrite, disk: flattering, mayFail: true })
      } catch (error) {
        if (!(error instanceof SeedFailed)) throw error
        caught = seed
      }
    }
    expect(caught).toBeDefined()
  })
})
