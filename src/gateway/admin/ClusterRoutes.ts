/**
 * ClusterRoutes: the cluster on the admin address: who its members are, who may join, who goes, who leads. It sits
 * between AdminHandler, which has checked who asks, and the node's part of its cluster; a twin stands in for that in tests.
 */
import { Data, Effect } from "effect"
import { joinTokenMsMax, joinTokenMsUsual } from "../../base/clusterLimits.ts"
import type { Told } from "./LineageRoutes.ts"

/** Why a cluster does not do what was asked: code for programs, sentence for people. */
export class ClusterRefused extends Data.TaggedError("ClusterRefused")<{
  readonly code: "NoSuchNode" | "NotPending" | "Refused" | "NoQuorum" | "NoCluster"
  readonly detail: string
}> {
  override get message(): string {
    return this.detail
  }
}

export interface ClusterMemberJson {
  /** Its id, in hex. */
  readonly node: string
  readonly name: string
  /** HOST:PORT for other members. */
  readonly addresses: ReadonlyArray<string>
  /** Learners follow without a vote; "joining": a learner that is to vote; "leaving": is to go, and has its vote until then. */
  readonly role: "leader" | "voter" | "learner" | "joining" | "leaving"
  /** As the answering node sees it. */
  readonly standing: "self" | "up" | "down" | "unknown"
  /** Since this node last heard of it. */
  readonly silentMs?: number
  /** The membership's epoch in which it came. */
  readonly sinceEpoch: number
  /** ISO 8601. */
  readonly certificateUntil: string
  /** Its clock less this node's, as measured. */
  readonly clockOffsetMs?: number
  /** The latest of its comings and goings, in their order. */
  readonly comings?: ReadonlyArray<{ readonly at: string; readonly standing: "up" | "down" }>
}

export interface ClusterStatusJson {
  /** Its id, in hex. */
  readonly cluster: string
  /** Who answers. */
  readonly node: string
  /** Of the membership: one more with each change of it. */
  readonly epoch: number
  readonly term: number
  /** The id of the leader that this node knows of. */
  readonly leader: string | null
  /** Positions in the log of changes. */
  readonly commit: number
  readonly applied: number
  /** A majority of the voters is heard: changes can be decided. */
  readonly quorum: boolean
  /** Who votes is being changed: until that is over, those who voted before it are still needed. */
  readonly changing: boolean
  readonly members: ReadonlyArray<ClusterMemberJson>
  /** How many wait for approval. */
  readonly pending: number
  /** What an operator should look at, in sentences. */
  readonly warnings: ReadonlyArray<string>
}

export interface ClusterPendingJson {
  readonly node: string
  readonly name: string
  readonly addresses: ReadonlyArray<string>
  /** The program that it runs. */
  readonly program: string
  /** When it asked, in ms of Unix time. */
  readonly askedMs: number
}

export interface ClusterInviteJson {
  readonly token: string
  readonly expiresMs: number
}

/** What the admin address can ask of the node's cluster. */
export interface ClusterControl {
  /** Answered in every phase: also while this node waits for the others. */
  readonly status: Effect.Effect<ClusterStatusJson>
  readonly invite: (how: { readonly lifeMs: number; readonly isApproved: boolean }) => Effect.Effect<ClusterInviteJson, ClusterRefused>
  readonly pending: Effect.Effect<ReadonlyArray<ClusterPendingJson>, ClusterRefused>
  /** `node`: an id, the beginning of one (8 digits or more), or a name. */
  readonly approve: (node: string) => Effect.Effect<{ readonly node: string }, ClusterRefused>
  readonly deny: (node: string) => Effect.Effect<{ readonly node: string }, ClusterRefused>
  /** Returns once the node is to go; that it has gone is seen by status. */
  readonly remove: (node: string, isForced: boolean) => Effect.Effect<{ readonly node: string }, ClusterRefused>
  /** undefined: to whoever is best. */
  readonly transfer: (to: string | undefined) => Effect.Effect<{ readonly leader: string }, ClusterRefused>
}

type Use = (cluster: ClusterControl) => Effect.Effect<Told>

/** The only one of these that is answered in every phase. */
export const clusterStatusPath = "/v1/cluster"

const statuses: Readonly<Record<ClusterRefused["code"], number>> = { NoSuchNode: 404, NotPending: 409, Refused: 409, NoQuorum: 503, NoCluster: 409 }

const answered = <A>(effect: Effect.Effect<A, ClusterRefused>): Effect.Effect<Told> =>
  Effect.match(effect, {
    onSuccess: (value): Told => ({ status: 200, value }),
    onFailure: ({ code, detail }): Told => ({ status: statuses[code], value: { code, error: detail } })
  })

const noCluster = answered(Effect.fail(new ClusterRefused({ code: "NoCluster", detail: "this node belongs to no cluster: `ouroboros cluster init` makes one" })))

const malformed = (wanted: string): Use => () => Effect.succeed({ status: 400, value: { error: `the body is ${wanted}` } })

const fieldsOf = (body: unknown): Readonly<Record<string, unknown>> => (typeof body === "object" && body !== null ? { ...body } : {})

const nodeOf = ({ node }: Readonly<Record<string, unknown>>): string | undefined => (typeof node === "string" && node !== "" ? node : undefined)

const isFlag = (value: unknown): value is boolean | undefined => value === undefined || typeof value === "boolean"

/** {"lifeMs"?, "isApproved"?}: who comes with the token needs no word of an operator where it is approved. */
const invite = (fields: Readonly<Record<string, unknown>>): Use => {
  const { lifeMs = joinTokenMsUsual, isApproved } = fields
  const isLife = typeof lifeMs === "number" && Number.isSafeInteger(lifeMs) && lifeMs > 0 && lifeMs <= joinTokenMsMax
  if (!isLife || !isFlag(isApproved)) return malformed(`{"lifeMs": 1 to ${joinTokenMsMax}, "isApproved": true or false}; absent: ${joinTokenMsUsual}, false`)
  return (cluster) => answered(cluster.invite({ lifeMs, isApproved: isApproved === true }))
}

const ofNode = (fields: Readonly<Record<string, unknown>>, ask: (cluster: ClusterControl, node: string) => Effect.Effect<unknown, ClusterRefused>): Use => {
  const node = nodeOf(fields)
  return node === undefined ? malformed(`{"node": "ID"}: an id, its first 8 digits or more, or a name`) : (cluster) => answered(ask(cluster, node))
}

/** {"node", "isForced"?}. */
const remove = (fields: Readonly<Record<string, unknown>>): Use => {
  const { isForced } = fields
  return isFlag(isForced)
    ? ofNode(fields, (cluster, node) => cluster.remove(node, isForced === true))
    : malformed(`{"node": "ID", "isForced": true or false}`)
}

/** {"node"?}. */
const transfer = (fields: Readonly<Record<string, unknown>>): Use =>
  fields["node"] === undefined || fields["node"] === null ? (cluster) => answered(cluster.transfer(undefined)) : ofNode(fields, (cluster, node) => cluster.transfer(node))

const posts: Readonly<Record<string, (fields: Readonly<Record<string, unknown>>) => Use>> = {
  [`${clusterStatusPath}/invite`]: invite,
  [`${clusterStatusPath}/approve`]: (fields) => ofNode(fields, (cluster, node) => cluster.approve(node)),
  [`${clusterStatusPath}/deny`]: (fields) => ofNode(fields, (cluster, node) => cluster.deny(node)),
  [`${clusterStatusPath}/remove`]: remove,
  [`${clusterStatusPath}/transfer`]: transfer
}

/** GET /v1/cluster, GET /v1/cluster/pending; undefined where nothing is there. */
export const clusterRead = (path: string, cluster: ClusterControl | undefined): Effect.Effect<Told> | undefined => {
  if (path !== clusterStatusPath && path !== `${clusterStatusPath}/pending`) return undefined
  if (cluster === undefined) return noCluster
  return path === clusterStatusPath ? answered(cluster.status) : answered(Effect.map(cluster.pending, (pending) => ({ pending })))
}

/** POST /v1/cluster/{invite,approve,deny,remove,transfer}: what is done with a body; undefined where nothing is there. */
export const clusterChange = (path: string, cluster: ClusterControl | undefined): ((body: unknown) => Effect.Effect<Told>) | undefined => {
  const read = Object.hasOwn(posts, path) ? posts[path] : undefined
  if (read === undefined) return undefined
  return (body) => (cluster === undefined ? noCluster : read(fieldsOf(body))(cluster))
}
