/**
 * Seeds that found something (a bug, or a sync that was left out), each with its story in a line: run at every
 * `npm test`, whatever else is drawn.
 */
import type { Plan } from "./world.ts"

export interface KnownSeed {
  readonly seed: number
  readonly style?: NonNullable<Plan["style"]>
  readonly story: string
}

export const knownSeeds: ReadonlyArray<KnownSeed> = [
  { seed: 138, story: "replay at a start meets a rotten node of the index; the start fails before the index is marked, and so does every later one" },
  { seed: 18, style: "Births", story: "the first checkpoint has its name in the page cache alone, the index knows of it, the power goes" },
  { seed: 30, style: "Births", story: "a block's folder was made by a killed process, the next one trusts its name, the power goes" }
]
