/**
 * Model: what the server has promised so far, key by key. It sits between the load, which reports every outcome, and
 * the check after a restart. An acknowledged write is there; a refused one (4xx) is absent; one whose connection was
 * cut or that got a 5xx is there or not, whole either way.
 */

/** SHA-256 of the body; undefined: no object. */
export type State = string | undefined

/** A key that one worker writes, one operation at a time. */
export interface PlainKey {
  readonly key: string
  known: State
  etag: string | undefined
  /** States that unknown outcomes may have left. */
  readonly maybe: Array<State>
}

export interface Version {
  readonly id: string
  /** Undefined: a delete marker. */
  readonly sha256: State
}

export interface VersionedKey {
  readonly key: string
  /** Oldest first. */
  readonly versions: Array<Version>
  /** Versions that unknown outcomes may have added. */
  readonly maybe: Array<State>
}

export interface Upload {
  readonly id: string
  readonly parts: Map<number, { readonly etag: string; readonly bytes: Buffer }>
}

export interface Worker {
  readonly index: number
  readonly plain: ReadonlyArray<PlainKey>
  readonly versioned: ReadonlyArray<VersionedKey>
  readonly uploadKey: PlainKey
  /** An upload that a kill interrupted before its completion was sent. */
  upload: Upload | undefined
}

const plainKey = (key: string): PlainKey => ({ key, known: undefined, etag: undefined, maybe: [] })

export const makeWorker = (index: number): Worker => ({
  index,
  plain: Array.from({ length: 10 }, (_, each) => plainKey(`w${index}/key-${each}`)),
  versioned: Array.from({ length: 3 }, (_, each) => ({ key: `w${index}/versioned-${each}`, versions: [], maybe: [] })),
  uploadKey: plainKey(`w${index}/upload`),
  upload: undefined
})

export const acknowledged = (key: PlainKey, state: State, etag: string | undefined): void => {
  key.known = state
  key.etag = etag
  // What came before was overwritten, whatever became of it.
  key.maybe.length = 0
}

/** After a restart: is this what may be there? If so it is what is there from now on. */
export const settlePlain = (key: PlainKey, found: State, etag: string | undefined): "known" | "maybe" | "wrong" => {
  const verdict = found === key.known ? "known" : key.maybe.includes(found) ? "maybe" : "wrong"
  if (verdict !== "wrong") acknowledged(key, found, etag)
  return verdict
}

/** `found` newest first, as the server lists it. Answers what is wrong, or nothing and adopts what was found. */
export const settleVersioned = (key: VersionedKey, found: ReadonlyArray<Version>): ReadonlyArray<string> => {
  const oldestFirst = found.toReversed()
  const wrong: Array<string> = []
  const byId = new Map(oldestFirst.map((version) => [version.id, version]))
  for (const version of key.versions) {
    const there = byId.get(version.id)
    if (there === undefined) wrong.push(`${key.key}: acknowledged version ${version.id} is gone`)
    else if (there.sha256 !== version.sha256) wrong.push(`${key.key}: version ${version.id} has other bytes`)
  }
  const ids = new Set(key.versions.map(({ id }) => id))
  const left = [...key.maybe]
  for (const version of oldestFirst.filter(({ id }) => !ids.has(id))) {
    const at = left.indexOf(version.sha256)
    if (at < 0) wrong.push(`${key.key}: version ${version.id} was never written`)
    else left.splice(at, 1)
  }
  const order = oldestFirst.filter(({ id }) => ids.has(id)).map(({ id }) => id)
  if (wrong.length === 0 && order.join() !== key.versions.map(({ id }) => id).join()) wrong.push(`${key.key}: versions in another order`)
  if (wrong.length === 0) {
    key.versions.splice(0, key.versions.length, ...oldestFirst)
    key.maybe.length = 0
  }
  return wrong
}
