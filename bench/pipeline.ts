/**
 * Pipeline: what each stage of a sealed PUT and GET costs a byte, measured stage by stage in this process, and the speed
 * that follows for a large object: README.md has the formula.
 */
import { createHash, randomBytes } from "node:crypto"
import { hashBytes } from "../src/base/hash.ts"
import { KiB, MiB, unitBytes } from "../src/base/limits.ts"
import type { ChunkId, VaultId } from "../src/base/ids.ts"
import { defaultChunkerOptions } from "../src/chunker/ChunkerOptions.ts"
import { cutKernel } from "../src/chunker/CutKernel.ts"
import { nameKernel, openKernel, sealKernel, vaultOf } from "../src/sealer/SealKernel.ts"
import type { VaultKeys } from "../src/sealer/VaultKeys.ts"
import type { DiskCeiling } from "./diskCeiling.ts"
import type { HttpCeiling } from "./httpCeiling.ts"

/** Nanoseconds of processor time a byte. */
export interface ByteBudget {
  readonly copy: number
  readonly cut: number
  readonly name: number
  /** Compression tried, encryption, hash of the ciphertext. */
  readonly seal: number
  /** Of the ciphertext: what verification of a written block costs. */
  readonly hash: number
  readonly md5: number
  /** Hash of the ciphertext, decryption, name of the plaintext. */
  readonly open: number
}

const keys: VaultKeys = { vaultId: "0".repeat(32) as VaultId, generation: 1, master: randomBytes(32) }
const roundsMax = 12

/** The cheapest of several rounds: what disturbs a round only ever adds. */
export const cheapest = (rounds: number, work: () => void): number => {
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < rounds; round += 1) {
    const before = process.cpuUsage()
    work()
    const { system, user } = process.cpuUsage(before)
    least = Math.min(least, system + user)
  }
  return least
}

const perByte = (work: () => void): number => (cheapest(roundsMax, work) * 1000) / unitBytes

/** About two seconds. */
export const measureBytes = (): ByteBudget => {
  const bytes = randomBytes(unitBytes)
  const target = Buffer.alloc(unitBytes + MiB)
  const cutInput = { gearKey: vaultOf(keys).gearKey, options: defaultChunkerOptions, bytes, final: true }
  const { lengths } = cutKernel.run(cutInput)
  const { ids } = nameKernel.run({ keys, bytes, lengths })
  let offset = 0
  const pieces = lengths.map((length, index) => {
    offset += length
    return { offset: offset - length, length, id: ids[index] as ChunkId }
  })
  const { sealed } = sealKernel.run({ keys, bytes, pieces })
  const stored = sealed.map(({ bytes: ciphertext, hash, id }) => ({ id, bytes: ciphertext, hash }))
  return {
    copy: perByte(() => target.set(bytes)),
    cut: perByte(() => void cutKernel.run(cutInput)),
    name: perByte(() => void nameKernel.run({ keys, bytes, lengths })),
    seal: perByte(() => void sealKernel.run({ keys, bytes, pieces, target: { memory: target, places: pieces.map(({ offset }, index) => offset + index * KiB), alignBytes: 8 } })),
    hash: perByte(() => void hashBytes(bytes)),
    md5: perByte(() => {
      const hash = createHash("md5")
      for (let at = 0; at < bytes.length; at += 64 * KiB) hash.update(bytes.subarray(at, at + 64 * KiB))
      hash.digest()
    }),
    open: perByte(() => void openKernel.run({ keys, pieces: stored }))
  }
}

export interface PipelineCeiling {
  /** MB/s. */
  readonly speed: number
  /** What is short first. */
  readonly limit: string
}

interface Loads {
  /** Nanoseconds a byte on the node's main thread, on its lanes, and of the client. */
  readonly main: number
  readonly lanes: number
  readonly client: number
}

const slowest = (limits: ReadonlyArray<readonly [limit: string, speed: number]>): PipelineCeiling => {
  const [limit, speed] = limits.reduce((least, one) => (one[1] < least[1] ? one : least))
  return { limit, speed }
}

const limitsOf = ({ client, lanes, main }: Loads, cores: number, lanesCount: number): ReadonlyArray<readonly [string, number]> => [
  ["main thread", 1000 / main],
  ["lanes", (1000 * Math.min(lanesCount, cores)) / lanes],
  ["processors, client included", (1000 * cores) / (main + lanes + client)]
]

export const putCeiling = (budget: ByteBudget, http: HttpCeiling, disk: Pick<DiskCeiling, "writeNanos" | "writtenAndReadMBs">, cores: number, lanes: number): PipelineCeiling =>
  slowest([
    ...limitsOf({
      // One copy, from the socket's buffer into the unit; a written block is read back and hashed.
      main: http.up.server + budget.copy + disk.writeNanos,
      lanes: budget.cut + budget.name + budget.seal + budget.hash, client: http.up.client
    }, cores, lanes),
    ["the disk, written and read back", disk.writtenAndReadMBs]
  ])

export const getCeiling = (budget: ByteBudget, http: HttpCeiling, disk: Pick<DiskCeiling, "readMBs">, cores: number, lanes: number): PipelineCeiling =>
  slowest([...limitsOf({ main: http.down.server, lanes: budget.open, client: http.down.client }, cores, lanes), ["the disk, read", disk.readMBs]])
