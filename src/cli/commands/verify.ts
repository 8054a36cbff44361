/** ouroboros verify: everything read and checked, by the running node or by opening the folder; what is harmed is named. */
import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import type { Finding } from "../../damage.ts"
import { loadModule } from "../../node/process.ts"
import type { VerifySummary } from "../../verify.ts"
import { adminLines } from "../AdminClient.ts"
import type { Connection } from "../Connection.ts"
import { connectionFlags, connectionOf } from "../Context.ts"
import { Environment } from "../Environment.ts"
import { CommandFailed, NodeElsewhere } from "../Failure.ts"
import { formatBytes, printable } from "../Format.ts"
import { makeProgress, type Progress } from "../Progress.ts"

/** Lines of POST /v1/verify. */
type Line =
  | { readonly event: "progress"; readonly bytes: number; readonly bytesTotal: number }
  | { readonly event: "finding"; readonly finding: Finding }
  | { readonly event: "note"; readonly text: string }
  | { readonly event: "summary"; readonly summary: VerifySummary }

const findingLine = ({ kind, version, what, where }: Finding): string => {
  const named = version === undefined ? "" : ` version ${version.versionId}${version.isHistory ? " (history only)" : ""}`
  return printable(`${kind.toLowerCase()}: ${where}${named}: ${what}`)
}

const summaryLines = (summary: VerifySummary): ReadonlyArray<string> => {
  const { blocks, blocksUnnamed, bytes, checkpoints, nodes, references, segments } = summary
  return [
    `read ${formatBytes(bytes)}: ${counted(blocks, "block")}, ${counted(segments, "journal segment")}, ${counted(checkpoints, "checkpoint file")}, ${counted(nodes, "index node")}`,
    ...(references === undefined ? [] : [`checked ${references.chunks} chunks and ${references.versions} versions` +
      (references.versionsHarmed === 0 ? "" : `: ${counted(references.chunksLost, "chunk")} lost, ${counted(references.versionsHarmed, "version")} harmed`)]),
    ...(blocksUnnamed === 0 ? [] : [`${blocksUnnamed} block files that no commit names: of uploads under way, or left by a crash and removed at a start`])
  ]
}

interface Seen {
  progress: Progress | undefined
  bytes: number
  summary: VerifySummary | undefined
}

const show = Effect.fnUntraced(function* (seen: Seen, json: boolean, line: Line) {
  if (json && line.event !== "progress") yield* Console.log(JSON.stringify(line))
  switch (line.event) {
    case "progress":
      seen.progress ??= yield* makeProgress("verify", line.bytesTotal, json)
      yield* seen.progress.add(line.bytes - seen.bytes)
      seen.bytes = line.bytes
      return
    case "finding": case "note":
      if (json) return
      if (seen.progress !== undefined) yield* seen.progress.clear
      return yield* Console.log(line.event === "note" ? line.text : findingLine(line.finding))
    case "summary":
      seen.summary = line.summary
  }
})

const verifyThere = (connection: Connection, json: boolean) =>
  Effect.gen(function* () {
    const seen: Seen = { progress: undefined, bytes: 0, summary: undefined }
    yield* adminLines(connection, "/v1/verify", (line) => show(seen, json, line as Line)).pipe(
      Effect.ensuring(Effect.suspend(() => seen.progress?.done ?? Effect.void))
    )
    return seen.summary ?? (yield* new CommandFailed({ detail: "the verification ended before it was done: the node's log says why" }))
  })

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

/** Where no node answers, or the index is to be rebuilt: the folder itself. */
const verifyHere = (connection: Connection, json: boolean, rebuildIndex: boolean) =>
  Effect.gen(function* () {
    const env = yield* Environment
    const { withStoppedNode } = yield* loadModule(() => import("../../node/StoppedNode.ts"))
    return yield* withStoppedNode(connection.data, env, (admin) => Effect.gen(function* () {
      if (rebuildIndex && !json) yield* Console.log("the index is rebuilt from checkpoint and journal; now it is compared with the blocks")
      return yield* verifyThere({ ...connection, admin }, json)
    }), { rebuildIndex })
  }).pipe(Effect.catchIf((error) => error._tag === "FolderLocked", (): Effect.Effect<never, CommandFailed | NodeElsewhere> => rebuildIndex
    ? Effect.fail(new CommandFailed({ detail: `a node runs on ${connection.data}: stop it first, its index cannot be rebuilt under it` }))
    : Effect.fail(new NodeElsewhere(connection))))

export const verifyCommand = Command.make("verify", {
  ...connectionFlags,
  rebuildIndex: Flag.Boolean("rebuild-index").pipe(
    Flag.withDescription("first throw the index of a stopped node away and rebuild it from checkpoint and journal"), Flag.withDefault(false))
}, Effect.fnUntraced(function* (flags) {
  const connection = yield* connectionOf(flags)
  const summary = flags.rebuildIndex
    ? yield* verifyHere(connection, flags.json, true)
    : yield* verifyThere(connection, flags.json).pipe(
      Effect.catchIf((error) => error._tag === "HttpClientError" && error.reason === "Unreachable", () => verifyHere(connection, flags.json, false)))
  if (!flags.json) for (const line of summaryLines(summary)) yield* Console.log(line)
  if (summary.findings > 0) return yield* new CommandFailed({ detail: `${counted(summary.findings, "finding")}: docs/operations.md, "Damage", says what to do` })
  if (!flags.json) yield* Console.log("everything is as it was written")
})).pipe(Command.withDescription("Read everything, check every hash and every reference, and name what is harmed"))
