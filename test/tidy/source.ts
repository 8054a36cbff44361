/** Reads TypeScript as text: code without comments or strings, and what it imports. Sits under checks.ts. */

export interface Source {
  readonly path: string
  readonly text: string
}

export interface Import {
  readonly specifier: string
  /** Erased when types are stripped: `import type`, `export type`. */
  readonly isType: boolean
  /** Names taken as values; "*" for a namespace, a dynamic import or a bare one. */
  readonly names: ReadonlyArray<string>
}

const LITERALS = new RegExp(
  [
    String.raw`(?<comment>\/\/[^\n]*|\/\*[\s\S]*?\*\/)`,
    String.raw`(?<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')`,
    String.raw`(?<regex>(?<=(?:^|[=(,:[!&|?{};+>]|return)\s*)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*)`
  ].join("|"),
  "gm"
)

const blank = (text: string): string => text.replace(/[^\n]/g, " ")

/** The code with comments blanked; lines keep their numbers. */
export const withoutComments = (text: string): string =>
  text.replace(LITERALS, (match, comment: string | undefined) => (comment === undefined ? match : blank(match)))

/** The code with comments, quoted strings and regular expressions blanked. Templates stay: they hold code. */
export const codeOnly = (text: string): string => text.replace(LITERALS, blank)

const FROM = /(?:^|[;\s])(import|export)\s+(type\s+)?([\w*\s{},$]*?)\s*from\s*["']([^"']+)["']/g
const BARE = /(?:^|[;\s])import\s*["']([^"']+)["']/g
const DYNAMIC = /\b(?:import|require)\s*\(\s*["'`]([^"'`]+)["'`]/g

const valueNames = (clause: string): ReadonlyArray<string> => {
  if (clause.includes("*")) return ["*"]
  return clause
    .replace(/[{}]/g, ",")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "" && !name.startsWith("type "))
    .map((name) => name.split(/\s+as\s+/)[0]!)
}

export const importsOf = (text: string): ReadonlyArray<Import> => {
  const code = withoutComments(text)
  const imports: Array<Import> = []
  for (const [, , type, clause, specifier] of code.matchAll(FROM)) {
    const names = valueNames(clause!)
    // `import { type A }` leaves `import {}` behind when types are stripped, which loads the module all the same.
    imports.push({ specifier: specifier!, isType: type !== undefined, names: type === undefined ? names : [] })
  }
  for (const pattern of [BARE, DYNAMIC]) {
    for (const [, specifier] of code.matchAll(pattern)) {
      imports.push({ specifier: specifier!, isType: false, names: ["*"] })
    }
  }
  return imports
}

export const lineOf = (text: string, index: number): number => text.slice(0, index).split("\n").length
