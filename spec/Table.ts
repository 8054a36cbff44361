/**
 * Table: rows in order, as plainly as they can be said: the reference of the state. Every commit keeps a copy of all rows;
 * a crash goes back to some commit, and to none before the last checkpoint that ended.
 */
export class Table {
  /** The rows after each commit; the first has none. */
  readonly commits: Array<ReadonlyMap<string, string>> = [new Map()]
  /** The newest commit that a checkpoint promised. */
  promised = 0

  get rows(): ReadonlyMap<string, string> {
    return this.commits.at(-1) ?? new Map<string, string>()
  }

  get sequence(): number {
    return this.commits.length - 1
  }

  /** Undefined removes. */
  write(changes: ReadonlyArray<readonly [string, string | undefined]>): void {
    const next = new Map(this.rows)
    for (const [key, value] of changes) {
      if (value === undefined) next.delete(key)
      else next.set(key, value)
    }
    this.commits.push(next)
  }

  checkpoint(): void {
    this.promised = this.sequence
  }

  /** What was written after it is gone. */
  goBackTo(sequence: number): void {
    this.commits.length = sequence + 1
  }

  scan(from: string, to: string, reverse: boolean): ReadonlyArray<readonly [string, string]> {
    const rows = [...this.rows].filter(([key]) => from <= key && key < to).sort(([a], [b]) => (a < b ? -1 : 1))
    return reverse ? rows.reverse() : rows
  }
}
