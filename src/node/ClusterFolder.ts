/**
 * ClusterFolder: `cluster init` and `cluster join`: an empty folder becomes a member's. Between the command line and the rooms of membership; nothing of the store is opened, and nothing
 * serves: `ouroboros serve` does, once the folder is there.
 *
 * 1. The marker comes last: a folder without it is none yet, and the command may be given again.
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
import { openCredentials, writeCredentials } from "./Credentials.ts"
import { type Folder, joiningFile, markFolder, memberFolderFormat, openFolder } from "./Folder.ts"
import { platformLayer } from "./layers.ts"
import { freshIdentity, joiningIdentity, MemberRefused, type OwnIdentity, writeMember } from "./MemberFolder.ts"
import { openLink } from "./MemberLink.ts"
import { formatAddress } from "./address.ts"
import { type HostPort, parseHostPort, resolveSettings, SettingsError } from "./Settings.ts"
import { createVault, secretOf } from "./VaultFile.ts"

export interface PlaceFlags {
  readonly data: string
  /** What operators call the node; its id's first digits where absent. */
  readonly name: string | undefined
  /** HOST:PORT for other members. */
  readonly listen: string
  /** Where they find it; where absent, as it listens. */
  readonly address: string | undefined
}

type Environment = Readonly<Record<string, string | undefined>>

interface Place {
  readonly listen: HostPort
  readonly address: string
  readonly name: string | undefined
}

const placeOf = Effect.fnUntraced(function*({ address, listen, name }: PlaceFlags): Effect.fn.Return<Place, SettingsError> {
  const listens = yield* parseHostPort(listen, "--listen")
  const found = address ?? formatAddress(listens)
  if (listens.port === 0) return yield* new SettingsError({ where: "--listen", detail: "other members have to find it again: give a port" })
  if (addressOf(found) === undefined || found.length > nodeAddressLettersMax) return yield* new SettingsError({ where: "--address", detail: `"${found}" is not HOST:PORT, such as 10.0.0.1:9100` })
  if (name !== undefined && !/^[\p{L}\p{N}._-]+$/u.test(name)) return yield* new SettingsError({ where: "--name", detail: "letters, digits, . _ and - only" })
  if (name !== undefined && name.length > nodeNameLettersMax) return yield* new SettingsError({ where: "--name", detail: `${nodeNameLettersMax} letters at most` })
  return { listen: listens, address: found, name }
})

/** Of a folder that has no marker yet; what an attempt that was cut short has left is replaced. */
const emptyFolder = Effect.fnUntraced(function*(data: string) {
  const folder = yield* openFolder(yield* Clock.currentTimeMillis)
  if (folder.fresh) return folder
  return yield* new MemberRefused({
    detail: folder.isMember ? `${data} belongs to a member of a cluster already: start it (\`ouroboros serve --data ${data}\`)`
      : `${data} has a store of its own: a member begins with an empty folder; what is in it can be copied into the cluster (\`ouroboros cp\`)`
  })
})

const inFolder = Effect.fnUntraced(function*<A, E, R>(data: string, env: Environment, use: (settings: Effect.Success<ReturnType<typeof resolveSettings>>) => Effect.Effect<A, E, R>) {
  const settings = yield* resolveSettings({ data }, env, undefined)
  const platform = yield* Layer.build(platformLayer(settings))
  return yield* Effect.provide(use(settings), platform)
}, Effect.scoped)

/** `cluster init`: the first member of a new cluster, which has a store of its own. */
export const initCluster = (flags: PlaceFlags, env: Environment) =>
  inFolder(flags.data, env, (settings) => Effect.gen(function*() {
    const place = yield* placeOf(flags)
    const folder = yield* emptyFolder(flags.data)
    const entropy = yield* Entropy
    const { keys } = yield* createVault(folder, settings.passphrase)
    yield* openCredentials(settings)
    const own = yield* freshIdentity(pairs)
    const record = foundCluster({
      pairs, cluster: toHex(entropy.bytes(16)) as ClusterId, identity: own.identity, authoritySeed: entropy.bytes(authoritySeedBytes),
      serials: [entropy.bytes(serialBytes), entropy.bytes(serialBytes)], name: nameOf(place, own), addresses: [place.address], nowMs: yield* Clock.currentTimeMillis
    })
    yield* writeMember(folder, keys, own, { listen: place.listen, hasBegun: false, isFounder: true, record })
    yield* markFolder({ ...folder, isMember: true })
    return { cluster: record.cluster, node: own.identity.id, name: nameOf(place, own), address: place.address }
  }))

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
    yield* writeMember(marked, keys, own, { listen: place.listen, hasBegun: false, isFounder: false, record: welcome.record })
    yield* markFolder(marked)
    yield* (yield* Disk).remove(joiningFile)
    return { cluster: token.cluster, node: own.identity.id, name, members: welcome.record.members.size }
  }))

/** Over a link of its own, at the address where it will be found: so whoever cannot be reached there hears it now. */
const welcomed = (place: Place, own: OwnIdentity, joined: Joined, token: JoinToken) =>
  Effect.scoped(Effect.gen(function*() {
    const record = heardOf(joined, token, own)
    const { carrier } = yield* openLink({ own, listen: place.listen, record, stranger: () => Effect.undefined })
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
