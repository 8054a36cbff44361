/** Every mutant can be planted: its text stands in the code once, whatever the code has become. */
import { readFileSync } from "node:fs"
import { expect, it } from "vitest"
import { mutants } from "../../sim/mutants/catalogue.ts"
import { edited, projectFolder } from "../mutants/plant.ts"

const source = (file: string): string => readFileSync(`${projectFolder}src/${file}`, "utf8")

it("the text of every mutant stands in the code once, and another takes its place", () => {
  for (const mutant of mutants) {
    for (const { file } of mutant.edits) {
      expect(edited(source(file), mutant, file), mutant.id).not.toBe(source(file))
    }
  }
})

it("mutants have names of their own, and there are 30 or more", () => {
  expect(new Set(mutants.map(({ id }) => id)).size).toBe(mutants.length)
  expect(mutants.length).toBeGreaterThanOrEqual(30)
})

it("a mutant whose text is gone from the code is refused by name", () => {
  const [first] = mutants
  expect(() => edited("nothing of it", first!, first!.edits[0]!.file)).toThrow(first!.id)
})
