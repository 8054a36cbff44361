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
/** How much of a unit's memory is kept free for what the unit before leaves uncut: nearly always enough. */
export const unitCarryShare = 3 / 8

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
/** What is left of an upload makes a block of its own from here on; less goes to the journal, to fill a block with others. */
export const blockSizeBytesMin = 4 * MiB
export const blockRegionsMax = 65_536
/** Regions of one block this near to each other are read in one go, up to the length of a run. */
export const blockReadGapBytesMax = 64 * KiB
export const blockReadRunBytesMax = 4 * MiB
/** What is read of a block's end at once: the directory of a hundred regions. */
export const blockLastBytesRead = 8 * KiB
/** Runs that one caller reads side by side. */
export const blockReadRunsMax = 2
/** Memory of one read past the page cache, with a page to spare on either side. */
export const blockReadSlotBytes = blockReadRunBytesMax + 64 * KiB
/** Slots of it that are kept while any are under way, and once none is: for read-backs of four bodies; for GETs. New ones are dear: V8 collects for them. */
export const blockReadBackSlotsKept = 16
export const blockReadBackSlotsIdle = 4
export const readSlotsKeptMax = 24
export const readSlotsKeptIdle = 8
/** Chunks that nobody read of late come past the page cache from this length of a run on. */
export const readDirectBytesMin = 256 * KiB
/** Block files kept open between reads. */
export const blockFilesOpenMax = 64
/** Open past the page cache, for verification and for long reads. */
export const blockFilesAtRestMax = 32
/** S3 requests under way; as many more wait for a place, for a short time, before they are refused (SlowDown). */
export const requestsMax = 1024
export const requestsQueuedMax = 512
/** How often a read of now begins anew, since history was let go beside it. */
export const readsOfNowMax = 8
export const requestsWaitMsMax = 5_000
/** PUT: what all bodies under way may hold in memory, and one of them; more bodies wait for room. */
export const bodyBytesInFlightMax = 192 * MiB
/** A machine with more memory gives uploads this share of it by default, up to so much: slow ones hold theirs for long. */
export const bodiesOfMemory = 1 / 16
export const bodyBytesInFlightMost = 1 * GiB
export const uploadBytesMax = 64 * MiB
/** Bodies up to this size have memory of their own, for which no large one makes them wait. */
export const smallBodyBytesMax = 1 * MiB
export const smallBodyBytesInFlightMax = 32 * MiB
/** GET: what all bodies under way may hold in memory. */
export const readBytesInFlightMax = 192 * MiB
/** What the chunk entries of a part take while parts are joined. */
export const joinHeldBytes = 2 * MiB
/** Who waits for such memory: how many, how long while nobody gives any back, and how long in all; then SlowDown. */
export const memoryWaitersMax = 256
export const memoryStallMsMax = 10_000
export const memoryWaitMsMax = 50_000
/** Who has begun to answer waits until those that stand still are cut (httpStallMsMax), and a little longer. */
export const memoryBegunStallMsMax = 90_000
/** One line about refusals in this time; all are counted. */
export const overloadLogMs = 60_000
/** Of one body: blocks that are synced and read back while the next one is written, units that are sealed while the next one is read. */
export const blocksFinishingMax = 2
export const unitsSealingMax = 3
/** Free slots of units, plain and sealed, that are kept: while large bodies are under way, and once the last one is done. */
export const unitSlotsKeptMax = 20
export const unitSlotsKeptIdle = 6
export const sealedSlotsKeptMax = 30
export const sealedSlotsKeptIdle = 10
/** What a unit may grow by when it is sealed and still fit its slot; chunks beyond get memory of their own. */
export const sealedSlotExtraBytes = 64 * KiB
/** Up to this a kernel runs where it is asked for: a hop to a lane costs more. Measured at 100 KiB (DECISIONS.md, 2026-11-21). */
export const computeHereBytesMax = 128 * KiB
/** Sealed bytes of one body that wait to be written, about: two pieces of a block. */
export const uploadUnwrittenBytesMax = 8 * MiB
/** Blocks that one body may have written before a commit must name them. */
export const uploadBlocksUnnamedMax = 48
/** GET: what is fetched at a time, while the batch before is sent. */
export const readBatchBytesMax = 4 * MiB - 64 * KiB
/** The first batch of a long read is this part of that, each further one twice the one before. */
export const readFirstBatchShare = 4
/** Batches that are fetched meanwhile: so many keep the disk busy. Fewer before the client has taken anything. */
export const readAheadBatchesMax = 3
export const readAheadUnaskedBatches = 2
/** Rounds in which a chunk's copies are looked up again before its read is given up (R12). */
export const resolveRoundsMax = 32
/** Caches: plaintext of chunks read twice; names of those read once of late; what an entry takes besides its bytes, about. */
export const chunkCacheBytesDefault = 64 * MiB
export const chunkCacheNamesMax = 8192
export const cacheEntryBytes = 256
/** A chunk that is larger than this share of the cache is not taken. */
export const chunkCacheShareMax = 1 / 8
/** Memory pressure: resident memory is looked at this often; from these shares of the limit on, caches shrink to a half, to nothing. */
export const memoryPollMs = 1000
export const pressureHalf = 0.75
export const pressureNothing = 0.85
/** How far below a share of the limit memory must be before caches grow again. */
export const pressureSlack = 0.05
/** Caches get this share of the memory there is by default, however much their defaults are. */
export const cachesOfMemoryMax = 1 / 8
/** Chunks remembered as damaged: no deduplication hit counts on them. */
export const damagedChunksMax = 10_000
/** Settling: chunks of one block, pauses, and damaged chunks of the journal that are passed over. */
export const settleChunksMax = 4096
export const settlePollMs = 200
export const settleBackoffMsMax = 30_000
export const settleSkippedMax = 1024
export const dropPartsPerCommitMax = 32
/** Retention: pause between two steps, and how far wall clock and monotonic clock may drift apart since the start (R6). */
export const retentionPollMs = 3_600_000
/** A short retention is looked at more often, but not more often than this. */
export const retentionPollMsMin = 1000
export const retentionMsDefault = 30 * 24 * 3_600_000
export const clockDriftMsMax = 600_000
/** A chunk waits this long in the journal at most before a block is sealed, full or not. */
export const settleAgeMsMax = 60_000

/** Scrub: how fast and how often by default, findings remembered, and the file that remembers. */
export const scrubBytesPerSecondDefault = 8 * MiB
export const scrubDaysDefault = 30
export const scrubFindingsMax = 1000
export const scrubFileBytesMax = 4 * MiB
/** Of them, in status. */
export const scrubFindingsShownMax = 20
/** Pauses: after the start, between two looks at what is due, after an error, between two notes of the place. */
export const scrubStartMs = 10_000
export const scrubIdleMs = 60_000
export const scrubRetryMs = 60_000
export const scrubPlaceMs = 30_000
/** A pass whose deadline is past, or nearer than this share of its time, is given the share. */
export const scrubLateShare = 0.1
/** How long a block waits for clients, and how often it looks. */
export const scrubBusyMs = 100
export const scrubBusyTurnsMax = 10
/** Verification: chunks whose references are counted in one pass, and changes during one that are told apart. */
export const verifyChunksPerPass = 250_000
export const verifyTouchedMax = 200_000
/** Directories kept while rows are compared with them; harmed pages, holders already named, and blocks whose chunks are looked at one by one, as many as are remembered. */
export const verifyDirectoriesMax = 64
export const verifyRememberedMax = 100_000
/** Rows walked, and blocks under way, between two chances for others to run. */
export const verifyRowsBetweenYields = 256
export const verifyRowsPerBatch = 64
/** Sealed bytes of the journal, or of doubtful blocks, that are read at once. */
export const verifyReadBytes = 4 * MiB
/** Counters by which rows and regions are compared: by the first 16 bits of a chunk's id. */
export const verifyCounters = 65_536
/** Events that wait for whoever listens, and how often progress is told. */
export const verifyEventsMax = 256
export const verifyProgressMs = 200

/** Slices: all of one code, and what of them passes through the kernel's memory at a time, all slices together. */
export const codeSlicesMax = 256
export const codeWindowBytes = 256 * KiB

/** Journal. */
export const walSegmentBytes = 64 * MiB
export const walRecordBytesMax = 8 * MiB
export const walBatchBytesMax = 16 * MiB
export const walQueueBytesMax = 64 * MiB
/** Below this much free space the journal takes no new chunks, only commits: deletions, seals (R11). */
export const walReserveBytes = 256 * MiB
/** Journal bytes, and time, between two looks at the free space. */
export const walSpaceCheckBytes = 16 * MiB
export const walSpaceLookMs = 1000
/** A full journal tries again once this much is free. */
export const walResumeBytes = 1 * MiB
/** The reserve file: room that is given back when somebody else has filled the disk; written in steps. */
export const walReserveFileBytes = 16 * MiB
export const walReserveFileStepBytes = 4 * MiB
/** Quiet time after which a closing batch proves the last one (R4). */
export const walIdleMs = 1000
/** Records this close to one another are read from the disk at once. */
export const walReadGapBytesMax = 16 * KiB
export const walReadRunBytesMax = 4 * MiB
/** Runs read side by side by one readMany. */
export const walReadRunsMax = 4

/** Replicated state (R9). */
export const commitBytesMax = 1 * MiB
export const commitRowsMax = 4096
/** Chunk entries held in a vertex itself; more go to manifest pages. */
export const manifestInlineEntriesMax = 64
export const manifestPageEntriesMax = 1024
/** Manifest pages that reads remember as they were decoded: some 150 KiB each. */
export const manifestPagesRememberedMax = 16
/** A tree of this many levels of pages holds more entries than the largest object has chunks. */
export const manifestLevelsMax = 4
/** Chunks and blocks that come with one commit: a full manifest page's, and the page itself. */
export const commitArrivalsMax = manifestPageEntriesMax + 1
export const commitBlocksMax = 64
/** Chunks that one BlockSealed moves; a block of more is sealed by several commits. */
export const commitMovesMax = 1024
/** New copies of damaged chunks that one commit brings: each may change six rows. */
export const commitHealsMax = 512
/** Collection: pause between two rounds, and the least time between a chunk's condemnation and its end. */
export const gcIntervalMsDefault = 60_000
export const gcGraceMsDefault = 600_000
/** Between two looks for files of blocks that no commit names, while the node runs. */
export const sweepIntervalMs = 3_600_000
/** An upload in parts that nobody went on with for so long is aborted. */
export const staleUploadMsDefault = 7 * 24 * 3_600_000
/** What one round looks at or lets go, at most: rows of versions, chunks, blocks, uploads; the next one goes on. */
export const gcRowsPerRoundMax = 200_000
export const gcChunksPerRoundMax = 100_000
export const gcBlocksPerRoundMax = 1024
export const gcUploadsPerRoundMax = 100
/** Version rows that are looked at in one go, between which others run. */
export const gcRowsAtOnceMax = 1000
/** Rows of commits behind the horizon that are worth a commit of their own. */
export const gcCommitRowsMin = 256
/** A block of which less than this share is somebody's is written anew with others like it. */
export const compactBelowDefault = 0.7
/** Nearer to 1, blocks would be written anew for next to nothing, again and again. */
export const compactBelowMax = 0.95
/** Live bytes that compaction reads and writes in a second, and in a round. */
export const compactBytesPerSecondDefault = 32 * MiB
export const compactBytesPerRoundMax = 256 * MiB
/** Blocks that compaction remembers as damaged and leaves alone. */
export const compactDamagedMax = 10_000
/** Collection, a commit: rows of versions, chunks, chunks of a folder of format 1, buckets looked at. */
export const versionsPerPurgeMax = 512
export const chunksPerFreeMax = 1024
export const chunksPerReindexMax = 200
export const bucketsPerDropMax = 64
/** Copies of one chunk that its row records. */
export const copiesMax = 16
/** Keys that one page of a diff reads: what is done at once, before other work. */
export const diffNamesMax = 5000
/** Differences that one page of a diff shows. */
export const diffPageMax = 1000
/** Intervals of one bucket's lineage (R5). */
export const lineageIntervalsMax = 64
/** Times that one row may be hidden, by branches or after rollbacks: what a byte counts. */
export const versionHidesMax = 255
/** Seconds that an object may be given to live: a hundred years at most. */
export const ttlSecondsMax = 100 * 366 * 24 * 3600
/** Versions that one commit of housework hides because they expired, and those that a look into a bucket passes over. */
export const expirePerCommitMax = 250
export const expiredScannedMax = 4096
/** Pause between two looks for versions that have expired. */
export const expiryPollMs = 1000
/** Proposals that wait for the journal; more wait outside. */
export const proposalsQueuedMax = 4096
/** Entries and bytes of one append to the journal. */
export const proposalBatchMax = 256
export const proposalBatchBytesMax = 4 * MiB
/** Overlay size that starts a checkpoint. */
export const overlayRowsMax = 50_000
export const overlayBytesMax = 32 * MiB
/** An overlay this large takes no more: proposals wait for the checkpoint under way. */
export const overlayRowsStop = 4 * overlayRowsMax
export const overlayBytesStop = 4 * overlayBytesMax
/** A checkpoint that failed is tried again after this. */
export const checkpointRetryMs = 1000
/** Journal bytes since the last checkpoint that start one. */
export const checkpointWalBytes = 256 * MiB
/** The state's tree: rows of its table, and the nodes they are cut into (fan-out is an average, cuts are keyed). */
export const stateKeyBytesMax = 4 * KiB
export const stateValueBytesMax = commitBytesMax
export const nodeItemsAverage = 32
export const nodeItemsMax = 128
/** A node is cut after the item that takes it to this size. */
export const nodeBytesCut = 32 * KiB
export const nodeBytesMax = nodeBytesCut + 2 * (stateKeyBytesMax + stateValueBytesMax) + 4 * KiB
export const nodeLevelsMax = 16
/** Decoded rows of buckets kept, of each kind. */
export const rowsRememberedMax = 1024
/** Rows that no checkpoint has, from which on a node that stops makes one: what it saves is replayed at the next start. */
export const stopCheckpointRowsMin = 2000
/** Views of buckets as they are now, kept until the next commit. */
export const viewsRememberedMax = 256
/** Opened nodes kept in memory. */
export const nodeCacheBytesMax = 64 * MiB
/** Nodes that one transaction of the index takes, in bytes. */
export const nodeCommitBytes = 4 * MiB
export const nodesBetweenYields = 32
/** Checkpoint files: plaintext of a section, and when deltas are folded into a new base. */
export const checkpointSectionBytes = 256 * KiB
export const checkpointSectionBytesMax = checkpointSectionBytes + stateKeyBytesMax + stateValueBytesMax + 16
export const checkpointDeltasMax = 64
export const checkpointBaseBytesMin = 16 * MiB

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
export const xmlDepthMax = 16
export const listingTokenCharactersMax = 4096
/** Small files of the folder, and an exported key on standard input: more is none of ours. */
export const credentialsBytesMax = 4 * KiB
export const markerBytesMax = 64 * KiB
export const exportedKeyBytesMax = 4 * KiB
export const headerBytesMax = 64 * KiB

/** Admin. */
export const adminBodyBytesMax = 64 * KiB
/** Pause between two small writes that tell whether the data folder takes any, and how long one may take. */
export const healthProbeMs = 15_000
export const healthProbeLateMs = 30_000
/** How finely delays of the event loop are measured. */
export const eventLoopResolutionMs = 20
/** Lines of /metrics, histograms counted once: labels come from small fixed sets. */
export const metersSeriesMax = 4096
/** One chunk header or trailer line of a streaming upload, and all its trailers together. */
export const chunkedLineBytesMax = 8 * KiB
export const chunkedTrailerBytesMax = 16 * KiB
/** Targets of one DeleteObjects that go into one commit (R9). */
export const deleteTargetsPerCommitMax = 250
/** Derived signing keys that the gateway remembers. */
export const signingKeysMax = 256
export const retryAfterSeconds = 2
/** What a client may call a request (x-ouroboros-request-id). */
export const requestIdBytesMax = 128
/** How old a read may be that asks for no more than that (x-ouroboros-max-staleness). */
export const stalenessMsMax = 3_600_000
/** A request on which the node itself spends this long is named in the log (slowRequestMs). */
export const slowRequestMsDefault = 1000

/** CLI: the size of an upload part at least. */
export const cliPartBytes = 16 * MiB

/** Adapters. */
export const diskOpenFilesMax = 2048
/** Reads up to this length allocate their memory without asking first how long the file is: that is one more hop to a thread. */
export const diskReadUnaskedBytesMax = 1 * MiB
/** Buffers up to this size may be parts of the runtime's pool, which others use as well: they are never moved or given back. */
export const pooledBytesMax = 64 * KiB
/** Of the descriptors that a process may have, what the store's own files, its index and its lanes are given. */
export const openFilesForStore = 512
/** Parts of one gathered write; the kernel's IOV_MAX is 1,024. */
export const diskGatherPartsMax = 1024
/** Direct I/O: memory for bytes that do not lie as the disk wants them, in pieces; who finds none free waits. */
export const directPieceBytes = 1 * MiB
export const directPiecesMax = 8
/** Named tables of the index. */
export const indexTablesMax = 64
export const indexKeyBytesMax = 1024
/** How long closing the index may take; after it, the next start reads it through. */
export const indexCloseMsMax = 5_000
/** Runs in a row that were killed before they wrote to the index, after which it is thrown away: damage may be what kills them. */
export const indexRunsUnendedMax = 3
/** Kernels that wait for a lane, all lanes together; more callers wait for a place. */
export const computeQueueMax = 64

/** Compute lanes: one a core, and no more than this; jobs that a lane is given at once, one that runs and one that waits there. */
export const computeLanesMax = 8
export const laneJobsMax = 2
/** A lane's young objects: they are few, and buffers that hang on them wait until this much has gathered. */
export const computeLaneYoungMiB = 8

/** Doctor: synced writes that it times, the time they may take, and what it calls too little or too much. */
export const doctorSyncs = 33
export const doctorSyncMsMax = 2_000
/** A sync that is faster than this reached no disk; one that is slower makes every small write slow. */
export const syncMicrosMin = 15
export const syncMicrosSlow = 20_000
export const openFilesWanted = 4096
export const memoryBytesWanted = 1 * GiB
export const freeFilesWanted = 10_000
export const certificateDaysWanted = 14
/** Tells a clock that is wrong from one that was read a moment earlier. */
export const clockSlackMs = 2_000

/** Rows of so few bytes lie in a slab that they share with others (base/bytes): one that lives on keeps all of it. */
export const smallBytesMax = 384
export const smallSlabBytes = 4096

/** Ids whose bytes are remembered as rows' keys have them (namespace/Rows). */
export const idsRememberedMax = 1024

/** Points of time whose commits are remembered: that of retention, and that of collection's grace. */
export const sequencesRemembered = 2
