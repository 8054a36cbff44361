/**
 * WebAssembly modules that are checked in as base64: synchronous, without files; and memory that starts at a page, which
 * nothing but WebAssembly gives. Imports nothing of ours.
 */

/** What this store uses of the platform's WebAssembly; the runtime has more. */
interface Platform {
  readonly Module: new (binary: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number; readonly shared: true }) => {
    readonly buffer: SharedArrayBuffer
    readonly grow: (pages: number) => number
  }
}

/** An instance's memory. It never grows in our kernels, so its buffer stays the same. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer
}

/** Compiles once; each call of the result makes an instance with a memory of its own and gives its exports. */
export const compileWasm = (base64: string): (() => unknown) => {
  const { Module, Instance } = platform()
  const module = new Module(Buffer.from(base64, "base64"))
  return () => new Instance(module).exports
}

// @types/node declares no WebAssembly, and the DOM's types would let through what Node lacks.
const platform = (): Platform => (globalThis as unknown as { readonly WebAssembly: Platform }).WebAssembly

/** Memory's unit in WebAssembly. */
const wasmPageBytes = 65_536
/** What direct I/O asks of addresses, offsets and lengths, whatever the disk's sectors are. */
export const memoryPageBytes = 4096

const pageAligned = new WeakSet<ArrayBufferLike>()

/**
 * New zeroed memory of a whole number of 64 KiB, whose first byte is the first of a memory page; never moved or grown.
 * Threads share it: handed to a lane it is the same memory there.
 *
 * V8 collects for each 64 MiB of it that are made. Not for what is `kept`: memory that has grown is not counted. Who makes it
 * sees to it that it is not much, and not dropped.
 */
export const makePageMemory = (sizeBytes: number, { kept = false }: { readonly kept?: boolean } = {}): Uint8Array => {
  const pages = Math.ceil(sizeBytes / wasmPageBytes)
  const memory = new (platform().Memory)({ initial: kept ? 0 : pages, maximum: pages, shared: true })
  if (kept) memory.grow(pages)
  const { buffer } = memory
  pageAligned.add(buffer)
  return new Uint8Array(buffer)
}

/** Whether these bytes begin at a memory page, as far as anyone can tell: those of makePageMemory do. */
export const startsAtPage = (bytes: Uint8Array): boolean =>
  bytes.byteOffset % memoryPageBytes === 0 && pageAligned.has(bytes.buffer)
