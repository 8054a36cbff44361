/** Plants a mutant: a copy of the source in a folder of its own, with the mutant's text in it. The project stays as it is. */
import { execFileSync } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Mutant } from "../../sim/mutants/Mutant.ts"

export const projectFolder = new URL("../../", import.meta.url).pathname

const copied = ["src", "sim", "spec", "test", "bench", "tla", "package.json", "tsconfig.json", "vitest.config.ts", ".oxlintrc.json"]

/** The text with the mutant in it; fails where what it replaces does not stand there exactly once. */
export const edited = (text: string, mutant: Mutant, file: string): string => {
  let result = text
  for (const edit of mutant.edits) {
    if (edit.file !== file) continue
    const parts = result.split(edit.find)
    if (parts.length !== 2) throw new Error(`mutant ${mutant.id}: its text stands ${parts.length - 1} times in src/${file}, not once: mend sim/mutants`)
    result = parts.join(edit.replace)
  }
  return result
}

/** A copy of the project with the mutant planted; undefined plants nothing. `remove` when done. */
export const planted = (mutant: Mutant | undefined): { readonly folder: string; readonly remove: () => void } => {
  const folder = mkdtempSync(join(tmpdir(), "ouroboros-mutant-"))
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  try {
    for (const name of copied) cpSync(join(projectFolder, name), join(folder, name), { recursive: true })
    symlinkSync(join(projectFolder, "node_modules"), join(folder, "node_modules"))
    for (const file of new Set(mutant?.edits.map((edit) => edit.file))) {
      const path = join(folder, "src", file)
      writeFileSync(path, edited(readFileSync(path, "utf8"), mutant!, file))
    }
    return { folder, remove }
  } catch (error) {
    remove()
    throw error
  }
}

/** The tree of the last commit: seeds that follow from it are the same on every machine, and new with every commit. */
export const treeHash = (): string => execFileSync("git", ["rev-parse", "HEAD^{tree}"], { cwd: projectFolder, encoding: "utf8" }).trim()
