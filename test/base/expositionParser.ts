/**
 * A strict reader of Prometheus' text format 0.0.4: what its own parser would refuse, and what it would take in silence
 * though the format forbids it (a family in two places, a sample before its TYPE), throws.
 */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface ParsedFamily {
  readonly name: string
  readonly help: string
  readonly kind: string
  readonly samples: ReadonlyArray<Sample>
}

const refuse = (line: string, why: string): never => {
  throw new Error(`${why}: ${line}`)
}

const numberOf = (text: string, line: string): number => {
  if (text === "+Inf") return Number.POSITIVE_INFINITY
  if (text === "-Inf") return Number.NEGATIVE_INFINITY
  if (text === "NaN") return Number.NaN
  return /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(text) ? Number(text) : refuse(line, "no number")
}

const unescape = (text: string, line: string): string =>
  text.replace(/\\(.?)/gs, (_, what: string) =>
    what === "n" ? "\n" : what === "\\" || what === "\"" ? what : refuse(line, "an escape that the format does not know"))

const labelsOf = (text: string, line: string): Record<string, string> => {
  const labels: Record<string, string> = {}
  let rest = text
  while (rest !== "") {
    const match = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\.)*)"(,(?=.)|$)/.exec(rest) ?? refuse(line, "malformed labels")
    const name = match[1]!
    if (name in labels) refuse(line, "a label twice")
    labels[name] = unescape(match[2]!, line)
    rest = rest.slice(match[0].length)
  }
  return labels
}

/** The same for the same labels, in whatever order. */
const nameOf = (labels: Readonly<Record<string, string>>): string => JSON.stringify(Object.keys(labels).sort((a, b) => (a < b ? -1 : 1)).map((name) => [name, labels[name]]))

const sampleOf = (line: string): Sample => {
  const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/s.exec(line) ?? refuse(line, "no sample")
  return { name: match[1]!, labels: labelsOf(match[2] ?? "", line), value: numberOf(match[3]!, line) }
}

interface Opened {
  name: string
  help: string
  kind: string
  samples: Array<Sample>
}

export const parseExposition = (text: string): ReadonlyArray<ParsedFamily> => {
  if (!text.endsWith("\n")) refuse(text.slice(-40), "the last line ends with a line feed")
  const families: Array<Opened> = []
  const seen = new Set<string>()
  for (const line of text.slice(0, -1).split("\n")) {
    const help = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line)
    const type = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)$/.exec(line)
    const family = families.at(-1)
    if (help !== null) families.push({ name: help[1]!, help: help[2]!, kind: "", samples: [] })
    else if (type !== null) {
      if (family === undefined || family.name !== type[1] || family.kind !== "") refuse(line, "TYPE follows HELP")
      family!.kind = type[2]!
    } else {
      const sample = sampleOf(line)
      if (family === undefined || family.kind === "") refuse(line, "a sample before its TYPE")
      const ends = family!.kind === "histogram" ? ["_bucket", "_sum", "_count"] : [""]
      if (!ends.some((end) => sample.name === `${family!.name}${end}`)) refuse(line, `a sample outside its family ${family!.name}`)
      const name = `${sample.name} ${nameOf(sample.labels)}`
      if (seen.has(name)) refuse(line, "a sample twice")
      seen.add(name)
      family!.samples.push(sample)
    }
  }
  const names = families.map(({ name }) => name)
  if (new Set(names).size !== names.length) refuse(names.join(), "a family in two places")
  families.forEach(checkFamily)
  return families
}

const checkFamily = (family: Opened): void => {
  if (family.samples.length === 0) refuse(family.name, "a family without samples")
  if (family.kind !== "histogram") return
  const groups = new Map<string, Array<Sample>>()
  for (const sample of family.samples) {
    const { le: _, ...others } = sample.labels
    const key = nameOf(others)
    groups.set(key, [...groups.get(key) ?? [], sample])
  }
  for (const samples of groups.values()) {
    const buckets = samples.filter(({ name }) => name.endsWith("_bucket"))
    const bounds = buckets.map(({ labels }) => numberOf(labels["le"] ?? "", family.name))
    if (bounds.at(-1) !== Number.POSITIVE_INFINITY) refuse(family.name, "a histogram without +Inf")
    if (bounds.some((bound, index) => index > 0 && bound <= bounds[index - 1]!)) refuse(family.name, "bounds that do not ascend")
    if (buckets.some(({ value }, index) => index > 0 && value < buckets[index - 1]!.value)) refuse(family.name, "buckets that are not cumulative")
    const count = samples.find(({ name }) => name.endsWith("_count"))
    if (count?.value !== buckets.at(-1)!.value) refuse(family.name, "a count that is not the last bucket's")
    if (!samples.some(({ name }) => name.endsWith("_sum"))) refuse(family.name, "a histogram without sum")
  }
}
