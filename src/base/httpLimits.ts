/** Bounds of HTTP: connections, heads, bodies on their way, and how long nothing may happen (P10). Beside limits.ts, for adapters and the node. */
import { KiB, MiB } from "./limits.ts"

/** HTTP: a connection that makes no progress for this long in the middle of a message is cut. */
export const httpStallMsMax = 60_000
/** From the first byte of a head (or from connecting) to its end. */
export const httpHeadersMsMax = 30_000
/** An idle kept-alive connection is closed after this. */
export const httpIdleMsMax = 75_000
export const httpHeadersCountMax = 1000
/** Answers up to this are joined to their head before they are written. */
export const httpJoinedBytesMax = 4 * KiB
/** Connections: the administrator's are few. */
export const httpConnectionsMax = 10_000
export const adminConnectionsMax = 256
/** Connections beyond the limit that are let in to be told so (503). */
export const httpConnectionsSpare = 64
/** Requests that wait on a connection behind the one under way; a client that pipelines more is cut. */
export const httpPipelinedMax = 32
/** How often heads that take too long are looked for, at most. */
export const httpHeadersCheckMs = 5_000
/** What one message may have waiting in memory, in each direction, before it is held back. */
export const httpBufferBytes = 256 * KiB
/** Bodies with so much to come are read straight into the memory of who pulls them (BodySocket). */
export const httpStraightBytesMin = 1 * MiB
export const httpSpareBytes = 64 * KiB
/** What is read and thrown away of a request body that nobody wanted, before the connection is closed instead. */
export const httpDrainBytesMax = 1 * MiB
export const httpDrainMsMax = 5_000
/** Requests in flight at shutdown get this long. */
export const httpCloseMsMax = 10_000
