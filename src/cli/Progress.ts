/**
 * Progress: how far long work is: one bar with rate and time left on a terminal, a plain line now and then elsewhere,
 * nothing with --json. It writes to standard error, so that output can be piped.
 */
import { Clock, Effect, Stdio, Stream } from "effect"
import { formatBytes, formatSeconds } from "./Format.ts"

export interface Progress {
  readonly add: (bytes: number) => Effect.Effect<void>
  /** Takes the bar away, so that a line can be printed where it was; the next step draws it again. */
  readonly clear: Effect.Effect<void>
  readonly done: Effect.Effect<void>
}

const barWidth = 24
const redrawMs = 200
const plainLineMs = 5000

const bar = (fraction: number): string => {
  const filled = Math.round(fraction * barWidth)
  return `[${"#".repeat(filled)}${".".repeat(barWidth - filled)}]`
}

export const line = (label: string, bytes: number, total: number | undefined, elapsedMs: number): string => {
  const rate = elapsedMs > 0 ? (bytes * 1000) / elapsedMs : 0
  const speed = `${formatBytes(rate)}/s`
  if (total === undefined || total === 0) return `${label}  ${formatBytes(bytes)}  ${speed}`
  const fraction = Math.min(1, bytes / total)
  const left = rate > 0 ? formatSeconds((total - bytes) / rate) : "-:--"
  return `${label}  ${bar(fraction)} ${String(Math.floor(fraction * 100)).padStart(3)}%  ${formatBytes(bytes)} of ${formatBytes(total)}  ${speed}  ${left} left`
}

const silent: Progress = { add: () => Effect.void, clear: Effect.void, done: Effect.void }

/** `total` in bytes where it is known. Work of less than a redraw's time shows nothing. */
export const makeProgress = Effect.fnUntraced(function* (label: string, total: number | undefined, quiet: boolean) {
  if (quiet) return silent
  const stdio = yield* Stdio.Stdio
  const terminal = yield* stdio.stderrIsTerminal
  const write = (text: string) => Stream.run(Stream.make(text), stdio.stderr()).pipe(Effect.orDie)
  const startMs = yield* Clock.currentTimeMillis
  const everyMs = terminal ? redrawMs : plainLineMs
  let bytes = 0
  let shownMs = startMs
  let shown = false
  const show = (nowMs: number, end: string) => {
    shownMs = nowMs
    shown = true
    const text = line(label, bytes, total, nowMs - startMs)
    return write(terminal ? `\r\u001b[K${text}${end}` : `${text}\n`)
  }
  const progress: Progress = {
    add: (count) =>
      Effect.flatMap(Clock.currentTimeMillis, (nowMs) => {
        bytes += count
        return nowMs - shownMs >= everyMs ? show(nowMs, "") : Effect.void
      }),
    clear: Effect.suspend(() => (shown && terminal ? write("\r\u001b[K") : Effect.void)),
    done: Effect.suspend(() => (shown ? Effect.flatMap(Clock.currentTimeMillis, (nowMs) => show(nowMs, "\n")) : Effect.void))
  }
  return progress
})
