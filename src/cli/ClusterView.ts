/**
 * ClusterView: a cluster in lines for people. Between what a node's admin address says of its cluster and the terminal; pure. Names
 * come from other machines: control characters are escaped.
 */
import type { ClusterMemberJson, ClusterPendingJson, ClusterStatusJson } from "../gateway/admin/ClusterRoutes.ts"
import { formatTable, printable } from "./Format.ts"

const idDigits = 12

/** What people are shown of an id, and may type. */
export const shortNode = (id: string): string => id.slice(0, idDigits)

const spans: ReadonlyArray<readonly [ms: number, unit: string]> = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1000, "s"]]

/** 75_000 -> "1 min"; the largest unit that fits, rounded down; below a second "0 s". */
export const formatSpan = (ms: number): string => {
  const [size, unit] = spans.find(([span]) => ms >= span) ?? [1000, "s"]
  return `${Math.max(0, Math.floor(ms / size))} ${unit}`
}

const standingOf = ({ standing, comings, silentMs }: ClusterMemberJson, nowMs: number): string => {
  if (standing === "self") return "answers"
  const turn = comings?.at(-1)
  const since = turn === undefined || turn.standing !== standing ? "" : ` for ${formatSpan(nowMs - Date.parse(turn.at))}`
  return `${standing === "down" ? "DOWN" : standing}${since}${standing === "up" || silentMs === undefined ? "" : `, silent ${formatSpan(silentMs)}`}`
}

/** 40 ms is said to the millisecond, more to the tenth of a second. */
const clockOf = (ms: number | undefined): string =>
  ms === undefined ? "" : Math.abs(ms) < 1000 ? `${ms > 0 ? "+" : ""}${Math.round(ms)} ms` : `${ms > 0 ? "+" : ""}${(ms / 1000).toFixed(1)} s`

const certificateOf = (until: string, nowMs: number): string => {
  const leftMs = Date.parse(until) - nowMs
  return leftMs > 0 ? formatSpan(leftMs) : "EXPIRED"
}

const memberRow = (member: ClusterMemberJson, nowMs: number): ReadonlyArray<string> => [
  shortNode(member.node), printable(member.name), member.role, standingOf(member, nowMs), clockOf(member.clockOffsetMs), certificateOf(member.certificateUntil, nowMs),
  member.addresses.map(printable).join(", ")
]

const leaderOf = ({ leader, members }: ClusterStatusJson): string => {
  if (leader === null) return "none known"
  const name = members.find(({ node }) => node === leader)?.name
  return name === undefined ? shortNode(leader) : `${printable(name)} (${shortNode(leader)})`
}

const votes = new Set<ClusterMemberJson["role"]>(["leader", "voter", "leaving"])

const quorumOf = ({ members, quorum }: ClusterStatusJson): string => {
  const voters = members.filter(({ role }) => votes.has(role))
  if (voters.length === 0) return "NO: this node does not know yet who votes"
  const there = voters.filter(({ standing }) => standing === "up" || standing === "self").length
  return `${quorum ? "yes" : "NO"}, ${there} of ${voters.length} voters are there${quorum ? "" : "; nothing is read or written without a majority"}`
}

/** In the order in which they came. */
const asTheyCame = ({ members }: ClusterStatusJson): ReadonlyArray<ClusterMemberJson> =>
  [...members].sort((a, b) => a.sinceEpoch - b.sinceEpoch || (a.name < b.name ? -1 : 1))

/** `nowMs`: of this machine's clock. */
export const statusLines = (status: ClusterStatusJson, nowMs: number): ReadonlyArray<string> => [
  ...formatTable([
    ["cluster", `${shortNode(status.cluster)}, epoch ${status.epoch}`],
    ["leader", `${leaderOf(status)}, term ${status.term}`],
    ["quorum", quorumOf(status)],
    ["log", `committed ${status.commit}, applied here ${status.applied}`]
  ]),
  "",
  ...formatTable([["NODE", "NAME", "ROLE", "STANDING", "CLOCK", "CERTIFICATE", "ADDRESSES"], ...asTheyCame(status).map((member) => memberRow(member, nowMs))]),
  ...(status.pending === 0 ? [] : ["", `${status.pending} ${status.pending === 1 ? "waits" : "wait"} for approval: ouroboros cluster pending`]),
  ...(status.warnings.length === 0 ? [] : ["", ...status.warnings.map((warning) => `warning: ${printable(warning)}`)])
]

export const pendingLines = (pending: ReadonlyArray<ClusterPendingJson>, nowMs: number): ReadonlyArray<string> =>
  pending.length === 0 ? ["nobody waits for approval"] : formatTable([
    ["NODE", "NAME", "ASKED", "PROGRAM", "ADDRESSES"],
    ...pending.map(({ addresses, askedMs, name, node, program }) =>
      [shortNode(node), printable(name), `${formatSpan(nowMs - askedMs)} ago`, printable(program), addresses.map(printable).join(", ")])
  ])
