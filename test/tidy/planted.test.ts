/** A check that cannot fail is a defect: each is fed violations and must see every one of them. */
import { describe, expect, it } from "vitest"
import * as checks from "./checks.ts"

const IMPORTS_REFUSED: ReadonlyArray<readonly [string, string]> = [
  ["src/base/bytes.ts", `import { Effect } from "effect"`],
  ["src/base/bytes.ts", `import type { Disk } from "../ports/Disk.ts"`],
  ["src/base/bytes.ts", `import { createHash } from "node:crypto"`],
  ["src/ports/Disk.ts", `import type { Wal } from "../wal/Wal.ts"`],
  ["src/wal/Wal.ts", `import { seal } from "../sealer/Sealer.ts"`],
  ["src/wal/Wal.ts", `import { type Sealed } from "../sealer/Sealer.ts"`],
  ["src/wal/Wal.ts", `import type { Block } from "../block/Block.ts"`],
  ["src/wal/Wal.ts", `export * from "../sealer/Sealer.ts"`],
  ["src/wal/Wal.ts", `import { Disk } from "../ports/Disk.ts"`],
  ["src/wal/Wal.ts", `import { Effect } from "effect"`],
  ["src/wal/Wal.ts", `import * as Effect from "effect/Effect"`],
  ["src/wal/WalService.ts", `import { readFileSync } from "node:fs"`],
  ["src/wal/WalService.ts", `const fs = await import("node:fs")`],
  ["src/wal/WalService.ts", `import "lmdb"`],
  ["src/wal/WalService.ts", `import { NodeDisk } from "../adapters/NodeDisk.ts"`],
  ["src/wal/WalService.ts", `import { put } from "../put.ts"`],
  ["src/wal/WalService.ts", `import {\n  a,\n  b\n} from "../sealer/Sealer.ts"`],
  ["src/get.ts", `import { put } from "./put.ts"`],
  ["src/put.ts", `import type { Request } from "./gateway/Request.ts"`],
  ["src/gateway/s3/Router.ts", `import { step } from "../../wal/Wal.ts"`],
  ["src/gateway/s3/Router.ts", `import { serve } from "../../node/serve.ts"`],
  ["src/gateway/s3/Router.ts", `import { createServer } from "node:http"`],
  ["src/adapters/NodeDisk.ts", `import { step } from "../wal/Wal.ts"`],
  ["src/cli/main.ts", `import { NodeDisk } from "../adapters/NodeDisk.ts"`],
  ["src/cli/main.ts", `import { readFileSync } from "node:fs"`],
  ["src/node/Node.ts", `import { main } from "../cli/main.ts"`],
  ["src/wal/Wal.ts", `import type { Model } from "../../spec/Model.ts"`],
  ["src/wal/Wal.ts", `import { Twin } from "../../sim/Twin.ts"`],
  ["src/wal/Wal.ts", `import { helper } from "../../test/wal/helper.ts"`],
  ["spec/ObjectStore.ts", `import type { ChunkId } from "../src/base/ids.ts"`],
  ["spec/ObjectStore.ts", `import { readFileSync } from "node:fs"`],
  ["sim/Disk.ts", `import { NodeDisk } from "../src/adapters/NodeDisk.ts"`],
  ["sim/Disk.ts", `import { x } from "../test/x.ts"`]
]

const IMPORTS_ALLOWED: ReadonlyArray<readonly [string, string]> = [
  ["src/base/hash.ts", `import { blake3 } from "@napi-rs/blake-hash"`],
  ["src/wal/Wal.ts", `import type { Sealed } from "../sealer/Sealer.ts"`],
  ["src/wal/Wal.ts", `import { assert } from "../base/assert.ts"`],
  ["src/wal/Wal.ts", `import { Data, type Effect } from "effect"`],
  ["src/wal/Wal.ts", `// import { seal } from "../sealer/Sealer.ts"`],
  ["src/wal/WalService.ts", `import { Effect } from "effect"\nimport { Disk } from "../ports/Disk.ts"`],
  ["src/sealer/Sealer.ts", `import { createCipheriv } from "node:crypto"`],
  ["src/put.ts", `import { seal } from "./sealer/Sealer.ts"`],
  ["src/gateway/s3/Router.ts", `import { put } from "../../put.ts"`],
  ["src/adapters/NodeDisk.ts", `import { open } from "node:fs"\nimport { Disk } from "../ports/Disk.ts"`],
  ["src/node/Node.ts", `import { NodeDisk } from "../adapters/NodeDisk.ts"`],
  ["sim/Disk.ts", `import { Disk } from "../src/ports/Disk.ts"`],
  ["test/wal/Wal.test.ts", `import { readFileSync } from "node:fs"`]
]

const AMBIENT_REFUSED = [
  "Date.now()",
  "new Date()",
  "Date()",
  "performance.now()",
  "Math.random()",
  "randomBytes(8)",
  "crypto.randomUUID()",
  "crypto.getRandomValues(bytes)",
  "setTimeout(f, 1)",
  "setImmediate(f)",
  "queueMicrotask(f)",
  "process.nextTick(f)",
  "fetch(url)",
  "new Worker(url)",
  "process.env.HOME",
  "console.log(x)",
  "Effect.promise(() => p)",
  "Effect.tryPromise(f)",
  "new Promise(f)",
  "Promise.resolve(1)",
  "const f = async () => 1",
  "async function f() {}",
  "crypto.subtle.digest(a, b)",
  "globalThis.x",
  "`${Date.now()}`"
]

const AMBIENT_ALLOWED = [
  `// Date.now() is not for us`,
  `const why = "no Date.now() here"`,
  "Clock.currentTimeMillis",
  "cache.fetch(key)",
  "const update = (x) => validDate(x)"
]

const refused = (check: checks.Check, path: string, text: string): void =>
  expect(check({ path, text }), `${path}: ${text}`).not.toEqual([])
const allowed = (check: checks.Check, path: string, text: string): void =>
  expect(check({ path, text }), `${path}: ${text}`).toEqual([])

describe("tidy, planted", () => {
  it.each(IMPORTS_REFUSED)("import refused in %s: %s", (path, text) => refused(checks.checkImports, path, text))

  it.each(IMPORTS_ALLOWED)("import allowed in %s: %s", (path, text) => allowed(checks.checkImports, path, text))

  it.each(AMBIENT_REFUSED)("ambient refused: %s", (text) => {
    for (const path of ["src/wal/Wal.ts", "src/put.ts", "spec/History.ts", "sim/Clock.ts"]) {
      refused(checks.checkAmbient, path, `export const x = () => {\n${text}\n}`)
    }
    allowed(checks.checkAmbient, "src/adapters/NodeDisk.ts", text)
  })

  it.each(AMBIENT_ALLOWED)("ambient allowed: %s", (text) => allowed(checks.checkAmbient, "src/wal/Wal.ts", text))

  it("a file of 401 lines", () => {
    refused(checks.checkFileLength, "src/wal/Wal.ts", "x\n".repeat(401))
    allowed(checks.checkFileLength, "src/wal/Wal.ts", "x\n".repeat(400))
  })

  it("unfinished work, machine paths, registry hosts", () => {
    refused(checks.checkUnfinished, "docs/a.md", `// ${"TO" + "DO"} later`)
    refused(checks.checkMachinePaths, "docs/a.md", `see /${"work"}/x`)
    refused(checks.checkMachinePaths, "README.md", `"/${"root"}/x"`)
    refused(checks.checkMachinePaths, "src/wal/Wal.ts", `"/tmp/x"`)
    allowed(checks.checkMachinePaths, "test/wal/Wal.test.ts", `"/tmp/x" and src/${"work"}/x`)
    refused(checks.checkRegistryHosts, "package-lock.json", `"resolved": "https://host/x.tgz"`)
    refused(checks.checkRegistryHosts, ".npmrc", `registry=https://registry.${"npm" + "js"}.org/`)
  })

  it("a catch that drops its error without a word", () => {
    const path = "src/wal/WalService.ts"
    for (const code of ["try {\n  f()\n} catch {\n  g()\n}", "x.pipe(Effect.catch(() => Effect.void))", "Effect.catch(f(1, 2), () => y)", "x.pipe(Effect.ignore)"]) {
      refused(checks.checkSilentCatches, path, `a()\nb()\nc()\n${code}\n`)
      allowed(checks.checkSilentCatches, path, `// Gone already.\n${code}\n`)
    }
    allowed(checks.checkSilentCatches, path, "x.pipe(Effect.catch((error) => Effect.logWarning(error.message)))")
  })

  it("a test left out", () => {
    const path = "test/wal/Wal.test.ts"
    for (const word of ["only", "skip", "todo"]) {
      refused(checks.checkLeftOutTests, path, `it.${word}("x", f)`)
      refused(checks.checkLeftOutTests, path, `it.effect.${word}("x", f)`)
    }
    allowed(checks.checkLeftOutTests, path, `it.each(rows)("x", f)`)
  })

  it("a room that is not listed, has no README, or is not named", () => {
    expect(checks.checkRooms(["src/attic/Box.ts", "src/attic/README.md"])).toHaveLength(1)
    expect(checks.checkRooms(["src/wal/Wal.ts"])).toHaveLength(1)
    expect(checks.checkRooms(["src/helpers.ts"])).toHaveLength(1)
    expect(checks.checkRooms(["src/wal/Wal.ts", "src/wal/README.md", "src/put.ts"])).toEqual([])
    expect(checks.checkRoomsNamed(["src/wal/Wal.ts", "src/put.ts"], "put.ts")).toHaveLength(1)
    expect(checks.checkRoomsNamed(["src/wal/Wal.ts", "src/put.ts"], "put.ts then wal/")).toEqual([])
  })

  it("a link that leads nowhere", () => {
    const link = (text: string) => checks.checkLinks([{ path: "docs/a.md", text }], ["docs/a.md", "README.md"])
    expect(link("[x](b.md)")).toHaveLength(1)
    expect(link("[x](#nowhere)")).toHaveLength(1)
    expect(link("# Some where\n[x](#some-where) [y](../README.md) [z](https://example.org) `[c](d)`")).toEqual([])
  })
})
