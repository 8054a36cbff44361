/** The chunker's WebAssembly: the checked-in binary is what its source compiles to, and cuts are fixed for ever. */
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { gearTable } from "../../src/chunker/Gear.ts"
import { makeChunker } from "../../src/chunker/Chunker.ts"
import { randomBytes } from "./random.ts"

describe("chunker kernel", () => {
  it("chunker: the checked-in WebAssembly is what Gear.as.ts compiles to", async () => {
    // A computed name: the build is plain JavaScript, without types.
    const build = (await import(new URL("../../src/chunker/kernel/build.mjs", import.meta.url).href)) as {
      readonly compileGear: () => Promise<Uint8Array>
      readonly gearModuleText: (binary: Uint8Array) => string
    }
    const text = build.gearModuleText(await build.compileGear())
    expect(readFileSync(new URL("../../src/chunker/kernel/GearWasm.ts", import.meta.url), "utf8")).toBe(text)
  })

  it("chunker: golden table and cuts: a change would end deduplication with what is stored", () => {
    const golden = readFileSync(new URL("golden/cuts.v1.txt", import.meta.url), "utf8")
    const key = Uint8Array.from({ length: 32 }, (_, index) => index)
    const table = Buffer.from(gearTable(key)).toString("hex").match(/.{64}/g) ?? []
    const options = { minBytes: 32_768, averageBytes: 65_536, maxBytes: 262_144 }
    const cuts = makeChunker(key, options).cut(randomBytes(2 << 20, 9), true)
    expect([...table, ...cuts, ""].join("\n")).toBe(golden)
  })
})
