/** process: what the command line needs of this machine, from the adapters (which only node/ imports). */
import { Layer } from "effect"
import * as NodeHttpClient from "../adapters/NodeHttpClient.ts"
import { environment, loadModule, packageVersion, runMain, signalsLayer, writeError } from "../adapters/NodeProcess.ts"

export { environment, loadModule, packageVersion, runMain, writeError }

export const clientLayer = Layer.mergeAll(NodeHttpClient.layer, signalsLayer)
