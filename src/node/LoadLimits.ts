/**
 * LoadLimits: how much work a node takes at once, as far as an operator may choose. It sits between the configuration
 * file and the listeners and allowances; every other bound is in base/limits.ts.
 */
import { Schema } from "effect"
import type { AllowanceSizes } from "../allowance.ts"
import { adminConnectionsMax, httpConnectionsMax, httpConnectionsSpare, httpStallMsMax } from "../base/httpLimits.ts"
import {
  chunkSizeBytesMax, MiB, openFilesForStore, readBytesInFlightMax, requestsMax, requestsQueuedMax, requestsWaitMsMax, uploadBytesMax
} from "../base/limits.ts"

/** Absent: the defaults, within a share of the memory that there is. 0: off. */
export interface CacheSizes {
  readonly chunkCacheBytes?: number
  readonly nodeCacheBytes?: number
}

export interface LoadLimits extends Omit<AllowanceSizes, "bodyBytes">, CacheSizes {
  /** Absent: what the machine's memory allows. */
  readonly bodyBytes?: number
  /** Resident memory near which caches shrink, where less than the machine has. */
  readonly memoryBytesMax?: number
  readonly connectionsMax: number
  readonly stallMs: number
}

const whole = (min: number) => Schema.optionalKey(Schema.Number.pipe(Schema.check(Schema.isInt(), Schema.isGreaterThanOrEqualTo(min))))

/** Keys of the configuration file. One upload, and one chunk sealed and opened, must fit. */
export const loadLimitKeys = {
  requestsMax: whole(1),
  requestsQueuedMax: whole(0),
  requestsWaitMs: whole(0),
  connectionsMax: whole(1),
  bodyMemoryBytes: whole(uploadBytesMax),
  readMemoryBytes: whole(2 * chunkSizeBytesMax),
  stallMs: whole(1),
  chunkCacheBytes: whole(0),
  nodeCacheBytes: whole(0),
  memoryBytesMax: whole(64 * MiB)
}

type Keys = { readonly [key in keyof typeof loadLimitKeys]?: number }

export const loadLimitsOf = (config: Keys): LoadLimits => ({
  requestsMax: config.requestsMax ?? requestsMax,
  requestsQueuedMax: config.requestsQueuedMax ?? requestsQueuedMax,
  requestsWaitMs: config.requestsWaitMs ?? requestsWaitMsMax,
  connectionsMax: config.connectionsMax ?? httpConnectionsMax,
  readBytes: config.readMemoryBytes ?? readBytesInFlightMax,
  stallMs: config.stallMs ?? httpStallMsMax,
  ...(config.bodyMemoryBytes === undefined ? {} : { bodyBytes: config.bodyMemoryBytes }),
  ...(config.chunkCacheBytes === undefined ? {} : { chunkCacheBytes: config.chunkCacheBytes }),
  ...(config.nodeCacheBytes === undefined ? {} : { nodeCacheBytes: config.nodeCacheBytes }),
  ...(config.memoryBytesMax === undefined ? {} : { memoryBytesMax: config.memoryBytesMax })
})

/** What the process may open sets a bound to connections: those that there is no descriptor for are not promised. */
export const withinOpenFiles = (limits: LoadLimits, openFilesMax: number | undefined): { readonly limits: LoadLimits; readonly warnings: ReadonlyArray<string> } => {
  const kept = openFilesForStore + adminConnectionsMax + httpConnectionsSpare
  const room = Math.max(1, (openFilesMax ?? Number.POSITIVE_INFINITY) - kept)
  if (limits.connectionsMax <= room) return { limits, warnings: [] }
  const warning = `the process may open ${openFilesMax} files: at most ${room} S3 connections are taken instead of ${limits.connectionsMax}; ` +
    `raise the limit of open files (ulimit -n) to ${limits.connectionsMax + kept}, or lower connectionsMax`
  return { limits: { ...limits, connectionsMax: room }, warnings: [warning] }
}
