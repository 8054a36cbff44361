/** ouroboros ls, cat, rm, mb, rb: the everyday commands on buckets and objects. */
import { Effect, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { asOfFlag, asOfOf, clientOf, connectionFlags, maxStalenessFlag, print, writeOut, type Shared } from "../Context.ts"
import { formatBytes, printable } from "../Format.ts"
import { listBuckets, listPages } from "../Listing.ts"
import { formatRemote, parseRemote, UsageError, type Remote } from "../Location.ts"
import type { Progress } from "../Progress.ts"
import type { S3Client } from "../S3Client.ts"
import { download, drain } from "../Transfer.ts"

const remoteOf = (text: string, key: "Required" | "Optional" | "None"): Effect.Effect<Remote, UsageError> => {
  const remote = parseRemote(text, key)
  return remote instanceof UsageError ? Effect.fail(remote) : Effect.succeed(remote)
}

const recursiveFlag = (what: string) =>
  Flag.Boolean("recursive").pipe(Flag.withAlias("r"), Flag.withDescription(what), Flag.withDefault(false))

const versionFlag = Flag.String("version-id").pipe(Flag.withDescription("a version by its id"), Flag.withDefault(""))

const listObjects = (shared: Shared, client: S3Client, remote: Remote, recursive: boolean, asOf: string | undefined) =>
  listPages(client, { bucket: remote.bucket, prefix: remote.key, recursive, asOf }).pipe(
    Stream.runForEach(Effect.fnUntraced(function* (page) {
      for (const prefix of page.prefixes) yield* print(shared, { prefix }, `${" ".repeat(24)}  ${"PREFIX".padStart(10)}  ${printable(prefix)}`)
      for (const object of page.objects) {
        yield* print(shared, object, `${object.modified}  ${formatBytes(object.sizeBytes).padStart(10)}  ${printable(object.key)}`)
      }
    }))
  )

export const listCommand = Command.make("ls", {
  ...connectionFlags,
  asOf: asOfFlag,
  maxStaleness: maxStalenessFlag,
  recursive: recursiveFlag("keys below every prefix too"),
  target: Argument.String("target").pipe(Argument.withDescription("s3://BUCKET[/PREFIX]; all buckets without one"), Argument.withDefault(""))
}, Effect.fnUntraced(function* (flags) {
  const client = yield* clientOf(flags)
  const asOf = yield* asOfOf(flags.asOf)
  if (flags.target !== "" && flags.target !== "s3://") {
    return yield* listObjects(flags, client, yield* remoteOf(flags.target, "Optional"), flags.recursive, asOf)
  }
  for (const bucket of yield* listBuckets(client, asOf)) {
    yield* print(flags, bucket, `${bucket.created}  s3://${bucket.name}`)
  }
})).pipe(Command.withDescription("List buckets, or the keys of one"))

export const catCommand = Command.make("cat", {
  ...connectionFlags,
  asOf: asOfFlag,
  maxStaleness: maxStalenessFlag,
  versionId: versionFlag,
  target: Argument.String("target").pipe(Argument.withDescription("s3://BUCKET/KEY"))
}, Effect.fnUntraced(function* (flags) {
  const client = yield* clientOf(flags)
  const remote = yield* remoteOf(flags.target, "Required")
  const asOf = yield* asOfOf(flags.asOf)
  const quiet: Progress = { add: () => Effect.void, clear: Effect.void, done: Effect.void }
  yield* Effect.scoped(Effect.flatMap(
    download(client, { ...remote, asOf, versionId: flags.versionId === "" ? undefined : flags.versionId }),
    ({ body }) => drain(body, flags.target, quiet, writeOut)
  ))
})).pipe(Command.withDescription("Write an object to standard output"))

const removeOne = Effect.fnUntraced(function* (shared: Shared, client: S3Client, remote: Remote, versionId: string) {
  yield* client.head({ method: "DELETE", ...remote, query: versionId === "" ? [] : [["versionId", versionId]] })
  yield* print(shared, { removed: formatRemote(remote.bucket, remote.key) }, `removed ${printable(formatRemote(remote.bucket, remote.key))}`)
})

export const removeCommand = Command.make("rm", {
  ...connectionFlags,
  recursive: recursiveFlag("every key below the prefix"),
  versionId: versionFlag,
  target: Argument.String("target").pipe(Argument.withDescription("s3://BUCKET/KEY, or a prefix with --recursive"))
}, Effect.fnUntraced(function* (flags) {
  const client = yield* clientOf(flags)
  if (!flags.recursive) return yield* removeOne(flags, client, yield* remoteOf(flags.target, "Required"), flags.versionId)
  if (flags.versionId !== "") return yield* new UsageError({ detail: "--version-id names one version: without --recursive" })
  const remote = yield* remoteOf(flags.target, "Optional")
  yield* listPages(client, { bucket: remote.bucket, prefix: remote.key, recursive: true, asOf: undefined }).pipe(
    Stream.runForEach((page) => Effect.forEach(page.objects, (object) =>
      removeOne(flags, client, { bucket: remote.bucket, key: object.key }, ""), { discard: true }))
  )
})).pipe(Command.withDescription("Remove an object (its history stays readable AS OF earlier commits)"))

const bucketCommand = (name: "mb" | "rb", method: "PUT" | "DELETE", description: string, past: string) =>
  Command.make(name, {
    ...connectionFlags,
    target: Argument.String("bucket").pipe(Argument.withDescription("s3://BUCKET"))
  }, Effect.fnUntraced(function* (flags) {
    const client = yield* clientOf(flags)
    const { bucket } = yield* remoteOf(flags.target, "None")
    yield* client.head({ method, bucket })
    yield* print(flags, { [past]: `s3://${bucket}` }, `${past} s3://${bucket}`)
  })).pipe(Command.withDescription(description))

export const makeBucketCommand = bucketCommand("mb", "PUT", "Make a bucket", "made")
export const removeBucketCommand = bucketCommand("rb", "DELETE", "Remove an empty bucket", "removed")
