/** process: what the command line needs of this machine, from the adapters (which only node/ imports). */
import { type Effect, Layer } from "effect"
import * as NodeHttpClient from "../adapters/NodeHttpClient.ts"
import { environment, loadModule, packageVersion, runMain, signalsLayer, writeError } from "../adapters/NodeProcess.ts"
import { withLog } from "./Log.ts"

export { environment, loadModule, packageVersion, runMain, writeError }

export const clientLayer = Layer.mergeAll(NodeHttpClient.layer, signalsLayer)

/** Log lines of a command that is no server: what goes wrong, on standard error, in words. */
export const withCommandLog = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => withLog(effect, { level: "Warn", format: "pretty" })
