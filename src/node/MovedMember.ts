/**
 * MovedMember: `cluster address`: a stopped member's folder is told where it is to be found from its next start on, or where it finds another one that has moved. Between the command
 * line and the file of whom a member knows; the running member (MemberNode) tells the others, and the table is what counts once it says the same.
 */
import { Clock, Effect, Layer } from "effect"
import { service as pairs } from "../adapters/NodeKeyPairs.ts"
import { formatAddress } from "./address.ts"
import { memberNamed } from "./ClusterDesk.ts"
import { type Environment, inFolder, placeOf } from "./ClusterFolder.ts"
import { formatOf } from "./Doctor.ts"
import { memberFolderFormat, openFolder } from "./Folder.ts"
import { platformLayer, readMarker } from "./layers.ts"
import { MemberRefused, openMember, writeMembers } from "./MemberFolder.ts"
import type { HostPort, Settings } from "./Settings.ts"
import { openVaultFile } from "./VaultFile.ts"

export interface MoveFlags {
  readonly data: string
  /** HOST:PORT where the member is to be found. */
  readonly address: string
  /** HOST:PORT on which it listens; absent: as before where that was all addresses and the port stays, else `address`. */
  readonly listen: string | undefined
  /** Another member: an id, its first digits, or a name; absent: this one. */
  readonly of: string | undefined
}

const everywhere = new Set(["0.0.0.0", "::"])

const listenOf = (before: HostPort, found: HostPort): HostPort => (everywhere.has(before.host) && before.port === found.port ? before : found)

const noMember = (data: string): MemberRefused => new MemberRefused({ detail: `${data} is no folder of a member: \`ouroboros cluster init\` or \`join\` makes one` })

/** The node and where it is to be found; of this folder's own also where it listens. */
export const moveMember = (flags: MoveFlags, env: Environment) =>
  // Before the folder is opened: a path with a typing error shall make none.
  Effect.andThen(Effect.mapError(readMarker(flags.data), () => noMember(flags.data)), inFolder(flags.data, env, (settings) => Effect.gen(function*() {
    const { address, listen } = yield* placeOf({ data: flags.data, name: undefined, listen: flags.listen ?? flags.address, address: flags.address })
    const folder = yield* openFolder(yield* Clock.currentTimeMillis)
    if (!folder.isMember) return yield* noMember(flags.data)
    const { keys } = yield* openVaultFile(folder, settings.passphrase)
    const { known, own } = yield* openMember(folder, keys, pairs)
    const node = flags.of === undefined ? own.identity.id : yield* memberNamed(known.record, flags.of)
    const isOwn = node === own.identity.id
    if (!isOwn && flags.listen !== undefined) return yield* new MemberRefused({ detail: `--listen is for a member's own folder: where ${flags.of} listens is said in its own` })
    const listens = isOwn ? (flags.listen === undefined ? listenOf(known.listen, listen) : listen) : known.listen
    yield* writeMembers(folder, keys, { ...known, listen: listens, places: new Map(known.places).set(node, address) })
    return { node, name: known.record.members.get(node)?.member.name ?? "", address, isOwn, listen: formatAddress(listens) }
  })))

/** Where a stopped member listens for the others, as its folder says; undefined where the folder is none, or cannot be opened: others say why. */
export const listensOn = (settings: Settings) =>
  Effect.scoped(Effect.gen(function*() {
    // Nobody's folder is opened for nothing.
    if (formatOf(yield* readMarker(settings.data)) !== memberFolderFormat) return undefined
    const platform = yield* Layer.build(platformLayer(settings))
    return yield* Effect.provide(Effect.gen(function*() {
      const folder = yield* openFolder(yield* Clock.currentTimeMillis)
      const { keys } = yield* openVaultFile(folder, settings.passphrase)
      return (yield* openMember(folder, keys, pairs)).known.listen
    }), platform)
  })).pipe(Effect.catch((error) => Effect.as(Effect.logDebug(`where this member listens is not known: ${error.message}`), undefined)))
