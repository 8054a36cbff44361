/**
 * Connection: where a command's requests go, and with which key. Flags beat the environment, which beats the
 * credentials that the node keeps in its data folder.
 */
import { Effect, FileSystem } from "effect"
import { decodeCredentials } from "../node/Credentials.ts"
import { parseHostPort, type SettingsError } from "../node/Settings.ts"
import type { Endpoint } from "../ports/HttpClient.ts"
import { CommandFailed } from "./Failure.ts"
import { UsageError } from "./Location.ts"

export interface Keys {
  readonly accessKey: string
  readonly secretKey: string
}

export interface Connection {
  readonly s3: Endpoint
  readonly admin: Endpoint
  readonly data: string
  readonly keys: Keys
}

export interface ConnectionFlags {
  readonly endpoint: string | undefined
  readonly admin: string | undefined
  readonly data: string | undefined
}

type Environment = Readonly<Record<string, string | undefined>>

/** http://HOST[:PORT], https://… or HOST:PORT. */
const parseEndpoint = (text: string, where: string): Effect.Effect<Endpoint, SettingsError | UsageError> => {
  const match = /^(https?):\/\/(.+?)\/?$/.exec(text)
  if (match === null) return Effect.map(parseHostPort(text, where), (address) => ({ secure: false, ...address }))
  const secure = match[1] === "https"
  const authority = match[2] ?? ""
  if (authority.includes("/")) return Effect.fail(new UsageError({ detail: `${where} "${text}": an address without a path is meant` }))
  const withPort = /:\d+$/.test(authority) ? authority : `${authority}:${secure ? 443 : 80}`
  return Effect.map(parseHostPort(withPort, where), (address) => ({ secure, ...address }))
}

export const findKeys = Effect.fnUntraced(function* (data: string, env: Environment) {
  const accessKey = env["OUROBOROS_ACCESS_KEY"]
  const secretKey = env["OUROBOROS_SECRET_KEY"]
  if (accessKey && secretKey) return { accessKey, secretKey }
  const files = yield* FileSystem.FileSystem
  const path = `${data}/credentials`
  const text = yield* files.readFileString(path).pipe(
    Effect.mapError((error) => new CommandFailed({
      detail: `no credentials: set OUROBOROS_ACCESS_KEY and OUROBOROS_SECRET_KEY, or --data to the node's folder (${path}: ${error.reason._tag})`
    }))
  )
  const keys = decodeCredentials(text)
  return keys ?? (yield* new CommandFailed({ detail: `${path} holds no credentials` }))
})

/** Where the node of this machine keeps its data. */
export const folderOf = (flag: string | undefined, env: Environment): string => flag ?? env["OUROBOROS_DATA"] ?? "./ouroboros-data"

export const connect = Effect.fnUntraced(function* (flags: ConnectionFlags, env: Environment) {
  const data = folderOf(flags.data, env)
  const s3 = yield* parseEndpoint(flags.endpoint ?? env["OUROBOROS_ENDPOINT"] ?? env["OUROBOROS_S3"] ?? "127.0.0.1:9000", "--endpoint")
  const admin = yield* parseEndpoint(flags.admin ?? env["OUROBOROS_ADMIN"] ?? "127.0.0.1:9001", "--admin")
  const keys = yield* findKeys(data, env)
  const connection: Connection = { s3, admin, data, keys }
  return connection
})
