/**
 * ReplicaRows: the rows that replication itself keeps, in the same table as the namespace's, so that one write moves them together and one
 * checkpoint has them all. Between State, which knows only bytes, and apply. The same on every replica at the same index.
 */
import { fromHex, toByteString } from "../base/bytes.ts"
import { type Codec, list, raw, struct, text, uint } from "../namespace/Canonical.ts"
import { afterPrefix, ascending } from "../namespace/Rows.ts"
import type { RowKey } from "../namespace/State.ts"
import { raftMembersMax, raftReplicaIdBytesMax } from "../base/raftLimits.ts"
import { featureLevelMax, requestNameBytes } from "../base/replicaLimits.ts"
import type { Configuration } from "../raft/Configuration.ts"
import type { Term } from "../raft/Entry.ts"
import { type Format, formatOf, keptFormat, namedFormat } from "./ReplicaFormat.ts"
import type { SessionId } from "./Request.ts"

/** First byte of a row's key: 0x40 to 0x4f are replication's. Numbers are never reused. */
const table = { term: "\x40", configuration: "\x41", settled: "\x42", sessions: "\x43", session: "\x44", used: "\x45", kept: "\x46", members: "\x47", member: "\x48", invited: "\x49", revocations: "\x4a", signedRevocations: "\x4b", named: "\x4c", namedAt: "\x4d", nameds: "\x4e", level: "\x4f" } as const

/** Of hex digits. */
const id = (hex: string): string => toByteString(fromHex(hex))

export const termKey: RowKey = table.term
export const configurationKey: RowKey = table.configuration
/** No commit to come has a time of this millisecond or before. */
export const settledKey: RowKey = table.settled
/** How many there are. */
export const sessionsKey: RowKey = table.sessions
export const sessionKey = (session: SessionId): RowKey => table.session + ascending(session)
/** The one that was used longest ago comes first. */
export const usedKey = (usedMs: number, session: SessionId): RowKey => table.used + ascending(usedMs) + ascending(session)
export const keptKey = (session: SessionId, number: number): RowKey => table.kept + ascending(session) + ascending(number)
export const usedRange: readonly [RowKey, RowKey] = [table.used, afterPrefix(table.used)]
export const keptRange = (session: SessionId): readonly [RowKey, RowKey] => [table.kept + ascending(session), afterPrefix(table.kept + ascending(session))]

/** The record of members: what is common to all (there is none where this is not), one row for each member, one for each token; what was taken back, and that signed. */
export const membersKey: RowKey = table.members
export const memberKey = (node: string): RowKey => table.member + id(node)
export const invitedKey = (token: string): RowKey => table.invited + id(token)
export const revocationsKey: RowKey = table.revocations
export const signedRevocationsKey: RowKey = table.signedRevocations
export const memberRange: readonly [RowKey, RowKey] = [table.member, afterPrefix(table.member)]
export const invitedRange: readonly [RowKey, RowKey] = [table.invited, afterPrefix(table.invited)]

/** What was done under a name, wherever it was asked for; the commit that did it, oldest first; how many there are. */
export const namedKey = (name: Uint8Array): RowKey => table.named + toByteString(name)
export const namedAtKey = (sequence: number): RowKey => table.namedAt + ascending(sequence)
export const namedAtRange: readonly [RowKey, RowKey] = [table.namedAt, afterPrefix(table.namedAt)]
export const namedsKey: RowKey = table.nameds

/** The cluster's feature level; absent: the first. */
export const levelKey: RowKey = table.level

export interface SessionRow {
  /** By the log's time, in whole `sessionTouchMs`. */
  readonly usedMs: number
  /** The highest number that was answered. */
  readonly high: number
}

const ids = list(text(raftReplicaIdBytesMax), raftMembersMax)
export const configurationCodec: Codec<Configuration> = struct<Configuration>({ voters: ids, outgoing: ids, learners: ids })

export const termRow: Format<{ readonly term: Term }> = formatOf("term", struct({ term: uint() }))
export const configurationRow: Format<Configuration> = formatOf("configuration", configurationCodec)
export const settledRow: Format<{ readonly timeMs: number }> = formatOf("settled", struct({ timeMs: uint() }))
export const levelRow: Format<{ readonly level: number }> = formatOf("feature level", struct({ level: uint(featureLevelMax) }))
export const sessionsRow: Format<{ readonly count: number }> = formatOf("sessions", struct({ count: uint() }))
export const sessionRow: Format<SessionRow> = formatOf("session", struct<SessionRow>({ usedMs: uint(), high: uint() }))
export const usedRow: Format<{ readonly session: SessionId }> = formatOf("used", struct({ session: uint() }))
export const keptRow: typeof keptFormat = keptFormat
export const namedRow: typeof namedFormat = namedFormat
export const namedAtRow: Format<{ readonly timeMs: number; readonly name: Uint8Array }> = formatOf("named at", struct<{ readonly timeMs: number; readonly name: Uint8Array }>({ timeMs: uint(), name: raw(requestNameBytes) }))
export const namedsRow: Format<{ readonly count: number }> = formatOf("nameds", struct({ count: uint() }))

/** Rules that are part of the machine: the same on all replicas; small in tests. */
export interface SessionRules {
  readonly window: number
  readonly sessionsMax: number
  readonly idleMs: number
  readonly touchMs: number
  /** Names whose answers are kept, and for how long. */
  readonly namedMax: number
  readonly namedMs: number
}

