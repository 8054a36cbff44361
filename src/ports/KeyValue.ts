/**
 * KeyValue: ordered tables of bytes, the disposable index (R8). Reads are synchronous (LMDB maps its file).
 *
 * A commit is atomic over all its tables, visible when it returns, durable only after `flushed`; a crash keeps some
 * prefix of the commits, at least up to the last `flushed`.
 * Adapter: adapters/Lmdb. Twin: sim/KeyValue. Both pass test/contract/keyValue.
 */
import { Context, Data, type Effect } from "effect"

export class KeyValueError extends Data.TaggedError("KeyValueError")<{
  readonly operation: "open" | "read" | "commit" | "flushed" | "wipe"
  readonly detail: string
}> {
  override get message(): string {
    return `index: ${this.operation}: ${this.detail}`
  }
}

export type KeyValueChange =
  | { readonly _tag: "Put"; readonly table: string; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly _tag: "Delete"; readonly table: string; readonly key: Uint8Array }

export interface RangeOptions {
  /** First key, inclusive; from the start of the table when absent. */
  readonly from?: Uint8Array
  /** End, exclusive; to the end of the table when absent. */
  readonly to?: Uint8Array
  /** From the last key of the same interval downwards. */
  readonly reverse?: boolean
  readonly limit: number
}

/**
 * Keys have 1 to 1,024 bytes. Values that reads return belong to the caller. Where the index is damaged reads throw KeyValueError
 * "read", and commits may fail: whatever it was, the next opening throws all of it away.
 */
export interface KeyValueService {
  readonly get: (table: string, key: Uint8Array) => Uint8Array | undefined
  readonly getMany: (table: string, keys: ReadonlyArray<Uint8Array>) => ReadonlyArray<Uint8Array | undefined>
  readonly range: (table: string, options: RangeOptions) => ReadonlyArray<readonly [Uint8Array, Uint8Array]>
  readonly commit: (changes: ReadonlyArray<KeyValueChange>) => Effect.Effect<void, KeyValueError>
  readonly flushed: Effect.Effect<void, KeyValueError>
  /** Empties every table: what a rebuild starts with. */
  readonly wipe: Effect.Effect<void, KeyValueError>
}

export class KeyValue extends Context.Service<KeyValue, KeyValueService>()("ouroborosdb/ports/KeyValue") {}
