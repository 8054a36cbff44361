/**
 * NodeTraits: what a world's node is told to be, and the machine that it has: drawn from the seed, with bounds so small that
 * blocks are sealed, segments are closed, checkpoints are merged and garbage is collected many times in a minute.
 */
import { Effect } from "effect"
import type { GetOptions } from "../src/get.ts"
import { resolveSettings, type Settings } from "../src/node/Settings.ts"
import type { StartOptions } from "../src/node/Node.ts"
import type { MachineTraits } from "./Machine.ts"
import type { ProfileName } from "./Profile.ts"
import type { Random } from "./Random.ts"

export const accessKey = "simulated"
export const secretKey = "a secret of simulated clients"
export const s3Port = 9000
export const adminPort = 9001

const secondMs = 1000
const dayMs = 24 * 3600 * secondMs
/** 2026-01-01T00:00:00Z */
const epochMs = 1_767_225_600_000

export interface NodeTraits {
  readonly settings: Settings
  readonly store: NonNullable<StartOptions["store"]>
  readonly get: GetOptions
  readonly machine: MachineTraits
  /** Microseconds that a disk operation takes: least, and what is drawn on top. */
  readonly diskUs: readonly [number, number]
  /** The same of a kernel. */
  readonly kernelUs: readonly [number, number]
  readonly lanes: number
}

const plain = Effect.runSync(resolveSettings(
  { data: "simulated", s3: `node:${s3Port}`, admin: `node:${adminPort}` },
  { OUROBOROS_ACCESS_KEY: accessKey, OUROBOROS_SECRET_KEY: secretKey }, undefined
))

/**
 * What grows with the store and not with the requests: a large world's housekeeping comes in longer turns, or it would spend
 * most of its time on writing the same rows again. It still comes hundreds of times in each.
 */
const turns: Readonly<Record<ProfileName, {
  readonly checkpointRows: ReadonlyArray<number>
  readonly deltasMax: ReadonlyArray<number>
  readonly gcMs: ReadonlyArray<number>
  readonly busyGcMs: ReadonlyArray<number>
  readonly sweepMs: ReadonlyArray<number>
}>> = {
  short: { checkpointRows: [30, 100, 100, 400], deltasMax: [1, 3], gcMs: [4000, 20_000], busyGcMs: [200, 1000, 4000], sweepMs: [0, 60_000] },
  full: { checkpointRows: [200, 400, 400, 1500], deltasMax: [3, 9], gcMs: [8000, 40_000], busyGcMs: [4000], sweepMs: [60_000, 240_000] }
}

/** A few commits take as long. */
const fleetingMs = 100

/**
 * How soon what is deleted goes: in some worlds nothing is kept, so that chunks are condemned and freed all the time, beside
 * uploads of the same bytes; in others purge and collection lie far apart, and much is condemned for long.
 */
const drawGrave = (random: Random, profile: ProfileName) => {
  const isBusy = random.chance(0.35)
  return {
    retentionMs: isBusy ? random.pick([1, 100, 100, 1000]) : random.pick([10 * secondMs, 60 * secondMs, 600 * secondMs, 30 * dayMs]),
    intervalMs: random.pick(isBusy ? turns[profile].busyGcMs : turns[profile].gcMs),
    graceMs: isBusy ? random.pick([0, 0, 500]) : random.pick([0, 3000])
  }
}

const drawSettings = (random: Random, profile: ProfileName): Settings => {
  const { retentionMs, ...grave } = drawGrave(random, profile)
  return settingsOf(random, profile, retentionMs / dayMs, grave)
}

const fineChunks: Settings["chunks"] = { minBytes: 512, averageBytes: 1024, maxBytes: 4096 }
const coarseChunks: Settings["chunks"] = { minBytes: 1024, averageBytes: 2048, maxBytes: 8192 }

/** A chunk costs the same however small it is: where a unit holds the largest, only a small world cuts as finely as it can. */
const chunksFor = (profile: ProfileName, unitBytes: number): Settings["chunks"] =>
  profile === "full" && unitBytes >= coarseChunks.maxBytes ? coarseChunks : fineChunks

const settingsOf = (random: Random, profile: ProfileName, retentionDays: number, grave: Pick<Settings["gc"], "intervalMs" | "graceMs">): Settings => ({
  ...plain,
  chunks: fineChunks,
  checkpointRows: random.pick(turns[profile].checkpointRows),
  retentionDays,
  settleBytes: 16_384,
  settleAgeMs: random.pick([1000, 3000, 20_000]),
  reserveFileBytes: random.pick([0, 65_536]),
  scrubBytesPerSecond: random.pick([4096, 65_536, 1_048_576]),
  scrubDays: random.pick([0, 60 * secondMs / dayMs, 1]),
  md5EtagBytesMax: random.pick([0, 4096, plain.md5EtagBytesMax]),
  logLevel: "Info",
  limits: { ...plain.limits, ...(random.chance(0.3) ? { requestsMax: 4, requestsQueuedMax: random.pick([0, 4, 64]) } : {}), ...drawCaches(random, profile) },
  gc: {
    ...plain.gc, ...grave,
    staleUploadMs: random.pick([0, 60_000]), compactBytesPerSecond: random.pick([0, 65_536])
  }
})

/** Three seeds of so many keep no rows, or few. A large world of that kind takes five times as long as others, and sees in it what ten small ones see. */
const withoutRows: Readonly<Record<ProfileName, number>> = { short: 40, full: 240 }

/** Without the first every read of an object goes to the disk; without the second every row is opened anew, which costs the most time. */
const drawCaches = (random: Random, profile: ProfileName) =>
  ({ chunkCacheBytes: random.pick([0, 0, 8192, 1 << 20]), nodeCacheBytes: [0, 16_384, 16_384][random.below(withoutRows[profile])] ?? 1 << 20 })

/** The journal proves its last batch when nothing has followed it for so long, at most. */
export const idleMsMost = 5000

/** A world of 3,000 operations may free so many chunks at once (chunksPerFreeMax) that their commit takes 40 KiB: a batch must hold it. */
const segmentKiB: Readonly<Record<ProfileName, ReadonlyArray<number>>> = { short: [32, 64, 256], full: [96, 128, 256] }

/** A page of a manifest is a commit of its own: with few entries in a row a fifth of a long life's commits would be pages. */
const inlineEntries: Readonly<Record<ProfileName, ReadonlyArray<number>>> = { short: [4, 40], full: [4, 40, 40, 40] }

const drawStore = (random: Random, profile: ProfileName) => {
  const segmentBytes = random.pick(segmentKiB[profile]) * 1024
  return {
    sizes: {
      unitBytes: random.pick([4096, 8192, 32_768]), inlineBytesMax: 200, blockBytesTarget: 16_384, blockBytesMin: 6000,
      pageEntriesMax: random.pick([8, 16, 64]), inlineEntriesMax: random.pick(inlineEntries[profile])
    },
    // Where little may wait for the journal, proposals gather meanwhile, and go into it many at once.
    wal: { idleMs: random.pick([200, 700, idleMsMost]), sizes: { segmentBytes, batchBytesMax: segmentBytes / 2 }, queueBytesMax: random.pick([1, 2000, segmentBytes]) },
    settle: { blockBytesTarget: 16_384, pollMs: random.pick([500, 2000, 5000]) },
    checkpoints: { deltasMax: random.pick(turns[profile].deltasMax) },
    scrub: { startMs: random.pick([1000, 10_000]) },
    gc: { reserveBytes: 0, sweepMs: random.pick(turns[profile].sweepMs), purgeRowsAtOnce: random.pick([3, 1000]) }
  } satisfies NodeTraits["store"]
}

/** History is kept for so short that what is deleted goes while somebody is still about to use it. */
export const isFleeting = ({ settings }: NodeTraits): boolean => settings.retentionDays * dayMs <= fleetingMs

const drawNode = (random: Random, profile: ProfileName): Pick<NodeTraits, "settings" | "store"> => {
  const settings = drawSettings(random, profile)
  const store = drawStore(random, profile)
  return { settings: { ...settings, chunks: chunksFor(profile, store.sizes.unitBytes) }, store }
}

export const drawTraits = (random: Random, profile: ProfileName): NodeTraits => ({
  ...drawNode(random, profile),
  machine: {
    clock: { offsetMs: random.chance(0.5) ? 0 : random.below(20_000) - 10_000, drift: random.chance(0.5) ? 0 : (random.below(2001) - 1000) / 1e6 },
    disorder: random.pick([0, 0.1, 0.5]), preemptOps: random.pick([0, 0, 40, 400]), taskUs: random.pick([1, 5, 20]), epochMs
  },
  diskUs: random.pick([[20, 50], [50, 300], [500, 5000]] as const),
  kernelUs: random.pick([[5, 20], [20, 400]] as const),
  lanes: random.pick([1, 2, 4]),
  get: { batchBytes: random.pick([2048, 8192, 65_536]) }
})
