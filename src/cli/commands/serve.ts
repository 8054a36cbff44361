/** ouroboros serve: runs a node in the foreground until it is told to stop. */
import { Console, Effect } from "effect"
import { Command } from "effect/cli"
import { loadModule } from "../../node/process.ts"
import { serveFlags, settingsOf } from "../ServeFlags.ts"

export const serveCommand = Command.make("serve", serveFlags, Effect.fnUntraced(function* (flags) {
  const settings = yield* settingsOf(flags)
  // Only this command needs the node: the others start without it.
  const { serve } = yield* loadModule(() => import("../../node/serve.ts"))
  yield* serve(settings, Console.log)
})).pipe(Command.withDescription("Run a node: S3 for clients, an admin address for health and maintenance"))
