/**
 * rollback: what branch and rollback of a bucket of many keys take on a real node, through its admin address, synced; and what
 * reads and listings cost afterwards, beside those before. `keys.ts` runs it on the bucket that it has loaded.
 */
import { randomBytes } from "node:crypto"
import { type BenchContext, costOf } from "./bench.ts"
import { keyOf } from "./keyNames.ts"
import type { BenchServer } from "./server.ts"
import { prepare, runAll } from "./wire.ts"

const changed = 1000
const reads = 5000
const parallel = 16

interface Done {
  readonly ms: number
  /** The commit that it is. */
  readonly commit: number
}

const ask = async (server: BenchServer, path: string, body: unknown): Promise<Done> => {
  const began = performance.now()
  const answer = await fetch(`http://127.0.0.1:${server.adminPort}${path}`, {
    method: "POST", body: JSON.stringify(body),
    headers: { authorization: `Basic ${Buffer.from(`${server.accessKey}:${server.secretKey}`).toString("base64")}` }
  })
  const told = (await answer.json()) as { readonly commit: number }
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${JSON.stringify(told)}`)
  return { ms: performance.now() - began, commit: told.commit }
}

export const reportRollback = async ({ report }: BenchContext, server: BenchServer, keys: number): Promise<void> => {
  const index = (number: number): number => (number * 7_919_317) % keys
  const put = (number: number) => prepare(server, "PUT", `/bench/${keyOf(index(number))}`, { body: [randomBytes(100)] })
  const targets = Array.from({ length: reads }, (_, number) => prepare(server, "GET", `/bench/${keyOf(index(number))}`))
  const pages = Array.from({ length: 100 }, (_, number) => prepare(server, "GET", `/bench?list-type=2&start-after=${encodeURIComponent(keyOf(index(number)))}`))
  const cost = async () => {
    await runAll(server.port, targets, parallel)
    return { get: (await costOf(server, targets, parallel, 100)).microsEach, page: (await costOf(server, pages, 1, 0)).microsEach }
  }
  const { commit: branched, ms: branch } = await ask(server, "/v1/branch", { source: "bench", bucket: "bench-branch" })
  await runAll(server.port, Array.from({ length: changed }, (_, number) => put(number)), parallel)
  const before = await cost()
  const { ms: rollback } = await ask(server, "/v1/rollback", { bucket: "bench", to: branched })
  const after = await cost()
  report.add({ id: "branch.ms", name: `branch of ${keys} keys`, value: branch, unit: "ms", better: "less" })
  report.add({ id: "rollback.ms", name: `rollback of ${keys} keys`, value: rollback, unit: "ms", better: "less" })
  report.add({ id: "rollback.get.ratio", name: "  GET after / before: processor time", value: after.get / before.get, unit: "times", better: "less" })
  report.add({ id: "rollback.page.ratio", name: "  page of 1000 keys after / before: processor time", value: after.page / before.page, unit: "times", better: "less", aim: 2 })
}
