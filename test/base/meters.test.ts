/** Meters and their text: what a room counts is what a strict reader of Prometheus' format reads. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { expose } from "../../src/base/Exposition.ts"
import { latencyBoundsSeconds, Meters } from "../../src/base/Meters.ts"
import { Metrics } from "../../src/ports/Metrics.ts"
import { parseExposition } from "./expositionParser.ts"

describe("meters", () => {
  it("counters, gauges and histograms are read as they were written", () => {
    const meters = new Meters()
    meters.counter("ouroboros_things_total", "Things.", { kind: "a" }).add()
    meters.counter("ouroboros_things_total", "Things.", { kind: "a" }).add(2.5)
    meters.counter("ouroboros_things_total", "Things.", { kind: "b" })
    meters.gauge("ouroboros_level_bytes", "Level.", () => 1e21)
    meters.counted("ouroboros_kept_total", "Kept elsewhere.", () => 7)
    const took = meters.histogram("ouroboros_took_seconds", "Time.", [0.1, 1])
    for (const value of [0.1, 0.11, 1, 5]) took.record(value)
    const families = new Map(parseExposition(expose(meters)).map((family) => [family.name, family]))
    expect(families.get("ouroboros_things_total")).toEqual({
      name: "ouroboros_things_total", help: "Things.", kind: "counter",
      samples: [
        { name: "ouroboros_things_total", labels: { kind: "a" }, value: 3.5 },
        { name: "ouroboros_things_total", labels: { kind: "b" }, value: 0 }
      ]
    })
    expect(families.get("ouroboros_level_bytes")?.samples[0]?.value).toBe(1e21)
    expect(families.get("ouroboros_kept_total")?.kind).toBe("counter")
    expect(families.get("ouroboros_took_seconds")?.samples.map(({ value }) => value)).toEqual([1, 3, 4, 6.21, 4])
  })

  it("what is written in labels and help comes back as it was, line feeds and quotes too", () => {
    const meters = new Meters()
    const value = "a \"quoted\" \\ path\nand a second line, {braces}"
    meters.gauge("ouroboros_odd", "One line\nand \\ another.", () => Number.NEGATIVE_INFINITY, { value })
    const [family] = parseExposition(expose(meters))
    expect(family?.samples).toEqual([{ name: "ouroboros_odd", labels: { value }, value: Number.NEGATIVE_INFINITY }])
    expect(family?.help).toBe("One line\\nand \\\\ another.")
  })

  it("a gauge without a value is not shown, and a family without samples is not either", () => {
    const meters = new Meters()
    meters.gauge("ouroboros_none", "Nothing.", () => undefined)
    meters.gauge("ouroboros_some", "Something.", () => 1)
    expect(parseExposition(expose(meters)).map(({ name }) => name)).toEqual(["ouroboros_some"])
  })

  it("a gauge that throws is named, and takes no other with it", () => {
    const meters = new Meters()
    meters.gauge("ouroboros_broken", "Broken.", () => { throw new TypeError("damaged") })
    meters.gauge("ouroboros_whole", "Whole.", () => 3)
    expect(parseExposition(expose(meters)).map(({ samples }) => samples[0])).toEqual([
      { name: "ouroboros_whole", labels: {}, value: 3 },
      { name: "ouroboros_unreadable_meters", labels: { meter: "ouroboros_broken", why: "TypeError" }, value: 1 }
    ])
  })

  it("a gauge that is registered again reads the new one", () => {
    const meters = new Meters()
    meters.gauge("ouroboros_level", "Level.", () => 1)
    meters.gauge("ouroboros_level", "Level.", () => 2)
    expect(parseExposition(expose(meters))[0]?.samples.map(({ value }) => value)).toEqual([2])
  })

  it("one name is one kind, with names in snake case, counters ending with _total, and bounded series", () => {
    const meters = new Meters()
    meters.gauge("ouroboros_level", "Level.", () => 1)
    expect(() => meters.histogram("ouroboros_level", "Level.", latencyBoundsSeconds)).toThrow("is a gauge")
    expect(() => meters.counter("ouroboros_count", "Count.")).toThrow("_total")
    expect(() => meters.gauge("Ouroboros-level", "Level.", () => 1)).toThrow("snake case")
    expect(() => {
      for (let index = 0; index < 10_000; index++) meters.counter("ouroboros_keys_total", "By key.", { key: String(index) })
    }).toThrow("small fixed sets")
  })

  it("without a node that provides meters, counts go nowhere", async () => {
    const meters = await Effect.runPromise(Effect.gen(function*() { return yield* Metrics }))
    for (let index = 0; index < 10_000; index++) meters.counter("ouroboros_keys_total", "By key.", { key: String(index) }).add()
    expect([...meters.families()]).toEqual([])
  })
})

describe("the strict reader", () => {
  it.each([
    ["a sample before its TYPE", "# HELP a A.\na 1\n"],
    ["a sample twice", "# HELP a A.\n# TYPE a gauge\na 1\na 2\n"],
    ["a family in two places", "# HELP a A.\n# TYPE a gauge\na 1\n# HELP b B.\n# TYPE b gauge\nb 1\n# HELP a A.\n# TYPE a gauge\na{x=\"1\"} 1\n"],
    ["malformed labels", "# HELP a A.\n# TYPE a gauge\na{x=\"1\" y=\"2\"} 1\n"],
    ["no number", "# HELP a A.\n# TYPE a gauge\na undefined\n"],
    ["buckets that are not cumulative", "# HELP a A.\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n"],
    ["ends with a line feed", "# HELP a A.\n# TYPE a gauge\na 1"]
  ])("refuses %s", (why, text) => {
    expect(() => parseExposition(text)).toThrow(why)
  })
})
