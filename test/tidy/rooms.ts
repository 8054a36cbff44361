/**
 * The house as tables: which rooms there are, in the order in which data takes them, and what each may
 * reach outside the project. Sits between ARCHITECTURE.md, which it restates, and checks.ts, which enforces it.
 *
 * A new room or a new dependency is one line here, and a reason in DECISIONS.md.
 */

/** Rooms of pure machines and formats, upstream first: a room may `import type` from those above it. */
export const MACHINE_ROOMS = [
  "chunker",
  "sealer",
  "wal",
  "namespace",
  "block",
  "slices",
  "placement",
  "raft",
  "membership",
  "carrier"
] as const

/**
 * The files at the root of src: the ways of the data and their stages, leftmost first. put, get and settle are the
 * pages to read; the others are what they are made of. Each may use those to its left.
 */
export const WAYS = ["pins", "intents", "allowance", "chunkCache", "fetch", "pressure", "get", "unitKernel", "units", "uploadSlots", "ingest", "gather", "content", "pages", "complete", "put", "settle", "retention", "purge", "free", "compact", "sweep", "gc", "expiry", "damage", "copies", "references", "verify", "scrubbed", "scrub"] as const

/** Every room, leftmost first. Imports point left only. */
export const ROOMS: ReadonlyArray<string> = [
  "base",
  "ports",
  ...MACHINE_ROOMS,
  // The namespace on Raft: it runs what the machine rooms are, and only node/ puts it together with the rest.
  "replica",
  ...WAYS,
  "cluster",
  "adapters",
  "gateway",
  "node",
  "cli"
]

/** The one machine room that the gateway reads besides put and get: commits and listings, through its service. */
export const SERVICE_OF_GATEWAY = "src/namespace/Namespace.ts"

const PROCESS = ["node:process", "node:path", "node:util", "node:url"]

/**
 * KERNEL TABLE: packages and node: modules that a room may import besides its neighbours.
 * Only synchronous, deterministic kernels (hashes, ciphers, codecs, parsers) belong here: what has threads,
 * sockets or files is an adapter. `effect` is allowed in every room but base.
 */
export const KERNELS: Readonly<Record<string, ReadonlyArray<string>>> = {
  base: ["@napi-rs/blake-hash", "@node-rs/crc32"],
  sealer: ["node:crypto", "node:zlib", "@node-rs/argon2"],
  namespace: ["cborg", "sorted-btree"],
  unitKernel: ["node:crypto"],
  complete: ["node:crypto"],
  carrier: ["node:crypto", "cborg"],
  membership: ["node:crypto", "cborg", "@node-rs/argon2"],
  gateway: ["node:crypto", "fast-xml-parser", "hash-wasm", "@node-rs/crc32"],
  // A lane of WorkerCompute starts in node/, where the table of kernels is; it has a port to its adapter and nothing else.
  node: [...PROCESS, "@effect/platform-node", "node:worker_threads"],
  cli: [...PROCESS, "@effect/platform-node", "node:crypto", "fast-xml-parser"]
}

/** Parts of Effect that run, wait or fork: a machine has none, only a `*Service.ts` beside it. */
export const SHELL_OF_EFFECT: ReadonlyArray<string> = [
  "Effect", "Stream", "Sink", "Channel", "Layer", "Fiber", "FiberSet", "FiberMap", "Queue", "PubSub", "Deferred",
  "Semaphore", "Ref", "SubscriptionRef", "Scope", "Schedule", "Clock", "Random", "Runtime", "ManagedRuntime", "Cache"
]

/** At most this many lines in a file of src, spec or sim. Functions (70) are counted by oxlint. */
export const FILE_LINES_MAX = 400
