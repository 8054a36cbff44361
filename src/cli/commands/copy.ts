/** ouroboros cp: a file, a folder or a stream, into the store, out of it, or within it. */
import { Effect, FileSystem, Path, Stdio, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { asOfFlag, asOfOf, clientOf, connectionFlags, print, ttlFlag, writeOut, type Shared } from "../Context.ts"
import { CommandFailed, FileMissing } from "../Failure.ts"
import { listPages } from "../Listing.ts"
import { printable } from "../Format.ts"
import { formatRemote, parseLocation, UsageError, type Remote } from "../Location.ts"
import { makeProgress, type Progress } from "../Progress.ts"
import { type Headers, percentEncode, type S3Client } from "../S3Client.ts"
import { ttlHeaders } from "../Ttl.ts"
import { download, downloadToFile, drain, pullFrom, upload } from "../Transfer.ts"

interface Job extends Shared {
  readonly client: S3Client
  readonly asOf: string | undefined
  readonly recursive: boolean
  /** What every write says besides its bytes. */
  readonly headers: Headers
}

const report = (job: Job, from: string, to: string) => print(job, { copied: from, to }, printable(`${from} -> ${to}`))

const putStream = Effect.fnUntraced(function* (job: Job, to: Remote) {
  const stdio = yield* Stdio.Stdio
  const progress = yield* makeProgress("-", undefined, job.json)
  yield* Effect.scoped(Effect.flatMap(pullFrom(stdio.stdin), (pull) => upload(job.client, to, pull, undefined, job.headers, progress)))
  yield* progress.done
})

const putFile = Effect.fnUntraced(function* (job: Job, path: string, to: Remote) {
  const files = yield* FileSystem.FileSystem
  const sizeBytes = Number((yield* files.stat(path)).size)
  const progress = yield* makeProgress(path, sizeBytes, job.json)
  yield* Effect.scoped(Effect.flatMap(pullFrom(files.stream(path, { chunkSize: 1024 * 1024 })), (pull) =>
    upload(job.client, to, pull, sizeBytes, job.headers, progress)))
  yield* progress.done
  yield* report(job, path, formatRemote(to.bucket, to.key))
})

const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1)
const joined = (prefix: string, name: string): string => (prefix === "" || prefix.endsWith("/") ? `${prefix}${name}` : `${prefix}/${name}`)

/** What lies at a local path; a path that leads nowhere is said in plain words. */
const lookAt = (path: string) =>
  Effect.flatMap(FileSystem.FileSystem, (files) => files.stat(path)).pipe(
    Effect.catchIf((error) => error.reason._tag === "NotFound", () => Effect.fail(new FileMissing({ path })))
  )

/** A name that leads nowhere (a broken link, bytes that are no UTF-8) does not keep its neighbours from being copied. */
const putFolder = Effect.fnUntraced(function* (job: Job, folder: string, to: Remote) {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const names = [...(yield* files.readDirectory(folder, { recursive: true }))].sort()
  const missing: Array<string> = []
  for (const name of names) {
    const full = path.join(folder, name)
    const info = yield* lookAt(full).pipe(Effect.catchTag("FileMissing", () => Effect.succeed(undefined)))
    if (info === undefined) missing.push(full)
    else if (info.type === "File") {
      yield* putFile(job, full, { bucket: to.bucket, key: joined(to.key, name.split(path.sep).join("/")) })
    }
  }
  if (missing.length > 0) {
    return yield* new CommandFailed({
      detail: `${missing.length} names lead to no file and were left out (broken links, or bytes that are no UTF-8), the first ${JSON.stringify(missing[0])}`
    })
  }
})

const getFile = Effect.fnUntraced(function* (job: Job, from: Remote, target: string) {
  yield* downloadToFile(job.client, { ...from, asOf: job.asOf }, target, (size) => makeProgress(baseName(from.key), size, job.json))
  yield* report(job, formatRemote(from.bucket, from.key), target)
})

/** Keys are data: one that would leave the folder, or cannot be a path, is refused and named, never written elsewhere. */
const relativePath = (key: string): string | undefined => {
  const segments = key.split("/")
  return segments.some((segment) => segment === "" || segment === "." || segment === ".." || segment.includes("\u0000")) ? undefined : key
}

const getFolder = Effect.fnUntraced(function* (job: Job, from: Remote, folder: string) {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const skipped: Array<string> = []
  const prefix = from.key === "" || from.key.endsWith("/") ? from.key : `${from.key}/`
  yield* listPages(job.client, { bucket: from.bucket, prefix, recursive: true, asOf: job.asOf }).pipe(
    Stream.runForEach(Effect.fnUntraced(function* (page) {
      for (const object of page.objects) {
        const relative = relativePath(object.key.slice(prefix.length))
        if (relative === undefined) {
          skipped.push(object.key)
          continue
        }
        const target = path.join(folder, relative)
        yield* files.makeDirectory(path.dirname(target), { recursive: true })
        yield* getFile(job, { bucket: from.bucket, key: object.key }, target)
      }
    }))
  )
  if (skipped.length > 0) {
    return yield* new CommandFailed({
      detail: `${skipped.length} keys are no file names and were left out, the first ${JSON.stringify(skipped[0])}; copy each with: ouroboros cat`
    })
  }
})

const copyInside = Effect.fnUntraced(function* (job: Job, from: Remote, to: Remote) {
  if (job.asOf !== undefined || job.recursive) {
    return yield* new UsageError({ detail: "s3:// to s3:// copies one current object; without --as-of and --recursive" })
  }
  const source = `/${percentEncode(from.bucket)}/${from.key.split("/").map(percentEncode).join("/")}`
  yield* job.client.xml({ method: "PUT", ...to, headers: [["x-amz-copy-source", source], ...job.headers] })
  yield* report(job, formatRemote(from.bucket, from.key), formatRemote(to.bucket, to.key))
})

const getStream = (job: Job, from: Remote) =>
  Effect.scoped(Effect.gen(function* () {
    const { body } = yield* download(job.client, { ...from, asOf: job.asOf })
    const quiet: Progress = { add: () => Effect.void, clear: Effect.void, done: Effect.void }
    yield* drain(body, formatRemote(from.bucket, from.key), quiet, writeOut)
  }))

const fromLocal = Effect.fnUntraced(function* (job: Job, path: string, to: Remote) {
  if (job.asOf !== undefined) return yield* new UsageError({ detail: "--as-of reads; nothing can be written into the past" })
  const isFolder = (yield* lookAt(path)).type === "Directory"
  if (isFolder && !job.recursive) return yield* new UsageError({ detail: `${path} is a folder: add --recursive` })
  if (isFolder) return yield* putFolder(job, path, to)
  const key = to.key === "" || to.key.endsWith("/") ? `${to.key}${baseName(path)}` : to.key
  return yield* putFile(job, path, { bucket: to.bucket, key })
})

const toLocal = Effect.fnUntraced(function* (job: Job, from: Remote, path: string) {
  if (job.recursive) return yield* getFolder(job, from, path)
  if (from.key === "") return yield* new UsageError({ detail: `s3://${from.bucket} is a bucket: add --recursive` })
  const files = yield* FileSystem.FileSystem
  const isFolder = path.endsWith("/") || (yield* files.stat(path).pipe(
    Effect.map((info) => info.type === "Directory"),
    // The target need not exist yet; anything else that is wrong with it is said.
    Effect.catchIf((error) => error.reason._tag === "NotFound", () => Effect.succeed(false))
  ))
  return yield* getFile(job, from, isFolder ? joined(path, baseName(from.key)) : path)
})

const run = Effect.fnUntraced(function* (job: Job, source: string, target: string) {
  const from = parseLocation(source)
  const to = parseLocation(target)
  if (job.headers.length > 0 && to._tag !== "Remote") return yield* new UsageError({ detail: "--ttl is for what is stored: the target is s3://BUCKET/KEY" })
  if (from._tag === "Remote" && to._tag === "Remote") {
    return yield* copyInside(job, from, to.key === "" || to.key.endsWith("/") ? { ...to, key: `${to.key}${baseName(from.key)}` } : to)
  }
  if (to._tag === "Remote" && from._tag === "Stream") {
    return to.key === "" ? yield* new UsageError({ detail: "standard input needs a key: s3://BUCKET/KEY" }) : yield* putStream(job, to)
  }
  if (to._tag === "Remote" && from._tag === "Local") return yield* fromLocal(job, from.path, to)
  if (from._tag === "Remote" && to._tag === "Stream") return yield* getStream(job, from)
  if (from._tag === "Remote" && to._tag === "Local") return yield* toLocal(job, from, to.path)
  return yield* new UsageError({ detail: "one of the two is s3://BUCKET/KEY" })
})

export const copyCommand = Command.make("cp", {
  ...connectionFlags,
  asOf: asOfFlag,
  ttl: ttlFlag,
  recursive: Flag.Boolean("recursive").pipe(Flag.withAlias("r"), Flag.withDescription("whole folders and prefixes"), Flag.withDefault(false)),
  source: Argument.String("source").pipe(Argument.withDescription("a file, a folder, -, or s3://BUCKET/KEY")),
  target: Argument.String("target").pipe(Argument.withDescription("a file, a folder, -, or s3://BUCKET/KEY"))
}, Effect.fnUntraced(function* (flags) {
  const client = yield* clientOf(flags)
  const asOf = yield* asOfOf(flags.asOf)
  const headers = yield* ttlHeaders(flags.ttl)
  yield* run({ ...flags, client, asOf, headers }, flags.source, flags.target)
})).pipe(Command.withDescription("Copy a file, a folder or a stream to or from the store"))
