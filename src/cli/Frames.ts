/**
 * Frames: lines that are shown again and again in one place: on a terminal the whole screen, which is given back at the end with
 * the last frame below what was there; elsewhere one frame after the other.
 */
import { Console, Effect, Stdio, Stream, Terminal } from "effect"

const enter = "\u001b[?1049h\u001b[?25l"
const leave = "\u001b[?25h\u001b[?1049l"

const wrapped = (line: string, columns: number): ReadonlyArray<string> => {
  const parts = [line.slice(0, columns)]
  for (let at = columns; at < line.length; at += columns) parts.push(line.slice(at, at + columns))
  return parts
}

/** What fits, from its top: wrapped here, since a line that wraps by itself pushes the top off the screen. A terminal of 0 is one that does not say. */
export const fitting = (lines: ReadonlyArray<string>, columns: number, rows: number): string => {
  const wide = columns > 0 ? lines.flatMap((line) => wrapped(line, columns)) : lines
  return (rows > 0 ? wide.slice(0, rows) : wide).map((line) => `${line}\u001b[K`).join("\r\n")
}

/** A frame at once and then every `everyMs`, until whoever waits for it has enough. A frame says what went wrong in its own lines. */
export const showFrames = Effect.fnUntraced(function* <R>(frame: Effect.Effect<ReadonlyArray<string>, never, R>, everyMs: number) {
  const stdio = yield* Stdio.Stdio
  const terminal = yield* Terminal.Terminal
  const pause = Effect.sleep(everyMs)
  if (!(yield* stdio.stdoutIsTerminal)) {
    return yield* Effect.forever(Effect.andThen(Effect.flatMap(frame, (lines) => Console.log(`${lines.join("\n")}\n`)), pause))
  }
  const write = (text: string) => Effect.orDie(Stream.run(Stream.make(text), stdio.stdout({ endOnDone: false })))
  let last: ReadonlyArray<string> = []
  const draw = Effect.gen(function* () {
    last = yield* frame
    yield* write(`\u001b[H${fitting(last, yield* terminal.columns, yield* terminal.rows)}\u001b[J`)
  })
  return yield* Effect.acquireUseRelease(
    write(enter),
    () => Effect.forever(Effect.andThen(draw, pause)),
    () => write(`${leave}${last.join("\n")}\n`)
  )
})
