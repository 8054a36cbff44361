/**
 * ouroboros rollback, branch, diff: through the admin address when a node runs, and by opening the folder when none does.
 */
import { Console, Effect, Stdio } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import type { BranchJson, DiffEntryJson, DiffPageJson, RollbackJson } from "../../gateway/admin/LineageRoutes.ts"
import { asOfFlag, asOfOf, connectionFlags, print, type Shared } from "../Context.ts"
import { DifferencesFound } from "../Failure.ts"
import { formatBytes, printable } from "../Format.ts"
import { parseRemote, UsageError } from "../Location.ts"
import { percentEncode } from "../S3Client.ts"
import { type AdminCall, asking } from "./maintain.ts"

const bucketArgument = Argument.String("bucket").pipe(Argument.withDescription("BUCKET or s3://BUCKET"))

const pointHelp = "a commit sequence, a time (ISO 8601) or an age (2h)"

const bucketOf = (text: string): Effect.Effect<string, UsageError> => {
  const remote = parseRemote(text, "None")
  return remote instanceof UsageError ? Effect.fail(remote) : Effect.succeed(remote.bucket)
}

interface Asked {
  readonly bucket: string
  readonly prefix: string
  readonly from: string | undefined
  readonly to: string | undefined
  readonly with: string | undefined
}

const diffTarget = (asked: Asked, after: string | undefined): string => {
  const query = Object.entries({ ...asked, after }).filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== "")
  return `/v1/diff?${query.map(([name, value]) => `${name}=${percentEncode(value)}`).join("&")}`
}

/** Page by page; all of the two commits that the first page names. */
const eachPage = (shared: Shared, asked: Asked, use: (page: DiffPageJson) => Effect.Effect<void>) =>
  asking(shared, (call) => pagesOf(call, asked, use))

const pagesOf = Effect.fnUntraced(function* (call: AdminCall, asked: Asked, use: (page: DiffPageJson) => Effect.Effect<void>) {
  let next: string | undefined = undefined
  let points: Asked = asked
  let last: DiffPageJson
  do {
    last = (yield* call("GET", diffTarget(points, next))) as DiffPageJson
    points = { ...asked, from: String(last.from.commit), to: String(last.to.commit) }
    next = last.next
    yield* use(last)
  } while (next !== undefined)
  return last
})

interface Counts {
  readonly added: number
  readonly removed: number
  readonly changed: number
}

const countsOf = (entries: ReadonlyArray<DiffEntryJson>, before: Counts): Counts => {
  const of = (change: DiffEntryJson["change"]) => entries.filter((entry) => entry.change === change).length
  return { added: before.added + of("added"), removed: before.removed + of("removed"), changed: before.changed + of("changed") }
}

const none: Counts = { added: 0, removed: 0, changed: 0 }
const keysText = (count: number): string => `${count} ${count === 1 ? "key" : "keys"}`

const marks = { added: "+", removed: "-", changed: "~" } as const
const colours = { added: 32, removed: 31, changed: 33 } as const

const sizeText = ({ change, from, to, sameBytes }: DiffEntryJson): string => {
  if (change !== "changed") return formatBytes((to ?? from)?.sizeBytes ?? 0)
  return sameBytes === true ? "same bytes" : `${formatBytes(from?.sizeBytes ?? 0)} -> ${formatBytes(to?.sizeBytes ?? 0)}`
}

const lineOf = (entry: DiffEntryJson, coloured: boolean): string => {
  const text = `${marks[entry.change]} ${printable(entry.key)}  (${sizeText(entry)}, commit ${(entry.to ?? entry.from)?.sequence})`
  return coloured ? `\u001b[${colours[entry.change]}m${text}\u001b[0m` : text
}

const optionalFlag = (name: string, help: string) => Flag.String(name).pipe(Flag.withDescription(help), Flag.withDefault(""))

const diffCommand = Command.make("diff", {
  ...connectionFlags,
  from: optionalFlag("from", `the older side: ${pointHelp}; needed but with --with`),
  to: optionalFlag("to", `the newer side: ${pointHelp} (default: now)`),
  with: optionalFlag("with", "another bucket for the newer side: a branch beside its source"),
  exitCode: Flag.Boolean("exit-code").pipe(Flag.withDescription("end with 1 where something differs, as git diff does"), Flag.withDefault(false)),
  target: Argument.String("target").pipe(Argument.withDescription("BUCKET or s3://BUCKET[/PREFIX]"))
}, Effect.fnUntraced(function* (flags) {
  const remote = parseRemote(flags.target.startsWith("s3://") ? flags.target : `s3://${flags.target}`, "Optional")
  if (remote instanceof UsageError) return yield* remote
  if (flags.from === "" && flags.with === "") return yield* new UsageError({ detail: "diff needs --from POINT, or --with BUCKET" })
  const coloured = !flags.json && (yield* (yield* Stdio.Stdio).stdoutIsTerminal)
  const asked: Asked = {
    bucket: remote.bucket, prefix: remote.key, from: yield* asOfOf(flags.from, "--from"), to: yield* asOfOf(flags.to, "--to"),
    with: flags.with === "" ? undefined : yield* bucketOf(flags.with)
  }
  let counts = none
  const { from, to } = yield* eachPage(flags, asked, ({ entries }) => {
    counts = countsOf(entries, counts)
    return Effect.forEach(entries, (entry) => Console.log(flags.json ? JSON.stringify(entry) : lineOf(entry, coloured)), { discard: true })
  })
  const total = counts.added + counts.removed + counts.changed
  if (!flags.json) {
    yield* Console.log(`${from.bucket} at commit ${from.commit}, ${to.bucket} at commit ${to.commit}: ${
      total === 0 ? "no difference" : `${keysText(counts.added)} added, ${counts.removed} removed, ${counts.changed} changed`}`)
  }
  if (flags.exitCode && total > 0) return yield* new DifferencesFound({ count: total })
})).pipe(Command.withDescription("Which keys two points of a bucket's history, or two buckets, show differently: + added, - removed, ~ changed"))

const rollbackCommand = Command.make("rollback", {
  ...connectionFlags,
  to: Flag.String("to").pipe(Flag.withDescription(`what the bucket is to be again: ${pointHelp}`)),
  dryRun: Flag.Boolean("dry-run").pipe(Flag.withDescription("say what would change, and change nothing"), Flag.withDefault(false)),
  bucket: bucketArgument
}, Effect.fnUntraced(function* (flags) {
  const bucket = yield* bucketOf(flags.bucket)
  const to = yield* asOfOf(flags.to, "--to")
  if (to === undefined) return yield* new UsageError({ detail: "rollback needs --to POINT" })
  if (flags.dryRun) {
    let counts = none
    const last = yield* eachPage(flags, { bucket, prefix: "", from: undefined, to, with: undefined }, ({ entries }) =>
      Effect.sync(() => { counts = countsOf(entries, counts) }))
    return yield* print(flags, { bucket, to: last.to.commit, ...counts },
      `Rolled back to commit ${last.to.commit}, ${bucket} would have ${keysText(counts.added)} added, ${counts.removed} removed, ${counts.changed} changed. Nothing was changed.`)
  }
  const done = (yield* asking(flags, (call) => call("POST", "/v1/rollback", { bucket, to }))) as RollbackJson
  yield* print(flags, done,
    `${bucket} is as it was at commit ${done.to}. This is commit ${done.commit}; to undo it: ouroboros rollback ${bucket} --to ${done.undo}`)
})).pipe(Command.withDescription("Make a bucket what it was: a commit of its own, at once whatever the bucket's size, undone the same way"))

const branchCommand = Command.make("branch", {
  ...connectionFlags,
  asOf: asOfFlag,
  bucket: bucketArgument,
  name: Argument.String("new").pipe(Argument.withDescription("name of the new bucket"))
}, Effect.fnUntraced(function* (flags) {
  const source = yield* bucketOf(flags.bucket)
  const bucket = yield* bucketOf(flags.name)
  const asOf = yield* asOfOf(flags.asOf)
  const done = (yield* asking(flags, (call) => call("POST", "/v1/branch", { source, bucket, ...(asOf === undefined ? {} : { asOf }) }))) as BranchJson
  yield* print(flags, done, `${bucket} is a branch of ${source} at commit ${done.from}. This is commit ${done.commit}; what changes in it from here on: ouroboros diff ${bucket} --from ${done.commit}`)
})).pipe(Command.withDescription("Make a writable copy of a bucket, of now or of the past, without copying data; of one deleted since, too"))

export const historyCommands = [rollbackCommand, branchCommand, diffCommand] as const
