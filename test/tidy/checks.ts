/**
 * The checks of tidy as functions from files to complaints: tidy.test.ts feeds them the project,
 * planted.test.ts feeds them violations and expects each to be seen.
 */
import { posix } from "node:path"
import { FILE_LINES_MAX, KERNELS, MACHINE_ROOMS, ROOMS, SERVICE_OF_GATEWAY, SHELL_OF_EFFECT, WAYS } from "./rooms.ts"
import { codeOnly, type Import, importsOf, lineOf, type Source } from "./source.ts"

export type Check = (source: Source) => ReadonlyArray<string>

const isOneOf = (names: ReadonlyArray<string>, name: string): boolean => names.includes(name)

/** The top-level folder: src, spec, sim, test, bench, docs; "" for a file at the root. */
const areaOf = (path: string): string => (path.includes("/") ? path.slice(0, path.indexOf("/")) : "")

/** The room of a file of src: its folder, or its own name for put.ts, get.ts and settle.ts. */
export const roomOf = (path: string): string => path.split("/")[1]!.replace(/\.(ts|mjs)$/, "")

const isCode = (path: string): boolean => /\.(ts|mts|mjs)$/.test(path) && !path.endsWith(".as.ts")
const isCore = (path: string): boolean =>
  isCode(path) && ["src", "spec", "sim"].includes(areaOf(path)) && !isAtTheEdge(path)

/** What runs worlds, and is not in one. */
const AROUND_WORLDS = ["sim/main.ts", "sim/Record.ts", "sim/bench.ts", "sim/worker.ts", "sim/Swarm.ts", "sim/Ambient.ts", "sim/StandIns.ts"]

/** Where time, chance and I/O live: adapters, the launcher, build scripts of kernels, what runs simulated worlds. */
const isAtTheEdge = (path: string): boolean =>
  AROUND_WORLDS.includes(path) || path.startsWith("src/adapters/") || path === "src/cli/ouroboros.mjs" || path.endsWith("/build.mjs")

const isMachineRoom = (room: string): boolean => isOneOf(MACHINE_ROOMS, room)
const isWay = (room: string): boolean => isOneOf(WAYS, room)

const isLeftOf = (order: ReadonlyArray<string>, a: string, b: string): boolean => order.indexOf(a) < order.indexOf(b)

/** May code of room `from` import from room `to` at all, and if so its code or only its types? */
export const reach = (from: string, to: string): "code" | "types" | "nothing" => {
  if (from === to || from === "node") return to === "cli" ? (from === "cli" ? "code" : "nothing") : "code"
  if (to === "adapters" || from === "base") return "nothing"
  if (to === "base") return "code"
  if (from === "ports") return "nothing"
  if (to === "ports") return "code"
  if (from === "adapters") return "nothing"
  if (isMachineRoom(from)) {
    const order: ReadonlyArray<string> = MACHINE_ROOMS
    return isMachineRoom(to) && order.indexOf(to) < order.indexOf(from) ? "types" : "nothing"
  }
  if (isWay(from)) return isMachineRoom(to) ? "code" : isWay(to) ? (isLeftOf(WAYS, to, from) ? "code" : "types") : "nothing"
  if (from === "gateway") return isWay(to) ? "code" : isMachineRoom(to) ? "types" : "nothing"
  return ROOMS.indexOf(to) < ROOMS.indexOf(from) ? "code" : "nothing"
}

const isPackageAllowed = (room: string, specifier: string): boolean => {
  if (room === "adapters") return true
  if (room !== "base" && (specifier === "effect" || specifier.startsWith("effect/"))) return true
  return (KERNELS[room] ?? []).some((name) => specifier === name || specifier.startsWith(`${name}/`))
}

const complainOfNeighbour = (path: string, target: string, imported: Import): string | undefined => {
  const to = areaOf(target)
  if (to !== "src") return to === "" || to === "node_modules" ? undefined : `src imports nothing of ${to}`
  const [from, room] = [roomOf(path), roomOf(target)]
  const allowed = reach(from, room)
  if (allowed === "nothing") return `${from} may not import ${room}`
  if (allowed === "types" && !imported.isType && !(from === "gateway" && target === SERVICE_OF_GATEWAY)) return `${from} may only \`import type\` from ${room}`
  const isMachine = isMachineRoom(from) && !isService(path)
  if (isMachine && room === "ports" && !imported.isType && imported.names.length > 0) {
    return "a port is touched only in a *Service.ts"
  }
  return undefined
}

const isService = (path: string): boolean => path.endsWith("Service.ts")

const complainOfPackage = (path: string, imported: Import): string | undefined => {
  const room = roomOf(path)
  if (imported.isType) return undefined
  if (!isPackageAllowed(room, imported.specifier)) {
    return `${room} may not import ${imported.specifier} (see KERNELS in test/tidy/rooms.ts)`
  }
  if (!isMachineRoom(room) || isService(path)) return undefined
  const taken = imported.specifier === "effect" ? imported.names : [imported.specifier.replace(/^effect\//, "")]
  const shell = taken.filter((name) => SHELL_OF_EFFECT.includes(name))
  return shell.length === 0 ? undefined : `${shell.join(", ")} in a machine: only a *Service.ts runs effects`
}

/** Imports point left only, and reach outside only through the kernel table. */
export const checkImports: Check = ({ path, text }) => {
  const area = areaOf(path)
  if (!isCode(path) || !["src", "spec", "sim"].includes(area) || isAtTheEdge(path) && !path.includes("adapters/")) {
    return []
  }
  return importsOf(text).flatMap((imported) => {
    const target = imported.specifier.startsWith(".")
      ? posix.join(posix.dirname(path), imported.specifier)
      : undefined
    const complaint = area === "src"
      ? target === undefined
        ? complainOfPackage(path, imported)
        : complainOfNeighbour(path, target, imported)
      : target === undefined
      ? complainOfToolPackage(area, imported)
      : complainOfTwin(area, target)
    return complaint === undefined ? [] : [`${path}: imports ${imported.specifier}: ${complaint}`]
  })
}

const complainOfTwin = (area: string, target: string): string | undefined => {
  const to = areaOf(target)
  if (to === area) return undefined
  if (area === "sim" && to === "spec") return undefined
  if (area === "sim" && to === "src") {
    return roomOf(target) === "adapters" ? "sim never imports adapters" : undefined
  }
  return `${area} may not import ${to}`
}

const complainOfToolPackage = (area: string, imported: Import): string | undefined =>
  imported.isType || !imported.specifier.startsWith("node:") ? undefined : `${area} does no I/O`

/** What reads a clock, draws chance, waits, or does I/O. */
const AMBIENT: ReadonlyArray<readonly [RegExp, string]> = [
  [/\bDate\.now\b|\bnew Date\s*\(\s*\)|(?<!new )\bDate\s*\(/g, "the clock"],
  [/\bperformance\.|\bhrtime\b|\bTemporal\.Now\b/g, "the clock"],
  [/\bMath\.random\b|\brandomUUID\b|\brandomBytes\b|\brandomInt\b|\brandomFill(Sync)?\b|\bgetRandomValues\b/g, "chance"],
  [/\bgenerateKeyPair(Sync)?\b|\bgenerateKey(Sync)?\s*\(/g, "chance"],
  [/\b(setTimeout|setInterval|setImmediate|queueMicrotask|nextTick)\b/g, "a timer"],
  [/(?<![\w.])fetch\s*\(|\bnew (WebSocket|EventSource|Worker)\b/g, "I/O"],
  [/\bprocess\.(env|argv|stdin|stdout|stderr)\b|(?<![\w.])console\./g, "the process"],
  [/\bEffect\.(promise|tryPromise)\b|\bnew Promise\b|\bPromise\.\w+|(?<![\w.])async\s+(function|\(|\w+\s*=>)/g, "a promise"],
  [/\bcrypto\.subtle\b|\bsubtle\./g, "a promise"],
  [/(?<![\w.])(eval|require)\s*\(|\bglobalThis\b(?!\.WebAssembly| as (unknown as )?\{ readonly WebAssembly)/g, "the global object"]
]

/** No ambient time, chance, timers, promises or I/O outside adapters; the command line may use the process. */
export const checkAmbient: Check = ({ path, text }) => {
  if (!isCore(path)) return []
  const code = codeOnly(text)
  const isProcess = path.startsWith("src/cli/") || path.startsWith("src/node/")
  return AMBIENT.filter(([, what]) => !(isProcess && what === "the process")).flatMap(([pattern, what]) =>
    [...code.matchAll(pattern)].map((m) => `${path}:${lineOf(code, m.index)}: ${m[0].trim()} reaches ${what}`)
  )
}

export const checkFileLength: Check = ({ path, text }) => {
  if (!isCode(path) || !["src", "spec", "sim"].includes(areaOf(path))) return []
  const lines = text.replace(/\n$/, "").split("\n").length
  return lines > FILE_LINES_MAX ? [`${path}: ${lines} lines, at most ${FILE_LINES_MAX}`] : []
}

const found = (source: Source, pattern: RegExp, what: string): ReadonlyArray<string> =>
  [...source.text.matchAll(pattern)].map((m) => `${source.path}:${lineOf(source.text, m.index)}: ${what}: ${m[0]}`)

/** Words are joined here so that this file passes its own check. */
const UNFINISHED = new RegExp(String.raw`\b(${["TO" + "DO", "FIX" + "ME", "X" + "XX"].join("|")})\b`, "g")
const REGISTRY = new RegExp(["npm" + "js", "yarnpkg", "npm" + "mirror"].map((n) => String.raw`\b${n}\.(org|com)`).join("|"), "g")
const MACHINE_PATH = new RegExp(String.raw`(?<![\w./~-])/(${["wo" + "rk", "ro" + "ot"].join("|")})/`, "g")
const TEMPORARY_PATH = /(?<![\w./])\/tmp\//g

export const checkUnfinished: Check = (source) => found(source, UNFINISHED, "unfinished")

export const checkMachinePaths: Check = (source) => [
  ...found(source, MACHINE_PATH, "a path of one machine"),
  ...(["src", "spec", "sim"].includes(areaOf(source.path)) ? found(source, TEMPORARY_PATH, "a path of one machine") : [])
]

export const checkRegistryHosts: Check = (source) => [
  ...found(source, REGISTRY, "a registry's host"),
  ...(source.path.endsWith("package-lock.json") ? found(source, /"resolved": "http[^"]*"/g, "a registry's host") : [])
]

/** What catches without looking at what it caught. */
const DROPS_ERROR = /\bcatch\s*\{|\.catch\(\(\) =>|\bEffect\.catch(Cause)?\([^\n]*, \(\) =>|\bEffect\.(ignore|ignoreCause|option|orElseSucceed)\b/g
const LINES_OF_A_REASON = 3

/** No catch is silent: one that drops its error says what it drops and why, in a comment on it or just above. */
export const checkSilentCatches: Check = ({ path, text }) => {
  if (!isCode(path) || areaOf(path) !== "src") return []
  const code = codeOnly(text)
  const lines = text.split("\n")
  return [...code.matchAll(DROPS_ERROR)].flatMap((match) => {
    const line = lineOf(code, match.index)
    const near = lines.slice(Math.max(0, line - 1 - LINES_OF_A_REASON), line + 1)
    return near.some((one) => /\/\/|^\s*(\/\*\*|\*)/.test(one)) ? [] : [`${path}:${line}: ${match[0].trim()} drops an error and does not say why`]
  })
}

/** A test that is left out proves nothing. */
export const checkLeftOutTests: Check = (source) => {
  if (!/\.(test|spec)\.ts$/.test(source.path)) return []
  const code = codeOnly(source.text)
  const pattern = /\b(it|test|describe|suite|bench|layer)(\.\w+)*\.(only|skip|todo)\b|\bx(it|test|describe)\s*\(/g
  return found({ path: source.path, text: code }, pattern, "left out")
}

/** Every folder of src is a room of the table and has its README; every file at its root is a way. */
export const checkRooms = (paths: ReadonlyArray<string>): ReadonlyArray<string> => {
  const present = new Set(paths.filter((path) => path.startsWith("src/")).map(roomOf))
  const isFolder = (room: string): boolean => paths.some((path) => path.startsWith(`src/${room}/`))
  return [...present].flatMap((room) => [
    ...(ROOMS.includes(room) ? [] : [`src/${room}: not in ROOMS of test/tidy/rooms.ts`]),
    ...(isFolder(room) && !paths.includes(`src/${room}/README.md`) ? [`src/${room}: no README.md`] : [])
  ])
}

/** ARCHITECTURE.md names every room that exists. */
export const checkRoomsNamed = (paths: ReadonlyArray<string>, architecture: string): ReadonlyArray<string> => {
  const present = new Set(paths.filter((path) => path.startsWith("src/")).map(roomOf))
  return [...present]
    .filter((room) => !new RegExp(String.raw`\b${room}(/|\.ts\b)`).test(architecture))
    .map((room) => `ARCHITECTURE.md: does not name ${room}`)
}

/** GitHub's anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").trim().replace(/\s/g, "-")

const anchorsOf = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/^#{1,6}\s+(.+)$/gm)].map((match) => anchorOf(match[1]!))

/** Every relative link of a document leads to a file of the project, and to a heading where it names one. */
export const checkLinks = (sources: ReadonlyArray<Source>, paths: ReadonlyArray<string>): ReadonlyArray<string> => {
  const texts = new Map(sources.map(({ path, text }) => [path, text]))
  const exists = (target: string): boolean =>
    target === "." || paths.some((path) => path === target || path.startsWith(`${target}/`))
  return sources.filter(({ path }) => path.endsWith(".md")).flatMap(({ path, text }) =>
    [...text.replace(/```[\s\S]*?```|`[^`\n]*`/g, blankOf).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link]) => {
      if (/^[a-z]+:/.test(link!)) return []
      const [file, anchor] = link!.split("#")
      const target = file === "" ? path : posix.join(posix.dirname(path), file!).replace(/\/$/, "")
      if (!exists(target)) return [`${path}: ${link} leads nowhere`]
      const document = texts.get(target)
      const isMissing = anchor !== undefined && document !== undefined && !anchorsOf(document).includes(anchor)
      return isMissing ? [`${path}: ${link}: no such heading`] : []
    })
  )
}

const blankOf = (text: string): string => text.replace(/[^\n]/g, " ")
