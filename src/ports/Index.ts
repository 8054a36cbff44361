/**
 * Index: the KeyValue of a data folder before anybody has opened it. A node opens it once it knows that the folder is its
 * own. The index is disposable (R8): one that cannot be opened is thrown away, and whoever opens is told.
 * Adapter: node/layers over adapters/Lmdb. Twin: sim/KeyValue.
 */
import { Context, type Effect, type Scope } from "effect"
import type { KeyValueError, KeyValueService } from "./KeyValue.ts"

export interface OpenedIndex {
  readonly service: KeyValueService
  /** It was damaged, for the reason `why`, and is empty now: checkpoint and journal fill it again. */
  readonly wasReset: boolean
  readonly why: string
}

export interface IndexService {
  /** Until the scope closes. */
  readonly open: Effect.Effect<OpenedIndex, KeyValueError, Scope.Scope>
}

export class Index extends Context.Service<Index, IndexService>()("ouroborosdb/ports/Index") {}
