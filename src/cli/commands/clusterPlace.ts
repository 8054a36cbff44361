/**
 * ouroboros cluster init, join, address: on a folder that no node serves. Init and join: a new one or, for init, that of a stopped node with a store: it becomes a member's, and is started as any other
 * (`ouroboros serve`). Address: that of a stopped member, which is to be found elsewhere.
 */
import { Console, Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { loadModule } from "../../node/process.ts"
import { type HostPort, parseHostPort } from "../../node/Settings.ts"
import { shortNode } from "../ClusterView.ts"
import { folderOf } from "../Connection.ts"
import { print } from "../Context.ts"
import { Environment } from "../Environment.ts"
import { printable } from "../Format.ts"
import { UsageError } from "../Location.ts"

/** S3 and administration have 9000 and 9001. */
const listenUsual = "127.0.0.1:9100"

const placeFlags = {
  data: Flag.String("data").pipe(Flag.withDescription("a new folder for the member's data (default ./ouroboros-data)"), Flag.withDefault("")),
  name: Flag.String("name").pipe(Flag.withDescription("what people call the node: letters, digits, . _ and - (default: the first digits of its id)"), Flag.withDefault("")),
  listen: Flag.String("listen").pipe(Flag.withDescription(`HOST:PORT for other members (default ${listenUsual})`), Flag.withDefault(listenUsual)),
  address: Flag.String("address").pipe(Flag.withDescription("HOST:PORT where other members find this one (default: where it listens)"), Flag.withDefault("")),
  json: Flag.Boolean("json").pipe(Flag.withDescription("print JSON"), Flag.withDefault(false))
}

interface PlaceGiven {
  readonly data: string
  readonly name: string
  readonly listen: string
  readonly address: string
}

const everywhere = new Set(["0.0.0.0", "::", "[::]"])

/** Told to all the others: one that leads nowhere is refused before it is. */
const findable = ({ host, port }: HostPort, said: string): Effect.Effect<void, UsageError> =>
  everywhere.has(host) || port === 0
    ? Effect.fail(new UsageError({ detail: `${host}:${port} is nowhere to be found: name the HOST:PORT at which the other members reach this node ${said}` })) : Effect.void

const placeOf = Effect.fnUntraced(function* (flags: PlaceGiven, env: Readonly<Record<string, string | undefined>>) {
  const { host, port } = yield* parseHostPort(flags.listen, "--listen")
  const found = flags.address === "" ? { host, port } : yield* parseHostPort(flags.address, "--address")
  yield* findable(found, "with --address")
  const given = (flag: string): string | undefined => (flag === "" ? undefined : flag)
  return { data: folderOf(given(flags.data), env), name: given(flags.name), listen: flags.listen, address: given(flags.address) }
})

const clusterFolder = loadModule(() => import("../../node/ClusterFolder.ts"))

export const initCommand = Command.make("init", placeFlags, Effect.fnUntraced(function* (flags) {
  const env = yield* Environment
  const place = yield* placeOf(flags, env)
  const say = flags.json ? Console.error : Console.log
  const made = yield* Effect.flatMap(clusterFolder, ({ initCluster }) => initCluster(place, env, say))
  yield* print(flags, made, [
    ...(made.commit === undefined ? [] : [`the store is the cluster's: it has everything up to commit ${made.commit}, and goes on behind it`]),
    `cluster ${shortNode(made.cluster)} is made; its first member is ${printable(made.name)} (${shortNode(made.node)}), found by others at ${made.address}`,
    `credentials:   in ${place.data}/credentials; every member has the same`,
    `start it:      ouroboros serve --data ${place.data}`,
    `then invite:   ouroboros cluster invite --data ${place.data}`
  ].join("\n"))
})).pipe(Command.withDescription("Make a cluster of one in a new folder, or of a stopped node's store, in place and for good; others join it"))

const tokenOf = Effect.fnUntraced(function* (flag: string, env: Readonly<Record<string, string | undefined>>) {
  const token = (flag === "" ? env["OUROBOROS_JOIN_TOKEN"] ?? "" : flag).trim()
  return token === "" ? yield* new UsageError({ detail: "a token is needed, in OUROBOROS_JOIN_TOKEN or with --token: `ouroboros cluster invite` at a member prints one" }) : token
})

/** HOST:PORT[,HOST:PORT…] */
const membersOf = Effect.fnUntraced(function* (text: string) {
  const at = text.split(",").map((one) => one.trim()).filter((one) => one !== "")
  for (const one of at) yield* parseHostPort(one, "MEMBERS")
  return at.length === 0 ? yield* new UsageError({ detail: "the HOST:PORT of a member is needed, several with commas between them" }) : at
})

export const joinCommand = Command.make("join", {
  ...placeFlags,
  token: Flag.String("token").pipe(Flag.withDescription("what cluster invite printed (better: OUROBOROS_JOIN_TOKEN; an argument stays in the shell's history)"), Flag.withDefault("")),
  members: Argument.String("members").pipe(Argument.withDescription("HOST:PORT of a member, several with commas between them"))
}, Effect.fnUntraced(function* (flags) {
  const env = yield* Environment
  const place = yield* placeOf(flags, env)
  const token = yield* tokenOf(flags.token, env)
  const at = yield* membersOf(flags.members)
  const say = flags.json ? Console.error : Console.log
  const joined = yield* Effect.flatMap(clusterFolder, ({ joinClusterHere }) => joinClusterHere({ ...place, token, at }, env, say))
  yield* print(flags, joined, [
    `${printable(joined.name)} (${shortNode(joined.node)}) belongs to cluster ${shortNode(joined.cluster)}, which has ${joined.members} members now`,
    `start it:      ouroboros serve --data ${place.data}`
  ].join("\n"))
})).pipe(Command.withDescription("Join a cluster with a new folder; waits until an operator of the cluster has approved"))

const movedMember = loadModule(() => import("../../node/MovedMember.ts"))

export const addressCommand = Command.make("address", {
  data: Flag.String("data").pipe(Flag.withDescription("the stopped member's folder (default ./ouroboros-data)"), Flag.withDefault("")),
  listen: Flag.String("listen").pipe(Flag.withDescription("HOST:PORT on which it listens (default: ADDRESS; as before where that was all addresses)"), Flag.withDefault("")),
  of: Flag.String("of").pipe(Flag.withDescription("another member, which has moved while this one was stopped: an id, its first 8 digits or more, or a name"), Flag.withDefault("")),
  json: placeFlags.json,
  address: Argument.String("address").pipe(Argument.withDescription("HOST:PORT where the member is to be found from now on"))
}, Effect.fnUntraced(function* (flags) {
  const env = yield* Environment
  yield* findable(yield* parseHostPort(flags.address, "ADDRESS"), "as ADDRESS (--listen says where it listens)")
  const given = (flag: string): string | undefined => (flag === "" ? undefined : flag)
  const data = folderOf(given(flags.data), env)
  const { listen, ...moved } = yield* Effect.flatMap(movedMember, ({ moveMember }) => moveMember({ data, address: flags.address, listen: given(flags.listen), of: given(flags.of) }, env))
  yield* print(flags, moved.isOwn ? { ...moved, listen } : moved, moved.isOwn
    ? [`${printable(moved.name)} (${shortNode(moved.node)}) is to be found at ${moved.address}, and listens on ${listen}: it tells the others when it starts`, `start it:      ouroboros serve --data ${data}`].join("\n")
    : `this member looks for ${printable(moved.name)} (${shortNode(moved.node)}) at ${moved.address}, until the cluster's table has another word of it`)
})).pipe(Command.withDescription("Say where a stopped member is to be found from its next start on; it tells the others itself"))
