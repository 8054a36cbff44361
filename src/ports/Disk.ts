/**
 * Disk: files of one data folder, with the durability of a real disk and nothing more.
 *
 * Nothing written is durable before `sync` of that file; no name (created, renamed, removed) before `syncFolder` of
 * the folder that holds it. A failed sync says nothing about what is on the disk, now or later.
 * Adapter: adapters/NodeDisk. Twin: sim/Disk. Both pass test/contract/disk.
 */
import { Context, Data, type Effect, type Scope } from "effect"

export type DiskErrorCode = "NotFound" | "Exists" | "Io" | "NoSpace" | "Permission" | "Invalid"

export class DiskError extends Data.TaggedError("DiskError")<{
  readonly operation: "open" | "read" | "write" | "sync" | "size" | "truncate" | "list" | "makeFolder" | "rename" | "remove" | "syncFolder" | "free"
  readonly path: string
  readonly code: DiskErrorCode
  readonly detail: string
}> {
  override get message(): string {
    return `disk: ${this.operation} ${this.path}: ${this.code} (${this.detail})`
  }
}

export type OpenMode = "read" | "write" | "create"

export interface OpenOptions {
  /**
   * Reads come from the disk and writes go to it, past the page cache, except for parts of a page at the ends of a write.
   * Whatever offsets, lengths and memory are given; whole pages (4 KiB, base/wasm) in page-aligned memory are not copied
   * on their way. A write is durable only after `sync`, as ever. Where the file system refuses, the file is opened all
   * the same, the page cache serves it, and `warnings` says so.
   *
   * A direct read shows what was written through this handle, and what any handle wrote and synced before. Handles of
   * both kinds on one file see no more of each other than that: sync before the other one reads, and never write a page
   * through one while the other writes it too. What a direct read shows is what the disk answers: a write that the disk
   * lost is seen to be lost, where the page cache would go on showing it.
   */
  readonly direct?: boolean
}

export interface DiskFile {
  readonly path: string
  /**
   * `length` bytes at `offset`; fewer only at the end of the file. The bytes belong to the caller. Where `memory` has room
   * for them they are a view of it; a direct read into page-aligned memory with a page to spare on either side copies
   * nothing.
   */
  readonly read: (offset: number, length: number, memory?: Uint8Array) => Effect.Effect<Uint8Array, DiskError>
  /** Writes all parts one after another from `offset`, whole or failed. The parts must not change until it is done. */
  readonly write: (offset: number, parts: ReadonlyArray<Uint8Array>) => Effect.Effect<void, DiskError>
  /** Contents and size become durable (fdatasync). After a failure the file must not be trusted: abandon it (R4). */
  readonly sync: Effect.Effect<void, DiskError>
  readonly size: Effect.Effect<number, DiskError>
  readonly truncate: (sizeBytes: number) => Effect.Effect<void, DiskError>
}

export interface DiskService {
  /**
   * Opens a file until the scope closes. "read": must exist. "write": must exist, reads too. "create": must not exist.
   * Paths are relative, with "/" between segments of [A-Za-z0-9._-]; never "." or "..": anything else is Invalid.
   */
  readonly open: (path: string, mode: OpenMode, options?: OpenOptions) => Effect.Effect<DiskFile, DiskError, Scope.Scope>
  /** Names in a folder, in byte order; NotFound where there is none. "" is the data folder itself. */
  readonly list: (folder: string) => Effect.Effect<ReadonlyArray<string>, DiskError>
  /** Makes a folder and its parents; nothing to do where it exists. */
  readonly makeFolder: (path: string) => Effect.Effect<void, DiskError>
  /** Replaces `to` where it exists; atomic in the page cache, durable after syncFolder. */
  readonly rename: (from: string, to: string) => Effect.Effect<void, DiskError>
  /** Removes a file; NotFound where there is none. Open files stay readable. */
  readonly remove: (path: string) => Effect.Effect<void, DiskError>
  readonly syncFolder: (path: string) => Effect.Effect<void, DiskError>
  readonly freeBytes: Effect.Effect<number, DiskError>
  /** What this disk cannot do that was asked of it, a sentence each, for the operator. */
  readonly warnings: () => ReadonlyArray<string>
}

export class Disk extends Context.Service<Disk, DiskService>()("ouroborosdb/ports/Disk") {}
