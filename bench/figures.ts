/** Figures: what a run measured: printed as it goes, kept as JSON, set beside a saved run. */
import { readFileSync, writeFileSync } from "node:fs"
import { availableParallelism, cpus, totalmem } from "node:os"
import { GiB } from "../src/base/limits.ts"

export interface Figure {
  /** Names the figure in every run: "put.1KiB.x64". */
  readonly id: string
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly better: "more" | "less"
  /** The ceiling it is compared with. */
  readonly of?: readonly [name: string, value: number]
  /** What the project promises itself: at least, or at most where less is better. */
  readonly aim?: number
}

export interface Machine {
  readonly processor: string
  readonly cores: number
  readonly memoryGiB: number
  readonly system: string
  readonly node: string
}

interface Saved {
  readonly machine: Machine
  readonly figures: ReadonlyArray<Figure>
}

export const machineHere = (): Machine => ({
  processor: cpus()[0]?.model ?? "unknown", cores: availableParallelism(), memoryGiB: Math.round(totalmem() / GiB),
  system: `${process.platform}-${process.arch}`, node: process.version
})

/** Machines are shared and noisy: a figure within these of the baseline is the same. */
const sameRatio = 1.3

const shown = (value: number): string => value.toFixed(Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0)

const aimOf = ({ aim, better, value }: Figure): string => {
  if (aim === undefined) return ""
  const met = better === "more" ? value >= aim : value <= aim
  return `aim ${better === "more" ? ">=" : "<="} ${shown(aim)}: ${met ? "met" : "missed"}`
}

/** How many times as good as before. */
const gainOf = (figure: Figure, before: Figure): number =>
  figure.better === "more" ? figure.value / before.value : before.value / figure.value

const verdictOf = (gain: number): string => (gain > sameRatio ? "better" : gain < 1 / sameRatio ? "WORSE" : "same")

export interface Report {
  readonly add: (figure: Figure) => void
  readonly heading: (text: string) => void
  readonly figures: ReadonlyArray<Figure>
}

/** `baseline`: a file that an earlier run saved; each figure then shows its ratio to that run's. */
export const makeReport = (baseline: string | undefined): Report => {
  const saved = baseline === undefined ? undefined : (JSON.parse(readFileSync(baseline, "utf8")) as Saved)
  const before = new Map(saved?.figures.map((figure) => [figure.id, figure]))
  const figures: Array<Figure> = []
  if (saved !== undefined) console.log(`baseline: ${describe(saved.machine)}\nhere:     ${describe(machineHere())}`)
  return {
    figures,
    heading: (text) => console.log(`\n${text}`),
    add: (figure) => {
      figures.push(figure)
      const ratio = figure.of === undefined ? "" : `${(figure.value / figure.of[1]).toFixed(2)} of ${figure.of[0]}`
      const old = before.get(figure.id)
      const gain = old === undefined ? "" : `x${gainOf(figure, old).toFixed(2)} of the baseline: ${verdictOf(gainOf(figure, old))}`
      const notes = [ratio, aimOf(figure), gain].filter((note) => note !== "").join("; ")
      console.log(`${figure.name.padEnd(46)} ${shown(figure.value).padStart(9)} ${figure.unit.padEnd(6)} ${notes}`.trimEnd())
    }
  }
}

const describe = ({ processor, cores, memoryGiB, system, node }: Machine): string =>
  `${cores} cores of ${processor}, ${memoryGiB} GiB, ${system}, Node ${node}`

export const saveFigures = (file: string, figures: ReadonlyArray<Figure>): void => {
  const saved: Saved = { machine: machineHere(), figures }
  writeFileSync(file, `${JSON.stringify(saved, null, 2)}\n`)
}
