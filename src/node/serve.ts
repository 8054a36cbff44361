/** serve: a node in the foreground: started, announced in plain words, stopped cleanly on request. */
import { Effect } from "effect"
import { Meters } from "../base/Meters.ts"
import { Signals } from "../ports/Signals.ts"
import { formatAddress } from "./address.ts"
import { withLog } from "./Log.ts"
import { Hidden } from "./LogFormat.ts"
import { startNodeHere } from "./layers.ts"
import { startMember } from "./MemberNode.ts"
import type { RunningNode } from "./Node.ts"
import type { Settings } from "./Settings.ts"

const shownOnce = (node: RunningNode, settings: Settings): ReadonlyArray<string> => {
  const endpoint = `${settings.tls === undefined ? "http" : "https"}://${formatAddress(node.s3 ?? settings.s3)}`
  return [
    `First start: these credentials are shown once, and kept in ${settings.data}/credentials`,
    "",
    `  export AWS_ACCESS_KEY_ID=${node.credentials.accessKey}`,
    `  export AWS_SECRET_ACCESS_KEY=${node.credentials.secretKey}`,
    "  export AWS_DEFAULT_REGION=us-east-1",
    `  aws --endpoint-url ${endpoint} s3 mb s3://first`,
    `  aws --endpoint-url ${endpoint} s3 cp README.md s3://first/`,
    ""
  ]
}

const announce = (node: RunningNode, settings: Settings): ReadonlyArray<string> => [
  ...(node.credentials.origin === "Made" ? shownOnce(node, settings) : []),
  ...node.warnings.map((warning) => `warning: ${warning}`),
  `OuroborosDB is ready: S3 on ${settings.tls === undefined ? "http" : "https"}://${formatAddress(node.s3 ?? settings.s3)}, ` +
    `admin on http://${formatAddress(node.admin)}, data in ${settings.data}`
]

/** Until SIGTERM or SIGINT; then requests in flight finish within a bound, and the journal is closed. */
export const serve = (settings: Settings, say: (line: string) => Effect.Effect<void>) =>
  Effect.suspend(() => {
    const meters = new Meters()
    const hidden = new Hidden()
    for (const secret of [settings.secretKey, settings.passphrase]) hidden.add(secret)
    return withLog(run(settings, say, meters, hidden), { level: settings.logLevel, format: settings.logFormat, meters, hidden })
  })

const run = (settings: Settings, say: (line: string) => Effect.Effect<void>, meters: Meters, hidden: Hidden) =>
  Effect.scoped(Effect.gen(function* () {
    const signals = yield* Signals
    const node = yield* startNodeHere(settings, { serveS3: true, member: startMember }, meters).pipe(
      // A request to stop during a long recovery need not wait for its end.
      Effect.map((started): RunningNode | undefined => started),
      Effect.raceFirst(Effect.as(signals.stop, undefined))
    )
    if (node === undefined) return
    hidden.add(node.credentials.secretKey)
    yield* signals.onReload(node.reloadTls)
    for (const line of announce(node, settings)) yield* say(line)
    yield* Effect.logInfo("the node is ready")
    yield* signals.stop
    node.stopping()
    yield* node.handOver
    yield* Effect.logInfo("the node stops")
    yield* say("stopping: finishing requests in flight")
  })).pipe(Effect.andThen(say("stopped")))
