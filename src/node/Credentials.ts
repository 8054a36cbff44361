/**
 * Credentials: the root access key. From the environment, else from D/credentials, else made at the first start and
 * shown once. The file is what the CLI on the same machine reads; the disk adapter makes it mode 0600.
 */
import { Data, Effect } from "effect"
import { fromUtf8, toBase64, toUtf8 } from "../base/bytes.ts"
import { credentialsBytesMax } from "../base/limits.ts"
import { Disk, type DiskError } from "../ports/Disk.ts"
import { Entropy } from "../ports/Entropy.ts"
import { readSmallFile, replaceFile } from "./Folder.ts"
import type { Settings } from "./Settings.ts"

export interface Credentials {
  readonly accessKey: string
  readonly secretKey: string
  /** "Made" by this start: shown once. */
  readonly origin: "Environment" | "File" | "Made"
}

export class CredentialsError extends Data.TaggedError("CredentialsError")<{ readonly detail: string }> {
  override get message(): string {
    return `credentials: ${this.detail}`
  }
}

export const credentialsFile = "credentials"

export const encodeCredentials = (accessKey: string, secretKey: string): string =>
  `OUROBOROS_ACCESS_KEY=${accessKey}\nOUROBOROS_SECRET_KEY=${secretKey}\n`

/** NAME=value lines; undefined where a name is missing. */
export const decodeCredentials = (text: string): { readonly accessKey: string; readonly secretKey: string } | undefined => {
  const value = (name: string): string | undefined =>
    text.split("\n").find((line) => line.startsWith(`${name}=`))?.slice(name.length + 1).trim()
  const accessKey = value("OUROBOROS_ACCESS_KEY")
  const secretKey = value("OUROBOROS_SECRET_KEY")
  return accessKey && secretKey ? { accessKey, secretKey } : undefined
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
const letters = (random: Uint8Array): string => Array.from(random, (byte) => alphabet[byte % 32]).join("")

/** Those of the cluster, in the folder of one that joins it. */
export const writeCredentials = Effect.fnUntraced(function* ({ accessKey, secretKey }: Pick<Credentials, "accessKey" | "secretKey">): Effect.fn.Return<void, DiskError, Disk> {
  yield* replaceFile(yield* Disk, credentialsFile, toUtf8(encodeCredentials(accessKey, secretKey)))
})

export const openCredentials = Effect.fnUntraced(function* (
  settings: Settings
): Effect.fn.Return<Credentials, CredentialsError | DiskError, Disk | Entropy> {
  const disk = yield* Disk
  const bytes = yield* readSmallFile(disk, credentialsFile, credentialsBytesMax)
  const kept = bytes === undefined ? undefined : decodeCredentials(fromUtf8(bytes) ?? "")
  if (settings.accessKey !== undefined && settings.secretKey !== undefined) {
    // The CLI reads the file, so it follows the environment.
    if (kept?.accessKey !== settings.accessKey || kept.secretKey !== settings.secretKey) {
      yield* replaceFile(disk, credentialsFile, toUtf8(encodeCredentials(settings.accessKey, settings.secretKey)))
    }
    return { accessKey: settings.accessKey, secretKey: settings.secretKey, origin: "Environment" }
  }
  if (kept !== undefined) return { ...kept, origin: "File" }
  if (bytes !== undefined) {
    return yield* new CredentialsError({
      detail: `D/${credentialsFile} has not both OUROBOROS_ACCESS_KEY= and OUROBOROS_SECRET_KEY=; mend it, or remove it to get new ones`
    })
  }
  const entropy = yield* Entropy
  const accessKey = `OB${letters(entropy.bytes(18))}`
  const secretKey = toBase64(entropy.bytes(30)).replaceAll("+", "-").replaceAll("/", "_")
  yield* replaceFile(disk, credentialsFile, toUtf8(encodeCredentials(accessKey, secretKey)))
  return { accessKey, secretKey, origin: "Made" }
})
