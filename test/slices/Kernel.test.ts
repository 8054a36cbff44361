/** The WebAssembly of the erasure code: the checked-in binary is what its source compiles to. */
import { readFileSync } from "node:fs"
import { expect, it } from "vitest"

it("slices: the checked-in WebAssembly is what Code.as.ts compiles to", async () => {
  // A computed name: the build is plain JavaScript, without types.
  const build = (await import(new URL("../../src/slices/kernel/build.mjs", import.meta.url).href)) as {
    readonly compileCode: () => Promise<Uint8Array>
    readonly codeModuleText: (binary: Uint8Array) => string
  }
  const text = build.codeModuleText(await build.compileCode())
  expect(readFileSync(new URL("../../src/slices/kernel/CodeWasm.ts", import.meta.url), "utf8")).toBe(text)
})
