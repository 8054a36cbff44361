/**
 * Copies: loaded into a measured node and its lanes before their own code (`--import`): counts the bytes that JavaScript
 * copies from one piece of memory to another. Sits beside probe.ts, which tells them. Not counted: what the kernel copies
 * (sockets, the page cache), what ciphers and zstd write, and pieces below `countedBytesMin`, which are formats.
 */
import { getEnvironmentData, isMainThread, setEnvironmentData } from "node:worker_threads"

const countedBytesMin = 4096
const name = "ouroboros bench: copied bytes"

/** One counter that all threads of the node share. */
const shared = isMainThread ? new BigInt64Array(new SharedArrayBuffer(8)) : (getEnvironmentData(name) as unknown as BigInt64Array)
if (isMainThread) setEnvironmentData(name, shared)

const count = (bytes: number): void => {
  if (bytes >= countedBytesMin) Atomics.add(shared, 0, BigInt(bytes))
}

const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as { set: (this: Uint8Array, source: ArrayLike<number>, offset?: number) => void }
const set = typedArray.set
typedArray.set = function(source, offset) {
  count(ArrayBuffer.isView(source) ? source.byteLength : 0)
  set.call(this, source, offset)
}

const copy = Buffer.prototype.copy
Buffer.prototype.copy = function(...args: Parameters<typeof copy>) {
  const copied = copy.apply(this, args)
  count(copied)
  return copied
}

const concat = Buffer.concat.bind(Buffer)
Buffer.concat = (parts: ReadonlyArray<Uint8Array>, length?: number) => {
  for (const part of parts) count(part.length)
  return concat(parts, length)
}

Object.assign(globalThis, { copiedBytes: () => Number(Atomics.load(shared, 0)) })
