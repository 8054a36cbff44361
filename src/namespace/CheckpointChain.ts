/**
 * CheckpointChain: which checkpoint files there are, how many bytes, when a new base is due and what it makes
 * obsolete. It sits beside the state's checkpoints; the folder is the truth, this its memory.
 *
 * Two bases are kept, with every delta after the older one: each generation since can be rebuilt from either. The
 * empty state is the base before the first.
 */
import { checkpointBaseBytesMin, checkpointDeltasMax } from "../base/limits.ts"
import { probe } from "../base/probes.ts"
import type { CheckpointKind } from "./CheckpointFormat.ts"

interface File {
  readonly kind: CheckpointKind
  readonly generation: number
}

export class CheckpointChain {
  #files: Array<File & { readonly sizeBytes: number }> = []
  #isDoubtful = false
  /** The older of the two bases that stay cannot be read, or what follows it: the next generation has a base. */
  #isOlderDoubtful = false
  readonly #deltasMax: number

  constructor(deltasMax: number = checkpointDeltasMax) {
    this.#deltasMax = deltasMax
  }

  files(): ReadonlyArray<File & { readonly sizeBytes: number }> {
    return this.#files
  }

  /** Replaces what had this kind and generation. */
  add(file: File, sizeBytes: number): void {
    this.drop([file])
    this.#files.push({ ...file, sizeBytes })
    if (file.kind !== "base") return
    this.#isDoubtful = false
    this.#isOlderDoubtful = false
  }

  drop(files: ReadonlyArray<File>): void {
    this.#files = this.#files.filter((kept) => !files.some((file) => file.kind === kept.kind && file.generation === kept.generation))
  }

  /** A file was found damaged: a new base is due, whatever the sizes. */
  distrust(): void {
    this.#isDoubtful = true
  }

  distrustOlder(): void {
    this.#isOlderDoubtful = true
  }

  #bases(): ReadonlyArray<File & { readonly sizeBytes: number }> {
    return this.#files.filter((file) => file.kind === "base").sort((a, b) => b.generation - a.generation)
  }

  isBaseDue(): boolean {
    const base = this.#bases()[0]
    const deltas = this.#files.filter((file) => file.kind === "delta" && file.generation > (base?.generation ?? 0))
    const bytes = deltas.reduce((sum, file) => sum + file.sizeBytes, 0)
    if (deltas.length >= this.#deltasMax) probe("checkpoint.baseAfterDeltas")
    return this.#isDoubtful || (this.#isOlderDoubtful && deltas.length > 0) || deltas.length >= this.#deltasMax ||
      bytes > Math.max(base?.sizeBytes ?? 0, checkpointBaseBytesMin)
  }

  /** What the generation before the newest base can be rebuilt from once older files are gone: the base before it, and the deltas since. */
  standsForOlder(): ReadonlyArray<File> {
    const [newest, older] = this.#bases()
    if (newest === undefined || older === undefined) return []
    return [older, ...this.#files.filter(({ generation, kind }) => kind === "delta" && generation > older.generation && generation < newest.generation)]
  }

  /** Files that no generation since the older of the two newest bases needs. */
  obsolete(): ReadonlyArray<File> {
    const older = this.#bases()[1]
    if (older === undefined) return []
    return this.#files.filter((file) => file.generation < older.generation || (file.kind === "delta" && file.generation === older.generation))
  }
}
