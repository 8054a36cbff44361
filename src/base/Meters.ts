/**
 * Meters: what one node counts and measures, by the names of /metrics. Rooms hold a Counter or a Histogram and move it
 * with a plain call (nanoseconds, no Effect); gauges are read when somebody looks. One object a node, handed in through
 * ports/Metrics.ts: never global, so that nodes of one simulator share nothing.
 *
 *   const hits = meters.counter("ouroboros_cache_hits_total", "Look-ups that the cache answered.", { cache: "chunks" })
 *   hits.add()
 *   meters.gauge("ouroboros_cache_bytes", "Bytes that the cache holds.", () => cache.bytes, { cache: "chunks" })
 *
 * Names (Prometheus): ouroboros_<noun>_<unit>; counters end with _total; units are seconds, bytes, ratio. Labels come
 * from small fixed sets (operations, states), never from names of buckets, keys or clients.
 */
import { assert } from "./assert.ts"
import { metersSeriesMax } from "./limits.ts"

export type Labels = Readonly<Record<string, string>>
export type MeterKind = "counter" | "gauge" | "histogram"

/** Only rises, from 0 at the start of the node. */
export class Counter {
  value = 0

  add(amount = 1): void {
    this.value += amount
  }
}

/** How often a value fell into each of some intervals. */
export class Histogram {
  /** Ascending upper bounds, inclusive. */
  readonly bounds: ReadonlyArray<number>
  /** counts.length = bounds.length + 1: the last is what is above all bounds. */
  readonly counts: Float64Array
  sum = 0

  constructor(bounds: ReadonlyArray<number>) {
    assert(bounds.every((bound, index) => index === 0 || bound > bounds[index - 1]!), "bounds of a histogram ascend")
    this.bounds = bounds
    this.counts = new Float64Array(bounds.length + 1)
  }

  record(value: number): void {
    let index = 0
    while (index < this.bounds.length && value > this.bounds[index]!) index += 1
    this.counts[index]! += 1
    this.sum += value
  }
}

/** From half a millisecond to ten seconds: requests, syncs. */
export const latencyBoundsSeconds: ReadonlyArray<number> = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** One line of /metrics, or a histogram's few. A gauge, or a counter that a room keeps anyway, is a function. */
export interface Series {
  readonly labels: Labels
  readonly meter: Counter | Histogram | (() => number | undefined)
}

export interface Family {
  readonly name: string
  readonly help: string
  readonly kind: MeterKind
  /** By labels, in order of their first mention. */
  readonly series: Map<string, Series>
}

const NAME = /^[a-z][a-z0-9_]*$/

export class Meters {
  readonly #families = new Map<string, Family>()
  readonly #keeps: boolean
  #seriesCount = 0

  /** Where nobody reads, nothing is kept: rooms may still count. */
  constructor(options: { readonly keeps: boolean } = { keeps: true }) {
    this.#keeps = options.keeps
  }

  /** The same name and labels give the same counter. */
  counter(name: string, help: string, labels: Labels = {}): Counter {
    assert(name.endsWith("_total"), `the counter ${name} ends with _total`)
    const { meter } = this.#series("counter", name, help, labels, () => new Counter())
    assert(meter instanceof Counter, `${name} is a counter that somebody else keeps`)
    return meter
  }

  /** A count that its room keeps anyway: read when somebody looks; only rises. */
  counted(name: string, help: string, read: () => number, labels: Labels = {}): void {
    assert(name.endsWith("_total"), `the counter ${name} ends with _total`)
    this.#replace("counter", name, help, labels, read)
  }

  /** Read when somebody looks: cheap, synchronous, no throw; undefined: nothing to show now. */
  gauge(name: string, help: string, read: () => number | undefined, labels: Labels = {}): void {
    this.#replace("gauge", name, help, labels, read)
  }

  /** The same name and labels give the same histogram; all of a name have the same bounds. */
  histogram(name: string, help: string, bounds: ReadonlyArray<number>, labels: Labels = {}): Histogram {
    const { meter } = this.#series("histogram", name, help, labels, () => new Histogram(bounds))
    assert(meter instanceof Histogram && meter.bounds.join() === bounds.join(), `${name} is a histogram with other bounds`)
    return meter
  }

  families(): Iterable<Family> {
    return this.#families.values()
  }

  /** A part of the node that starts again reads anew: the last one counts. */
  #replace(kind: MeterKind, name: string, help: string, labels: Labels, meter: Series["meter"]): void {
    this.#series(kind, name, help, labels, () => meter)
    if (this.#keeps) this.#families.get(name)!.series.set(keyOf(labels), { labels, meter })
  }

  #series(kind: MeterKind, name: string, help: string, labels: Labels, make: () => Series["meter"]): Series {
    assert(NAME.test(name) && Object.keys(labels).every((label) => NAME.test(label) && label !== "le"), `${name} and its labels are in snake case`)
    if (!this.#keeps) return { labels, meter: make() }
    const family = this.#families.get(name) ?? { name, help, kind, series: new Map<string, Series>() }
    assert(family.kind === kind, `${name} is a ${family.kind}, not a ${kind}`)
    this.#families.set(name, family)
    const key = keyOf(labels)
    const known = family.series.get(key)
    if (known !== undefined) return known
    this.#seriesCount += 1
    assert(this.#seriesCount <= metersSeriesMax, `at most ${metersSeriesMax} series: labels come from small fixed sets`)
    const made = { labels, meter: make() }
    family.series.set(key, made)
    return made
  }
}

const keyOf = (labels: Labels): string => Object.entries(labels).map(([label, value]) => `${label}=${value}`).join("\n")
