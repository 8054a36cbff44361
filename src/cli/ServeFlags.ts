/** ServeFlags: the flags of a node, and the settings that come of them, the environment and the configuration file. */
import { Effect, FileSystem, Option } from "effect"
import { Flag, GlobalFlag } from "effect/cli"
import { resolveSettings, SettingsError } from "../node/Settings.ts"
import { Environment } from "./Environment.ts"

const text = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.withDescription(description), Flag.withDefault(""))

const given = (flag: string): string | undefined => (flag === "" ? undefined : flag)

export const serveFlags = {
  data: text("data", "data folder (default ./ouroboros-data)"),
  s3: text("s3", "HOST:PORT of S3 (default 127.0.0.1:9000)"),
  admin: text("admin", "HOST:PORT of health and administration (default 127.0.0.1:9001)"),
  peers: text("peers", "HOST:PORT where a member of a cluster listens for the others (default: as it was made)"),
  config: text("config", "configuration file, JSON"),
  domain: text("domain", "name under which buckets are sub-domains (default localhost)"),
  tlsCert: text("tls-cert", "certificate chain, PEM; read again on SIGHUP"),
  tlsKey: text("tls-key", "private key, PEM; read again on SIGHUP"),
  logFormat: text("log-format", "pretty, json, or auto (default): pretty on a terminal, JSON otherwise")
}

export const settingsOf = Effect.fnUntraced(function* (flags: { readonly [Name in keyof typeof serveFlags]: string }) {
  const files = yield* FileSystem.FileSystem
  const path = given(flags.config)
  const file = path === undefined ? undefined : {
    path,
    text: yield* files.readFileString(path).pipe(
      Effect.mapError((error) => new SettingsError({ where: `--config ${path}`, detail: error.message }))
    )
  }
  return yield* resolveSettings({
    data: given(flags.data), s3: given(flags.s3), admin: given(flags.admin), peers: given(flags.peers), domain: given(flags.domain),
    tlsCert: given(flags.tlsCert), tlsKey: given(flags.tlsKey),
    // Every command has it; where it is not given, environment and file count.
    logLevel: Option.getOrUndefined(yield* GlobalFlag.LogLevel), logFormat: given(flags.logFormat)
  }, yield* Environment, file)
})
