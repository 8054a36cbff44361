/**
 * RaftFormat: the bytes, version 1, of what a replica keeps in its node's journal, and of what replicas say to each other
 * (tables in README.md). Between the machine's nouns and the journal's records, which the vault seals, and the carrier's messages.
 */
import { unreachable } from "../base/assert.ts"
import type { GroupId } from "../base/ids.ts"
import { raftMessageBytesMax, raftMessageEntriesMax, raftStepEntriesMax } from "../base/raftLimits.ts"
import type { Configuration } from "./Configuration.ts"
import type { Entry, HardState, LogIndex, ReplicaId, SnapshotPlace, Term } from "./Entry.ts"
import type { Message, MessageBody } from "./Message.ts"
import { type ByteReader, ByteWriter, entryBytesMin, RaftFormatError, reading } from "./RaftBytes.ts"

/**
 * What every record of a step says, so that any one of them that can be read tells what the step was about: all of it is as
 * of the end of the step, but for `keepTo`.
 */
export interface StepHead {
  readonly group: GroupId
  /** Whose it is: a replica that comes back as another begins anew. */
  readonly replica: ReplicaId
  /** Steps of a group are numbered without a hole; the first is 1. */
  readonly step: number
  /** Records of the step: the step itself, its entries, and the step again where `isTwice`. */
  readonly records: number
  /** The last record is the first one again. */
  readonly isTwice: boolean
  readonly hardState: HardState
  readonly snapshotIndex: LogIndex
  readonly snapshotTerm: Term
  /** The log ends here, or there is none behind the snapshot, before the step's entries take their places. */
  readonly keepTo: LogIndex
}

/** An entry of the step, or one that can no longer be read: it has no record. */
export interface StepItem {
  readonly index: LogIndex
  /** Undefined: of a gap whose term is lost. */
  readonly term: Term | undefined
  readonly isGap: boolean
}

export type RaftRecord =
  | { readonly _tag: "Step"; readonly head: StepHead; readonly ordinal: number; readonly configuration: Configuration; readonly items: ReadonlyArray<StepItem> }
  | { readonly _tag: "Entry"; readonly head: StepHead; readonly ordinal: number; readonly entry: Entry }

const formatVersion = 1
const recordKinds = { Step: 1, Entry: 2 } as const
const itemBytes = 18

export const encodeRecord = (record: RaftRecord): Uint8Array => {
  const { head, ordinal } = record
  const { group, hardState: { term, vote }, isTwice, keepTo, records, replica, snapshotIndex, snapshotTerm, step } = head
  const writer = new ByteWriter()
  writer.u8(formatVersion).u8(recordKinds[record._tag]).id(group).replica(replica).u64(step).u32(ordinal).u32(records).flag(isTwice)
    .u64(term).replica(vote).u64(snapshotIndex).u64(snapshotTerm).u64(keepTo)
  if (record._tag === "Entry") return writer.entry(record.entry).finish()
  writer.configuration(record.configuration).u32(record.items.length)
  for (const { index, isGap, term: itemTerm } of record.items) writer.u64(index).flag(isGap).flag(itemTerm !== undefined).u64(itemTerm ?? 0)
  return writer.finish()
}

export const decodeRecord = (bytes: Uint8Array): RaftRecord | RaftFormatError => reading(bytes, "record", readRecord)

const checkVersion = (reader: ByteReader): void => {
  const version = reader.u8()
  if (version !== formatVersion) reader.refuse(`format version ${version}`, "Unknown")
}

const readRecord = (reader: ByteReader): RaftRecord => {
  checkVersion(reader)
  const kind = reader.u8()
  const group = reader.id<GroupId>()
  const replica = reader.replica()
  const step = reader.u64()
  const ordinal = reader.u32()
  const records = reader.u32()
  const isTwice = reader.flag()
  const hardState: HardState = { term: reader.u64(), vote: reader.optionalReplica() }
  const head: StepHead = { group, replica, step, records, isTwice, hardState, snapshotIndex: reader.u64(), snapshotTerm: reader.u64(), keepTo: reader.u64() }
  if (step === 0 || records === 0 || ordinal >= records || (isTwice && records < 2)) reader.refuse(`record ${ordinal} of ${records} of step ${step}`)
  const isStep = ordinal === 0 || (isTwice && ordinal === records - 1)
  if (kind !== recordKinds.Step && kind !== recordKinds.Entry) reader.refuse(`a record of kind ${kind}`, "Unknown")
  if (isStep !== (kind === recordKinds.Step)) reader.refuse(`record ${ordinal} of ${records} is of kind ${kind}`)
  if (!isStep) return { _tag: "Entry", head, ordinal, entry: reader.entry() }
  const configuration = reader.configuration()
  const items: Array<StepItem> = []
  for (let left = reader.count(raftStepEntriesMax, itemBytes); left > 0; left -= 1) items.push(readItem(reader))
  const entries = items.filter(({ isGap }) => !isGap).length
  if (entries !== records - (isTwice ? 2 : 1)) reader.refuse(`${records} records for ${entries} entries`)
  return { _tag: "Step", head, ordinal, configuration, items }
}

const readItem = (reader: ByteReader): StepItem => {
  const index = reader.u64()
  const isGap = reader.flag()
  const hasTerm = reader.flag()
  const term = reader.u64()
  if (index === 0 || (!hasTerm && (!isGap || term !== 0))) reader.refuse("an entry without index or term")
  return { index, isGap, term: hasTerm ? term : undefined }
}

/** A message of one group, for the carrier. */
export interface GroupMessage {
  readonly group: GroupId
  readonly message: Message
}

const messageKinds: Record<MessageBody["_tag"], number> = {
  RequestVote: 1, Vote: 2, Append: 3, Appended: 4, Refused: 5, Heard: 6, Offer: 7, TimeoutNow: 8, ReadAsked: 9, ReadAnswered: 10, EntriesWanted: 11, EntriesFound: 12, StateFound: 13
}
const messageTags = new Map(Object.entries(messageKinds).map(([tag, kind]) => [kind, tag as MessageBody["_tag"]]))

export const encodeMessage = ({ group, message: { body, from, term, to } }: GroupMessage): Uint8Array => {
  const writer = new ByteWriter().u8(formatVersion).u8(messageKinds[body._tag]).id(group).replica(from).replica(to).u64(term)
  writeBody(writer, body)
  return writer.finish()
}

/** More than raftMessageBytesMax is none of ours. */
export const decodeMessage = (bytes: Uint8Array): GroupMessage | RaftFormatError =>
  bytes.length > raftMessageBytesMax
    ? new RaftFormatError({ what: "message", reason: "Invalid", offset: 0, detail: `${bytes.length} bytes, at most ${raftMessageBytesMax}` })
    : reading(bytes, "message", readMessage)

const writeOptional = (writer: ByteWriter, value: number | undefined): void => void writer.flag(value !== undefined).u64(value ?? 0)

const writeEntries = (writer: ByteWriter, entries: ReadonlyArray<Entry>): void => {
  writer.u32(entries.length)
  for (const entry of entries) writer.entry(entry)
}

const writeSnapshot = (writer: ByteWriter, { configuration, index, term }: SnapshotPlace): void => void writer.u64(index).u64(term).configuration(configuration)

const writeBody = (writer: ByteWriter, body: MessageBody): void => {
  switch (body._tag) {
    case "RequestVote":
      return void writer.flag(body.pre).u64(body.lastIndex).u64(body.lastTerm).flag(body.transfer)
    case "Vote":
      return void writer.flag(body.pre).flag(body.granted)
    case "Append":
      writer.u64(body.previousIndex).u64(body.previousTerm).u64(body.commit).u64(body.round)
      return writeEntries(writer, body.entries)
    case "Appended":
      writer.u64(body.match).u64(body.received).u64(body.round)
      return writeOptional(writer, body.damagedTo)
    case "Refused":
      writer.u64(body.previousIndex).u64(body.hintIndex).u64(body.hintTerm).u64(body.round)
      return writeOptional(writer, body.damagedTo)
    case "Heard":
      return void writer.u64(body.round)
    case "Offer":
      writer.u64(body.round)
      return writeSnapshot(writer, body.snapshot)
    case "TimeoutNow":
      return
    case "ReadAsked":
      return void writer.u64(body.read)
    case "ReadAnswered":
      writer.u64(body.read)
      return writeOptional(writer, body.index)
    case "EntriesWanted":
      return void writer.u64(body.from).u64(body.to)
    case "EntriesFound":
      writer.u64(body.from).u32(body.terms.length)
      for (const term of body.terms) writer.u64(term)
      return writeEntries(writer, body.entries)
    case "StateFound":
      return writeSnapshot(writer, body.snapshot)
    default:
      return unreachable(body)
  }
}

const readMessage = (reader: ByteReader): GroupMessage => {
  checkVersion(reader)
  const kind = reader.u8()
  const tag = messageTags.get(kind) ?? reader.refuse(`a message of kind ${kind}`, "Unknown")
  const group = reader.id<GroupId>()
  const from = reader.replica()
  const to = reader.replica()
  const term = reader.u64()
  return { group, message: { from, to, term, body: readBody(reader, tag) } }
}

const readOptional = (reader: ByteReader): number | undefined => {
  const isThere = reader.flag()
  const value = reader.u64()
  if (!isThere && value !== 0) reader.refuse("a value that is absent")
  return isThere ? value : undefined
}

const readEntries = (reader: ByteReader): ReadonlyArray<Entry> => {
  const entries: Array<Entry> = []
  for (let left = reader.count(raftMessageEntriesMax, entryBytesMin); left > 0; left -= 1) {
    const entry = reader.entry()
    const before = entries.at(-1)
    if (before !== undefined && (entry.index !== before.index + 1 || entry.term < before.term)) reader.refuse(`entry ${entry.index} behind ${before.index}`)
    entries.push(entry)
  }
  return entries
}

const readTerms = (reader: ByteReader): ReadonlyArray<Term> => {
  const terms: Array<Term> = []
  for (let left = reader.count(raftMessageEntriesMax, 8); left > 0; left -= 1) terms.push(reader.u64())
  return terms
}

const readSnapshot = (reader: ByteReader): SnapshotPlace => ({ index: reader.u64(), term: reader.u64(), configuration: reader.configuration() })

/** Fields are read in the order in which they stand here, which is that in which they were written. */
const readBody = (reader: ByteReader, tag: MessageBody["_tag"]): MessageBody => {
  switch (tag) {
    case "RequestVote":
      return { _tag: tag, pre: reader.flag(), lastIndex: reader.u64(), lastTerm: reader.u64(), transfer: reader.flag() }
    case "Vote":
      return { _tag: tag, pre: reader.flag(), granted: reader.flag() }
    case "Append":
      return readAppend(reader)
    case "Appended":
      return { _tag: tag, match: reader.u64(), received: reader.u64(), round: reader.u64(), damagedTo: readOptional(reader) }
    case "Refused":
      return { _tag: tag, previousIndex: reader.u64(), hintIndex: reader.u64(), hintTerm: reader.u64(), round: reader.u64(), damagedTo: readOptional(reader) }
    case "Heard":
      return { _tag: tag, round: reader.u64() }
    case "Offer":
      return { _tag: tag, round: reader.u64(), snapshot: readSnapshot(reader) }
    case "TimeoutNow":
      return { _tag: tag }
    case "ReadAsked":
      return { _tag: tag, read: reader.u64() }
    case "ReadAnswered":
      return { _tag: tag, read: reader.u64(), index: readOptional(reader) }
    case "EntriesWanted":
      return { _tag: tag, from: reader.u64(), to: reader.u64() }
    case "EntriesFound":
      return readFound(reader)
    case "StateFound":
      return { _tag: tag, snapshot: readSnapshot(reader) }
    default:
      return unreachable(tag)
  }
}

/** Entries that do not follow on the place that they name would break the hearer's log. */
const readAppend = (reader: ByteReader): MessageBody => {
  const previousIndex = reader.u64()
  const previousTerm = reader.u64()
  const commit = reader.u64()
  const round = reader.u64()
  const entries = readEntries(reader)
  const first = entries[0]
  if (first !== undefined && (first.index !== previousIndex + 1 || first.term < previousTerm)) reader.refuse(`entry ${first.index} behind ${previousIndex}`)
  return { _tag: "Append", previousIndex, previousTerm, commit, round, entries }
}

const readFound = (reader: ByteReader): MessageBody => {
  const from = reader.u64()
  const terms = readTerms(reader)
  const entries = readEntries(reader)
  for (const [at, { index, term }] of entries.entries()) if (index !== from + at || term !== terms[at]) reader.refuse(`entry ${index} of those from ${from} on`)
  return { _tag: "EntriesFound", from, terms, entries }
}
