/** What types, lint and a room's own tests say of a mutant: whether any of them would have been enough. */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import type { Mutant } from "../../sim/mutants/Mutant.ts"

export type UnitVerdict = "passes" | "types" | "lint" | "tests"

/** A machine that is busy with others is no verdict. */
const commandMsMax = 20 * 60 * 1000

const succeeds = (folder: string, command: string, args: ReadonlyArray<string>): boolean =>
  spawnSync(command, args, { cwd: folder, timeout: commandMsMax, stdio: "ignore" }).status === 0

/** The rooms whose files a mutant changes; the ways at src's root are tested as a pipeline. */
const testedRooms = (mutant: Mutant): ReadonlyArray<string> =>
  [...new Set(mutant.edits.map(({ file }) => file.includes("/") ? file.split("/")[0]! : "pipeline"))]

/** The first of types, lint and unit tests that refuses the copy; "passes" where none does. */
export const unitVerdict = (mutant: Mutant, folder: string): UnitVerdict => {
  if (!succeeds(folder, "bash", ["-c", "\"$(effect-tsgo get-exe-path)\" --noEmit"])) return "types"
  if (!succeeds(folder, "oxlint", ["--deny-warnings"])) return "lint"
  const folders = testedRooms(mutant).map((room) => `test/${room}`).filter((path) => existsSync(join(folder, path)))
  return folders.length === 0 || succeeds(folder, "vitest", ["run", "--bail", "1", "--testTimeout", String(commandMsMax), ...folders]) ? "passes" : "tests"
}
