/**
 * Shelf: blocks as plainly as they can be said: the reference of the room of blocks. A block is there from the moment its
 * write succeeded until it is removed; a power cut may bring back what was removed, and something of what was never whole.
 */
export interface Put {
  readonly place: number
  readonly bytes: string
}

export class Shelf {
  readonly blocks = new Map<string, ReadonlyArray<Put>>()
  /** Removed in this life: a power cut may undo it. */
  readonly removed = new Map<string, ReadonlyArray<Put>>()
  /** Removed in an earlier one: there or not. */
  readonly perhaps = new Map<string, ReadonlyArray<Put>>()
  /** Their writes failed. Nobody asks for them. */
  readonly nobodys = new Set<string>()

  write(block: string, puts: ReadonlyArray<Put>): void {
    this.blocks.set(block, puts)
  }

  remove(block: string): void {
    const puts = this.blocks.get(block) ?? this.perhaps.get(block)
    if (puts === undefined) return
    this.blocks.delete(block)
    this.perhaps.delete(block)
    this.removed.set(block, puts)
  }

  powerCut(): void {
    for (const [block, puts] of this.removed) this.perhaps.set(block, puts)
    this.removed.clear()
  }

  /** Whether a block that is asked for may be answered like this. */
  allows(block: string, isThere: boolean): boolean {
    return this.perhaps.has(block) || this.nobodys.has(block) || this.blocks.has(block) === isThere
  }
}
