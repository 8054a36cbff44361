/** examine: gathers what Doctor.ts judges: this machine, the data folder of these settings, and the addresses. */
import { Effect } from "effect"
import { layer } from "../adapters/NodeMachine.ts"
import { Machine } from "../ports/Machine.ts"
import { credentialsFile } from "./Credentials.ts"
import { diagnose, type Facts, type Finding } from "./Doctor.ts"
import { markerFile } from "./Folder.ts"
import { listensOn } from "./MovedMember.ts"
import type { Settings } from "./Settings.ts"

const secretFiles = [credentialsFile, "vault.key", "keyring"]

/** `isRunning`: a node answers at the admin address of these settings. */
export const examine = (settings: Settings, isRunning: boolean): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.provide(Effect.gen(function*() {
    const machine = yield* Machine
    const peers = isRunning ? undefined : settings.peers ?? (yield* listensOn(settings))
    const places = [["s3", settings.s3], ["admin", settings.admin], ...(peers === undefined ? [] : [["peers", peers] as const])] as const
    const addresses = isRunning ? [] : yield* Effect.forEach(places, ([what, { host, port }]) =>
      Effect.map(machine.addressFault(host, port), (fault) => ({ what, address: `${host}:${port}`, fault })))
    const path = settings.tls?.certificate
    const facts: Facts = {
      machine: yield* machine.facts,
      folder: yield* machine.folder(settings.data, markerFile, secretFiles),
      isRunning, hasPassphrase: settings.passphrase !== undefined, addresses,
      certificate: path === undefined ? undefined : { path, end: yield* machine.certificateEndMs(path) }
    }
    return diagnose(facts)
  }), layer)
