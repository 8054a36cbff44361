/**
 * Machine: what there is to know of the machine, the process and a data folder before a node runs on them: facts, no
 * judgement. Undefined: this system does not tell. Adapter: adapters/NodeMachine.
 */
import { Context, type Effect } from "effect"

export interface MachineFacts {
  readonly nodeVersion: string
  /** Such as linux-x64. */
  readonly platform: string
  readonly cores: number
  /** Of the machine, or of the control group that this process is in, whichever is less. */
  readonly memoryBytes: number
  /** Soft and hard limit of open files. */
  readonly openFiles: { readonly soft: number; readonly hard: number } | undefined
  readonly nowMs: number
  /** A time service says that it has set the clock. */
  readonly isClockSet: boolean | undefined
  /** Native packages that cannot be loaded, and why. */
  readonly brokenPackages: ReadonlyArray<string>
}

export interface FolderFacts {
  readonly path: string
  /** Whether the folder is there; where it is not, the facts are those of the nearest folder above it. */
  readonly isThere: boolean
  /** Why nothing can be written in it; undefined: it can. */
  readonly unwritable: string | undefined
  /** Permission bits, such as 0o700. */
  readonly mode: number
  readonly freeBytes: number
  readonly freeFiles: number | undefined
  /** Such as ext4, nfs, tmpfs; hex digits for one without a name here. */
  readonly fileSystem: string
  /** Microseconds of one 4 KiB write with its sync: median of a few. Undefined where none could be written. */
  readonly syncMicros: number | undefined
  /** O_DIRECT is taken. */
  readonly isDirectIoTaken: boolean
  /** Time that the file system gives a file written now, less the clock's. */
  readonly fileTimeAheadMs: number | undefined
  /** When anything in the folder was written last; undefined in an empty one. */
  readonly lastWrittenMs: number | undefined
  /** Names of files that hold secrets and that others than their owner may read. */
  readonly openSecrets: ReadonlyArray<string>
  /** Names at the top of the folder. */
  readonly names: ReadonlyArray<string>
  /** Text of the marker file, where there is one. */
  readonly marker: string | undefined
}

export interface MachineService {
  readonly facts: Effect.Effect<MachineFacts>
  readonly folder: (path: string, markerFile: string, secretFiles: ReadonlyArray<string>) => Effect.Effect<FolderFacts>
  /** Why nothing can listen there; undefined: it is free. */
  readonly addressFault: (host: string, port: number) => Effect.Effect<string | undefined>
  /** When a certificate chain's first certificate ends, or why it cannot be read. */
  readonly certificateEndMs: (path: string) => Effect.Effect<number | string>
}

export class Machine extends Context.Service<Machine, MachineService>()("ouroborosdb/ports/Machine") {}
