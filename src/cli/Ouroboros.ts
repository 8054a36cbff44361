/** Ouroboros: the command with all its commands. Between main.ts, which runs it, and the commands; tests parse with it what documents tell people to type. */
import { Command } from "effect/cli"
import { clusterCommand } from "./commands/cluster.ts"
import { copyCommand } from "./commands/copy.ts"
import { doctorCommand } from "./commands/doctor.ts"
import { gcCommand } from "./commands/gc.ts"
import { historyCommands } from "./commands/history.ts"
import { maintainCommands } from "./commands/maintain.ts"
import { catCommand, listCommand, makeBucketCommand, removeBucketCommand, removeCommand } from "./commands/objects.ts"
import { serveCommand } from "./commands/serve.ts"
import { verifyCommand } from "./commands/verify.ts"

export const ouroboros = Command.make("ouroboros").pipe(
  Command.withDescription("A self-hosted object store that keeps every version of everything"),
  Command.withSubcommands([
    serveCommand, copyCommand, listCommand, catCommand, removeCommand, makeBucketCommand, removeBucketCommand, doctorCommand, verifyCommand, gcCommand, clusterCommand,
    ...historyCommands, ...maintainCommands
  ])
)
