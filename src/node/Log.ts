/**
 * Log: where log lines go: standard error, in the form that its reader wants. Standard output is for what a command was
 * asked for. Sits between Effect's log calls and the process.
 */
import { Effect, Logger, type LogLevel, References } from "effect"
import { errorTerminal, writeLog } from "../adapters/NodeProcess.ts"
import type { Meters } from "../base/Meters.ts"
import { Hidden, jsonLine, prettyLine } from "./LogFormat.ts"
import type { LogFormat } from "./Settings.ts"

export interface LogOptions {
  readonly level: LogLevel.LogLevel
  readonly format: LogFormat
  /** Lines are counted by level. */
  readonly meters?: Meters
  /** What no line may show. */
  readonly hidden?: Hidden
}

/** The effect with its log lines written so. */
export const withLog = <A, E, R>(effect: Effect.Effect<A, E, R>, options: LogOptions): Effect.Effect<A, E, R> => {
  const { format, level, meters, hidden = new Hidden() } = options
  const isPretty = format === "pretty" || (format === "auto" && errorTerminal.isTerminal)
  const logger = Logger.make<unknown, void>((event) => {
    meters?.counter("ouroboros_log_lines_total", "Lines of the log by level.", { level: event.logLevel.toLowerCase() }).add()
    writeLog(isPretty ? prettyLine(event, hidden.hide, errorTerminal.isColoured) : jsonLine(event, hidden.hide))
  })
  return effect.pipe(
    Effect.provide(Logger.layer([logger])),
    Effect.provideService(References.MinimumLogLevel, level)
  )
}
