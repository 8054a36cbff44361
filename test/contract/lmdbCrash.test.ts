/**
 * LMDB and its twin agree on crashes. A small program fills an index under strace; its writes and syncs are replayed into
 * copies as a disk may have kept them at a power cut (by sector of 512 or 4,096 bytes, each sector any of the contents that
 * it had since it was last safe, the size by itself), each copy is opened by LMDB, and must be a state in which the
 * twin may be after a crash: some prefix of the commits, at least to the last `flushed`.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { describe, expect, test } from "vitest"
import { MemoryKeyValue } from "../../sim/KeyValue.ts"
import { type Random, seededRandom } from "../../sim/Random.ts"
import { digestOf, entriesOf, storyOf } from "./lmdbCrash.ts"
import { record, type Recorded } from "./Strace.ts"

const program = new URL("lmdbCrashFixture.ts", import.meta.url).pathname
const copiesOfSeed = 80
const seeds = [1, 2, 3]

const inFolder = (act: (folder: string) => void | Promise<void>) => async () => {
  const folder = mkdtempSync(join(tmpdir(), "ouroboros-lmdb-crash-"))
  try {
    await act(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The file as a disk sees it: of each sector every content since it was last safe, of the size every value. */
class Sectors {
  readonly #sectorBytes: number
  #cached = new Uint8Array(0)
  readonly #versions = new Map<number, Array<{ readonly write: number; readonly bytes: Uint8Array }>>()
  #sizes: Array<{ readonly write: number; readonly size: number }> = [{ write: -1, size: 0 }]
  #writes = 0
  /** Writes that have ended, so that a sync which begins now covers them; those of calls under way. */
  readonly #open = new Map<number, { readonly write?: number; readonly covers?: number; readonly sectors?: ReadonlyArray<number> }>()

  constructor(sectorBytes: number) {
    this.#sectorBytes = sectorBytes
  }

  see(event: Recorded): void {
    if (event._tag === "Write") this.#write(event)
    if (event._tag === "Sync") this.#open.set(event.call, { covers: Math.min(this.#writes, ...[...this.#open.values()].map(({ write }) => write ?? this.#writes)) })
    if (event._tag !== "Ended") return
    const call = this.#open.get(event.call)
    this.#open.delete(event.call)
    if (call?.covers !== undefined) this.#settle(call.covers, this.#versions.keys())
    if (call?.sectors !== undefined && call.write !== undefined) this.#settle(call.write + 1, call.sectors)
  }

  #write({ call, offset, bytes, through }: Recorded & { readonly _tag: "Write" }): void {
    const write = this.#writes++
    if (offset + bytes.length > this.#cached.length) {
      const longer = new Uint8Array(offset + bytes.length)
      longer.set(this.#cached)
      this.#cached = longer
      this.#sizes.push({ write, size: longer.length })
    }
    this.#cached.set(bytes, offset)
    const sectors: Array<number> = []
    for (let at = Math.floor(offset / this.#sectorBytes); at * this.#sectorBytes < offset + bytes.length; at += 1) {
      const content = new Uint8Array(this.#sectorBytes)
      content.set(this.#cached.subarray(at * this.#sectorBytes, (at + 1) * this.#sectorBytes))
      const versions = this.#versions.get(at) ?? [{ write: -1, bytes: new Uint8Array(this.#sectorBytes) }]
      versions.push({ write, bytes: content })
      this.#versions.set(at, versions)
      sectors.push(at)
    }
    this.#open.set(call, { write, ...(through ? { sectors } : {}) })
  }

  /** Nothing older than these writes can come back. */
  #settle(covers: number, sectors: Iterable<number>): void {
    for (const at of sectors) {
      const versions = this.#versions.get(at)!
      this.#versions.set(at, versions.slice(lastBefore(versions, covers)))
    }
    this.#sizes = this.#sizes.slice(lastBefore(this.#sizes, covers))
  }

  /** What a power cut leaves. */
  cut(random: Random): Uint8Array {
    const fate = random.pick(["Lost", "Kept", "Torn", "Torn", "Mixed", "Mixed"] as const)
    const torn = random.below(this.#writes + 1)
    const pick = <A extends { readonly write: number }>(versions: ReadonlyArray<A>, how: typeof fate): A => {
      if (how === "Lost") return versions[0]!
      if (how === "Kept") return versions.at(-1)!
      return how === "Torn" ? versions[lastBefore(versions, torn)]! : random.pick(versions)
    }
    const size = pick(this.#sizes, random.chance(0.7) ? fate : "Mixed").size
    const file = new Uint8Array(Math.ceil(this.#cached.length / this.#sectorBytes) * this.#sectorBytes)
    for (const [at, versions] of this.#versions) file.set(pick(versions, fate).bytes, at * this.#sectorBytes)
    return file.slice(0, size)
  }

  /** What the page cache holds. */
  get cached(): Uint8Array {
    return this.#cached
  }
}

/** The last version of a write with a lower number; the first where all are later. */
const lastBefore = (versions: ReadonlyArray<{ readonly write: number }>, end: number): number =>
  Math.max(0, versions.findLastIndex(({ write }) => write < end))

/**
 * Where LMDB notes in its three meta pages which boot of the machine wrote them: after a kill of the process alone it
 * trusts what is not synced, after a power cut it must not.
 */
const bootIds = [160, 2048 + 160, 4096 + 160]

const afterReboot = (file: Uint8Array): Uint8Array => {
  for (const at of bootIds) if (file.length > at) file[at]! ^= 0x5a
  return file
}

interface Copy {
  readonly folder: string
  /** Commits that must be there, and that may. */
  readonly flushed: number
  readonly begun: number
}

const marksBefore = (events: ReadonlyArray<Recorded>): { readonly flushed: number; readonly begun: number } => {
  const marks = events.flatMap((event) => (event._tag === "Mark" ? [event.text.split(" ")] : []))
  const last = (what: string): number => Number(marks.findLast(([name]) => name === what)?.[1] ?? 0)
  return { flushed: last("flushed"), begun: last("begun") }
}

const copyInto = (folder: string, file: Uint8Array): string => {
  mkdirSync(folder)
  writeFileSync(join(folder, "data.mdb"), file)
  return folder
}

/** What LMDB shows of each copy, in a process of its own, which a damaged page may kill. */
const openAll = (copies: ReadonlyArray<Copy>): ReadonlyArray<string> => {
  const { status, signal, stderr, stdout } = spawnSync(process.execPath, [program, "read", ...copies.map(({ folder }) => folder)], { encoding: "utf8", timeout: 120_000 })
  const shown = stdout.trim().split("\n")
  expect({ status, signal, shown: shown.length }, `copy ${copies[shown.length]?.folder}: ${stderr}`).toEqual({ status: 0, signal: null, shown: copies.length })
  return shown
}

/** The twin's state after each commit, by number; 0 is empty. */
const statesOf = async (seed: number): Promise<ReadonlyArray<string>> => {
  const twin = new MemoryKeyValue()
  const states = [digestOf([])]
  for (const { commits } of storyOf(seed)) {
    for (const changes of commits) {
      await Effect.runPromise(changes === "wipe" ? twin.service.wipe : twin.service.commit(changes))
      states.push(digestOf(entriesOf(twin.service)))
    }
  }
  return states
}

const recordSeed = (folder: string, seed: number): ReadonlyArray<Recorded> => {
  const index = join(folder, "index")
  const marks = join(folder, "marks")
  const recorded = record(folder, program, ["write", index, marks, String(seed)], join(index, "data.mdb"), marks)
  expect(recorded.some((event) => event._tag === "Mark" && event.text === "done"), "the program came to its end").toBe(true)
  return recorded
}

/** Every commit is in the page cache; and the record is whole: replayed it is the file that the program left. */
const checkKilled = (folder: string, recorded: ReadonlyArray<Recorded>, states: ReadonlyArray<string>): void => {
  const sectors = new Sectors(4096)
  for (const event of recorded) sectors.see(event)
  const file = readFileSync(join(folder, "index", "data.mdb"))
  expect(Buffer.compare(file.subarray(0, sectors.cached.length), sectors.cached), "what was recorded is the file").toBe(0)
  expect(openAll([{ folder: join(folder, "index"), flushed: 0, begun: 0 }])).toEqual([states.at(-1)])
}

describe("index: LMDB and its twin", () => {
  for (const seed of seeds) {
    test(`index: a killed process loses no commit, a power cut at any moment leaves LMDB in a state that the twin allows (seed ${seed})`, { timeout: 240_000 }, inFolder(async (folder) => {
      const recorded = recordSeed(folder, seed)
      const states = await statesOf(seed)
      checkKilled(folder, recorded, states)
      const random = seededRandom(seed)
      const copies: Array<Copy> = []
      for (let number = 0; number < copiesOfSeed; number += 1) {
        const events = recorded.slice(0, 1 + random.below(recorded.length))
        const sectors = new Sectors(random.pick([512, 4096]))
        for (const event of events) sectors.see(event)
        copies.push({ folder: copyInto(join(folder, String(number)), afterReboot(sectors.cut(random))), ...marksBefore(events) })
      }
      const kept = new Set<number>()
      let resets = 0
      openAll(copies).forEach((shown, number) => {
        const { begun, flushed } = copies[number]!
        if (shown.startsWith("reset")) {
          resets += 1
          return
        }
        const allowed = states.slice(flushed, begun + 1)
        expect(allowed.includes(shown), `copy ${number}: ${states.lastIndexOf(shown)} commits, where ${flushed} to ${begun} may be`).toBe(true)
        kept.add(states.lastIndexOf(shown))
      })
      expect(kept.size, "many states were met").toBeGreaterThan(8)
      expect(resets, "copies that LMDB cannot open").toBeLessThan(copies.length / 8)
    }))
  }
})
