/**
 * ClusterFolder: `cluster init` and `cluster join`: an empty folder becomes a member's, or, for `init`, that of a stopped node which has a store of its own. Between the command line and the
 * rooms of membership; nothing serves: `ouroboros serve` does, once the folder is there.
 *
 * 1. The marker comes last: before it the folder is none yet, or the store that it was, and the command may be given again.
 * 2. Who asks to join keeps its identity from the first ask on: after Ctrl-C it asks as the same node, under the same token.
 */
import { Clock, Effect, Layer } from "effect"
import { service as door } from "../adapters/JoinDoor.ts"
import { service as pairs } from "../adapters/NodeKeyPairs.ts"
import { packageVersion } from "../adapters/NodeProcess.ts"
import { type ClusterId, shortIdOf } from "../membership/Identity.ts"
import { type Joined, joinCluster } from "../cluster/Joining.ts"
import { askWelcome } from "../cluster/Welcome.ts"
import { nodeAddressLettersMax, nodeNameLettersMax } from "../base/clusterLimits.ts"
import { toHex } from "../base/bytes.ts"
import { credentialsBytesMax } from "../base/limits.ts"
import { authoritySeedBytes } from "../membership/Authority.ts"
import { serialBytes } from "../membership/Certificate.ts"
import { emptyJoinBook } from "../membership/JoinBook.ts"
import { type JoinToken, readJoinToken } from "../membership/JoinToken.ts"
import { addressOf, foundCluster, type MembershipRecord, type MemberRow } from "../membership/Membership.ts"
import { MembershipError } from "../membership/MembershipError.ts"
import { memberIdentityOf } from "../membership/Message.ts"
import { nodeIdOf, type NodeId } from "../membership/Identity.ts"
import { Disk } from "../ports/Disk.ts"
import { Entropy } from "../ports/Entropy.ts"
import type { KeyPairsService } from "../ports/KeyPairs.ts"
import { configurationOf } from "../raft/Configuration.ts"
import type { VaultKeys } from "../sealer/VaultKeys.ts"
import { credentialsFile, openCredentials, writeCredentials } from "./Credentials.ts"
import { type Folder, joiningFile, markFolder, memberFolderFormat, openFolder, readSmallFile } from "./Folder.ts"
import { platformLayer } from "./layers.ts"
import { freshIdentity, joiningIdentity, MemberRefused, type OwnIdentity, writeMember } from "./MemberFolder.ts"
import { openLink } from "./MemberLink.ts"
import { formatAddress } from "./address.ts"
import { growFolder } from "./GrowFolder.ts"
import { type HostPort, parseHostPort, resolveSettings, type Settings, SettingsError } from "./Settings.ts"
import { quietSettings } from "./StoppedNode.ts"
import type { StoreOptions } from "./StoreLayer.ts"
import { createVault, openVaultFile, secretOf } from "./VaultFile.ts"

export interface PlaceFlags {
  readonly data: string
  /** What operators call the node; its id's first digits where absent. */
  readonly name: string | undefined
  /** HOST:PORT for other members. */
  readonly listen: string
  /** Where they find it; where absent, as it listens. */
  readonly address: string | undefined
}

export type Environment = Readonly<Record<string, string | undefined>>

interface Place {
  readonly listen: HostPort
  readonly address: string
  readonly name: string | undefined
}

export const placeOf = Effect.fnUntraced(function*({ address, listen, name }: PlaceFlags): Effect.fn.Return<Place, SettingsError> {
  const listens = yield* parseHostPort(listen, "--listen")
  const found = address ?? formatAddress(listens)
  if (listens.port === 0) return yield* new SettingsError({ where: "--listen", detail: "other members have to find it again: give a port" })
  if (addressOf(found) === undefined || found.length > nodeAddressLettersMax) return yield* new SettingsError({ where: "--address", detail: `"${found}" is not HOST:PORT, such as 10.0.0.1:9100` })
  if (name !== undefined && !/^[\p{L}\p{N}._-]+$/u.test(name)) return yield* new SettingsError({ where: "--name", detail: "letters, digits, . _ and - only" })
  if (name !== undefined && name.length > nodeNameLettersMax) return yield* new SettingsError({ where: "--name", detail: `${nodeNameLettersMax} letters at most` })
  return { listen: listens, address: found, name }
})

const isMembersAlready = (data: string): MemberRefused =>
  new MemberRefused({ detail: `${data} belongs to a member of a cluster already: start it (\`ouroboros serve --data ${data}\`)` })

/** Of a folder that has no marker yet; what an attempt that was cut short has left is replaced. */
const emptyFolder = Effect.fnUntraced(function*(data: string) {
  const folder = yield* openFolder(yield* Clock.currentTimeMillis)
  if (folder.fresh) return folder
  return yield* folder.isMember ? isMembersAlready(data) : new MemberRefused({
    detail: `${data} has a store of its own: whoever joins begins with an empty folder; that store can be the first member of a cluster (\`ouroboros cluster init --data ${data}\`), or what is in it can be copied into one (\`ouroboros cp\`)`
  })
})

/** Nobody serves the folder meanwhile. */
export const inFolder = Effect.fnUntraced(function*<A, E, R>(data: string, env: Environment, use: (settings: Effect.Success<ReturnType<typeof resolveSettings>>) => Effect.Effect<A, E, R>) {
  const settings = yield* resolveSettings({ data }, env, undefined)
  const platform = yield* Layer.build(platformLayer(settings))
  return yield* Effect.provide(use(settings), platform)
}, Effect.scoped)

/** `cluster init`: the first member of a new cluster: of an empty folder, with a store of its own; or of one that has a store, which becomes the cluster's, in place. `say`: what that comes to. */
export const initCluster = (flags: PlaceFlags, env: Environment, say: (line: string) => Effect.Effect<void>) =>
  inFolder(flags.data, env, (settings) => Effect.gen(function*() {
    const place = yield* placeOf(flags)
    const folder = yield* openFolder(yield* Clock.currentTimeMillis)
    if (folder.isMember) return yield* isMembersAlready(flags.data)
    if (!folder.fresh) return yield* grown(place, folder, settings, flags.data, say)
    const { keys } = yield* createVault(folder, settings.passphrase)
    yield* openCredentials(settings)
    return { ...yield* founded(place, { pairs, folder, keys, own: yield* freshIdentity(pairs), wasAlone: false }), commit: undefined }
  }))

interface Founding {
  readonly pairs: KeyPairsService
  readonly folder: Folder
  readonly keys: VaultKeys
  readonly own: OwnIdentity
  readonly wasAlone: boolean
}

/** The marker is the last of it: from here on the folder is a member's. */
const founded = Effect.fnUntraced(function*(place: Place, { folder, keys, own, pairs: signing, wasAlone }: Founding) {
  const entropy = yield* Entropy
  const record = foundCluster({
    pairs: signing, cluster: toHex(entropy.bytes(16)) as ClusterId, identity: own.identity, authoritySeed: entropy.bytes(authoritySeedBytes),
    serials: [entropy.bytes(serialBytes), entropy.bytes(serialBytes)], name: nameOf(place, own), addresses: [place.address], nowMs: yield* Clock.currentTimeMillis
  })
  yield* writeMember(folder, keys, own, { listen: place.listen, hasBegun: false, isFounder: true, wasAlone, record, places: new Map() })
  yield* markFolder({ ...folder, isMember: true })
  return { cluster: record.cluster, node: own.identity.id, name: nameOf(place, own), address: place.address }
})

const grown = Effect.fnUntraced(function*(place: Place, folder: Folder, settings: Settings, data: string, say: (line: string) => Effect.Effect<void>) {
  const { keys } = yield* openVaultFile(folder, settings.passphrase)
  yield* say(`${data} has a store: it becomes the first member of a new cluster, in place. Buckets, versions, history, uploads, credentials and keys stay as they are.`)
  yield* say("There is no way back: from then on the folder is opened by members only. A copy of it made before, with the node stopped, is the store as it was then.")
  // Those that it has, whatever the environment of this command says.
  if ((yield* readSmallFile(yield* Disk, credentialsFile, credentialsBytesMax)) === undefined) yield* openCredentials(settings)
  return yield* growMember(place, { pairs, folder, own: yield* freshIdentity(pairs) }, { store: folder.store, keys, settings: quietSettings(settings) })
})

/** A store becomes its cluster's first member; a crash leaves the one or the other. Its last commit, too. */
export const growMember = Effect.fnUntraced(function*(place: Place, founding: Omit<Founding, "keys" | "wasAlone">, options: StoreOptions) {
  const commit = yield* growFolder(founding.folder, options, configurationOf([founding.own.identity.id]))
  return { ...yield* founded(place, { ...founding, keys: options.keys, wasAlone: true }), commit }
})

const nameOf = ({ name }: Place, { identity }: OwnIdentity): string => name ?? shortIdOf(identity.id)

export interface JoinFlags extends PlaceFlags {
  readonly token: string
  /** HOST:PORT of members that may be asked. */
  readonly at: ReadonlyArray<string>
}

/** `cluster join`: asks until an operator has decided; then gets what a member has. `say`: what whoever waits should know. */
export const joinClusterHere = (flags: JoinFlags, env: Environment, say: (line: string) => Effect.Effect<void>) =>
  inFolder(flags.data, env, (settings) => Effect.gen(function*() {
    const place = yield* placeOf(flags)
    const at = yield* Effect.forEach(flags.at, (text) => parseHostPort(text, "address of a member"))
    const folder = yield* emptyFolder(flags.data)
    const token = readJoinToken(flags.token, yield* Clock.currentTimeMillis)
    if (token instanceof MembershipError) return yield* token
    const own = yield* joiningIdentity(pairs, yield* secretOf(settings.passphrase))
    const name = nameOf(place, own)
    const joined = yield* joinCluster({
      door, pairs, entropy: yield* Entropy, identity: own.identity, token, at, name, addresses: [place.address], program: packageVersion,
      onPending: say(`waiting for approval, on any member: ouroboros cluster approve ${shortIdOf(own.identity.id)}`)
    })
    const welcome = yield* welcomed(place, own, joined, token)
    const marked: Folder = { store: welcome.store, vault: welcome.vault, createdMs: welcome.createdMs, format: memberFolderFormat, isMember: true, fresh: folder.fresh }
    const { keys } = yield* createVault(marked, settings.passphrase, welcome.master)
    yield* writeCredentials(welcome)
    yield* writeMember(marked, keys, own, { listen: place.listen, hasBegun: false, isFounder: false, wasAlone: false, record: welcome.record, places: new Map() })
    yield* markFolder(marked)
    yield* (yield* Disk).remove(joiningFile)
    return { cluster: token.cluster, node: own.identity.id, name, members: welcome.record.members.size }
  }))

/** Over a link of its own, at the address where it will be found: so whoever cannot be reached there hears it now. */
const welcomed = (place: Place, own: OwnIdentity, joined: Joined, token: JoinToken) =>
  Effect.scoped(Effect.gen(function*() {
    const record = heardOf(joined, token, own)
    const { carrier } = yield* openLink({ own, listen: place.listen, record, placeOf: () => undefined, stranger: () => Effect.undefined })
    return yield* askWelcome(carrier, [...record.members.keys()].filter((id) => id !== own.identity.id))
  }))

/** Of the members' table what a node hears that was let in. */
const heardOf = ({ authority, certificate, epoch, members, revocations, sealedAuthority }: Joined, { cluster }: JoinToken, own: OwnIdentity): MembershipRecord => {
  const nothing = new Uint8Array(0)
  const rows = members.flatMap((member): ReadonlyArray<readonly [NodeId, MemberRow]> => {
    const shown = memberIdentityOf(member)
    if (shown === undefined) return []
    const id = nodeIdOf(shown)
    const isOwn = id === own.identity.id
    return [[id, { member, certificate: isOwn ? certificate : nothing, earlier: undefined, sealedAuthority: isOwn ? sealedAuthority : nothing, token: undefined, leaving: undefined }]]
  })
  return { cluster, epoch, authority: authority.certificate, members: new Map(rows), book: emptyJoinBook, revocations, signedRevocations: nothing }
}
