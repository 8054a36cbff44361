/**
 * MemberFolder: what a member's folder has besides a store's: who this node is, and what it is in which cluster: where it listens, and whom it knows. Between start-up and
 * the membership room's formats. The members' table itself is replicated; what lies here is how a node finds the others before it has heard of any.
 *
 * 1. Both files lie under the vault's key, so that a new passphrase changes neither.
 * 2. Before a node has the vault's key, its identity lies under the folder's own secret (`joining`): who waits for approval and is stopped comes back as the same node.
 */
import { Data, Effect, Semaphore } from "effect"
import { deriveKey } from "../base/hash.ts"
import { concatBytes, equalBytes, fromHex, toUtf8 } from "../base/bytes.ts"
import { membersFileBytesMax, membersMax, nodeAddressLettersMax } from "../base/clusterLimits.ts"
import { type Identity, identityOf, identitySeedsBytes, type NodeId } from "../membership/Identity.ts"
import { identityFileBytes, openIdentity, sealIdentity } from "../membership/IdentityFile.ts"
import type { MembershipRecord } from "../membership/Membership.ts"
import { MembershipError } from "../membership/MembershipError.ts"
import { decodeMembershipRecord, encodeMembershipRecord } from "../membership/RecordFormat.ts"
import { type Codec, decodeWith, encodeWith, flag, FormatError, hex, list, raw, struct, text, uint } from "../namespace/Canonical.ts"
import { Disk, type DiskError } from "../ports/Disk.ts"
import { Entropy } from "../ports/Entropy.ts"
import type { KeyPairsService } from "../ports/KeyPairs.ts"
import type { KeyringSecret } from "../sealer/Keyring.ts"
import { SealError } from "../sealer/SealError.ts"
import { makeValueSealer } from "../sealer/SealedValue.ts"
import { type VaultKeys, vaultKey } from "../sealer/VaultKeys.ts"
import { type Folder, identityFile, joiningFile, membersFile, readSmallFile, replaceFile } from "./Folder.ts"
import type { HostPort } from "./Settings.ts"

export class MemberRefused extends Data.TaggedError("MemberRefused")<{ readonly detail: string }> {
  override get message(): string {
    return `member: ${this.detail}`
  }
}

/** A node with the seeds of its keys: TLS wants one of them itself. */
export interface OwnIdentity {
  readonly identity: Identity
  readonly seeds: Uint8Array
}

/** What `members` has. */
export interface KnownMembers {
  readonly listen: HostPort
  /** Its replica has begun: a journal without it is a damaged one, and no new one (R2). */
  readonly hasBegun: boolean
  /** The first of its cluster. */
  readonly isFounder: boolean
  /** Its folder was a store of its own (GrowFolder): its log begins behind the state that it had. */
  readonly wasAlone: boolean
  readonly record: MembershipRecord
  /** HOST:PORT where an operator has said that members are, this one among them, other than the table has it yet. */
  readonly places: ReadonlyMap<NodeId, string>
}

const refused = (file: string, why: string): MemberRefused => new MemberRefused({ detail: `${file}: ${why}` })
const right = <A>(file: string, value: A | MembershipError): Effect.Effect<A, MemberRefused> => (value instanceof MembershipError ? Effect.fail(refused(file, value.message)) : Effect.succeed(value))

const identitySecret = (keys: VaultKeys): KeyringSecret => ({ _tag: "KeyFile", key: deriveKey("ouroborosdb 2026 identity of a member 1", vaultKey(keys, "node identity")) })

const writeIdentity = Effect.fnUntraced(function*(file: string, { identity, seeds }: OwnIdentity, secret: KeyringSecret) {
  const bytes = yield* right(file, sealIdentity(identity.id, seeds, secret, (yield* Entropy).bytes))
  yield* replaceFile(yield* Disk, file, bytes)
})

const readIdentity = Effect.fnUntraced(function*(file: string, pairs: KeyPairsService, secret: KeyringSecret): Effect.fn.Return<OwnIdentity | undefined, MemberRefused | DiskError, Disk> {
  const bytes = yield* readSmallFile(yield* Disk, file, identityFileBytes + 1)
  if (bytes === undefined) return undefined
  const { id, seeds } = yield* right(file, openIdentity(bytes, secret))
  const identity = identityOf(pairs, seeds)
  return identity.id === id ? { identity, seeds } : yield* refused(file, "its keys are not those of the node that it names: restore it from a copy")
})

export const freshIdentity = (pairs: KeyPairsService): Effect.Effect<OwnIdentity, never, Entropy> =>
  Effect.map(Entropy, (entropy) => {
    const seeds = entropy.bytes(identitySeedsBytes)
    return { identity: identityOf(pairs, seeds), seeds }
  })

/** Of a node that asks to join: as it was, where it has asked before. */
export const joiningIdentity = Effect.fnUntraced(function*(pairs: KeyPairsService, secret: KeyringSecret) {
  const kept = yield* readIdentity(joiningFile, pairs, secret)
  if (kept !== undefined) return kept
  const own = yield* freshIdentity(pairs)
  yield* writeIdentity(joiningFile, own, secret)
  return own
})

/** 2 says `wasAlone`, 3 says `places` too; who began with nothing, and has not moved, is written as 1, as ever. */
const formats = { plain: 1, grown: 2, placed: 3 } as const
/** "OBNM", format. */
const headerOf = (format: number): Uint8Array => concatBytes([toUtf8("OBNM"), Uint8Array.of(format)])
const headerBytes = headerOf(0).length

interface Plain extends Omit<KnownMembers, "listen" | "record" | "wasAlone" | "places"> {
  readonly host: string
  readonly port: number
  readonly record: Uint8Array
}
interface Placed {
  readonly node: NodeId
  readonly at: string
}
type Grown = Plain & Pick<KnownMembers, "wasAlone">
type Coded = Grown & { readonly places: ReadonlyArray<Placed> }

const fields = { host: text(255), port: uint(65_535), hasBegun: flag, isFounder: flag, record: raw(membersFileBytesMax) }
const plainCodec: Codec<Plain> = struct<Plain>(fields)
const grownFields = { ...fields, wasAlone: flag }
const grownCodec: Codec<Grown> = struct<Grown>(grownFields)
const nodeIdBytes = 32
const placedCodec: Codec<Placed> = struct<Placed>({ node: hex<NodeId>(nodeIdBytes), at: text(nodeAddressLettersMax) })
const codec: Codec<Coded> = struct<Coded>({ ...grownFields, places: list(placedCodec, membersMax) })

const sealerOf = (keys: VaultKeys) => makeValueSealer(keys, "ouroborosdb members file 1")

export const writeMembers = Effect.fnUntraced(function*({ store }: Folder, keys: VaultKeys, known: KnownMembers): Effect.fn.Return<void, DiskError, Disk> {
  const [format, plain] = codedOf(known)
  yield* replaceFile(yield* Disk, membersFile, concatBytes([headerOf(format), sealerOf(keys).seal(fromHex(store), plain)]))
})

/** In the oldest format that says it. */
const codedOf = ({ hasBegun, isFounder, listen, places, record, wasAlone }: KnownMembers): readonly [format: number, plain: Uint8Array] => {
  const coded: Plain = { host: listen.host, port: listen.port, hasBegun, isFounder, record: encodeMembershipRecord(record) }
  if (places.size > 0) return [formats.placed, encodeWith(codec, { ...coded, wasAlone, places: [...places].map(([node, at]) => ({ node, at })) })]
  return wasAlone ? [formats.grown, encodeWith(grownCodec, { ...coded, wasAlone })] : [formats.plain, encodeWith(plainCodec, coded)]
}

const decodedOf = (format: number, plain: Uint8Array): Coded => {
  if (format === formats.placed) return decodeWith(codec, plain, membersFile)
  return { ...(format === formats.grown ? decodeWith(grownCodec, plain, membersFile) : { ...decodeWith(plainCodec, plain, membersFile), wasAlone: false }), places: [] }
}

export interface KeptMembers {
  readonly known: () => KnownMembers
  /** One after another: two that write at once would write one draft. What counts is what is known, also where it could not be kept. */
  readonly keep: (change: Partial<KnownMembers>) => Effect.Effect<void>
}

export const keepMembers = Effect.fnUntraced(function*(folder: Folder, keys: VaultKeys, first: KnownMembers): Effect.fn.Return<KeptMembers, never, Disk> {
  const ports = yield* Effect.context<Disk>()
  const turn = yield* Semaphore.make(1)
  let known = first
  return {
    known: () => known,
    keep: (change) => turn.withPermit(Effect.suspend(() => {
      known = { ...known, ...change }
      return Effect.catch(Effect.provide(writeMembers(folder, keys, known), ports), (error) => Effect.logError(`what this node knows of the members is not kept: ${error.message}`))
    }))
  }
})

/** Identity and members, before the marker: with it the folder is a member's. */
export const writeMember = Effect.fnUntraced(function*(folder: Folder, keys: VaultKeys, own: OwnIdentity, known: KnownMembers) {
  yield* writeIdentity(identityFile, own, identitySecret(keys))
  yield* writeMembers(folder, keys, known)
})

const readMembers = Effect.fnUntraced(function*({ store }: Folder, keys: VaultKeys): Effect.fn.Return<KnownMembers, MemberRefused | DiskError, Disk> {
  const bytes = yield* readSmallFile(yield* Disk, membersFile, membersFileBytesMax)
  if (bytes === undefined) return yield* refused(membersFile, "is missing: restore it from a copy, or remove this node from its cluster and let it join anew with an empty folder")
  const format = Object.values(formats).find((one) => equalBytes(headerOf(one), bytes.subarray(0, headerBytes)))
  if (format === undefined) return yield* refused(membersFile, "is of no format that this version knows")
  const plain = sealerOf(keys).open(fromHex(store), bytes.subarray(headerBytes))
  if (plain instanceof SealError) return yield* refused(membersFile, `${plain.message}: restore it from a copy`)
  const coded = yield* Effect.try({
    try: () => decodedOf(format, plain),
    catch: (error) => {
      if (error instanceof FormatError) return refused(membersFile, error.message)
      throw error
    }
  })
  const { hasBegun, host, isFounder, places, port, wasAlone } = coded
  return { listen: { host, port }, hasBegun, isFounder, wasAlone, places: new Map(places.map(({ at, node }) => [node, at])), record: yield* right(membersFile, decodeMembershipRecord(coded.record)) }
})

/** Who this node is and whom it knows, of a folder that is a member's. */
export const openMember = Effect.fnUntraced(function*(folder: Folder, keys: VaultKeys, pairs: KeyPairsService) {
  const own = yield* readIdentity(identityFile, pairs, identitySecret(keys))
  if (own === undefined) return yield* refused(identityFile, "is missing: restore it from a copy, or remove this node from its cluster and let it join anew with an empty folder")
  const known = yield* readMembers(folder, keys)
  return { own, known }
})
