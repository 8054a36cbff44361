/** Limits of Raft: its bytes, its records in the journal, its runner. Beside limits.ts, which no group needs. */
import { MiB } from "./limits.ts"

/** A command (a commit, sealed), the id of a replica as text, and replicas of one configuration. */
export const raftCommandBytesMax = 2 * MiB
export const raftReplicaIdBytesMax = 64
export const raftMembersMax = 64
/** One message, and the entries and terms in it. */
export const raftMessageBytesMax = 4 * MiB
export const raftMessageEntriesMax = 16_384
/** What one step of the journal's writes, at most: its entries, and their bytes but for the last one's. */
export const raftStepEntriesMax = 1024
export const raftStepBytesMax = 4 * MiB
/** Writes that wait for the journal, all groups together; runners wait beyond. One append takes so many bytes of them. */
export const raftWritesQueuedMax = 1024
export const raftAppendBytesMax = 16 * MiB
/** Live records so many segments behind the journal's end are copied forward (R11), so many bytes at once; how often it is looked at. */
export const raftForwardSegments = 4
export const raftForwardShare = 4
export const raftForwardBytes = 4 * MiB
export const raftTendMs = 1000
/** A runner: events that wait, and those taken at once; clients that wait for an answer; how often its machine hears the time. */
export const raftEventsQueuedMax = 4096
/** Entries that the state machine has not applied, from which on proposals are refused. */
export const raftApplyQueuedMax = 4096
export const raftEventsAtOnceMax = 256
export const raftClientsMax = 4096
export const raftTickMs = 50
/** Its machine's options (RaftOptions) by default. */
export const raftElectionMs = 1000
export const raftHeartbeatMs = 200
export const raftMessageEntryBytesMax = 1 * MiB
export const raftMessagesInFlightMax = 8
export const raftUncommittedBytesMax = 64 * MiB
export const raftReadsWaitingMax = 4096
/** Over the carrier: messages that wait for one group's runner; messages of more than a frame under way, and how long each may take. */
export const raftInboxMax = 4096
export const raftTellsMax = 256
export const raftTellMs = 5_000
/** How long one replica waits for what it asks another. */
export const peerAskMs = 10_000
