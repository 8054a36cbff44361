/**
 * Journal: a log as plainly as it can be said: the reference of the room of the journal. What was acknowledged is there after
 * any crash, in the order in which it was appended; of the rest a beginning is; what nobody needs any more may be gone. Of an
 * append that is whole all records are there, or none.
 */
export interface Logged {
  readonly id: number
  readonly text: string
  /** The first id of its append, where that is whole. */
  readonly whole: number | undefined
  acknowledged: boolean
  /** Its writer was told that it is lost. */
  lost: boolean
}

export class Journal {
  records: Array<Logged> = []
  /** Nothing before it is needed. */
  keepFromId = 0
  idNext = 1
  /** The last sync failed: if the next one does as well, the journal gives up. */
  failed = false

  append(texts: ReadonlyArray<string>, isWhole: boolean): ReadonlyArray<Logged> {
    const whole = isWhole ? this.idNext : undefined
    const records = texts.map((text, index): Logged => ({ id: this.idNext + index, text, whole, acknowledged: false, lost: false }))
    this.idNext += texts.length
    this.records.push(...records)
    return records
  }

  get acknowledged(): ReadonlyArray<Logged> {
    return this.records.filter((one) => one.acknowledged && one.id >= this.keepFromId)
  }

  /** Why a replay from `keepFromId` cannot be right; undefined: it can. After a stop nothing was on its way: `clean`. */
  faultOf(replayed: ReadonlyArray<{ readonly id: number; readonly text: string }>, clean: boolean): string | undefined {
    const seen = new Set<number>()
    let before = 0
    for (const { id, text } of replayed) {
      const record = this.records.find((one) => one.id === id)
      if (record === undefined) return `${id} was never appended, or had been cut off before`
      if (record.text !== text) return `${id} is not as it was appended`
      if (id <= before) return `${id} comes after ${before}`
      before = id
      seen.add(id)
    }
    const needed = this.records.filter((one) => one.id >= this.keepFromId)
    const missing = needed.find((one) => one.acknowledged && !seen.has(one.id))
    if (missing !== undefined) return `${missing.id} was acknowledged and is gone`
    const parted = needed.find((one) => !seen.has(one.id) && needed.some((other) => other.whole === one.whole && one.whole !== undefined && seen.has(other.id)))
    if (parted !== undefined) return `${parted.id} is gone, and others of its append are there`
    const open = needed.filter((one) => !one.acknowledged && !one.lost)
    const gap = open.findIndex((one) => !seen.has(one.id))
    if (gap >= 0 && clean) return `${open[gap]?.id} was appended, and a clean stop left it out`
    const behind = gap < 0 ? undefined : open.slice(gap).find((one) => seen.has(one.id))
    return behind === undefined ? undefined : `${behind.id} is there, and ${open[gap]?.id} before it is not`
  }

  /** The next life goes on with what it found. */
  adopt(ids: ReadonlySet<number>): void {
    this.records = this.records.filter((one) => one.id < this.keepFromId || ids.has(one.id))
    for (const one of this.records) one.acknowledged = true
  }
}
