/** NodeProcess: the process around the command: environment, standard error, signals and the exit code. */
import { readFileSync, writeSync } from "node:fs"
import { Effect, type Exit, Layer } from "effect"
import { Signals } from "../ports/Signals.ts"
import { FileUnreadable, TextFiles } from "../ports/TextFiles.ts"

export const environment: Readonly<Record<string, string | undefined>> = process.env

export const packageVersion: string = (JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8")
) as { readonly version: string }).version

/** A small text file of the operator's (a certificate, a key). */
export const readTextFile = (path: string): Effect.Effect<string, FileUnreadable> =>
  Effect.try({ try: () => readFileSync(path, "utf8"), catch: (error) => new FileUnreadable({ path, detail: String(error) }) })

export const textFilesLayer: Layer.Layer<TextFiles> = Layer.succeed(TextFiles, { read: readTextFile })

/** A module that only some commands need, imported when they do: it comes with the program, so it cannot be missing. */
export const loadModule = <M>(importModule: () => Promise<M>): Effect.Effect<M> => Effect.promise(importModule)

const stderr = 2

/** At once and whole: the process may end next. */
export const writeError = (text: string): Effect.Effect<void> => Effect.sync(() => void writeSync(stderr, text))

/** What reads our standard error: a terminal wants words, and colours unless NO_COLOR (https://no-color.org) says otherwise. */
export const errorTerminal = {
  isTerminal: process.stderr.isTTY,
  isColoured: process.stderr.isTTY && (process.env["NO_COLOR"] ?? "") === ""
}

export const writeLog = (line: string): void => void process.stderr.write(`${line}\n`)

/** Who waits for a request to stop; while somebody does, a signal asks instead of interrupting. */
const stopWaiters = new Set<() => void>()
let stopRequested = false

export const signalsLayer: Layer.Layer<Signals> = Layer.succeed(Signals, {
  stop: Effect.callback<void>((resume) => {
    if (stopRequested) return resume(Effect.void)
    const waiter = (): void => resume(Effect.void)
    stopWaiters.add(waiter)
    return Effect.sync(() => void stopWaiters.delete(waiter))
  }),
  onReload: (action) =>
    Effect.flatMap(Effect.context(), (context) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          // In the context of who asked: its log is where the action's lines go.
          const listener = (): void => void Effect.runForkWith(context)(action)
          process.on("SIGHUP", listener)
          return listener
        }),
        (listener) => Effect.sync(() => void process.off("SIGHUP", listener))
      )).pipe(Effect.asVoid)
})

/** Runs the program to its end; a signal stops a server cleanly and interrupts any other command. */
export const runMain = <A, E>(program: Effect.Effect<A, E>, exitCodeOf: (exit: Exit.Exit<A, E>) => number): void => {
  const fiber = Effect.runFork(program)
  const onSignal = (): void => {
    const waiters = [...stopWaiters]
    if (waiters.length > 0) for (const waiter of waiters) waiter()
    // npm and a terminal may send the signal twice: the second must not turn a clean stop into a cut.
    else if (!stopRequested) fiber.interruptUnsafe()
    stopRequested = true
  }
  process.on("SIGINT", onSignal)
  process.on("SIGTERM", onSignal)
  // A reader of our output that went away (`| head`) ends the command, quietly.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1))
  // Nobody reads the log any more, and there is nobody left to tell.
  process.stderr.on("error", () => undefined)
  // Standard output may be a socket (whoever spawned us from Node), whose writes end later: leaving at once would cut them.
  fiber.addObserver((exit) => process.stdout.write("", () => process.exit(exitCodeOf(exit))))
}

