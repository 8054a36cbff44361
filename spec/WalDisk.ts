/**
 * WalDisk: what must be on a journal's disk, and what may be, after all that was said of it. It sits between the monitor
 * (WalMonitor.ts), which follows the machine, and recovery's steps, which say what was found.
 */
import type { Header, Place, WalStep } from "./WalTrace.ts"

export interface Batch extends Place {
  readonly length: number
  readonly batch: number
  /** "" while nobody has said: its write was cut short. */
  hash: string
  /** Synced: it must be there. */
  sure: boolean
  /** Written whole: it must be there unless the power was cut or its sync failed. */
  cached: boolean
}

export interface Segment {
  readonly segment: number
  readonly run: string
  readonly epoch: number
  /** What its header continues from. */
  readonly from: Link
  /** Header and name are durable. */
  sure: boolean
  /** Its removal was under way when a life ended: it may be gone, and may come back. */
  leaving: boolean
  /** It was seen without a header: nothing in it counts. */
  blank: boolean
  /** Behind its last batch lies what a recovery did not accept: it stays there, and a recovery after that one may see it again. */
  torn: boolean
  readonly batches: Array<Batch>
}

export interface Link {
  readonly segment: number
  readonly batch: number
  readonly hash: string
  readonly end: number
}

export const headerBytes = 4096
export const nowhere: Place = { segment: 0, offset: 0 }
export const noLink: Link = { segment: 0, batch: 0, hash: "0".repeat(64), end: 0 }

/** Why a step cannot be. */
export class Refusal extends Error {
  override readonly name = "Refusal"
}

export const demand = (holds: boolean, why: string): void => {
  if (!holds) throw new Refusal(why)
}

export const linkOf = ({ segment }: Segment, { batch, hash, length, offset }: Batch): Link => ({ segment, batch, hash, end: offset + length })


export class WalDisk {
  readonly #segments = new Map<number, Segment>()
  /** The segment that is scanned, and how many of its batches are accepted. */
  #scan: { readonly segment: Segment; accepted: number } | undefined

  add(segment: Segment): void {
    this.#segments.set(segment.segment, segment)
  }

  /** Recovery has looked at every header. The link of the batch before the newest segment. */
  survey({ epoch, log, segments }: Extract<WalStep, { readonly action: "Survey" }>): Link {
    const newest = log.at(-1)?.segment ?? 0
    const sure = [...this.#segments.values()].filter((segment) => segment.sure && !segment.leaving)
    demand(sure.every(({ segment }) => segment <= newest), "the newest segment's header was durable, and is not the log's end")
    demand(sure.every(({ segment }) => segments.includes(segment)), "a segment that was durable is not there")
    demand(segments.every((segment) => this.#segments.has(segment)), `nobody made all of ${segments.join(" ")}`)
    this.#checkLog(log, segments)
    demand(epoch === (log.at(-1)?.epoch ?? 0) + 1, "the epoch is one above the newest segment's")
    for (const segment of this.#segments.values()) {
      // What leaves may come back with a power cut; nothing else does.
      if (!segments.includes(segment.segment) && !segment.leaving) this.#segments.delete(segment.segment)
      else if (segment.segment > newest) segment.blank = true
    }
    const scanned = this.#segments.get(newest)
    this.#scan = scanned === undefined ? undefined : { segment: scanned, accepted: 0 }
    return scanned?.from ?? noLink
  }

  /** Backwards from the newest header, each names the segment before it; nothing that is there is left out. */
  #checkLog(log: ReadonlyArray<Header>, segments: ReadonlyArray<number>): void {
    let next = log.at(-1)?.segment
    for (const header of log.toReversed()) {
      const segment = this.#segments.get(header.segment)
      demand(segment !== undefined && segments.includes(header.segment) && !segment.blank && next === header.segment, `segment ${header.segment} does not belong there`)
      const same = segment!.run === header.run && segment!.epoch === header.epoch && segment!.from.batch === header.batch
      demand(same, `segment ${header.segment}'s header is not the one that was written`)
      next = segment!.from.segment === 0 ? undefined : segment!.from.segment
    }
    demand(next === undefined || !segments.includes(next), `segment ${next} is missing`)
  }

  accept(step: Extract<WalStep, { readonly action: "Accept" }>): Link {
    demand(this.#scan !== undefined, "nothing is scanned")
    const { accepted, segment } = this.#scan!
    const batch = segment.batches[accepted]
    const same = batch !== undefined && step.segment === segment.segment && batch.offset === step.offset && batch.length === step.length && batch.batch === step.batch
    demand(same, "no such batch was written there")
    if (batch!.hash === "") batch!.hash = step.hash
    demand(batch!.hash === step.hash, "its hash is another")
    this.#scan!.accepted += 1
    return linkOf(segment, batch!)
  }

  /** The end of what was accepted. */
  scanned(step: Extract<WalStep, { readonly action: "End" | "TornTail" }>): Place {
    demand(this.#scan !== undefined, "nothing is scanned")
    const { accepted, segment } = this.#scan!
    const left = segment.batches.splice(accepted)
    demand(left.every((batch) => !batch.sure && !batch.cached), `batch ${left[0]?.batch} was durable, and is not accepted`)
    segment.torn ||= left.length > 0
    demand(step.action === "End" || segment.torn, "nothing lies behind what was accepted")
    const end = segment.batches.at(-1)
    const offset = end === undefined ? headerBytes : end.offset + end.length
    demand(step.segment === segment.segment && step.offset === offset, `what was accepted ends at ${segment.segment}:${offset}`)
    return { segment: segment.segment, offset }
  }

  /** What was accepted is synced again. */
  resync(step: Extract<WalStep, { readonly action: "Rewrite" | "Resynced" }>): void {
    demand(step.segment === this.#scan?.segment.segment, "another segment was scanned")
    if (step.action === "Resynced") for (const batch of this.#scan!.segment.batches) batch.sure = true
  }

  /** The removal of a segment is durable; the folder's sync takes with it whatever was on its way. */
  removed(segment: number): void {
    const known = [...this.#segments.values()]
    demand(known.every((other) => other.segment >= segment || !other.sure || other.leaving), "segments go oldest first")
    demand(this.#segments.has(segment) || known.every((other) => other.segment > segment), "no such segment was there")
    for (const other of known) if (other.segment <= segment) this.#segments.delete(other.segment)
  }

  /** A life is over. The oldest segment below `limit` may have been on its way out. */
  died(how: "Crash" | "Kill", limit: number): void {
    const known = [...this.#segments.values()]
    const oldest = Math.min(...known.filter(({ leaving, sure }) => sure && !leaving).map(({ segment }) => segment))
    for (const segment of known) {
      if (segment.segment <= oldest && segment.segment < limit) segment.leaving = true
      if (how === "Crash") for (const batch of segment.batches) batch.cached = false
    }
    this.#scan = undefined
  }
}
