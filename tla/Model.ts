/**
 * Models: what a folder of tla/ has. X.tla is the protocol; every MC*.cfg beside it is a bounded model of CI, every
 * MC*Nightly.cfg one of the night; variants.ts lists the rules to be left out, each of which TLC must notice.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** A rule left out: an exact text of X.tla, found once, replaced. */
export interface Edit {
  readonly find: string
  readonly replace: string
}

export interface Variant {
  readonly name: string
  /** The rule of protocols.md that is left out, in words. */
  readonly rule: string
  readonly edits: ReadonlyArray<Edit>
  /** The invariant or property that must be violated, and no other. */
  readonly expect: string
  /** Which model shows it, by the name of its cfg: "MCX" where it is not said. */
  readonly model?: string
}

/** One bounded model: a cfg and the module that it configures. */
export interface Bounded {
  /** Of the cfg, without ".cfg". */
  readonly name: string
  readonly module: string
  readonly nightly: boolean
  readonly invariants: ReadonlyArray<string>
  readonly properties: ReadonlyArray<string>
}

export interface Model {
  readonly folder: string
  readonly path: string
  /** The file of the protocol: X.tla. */
  readonly spec: string
  readonly bounded: ReadonlyArray<Bounded>
  readonly variants: ReadonlyArray<Variant>
  /** The names in Next. */
  readonly actions: ReadonlyArray<string>
  /** Whether TLC counts how often each action was taken; else the model says it itself (`Took`). It walks every expression of every definition for that, which steps built of many others make endless. */
  readonly isCounted: boolean
}

const keywords = [
  "SPECIFICATION", "INIT", "NEXT", "INVARIANT", "INVARIANTS", "PROPERTY", "PROPERTIES", "CONSTANT", "CONSTANTS", "CONSTRAINT", "CONSTRAINTS",
  "ACTION_CONSTRAINT", "ACTION_CONSTRAINTS", "SYMMETRY", "VIEW", "CHECK_DEADLOCK", "ALIAS", "POSTCONDITION"
]

export interface Section {
  readonly keyword: string
  readonly text: string
}

/** A cfg as its sections, comments left out. */
export const sectionsOf = (cfg: string): ReadonlyArray<Section> => {
  const text = cfg.replace(/\(\*[\s\S]*?\*\)/g, " ").replace(/\\\*.*$/gm, " ")
  const [, ...parts] = text.split(new RegExp(`\\b(${keywords.join("|")})\\b`))
  return parts.flatMap((keyword, index) => index % 2 === 0 ? [{ keyword, text: parts[index + 1]! }] : [])
}

const wordsOf = (cfg: string, ...wanted: ReadonlyArray<string>): ReadonlyArray<string> =>
  sectionsOf(cfg).filter(({ keyword }) => wanted.includes(keyword))
    .flatMap(({ text }) => text.split(/[\s,]+/)).filter((word) => word !== "")

/** That something always goes on is one where the cfg asks for it; in all others bounded models end. */
export const invariantsOf = (cfg: string): ReadonlyArray<string> => [...wordsOf(cfg, "INVARIANT", "INVARIANTS"), ...(mayNotEnd(cfg) ? ["Deadlock"] : [])]
export const mayNotEnd = (cfg: string): boolean => wordsOf(cfg, "CHECK_DEADLOCK").includes("TRUE")
export const propertiesOf = (cfg: string): ReadonlyArray<string> => wordsOf(cfg, "PROPERTY", "PROPERTIES")

/**
 * The cfg that judges a variant: TLC names no temporal property that fails, so the one that is expected is checked
 * alone; where an invariant is expected, properties are left out. All invariants stay, so another one's failure shows.
 */
export const cfgExpecting = (cfg: string, expect: string): string => {
  const kept = sectionsOf(cfg).filter(({ keyword }) => keyword !== "PROPERTY" && keyword !== "PROPERTIES")
  const lines = kept.map(({ keyword, text }) => `${keyword}${text}`)
  if (propertiesOf(cfg).includes(expect)) lines.push(`PROPERTY ${expect}\n`)
  return lines.join("\n")
}

/** The text with its edits, or why they cannot be made. */
export const edited = (text: string, edits: ReadonlyArray<Edit>): { readonly text: string } | { readonly fault: string } => {
  let now = text
  if (edits.length === 0) return { fault: "it edits nothing" }
  for (const { find, replace } of edits) {
    const times = find === "" ? 0 : now.split(find).length - 1
    if (times !== 1) return { fault: `its text is there ${times} times, not once: ${JSON.stringify(find)}` }
    now = now.replace(find, () => replace)
  }
  return now === text ? { fault: "its edits change nothing" } : { text: now }
}

/** What can be seen to be wrong with a model without running it. */
export const faultsOf = (model: Model): ReadonlyArray<string> => {
  const faults: Array<string> = []
  const spec = readFileSync(join(model.path, model.spec), "utf8")
  if (!model.bounded.some(({ nightly }) => !nightly)) faults.push(`${model.folder}: no MC*.cfg`)
  for (const { module, name } of model.bounded) {
    if (!existsSync(join(model.path, `${module}.tla`))) faults.push(`${model.folder}: ${name}.cfg has no module ${module}.tla`)
  }
  const names = new Set<string>()
  for (const variant of model.variants) {
    const where = `${model.folder}: variant ${variant.name}`
    if (names.has(variant.name)) faults.push(`${where}: there are two of this name`)
    names.add(variant.name)
    const result = edited(spec, variant.edits)
    if ("fault" in result) faults.push(`${where}: ${result.fault}`)
    const bounded = boundedOf(model, variant)
    if (bounded === undefined) faults.push(`${where}: there is no model ${variant.model ?? "named like the protocol"}`)
    else if (![...bounded.invariants, ...bounded.properties].includes(variant.expect)) {
      faults.push(`${where}: ${bounded.name}.cfg does not check ${variant.expect}`)
    }
  }
  const expected = new Set(model.variants.map(({ expect }) => expect))
  const checked = new Set(model.bounded.flatMap(({ invariants, properties }) => [...invariants, ...properties]))
  for (const name of checked) {
    if (!name.startsWith("Type") && !expected.has(name)) faults.push(`${model.folder}: no variant shows that ${name} can fail`)
  }
  return faults
}

export const boundedOf = (model: Model, variant: Variant): Bounded | undefined =>
  model.bounded.find(({ name }) => name === (variant.model ?? `MC${model.spec.replace(/\.tla$/, "")}`))

const readBounded = (path: string, cfg: string): Bounded => {
  const name = cfg.replace(/\.cfg$/, "")
  const text = readFileSync(join(path, cfg), "utf8")
  const own = existsSync(join(path, `${name}.tla`))
  // MCX.tla serves MCXNightly.cfg and MCXLive.cfg, unless they have a module of their own.
  const modules = readdirSync(path).filter((file) => /^MC.*\.tla$/.test(file)).map((file) => file.replace(/\.tla$/, ""))
  const shared = modules.filter((module) => name.startsWith(module)).sort((a, b) => b.length - a.length)[0]
  return { name, module: own ? name : shared ?? name, nightly: name.endsWith("Nightly"), invariants: invariantsOf(text), properties: propertiesOf(text) }
}

const actionsIn = (spec: string): ReadonlyArray<string> => [...(/^Next ==\n((?: .*\n)+)/m.exec(spec)?.[1] ?? "").matchAll(/\\\/ (\w+)/g)].map(([, name]) => name!)

export const readModel = async (root: string, folder: string): Promise<Model> => {
  const path = join(root, folder)
  const files = readdirSync(path).sort()
  const spec = files.find((file) => file.toLowerCase() === `${folder}.tla`)
  if (spec === undefined) throw new Error(`tla/${folder}: no ${folder}.tla, its first letter large`)
  const { isCounted = true, variants } = await import(join(path, "variants.ts")) as { readonly variants: ReadonlyArray<Variant>; readonly isCounted?: boolean }
  return { folder, path, spec, bounded: files.filter((file) => /^MC.*\.cfg$/.test(file)).map((cfg) => readBounded(path, cfg)), variants, isCounted, actions: actionsIn(readFileSync(join(path, spec), "utf8")) }
}

/** Folders of tla/ that have a protocol; "alarm" is the runner's own. */
export const folders = (root: string): ReadonlyArray<string> =>
  readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory() && entry.name !== "alarm" && !entry.name.startsWith("."))
    .map(({ name }) => name).sort()
