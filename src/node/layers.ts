/** layers: the adapters of this machine under the ports, for one data folder. */
import { Effect, Layer } from "effect"
import { openFiles } from "../adapters/NodeMachine.ts"
import { packageVersion, readTextFile } from "../adapters/NodeProcess.ts"
import * as Lmdb from "../adapters/Lmdb.ts"
import * as NodeDisk from "../adapters/NodeDisk.ts"
import * as NodeEntropy from "../adapters/NodeEntropy.ts"
import * as NodeHttp from "../adapters/NodeHttp.ts"
import { meterProcess } from "../adapters/ProcessMeters.ts"
import * as WorkerCompute from "../adapters/WorkerCompute.ts"
import { computeLanesMax } from "../base/limits.ts"
import type { Meters } from "../base/Meters.ts"
import { KeyValue } from "../ports/KeyValue.ts"
import { FolderRefused, markerFile } from "./Folder.ts"
import { type Settings, SettingsError } from "./Settings.ts"

/** The index is disposable (R8): one that cannot be opened is thrown away, and the state rebuilds it. */
export const indexLayer = (settings: Settings) =>
  Layer.effect(KeyValue, Effect.flatMap(Lmdb.openOrReset(`${settings.data}/index`), ({ service, wasReset, why }) =>
    Effect.as(wasReset ? Effect.logWarning(`the index was damaged (${why}): it is rebuilt from checkpoint and journal`) : Effect.void, service)))

/** The disk holds the folder's lock; the index is opened later, once the folder is known to be ours. */
export const platformLayer = (settings: Settings) =>
  Layer.mergeAll(
    NodeDisk.layer(settings.data),
    NodeEntropy.layer,
    NodeHttp.layer,
    WorkerCompute.layer(new URL("./computeLane.ts", import.meta.url), computeLanesMax)
  )

/** Fails where the folder is no store, and leaves everything as it is. */
export const readMarker = (data: string) =>
  readTextFile(`${data}/${markerFile}`).pipe(
    Effect.mapError(() => new FolderRefused({ detail: `${data} holds no store (no ${markerFile}), and no node answers; --data names another folder` }))
  )

/** PEM texts of certificate chain and key. */
export const readTlsFiles = (tls: NonNullable<Settings["tls"]>) =>
  Effect.all({ certificate: pem("--tls-cert", tls.certificate), key: pem("--tls-key", tls.key) })

const pem = (where: string, path: string) =>
  Effect.mapError(readTextFile(path), (error) => new SettingsError({ where, detail: error.message }))

/** What this process uses, until the scope closes. */
export const meterMachine = (meters: Meters, settings: Settings) => {
  meters.gauge("ouroboros_index_bytes", "Size of the index's file.", () => Lmdb.fileBytes(`${settings.data}/index`))
  return meterProcess(meters, packageVersion)
}

/** Node raises the soft limit to the hard one when it starts. */
export const openFilesMax = (): number | undefined => openFiles()?.soft
