/**
 * Settings: what a node is told to be. Sits between the command line and start-up: flags beat the environment, which
 * beats the configuration file, which beats the defaults.
 */
import { Data, Effect, type LogLevel, Schema } from "effect"
import {
  blockSizeBytesTarget, chunkSizeBytesAverage, chunkSizeBytesMax, md5EtagBytesMaxDefault, overlayRowsMax, settleAgeMsMax, scrubBytesPerSecondDefault, scrubDaysDefault, slowRequestMsDefault,
  ttlSecondsMax, walReserveFileBytes
} from "../base/limits.ts"
import { type ChunkerOptions, checkChunkerOptions } from "../chunker/ChunkerOptions.ts"
import { type GcSettings, gcKeys, gcSettingsOf } from "./GcSettings.ts"
import { type LoadLimits, loadLimitKeys, loadLimitsOf } from "./LoadLimits.ts"

export class SettingsError extends Data.TaggedError("SettingsError")<{
  /** The flag, variable or key at fault. */
  readonly where: string
  readonly detail: string
}> {
  override get message(): string {
    return `${this.where}: ${this.detail}`
  }
}

export interface HostPort {
  readonly host: string
  readonly port: number
}

export interface Settings {
  readonly data: string
  readonly s3: HostPort
  readonly admin: HostPort
  /** Of a member of a cluster: where it listens for the others, in place of what it was made with. */
  readonly peers?: HostPort
  /** Names under which buckets are sub-domains (virtual-host style). */
  readonly domain: string
  readonly tls?: { readonly certificate: string; readonly key: string }
  readonly accessKey?: string
  readonly secretKey?: string
  readonly passphrase?: string
  readonly retentionDays: number
  /** Seconds that an object lives where its writer says nothing; absent: for ever. */
  readonly ttlDefaultSeconds?: number
  /** Upper size of a single PUT whose ETag is its MD5. */
  readonly md5EtagBytesMax: number
  /** Bounds of content-defined chunks; the minimum is half the average, the maximum four times, unless given. */
  readonly chunks: ChunkerOptions
  /** A block is sealed once this much waits in the journal, or once the oldest chunk has waited this long. */
  readonly settleBytes: number
  readonly settleAgeMs: number
  /** Changed rows in memory that start a checkpoint. */
  readonly checkpointRows: number
  /** Room held on the disk for deletions, given back when somebody else has filled it; 0: none. */
  readonly reserveFileBytes: number
  /** /metrics without credentials, for whoever reaches the admin address. */
  readonly metricsPublic: boolean
  /** A request on which the node itself spends this long is named in the log. */
  readonly slowRequestMs: number
  /** Scrub reads at least so fast, and the whole store once in so many days; 0 days: never. */
  readonly scrubBytesPerSecond: number
  readonly scrubDays: number
  readonly logLevel: LogLevel.LogLevel
  readonly logFormat: LogFormat
  readonly limits: LoadLimits
  readonly gc: GcSettings
}

/** auto: pretty on a terminal, JSON otherwise. */
export type LogFormat = "auto" | "pretty" | "json"

const positive = Schema.Number.pipe(Schema.check(Schema.isGreaterThanOrEqualTo(0)))

/** The configuration file: JSON; unknown keys are refused. Secrets do not belong in it. */
const File = Schema.Struct({
  data: Schema.optionalKey(Schema.String),
  s3: Schema.optionalKey(Schema.String),
  admin: Schema.optionalKey(Schema.String),
  peers: Schema.optionalKey(Schema.String),
  domain: Schema.optionalKey(Schema.String),
  tlsCert: Schema.optionalKey(Schema.String),
  tlsKey: Schema.optionalKey(Schema.String),
  retentionDays: Schema.optionalKey(positive),
  ttlDefaultSeconds: Schema.optionalKey(Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 1, maximum: ttlSecondsMax })))),
  /** "small": MD5 ETags up to 16 MiB; "always"; or a size in bytes. */
  md5Etags: Schema.optionalKey(Schema.Union([Schema.Literals(["small", "always"]), positive])),
  chunkMinBytes: Schema.optionalKey(positive),
  chunkAverageBytes: Schema.optionalKey(positive),
  chunkMaxBytes: Schema.optionalKey(positive),
  settleBytes: Schema.optionalKey(positive),
  settleAgeMs: Schema.optionalKey(positive),
  checkpointRows: Schema.optionalKey(positive),
  reserveFileBytes: Schema.optionalKey(positive),
  metricsPublic: Schema.optionalKey(Schema.Boolean),
  slowRequestMs: Schema.optionalKey(positive),
  scrubBytesPerSecond: Schema.optionalKey(positive),
  scrubDays: Schema.optionalKey(positive),
  logLevel: Schema.optionalKey(Schema.String),
  logFormat: Schema.optionalKey(Schema.String),
  ...loadLimitKeys,
  ...gcKeys
})
type File = typeof File.Type

export interface Flags {
  readonly data?: string | undefined
  readonly s3?: string | undefined
  readonly admin?: string | undefined
  readonly peers?: string | undefined
  readonly domain?: string | undefined
  readonly tlsCert?: string | undefined
  readonly tlsKey?: string | undefined
  /** As the command's own --log-level has parsed it. */
  readonly logLevel?: LogLevel.LogLevel | undefined
  readonly logFormat?: string | undefined
}

const decodeFile = Schema.decodeUnknownEffect(File, { onExcessProperty: "error", errors: "all" })

const parseFile = (text: string, path: string): Effect.Effect<File, SettingsError> =>
  Effect.try({
    try: (): unknown => JSON.parse(text),
    catch: (error) => new SettingsError({ where: path, detail: `not JSON: ${String(error)}` })
  }).pipe(
    Effect.flatMap(decodeFile),
    Effect.mapError((error) =>
      error instanceof SettingsError ? error : new SettingsError({ where: path, detail: error.message.replaceAll("\n", " ") })
    )
  )

/** HOST:PORT, [v6]:PORT or :PORT; port 0 takes a free one. */
export const parseHostPort = (text: string, where: string): Effect.Effect<HostPort, SettingsError> => {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3] ?? -1)
  if (match === null || port > 65_535) {
    return Effect.fail(new SettingsError({ where, detail: `"${text}" is not HOST:PORT, such as 127.0.0.1:9000` }))
  }
  return Effect.succeed({ host: match[1] ?? (match[2] === "" || match[2] === undefined ? "127.0.0.1" : match[2]), port })
}

const defaults = {
  data: "./ouroboros-data",
  s3: "127.0.0.1:9000",
  admin: "127.0.0.1:9001",
  domain: "localhost",
  retentionDays: 30
}

const pick = (flag: string | undefined, env: string | undefined, file: string | undefined, fallback: string): string =>
  flag ?? (env === "" ? undefined : env) ?? file ?? fallback

/** An address, and where it was said, for the error that it may be. */
const pickAddress = (name: "s3" | "admin", flag: string | undefined, env: string | undefined, file: string | undefined, path: string | undefined) => {
  const where = flag !== undefined ? `--${name}` : env !== undefined && env !== "" ? `OUROBOROS_${name.toUpperCase()}` : `${path ?? "defaults"}: ${name}`
  return parseHostPort(pick(flag, env, file, defaults[name]), where)
}

/** The words of --log-level. */
const logLevels: Readonly<Record<string, LogLevel.LogLevel>> = {
  all: "All", trace: "Trace", debug: "Debug", info: "Info", warn: "Warn", warning: "Warn", error: "Error", fatal: "Fatal", none: "None"
}
const logFormats: Readonly<Record<string, LogFormat>> = { auto: "auto", pretty: "pretty", json: "json" }

const oneOf = <A>(table: Readonly<Record<string, A>>, text: string, where: string): Effect.Effect<A, SettingsError> => {
  const value = Object.hasOwn(table, text.toLowerCase()) ? table[text.toLowerCase()] : undefined
  return value === undefined
    ? Effect.fail(new SettingsError({ where, detail: `"${text}" is none of ${Object.keys(table).join(", ")}` }))
    : Effect.succeed(value)
}

const logOf = Effect.fnUntraced(function* (flags: Flags, env: Readonly<Record<string, string | undefined>>, config: File) {
  const level = pick(undefined, env["OUROBOROS_LOG_LEVEL"], config.logLevel, "info")
  const format = pick(flags.logFormat, env["OUROBOROS_LOG_FORMAT"], config.logFormat, "auto")
  return {
    logLevel: flags.logLevel ?? (yield* oneOf(logLevels, level, "OUROBOROS_LOG_LEVEL, logLevel")),
    logFormat: yield* oneOf(logFormats, format, "--log-format, OUROBOROS_LOG_FORMAT, logFormat")
  }
})

const md5Max = (choice: File["md5Etags"]): number =>
  choice === "always" ? Number.MAX_SAFE_INTEGER : typeof choice === "number" ? choice : md5EtagBytesMaxDefault

const chunksOf = (config: File): ChunkerOptions => {
  const averageBytes = config.chunkAverageBytes ?? chunkSizeBytesAverage
  return {
    minBytes: config.chunkMinBytes ?? Math.floor(averageBytes / 2),
    averageBytes,
    maxBytes: config.chunkMaxBytes ?? Math.min(4 * averageBytes, chunkSizeBytesMax)
  }
}

/** `env` is the process's environment; `file` the configuration file's text and path, where one was named. */
export const resolveSettings = Effect.fnUntraced(function* (
  flags: Flags,
  env: Readonly<Record<string, string | undefined>>,
  file: { readonly path: string; readonly text: string } | undefined
): Effect.fn.Return<Settings, SettingsError> {
  const config: File = file === undefined ? {} : yield* parseFile(file.text, file.path)
  const s3 = yield* pickAddress("s3", flags.s3, env["OUROBOROS_S3"], config.s3, file?.path)
  const admin = yield* pickAddress("admin", flags.admin, env["OUROBOROS_ADMIN"], config.admin, file?.path)
  const peers = pick(flags.peers, env["OUROBOROS_PEERS"], config.peers, "")
  const certificate = flags.tlsCert ?? config.tlsCert
  const key = flags.tlsKey ?? config.tlsKey
  if ((certificate === undefined) !== (key === undefined)) {
    return yield* new SettingsError({ where: "--tls-cert, --tls-key", detail: "give both or neither" })
  }
  const accessKey = env["OUROBOROS_ACCESS_KEY"]
  const secretKey = env["OUROBOROS_SECRET_KEY"]
  if ((accessKey === undefined) !== (secretKey === undefined)) {
    return yield* new SettingsError({ where: "OUROBOROS_ACCESS_KEY, OUROBOROS_SECRET_KEY", detail: "set both or neither" })
  }
  if (accessKey !== undefined && !/^[A-Za-z0-9._-]{3,128}$/.test(accessKey)) {
    return yield* new SettingsError({ where: "OUROBOROS_ACCESS_KEY", detail: "3 to 128 of A-Z a-z 0-9 . _ -" })
  }
  if (secretKey !== undefined && secretKey.length < 8) {
    return yield* new SettingsError({ where: "OUROBOROS_SECRET_KEY", detail: "at least 8 characters" })
  }
  const chunks = chunksOf(config)
  const problem = checkChunkerOptions(chunks)
  if (problem !== undefined) return yield* new SettingsError({ where: file?.path ?? "chunk bounds", detail: problem.message })
  const passphrase = env["OUROBOROS_PASSPHRASE"]
  return {
    data: pick(flags.data, env["OUROBOROS_DATA"], config.data, defaults.data),
    s3,
    admin,
    ...(peers === "" ? {} : { peers: yield* parseHostPort(peers, "--peers, OUROBOROS_PEERS, peers") }),
    domain: flags.domain ?? config.domain ?? defaults.domain,
    ...(certificate !== undefined && key !== undefined ? { tls: { certificate, key } } : {}),
    ...(accessKey !== undefined && secretKey !== undefined ? { accessKey, secretKey } : {}),
    ...(passphrase !== undefined && passphrase !== "" ? { passphrase } : {}),
    retentionDays: config.retentionDays ?? defaults.retentionDays,
    ...(config.ttlDefaultSeconds === undefined ? {} : { ttlDefaultSeconds: config.ttlDefaultSeconds }),
    md5EtagBytesMax: md5Max(config.md5Etags),
    chunks,
    settleBytes: config.settleBytes ?? blockSizeBytesTarget,
    settleAgeMs: config.settleAgeMs ?? settleAgeMsMax,
    checkpointRows: config.checkpointRows ?? overlayRowsMax,
    reserveFileBytes: config.reserveFileBytes ?? walReserveFileBytes,
    metricsPublic: config.metricsPublic ?? true,
    slowRequestMs: config.slowRequestMs ?? slowRequestMsDefault,
    scrubBytesPerSecond: config.scrubBytesPerSecond ?? scrubBytesPerSecondDefault,
    scrubDays: config.scrubDays ?? scrubDaysDefault,
    limits: loadLimitsOf(config),
    gc: gcSettingsOf(config),
    ...(yield* logOf(flags, env, config))
  }
})
