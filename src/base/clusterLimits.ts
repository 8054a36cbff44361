/** Bounds of what nodes say to each other: certificates, tokens, frames, streams, connections (P10). Beside limits.ts, for membership and carrier. */
import { KiB, MiB } from "./limits.ts"

/** Membership: how long a node's certificate is good, and from when on a new one is asked for; of a cluster's authority. */
export const certificateMs = 90 * 24 * 3_600_000
export const certificateRenewMs = 30 * 24 * 3_600_000
export const authorityMs = 20 * 365 * 24 * 3_600_000
/** Certificates begin a little earlier than they are made: clocks disagree. */
export const certificateEarlierMs = 10 * 60_000
/** Longer bytes are no certificate of ours: key, agreement key, signature and names are 7 KiB. */
export const certificateBytesMax = 16 * KiB
/** Revoked certificates that one list names; those that have expired by themselves leave it. */
export const revocationsMax = 4096
/** Join tokens: how long one is good at most, and where nobody says; outstanding at once; spent ones that are remembered until they would have expired. */
export const joinTokenMsMax = 7 * 24 * 3_600_000
export const joinTokenMsUsual = 24 * 3_600_000
export const joinTokensMax = 64
/** Who has asked to join and waits for an operator. */
export const joinsPendingMax = 64
/** Letters of a token's text. */
export const joinTokenLettersMax = 1024
/** Addresses of one node, and letters of one address or of a node's name. */
export const nodeAddressesMax = 8
export const nodeAddressLettersMax = 255
export const nodeNameLettersMax = 64
/** Members of one cluster, as messages list them. */
export const membersMax = 256
/** Who waits for an operator's word asks again after this. */
export const joinAskAgainMs = 5_000
/** What a node that asks to join does where nobody answers: attempts in a row, and the pause between them. */
export const joinAttemptsMax = 10
export const joinRetryMs = 1_000
/** How long an ask of membership may take on its way between members. */
export const membershipAskMs = 15_000
/** One message of membership. */
export const membershipBytesMax = 4 * MiB
/** The record of members as one piece of bytes, and one change of it: both lists of revocations are the most of it, and a command of the log takes it. */
export const membershipRecordBytesMax = 16 * MiB
export const membershipChangeBytesMax = 1536 * KiB

/** Carrier: payload of one frame, and of all frames of one message: checked from the header, before anything is allocated. */
export const carrierFrameBytesMax = 64 * KiB
export const carrierMessageBytesMax = 64 * MiB
/** What a sender may have under way on one stream, and to one peer, before it hears that it has come. */
export const carrierStreamWindowBytes = 1 * MiB
export const carrierPeerWindowBytes = 4 * MiB
/** Handed to the network for one peer, and not yet taken by it: what is urgent waits behind no more than this. */
export const carrierUnsentBytesMax = 256 * KiB
/** Messages that wait to be sent to one peer; of all peers together what has come in pieces or is not taken yet. */
export const carrierQueueBytesMax = 128 * MiB
export const carrierHeldBytesMax = 256 * MiB
/** Of the last, what a peer may claim for itself. */
export const carrierPeerHeldBytesMax = 128 * MiB
/** Streams of one session, each side's. */
export const carrierStreamsMax = 1024
/** Streams that a side opens before the oldest of them is over. */
export const carrierStreamSpan = 16_384
/** Notes that wait to be sent to one peer; the oldest goes first where there are more. */
export const carrierNotesMax = 1024
/** Every so manieth frame is of the least urgent that waits: nothing starves. */
export const carrierFairShare = 8
/** Frames that may overtake each other: older ones count as replayed. */
export const carrierReplayWindow = 4096
/** A frame that was on its way for longer, by the clock of its sender as it was measured, is refused. */
export const carrierStaleMsMax = 30_000
/** Clocks of two members that are farther apart are complained of. */
export const carrierDriftMsMax = 5_000
/** Whoever asks to join, to leave or to renew by a clock that is farther off than this is refused: an old ask may be somebody else's doing. */
export const askAgeMsMax = 600_000
/** Between two Hellos, between two looks at a quiet peer, and how long one may be silent. */
export const carrierHelloEveryMs = 500
/** Hellos of one peer are looked at no oftener than this, and it is told no oftener than this that a session is over. */
export const carrierHelloLeastMs = 50
export const carrierResetMs = 100
export const carrierPingMs = 1_000
export const carrierSilentMsMax = 10_000
/** A session without streams, notes or anybody who asks ends after this. */
export const carrierIdleMsMax = 300_000
/** What is not acknowledged is sent again after this, twice as long each time, up to the second. */
export const carrierResendMs = 250
export const carrierResendMsMax = 4_000
/** A stream whose window was narrowed by what its asker has not taken: how often its sender is told how wide it is by now. */
export const carrierWidenMs = 1_000
/** Clock samples of one peer, of which the one with the shortest way counts (RFC 5905, 10). */
export const carrierClockSamples = 8
/** The runner: how often its machine hears the time; events that wait before asks and notes are refused. */
export const carrierTickMs = 50
export const carrierEventsQueuedMax = 4096
/** Of one peer: what its messages have under way here, in number. More notes are dropped, more requests refused. */
export const carrierHandlersMax = 4096
/** Why a handler refuses, in UTF-8. */
export const carrierDetailBytesMax = 2048
/** Log lines about refused frames in this time, at most one; all are counted. */
export const carrierRefusalLogMs = 1_000
/** Peers that one carrier knows; sessions under way with those who began them. */
export const carrierPeersMax = membersMax
/** No deadline is longer. */
export const carrierDeadlineMsMax = 3_600_000

/**
 * Failure detection: suspicion (phi) above which a node counts as gone; silence that is nobody's fault; silence after which it is gone however irregular it was
 * before. Samples a node, how far apart they are at least, and the least variation that is believed of them.
 */
export const availabilityPhiMax = 8
export const availabilityPauseMs = 500
export const availabilitySilentMsMax = carrierSilentMsMax
export const availabilitySamples = 128
export const availabilitySampleMs = carrierPingMs / 2
export const availabilityVariationMsMin = 200
/** Comings and goings that are remembered of a node; nodes that are watched. */
export const availabilityTurnsMax = 64
/** How often it is looked at who has gone. */
export const availabilityLookMs = 250
export const availabilityNodesMax = membersMax
/** TLS between nodes: connections, those whose handshake is under way, and how long that and silence may take. */
export const nodeConnectionsMax = 512
export const nodeHandshakesMax = 64
export const nodeHandshakeMsMax = 10_000
export const nodeIdleMsMax = 600_000
export const nodeStallMsMax = 30_000
/** After a connection could not be made: pause before the next attempt, twice as long each time, up to the second. */
export const nodeRedialMs = 100
export const nodeRedialMsMax = 5_000
/** One datagram: a frame with its header; checked before it is allocated. */
export const nodeDatagramBytesMax = carrierFrameBytesMax + 8 * KiB
/**
 * The door for those who are no members yet: how many at once, how long each may stay, how many a second in the long run, and at once; what one may say. An answer
 * has membershipBytesMax at most.
 */
export const strangersMax = 8
export const strangerMsMax = 15_000
export const strangersPerSecond = 2
export const strangersBurstMax = 16
export const strangerAskBytesMax = 64 * KiB
/** Datagrams that wait for whoever listens; TCP holds back what comes beyond. */
export const nodeQueuedMax = 1024
/** Log lines about refused connections in this time, at most one; all are counted. */
export const nodeRefusalLogMs = 1_000

/** Blocks: how long another node may take to put a copy on its disk, or to send one; blocks on their way to or from a node at a time, and of those that are only late so many that wait; regions of one ask. */
export const blockCopyMs = 60_000
export const blockCopiesUnderWayMax = 4
export const blockCopiesLateMax = 4
export const blockRegionsAskedMax = 1024
/** How long a block that was taken for another node is spared while no commit names it: longer than a change may be under way. */
export const blockUnnamedMs = 5 * 60_000
/** How often a node looks whether it lacks a block that a commit names; where another one wants to know, at most so often. */
export const blockReconcileMs = 30_000
export const blockReconcileLeastMs = 3_000

/** Members: how often the journal lets go of what only a single node would need; how long an answer waits between two looks whether its commit has come here. */
export const memberReleaseMs = 10_000
export const memberSeesPauseMs = 5

/**
 * The steward: how often who leads looks whether the configuration is as the members' table wants it, and how soon after a step; how far behind the commit whoever is to vote
 * may be, in entries; how long a majority may take to take a change, and another member to say which blocks it lacks. A leader that goes: how long it looks for another one, and how often.
 */
export const stewardLookMs = 2_000
export const stewardAgainMs = 100
export const stewardChangeMs = 10_000
export const stewardLagMax = 64
export const stewardAskMs = 5_000
export const handOverMsMax = 10_000
export const handOverLookMs = 20
/** A node's certificate: how often it is looked whether it is to be renewed. */
export const renewalLookMs = 3_600_000

/** What a node keeps of the members: the table of 256 of them, tokens, revocations. */
export const membersFileBytesMax = 16 * MiB
/** A node that was let in asks a member for what it needs to begin: each time, in all, and between. */
export const welcomeAskMs = 5_000
export const welcomeMsMax = 60_000
export const welcomePauseMs = 250
/** How many members' disks may be lost without loss: m. */
export const lossesMaxDefault = 1
/** An operator's word to another member: hand over; asked of the other voter again after so long. */
export const handOverAskMs = 15_000
export const handOverAgainMs = 1_000
/** The first record of a cluster is proposed again, where it was not taken. */
export const foundingRetryMs = 500
/** How often a member says to every other that it is there, and how long after the last word it still counts as there for who asks at once. */
export const presenceMs = 1_000
export const presentMsMax = 3_000
/** Who has no leader asks another member for its table of members: how often, and how long it waits. */
export const tableLookMs = 3_000
export const tableAskMs = 2_500
/** How long a member that has gone is given to hear so, before it is cut off. */
export const farewellMs = 1_000
