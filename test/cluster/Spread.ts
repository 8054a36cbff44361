/**
 * Spread: when a write is acknowledged, each block that a commit names for the first time is on as many disks as the loss budget wants, whoever acknowledged it (R2). Between the
 * disks of all members, which a world sees, and its judgement. Silent while a disk errs, and where a member may have been alone when the block was written.
 */
import { Effect } from "effect"
import type { BlockId } from "../../src/base/ids.ts"
import { blocksNamed } from "../../src/namespace/QueryCensus.ts"
import { State } from "../../src/namespace/State.ts"
import type { Host } from "./Members.ts"
import { nameOf, statusOf } from "./Operator.ts"

export class Spread {
  readonly problems: Array<string> = []
  /** Blocks that were looked at. */
  count = 0
  readonly #known = new Set<BlockId>()
  readonly #hosts: () => ReadonlyArray<Host>
  readonly #isTrusted: () => boolean
  readonly #votersMin: number

  /** `votersMin`: from so many voters on there was never one alone. */
  constructor(hosts: () => ReadonlyArray<Host>, isTrusted: () => boolean, votersMin: number) {
    this.#hosts = hosts
    this.#isTrusted = isTrusted
    this.#votersMin = votersMin
  }

  /** A write was acknowledged just now. */
  look(): void {
    const hosts = this.#hosts()
    // What the newest state names is nobody's to remove.
    const newest = hosts.filter(({ rooms, station }) => rooms !== undefined && station.life.isOn).sort((a, b) => (statusOf(b)?.applied ?? 0) - (statusOf(a)?.applied ?? 0))[0]
    if (newest === undefined) return
    const isJudged = this.#isTrusted() && (statusOf(newest)?.configuration.voters.length ?? 0) >= this.#votersMin
    const named = Effect.runSync(Effect.provide(Effect.map(State, ({ reader }) => [...blocksNamed(reader)].map(({ block }) => block)), newest.rooms!))
    const found = named.filter((block) => !this.#known.has(block))
    for (const block of found) this.#known.add(block)
    if (!isJudged || found.length === 0) return
    const files = hosts.map((host) => [nameOf(host), [...host.disk.sizes().keys()].join("\n")] as const)
    this.count += found.length
    for (const block of found) {
      const having = files.filter(([, paths]) => paths.includes(`${block}.block`)).map(([name]) => name)
      if (having.length < 2) this.problems.push(`block ${block}, which commits name, is on the disks of ${having.join() || "nobody"} alone when a write is acknowledged`)
    }
  }
}
