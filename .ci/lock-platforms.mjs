/**
 * Completes package-lock.json after `npm install --package-lock-only`. Sits between npm and the lockfile.
 *
 * A registry that mirrors only some platforms answers 404 for the optional binaries of the others. npm then leaves
 * them out of the lockfile, and `npm ci` refuses it ("Missing: X@ from lock file"). Each optional dependency pinned
 * to an exact version that has no entry gets one: its version, and its platform as its name says. It has no
 * integrity, which only a registry that has it could tell: running `npm install` against one fills it in.
 */
import { readFileSync, writeFileSync } from "node:fs"

const OS = { darwin: "darwin", linux: "linux", win32: "win32", windows: "win32", freebsd: "freebsd", android: "android", openharmony: "openharmony", aix: "aix", sunos: "sunos", netbsd: "netbsd", openbsd: "openbsd" }
const CPU = { x64: "x64", arm64: "arm64", arm: "arm", armv7: "arm", ia32: "ia32", ppc64: "ppc64", s390x: "s390x", riscv64: "riscv64", loong64: "loong64" }

const path = new URL("../package-lock.json", import.meta.url)
const lock = JSON.parse(readFileSync(path, "utf8"))
const known = new Set(Object.keys(lock.packages).map((key) => key.split("node_modules/").at(-1)))

for (const [parent, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (known.has(name)) continue
    const words = name.split(/[-/]/)
    const os = words.map((word) => OS[word]).find((word) => word !== undefined)
    const cpu = words.map((word) => CPU[word]).find((word) => word !== undefined)
    if (os === undefined || cpu === undefined || !/^\d+\.\d+\.\d+$/.test(version)) {
      throw new Error(`${parent} wants ${name}@${version}: neither in the lockfile nor a binary of a platform`)
    }
    const libc = name.includes("musl") ? "musl" : name.includes("gnu") ? "glibc" : undefined
    lock.packages[`node_modules/${name}`] = {
      version,
      cpu: [cpu],
      ...(entry.dev === true ? { dev: true } : {}),
      ...(libc === undefined ? {} : { libc: [libc] }),
      optional: true,
      os: [os]
    }
    known.add(name)
  }
}

const compare = (a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0)
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(compare))
writeFileSync(path, `${JSON.stringify(lock, undefined, 2)}\n`)
