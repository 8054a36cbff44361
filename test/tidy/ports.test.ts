/** `serve` and the simulator run the same node: the same startNode, and under it the same ports, no more and no fewer. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { readFileSync } from "node:fs"
import { Effect, Layer, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import { Meters } from "../../src/base/Meters.ts"
import { platformLayer } from "../../src/node/layers.ts"
import { startNode } from "../../src/node/Node.ts"
import { resolveSettings } from "../../src/node/Settings.ts"
import { simulatedCompute } from "../../sim/Compute.ts"
import { MemoryDisk } from "../../sim/Disk.ts"
import { seededEntropy } from "../../sim/Entropy.ts"
import { MemoryKeyValue } from "../../sim/KeyValue.ts"
import { twinsLayer } from "../../sim/Ports.ts"
import { seededRandom } from "../../sim/Random.ts"

const twins = twinsLayer({
  disk: new MemoryDisk().service, entropy: seededEntropy(seededRandom(1)), http: { listen: () => Effect.die("not called") }, compute: simulatedCompute(),
  index: { service: new MemoryKeyValue().service, damage: undefined }, memory: () => ({ residentBytes: 0, limitBytes: 1 })
})

/** What a layer provides, beside what Effect itself keeps there. */
const keysOf = <A, E>(layer: Layer.Layer<A, E>): Promise<ReadonlyArray<string>> =>
  Effect.runPromise(Effect.scoped(Effect.map(Layer.build(layer), (context) => [...context.mapUnsafe.keys()].filter((key) => key.startsWith("ouroborosdb/")).sort())))

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false

describe("the node of serve and the node of the simulator", () => {
  it("stand on the same ports, and on nothing but ports", async () => {
    const folder = mkdtempSync(join(tmpdir(), "ouroboros-ports-"))
    try {
      const settings = Effect.runSync(resolveSettings({ data: folder }, {}, undefined))
      const inProduction = await keysOf(platformLayer(settings))
      expect(await keysOf(twins)).toEqual(inProduction)
      expect(inProduction.filter((key) => !key.startsWith("ouroborosdb/ports/"))).toEqual([])
      expect(inProduction.length).toBeGreaterThan(5)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it("are made by the same function, which asks for exactly these", () => {
    type Asked = Exclude<Effect.Services<ReturnType<typeof startNode>>, Scope.Scope>
    type Production = Layer.Success<ReturnType<typeof platformLayer>>
    // The compiler is the test: a port that only one of them knows makes one of these false.
    const asksForNoMore: Same<Exclude<Asked, Production>, never> = true
    const areTheSame: Same<Production, Layer.Success<typeof twins>> = true
    expect([asksForNoMore, areTheSame, typeof startNode, new Meters()]).toHaveLength(4)
    for (const file of ["src/node/layers.ts", "sim/NodeMachine.ts"]) expect(readFileSync(file, "utf8"), file).toMatch(/\bstartNode\(/)
  })

  it("start without an adapter: only layers of src/node reaches them", () => {
    for (const file of ["Node", "StoreLayer", "NodeHealth", "NodeMeters"]) expect(readFileSync(`src/node/${file}.ts`, "utf8"), file).not.toContain("adapters/")
  })
})
