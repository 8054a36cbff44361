/**
 * PeerClock: how far a peer's clock is ahead of ours, by pings, as RFC 5905 (8 and 10) has it: of the last samples the one with the shortest way counts.
 * Between pings and whoever judges the times of frames. No rule of the store rests on it: it tells operators of clocks that are off, and which frames
 * were on their way for too long.
 */
import { carrierClockSamples, carrierDriftMsMax, carrierStaleMsMax } from "../base/clusterLimits.ts"

export interface ClockSample {
  readonly offsetMs: number
  readonly roundMs: number
}

export interface ClockOfPeer {
  /** At most carrierClockSamples, oldest first. */
  samples: ReadonlyArray<ClockSample>
  /** The ping under way. */
  ping: { readonly wallMs: number; readonly nowMs: number } | undefined
  isOff: boolean
}

export const freshClock = (): ClockOfPeer => ({ samples: [], ping: undefined, isOff: false })

/** The best sample; undefined: none yet. */
export const sampleOf = ({ samples }: ClockOfPeer): ClockSample | undefined =>
  samples.reduce<ClockSample | undefined>((best, sample) => (best === undefined || sample.roundMs <= best.roundMs ? sample : best), undefined)

/** Of a pong: when the peer got the ping and sent this, by its clock. A pong of another ping than the last says nothing. */
export const pongHeard = (clock: ClockOfPeer, pingMs: number, gotMs: number, sentMs: number, nowMs: number): void => {
  const { ping } = clock
  if (ping === undefined || ping.wallMs !== pingMs) return
  clock.ping = undefined
  const roundMs = Math.max(0, nowMs - ping.nowMs - Math.max(0, sentMs - gotMs))
  // Our own clock as it would have gone on: one that jumps in between spoils no sample.
  const backMs = ping.wallMs + (nowMs - ping.nowMs)
  const sample = { offsetMs: (gotMs - ping.wallMs + (sentMs - backMs)) / 2, roundMs }
  const best = sampleOf(clock)
  // Two samples are each right within half their way: where they cannot both be, a clock has jumped.
  const hasJumped = best !== undefined && Math.abs(best.offsetMs - sample.offsetMs) > (best.roundMs + roundMs) / 2 + jumpSlackMs
  clock.samples = hasJumped ? [sample] : [...clock.samples, sample].slice(-carrierClockSamples)
}

/** Clocks drift between two samples, and tell whole milliseconds. */
const jumpSlackMs = 100

/** Our own clock has jumped: what was measured before is worth nothing. */
export const forgetClock = (clock: ClockOfPeer): void => {
  clock.samples = []
  clock.ping = undefined
}

/** Whether a frame of that time was on its way for too long, or is of a time to come; unknown: no. */
export const isStale = (clock: ClockOfPeer, timeMs: number, wallMs: number): boolean => {
  const best = sampleOf(clock)
  return best !== undefined && Math.abs(wallMs - (timeMs - best.offsetMs)) > carrierStaleMsMax + best.roundMs
}

/** Farther apart than half the way could explain. */
export const isClockOff = (clock: ClockOfPeer): boolean => {
  const best = sampleOf(clock)
  return best !== undefined && Math.abs(best.offsetMs) - best.roundMs / 2 > carrierDriftMsMax
}
