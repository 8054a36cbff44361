/**
 * ouroboros cluster: init and join make members, address says where one is by now (clusterPlace.ts); invite, pending, approve, deny, status, remove, transfer-leader are asked of a running member. A stopped one is never
 * opened for them: alone, it knows nothing of what the others have decided since.
 */
import { Clock, Console, DateTime, Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { joinTokenMsMax, joinTokenMsUsual } from "../../base/clusterLimits.ts"
import type { ClusterInviteJson, ClusterPendingJson, ClusterStatusJson } from "../../gateway/admin/ClusterRoutes.ts"
import { HttpClientError } from "../../ports/HttpClient.ts"
import { Signals } from "../../ports/Signals.ts"
import { adminCall } from "../AdminClient.ts"
import { pendingLines, shortNode, statusLines } from "../ClusterView.ts"
import { connectionFlags, connectionOf, print, type Shared } from "../Context.ts"
import { MemberUnreachable } from "../Failure.ts"
import { printable } from "../Format.ts"
import { showFrames } from "../Frames.ts"
import { UsageError } from "../Location.ts"
import { addressCommand, initCommand, joinCommand } from "./clusterPlace.ts"

const hourMs = 3_600_000
const frameMs = 1000

const ask = Effect.fnUntraced(function* (shared: Shared, method: "GET" | "POST", target: string, body?: unknown) {
  const connection = yield* connectionOf(shared)
  const isUnreachable = (error: unknown): error is HttpClientError => error instanceof HttpClientError && error.reason === "Unreachable"
  return yield* adminCall(connection, method, target, body).pipe(
    Effect.catchIf(isUnreachable, () => Effect.fail(new MemberUnreachable({ admin: connection.admin, data: connection.data })))
  )
})

const nodeArgument = Argument.String("node").pipe(Argument.withDescription("an id, its first 8 digits or more, or a name, as cluster status shows them"))

const statusOf = (shared: Shared) => Effect.map(ask(shared, "GET", "/v1/cluster"), (answer) => answer as ClusterStatusJson)

const framesOf = (shared: Shared) => {
  const frame = Effect.gen(function* () {
    const status = yield* statusOf(shared)
    return shared.json ? [JSON.stringify(status)] : statusLines(status, yield* Clock.currentTimeMillis)
  })
  // Who watches wants to see it go and come back.
  return Effect.catch(frame, (error) => Effect.succeed([shared.json ? JSON.stringify({ error: error.message }) : error.message]))
}

const statusCommand = Command.make("status", {
  ...connectionFlags,
  watch: Flag.Boolean("watch").pipe(Flag.withDescription("show it anew every second, until interrupted"), Flag.withDefault(false))
}, Effect.fnUntraced(function* (flags) {
  if (flags.watch) {
    const { stop } = yield* Signals
    return yield* Effect.raceFirst(showFrames(framesOf(flags), frameMs), stop)
  }
  const status = yield* statusOf(flags)
  if (flags.json) return yield* Console.log(JSON.stringify(status))
  for (const line of statusLines(status, yield* Clock.currentTimeMillis)) yield* Console.log(line)
})).pipe(Command.withDescription("The members as the asked node sees them: who leads, who is there, whether changes can be decided"))

/** What follows a token, for people: where it leads, and until when. */
const inviteNotes = ({ expiresMs, token }: ClusterInviteJson, { members }: ClusterStatusJson, isApproved: boolean): ReadonlyArray<string> => [
  `# good until ${DateTime.formatIso(DateTime.makeUnsafe(expiresMs))}, for one node; ${isApproved ? "approved ahead: whoever has it comes in" : "an operator approves who comes with it (ouroboros cluster pending)"}`,
  "# on the new machine, with the token in its environment (an argument stays in the shell's history):",
  `#   read -rs OUROBOROS_JOIN_TOKEN && export OUROBOROS_JOIN_TOKEN   # ${token.length} letters`,
  `#   ouroboros cluster join ${members.flatMap(({ addresses }) => addresses.slice(0, 1)).slice(0, 3).map(printable).join(",")} --data DIR --listen HOST:PORT`
]

const inviteCommand = Command.make("invite", {
  ...connectionFlags,
  hours: Flag.Finite("hours").pipe(Flag.withDescription(`how long the token is good (default ${joinTokenMsUsual / hourMs}, at most ${joinTokenMsMax / hourMs})`), Flag.withDefault(joinTokenMsUsual / hourMs)),
  autoApprove: Flag.Boolean("auto-approve").pipe(Flag.withDescription("whoever comes with the token is a member at once"), Flag.withDefault(false))
}, Effect.fnUntraced(function* (flags) {
  const lifeMs = Math.round(flags.hours * hourMs)
  if (!(lifeMs > 0 && lifeMs <= joinTokenMsMax)) return yield* new UsageError({ detail: `--hours ${flags.hours}: more than 0 and at most ${joinTokenMsMax / hourMs} are meant` })
  const status = yield* statusOf(flags)
  const invited = (yield* ask(flags, "POST", "/v1/cluster/invite", { lifeMs, isApproved: flags.autoApprove })) as ClusterInviteJson
  if (flags.json) return yield* Console.log(JSON.stringify(invited))
  // The token alone on standard output: it is made to be piped.
  yield* Console.log(invited.token)
  for (const line of inviteNotes(invited, status, flags.autoApprove)) yield* Console.error(line)
})).pipe(Command.withDescription("Print a token with which one node may join; the token alone on standard output"))

const pendingCommand = Command.make("pending", { ...connectionFlags }, Effect.fnUntraced(function* (flags) {
  const { pending } = (yield* ask(flags, "GET", "/v1/cluster/pending")) as { readonly pending: ReadonlyArray<ClusterPendingJson> }
  const lines = flags.json ? pending.map((one) => JSON.stringify(one)) : pendingLines(pending, yield* Clock.currentTimeMillis)
  for (const line of lines) yield* Console.log(line)
})).pipe(Command.withDescription("Who has asked to join and waits for approval"))

const decide = (name: "approve" | "deny", description: string, told: (node: string) => string) =>
  Command.make(name, { ...connectionFlags, node: nodeArgument }, Effect.fnUntraced(function* (flags) {
    const answer = (yield* ask(flags, "POST", `/v1/cluster/${name}`, { node: flags.node })) as { readonly node: string }
    yield* print(flags, answer, told(shortNode(answer.node)))
  })).pipe(Command.withDescription(description))

const approveCommand = decide("approve", "Let a node in that waits",
  (node) => `${node} is approved: it comes in when it asks again, within seconds, and votes once it has what the others have.`)

const denyCommand = decide("deny", "Keep a node out that waits", (node) => `${node} is denied; its token is used up.`)

const removeCommand = Command.make("remove", {
  ...connectionFlags,
  force: Flag.Boolean("force").pipe(Flag.withDescription("do not wait until the others have all that it holds: of one whose machine or disk is gone"), Flag.withDefault(false)),
  node: nodeArgument
}, Effect.fnUntraced(function* (flags) {
  const answer = (yield* ask(flags, "POST", "/v1/cluster/remove", { node: flags.node, isForced: flags.force })) as { readonly node: string }
  yield* print(flags, answer, `${shortNode(answer.node)} is to go: ouroboros cluster status shows when it has gone. Its folder does not come back; an empty one may join by another token.`)
})).pipe(Command.withDescription("Take a member out of the cluster, for good"))

const transferCommand = Command.make("transfer-leader", {
  ...connectionFlags,
  node: nodeArgument.pipe(Argument.withDefault(""))
}, Effect.fnUntraced(function* (flags) {
  const answer = (yield* ask(flags, "POST", "/v1/cluster/transfer", flags.node === "" ? {} : { node: flags.node })) as { readonly leader: string }
  yield* print(flags, answer, `${shortNode(answer.leader)} leads.`)
})).pipe(Command.withDescription("Let another member lead: the one that is named, or whoever is best"))

export const clusterCommand = Command.make("cluster").pipe(
  Command.withDescription("Several nodes that keep the same store"),
  Command.withSubcommands([initCommand, joinCommand, addressCommand, inviteCommand, pendingCommand, approveCommand, denyCommand, statusCommand, removeCommand, transferCommand])
)
