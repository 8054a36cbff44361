/** Context: what every client command shares: its connection, whether it prints JSON, and how it writes. */
import { Clock, Console, Effect, Stdio, Stream } from "effect"
import { Flag } from "effect/cli"
import { asOfHeader } from "./AsOf.ts"
import { connect, folderOf } from "./Connection.ts"
import { UsageError } from "./Location.ts"
import { makeClient, type S3Client } from "./S3Client.ts"
import { Environment } from "./Environment.ts"

export const connectionFlags = {
  endpoint: Flag.String("endpoint").pipe(Flag.withDescription("S3 endpoint: http://HOST:PORT (default 127.0.0.1:9000)"), Flag.withDefault("")),
  admin: Flag.String("admin").pipe(Flag.withDescription("admin address (default 127.0.0.1:9001)"), Flag.withDefault("")),
  data: Flag.String("data").pipe(Flag.withDescription("data folder, for its credentials (default ./ouroboros-data)"), Flag.withDefault("")),
  json: Flag.Boolean("json").pipe(Flag.withDescription("print JSON, one value a line"), Flag.withDefault(false))
}

export const asOfFlag = Flag.String("as-of").pipe(
  Flag.withDescription("read the past: a commit sequence, a time (ISO 8601) or an age (2h)"), Flag.withDefault("")
)

/** Of a cluster; the node says what is wrong with it. */
export const maxStalenessFlag = Flag.String("max-staleness").pipe(
  Flag.withDescription("take what this member knew so many milliseconds ago, also where it is cut off from the others"), Flag.withDefault("")
)

export const ttlFlag = Flag.String("ttl").pipe(
  Flag.withDescription("how long what is stored lives: seconds, or 90m, 12h, 7d; none: for ever, whatever the node's default"), Flag.withDefault("")
)

export interface Shared {
  readonly endpoint: string
  readonly admin: string
  readonly data: string
  readonly json: boolean
  readonly maxStaleness?: string
}

const given = (flag: string): string | undefined => (flag === "" ? undefined : flag)

export const connectionOf = (shared: Shared) =>
  Effect.flatMap(Environment, (env) =>
    connect({ endpoint: given(shared.endpoint), admin: given(shared.admin), data: given(shared.data) }, env))

export const clientOf = (shared: Shared): Effect.Effect<S3Client, Effect.Error<ReturnType<typeof connectionOf>>, Effect.Services<ReturnType<typeof connectionOf>> | Effect.Services<ReturnType<typeof makeClient>>> =>
  Effect.flatMap(connectionOf(shared), (connection) =>
    makeClient(connection, shared.maxStaleness === undefined || shared.maxStaleness === "" ? [] : [["x-ouroboros-max-staleness", shared.maxStaleness]]))

export const dataOf = (shared: Shared, env: Readonly<Record<string, string | undefined>>): string => folderOf(given(shared.data), env)

/** The header's value for --as-of, or another flag of the same kind; an age counts back from now. */
export const asOfOf = Effect.fnUntraced(function* (flag: string, name = "--as-of") {
  if (flag === "") return undefined
  const header = asOfHeader(flag, yield* Clock.currentTimeMillis, name)
  return header instanceof UsageError ? yield* header : header
})

/** A line of JSON with --json, else a line for people. */
export const print = (shared: { readonly json: boolean }, value: unknown, line: string) =>
  Console.log(shared.json ? JSON.stringify(value) : line)

/** Bytes to standard output, waiting while its reader is slow. */
export const writeOut = (bytes: Uint8Array) =>
  Effect.flatMap(Stdio.Stdio, (stdio) => Stream.run(Stream.make(bytes), stdio.stdout({ endOnDone: false })))
