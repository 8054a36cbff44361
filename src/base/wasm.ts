/** WebAssembly modules that are checked in as base64: synchronous, without files. Imports nothing of ours. */

/** What this store uses of the platform's WebAssembly; the runtime has more. */
interface Platform {
  readonly Module: new (binary: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

/** An instance's memory. It never grows in our kernels, so its buffer stays the same. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer
}

/** Compiles once; each call of the result makes an instance with a memory of its own and gives its exports. */
export const compileWasm = (base64: string): (() => unknown) => {
  // @types/node declares no WebAssembly, and the DOM's types would let through what Node lacks.
  const { Module, Instance } = (globalThis as unknown as { readonly WebAssembly: Platform }).WebAssembly
  const module = new Module(Buffer.from(base64, "base64"))
  return () => new Instance(module).exports
}
