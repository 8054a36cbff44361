/** The ouroboros command: parses, runs, and ends with the exit code of Failure.ts. Run by ouroboros.mjs under Node 26. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cause, Effect, Exit, Layer } from "effect"
import { Command } from "effect/cli"
import { clientLayer, environment, packageVersion, runMain, withCommandLog, writeError } from "../node/process.ts"
import { Environment } from "./Environment.ts"
import { exitCodeOf } from "./Failure.ts"
import { ouroboros } from "./Ouroboros.ts"

/** One sentence for what was expected to fail; the whole cause for a defect of ours. */
const explain = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  const tag = (error as { readonly _tag?: unknown } | null)?._tag
  // The parser has printed the help and what is wrong with the command; what a diff found is printed too.
  if (tag === "ShowHelp" || tag === "DifferencesFound") return ""
  const message = error instanceof Error ? error.message : String(error)
  return Cause.hasDies(cause) ? `ouroboros: internal error, please report it\n${Cause.pretty(cause)}\n` : `ouroboros: ${message}\n`
}

const program = Command.run(ouroboros, { version: packageVersion }).pipe(
  Effect.provide(Layer.mergeAll(NodeServices.layer, clientLayer, Layer.succeed(Environment, environment))),
  Effect.tapCause((cause) => (Cause.hasInterruptsOnly(cause) ? Effect.void : writeError(explain(cause))))
)

runMain(withCommandLog(program), (exit) =>
  Exit.isSuccess(exit) ? 0 : Cause.hasInterruptsOnly(exit.cause) ? 130 : exitCodeOf(Cause.squash(exit.cause)))
