/**
 * TextFiles: small text files of the operator's that lie outside the data folder: certificates and keys.
 * Adapter: adapters/NodeProcess. Twin: sim/Ports.
 */
import { Context, Data, type Effect } from "effect"

export class FileUnreadable extends Data.TaggedError("FileUnreadable")<{ readonly path: string; readonly detail: string }> {
  override get message(): string {
    return `${this.path} cannot be read: ${this.detail}`
  }
}

export interface TextFilesService {
  readonly read: (path: string) => Effect.Effect<string, FileUnreadable>
}

export class TextFiles extends Context.Service<TextFiles, TextFilesService>()("ouroborosdb/ports/TextFiles") {}
