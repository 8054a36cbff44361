/** ouroboros doctor: looks at this machine and the data folder, and says what to mend before a node runs on them. */
import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import type { Finding } from "../../node/Doctor.ts"
import { loadModule } from "../../node/process.ts"
import { type Endpoint, HttpClient } from "../../ports/HttpClient.ts"
import { CommandFailed } from "../Failure.ts"
import { formatTable } from "../Format.ts"
import { serveFlags, settingsOf } from "../ServeFlags.ts"

/** Whether a node answers there; anything else that listens is no node. */
const isNode = (endpoint: Endpoint) =>
  Effect.flatMap(HttpClient, (http) => Effect.scoped(Effect.map(
    http.request({ endpoint, method: "GET", target: "/health/live", headers: [["host", `${endpoint.host}:${endpoint.port}`]], body: undefined }),
    ({ status }) => status === 200
  ))).pipe(
    // Nobody there, or no HTTP: the addresses are looked at then.
    Effect.catch(() => Effect.succeed(false))
  )

const linesOf = (findings: ReadonlyArray<Finding>): ReadonlyArray<string> =>
  formatTable(findings.map(({ check, detail, grade }) => [grade, check, detail]))

export const doctorCommand = Command.make("doctor", {
  ...serveFlags,
  json: Flag.Boolean("json").pipe(Flag.withDescription("print JSON, one finding a line"), Flag.withDefault(false))
}, Effect.fnUntraced(function* (flags) {
  const settings = yield* settingsOf(flags)
  const { examine } = yield* loadModule(() => import("../../node/examine.ts"))
  const findings = yield* examine(settings, yield* isNode({ secure: false, ...settings.admin }))
  if (flags.json) for (const finding of findings) yield* Console.log(JSON.stringify(finding))
  else {
    const lines = linesOf(findings)
    for (const [index, { mend }] of findings.entries()) {
      yield* Console.log(lines[index])
      if (mend !== undefined) yield* Console.log(`      -> ${mend}`)
    }
  }
  const failed = findings.filter(({ grade }) => grade === "fail").length
  if (failed > 0) return yield* new CommandFailed({ detail: `${failed} of ${findings.length} checks failed` })
})).pipe(Command.withDescription("Check this machine and the data folder, and say what to mend; exits with 1 where something must be mended"))
