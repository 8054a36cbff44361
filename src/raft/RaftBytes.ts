/**
 * RaftBytes: how numbers, ids, configurations and entries are written and read, shared by what a replica keeps and what it
 * says. Between bytes and RaftFormat.ts. Integers are big-endian; nothing is allocated by a length that is not checked; there is
 * one way to write a value, and no other is read.
 */
import { Data } from "effect"
import { assert } from "../base/assert.ts"
import { copyOf, equalBytes, fromUtf8, getU64, putU64, toHex, toUtf8 } from "../base/bytes.ts"
import { idBytes, rawId } from "../base/ids.ts"
import { raftCommandBytesMax, raftMembersMax, raftReplicaIdBytesMax } from "../base/raftLimits.ts"
import type { Configuration } from "./Configuration.ts"
import type { Entry, EntryBody, ReplicaId } from "./Entry.ts"

/** Invalid: not what was written. Unknown: of a version or kind that this program does not know. */
export class RaftFormatError extends Data.TaggedError("RaftFormatError")<{
  readonly what: "record" | "message"
  readonly reason: "Invalid" | "Unknown"
  readonly offset: number
  readonly detail: string
}> {
  override get message(): string {
    const next = this.reason === "Unknown" ? ": written by a newer version, use that" : ""
    return `raft: a ${this.what} cannot be read at byte ${this.offset}: ${this.detail}${next}`
  }
}

const firstBytes = 256

export class ByteWriter {
  #bytes = Buffer.alloc(firstBytes)
  #at = 0

  #room(count: number): number {
    const at = this.#at
    if (at + count > this.#bytes.length) {
      const larger = Buffer.alloc(2 * (at + count))
      larger.set(this.#bytes.subarray(0, at))
      this.#bytes = larger
    }
    this.#at += count
    return at
  }

  u8(value: number): this {
    const at = this.#room(1)
    this.#bytes.writeUInt8(value, at)
    return this
  }

  u32(value: number): this {
    const at = this.#room(4)
    this.#bytes.writeUInt32BE(value, at)
    return this
  }

  u64(value: number): this {
    const at = this.#room(8)
    putU64(this.#bytes, at, value)
    return this
  }

  flag(value: boolean): this {
    return this.u8(value ? 1 : 0)
  }

  raw(bytes: Uint8Array): this {
    const at = this.#room(bytes.length)
    this.#bytes.set(bytes, at)
    return this
  }

  /** 16 bytes, as hex. */
  id(id: string): this {
    const bytes = rawId(id)
    assert(bytes.length === idBytes, `an id has ${idBytes} bytes, not ${bytes.length}`)
    return this.raw(bytes)
  }

  /** "" stands for none. */
  replica(id: ReplicaId | undefined): this {
    const bytes = toUtf8(id ?? "")
    assert(id === undefined || (bytes.length > 0 && bytes.length <= raftReplicaIdBytesMax), `a replica's id has 1 to ${raftReplicaIdBytesMax} bytes, not ${bytes.length}`)
    return this.u8(bytes.length).raw(bytes)
  }

  configuration({ learners, outgoing, voters }: Configuration): this {
    for (const ids of [voters, outgoing, learners]) {
      assert(ids.length <= raftMembersMax, `at most ${raftMembersMax} of a kind in one configuration, not ${ids.length}`)
      this.u8(ids.length)
      for (const id of ids) this.replica(id)
    }
    return this
  }

  entry({ body, index, term }: Entry): this {
    this.u64(index).u64(term).u8(entryKinds[body._tag])
    if (body._tag === "Configuration") return this.configuration(body.configuration)
    if (body._tag === "Nothing") return this
    assert(body.bytes.length <= raftCommandBytesMax, `a command has at most ${raftCommandBytesMax} bytes, not ${body.bytes.length}`)
    return this.u32(body.bytes.length).raw(body.bytes)
  }

  /** What was written; the writer is done. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#at)
  }
}

const entryKinds: Record<EntryBody["_tag"], number> = { Nothing: 1, Command: 2, Configuration: 3 }
/** Index, term, kind. */
export const entryBytesMin = 17

export class ByteReader {
  readonly #bytes: Uint8Array
  readonly #what: RaftFormatError["what"]
  #at = 0

  constructor(bytes: Uint8Array, what: RaftFormatError["what"]) {
    this.#bytes = bytes
    this.#what = what
  }

  refuse(detail: string, reason: RaftFormatError["reason"] = "Invalid"): never {
    throw new RaftFormatError({ what: this.#what, reason, offset: this.#at, detail })
  }

  #take(count: number): Uint8Array {
    if (count > this.#bytes.length - this.#at) return this.refuse(`${count} bytes where ${this.#bytes.length - this.#at} are left`)
    this.#at += count
    return this.#bytes.subarray(this.#at - count, this.#at)
  }

  u8(): number {
    return this.#take(1)[0]!
  }

  u32(): number {
    const [a, b, c, d] = this.#take(4)
    return a! * 0x1_00_00_00 + (b! << 16) + (c! << 8) + d!
  }

  u64(): number {
    return getU64(this.#take(8), 0) ?? this.refuse("a number that is too large")
  }

  flag(): boolean {
    const value = this.u8()
    return value <= 1 ? value === 1 : this.refuse(`${value} where yes or no should be`)
  }

  id<Id extends string>(): Id {
    return toHex(this.#take(idBytes)) as Id
  }

  optionalReplica(): ReplicaId | undefined {
    const length = this.u8()
    if (length > raftReplicaIdBytesMax) return this.refuse(`an id of ${length} bytes`)
    const bytes = this.#take(length)
    const id = fromUtf8(bytes)
    if (id === undefined || !equalBytes(toUtf8(id), bytes)) return this.refuse("an id that is no text")
    return id === "" ? undefined : id
  }

  replica(): ReplicaId {
    return this.optionalReplica() ?? this.refuse("an id of no bytes")
  }

  /** How many things follow, each of at least so many bytes. */
  count(most: number, bytesMin: number): number {
    const count = this.u32()
    const left = this.#bytes.length - this.#at
    return count <= most && count * bytesMin <= left ? count : this.refuse(`${count} of something, where ${left} bytes are left and ${most} are the most`)
  }

  #replicas(): ReadonlyArray<ReplicaId> {
    const count = this.u8()
    if (count > raftMembersMax) return this.refuse(`${count} replicas, at most ${raftMembersMax}`)
    const ids: Array<ReplicaId> = []
    for (let index = 0; index < count; index += 1) {
      const id = this.replica()
      if (index > 0 && !(ids[index - 1]! < id)) return this.refuse("replicas that do not ascend")
      ids.push(id)
    }
    return ids
  }

  configuration(): Configuration {
    const voters = this.#replicas()
    const outgoing = this.#replicas()
    const learners = this.#replicas()
    return learners.some((id) => voters.includes(id)) ? this.refuse("a learner who votes") : { voters, outgoing, learners }
  }

  entry(): Entry {
    const index = this.u64()
    const term = this.u64()
    return index === 0 ? this.refuse("an entry before the first") : { index, term, body: this.#body() }
  }

  #body(): EntryBody {
    const kind = this.u8()
    switch (kind) {
      case entryKinds.Nothing:
        return { _tag: "Nothing" }
      case entryKinds.Command: {
        const length = this.u32()
        return length <= raftCommandBytesMax ? { _tag: "Command", bytes: copyOf(this.#take(length)) } : this.refuse(`a command of ${length} bytes`)
      }
      case entryKinds.Configuration:
        return { _tag: "Configuration", configuration: this.configuration() }
      default:
        return this.refuse(`an entry of kind ${kind}`, "Unknown")
    }
  }

  /** All that is left. */
  end(): void {
    if (this.#at !== this.#bytes.length) this.refuse(`${this.#bytes.length - this.#at} bytes too many`)
  }
}

/** The value that fills the bytes, or why there is none. */
export const reading = <A>(bytes: Uint8Array, what: RaftFormatError["what"], read: (reader: ByteReader) => A): A | RaftFormatError => {
  const reader = new ByteReader(bytes, what)
  try {
    const value = read(reader)
    reader.end()
    return value
  } catch (error) {
    if (error instanceof RaftFormatError) return error
    throw error
  }
}
