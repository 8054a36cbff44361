/**
 * Node: one running store: folder, keys, rooms, listeners, on nothing but ports: `serve` puts this machine under them, the
 * simulator its twins. It starts in the order in which a mistake is cheapest: marker, vault key, credentials, the admin
 * address (which answers 503), recovery, and S3 last.
 */
import { Clock, Context, Effect, Layer, LogLevel, References } from "effect"
import { adminConnectionsMax } from "../base/httpLimits.ts"
import { expose } from "../base/Exposition.ts"
import { HealthBoard } from "../base/HealthBoard.ts"
import { Meters } from "../base/Meters.ts"
import { probe } from "../base/probes.ts"
import { makeAdminHandler, type NodeControl } from "../gateway/admin/AdminHandler.ts"
import { RequestBook } from "../gateway/RequestBook.ts"
import { requestIds } from "../gateway/RequestIds.ts"
import { Gc } from "../gc.ts"
import type { Crc64 } from "../gateway/s3/Checksums.ts"
import { makeS3Handler } from "../gateway/s3/S3Handler.ts"
import type { CommitLog } from "../namespace/CommitLog.ts"
import { Namespace } from "../namespace/Namespace.ts"
import { Disk } from "../ports/Disk.ts"
import { Entropy } from "../ports/Entropy.ts"
import { Health } from "../ports/Health.ts"
import { HttpListener, type Listener, type ListenOptions } from "../ports/HttpListener.ts"
import { Index } from "../ports/Index.ts"
import { KeyValue } from "../ports/KeyValue.ts"
import { Metrics } from "../ports/Metrics.ts"
import { TextFiles } from "../ports/TextFiles.ts"
import { exportKey } from "../sealer/KeyText.ts"
import { Settle } from "../settle.ts"
import { Verify } from "../verify.ts"
import { type Credentials, openCredentials } from "./Credentials.ts"
import { folderFormat, FolderRefused, markFolder, openFolder, sweepFolder } from "./Folder.ts"
import type { MemberNode, startMember } from "./MemberNode.ts"
import { meteredDisk } from "./MeteredDisk.ts"
import { checkRooms, watchFolder } from "./NodeHealth.ts"
import { meterRooms } from "./NodeMeters.ts"
import { withinOpenFiles } from "./LoadLimits.ts"
import { type HostPort, type Settings, SettingsError } from "./Settings.ts"
import { historyControl, lineageControl } from "./Lineages.ts"
import { statusOf } from "./Status.ts"
import { storeLayer, type StoreOptions } from "./StoreLayer.ts"
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
  /** A member that leads lets another lead; of a node alone: nothing. */
  readonly handOver: Effect.Effect<void>
  /** What it is made of, for whoever looks into a node (the simulator, tests). */
  readonly rooms: Rooms
}

const keyFileWarning =
  "the vault key lies beside the data, under the key file vault.key: whoever copies the folder can read it; set OUROBOROS_PASSPHRASE, or run: ouroboros key change-passphrase"

/** Folder, vault key and credentials: what a start needs before it opens anything large. */
const openIdentity = Effect.fnUntraced(function* (settings: Settings) {
  const folder = yield* openFolder(yield* Clock.currentTimeMillis)
  const vault = folder.fresh ? yield* createVault(folder, settings.passphrase) : yield* openVaultFile(folder, settings.passphrase)
  const credentials = yield* openCredentials(settings)
  if (folder.fresh || folder.format < folderFormat) yield* markFolder(folder)
  const swept = yield* sweepFolder()
  if (swept.length > 0) probe("folder.leftOversSwept")
  if (swept.length > 0) yield* Effect.logInfo(`removed what an earlier run left half done: ${swept.join(", ")}`)
  return { folder, vault, credentials }
})

type Identity = Effect.Success<ReturnType<typeof openIdentity>>

export interface StartOptions {
  readonly serveS3: boolean
  /** Throws the index away and rebuilds it from checkpoint and journal, once it is sure that it can be. */
  readonly rebuildIndex?: boolean
  /** Files that the process may open, sockets among them; undefined: nobody says. */
  readonly openFilesMax?: number | undefined
  /** Small bounds and eyes for the simulator and tests. */
  readonly store?: Omit<StoreOptions, "store" | "keys" | "settings" | "rebuildIndex">
  /** Made before the start, by who cannot wait for promises in it. */
  readonly crc64?: Crc64
  /** A member of a cluster, of a folder that is one's; without it such a folder is not opened. */
  readonly member?: typeof startMember
}

interface Phase {
  current: "Starting" | "Ready" | "Stopping"
  underKeyFile: boolean
  s3: Listener | undefined
  readonly warnings: ReadonlyArray<string>
}

const warningsOf = (phase: Phase): ReadonlyArray<string> => [...(phase.underKeyFile ? [keyFileWarning] : []), ...phase.warnings]

/** The index is disposable (R8): one that cannot be opened was thrown away, and the state rebuilds it. */
const indexLayer = Layer.effect(KeyValue, Effect.gen(function* () {
  const { service, wasReset, why } = yield* (yield* Index).open
  if (wasReset) probe("index.thrownAway")
  if (wasReset) yield* Effect.logWarning(`the index was damaged (${why}): it is rebuilt from checkpoint and journal`)
  return service
}))

/** Its part of a cluster, where the folder is a member's. */
const memberOf = Effect.fnUntraced(function* ({ credentials, folder, vault }: Identity, { member }: StartOptions, { peers: listen }: Settings) {
  if (!folder.isMember) return undefined
  if (member === undefined) {
    return yield* new FolderRefused({ detail: "it belongs to a member of a cluster, whose commits only the cluster knows: start it with `ouroboros serve`, and ask it while it runs" })
  }
  return yield* member({ folder, keys: vault.keys, credentials, listen })
})

/** What every node has; a member's commits are ordered otherwise. */
type StoreRooms = Exclude<Layer.Success<ReturnType<typeof storeLayer>>, CommitLog>

/** The rooms once they are up, with the ports that they stand on. */
const buildRooms = Effect.fnUntraced(function* (settings: Settings, { folder, vault }: Identity, { rebuildIndex = false, store }: StartOptions, member: MemberNode | undefined) {
  const options: StoreOptions = { ...store, settings, store: folder.store, keys: vault.keys, rebuildIndex }
  const rooms: Context.Context<StoreRooms> = member === undefined
    ? yield* Layer.build(Layer.provide(storeLayer(options), indexLayer)) : yield* Layer.build(Layer.provide(member.rooms(options), indexLayer))
  return Context.merge(yield* Effect.context<Disk | Entropy>(), rooms)
})

export type Rooms = Effect.Success<ReturnType<typeof buildRooms>>
type RoomServices = Rooms extends Context.Context<infer Services> ? Services : never

/** What the admin address may do. Requests that come before the rooms are up are answered by the phase. */
const makeControl = Effect.fnUntraced(function* (phase: Phase, { vault, credentials, folder }: Identity, settings: Settings, rooms: () => Rooms | undefined, member: MemberNode | undefined) {
  const ports = yield* Effect.context<Disk | Entropy>()
  const meters = yield* Metrics
  const board = yield* Health
  const within = <A, E>(effect: Effect.Effect<A, E, RoomServices>): Effect.Effect<A, E> => Effect.suspend(() => {
    const up = rooms()
    return up === undefined ? Effect.die("asked before the rooms are up: the phase guards this") : Effect.provide(effect, up)
  })
  const control: NodeControl = {
    phase: () => phase.current,
    accessKey: credentials.accessKey,
    secretKey: credentials.secretKey,
    health: () => board.report(),
    metrics: () => expose(meters),
    metricsPublic: settings.metricsPublic,
    status: within(statusOf(settings, folder, () => ({ warnings: warningsOf(phase), connections: phase.s3?.connections() }))),
    ...historyControl(within),
    ...lineageControl(within),
    cluster: member?.control,
    exportKey: Effect.sync(() => exportKey(vault.keys)),
    changePassphrase: (passphrase) => changeVaultSecret(vault.keys, passphrase).pipe(
      Effect.tap(() => Effect.sync(() => { phase.underKeyFile = passphrase === undefined })),
      Effect.provide(ports)
    ),
    settle: within(Effect.flatMap(Settle, (settle) => settle.settleNow)),
    checkpoint: within(Effect.flatMap(Namespace, (namespace) => namespace.checkpoint(true))),
    collect: (now) => within(Effect.flatMap(Gc, (gc) => gc.run(now))),
    verify: (tell) => within(Effect.flatMap(Verify, (verify) => verify.run(tell)))
  }
  return control
})

/** PEM texts of certificate chain and key. */
const readTlsFiles = Effect.fnUntraced(function* (tls: NonNullable<Settings["tls"]>) {
  const files = yield* TextFiles
  const pem = (where: string, path: string) => Effect.mapError(files.read(path), (error) => new SettingsError({ where, detail: error.message }))
  return { certificate: yield* pem("--tls-cert", tls.certificate), key: yield* pem("--tls-key", tls.key) }
})

const s3Options = Effect.fnUntraced(function* (settings: Settings): Effect.fn.Return<ListenOptions, SettingsError, TextFiles> {
  const { connectionsMax, stallMs } = settings.limits
  const plain = { ...settings.s3, limits: { connectionsMax, stallMsMax: stallMs } }
  return settings.tls === undefined ? plain : { ...plain, tls: yield* readTlsFiles(settings.tls) }
})

const serveS3 = Effect.fnUntraced(function* (settings: Settings, credentials: Credentials, rooms: Rooms, crc64: Crc64 | undefined) {
  const http = yield* HttpListener
  const handler = yield* makeS3Handler({
    domain: settings.domain,
    md5EtagBytesMax: settings.md5EtagBytesMax,
    slowMs: settings.slowRequestMs,
    ttlDefaultSeconds: settings.ttlDefaultSeconds,
    ...(crc64 === undefined ? {} : { crc64 }),
    credentials: (accessKey) =>
      accessKey === credentials.accessKey ? { secretKey: credentials.secretKey, principal: "root" } : undefined
  }).pipe(Effect.provide(rooms))
  const nextId = requestIds(yield* Entropy)
  const listener = yield* http.listen({ ...yield* s3Options(settings), refusalHeaders: () => [["x-amz-request-id", nextId()]] }, handler)
  const meters = yield* Metrics
  meters.gauge("ouroboros_s3_connections", "Open connections of S3 clients.", () => listener.connections().open)
  meters.counted("ouroboros_s3_connections_refused_total", "Connections beyond connectionsMax.", () => listener.connections().refused)
  return listener
})

const reload = (settings: Settings, listener: Listener | undefined): Effect.Effect<void, never, TextFiles> => {
  if (settings.tls === undefined || listener === undefined) return Effect.logInfo("SIGHUP: no certificate to read again")
  return readTlsFiles(settings.tls).pipe(
    Effect.flatMap(listener.reloadTls),
    Effect.andThen(Effect.logInfo("SIGHUP: new connections get the certificate read just now")),
    Effect.catch((error) => Effect.logError(`SIGHUP: the old certificate stays: ${error.message}`))
  )
}

/** Admin's own requests are counted and logged as S3's are. */
const serveAdmin = Effect.fnUntraced(function* (settings: Settings, control: NodeControl) {
  const http = yield* HttpListener
  const book = new RequestBook({
    meters: yield* Metrics, listener: "admin", slowMs: settings.slowRequestMs,
    logsAll: !LogLevel.isGreaterThan(yield* References.MinimumLogLevel, "Debug")
  })
  return yield* http.listen({ ...settings.admin, limits: { connectionsMax: adminConnectionsMax } }, makeAdminHandler(control, book, requestIds(yield* Entropy)))
})

const start = Effect.fnUntraced(function* (wanted: Settings, options: StartOptions) {
  const { limits, warnings } = withinOpenFiles(wanted.limits, options.serveS3 ? options.openFilesMax : undefined)
  const settings = { ...wanted, limits }
  const identity = yield* openIdentity(settings)
  const phase: Phase = { current: "Starting", underKeyFile: identity.vault.underKeyFile, s3: undefined, warnings }
  let rooms: Rooms | undefined = undefined
  const meters = yield* Metrics
  const board = yield* Health
  meters.gauge("ouroboros_ready", "1 while S3 is served.", () => (phase.current === "Ready" ? 1 : 0))
  yield* watchFolder(board, meters)
  const member = yield* memberOf(identity, options, settings)
  if (member !== undefined) board.check("cluster", member.finding)
  const control = yield* makeControl(phase, identity, settings, () => rooms, member)
  const admin = yield* serveAdmin(settings, control)
  const built = yield* buildRooms(settings, identity, options, member)
  yield* Effect.provide(Effect.andThen(meterRooms(meters), checkRooms(board)), built)
  rooms = built
  const listener = options.serveS3 ? yield* serveS3(settings, identity.credentials, built, options.crc64) : undefined
  phase.s3 = listener
  phase.current = "Ready"
  const node: RunningNode = {
    s3: listener,
    admin,
    credentials: identity.credentials,
    warnings: warningsOf(phase),
    reloadTls: Effect.provideService(reload(settings, listener), TextFiles, yield* TextFiles),
    stopping: () => {
      phase.current = "Stopping"
    },
    handOver: member?.handOver ?? Effect.void,
    rooms: built
  }
  return node
})

/**
 * Runs until the scope closes: S3 stops first, with its requests finished; then the rooms; then the admin address. Its
 * meters and its health board are its own.
 */
export const startNode = (settings: Settings, options: StartOptions, meters: Meters = new Meters()) =>
  Effect.clockWith((clock) => Effect.updateService(start(settings, options), Disk, (disk) => meteredDisk(disk, meters, clock))).pipe(
    Effect.provideService(Metrics, meters),
    Effect.provideService(Health, new HealthBoard())
  )
