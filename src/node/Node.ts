/**
 * Node: one running store: folder, keys, rooms, listeners. It starts in the order in which a mistake is cheapest:
 * marker, vault key, credentials, the admin address (which answers 503), recovery, and S3 last.
 */
import { Clock, Effect, Layer } from "effect"
import { makeAdminHandler, type NodeControl } from "../gateway/admin/AdminHandler.ts"
import { makeS3Handler } from "../gateway/s3/S3Handler.ts"
import { Namespace } from "../namespace/Namespace.ts"
import { HttpListener, type Listener, type ListenError, type ListenOptions } from "../ports/HttpListener.ts"
import { exportKey } from "../sealer/KeyText.ts"
import { Settle } from "../settle.ts"
import { type Credentials, openCredentials } from "./Credentials.ts"
import { type Folder, markFolder, openFolder } from "./Folder.ts"
import { indexLayer, platformLayer, readTlsFiles } from "./layers.ts"
import type { HostPort, Settings } from "./Settings.ts"
import { statusOf } from "./Status.ts"
import { storeLayer } from "./StoreLayer.ts"
import { changeVaultSecret, createVault, openVaultFile } from "./VaultFile.ts"

export interface RunningNode {
  readonly s3: HostPort | undefined
  readonly admin: HostPort
  readonly credentials: Credentials
  /** What an operator should know, one sentence each. */
  readonly warnings: ReadonlyArray<string>
  readonly reloadTls: Effect.Effect<void>
  /** From here on /health/ready answers 503, so that load goes elsewhere. */
  readonly stopping: () => void
}

const keyFileWarning =
  "the vault key lies beside the data, under the key file vault.key: whoever copies the folder can read it; set OUROBOROS_PASSPHRASE, or run: ouroboros key change-passphrase"

/** Folder, vault key and credentials: what a start needs before it opens anything large. */
const openIdentity = Effect.fnUntraced(function* (settings: Settings) {
  const folder = yield* openFolder(yield* Clock.currentTimeMillis)
  const vault = folder.fresh ? yield* createVault(folder, settings.passphrase) : yield* openVaultFile(folder, settings.passphrase)
  const credentials = yield* openCredentials(settings)
  if (folder.fresh) yield* markFolder(folder)
  return { folder, vault, credentials }
})

interface Phase {
  current: "Starting" | "Ready" | "Stopping"
  underKeyFile: boolean
}

/** The rooms once they are up; admin requests before that are answered by the phase. */
type Rooms = Effect.Success<ReturnType<typeof buildRooms>>

const buildRooms = Effect.fnUntraced(function* (settings: Settings, folder: Folder, vault: Effect.Success<ReturnType<typeof openIdentity>>["vault"]) {
  const context = yield* Layer.build(
    storeLayer({ settings, store: folder.store, keys: vault.keys }).pipe(Layer.provide(indexLayer(settings)))
  )
  return { context }
})

const makeControl = Effect.fnUntraced(function* (
  phase: Phase, identity: Effect.Success<ReturnType<typeof openIdentity>>, settings: Settings, rooms: () => Rooms | undefined
) {
  const { vault, credentials, folder } = identity
  const change = yield* Effect.map(Effect.context<Effect.Services<ReturnType<typeof changeVaultSecret>>>(), (context) =>
    (passphrase: string | undefined) => changeVaultSecret(vault.keys, passphrase).pipe(
      Effect.tap(() => Effect.sync(() => { phase.underKeyFile = passphrase === undefined })),
      Effect.provide(context)
    ))
  const within = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E> => Effect.suspend(() => {
    const up = rooms()
    return up === undefined ? Effect.die("asked before the rooms are up: the phase guards this") : Effect.provide(effect, up.context as never) as Effect.Effect<A, E>
  })
  const control: NodeControl = {
    phase: () => phase.current,
    accessKey: credentials.accessKey,
    secretKey: credentials.secretKey,
    status: within(statusOf(settings, folder, () => (phase.underKeyFile ? [keyFileWarning] : []))),
    history: (bucket, query, asOf) => within(Effect.flatMap(Namespace, (namespace) =>
      Effect.flatMap(namespace.resolve(asOf), (at) => namespace.history(bucket, query, at)))),
    children: (bucket, vertex, asOf) => within(Effect.flatMap(Namespace, (namespace) =>
      Effect.flatMap(namespace.resolve(asOf), (at) => namespace.children(bucket, vertex, at)))),
    exportKey: Effect.sync(() => exportKey(vault.keys)),
    changePassphrase: change,
    settle: within(Effect.flatMap(Settle, (settle) => settle.settleNow)),
    checkpoint: within(Effect.flatMap(Namespace, (namespace) => namespace.checkpoint(true)))
  }
  return control
})

const s3Options = Effect.fnUntraced(function* (settings: Settings): Effect.fn.Return<ListenOptions, ListenError> {
  return settings.tls === undefined ? settings.s3 : { ...settings.s3, tls: yield* readTlsFiles(settings.tls) }
})

const serveS3 = Effect.fnUntraced(function* (settings: Settings, credentials: Credentials, rooms: Rooms) {
  const http = yield* HttpListener
  const handler = yield* makeS3Handler({
    domain: settings.domain,
    md5EtagBytesMax: settings.md5EtagBytesMax,
    credentials: (accessKey) =>
      accessKey === credentials.accessKey ? { secretKey: credentials.secretKey, principal: "root" } : undefined
  }).pipe(Effect.provide(rooms.context))
  return yield* http.listen(yield* s3Options(settings), handler)
})

const reload = (settings: Settings, listener: Listener | undefined): Effect.Effect<void> => {
  if (settings.tls === undefined || listener === undefined) return Effect.logInfo("SIGHUP: no certificate to read again")
  return readTlsFiles(settings.tls).pipe(
    Effect.flatMap(listener.reloadTls),
    Effect.andThen(Effect.logInfo("SIGHUP: new connections get the certificate read just now")),
    Effect.catch((error) => Effect.logError(`SIGHUP: the old certificate stays: ${error.message}`))
  )
}

/** Runs until the scope closes: S3 stops first, with its requests finished; then the rooms; then the admin address. */
export const startNode = Effect.fnUntraced(function* (settings: Settings, options: { readonly serveS3: boolean }) {
  const identity = yield* openIdentity(settings)
  const phase: Phase = { current: "Starting", underKeyFile: identity.vault.underKeyFile }
  let rooms: Rooms | undefined = undefined
  const http = yield* HttpListener
  const control = yield* makeControl(phase, identity, settings, () => rooms)
  const admin = yield* http.listen(settings.admin, makeAdminHandler(control))
  const built = yield* buildRooms(settings, identity.folder, identity.vault)
  rooms = built
  const listener = options.serveS3 ? yield* serveS3(settings, identity.credentials, built) : undefined
  phase.current = "Ready"
  const node: RunningNode = {
    s3: listener,
    admin,
    credentials: identity.credentials,
    warnings: phase.underKeyFile ? [keyFileWarning] : [],
    reloadTls: reload(settings, listener),
    stopping: () => {
      phase.current = "Stopping"
    }
  }
  return node
})

/** The same on this machine's adapters, which live as long as the scope: provided, they would end with the start. */
export const startNodeHere = Effect.fnUntraced(function* (settings: Settings, options: { readonly serveS3: boolean }) {
  const platform = yield* Layer.build(platformLayer(settings))
  return yield* Effect.provide(startNode(settings, options), platform)
})
