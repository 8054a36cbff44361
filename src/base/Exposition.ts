/**
 * Exposition: Meters as text, in Prometheus' format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). Sits between Meters and GET /metrics.
 */
import { Counter, type Family, Histogram, type Labels, type Meters, type Series } from "./Meters.ts"

export const expositionContentType = "text/plain; version=0.0.4; charset=utf-8"

/**
 * Every family with its HELP and TYPE, ending with a line feed. Gauges are read here. One that throws (its room met damage)
 * is left out and named in ouroboros_unreadable_meters: the others are wanted most just then.
 */
export const expose = (meters: Meters): string => {
  const lines: Array<string> = []
  const unreadable = new Map<string, Series>()
  for (const family of meters.families()) exposeFamily(family, lines, unreadable)
  const help = "1 for each meter that could not be read just now."
  exposeFamily({ name: "ouroboros_unreadable_meters", help, kind: "gauge", series: unreadable }, lines, new Map())
  return `${lines.join("\n")}\n`
}

const exposeFamily = (family: Family, lines: Array<string>, unreadable: Map<string, Series>): void => {
  const samples: Array<string> = []
  for (const series of family.series.values()) {
    try {
      exposeSeries(family.name, series, samples)
    } catch (error) {
      const why = error instanceof Error ? error.name : "unknown"
      unreadable.set(family.name, { labels: { meter: family.name, why }, meter: () => 1 })
    }
  }
  if (samples.length === 0) return
  lines.push(`# HELP ${family.name} ${escapeHelp(family.help)}`, `# TYPE ${family.name} ${family.kind}`)
  for (const sample of samples) lines.push(sample)
}

const exposeSeries = (name: string, { labels, meter }: Series, samples: Array<string>): void => {
  if (meter instanceof Histogram) {
    exposeHistogram(name, labels, meter, samples)
    return
  }
  const value = meter instanceof Counter ? meter.value : meter()
  if (value !== undefined) samples.push(`${name}${labelText(labels)} ${numberText(value)}`)
}

const exposeHistogram = (name: string, labels: Labels, { bounds, counts, sum }: Histogram, samples: Array<string>): void => {
  let below = 0
  for (const [index, count] of counts.entries()) {
    below += count
    const le = index < bounds.length ? numberText(bounds[index]!) : "+Inf"
    samples.push(`${name}_bucket${labelText({ ...labels, le })} ${below}`)
  }
  samples.push(`${name}_sum${labelText(labels)} ${numberText(sum)}`, `${name}_count${labelText(labels)} ${below}`)
}

const numberText = (value: number): string =>
  value === Number.POSITIVE_INFINITY ? "+Inf" : value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value)

const labelText = (labels: Labels): string => {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`
}

const escapeHelp = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")
const escapeLabel = (text: string): string => escapeHelp(text).replaceAll("\"", "\\\"")
