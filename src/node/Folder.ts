/**
 * Folder: what makes a folder a data folder: its marker (format version, store and vault ids). Start-up reads it
 * before anything else is opened, so that a folder of a newer format, or of somebody else, stays untouched.
 */
import { Data, Effect, Schema } from "effect"
import { fromUtf8, toUtf8 } from "../base/bytes.ts"
import { idOf, type StoreId, type VaultId } from "../base/ids.ts"
import { markerBytesMax } from "../base/limits.ts"
import { Disk, type DiskError, type DiskService } from "../ports/Disk.ts"
import { Entropy } from "../ports/Entropy.ts"
import { scrubFile } from "../scrubbed.ts"

/**
 * Version of the folder's layout and of every format in it. A change of either raises it and brings a migration.
 * 2: chunks are condemned and freed, history is purged. A folder of format 1 is marked anew before anything is logged;
 * the first collection records what its rows do not say yet.
 */
export const folderFormat = 2

/** Of a member's folder: its commits lie in Raft's log, so that no version may open it that knows single stores alone. */
export const memberFolderFormat = 3

export class FolderRefused extends Data.TaggedError("FolderRefused")<{ readonly detail: string }> {
  override get message(): string {
    return `data folder refused: ${this.detail}`
  }
}

export const markerFile = "ouroboros.json"

const hexId = Schema.String.pipe(Schema.check(Schema.isPattern(/^[0-9a-f]{32}$/)))
const Marker = Schema.Struct({ format: Schema.Number, store: hexId, vault: hexId, createdMs: Schema.Number })

export interface Folder {
  readonly store: StoreId
  readonly vault: VaultId
  readonly createdMs: number
  /** Of the marker: an older one is to be marked anew before anything is written. */
  readonly format: number
  /** It belongs to one member of a cluster (MemberFolder), and to no store of its own. */
  readonly isMember: boolean
  /** Made by this start. */
  readonly fresh: boolean
}

/** A whole small file; undefined where it does not exist. */
export const readSmallFile = (
  disk: DiskService, path: string, bytesMax: number
): Effect.Effect<Uint8Array | undefined, DiskError> =>
  Effect.scoped(
    Effect.flatMap(disk.open(path, "read"), (file) => file.read(0, bytesMax))
  ).pipe(Effect.catch((error) => (error.code === "NotFound" ? Effect.succeed(undefined) : Effect.fail(error))))

/** Replaces a small file as a whole: after any crash the old or the new one is there. */
export const replaceFile = Effect.fnUntraced(function* (disk: DiskService, path: string, bytes: Uint8Array) {
  const draft = `${path}.new`
  yield* disk.remove(draft).pipe(
    Effect.catch((error) => (error.code === "NotFound" ? Effect.void : Effect.fail(error)))
  )
  yield* Effect.scoped(
    Effect.flatMap(disk.open(draft, "create"), (file) => Effect.andThen(file.write(0, [bytes]), file.sync))
  )
  yield* disk.rename(draft, path)
  yield* disk.syncFolder("")
})

/** Of a member: what it is in the cluster, who it is, and who it will be once it is let in. */
export const membersFile = "members"
export const identityFile = "identity"
export const joiningFile = "joining"
const memberFiles = [membersFile, identityFile, joiningFile]

/** What a start that died before the marker may have left, and what the lock makes. */
const foundBeforeMarker = new Set(["lock", "keyring", "keyring.new", "vault.key", "vault.key.new", "credentials", "credentials.new", `${markerFile}.new`, ...memberFiles, ...memberFiles.map((name) => `${name}.new`)])

const parseMarker = (bytes: Uint8Array): Effect.Effect<typeof Marker.Type, FolderRefused> => {
  const damaged = (detail: string) => new FolderRefused({ detail: `${markerFile} cannot be read (${detail}); restore it from a copy of the folder` })
  return Effect.try({ try: (): unknown => JSON.parse(fromUtf8(bytes) ?? ""), catch: () => damaged("not JSON") }).pipe(
    Effect.flatMap((json) => {
      const format = (json as { readonly format?: unknown } | null)?.format
      return typeof format === "number" && format > memberFolderFormat
        ? Effect.fail(new FolderRefused({
            detail: `it has format ${format}, this version knows up to ${memberFolderFormat}; start it with a newer OuroborosDB`
          }))
        : Schema.decodeUnknownEffect(Marker)(json).pipe(Effect.mapError((error) => damaged(error.message.replaceAll("\n", " "))))
    })
  )
}

/** Reads the marker; a folder with none must be empty, and gets its ids (the marker itself is written by `markFolder`). */
export const openFolder = Effect.fnUntraced(function* (nowMs: number): Effect.fn.Return<Folder, FolderRefused | DiskError, Disk | Entropy> {
  const disk = yield* Disk
  const bytes = yield* readSmallFile(disk, markerFile, markerBytesMax)
  if (bytes !== undefined) {
    const marker = yield* parseMarker(bytes)
    return { store: marker.store as StoreId, vault: marker.vault as VaultId, createdMs: marker.createdMs, format: marker.format, isMember: marker.format === memberFolderFormat, fresh: false }
  }
  const strangers = (yield* disk.list("")).filter((name) => !foundBeforeMarker.has(name) && !isLeftOver(name))
  if (strangers.length > 0) {
    return yield* new FolderRefused({
      detail: `it has no ${markerFile} but holds "${strangers[0]}"; name an empty folder, or put the marker back`
    })
  }
  const entropy = yield* Entropy
  return { store: idOf<StoreId>(entropy.bytes(16)), vault: idOf<VaultId>(entropy.bytes(16)), createdMs: nowMs, format: folderFormat, isMember: false, fresh: true }
})

/** The last step of a first start: from here on the folder is a store. Also the first step of a migration. */
export const markFolder = Effect.fnUntraced(function* (folder: Folder): Effect.fn.Return<void, DiskError, Disk> {
  const disk = yield* Disk
  const marker: typeof Marker.Type = { format: folder.isMember ? memberFolderFormat : folderFormat, store: folder.store, vault: folder.vault, createdMs: folder.createdMs }
  yield* replaceFile(disk, markerFile, toUtf8(`${JSON.stringify(marker, null, 2)}\n`))
})

/** Drafts of small files that were never renamed, and the doctor's trial: whoever made them was cut short. */
const isLeftOver = (name: string): boolean =>
  [markerFile, "keyring", "vault.key", "credentials", scrubFile, ...memberFiles].some((file) => name === `${file}.new`) || /^doctor-\d+\.new$/.test(name)

/** Removes what a killed predecessor left at the top of the folder; names that are not ours stay. The names removed. */
export const sweepFolder = Effect.fnUntraced(function* (): Effect.fn.Return<ReadonlyArray<string>, DiskError, Disk> {
  const disk = yield* Disk
  const left = (yield* disk.list("")).filter(isLeftOver)
  yield* Effect.forEach(left, disk.remove, { discard: true })
  return left
})
