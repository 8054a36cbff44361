/**
 * keys: a bucket of a million keys: how long a whole listing takes, what AS OF costs beside reads of the present, and how
 * soon the node is ready after a clean stop and after SIGKILL with a journal full of commits that no checkpoint has.
 */
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { KiB, overlayRowsMax } from "../src/base/limits.ts"
import { type Bench, type BenchContext, costOf, makeBucket, quantile } from "./bench.ts"
import { keyOf } from "./keyNames.ts"
import { reportRollback } from "./rollback.ts"
import { type BenchServer, startServer } from "./server.ts"
import { openWire, prepare, runAll } from "./wire.ts"

const startMsMax = 120_000
const reads = 10_000
const parallel = 16
const changedKeys = 20_000
/** Rows of one PUT of a new key: its version and its commit. As many PUTs as leave a checkpoint just not due. */
const journaledPuts = Math.floor(overlayRowsMax / 2) - 2000

const objectOf = (index: number): string => `/bench/${keyOf(index)}`

/** The same ones in every run. */
const picked = (count: number, of: number): ReadonlyArray<number> => Array.from({ length: count }, (_, index) => (index * 7_919_317) % of)

const load = async (data: string, keys: number): Promise<void> => {
  // Its first start makes the folder a store.
  await (await startServer({ data })).stop()
  const loader = spawn(process.execPath, [fileURLToPath(new URL("loader.ts", import.meta.url)), data, String(keys)], { stdio: ["ignore", "inherit", "inherit"] })
  const code = await new Promise((resolve) => loader.once("exit", resolve))
  if (code !== 0) throw new Error(`the loader ended with ${String(code)}`)
}

/** Every page after the other, as a client must; milliseconds of each. */
const listAll = async (server: BenchServer, keys: number): Promise<ReadonlyArray<number>> => {
  const wire = await openWire(server.port)
  const pages: Array<number> = []
  let listed = 0
  for (let token: string | undefined = ""; token !== undefined;) {
    const request = prepare(server, "GET", `/bench?list-type=2&prefix=photos%2F${token === "" ? "" : `&continuation-token=${encodeURIComponent(token)}`}`)
    const began = performance.now()
    const { status, text } = await wire.send(request, true)
    pages.push(performance.now() - began)
    if (status !== 200) throw new Error(`a page of a listing: ${status} ${text}`)
    listed += Number(/<KeyCount>(\d+)</.exec(text)?.[1] ?? 0)
    token = /<NextContinuationToken>([^<]+)</.exec(text)?.[1]
  }
  wire.close()
  if (listed !== keys) throw new Error(`${listed} of ${keys} keys listed`)
  return pages
}

const reportListing = async ({ report }: BenchContext, server: BenchServer, keys: number): Promise<void> => {
  const cpu = server.cpuMicros()
  const pages = await listAll(server, keys)
  const micros = (server.cpuMicros() - cpu) / pages.length
  const seconds = pages.reduce((sum, ms) => sum + ms, 0) / 1000
  report.add({ id: "list.all", name: `listing ${keys} keys, page by page`, value: seconds, unit: "s", better: "less", aim: 15 })
  report.add({ id: "list.page", name: "  a page of 1000, median", value: quantile(pages, 0.5), unit: "ms", better: "less" })
  report.add({ id: "list.page.cpu", name: "  processor time of the node for a page", value: micros, unit: "us", better: "less" })
}

/** The commit that an answer names. */
const commitNow = async (server: BenchServer): Promise<string> => {
  const status = await fetch(`http://127.0.0.1:${server.port}/`)
  const commit = status.headers.get("x-ouroboros-commit")
  await status.arrayBuffer()
  if (commit === null) throw new Error("an answer names no commit")
  return commit
}

const reportAsOf = async ({ report }: BenchContext, server: BenchServer, keys: number): Promise<void> => {
  const commit = await commitNow(server)
  const overwritten = picked(changedKeys, keys).map((index) => prepare(server, "PUT", objectOf(index), { body: [randomBytes(100)] }))
  await runAll(server.port, overwritten, 64)
  const headers = [["x-ouroboros-as-of", commit]] as const
  const targets = picked(reads, keys)
  const read = (asOf: boolean) => targets.map((index) => prepare(server, "GET", objectOf(index), asOf ? { headers } : {}))
  await runAll(server.port, read(true), parallel)
  const now = await costOf(server, read(false), parallel, 100)
  const then = await costOf(server, read(true), parallel, 100)
  const pages = picked(200, keys - 1000).map((index) => `/bench?list-type=2&start-after=${encodeURIComponent(keyOf(index))}`)
  const page = (asOf: boolean) => pages.map((target) => prepare(server, "GET", target, asOf ? { headers } : {}))
  const pageNow = await costOf(server, page(false), 1, 0)
  const pageThen = await costOf(server, page(true), 1, 0)
  const micros = (id: string, name: string, value: number): void => report.add({ id, name, value, unit: "us", better: "less" })
  micros("asof.get.now", `GET among ${keys} keys: processor time`, now.microsEach)
  micros("asof.get.then", "GET AS OF before 20000 overwrites: processor time", then.microsEach)
  report.add({ id: "asof.get.ratio", name: "  AS OF / now", value: then.microsEach / now.microsEach, unit: "times", better: "less", aim: 1.5 })
  micros("asof.page.now", "page of 1000 keys: processor time", pageNow.microsEach)
  micros("asof.page.then", "page AS OF: processor time", pageThen.microsEach)
  report.add({ id: "asof.page.ratio", name: "  AS OF / now", value: pageThen.microsEach / pageNow.microsEach, unit: "times", better: "less", aim: 1.5 })
}

const reportStart = async ({ report }: BenchContext, data: string, keys: number): Promise<void> => {
  const clean = await startServer({ data, readyMsMax: startMsMax })
  report.add({ id: "start.clean", name: `ready after a clean stop, ${keys} keys`, value: clean.readyMs / 1000, unit: "s", better: "less", aim: 2 })
  const puts = Array.from({ length: journaledPuts }, (_, index) => prepare(clean, "PUT", `/bench/more/${index}`, { body: [randomBytes(KiB)] }))
  await runAll(clean.port, puts, 64)
  await clean.kill()
  const killed = await startServer({ data, readyMsMax: startMsMax })
  report.add({ id: "start.killed", name: `ready after SIGKILL, ${journaledPuts} PUTs in the journal`, value: killed.readyMs / 1000, unit: "s", better: "less" })
  await killed.stop()
}

const run = async (context: BenchContext): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), "ouroboros-bench-"))
  const { keys, store } = context.options
  const data = store ?? join(folder, "data")
  try {
    const empty = await startServer()
    context.report.add({ id: "start.empty", name: "ready for the first time, a new folder", value: empty.readyMs / 1000, unit: "s", better: "less" })
    await makeBucket(empty)
    await empty.stop()
    if (!existsSync(data)) {
      const began = performance.now()
      await load(data, keys)
      const micros = ((performance.now() - began) * 1000) / keys
      context.report.add({ id: "keys.load", name: `loading ${keys} keys without HTTP, each`, value: micros, unit: "us", better: "less" })
    }
    const server = await startServer({ data, readyMsMax: startMsMax })
    try {
      if (context.wants("list")) await reportListing(context, server, keys)
      if (context.wants("asof")) await reportAsOf(context, server, keys)
      if (context.wants("rollback")) await reportRollback(context, server, keys)
    } finally {
      await server.stop()
    }
    if (context.wants("start")) await reportStart(context, data, keys)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

export const keys: Bench = { names: ["list", "asof", "rollback", "start"], title: "Many keys", run }
