/**
 * JoinBook: tokens that are outstanding, and nodes that have asked to join: pure rules over what the cluster will keep in its replicated state. Between
 * `cluster invite|pending|approve|deny` and the messages of those who ask.
 *
 * 1. A token admits one node: it is bound to the first identity that shows it in time, and to no other after that.
 * 2. Asking twice changes nothing: a node that did not hear its answer asks again.
 * 3. Who was denied stays so, under that token.
 */
import { equalBytes } from "../base/bytes.ts"
import { joinsPendingMax, joinTokenMsMax, joinTokensMax } from "../base/clusterLimits.ts"
import type { NodeId } from "./Identity.ts"
import type { JoinToken } from "./JoinToken.ts"
import { type MembershipError, refusalOf } from "./MembershipError.ts"
import type { JoinAsk } from "./Message.ts"

export type Standing = "Pending" | "Approved" | "Denied"

export interface Invited {
  readonly token: JoinToken
  /** It was invited to be let in without an operator's look. */
  readonly isApproved: boolean
  /** Who has shown it. */
  readonly by: { readonly node: NodeId; readonly ask: JoinAsk; readonly standing: Standing } | undefined
}

export interface JoinBook {
  /** By the token's id; at most joinTokensMax. */
  readonly invited: ReadonlyMap<string, Invited>
}

export const emptyJoinBook: JoinBook = { invited: new Map() }
const refuse = refusalOf("join token")

const put = ({ invited }: JoinBook, entry: Invited): JoinBook => ({ invited: new Map(invited).set(entry.token.id, entry) })

/** Expired tokens leave with everything that hangs on them; whoever still waits asks for another. */
export const forgetExpired = ({ invited }: JoinBook, nowMs: number): JoinBook => ({ invited: new Map([...invited].filter(([, { token }]) => token.expiresMs >= nowMs)) })

export const invite = (book: JoinBook, token: JoinToken, isApproved: boolean, nowMs: number): JoinBook | MembershipError => {
  const current = forgetExpired(book, nowMs)
  if (token.expiresMs > nowMs + joinTokenMsMax || token.expiresMs <= nowMs) return refuse("Expired", `a join token is good for ${joinTokenMsMax / 3_600_000} hours at most`)
  const known = current.invited.get(token.id)
  // The same invitation, by who did not hear that it had come true.
  if (known !== undefined && known.isApproved === isApproved && equalTokens(known.token, token)) return book
  if (known !== undefined) return refuse("Spent", "there is such a token already")
  return current.invited.size >= joinTokensMax ? refuse("Full", `${joinTokensMax} join tokens are outstanding: let some expire`) : put(current, { token, isApproved, by: undefined })
}

const equalTokens = (a: JoinToken, b: JoinToken): boolean => a.cluster === b.cluster && a.authority === b.authority && a.expiresMs === b.expiresMs && equalBytes(a.secret, b.secret)

/** For readAsk. */
export const tokenIn = ({ invited }: JoinBook, id: string, nowMs: number): JoinToken | MembershipError => {
  const token = invited.get(id)?.token
  if (token === undefined) return refuse("Unknown", `no join token ${id} is outstanding: it has expired, or is another cluster's`)
  return token.expiresMs < nowMs ? refuse("Expired", `the join token ${id} has expired: ask for another (\`ouroboros cluster invite\`)`) : token
}

/** A node has asked, and readAsk has seen that it knows the token. */
export const askedToJoin = (book: JoinBook, node: NodeId, ask: JoinAsk, nowMs: number): readonly [JoinBook, Standing] | MembershipError => {
  const token = tokenIn(book, ask.token, nowMs)
  const entry = book.invited.get(ask.token)
  if (!("secret" in token) || entry === undefined) return "secret" in token ? refuse("Unknown", "no such join token") : token
  if (entry.by !== undefined) {
    return entry.by.node === node ? [book, entry.by.standing] : refuse("Spent", `the join token ${ask.token} was used by another node`)
  }
  const standing = entry.isApproved ? "Approved" : "Pending"
  if (standing === "Pending" && pendingIn(book).length >= joinsPendingMax) return refuse("Full", `${joinsPendingMax} nodes wait for approval`)
  return [put(book, { ...entry, by: { node, ask, standing } }), standing]
}

/** What `cluster pending` lists. */
export const pendingIn = ({ invited }: JoinBook): ReadonlyArray<NonNullable<Invited["by"]>> =>
  [...invited.values()].flatMap(({ by }) => (by?.standing === "Pending" ? [by] : []))

/** An operator's word, under every token that the node has shown. Said again it changes nothing; of a node that does not wait: refused. */
export const decide = (book: JoinBook, node: NodeId, standing: "Approved" | "Denied"): JoinBook | MembershipError => {
  const shown = [...book.invited.values()].flatMap(({ by, ...entry }) => (by?.node === node ? [{ ...entry, by }] : []))
  const waiting = shown.filter(({ by }) => by.standing === "Pending")
  if (waiting.length === 0 && shown.some(({ by }) => by.standing === standing)) return book
  return waiting.length === 0
    ? refuse("Unknown", `node ${node} does not wait to join: see \`ouroboros cluster pending\``)
    : waiting.reduce((decided, entry) => put(decided, { ...entry, by: { ...entry.by, standing } }), book)
}
