/**
 * Ports: a simulated machine under a node: the twin of every port that node/layers puts adapters under, and of nothing
 * else. test/tidy holds the two to the same set.
 */
import { Effect, Layer } from "effect"
import { Compute, type ComputeService } from "../src/ports/Compute.ts"
import { Disk, type DiskService } from "../src/ports/Disk.ts"
import { Entropy, type EntropyService } from "../src/ports/Entropy.ts"
import { HttpListener, type HttpListenerService } from "../src/ports/HttpListener.ts"
import { Index, type OpenedIndex } from "../src/ports/Index.ts"
import type { KeyValueService } from "../src/ports/KeyValue.ts"
import { Memory, type MemoryGauge } from "../src/ports/Memory.ts"
import { FileUnreadable, TextFiles } from "../src/ports/TextFiles.ts"

export interface Twins {
  readonly disk: DiskService
  readonly entropy: EntropyService
  readonly http: HttpListenerService
  readonly compute: ComputeService
  /** Damage that its file has, where it is to be met at the opening; the index is empty then. */
  readonly index: { readonly service: KeyValueService; readonly damage: string | undefined }
  readonly memory: MemoryGauge
}

const openedOf = ({ damage, service }: Twins["index"]): OpenedIndex =>
  ({ service, wasReset: damage !== undefined, why: damage ?? "" })

export const twinsLayer = (twins: Twins) =>
  Layer.mergeAll(
    Layer.succeed(Disk, twins.disk),
    Layer.succeed(Entropy, twins.entropy),
    Layer.succeed(HttpListener, twins.http),
    Layer.succeed(Compute, twins.compute),
    Layer.succeed(Index, { open: Effect.sync(() => openedOf(twins.index)) }),
    Layer.succeed(Memory, twins.memory),
    Layer.succeed(TextFiles, { read: (path) => Effect.fail(new FileUnreadable({ path, detail: "no such file on this machine" })) })
  )
