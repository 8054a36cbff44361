/**
 * StoppedNode: maintenance of a folder that no node serves: the node itself is started without S3, with its admin
 * address on a free port of this machine, for as long as one request takes; or only the folder is opened.
 */
import { Clock, Effect, Layer } from "effect"
import { Meters } from "../base/Meters.ts"
import type { Endpoint } from "../ports/HttpClient.ts"
import { openFolder } from "./Folder.ts"
import { platformLayer, readMarker, startNodeHere } from "./layers.ts"
import { resolveSettings, type Settings } from "./Settings.ts"
import { importVaultKey } from "./VaultFile.ts"

/** A hundred thousand years. */
const retentionDaysOfMaintenance = 36_500_000

/** The folder alone, locked: nothing of the store is opened, so that a lost keyring can be put back. */
export const importKeyHere = (data: string, env: Readonly<Record<string, string | undefined>>, text: string) =>
  Effect.scoped(Effect.gen(function* () {
    const settings = yield* resolveSettings({ data }, env, undefined)
    yield* readMarker(data)
    const platform = yield* Layer.build(platformLayer(settings))
    yield* Effect.flatMap(openFolder(yield* Clock.currentTimeMillis), (folder) => importVaultKey(folder, text, settings.passphrase)).pipe(
      Effect.provide(platform)
    )
    return settings.passphrase !== undefined
  }))

/** The node's own configuration is not known here: what it keeps for longer than the default is not let go by a look at it. */
export const quietSettings = (resolved: Settings): Settings => ({
  ...resolved, retentionDays: Math.max(resolved.retentionDays, retentionDaysOfMaintenance), scrubDays: 0, gc: { ...resolved.gc, staleUploadMs: 0 }
})

export const withStoppedNode = <A, E, R>(
  data: string,
  env: Readonly<Record<string, string | undefined>>,
  use: (admin: Endpoint) => Effect.Effect<A, E, R>,
  options: { readonly rebuildIndex?: boolean } = {}
) =>
  Effect.scoped(Effect.gen(function* () {
    const resolved = yield* resolveSettings({ data, admin: "127.0.0.1:0" }, env, undefined)
    const settings = quietSettings(resolved)
    // Looked at first: opening would make a folder that is not there.
    yield* readMarker(data)
    const node = yield* startNodeHere(settings, { serveS3: false, ...options }, new Meters())
    return yield* use({ secure: false, host: node.admin.host, port: node.admin.port })
  }))
