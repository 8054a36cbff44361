/**
 * ouroboros log, status, key: through the admin address when a node runs, and by opening the folder when none does.
 */
import { Console, Effect, Option, Redacted, Stdio } from "effect"
import { Argument, Command, Flag, Prompt } from "effect/cli"
import type { LineageEventJson, LineageJson } from "../../gateway/admin/LineageRoutes.ts"
import type { HistoryPageJson, VersionJson } from "../../gateway/admin/HistoryJson.ts"
import { fromUtf8 } from "../../base/bytes.ts"
import { exportedKeyBytesMax } from "../../base/limits.ts"
import { HttpClientError } from "../../ports/HttpClient.ts"
import { loadModule } from "../../node/process.ts"
import { adminCall } from "../AdminClient.ts"
import { asOfFlag, asOfOf, connectionFlags, connectionOf, dataOf, print, type Shared } from "../Context.ts"
import { Environment } from "../Environment.ts"
import { NodeElsewhere, ServerRefused } from "../Failure.ts"
import { formatBytes, formatTable, printable } from "../Format.ts"
import { parseRemote, UsageError, type Remote } from "../Location.ts"
import { percentEncode } from "../S3Client.ts"
import { pullFrom } from "../Transfer.ts"

/** One request to the admin address that it was made for. */
export type AdminCall = (method: "GET" | "POST", target: string, body?: unknown) => ReturnType<typeof adminCall>

/** Requests to a running node, or to its folder, opened once for all of them, where no node answers the first. */
export const asking = Effect.fnUntraced(function* <A, E, R>(shared: Shared, use: (call: AdminCall) => Effect.Effect<A, E, R>) {
  const connection = yield* connectionOf(shared)
  let answered = false
  const running: AdminCall = (method, target, body) =>
    Effect.tap(adminCall(connection, method, target, body), () => Effect.sync(() => { answered = true }))
  const unreachable = (error: unknown): boolean =>
    !answered && error instanceof HttpClientError && error.reason === "Unreachable"
  return yield* use(running).pipe(
    Effect.catchIf(unreachable, () =>
      Effect.flatMap(Effect.all([Environment, loadModule(() => import("../../node/StoppedNode.ts"))]), ([env, { withStoppedNode }]) =>
        withStoppedNode(connection.data, env, (admin) => use((method, target, body) => adminCall({ ...connection, admin }, method, target, body))))),
    Effect.catchIf((error) => (error as { readonly _tag?: unknown } | null)?._tag === "FolderLocked", () => new NodeElsewhere(connection))
  )
})

/** The same request to a running node, or to the folder where no node answers. */
const ask = (shared: Shared, method: "GET" | "POST", target: string, body?: unknown) =>
  asking(shared, (call) => call(method, target, body))

const remoteOf = (text: string): Effect.Effect<Remote, UsageError> => {
  const remote = parseRemote(text, "Optional")
  return remote instanceof UsageError ? Effect.fail(remote) : Effect.succeed(remote)
}

const historyTarget = (remote: Remote, asOf: string | undefined, next: HistoryPageJson["next"]): string => {
  const query: Array<readonly [string, string]> = [["bucket", remote.bucket]]
  if (remote.key !== "") query.push(["key", remote.key])
  if (asOf !== undefined) query.push(["as-of", asOf])
  if (next !== undefined) query.push(["after", next.key])
  if (next?.versionId !== undefined) query.push(["after-version", next.versionId])
  return `/v1/history?${query.map(([name, value]) => `${name}=${percentEncode(value)}`).join("&")}`
}

const versionRow = (version: VersionJson): ReadonlyArray<string> => [
  String(version.sequence),
  version.time,
  version.deleteMarker ? "delete" : formatBytes(version.sizeBytes).padStart(10),
  `${version.state === "hidden" ? `hidden at ${version.hiddenAt}` : version.state}${version.expires === undefined ? "" : `, lives until ${version.expires}`}`,
  version.versionId,
  printable(version.key)
]

const eventRow = ({ sequence, time, event, source, from, to }: LineageEventJson): ReadonlyArray<string> => [
  String(sequence), time ?? "", event,
  event === "branch" ? `of ${source ?? "?"} at commit ${from ?? "?"}` : to === undefined ? "" : `to what commit ${to} shows`
]

/** Of a bucket, its branch and rollbacks first. Answers how many versions there were. */
const showLog = Effect.fnUntraced(function* (call: AdminCall, json: boolean, remote: Remote, asOf: string | undefined) {
  const show = <A>(values: ReadonlyArray<A>, row: (value: A) => ReadonlyArray<string>) =>
    Effect.forEach(json ? values.map((value) => JSON.stringify(value)) : formatTable(values.map(row)), (line) => Console.log(line), { discard: true })
  if (remote.key === "") {
    const point = asOf === undefined ? "" : `&as-of=${percentEncode(asOf)}`
    const { events } = (yield* call("GET", `/v1/lineage?bucket=${percentEncode(remote.bucket)}${point}`)) as LineageJson
    yield* show(events, eventRow)
  }
  let next: HistoryPageJson["next"] = undefined
  let count = 0
  do {
    const page = (yield* call("GET", historyTarget(remote, asOf, next))) as HistoryPageJson
    yield* show(page.versions, versionRow)
    next = page.next
    count += page.versions.length
  } while (next !== undefined)
  return count
})

const logCommand = Command.make("log", {
  ...connectionFlags,
  asOf: asOfFlag,
  target: Argument.String("target").pipe(Argument.withDescription("s3://BUCKET[/KEY]"))
}, Effect.fnUntraced(function* (flags) {
  const remote = yield* remoteOf(flags.target)
  const asOf = yield* asOfOf(flags.asOf)
  const count = yield* asking(flags, (call) => showLog(call, flags.json, remote, asOf))
  if (count === 0 && remote.key !== "") {
    return yield* new ServerRefused({ status: 404, code: "NoSuchKey", detail: "no version of it was ever written, or none is kept", what: flags.target })
  }
})).pipe(Command.withDescription("Every version of a key or of a bucket, also those that S3 no longer lists"))

/** Nested values as dotted names, so that nothing the node says is left out. */
const flatten = (value: unknown, name: string): ReadonlyArray<readonly [string, string]> => {
  if (Array.isArray(value)) return value.map((item) => [name, String(item)] as const)
  if (value === null || typeof value !== "object") return [[name, String(value)]]
  return Object.entries(value).flatMap(([key, inner]) => flatten(inner, name === "" ? key : `${name}.${key}`))
}

/** Amounts of bytes as people read them; `--json` has the numbers. */
const statusText = (name: string, value: string): string =>
  /bytes(max|total|dropped|rewritten|\.total|\.used)?$/i.test(name) ? formatBytes(Number(value))
    : /bytespersecond$/i.test(name) ? `${formatBytes(Number(value))}/s`
    : value

const statusCommand = Command.make("status", { ...connectionFlags }, Effect.fnUntraced(function* (flags) {
  const status = yield* ask(flags, "GET", "/v1/status")
  if (flags.json) return yield* Console.log(JSON.stringify(status))
  for (const line of formatTable(flatten(status, "").map(([name, value]) => [name, statusText(name, value)]))) yield* Console.log(line)
})).pipe(Command.withDescription("What the node is doing and how much it holds"))

const exportCommand = Command.make("export", { ...connectionFlags }, Effect.fnUntraced(function* (flags) {
  const answer = (yield* ask(flags, "POST", "/v1/key/export")) as { readonly key: string }
  yield* print(flags, answer, answer.key)
})).pipe(Command.withDescription("Print the vault key: keep it apart from the data; whoever has both reads everything"))

/** From standard input: an argument would stay in the shell's history. */
const importCommand = Command.make("import", { ...connectionFlags }, Effect.fnUntraced(function* (flags) {
  const stdio = yield* Stdio.Stdio
  const env = yield* Environment
  const { importKeyHere } = yield* loadModule(() => import("../../node/StoppedNode.ts"))
  const text = yield* Effect.scoped(Effect.flatMap(pullFrom(stdio.stdin), (pull) => pull(exportedKeyBytesMax)))
  const data = dataOf(flags, env)
  const underPassphrase = yield* importKeyHere(data, env, fromUtf8(text) ?? "")
  yield* print(flags, { imported: true }, `The vault key of ${data} is back, under ${underPassphrase ? "the passphrase" : "the key file vault.key"}.`)
})).pipe(Command.withDescription("Put an exported key back into a stopped node's folder; the key comes on standard input"))

const passphraseCommand = Command.make("change-passphrase", {
  ...connectionFlags,
  keyFile: Flag.Boolean("key-file").pipe(Flag.withDescription("no passphrase: a key file in the data folder"), Flag.withDefault(false))
}, Effect.fnUntraced(function* (flags) {
  const env = yield* Environment
  const given = Option.fromUndefinedOr(env["OUROBOROS_NEW_PASSPHRASE"])
  const passphrase = flags.keyFile ? null
    : Option.isSome(given) ? given.value
    : Redacted.value(yield* Prompt.run(Prompt.Password({ message: "New passphrase" })))
  if (passphrase === "") return yield* new UsageError({ detail: "an empty passphrase protects nothing" })
  yield* ask(flags, "POST", "/v1/key/passphrase", { passphrase })
  yield* print(flags, { changed: true }, flags.keyFile
    ? "The vault key is now under the key file vault.key."
    : "The vault key is now under the new passphrase: set OUROBOROS_PASSPHRASE to it at the next start.")
})).pipe(Command.withDescription("Protect the vault key with another passphrase (OUROBOROS_NEW_PASSPHRASE, or asked for)"))

const keyCommand = Command.make("key").pipe(
  Command.withDescription("The vault key"),
  Command.withSubcommands([exportCommand, importCommand, passphraseCommand])
)

export const maintainCommands = [logCommand, statusCommand, keyCommand] as const
