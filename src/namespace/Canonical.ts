/**
 * Canonical: the one byte form of entries, vertices, pages and row values. It sits between the nouns of the namespace
 * and Cbor: arrays, unsigned integers, byte strings, booleans and null only.
 *
 * Fields are positional, so there are no maps to order; text is a byte string of UTF-8 (CBOR text loses a leading
 * U+FEFF in some readers); absent is null. Equal values have equal bytes, and bytes that are not the form of their value are
 * refused, so a hash of the bytes names the value.
 */
import { assert } from "../base/assert.ts"
import { compareBytes, copyOf, equalBytes, fromHex, fromUtf8, toHex, utf8Length } from "../base/bytes.ts"
import { CborReader, decodeCbor, encodeBy, FormatError, type Node, putArray, putHex, putNode, putText } from "./Cbor.ts"

export { FormatError, type Node } from "./Cbor.ts"

/**
 * Writes a value as a tree of nodes; reads it back or throws FormatError. `at` is where, for the message. `put` and `take` do
 * the same without the nodes, which are most of what a row costs; `take` throws where `read` does, and need not say why.
 */
export interface Codec<A> {
  readonly write: (value: A) => Node
  readonly read: (node: unknown, at: string) => A
  readonly put?: (value: A) => void
  readonly take?: (reader: CborReader) => A
}

const putOf = <A>(codec: Codec<A>): ((value: A) => void) => codec.put ?? ((value) => putNode(codec.write(value)))
const takeOf = <A>(codec: Codec<A>): ((reader: CborReader) => A) => codec.take ?? ((reader) => codec.read(reader.read(), ""))

/** What `take` throws: `read` says what is wrong. */
const refuse = (): never => fail("", "is none")

const fail = (at: string, claim: string): never => {
  throw new FormatError(`${at}: ${claim}`)
}

/** Encodes with the codec. Equal values give equal bytes. */
export const encodeWith = <A>(codec: Codec<A>, value: A): Uint8Array => encodeBy(putOf(codec), value)

/** Decodes one value that fills `bytes`; throws FormatError unless they are exactly the bytes of their value. */
export const decodeWith = <A>(codec: Codec<A>, bytes: Uint8Array, what: string): A => {
  const value = decodeTrusted(codec, bytes, what)
  if (!equalBytes(encodeWith(codec, value), bytes)) return fail(what, "not in canonical form")
  return value
}

/** As decodeWith, for bytes that a hash or a cipher already vouches for: the form is not compared again. */
export const decodeTrusted = <A>(codec: Codec<A>, bytes: Uint8Array, what: string): A => {
  try {
    const reader = new CborReader(bytes)
    const value = takeOf(codec)(reader)
    if (reader.isAtEnd) return value
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
  }
  // Node by node, which says where it is wrong.
  return codec.read(decodeNode(bytes, what), what)
}

const decodeNode = (bytes: Uint8Array, what: string): Node => {
  try {
    return decodeCbor(bytes)
  } catch (error) {
    if (error instanceof FormatError) return fail(what, error.message)
    throw error
  }
}

/** An unsigned integer up to `max`, by default the largest safe one. */
export const uint = (max: number = Number.MAX_SAFE_INTEGER): Codec<number> => ({
  write: (value) => {
    assert(Number.isSafeInteger(value) && value >= 0 && value <= max, `not an integer in 0..${max}: ${value}`)
    return value
  },
  read: (node, at) =>
    typeof node === "number" && Number.isSafeInteger(node) && node >= 0 && node <= max
      ? node
      : fail(at, `not an integer in 0..${max}`)
})

const uint64End = 1n << 64n

/** An unsigned 64-bit integer. */
export const uint64: Codec<bigint> = {
  write: (value) => {
    assert(value >= 0n && value < uint64End, `not an unsigned 64-bit integer: ${value}`)
    return value
  },
  read: (node, at) => {
    if (typeof node === "bigint" && node >= 0n && node < uint64End) return node
    return typeof node === "number" && Number.isSafeInteger(node) && node >= 0 ? BigInt(node) : fail(at, "not an unsigned 64-bit integer")
  }
}

export const flag: Codec<boolean> = {
  write: (value) => value,
  read: (node, at) => (typeof node === "boolean" ? node : fail(at, "not a boolean"))
}

/** Bytes, at most `max` of them. */
export const raw = (max: number): Codec<Uint8Array> => ({
  write: (value) => {
    assert(value.length <= max, `${value.length} bytes, at most ${max}`)
    return value
  },
  // A copy: what is decoded may outlive what it was decoded from.
  read: (node, at) => (node instanceof Uint8Array && node.length <= max ? copyOf(node) : fail(at, `not a byte string of at most ${max}`)),
  take: (reader) => {
    const bytes = reader.bytes()
    return bytes.length <= max ? copyOf(bytes) : refuse()
  }
})

/** The same, read as a view of what is decoded: for bytes of rows, which nobody changes or gives back. */
export const rawView = (max: number): Codec<Uint8Array> => ({
  write: raw(max).write,
  // No Buffer, whatever the row is: what is decoded is alike wherever it came from.
  read: (node, at) =>
    node instanceof Uint8Array && node.length <= max
      ? new Uint8Array(node.buffer, node.byteOffset, node.length)
      : fail(at, `not a byte string of at most ${max}`)
})

/** Text of at most `max` bytes of UTF-8. A lone surrogate has no UTF-8 and is refused. */
export const text = (max: number): Codec<string> => ({
  write: (value) => {
    assert(value.isWellFormed(), "text with a lone surrogate")
    // Several times as fast as TextEncoder for texts as short as ours.
    const bytes = Buffer.from(value, "utf8")
    assert(bytes.length <= max, `text of ${bytes.length} bytes, at most ${max}`)
    return bytes
  },
  read: (node, at) =>
    (node instanceof Uint8Array && node.length <= max ? fromUtf8(node) : undefined) ?? fail(at, `not UTF-8 of at most ${max} bytes`),
  put: (value) => {
    assert(value.isWellFormed(), "text with a lone surrogate")
    const sizeBytes = utf8Length(value)
    assert(sizeBytes <= max, `text of ${sizeBytes} bytes, at most ${max}`)
    putText(value, sizeBytes)
  },
  take: (reader) => {
    const bytes = reader.bytes()
    return (bytes.length <= max ? fromUtf8(bytes) : undefined) ?? refuse()
  }
})

/** An id or hash: hex in memory, `bytes` raw bytes in the format. */
export const hex = <Id extends string>(bytes: number): Codec<Id> => ({
  write: (value) => {
    const raw = fromHex(value)
    assert(raw.length === bytes, `${raw.length} bytes of an id of ${bytes}`)
    return raw
  },
  read: (node, at) => (node instanceof Uint8Array && node.length === bytes ? (toHex(node) as Id) : fail(at, `not ${bytes} bytes`)),
  put: (value) => assert(putHex(value, bytes), `not ${bytes} bytes of hexadecimal: ${value.slice(0, 80)}`),
  take: (reader) => reader.hex(bytes) as Id
})

/** One of a fixed list of words, as its place in the list. The list only ever grows at its end. */
export const word = <W extends string>(words: ReadonlyArray<W>): Codec<W> => ({
  write: (value) => {
    const index = words.indexOf(value)
    assert(index >= 0, `not one of ${words.join(", ")}: ${value}`)
    return index
  },
  read: (node, at) => (typeof node === "number" ? words[node] : undefined) ?? fail(at, `not one of ${words.length} words`)
})

export const optional = <A>(codec: Codec<A>): Codec<A | undefined> => {
  const put = putOf(codec)
  const take = takeOf(codec)
  return {
    write: (value) => (value === undefined ? null : codec.write(value)),
    read: (node, at) => (node === null ? undefined : codec.read(node, at)),
    put: (value) => (value === undefined ? putNode(null) : put(value)),
    take: (reader) => (reader.takeNull() ? undefined : take(reader))
  }
}

export const list = <A>(codec: Codec<A>, max: number): Codec<ReadonlyArray<A>> => listBy(codec, max, putOf(codec), takeOf(codec))

const listBy = <A>(codec: Codec<A>, max: number, put: (value: A) => void, take: (reader: CborReader) => A): Codec<ReadonlyArray<A>> => ({
  write: (values) => {
    assert(values.length <= max, `${values.length} items, at most ${max}`)
    return values.map(codec.write)
  },
  read: (node, at) =>
    Array.isArray(node) && node.length <= max
      ? node.map((item, index) => codec.read(item, `${at}[${index}]`))
      : fail(at, `not a list of at most ${max}`),
  put: (values) => {
    assert(values.length <= max, `${values.length} items, at most ${max}`)
    putArray(values.length)
    for (const value of values) put(value)
  },
  take: (reader) => {
    const count = reader.enter()
    if (count > max) refuse()
    const values: Array<A> = []
    for (let index = 0; index < count; index += 1) values.push(take(reader))
    return values
  }
})

/** A record of texts, as pairs in byte order of their names. */
export const textRecord = (pairsMax: number, bytesMax: number): Codec<Readonly<Record<string, string>>> => {
  const item = text(bytesMax)
  const takeText = takeOf(item)
  return {
    write: (value) => {
      const pairs = Object.entries(value).map(([name, content]) => [item.write(name) as Uint8Array, item.write(content)] as const)
      assert(pairs.length <= pairsMax, `${pairs.length} pairs, at most ${pairsMax}`)
      return pairs.sort((a, b) => compareBytes(a[0], b[0]))
    },
    read: (node, at) => {
      if (!Array.isArray(node) || node.length > pairsMax) return fail(at, `not a list of at most ${pairsMax} pairs`)
      const entries = node.map((pair, index) => {
        if (!Array.isArray(pair) || pair.length !== 2) return fail(`${at}[${index}]`, "not a pair")
        return [item.read(pair[0], `${at}[${index}]`), item.read(pair[1], `${at}[${index}]`)] as const
      })
      return Object.fromEntries(entries)
    },
    take: (reader) => {
      const count = reader.enter()
      if (count > pairsMax) refuse()
      const entries: Array<readonly [string, string]> = []
      for (let index = 0; index < count; index += 1) {
        if (reader.enter() !== 2) refuse()
        entries.push([takeText(reader), takeText(reader)])
      }
      return Object.fromEntries(entries)
    }
  }
}

type FieldsOf<A> = {
  readonly [K in keyof A]-?: Codec<A[K]> | (Partial<Pick<A, K>> extends Pick<A, K> ? Codec<A[K] | undefined> : never)
}

/** Where each field is, for messages: the same as the last time, in most cases, and not made again. */
const rememberedPlaces = (names: ReadonlyArray<string>): ((at: string) => ReadonlyArray<string>) => {
  let last: string | undefined
  let places: ReadonlyArray<string> = []
  return (at) => {
    if (at === last) return places
    last = at
    return (places = names.map((name) => `${at}.${name}`))
  }
}

/** An object, as the list of its fields in the order in which they are given here; an optional one may be null. */
export const struct = <A extends object>(fields: FieldsOf<A>): Codec<A> => {
  const names = Object.keys(fields)
  const codecs = names.map((name) => fields[name as keyof A] as Codec<unknown>)
  const placesOf = rememberedPlaces(names)
  const puts = codecs.map(putOf)
  const takes = codecs.map(takeOf)
  return {
    write: (value) => codecs.map((codec, index) => codec.write(value[names[index] as keyof A])),
    read: (node, at) => {
      if (!Array.isArray(node) || node.length !== names.length) return fail(at, `not ${names.length} fields`)
      const value: Record<string, unknown> = {}
      const places = placesOf(at)
      for (let index = 0; index < names.length; index += 1) {
        const field = codecs[index]!.read(node[index], places[index]!)
        if (field !== undefined) value[names[index]!] = field
      }
      return value as A
    },
    put: (value) => {
      putArray(names.length)
      for (let index = 0; index < names.length; index += 1) puts[index]!(value[names[index] as keyof A])
    },
    take: (reader) => {
      if (reader.enter() !== names.length) refuse()
      const value: Record<string, unknown> = {}
      for (let index = 0; index < names.length; index += 1) {
        const field = takes[index]!(reader)
        if (field !== undefined) value[names[index]!] = field
      }
      return value as A
    }
  }
}

type Tagged = { readonly _tag: string }
type Cases<U extends Tagged> = { readonly [T in U["_tag"]]: readonly [number: number, codec: Codec<Omit<Extract<U, { readonly _tag: T }>, "_tag">>] }

/** A tagged union, as [number of the case, its fields]. Numbers are never reused. */
export const union = <U extends Tagged>(cases: Cases<U>): Codec<U> => {
  const entries = Object.entries(cases) as ReadonlyArray<[string, readonly [number, Codec<object>]]>
  const byNumber = new Map<unknown, { readonly tag: string; readonly codec: Codec<object>; readonly take: (reader: CborReader) => object }>(
    entries.map(([tag, [number, codec]]) => [number, { tag, codec, take: takeOf(codec) }])
  )
  const puts = new Map(entries.map(([tag, [number, codec]]) => [tag, { number, put: putOf(codec) }]))
  assert(byNumber.size === entries.length, "two cases with one number")
  return {
    write: (value) => {
      const [number, codec] = cases[value._tag as U["_tag"]] as unknown as readonly [number, Codec<object>]
      return [number, codec.write(value)]
    },
    read: (node, at) => {
      if (!Array.isArray(node) || node.length !== 2) return fail(at, "not a tagged value")
      const found = byNumber.get(node[0])
      if (found === undefined) return fail(at, `unknown kind ${String(node[0])}: written by a newer version?`)
      return { _tag: found.tag, ...found.codec.read(node[1], `${at}.${found.tag}`) } as unknown as U
    },
    put: (value) => {
      const { number, put } = puts.get(value._tag)!
      putArray(2)
      putNode(number)
      put(value)
    },
    take: (reader) => {
      if (reader.enter() !== 2) refuse()
      const { tag, take } = byNumber.get(reader.read()) ?? refuse()
      return { _tag: tag, ...take(reader) } as unknown as U
    }
  }
}
