/** ouroboros gc: deletion that frees space, run to its end: through the admin address, or on the folder where no node runs. */
import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import type { GcReport } from "../../gc.ts"
import { connectionFlags } from "../Context.ts"
import { formatBytes, formatTable } from "../Format.ts"
import { asking } from "./maintain.ts"

const linesOf = ({ freed, remaining }: GcReport): ReadonlyArray<readonly [string, string]> => [
  ["versions purged", String(freed.versions)],
  ["other rows of history", String(freed.historyRows)],
  ["uploads aborted", String(freed.uploads)],
  ["chunks freed", `${freed.chunks} (${formatBytes(freed.chunkBytes)})`],
  ["blocks dropped", `${freed.blocksDropped} (${formatBytes(freed.blockBytesDropped)})`],
  ["blocks compacted", `${freed.blocksCompacted} (${formatBytes(freed.blockBytesRewritten)} written anew)`],
  ["kept", `${formatBytes(remaining.liveBytes)} of chunks, in blocks of ${formatBytes(remaining.blockBytes)}`],
  ["still reclaimable", `${formatBytes(remaining.reclaimableBytes)} (${remaining.condemnedChunks} condemned chunks)`]
]

export const gcCommand = Command.make("gc", {
  ...connectionFlags,
  now: Flag.Boolean("now").pipe(Flag.withDescription("do not wait for the grace time of what was deleted just now"), Flag.withDefault(false))
}, Effect.fnUntraced(function* (flags) {
  const report = (yield* asking(flags, (call) => call("POST", `/v1/gc${flags.now ? "?now=1" : ""}`))) as GcReport
  if (flags.json) return yield* Console.log(JSON.stringify(report))
  for (const line of formatTable(linesOf(report))) yield* Console.log(line)
  for (const why of report.remaining.waiting) yield* Console.log(`kept: ${why}`)
})).pipe(Command.withDescription("Free the space of what was deleted and is kept by no history: to the end, and say what remains"))
