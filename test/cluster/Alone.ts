/** Alone: a store of one node on twins, with a past: what it said of every commit; and that store made ready to be a cluster's first member, cut short wherever a test wants. */
import { Effect, type Exit, Layer, Logger, Scope } from "effect"
import { seededEntropy } from "../../sim/Entropy.ts"
import { makeKeyPairs } from "../../sim/KeyPairs.ts"
import type { Random } from "../../sim/Random.ts"
import { seededRandom } from "../../sim/Random.ts"
import { hashOf } from "../../src/base/hash.ts"
import type { Sequence } from "../../src/base/ids.ts"
import { Get } from "../../src/get.ts"
import { growMember } from "../../src/node/ClusterFolder.ts"
import { type Folder, markFolder, openFolder } from "../../src/node/Folder.ts"
import type { StoreOptions } from "../../src/node/StoreLayer.ts"
import type { Identity } from "../../src/membership/Identity.ts"
import type { ChunkRow } from "../../src/namespace/Model.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { Compute } from "../../src/ports/Compute.ts"
import { Disk } from "../../src/ports/Disk.ts"
import { Entropy } from "../../src/ports/Entropy.ts"
import { Index } from "../../src/ports/Index.ts"
import { Settle } from "../../src/settle.ts"
import { seedsOf } from "../membership/fixtures.ts"
import { makeBucket, put } from "../pipeline/operations.ts"
import { inlineCompute, keys, type Machine, newMachine, readAll, restOf, storeId, tiny, vaultId, withStore } from "../pipeline/store.ts"

/** What was read of a key at a commit: a hash, or a refusal. */
export type Past = ReadonlyMap<string, string>

const names = ["inline", "small", "large", "shared", "again"] as const
const sizes: Readonly<Record<(typeof names)[number], number>> = { inline: 100, small: 3000, large: 45_000, shared: 6000, again: 6000 }

export const readAt = (key: string, at: Sequence) =>
  Effect.gen(function*() {
    const version = (yield* Namespace).object("b", key, undefined, at)
    return hashOf(yield* Effect.scoped(Effect.flatMap((yield* Get).open(yield* version), readAll)))
  }).pipe(Effect.catchTag("Refused", ({ refusal }) => Effect.succeed(`refused: ${refusal}`)))

/** Every key at every commit. */
export const pastOf = Effect.gen(function*() {
  const past = new Map<string, string>()
  const last = (yield* Namespace).head().sequence
  for (let at = 1; at <= last; at += 1) for (const key of names) past.set(`${key}@${at}`, yield* readAt(key, at))
  return past
})

export const sameAs = (past: Past) =>
  Effect.gen(function*() {
    const other: Array<string> = []
    for (const [what, hash] of past) {
      const [key, at] = what.split("@")
      const got = yield* readAt(key!, Number(at))
      if (got !== hash) other.push(`${what}: ${got} instead of ${hash}`)
    }
    return other
  })

/** Overwritten, deleted, put again; in blocks, in the journal alone, in a checkpoint, behind it. */
const lived = (seed: number) =>
  Effect.gen(function*() {
    const random = seededRandom(seed)
    yield* makeBucket
    for (let round = 0; round < 3; round += 1) {
      const shared = random.bytes(sizes.shared)
      for (const name of names) yield* put(name, name === "shared" || name === "again" ? shared : random.bytes(sizes[name]))
      yield* (yield* Namespace).propose({ _tag: "DeleteObjects", bucket: "b", targets: [{ key: names[round % names.length]! }] })
      if (round === 0) yield* (yield* Settle).settleNow
      if (round === 1) yield* (yield* Namespace).checkpoint(true)
    }
    const { counts, journaled } = yield* Namespace
    return { past: yield* pastOf, journaledBytes: counts().journaledBytes, waiting: journaled(1)[0]! }
  })

const folder: Folder = { store: storeId, vault: vaultId, createdMs: 1, format: 2, isMember: false, fresh: false }

/** A stopped store of one node, and its past. */
export const aStore = async (seed: number): Promise<{ readonly machine: Machine; readonly past: Past; readonly journaledBytes: number; readonly waiting: ChunkRow }> => {
  const machine = newMachine(seed)
  await Effect.runPromise(Effect.provide(markFolder(folder), machine.disk.layer))
  return { machine, ...await withStore(machine, lived(seed)) }
}

const portsOf = ({ disk, index, random }: Machine) => Layer.mergeAll(
  Layer.succeed(Disk, disk.service), Layer.succeed(Index, { open: Effect.succeed({ service: index.service, wasReset: false, why: "" }) }),
  Layer.succeed(Entropy, seededEntropy(random)), Layer.succeed(Compute, inlineCompute), Logger.layer([])
)

const pairs = makeKeyPairs()
const options: StoreOptions = { store: storeId, keys, ...tiny }
const place = { listen: { host: "127.0.0.1", port: 9100 }, address: "127.0.0.1:9100", name: "first" }

/** `cluster init`, behind its reading of flags; "Died" where the disk stopped in it. `own`: of the node that it becomes, from this number. */
export const grow = async (machine: Machine, own: { readonly identity: Identity; readonly seed: number }): Promise<Exit.Exit<unknown, unknown> | "Died"> => {
  const run = Effect.gen(function*() {
    const found = yield* openFolder(1)
    if (found.isMember) return
    yield* growMember(place, { pairs, folder: found, own: { identity: own.identity, seeds: seedsOf(own.seed) } }, options)
  })
  const fiber = Effect.runFork(Scope.provide(Effect.provide(run, portsOf(machine)), Scope.makeUnsafe()))
  const exit = await restOf(machine, fiber)
  return exit === undefined || machine.disk.stopped ? "Died" : exit
}

export const isMember = (machine: Machine): Promise<boolean> =>
  Effect.runPromise(Effect.provide(Effect.map(openFolder(1), (found) => found.isMember), portsOf(machine)))

export const after = (machine: Machine, power: "Cut" | "Kill", random: Random): Machine => ({
  disk: power === "Cut" ? machine.disk.crash(random) : machine.disk.kill(random), index: power === "Cut" ? machine.index.crash(random) : machine.index.kill(), random: random.fork()
})
