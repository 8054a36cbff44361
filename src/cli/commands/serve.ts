/** ouroboros serve: runs a node in the foreground until it is told to stop. */
import { Console, Effect, FileSystem } from "effect"
import { Command, Flag } from "effect/cli"
import { loadModule } from "../../node/process.ts"
import { resolveSettings, SettingsError } from "../../node/Settings.ts"
import { Environment } from "../Environment.ts"

const text = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.withDescription(description), Flag.withDefault(""))

const given = (flag: string): string | undefined => (flag === "" ? undefined : flag)

export const serveCommand = Command.make("serve", {
  data: text("data", "data folder (default ./ouroboros-data)"),
  s3: text("s3", "HOST:PORT of S3 (default 127.0.0.1:9000)"),
  admin: text("admin", "HOST:PORT of health and administration (default 127.0.0.1:9001)"),
  config: text("config", "configuration file, JSON"),
  domain: text("domain", "name under which buckets are sub-domains (default localhost)"),
  tlsCert: text("tls-cert", "certificate chain, PEM; read again on SIGHUP"),
  tlsKey: text("tls-key", "private key, PEM; read again on SIGHUP")
}, Effect.fnUntraced(function* (flags) {
  const files = yield* FileSystem.FileSystem
  const env = yield* Environment
  const path = given(flags.config)
  const file = path === undefined ? undefined : {
    path,
    text: yield* files.readFileString(path).pipe(
      Effect.mapError((error) => new SettingsError({ where: `--config ${path}`, detail: error.message }))
    )
  }
  const settings = yield* resolveSettings({
    data: given(flags.data), s3: given(flags.s3), admin: given(flags.admin), domain: given(flags.domain),
    tlsCert: given(flags.tlsCert), tlsKey: given(flags.tlsKey)
  }, env, file)
  // Only this command needs the node: the others start without it.
  const { serve } = yield* loadModule(() => import("../../node/serve.ts"))
  yield* serve(settings, Console.log)
})).pipe(Command.withDescription("Run a node: S3 for clients, an admin address for health and maintenance"))
