/** Every limit of the store, by name. Queues, loops, buffers and formats take their bounds from here (P10). */

export const KiB = 1024
export const MiB = 1024 * KiB
export const GiB = 1024 * MiB

/** Chunking. */
export const chunkSizeBytesMax = 4 * MiB
export const chunkSizeBytesAverage = 1 * MiB
/** Objects up to this size live in their version's row. */
export const inlineBytesMax = 4 * KiB
/** What one hop to a compute lane carries at most; cuts never depend on it. */
export const unitBytes = 4 * MiB

/** A sealed chunk is its plaintext plus this at most (header, tag). */
export const sealOverheadBytesMax = 128
/** Names of uses that values are sealed under: constants of the program, each with its keys in memory. */
export const sealContextsMax = 64
/** What a keyring may ask of Argon2id before its password is known to be right: 1 GiB, 16 passes, 16 lanes. */
export const argonMemoryKiBMax = 1024 * 1024
export const argonPassesMax = 16
export const argonLanesMax = 16

/** Blocks. */
export const blockSizeBytesTarget = 16 * MiB
export const blockSizeBytesMax = 32 * MiB
export const blockRegionsMax = 65_536
/** Regions of one block this near to each other are read in one go, up to the length of a run. */
export const blockReadGapBytesMax = 64 * KiB
export const blockReadRunBytesMax = 4 * MiB
/** Block files kept open between reads. */
export const blockFilesOpenMax = 64
/** A chunk waits this long in the journal at most before a block is sealed, full or not. */
export const settleAgeMsMax = 60_000

/** Journal. */
export const walSegmentBytes = 64 * MiB
export const walRecordBytesMax = 8 * MiB
export const walBatchBytesMax = 16 * MiB
export const walQueueBytesMax = 64 * MiB

/** Replicated state (R9). */
export const commitBytesMax = 1 * MiB
export const commitRowsMax = 4096
/** Chunk entries held in a vertex itself; more go to manifest pages. */
export const manifestInlineEntriesMax = 64
export const manifestPageEntriesMax = 1024
/** Overlay size that starts a checkpoint. */
export const overlayRowsMax = 50_000
export const overlayBytesMax = 32 * MiB
/** Journal bytes since the last checkpoint that start one. */
export const checkpointWalBytes = 256 * MiB

/** S3. */
export const keyBytesMax = 1024
export const userMetadataBytesMax = 2 * KiB
export const objectBytesMax = 5 * 1024 * GiB
export const singlePutBytesMax = 5 * GiB
export const partNumberMax = 10_000
export const partBytesMin = 5 * MiB
export const listKeysMax = 1000
export const deleteObjectsMax = 1000
export const md5EtagBytesMaxDefault = 16 * MiB
export const clockSkewMsMax = 15 * 60 * 1000
export const presignedSecondsMax = 7 * 24 * 3600
export const xmlBodyBytesMax = 2 * MiB
export const headerBytesMax = 64 * KiB

/** Admin. */
export const adminBodyBytesMax = 64 * KiB
/** One chunk header or trailer line of a streaming upload, and all its trailers together. */
export const chunkedLineBytesMax = 8 * KiB
export const chunkedTrailerBytesMax = 16 * KiB
/** Targets of one DeleteObjects that go into one commit (R9). */
export const deleteTargetsPerCommitMax = 250
/** Derived signing keys that the gateway remembers. */
export const signingKeysMax = 256
export const retryAfterSeconds = 2

/** CLI: the size of an upload part at least. */
export const cliPartBytes = 16 * MiB
