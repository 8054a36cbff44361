/** Limits of the namespace on Raft: sessions, requests under way, states that are fetched. Beside limits.ts, which no cluster needs. */
import { KiB } from "./limits.ts"
import { raftUncommittedBytesMax } from "./raftLimits.ts"

/**
 * Sessions (R14). All replicas must have the same: another value is another state machine, and needs a feature level of the cluster. A
 * session answers its last `sessionWindow` requests again; beyond `sessionsMax` the one that was used longest ago goes, and so does one
 * that nobody used for `sessionIdleMs` of the log's time, which is noted no oftener than every `sessionTouchMs`.
 */
export const sessionWindow = 256
export const sessionsMax = 1024
export const sessionIdleMs = 3_600_000
export const sessionTouchMs = 60_000
/** Names that clients give their requests: so many answers are kept, each for so long of the log's time. Part of the machine, as sessions are. */
export const requestNameBytes = 32
export const namedAnswersMax = 65_536
export const namedKeptMs = 3_600_000
/** Answers that may go with each that comes. */
export const namedGoneAtOnce = 2
/** A digest of a request, and who asks whom: bytes of one piece of a fetched file; files of one state. */
export const requestDigestBytes = 32
export const statePieceBytes = 256 * KiB
export const stateFilesMax = 4096
/** Levels that there may ever be; how often a leader looks whether all members read a higher one than the cluster's. */
export const featureLevelMax = 65_535
export const levelLookMs = 5_000
/** Requests that wait for one leader, and those of it that are stamped and not applied. */
export const leadQueuedMax = 4096
export const leadInFlightMax = 1024
/** Bytes of the last: half of what Raft takes uncommitted, so that it refuses none that was stamped. */
export const leadInFlightBytesMax = raftUncommittedBytesMax / 2
/** How long a change, or a read, looks for a leader and a quorum before its client hears that there is none. */
export const proposeMsMax = 30_000
export const readMsMax = 10_000
/** One attempt at one replica; and the pause before the next one, twice as long each time up to the second. */
export const askMsMax = 3_000
export const askPauseMs = 20
export const askPauseMsMax = 500
/** AS OF a point of time that is later than the leader's clock by more than this is in the future: clocks of members may differ so much. */
export const settleAheadMsMax = 5_000
/** A fetched piece, or an offer, is waited for so long. */
export const fetchMsMax = 10_000
/** A piece is asked for so often in a row, with a pause between: sessions are lost, and what another replica offers is another state. */
export const fetchTriesMax = 3
export const fetchRetryMs = 500
/** Commands of the log since the last checkpoint, in bytes, that make the next one due. */
export const replicaLogBytesMax = 64 * 1024 * KiB
/** Entries that are applied before others get their turn. */
export const appliedAtOnceMax = 64
/** How often what only the journal of a store of its own has is put into blocks, before that store becomes a member's. */
export const growTriesMax = 3
/** Copies of blocks that were begun for another member and given up, as far as they are remembered. */
export const blockUnfinishedMax = 65_536
