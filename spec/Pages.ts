/**
 * Pages: which of all names a listing shows: sorted, asked for, grouped, cut off. It sits between ObjectStore, which
 * knows what there is, and whoever compares a listing with it.
 */

export interface Query {
  readonly prefix: string
  readonly delimiter: string
  readonly after: string
  readonly limit: number
}

export interface Page<Item> {
  readonly items: ReadonlyArray<Item>
  readonly prefixes: ReadonlyArray<string>
  readonly more: boolean
}

/** S3's order: that of the UTF-8 bytes, which is not JavaScript's above U+FFFF. */
export const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** The common prefix that covers a key: up to the first delimiter after the prefix. */
const covering = ({ prefix, delimiter }: Query, key: string): string | undefined => {
  if (delimiter === "") return undefined
  const index = key.indexOf(delimiter, prefix.length)
  return index < 0 ? undefined : key.slice(0, index + delimiter.length)
}

export const page = <Item extends { readonly key: string }>(all: ReadonlyArray<Item>, query: Query, inclusive = false): Page<Item> => {
  const { prefix, after, limit } = query
  const afterIsPrefix = after.startsWith(prefix) && covering(query, after) === after
  const asked = all.filter(({ key }) => {
    if (!key.startsWith(prefix)) return false
    if (after === "") return true
    if (afterIsPrefix && key.startsWith(after)) return false
    return byBytes(key, after) > 0 || (inclusive && key === after)
  })
  const items: Array<Item> = []
  const prefixes: Array<string> = []
  for (const item of asked) {
    const common = covering(query, item.key)
    if (common !== undefined && prefixes.at(-1) === common) continue
    if (items.length + prefixes.length >= limit) return { items, prefixes, more: limit > 0 }
    if (common === undefined) items.push(item)
    else prefixes.push(common)
  }
  return { items, prefixes, more: false }
}
