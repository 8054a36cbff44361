/** Mutation: seeded harm to bytes and to text, as clients, proxies and enemies do it. Between the fuzz suites and what they send. */
import type { Random } from "../../sim/Random.ts"

/** What parsers trip over. */
export const nastyTexts: ReadonlyArray<string> = [
  "", "\0", "\r\n", "\r\n\r\n", "%", "%00", "%zz", "%ff%fe", "..", "/../", "//", "null", "undefined", "NaN", "-1", "0", "1e309", "9007199254740993", "18446744073709551616",
  "0x10", "true", "[]", "{}", "\"", "'", "<", ">", "&", "&amp;", "<![CDATA[", "<!DOCTYPE a [<!ENTITY b \"c\">]>", "\u00ff", "A".repeat(300), "a,b", "bytes=0-", "bytes=-0",
  "bytes=5-1", "bytes=0-0,2-3", "W/\"x\"", "*", "2026-11-21T00:00:00Z", "9999-99-99T99:99:99Z", "Thu, 01 Jan 1970 00:00:00 GMT", "url", "==", "AAAA", "f".repeat(64)
]

/** One harm: a byte changed, a piece gone, a piece twice, something put in, or the end missing. */
export const mutateBytes = (random: Random, bytes: Uint8Array): Uint8Array => {
  const at = random.below(bytes.length + 1)
  const length = 1 + random.below(16)
  const [before, piece, rest] = [bytes.subarray(0, at), bytes.subarray(at, at + length), bytes.subarray(at + length)]
  switch (random.below(6)) {
    case 0: return Buffer.concat([before, random.bytes(piece.length), rest])
    case 1: return Buffer.concat([before, rest])
    case 2: return Buffer.concat([before, piece, piece, rest])
    case 3: return Buffer.concat([before, Buffer.from(random.pick(nastyTexts), "latin1"), piece, rest])
    case 4: return before
    default: {
      const changed = Uint8Array.from(bytes)
      for (let count = 1 + random.below(4); count > 0 && changed.length > 0; count -= 1) changed[random.below(changed.length)] = random.below(256)
      return changed
    }
  }
}

export const mutateText = (random: Random, text: string): string =>
  random.chance(0.5) ? random.pick(nastyTexts) : Buffer.from(mutateBytes(random, Buffer.from(text, "latin1"))).toString("latin1")

/** Cut into up to four pieces: segments end where nobody expects it. */
export const cutUp = (random: Random, bytes: Uint8Array): ReadonlyArray<Uint8Array> => {
  const cuts = [0, ...Array.from({ length: random.below(4) }, () => random.below(bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
  return cuts.slice(1).map((end, index) => bytes.subarray(cuts[index], end))
}
