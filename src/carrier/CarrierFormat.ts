/**
 * CarrierFormat: the bytes of frames: one header, a payload, and a tag that the session's key makes of both. Between the machine
 * (Carrier.ts) and the network. Lengths are checked from the header alone, before anything is made of them.
 *
 * Every frame says who sends it, under which epoch, as the how manieth of its session, and when. Sessions are begun by two frames that ML-DSA
 * signs (Handshake); all others carry 16 bytes of keyed BLAKE3: a signature of 3,309 bytes and a millisecond for each heartbeat would
 * prove nothing more to who holds the other end.
 */
import { assert } from "../base/assert.ts"
import { equalBytes, fromHex, getU64, putU64, toHex } from "../base/bytes.ts"
import { carrierFrameBytesMax, carrierMessageBytesMax } from "../base/clusterLimits.ts"
import { hashBytes } from "../base/hash.ts"
import type { NodeId } from "../membership/Identity.ts"

export const kinds = ["Hello", "Welcome", "Reset", "Ping", "Pong", "Note", "Data", "Credit", "Cancel"] as const
export type Kind = (typeof kinds)[number]

/** 0: heartbeats and votes. 1: consensus. 2: what a client waits for. 3: what nobody waits for. */
export type Priority = 0 | 1 | 2 | 3
export const priorities = [0, 1, 2, 3] as const

export interface Header {
  readonly kind: Kind
  readonly priority: Priority
  /** Data: the first frame of a message; of the last message of its direction; no answer is wanted. */
  readonly isFirst: boolean
  readonly isLast: boolean
  readonly isTold: boolean
  /** What it is about: the runner's table of handlers. 0 to 65,535. */
  readonly topic: number
  /** 32 hex digits; zeros before there is one. */
  readonly session: string
  readonly sender: NodeId
  /** Of the membership that the sender knows. */
  readonly epoch: number
  /** From 1 on, in each direction of a session; handshakes have 0. */
  readonly sequence: number
  /** The sender's clock, milliseconds since 1970. */
  readonly timeMs: number
  /** Ids of one side are odd, of the other even; 0: no stream. */
  readonly stream: number
  /** All earlier streams of the sender's are over. */
  readonly oldest: number
  /** Data: where its payload lies in its direction. Credit: up to where all has come. */
  readonly offset: number
  /** Data, isFirst: of the whole message. Credit: by how many units the stream's window is narrower than carrierStreamWindowBytes. */
  readonly messageBytes: number
  /** Data, isFirst, of a request: how long its answer is waited for. */
  readonly deadlineMs: number
  readonly payloadBytes: number
}

/** "OBCF" */
const magic = 0x4f42_4346
export const formatVersion = 1
export const noSession = "0".repeat(32)
const tagAt = 120
export const tagBytes = 16
export const headerBytes = tagAt + tagBytes
export const frameBytesMax = headerBytes + carrierFrameBytesMax
const topicMax = 0xffff
const u32Max = 0xffff_ffff

/** 16 bytes over all parts: keyed once there is a session; of handshakes a checksum alone, the signature is within. */
export type Tagging = (...parts: ReadonlyArray<Uint8Array>) => Uint8Array

const view = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** The frame, with room for its tag. */
const frameOf = (header: Omit<Header, "payloadBytes">, payload: Uint8Array): Buffer => {
  assert(payload.length <= carrierFrameBytesMax, `a frame carries ${carrierFrameBytesMax} bytes at most, not ${payload.length}`)
  assert(header.topic >= 0 && header.topic <= topicMax, `no topic: ${header.topic}`)
  const frame = Buffer.allocUnsafeSlow(headerBytes + payload.length)
  frame.writeUInt32BE(magic, 0)
  frame.set([formatVersion, kinds.indexOf(header.kind), header.priority, (header.isFirst ? 1 : 0) | (header.isLast ? 2 : 0) | (header.isTold ? 4 : 0)], 4)
  frame.writeUInt16BE(header.topic, 8)
  frame.writeUInt16BE(0, 10)
  frame.writeUInt32BE(payload.length, 12)
  frame.set(fromHex(header.session), 16)
  frame.set(fromHex(header.sender), 32)
  for (const [index, value] of [header.epoch, header.sequence, header.timeMs, header.offset].entries()) putU64(frame, 64 + 8 * index, value)
  for (const [index, value] of [header.stream, header.oldest, header.messageBytes, header.deadlineMs].entries()) frame.writeUInt32BE(value, 96 + 4 * index)
  putU64(frame, 112, 0)
  frame.set(payload, headerBytes)
  return frame
}

/** The whole frame. */
export const encodeFrame = (header: Omit<Header, "payloadBytes">, payload: Uint8Array, tagging: Tagging): Uint8Array => {
  const frame = frameOf(header, payload)
  frame.set(tagging(frame.subarray(0, tagAt), frame.subarray(headerBytes)).subarray(0, tagBytes), tagAt)
  return frame
}

/** What a handshake signs besides its own body: header without the length of the payload, which grows by the signature. */
export const signedPartOf = (header: Omit<Header, "payloadBytes">): Uint8Array => frameOf(header, new Uint8Array(0)).subarray(0, tagAt)

export const plainTagging: Tagging = (...parts) => hashBytes(Buffer.concat(parts)).subarray(0, tagBytes)

/**
 * The header, or why these bytes begin no frame. Needs the first headerBytes alone: whoever reads a stream learns from it how much
 * is to come, and that it is not too much.
 */
export const readHeader = (bytes: Uint8Array): Header | string => {
  if (bytes.length < headerBytes) return `${bytes.length} bytes are less than a header`
  const data = view(bytes)
  if (data.readUInt32BE(0) !== magic) return "no frame"
  if (data[4] !== formatVersion) return `a frame of version ${data[4]}; this program knows ${formatVersion}`
  const [kind, priority, flags] = [kinds[data[5]!], data[6]!, data[7]!]
  const payloadBytes = data.readUInt32BE(12)
  if (payloadBytes > carrierFrameBytesMax) return `a payload of ${payloadBytes} bytes, at most ${carrierFrameBytesMax}`
  const [epoch, sequence, timeMs, offset, zero] = [64, 72, 80, 88, 112].map((at) => getU64(data, at))
  const [stream, oldest, messageBytes, deadlineMs] = [96, 100, 104, 108].map((at) => data.readUInt32BE(at)) as [number, number, number, number]
  if (messageBytes > carrierMessageBytesMax) return `a message of ${messageBytes} bytes, at most ${carrierMessageBytesMax}`
  if (kind === undefined || priority > 3 || flags > 7 || data.readUInt16BE(10) !== 0 || zero !== 0) return "a header with fields that this program does not know"
  if (epoch === undefined || sequence === undefined || timeMs === undefined || offset === undefined) return "a header with numbers that are none"
  return {
    kind, priority: priority as Priority, isFirst: (flags & 1) !== 0, isLast: (flags & 2) !== 0, isTold: (flags & 4) !== 0, topic: data.readUInt16BE(8),
    session: toHex(data.subarray(16, 32)), sender: toHex(data.subarray(32, 64)) as NodeId, epoch, sequence, timeMs, offset, stream, oldest, messageBytes, deadlineMs, payloadBytes
  }
}

/** A view of what follows the header; undefined: the frame is cut, has more than it says, or was changed on its way. */
export const payloadOf = (bytes: Uint8Array, { payloadBytes }: Header, tagging: Tagging): Uint8Array | undefined => {
  if (bytes.length !== headerBytes + payloadBytes) return undefined
  const payload = bytes.subarray(headerBytes)
  return equalBytes(tagging(bytes.subarray(0, tagAt), payload).subarray(0, tagBytes), bytes.subarray(tagAt, headerBytes)) ? payload : undefined
}

export const isStreamId = (stream: number): boolean => stream >= 1 && stream <= u32Max - 2
