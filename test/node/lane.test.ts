/** What a compute lane loads: every lane holds its own copy of it in memory. */
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"

/** Modules that this one imports as values, ours resolved. */
const importsOf = (module: URL): ReadonlyArray<string> =>
  [...readFileSync(module, "utf8").matchAll(/^(?:import|export) (?!type )(?:[^"]*? from )?"([^"]+)"/gm)]
    .map(([, name]) => (name!.startsWith(".") ? new URL(name!, module).href : name!))

describe("compute lane", () => {
  it("a lane loads kernels, and not all of Effect: that would be 20 MiB and 0.2 s a lane", () => {
    const seen = new Set<string>()
    const left = [new URL("../../src/node/computeLane.ts", import.meta.url).href]
    for (let module = left.pop(); module !== undefined; module = left.pop()) {
      if (seen.has(module)) continue
      seen.add(module)
      if (module.startsWith("file:")) left.push(...importsOf(new URL(module)))
    }
    expect([...seen].some((module) => module.endsWith("/ChunkSealer.ts"))).toBe(true)
    expect([...seen].filter((module) => module.startsWith("effect"))).toEqual(["effect/Data"])
  })
})
