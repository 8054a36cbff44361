/** Ceilings: what this machine can do at best, stage by stage, measured in the same run as the store. */
import { createCipheriv, randomBytes } from "node:crypto"
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs"
import { join } from "node:path"
import { hashBytes } from "../src/base/hash.ts"
import { MiB } from "../src/base/limits.ts"

export interface Ceilings {
  /** MB/s (10^6 bytes a second), one core, units of 1 MiB. */
  readonly hashMBs: number
  readonly cipherMBs: number
  /** Buffered sequential writes of 1 MiB with one fdatasync at the end. */
  readonly writeMBs: number
  /** A lone 4 KiB write with its fdatasync: a second. */
  readonly syncsPerSecond: number
}

const seconds = (work: () => void): number => {
  const start = performance.now()
  work()
  return (performance.now() - start) / 1000
}

const rate = (bytes: number, work: () => void): number => bytes / seconds(work) / 1e6

const cipherOnce = (key: Buffer, data: Buffer): void => {
  const cipher = createCipheriv("aes-256-gcm", key, Buffer.alloc(12))
  for (let at = 0; at < data.length; at += MiB / 4) cipher.update(data.subarray(at, at + MiB / 4))
  cipher.final()
}

const repeated = (count: number, work: () => void) => (): void => {
  for (let turn = 0; turn < count; turn += 1) work()
}

/** `folder` is on the disk that the store will use. About four seconds. */
export const measureCeilings = (folder: string): Ceilings => {
  const unit = randomBytes(MiB)
  const key = randomBytes(32)
  repeated(50, () => void hashBytes(unit))()
  const hashMBs = rate(1000 * MiB, repeated(1000, () => void hashBytes(unit)))
  const cipherMBs = rate(500 * MiB, repeated(500, () => cipherOnce(key, unit)))
  const path = join(folder, "ceiling")
  const file = openSync(path, "w")
  const writeMBs = rate(512 * MiB, () => {
    for (let turn = 0; turn < 512; turn += 1) writeSync(file, unit, 0, unit.length, turn * MiB)
    fdatasyncSync(file)
  })
  const small = unit.subarray(0, 4096)
  const syncs = 500
  const syncSeconds = seconds(() => {
    for (let turn = 0; turn < syncs; turn += 1) {
      writeSync(file, small, 0, small.length, (512 + turn) * MiB)
      fdatasyncSync(file)
    }
  })
  closeSync(file)
  rmSync(path)
  return { hashMBs, cipherMBs, writeMBs, syncsPerSecond: syncs / syncSeconds }
}
