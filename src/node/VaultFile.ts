/**
 * VaultFile: the vault key at rest in the data folder: the keyring, and the key file of a node without passphrase.
 * It sits between start-up and the sealer's keyring format.
 */
import { Data, Effect } from "effect"
import { Disk, type DiskError } from "../ports/Disk.ts"
import { Entropy } from "../ports/Entropy.ts"
import {
  createKeyring, keyFileBytes, keyringBytes, openKeyring, readKeyringHeader, sealKeyring, type KeyringSecret
} from "../sealer/Keyring.ts"
import { KeyringError } from "../sealer/KeyringError.ts"
import { importKey } from "../sealer/KeyText.ts"
import { masterBytes, type VaultKeys } from "../sealer/VaultKeys.ts"
import { type Folder, readSmallFile, replaceFile } from "./Folder.ts"

export class VaultRefused extends Data.TaggedError("VaultRefused")<{ readonly detail: string }> {
  override get message(): string {
    return `vault key: ${this.detail}`
  }
}

const keyringFile = "keyring"
const keyFile = "vault.key"

const refuse = (error: KeyringError): VaultRefused => new VaultRefused({ detail: error.detail })

/** Of a keyring that is there: the file at fault, and what helps. */
const refuseFile = (error: KeyringError, underKeyFile: boolean): VaultRefused => {
  if (error.reason === "Damaged") return new VaultRefused({ detail: `${keyringFile}: ${error.detail}; restore it from a copy` })
  if (error.reason === "UnknownFormat") return new VaultRefused({ detail: `${keyringFile}: ${error.detail}` })
  return underKeyFile ? new VaultRefused({ detail: `${keyFile}: ${error.detail}; restore it from a copy` }) : refuse(error)
}

const writeKeyring = Effect.fnUntraced(function* (keyring: Uint8Array | KeyringError): Effect.fn.Return<void, VaultRefused | DiskError, Disk> {
  if (keyring instanceof KeyringError) return yield* refuse(keyring)
  yield* replaceFile(yield* Disk, keyringFile, keyring)
})

/** A key file of this folder, made where there is none. */
const keyFileSecret = Effect.fnUntraced(function* (): Effect.fn.Return<KeyringSecret, VaultRefused | DiskError, Disk | Entropy> {
  const disk = yield* Disk
  const kept = yield* readSmallFile(disk, keyFile, keyFileBytes + 1)
  if (kept !== undefined && kept.length === keyFileBytes) return { _tag: "KeyFile", key: kept }
  const key = (yield* Entropy).bytes(keyFileBytes)
  yield* replaceFile(disk, keyFile, key)
  return { _tag: "KeyFile", key }
})

/** What keeps the small secrets of this folder: a passphrase, or a key file that is made where there is none. */
export const secretOf = (passphrase: string | undefined) =>
  passphrase === undefined ? keyFileSecret() : Effect.succeed<KeyringSecret>({ _tag: "Passphrase", passphrase })

/**
 * A vault of a folder that is made now, or, with `master`, a copy of another member's. What a start that died before the marker left is replaced: nothing is
 * under it.
 */
export const createVault = Effect.fnUntraced(function* (folder: Folder, passphrase: string | undefined, master?: Uint8Array) {
  const entropy = yield* Entropy
  const keys: VaultKeys = { vaultId: folder.vault, generation: 1, master: master ?? entropy.bytes(masterBytes) }
  const protection = yield* secretOf(passphrase)
  yield* writeKeyring(createKeyring({ vaultId: folder.vault, master: keys.master, protection, random: entropy.bytes }))
  return { keys, underKeyFile: protection._tag === "KeyFile" }
})

export const openVaultFile = Effect.fnUntraced(function* (folder: Folder, passphrase: string | undefined) {
  const disk = yield* Disk
  const bytes = yield* readSmallFile(disk, keyringFile, keyringBytes + 1)
  if (bytes === undefined) return yield* new VaultRefused({ detail: `${keyringFile} is missing; restore it from a copy, or the data cannot be read` })
  const header = readKeyringHeader(bytes)
  if (header instanceof KeyringError) return yield* refuseFile(header, false)
  if (header.vaultId !== folder.vault) return yield* new VaultRefused({ detail: `${keyringFile} belongs to another store; restore this one's` })
  const underKeyFile = header.protection === "KeyFile"
  if (!underKeyFile && passphrase === undefined) {
    return yield* new VaultRefused({ detail: "this store is under a passphrase: set OUROBOROS_PASSPHRASE" })
  }
  const key = underKeyFile ? yield* readSmallFile(disk, keyFile, keyFileBytes + 1) : undefined
  if (underKeyFile && key === undefined) return yield* new VaultRefused({ detail: `${keyFile} is missing; restore it, or the data cannot be read` })
  const secret: KeyringSecret = key === undefined ? { _tag: "Passphrase", passphrase: passphrase ?? "" } : { _tag: "KeyFile", key }
  const keys = openKeyring(bytes, secret)
  return keys instanceof KeyringError ? yield* refuseFile(keys, underKeyFile) : { keys, underKeyFile }
})

/** Puts an exported key back where the keyring is lost, under the passphrase or a key file. Only this store's key is taken. */
export const importVaultKey = Effect.fnUntraced(function* (folder: Folder, text: string, passphrase: string | undefined) {
  const keys = importKey(text)
  if (keys instanceof KeyringError) return yield* refuse(keys)
  if (folder.fresh || keys.vaultId !== folder.vault) return yield* new VaultRefused({ detail: "this is another store's key; nothing was changed" })
  yield* changeVaultSecret(keys, passphrase)
})

/** The same vault key under another secret; undefined goes back to a key file. After any crash the old or the new one opens it. */
export const changeVaultSecret = Effect.fnUntraced(function* (keys: VaultKeys, passphrase: string | undefined) {
  const disk = yield* Disk
  const entropy = yield* Entropy
  yield* writeKeyring(sealKeyring(keys, yield* secretOf(passphrase), entropy.bytes))
  if (passphrase === undefined) return
  // The key file opens nothing any more; only now may it go.
  yield* disk.remove(keyFile).pipe(Effect.catch((error) => (error.code === "NotFound" ? Effect.void : Effect.fail(error))))
  yield* disk.syncFolder("")
})
