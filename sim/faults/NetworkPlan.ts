/**
 * NetworkPlan: what one seed's network does to datagrams: each kind of fault with a probability, often zero. It sits between
 * a world's seed and the Network twin, which draws by it; the figures are those that others start from (TigerBeetle).
 */
import type { Random } from "../Random.ts"

/** Everything that a network does, by name; each with what happens. */
export const networkFaults = {
  Drop: "a datagram is lost",
  Delay: "a datagram takes ten times as long, or more",
  Reorder: "a datagram overtakes one that was sent before it on the same link",
  Duplicate: "a datagram arrives twice",
  Replay: "a datagram of long ago arrives again",
  BitFlip: "a datagram arrives with other bits",
  Partition: "two groups of nodes do not hear each other",
  OneWayPartition: "one group hears the other, and is not heard",
  Isolation: "a node hears nobody and is not heard",
  Clog: "what is sent on one link waits until it is unclogged",
  Swizzle: "links of some nodes clog one after another, and unclog in another order",
  Pause: "a node neither sends nor hears anything for a while; then all at once",
  SlowNode: "everything to and from a node takes long for a while",
  QueueFull: "a node hears too slowly, and what comes is dropped"
} as const

export type NetworkFaultClass = keyof typeof networkFaults

export const networkFaultClasses = Object.keys(networkFaults) as ReadonlyArray<NetworkFaultClass>

export interface NetworkPlan {
  /** Evenly from the least to twice the mean. */
  readonly delayMeanUs: number
  readonly delayLeastUs: number
  /** Of a datagram. */
  readonly drop: number
  readonly delay: number
  readonly reorder: number
  readonly duplicate: number
  readonly replay: number
  readonly bitFlip: number
  /** Of a tick: that one begins, and that one that is there ends. */
  readonly partition: number
  readonly partitionEnd: number
  readonly clog: number
  readonly swizzle: number
  readonly pause: number
  readonly slow: number
  /** How long clogs, pauses and slowness last at most. */
  readonly forUsMax: number
}

/** How often the network thinks of something new, while it is at it. */
export const networkTickUs = 50_000

/** Nothing goes wrong, and everything takes its time. */
export const calmPlan: NetworkPlan = {
  delayMeanUs: 500, delayLeastUs: 50, drop: 0, delay: 0, reorder: 0, duplicate: 0, replay: 0, bitFlip: 0,
  partition: 0, partitionEnd: 1, clog: 0, swizzle: 0, pause: 0, slow: 0, forUsMax: 1
}

/** Mostly a few kinds at once: a world with some of them reaches further than one with all. */
export const drawNetworkPlan = (random: Random): NetworkPlan => {
  const often = random.pick([0.2, 0.5, 0.8])
  const draw = (values: ReadonlyArray<number>): number => (random.chance(often) ? random.pick(values) : 0)
  return {
    delayMeanUs: random.pick([500, 5000, 30_000, 100_000]), delayLeastUs: 50,
    drop: draw([0.01, 0.1, 0.3]), delay: draw([0.01, 0.1]), reorder: draw([0.1, 1]), duplicate: draw([0.05, 0.3]),
    replay: draw([0.02, 0.2, 0.5]), bitFlip: draw([0.005, 0.05]),
    partition: draw([0.01, 0.03]), partitionEnd: random.pick([0.01, 0.03, 0.1]),
    clog: draw([0.005, 0.02]), swizzle: draw([0.002, 0.01]), pause: draw([0.005, 0.02]), slow: draw([0.005, 0.02]),
    forUsMax: random.pick([200_000, 1_000_000, 5_000_000])
  }
}
