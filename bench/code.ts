/** code: the erasure code's kernel, encoding and giving back two lost slices, beside what copying the same bytes takes. */
import { randomBytes } from "node:crypto"
import { MiB } from "../src/base/limits.ts"
import { makeReedSolomon } from "../src/slices/ReedSolomon.ts"
import type { Bench, BenchContext } from "./bench.ts"

const blockBytes = 16 * MiB
const milliseconds = 1000

/** MB/s of the data that one call works on. */
const rateOf = (work: () => void): number => {
  for (let turn = 0; turn < 3; turn += 1) work()
  const start = performance.now()
  let turns = 0
  while (performance.now() - start < milliseconds) {
    work()
    turns += 1
  }
  return (turns * blockBytes) / (performance.now() - start) / 1000
}

const run = async ({ report }: BenchContext): Promise<void> => {
  const from = randomBytes(blockBytes)
  const to = new Uint8Array(blockBytes)
  const copy = rateOf(() => to.set(from))
  report.add({ id: "ceiling.copy", name: "ceiling: copying memory", value: copy, unit: "MB/s", better: "more" })
  for (const [dataCount, parityCount] of [[4, 2], [8, 3]] as const) {
    const code = makeReedSolomon(dataCount, parityCount)
    const bytes = blockBytes / dataCount
    const data = Array.from({ length: dataCount }, (_, index) => from.subarray(index * bytes, (index + 1) * bytes))
    const parity = Array.from({ length: parityCount }, () => new Uint8Array(bytes))
    const shape = `${dataCount}+${parityCount}`
    const of = ["copying", copy] as const
    report.add({ id: `code.${shape}`, name: `Reed-Solomon ${shape}, one lane`, value: rateOf(() => code.encode(data, parity)), unit: "MB/s", better: "more", of })
    const left = [...data, ...parity].map((slice, index) => (index === 0 || index === 2 ? undefined : slice))
    const targets = [new Uint8Array(bytes), new Uint8Array(bytes)]
    const back = rateOf(() => code.reconstruct(left, [0, 2], targets))
    report.add({ id: `code.${shape}.back`, name: "  two lost slices given back", value: back, unit: "MB/s", better: "more", of })
  }
}

export const code: Bench = { names: ["code"], title: "Erasure code", run }
