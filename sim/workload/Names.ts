/**
 * Names: keys as odd as S3 allows, and marked so that one in clear at rest is found. It sits under the workloads' draws.
 */
import type { Random } from "../Random.ts"

/** In names of buckets and keys, and in metadata; what is at rest must not have it. */
export const nameMark = "nmq7x2k9"

const odd = ["", "a", "a/b", "a/c", "a//", "b", "../", "./", "😀", "z\u0001", "é", "e\u0301", " ", "+", "%2F", "?x=1", "&amp;", "<b>", "'\"", "ключ/", "\uffff", "\u{10000}", "~", "0/1/2/3/4/"]

/** Always the same `count` keys for the same count: some of them prefixes of others, some beyond U+FFFF, where orders differ. */
export const keysOf = (count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `${odd[index % odd.length]!}${nameMark}${index < odd.length ? "" : Math.floor(index / odd.length)}`)

export const prefixes: ReadonlyArray<string> = ["", "a", "a/", "0/1", "é", "nobody's", "\u{10000}"]

/** Mostly a few hot ones. */
export const pickKey = (random: Random, keys: ReadonlyArray<string>): string => (random.chance(0.5) ? keys[random.below(Math.min(2, keys.length))]! : random.pick(keys))

export const bucketName = (room: string): string => `${room}-${nameMark}`
