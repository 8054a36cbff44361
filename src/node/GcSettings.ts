/** GcSettings: how a node collects what is deleted, as far as an operator may choose. It sits between the configuration file and gc. */
import { Schema } from "effect"
import {
  compactBelowDefault, compactBelowMax, compactBytesPerSecondDefault, gcGraceMsDefault, gcIntervalMsDefault, staleUploadMsDefault
} from "../base/limits.ts"
import type { GcOptions } from "../gc.ts"

const dayMs = 24 * 3_600_000

export type GcSettings = Required<Pick<GcOptions, "intervalMs" | "graceMs" | "staleUploadMs" | "compactBelow" | "compactBytesPerSecond">>

const atLeast = (minimum: number) => Schema.optionalKey(Schema.Number.pipe(Schema.check(Schema.isGreaterThanOrEqualTo(minimum))))

/** Keys of the configuration file. */
export const gcKeys = {
  gcIntervalSeconds: atLeast(1),
  gcGraceSeconds: atLeast(0),
  /** 0: never. */
  staleUploadDays: atLeast(0),
  /** 0: only blocks of which nothing is left go. */
  compactBelow: Schema.optionalKey(Schema.Number.pipe(Schema.check(Schema.isBetween({ minimum: 0, maximum: compactBelowMax })))),
  /** 0: as fast as it goes. */
  compactBytesPerSecond: atLeast(0)
}

type Keys = { readonly [key in keyof typeof gcKeys]?: number }

export const gcSettingsOf = (config: Keys): GcSettings => ({
  intervalMs: config.gcIntervalSeconds === undefined ? gcIntervalMsDefault : 1000 * config.gcIntervalSeconds,
  graceMs: config.gcGraceSeconds === undefined ? gcGraceMsDefault : 1000 * config.gcGraceSeconds,
  staleUploadMs: config.staleUploadDays === undefined ? staleUploadMsDefault : dayMs * config.staleUploadDays,
  compactBelow: config.compactBelow ?? compactBelowDefault,
  compactBytesPerSecond: config.compactBytesPerSecond ?? compactBytesPerSecondDefault
})
