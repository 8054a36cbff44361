/** layers: the adapters of this machine under the ports, for one data folder. The simulator puts its twins here. */
import { Effect, Layer } from "effect"
import { openFiles } from "../adapters/NodeMachine.ts"
import { nodeMemory } from "../adapters/NodeMemory.ts"
import { packageVersion, readTextFile, textFilesLayer } from "../adapters/NodeProcess.ts"
import * as Lmdb from "../adapters/Lmdb.ts"
import * as NodeDisk from "../adapters/NodeDisk.ts"
import * as NodeEntropy from "../adapters/NodeEntropy.ts"
import * as NodeHttp from "../adapters/NodeHttp.ts"
import { meterProcess } from "../adapters/ProcessMeters.ts"
import * as WorkerCompute from "../adapters/WorkerCompute.ts"
import { computeLanesMax } from "../base/limits.ts"
import type { Meters } from "../base/Meters.ts"
import { Index } from "../ports/Index.ts"
import { Memory } from "../ports/Memory.ts"
import { FolderRefused, markerFile } from "./Folder.ts"
import { startNode, type StartOptions } from "./Node.ts"
import type { Settings } from "./Settings.ts"

/** The disk holds the folder's lock; the index is opened later, once the folder is known to be ours. */
export const platformLayer = (settings: Settings) =>
  Layer.mergeAll(
    NodeDisk.layer(settings.data),
    NodeEntropy.layer,
    NodeHttp.layer,
    WorkerCompute.layer(new URL("./computeLane.ts", import.meta.url), computeLanesMax),
    Layer.succeed(Index, { open: Lmdb.openOrReset(`${settings.data}/index`) }),
    Layer.succeed(Memory, nodeMemory(settings.limits.memoryBytesMax)),
    textFilesLayer
  )

/** A node on this machine's adapters, which live as long as the scope: provided, they would end with the start. */
export const startNodeHere = Effect.fnUntraced(function* (settings: Settings, options: StartOptions, meters: Meters) {
  yield* meterMachine(meters, settings)
  const platform = yield* Layer.build(platformLayer(settings))
  return yield* Effect.provide(startNode(settings, { ...options, openFilesMax: openFilesMax() }, meters), platform)
})

/** Fails where the folder is no store, and leaves everything as it is. */
export const readMarker = (data: string) =>
  readTextFile(`${data}/${markerFile}`).pipe(
    Effect.mapError(() => new FolderRefused({ detail: `${data} holds no store (no ${markerFile}), and no node answers; --data names another folder` }))
  )

/** What this process uses, until the scope closes. */
const meterMachine = (meters: Meters, settings: Settings) => {
  meters.gauge("ouroboros_index_bytes", "Size of the index's file.", () => Lmdb.fileBytes(`${settings.data}/index`))
  return meterProcess(meters, packageVersion)
}

/** Node raises the soft limit to the hard one when it starts. */
const openFilesMax = (): number | undefined => openFiles()?.soft
