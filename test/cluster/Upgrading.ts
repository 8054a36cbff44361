/**
 * Upgrading: a cluster whose members run an older program, and one after another come back as a newer one, which knows kinds of changes that the old one cannot read. Held against them: no
 * old program is ever given such a change, and once all are new the cluster's feature level says so, on every member. Between a world's seed and what its members are told to be.
 */
import { Effect } from "effect"
import type { Random } from "../../sim/Random.ts"
import type { Entry } from "../../src/namespace/Entry.ts"
import type { Change } from "../../src/namespace/Model.ts"
import { State } from "../../src/namespace/State.ts"
import { type FeatureLevels, levelOf } from "../../src/replica/FeatureLevel.ts"
import type { Host, MembersOptions } from "./Members.ts"

/** Worlds that are upgraded; lives of an old program's machine that begin as the new one. */
const chances = { world: 0.4, life: 0.4 }

/** What only the new program knows, in one world: clients ask for some of it, housework for the rest. */
const kinds: ReadonlyArray<ReadonlySet<Change["_tag"]>> = [
  new Set(["DeleteObjects"]), new Set(["DeleteObjects", "FreeChunks"]), new Set(["PurgeVersions", "DropHistory"]), new Set(["FreeChunks", "DropBlock"]), new Set(["StagePage", "RaiseHorizon"])
]

export class Upgrading {
  readonly problems: Array<string> = []
  readonly counts = new Map<string, number>()
  readonly #random: Random
  readonly #kinds: ReadonlySet<Change["_tag"]>
  readonly #isNew = new Map<Host, boolean>()
  #isOver = false

  constructor(random: Random) {
    this.#random = random
    this.#kinds = random.pick(kinds)
  }

  /** Which program it runs, and what comes to it. */
  get program(): Required<Pick<MembersOptions, "levels" | "applied">> {
    return {
      levels: (host) => this.#levels(host),
      applied: (host, { change: { _tag }, sequence }: Entry) => {
        if (!this.#kinds.has(_tag)) return
        this.#count("new changes")
        if (this.isOld(host)) this.problems.push(`commit ${sequence}, ${_tag}, came to an old program that cannot read it`)
      }
    }
  }

  /** A life begins. Who comes in later has the new program at once. */
  starts(host: Host): void {
    const isFirst = !this.#isNew.has(host)
    const isNew = this.#isOver || this.#isNew.get(host) === true || (isFirst ? this.#hasBegun() : this.#random.chance(chances.life))
    if (isNew && !isFirst && this.isOld(host)) this.#count("upgraded")
    this.#isNew.set(host, isNew)
  }

  isOld(host: Host): boolean {
    return this.#isNew.get(host) === false
  }

  /** Whoever starts from now on is new. */
  end(): void {
    this.#isOver = true
  }

  /** Why it is not over yet. */
  lacks(hosts: ReadonlyArray<Host>): string | undefined {
    const old = hosts.find((host) => this.isOld(host) || host.rooms === undefined)
    if (old !== undefined) return `member ${old.station.id.slice(0, 6)} is not upgraded`
    const low = hosts.find((host) => levelIn(host) < this.#levels(host).program)
    return low === undefined ? undefined : `member ${low.station.id.slice(0, 6)} has feature level ${levelIn(low)}, and all programs read more`
  }

  #hasBegun(): boolean {
    return [...this.#isNew.keys()].some((host) => host.hasBegun)
  }

  #levels(host: Host): FeatureLevels {
    return { program: this.isOld(host) ? 1 : 2, of: ({ _tag }) => (this.#kinds.has(_tag) ? 2 : 1) }
  }

  #count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }
}

const levelIn = (host: Host): number => Effect.runSync(Effect.provide(Effect.map(State, ({ reader }) => levelOf(reader)), host.rooms!))

/** Undefined: all run one program, from the beginning to the end. */
export const drawUpgrade = (random: Random): Upgrading | undefined => (random.chance(chances.world) ? new Upgrading(random.fork()) : undefined)
