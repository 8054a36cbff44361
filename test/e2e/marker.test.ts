/** Names, bodies and metadata are sealed: what is planted in them is in no byte of the data folder, live or stopped. */
import { randomBytes } from "node:crypto"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { afterAll, expect, it } from "vitest"
import { askAdmin, type Server, startServer } from "./server.ts"
import { call, closeConnections } from "./wire.ts"

const MiB = 1024 * 1024
let server: Server | undefined

afterAll(async () => {
  if (server !== undefined) closeConnections(server)
  await server?.dispose()
})

/** Nowhere by chance: all that is planted begins with it, so that one search finds any of them. */
const stem = randomBytes(12).toString("hex")
let planted = 0
/** Lower-case letters and digits, so that it can be a bucket's name too. */
const word = (): string => `${stem}${String(++planted).padStart(3, "0")}`

/** As text, as UTF-16, in hexadecimal, and in base64 at each of its three alignments (the middle, which does not depend on neighbours). */
const formsOf = (marker: string): ReadonlyArray<readonly [string, Buffer]> => [
  ["text", Buffer.from(marker)],
  ["UTF-16", Buffer.from(marker, "utf16le")],
  ["hexadecimal", Buffer.from(Buffer.from(marker).toString("hex"))],
  ...[0, 1, 2].map((shift) => ["base64", Buffer.from(Buffer.from(`${"-".repeat(shift)}${marker}`).toString("base64").slice(4, -6))] as const)
]

const filesOf = (data: string): ReadonlyArray<string> =>
  (readdirSync(data, { recursive: true }) as ReadonlyArray<string>).filter((name) => {
    try {
      return statSync(join(data, name)).isFile()
    } catch (error) {
      // A live folder: a file that was listed may be gone.
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return false
      throw error
    }
  })

/** Where a text is, in any form, with what follows it: its number says which marker it is. */
const findings = (data: string, text: string): ReadonlyArray<string> => {
  const found: Array<string> = []
  const needles = formsOf(text)
  for (const name of filesOf(data)) {
    if (name.includes(text)) found.push(`in the name of ${name}`)
    let bytes: Buffer
    try {
      bytes = readFileSync(join(data, name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") continue
      throw error
    }
    for (const [form, needle] of needles) {
      const at = bytes.indexOf(needle)
      if (at >= 0) found.push(`as ${form} in ${name} at ${at}: ${bytes.subarray(at, at + needle.length + 8).toString("latin1")}`)
    }
  }
  return found
}

it("a marker planted in bodies, keys, bucket names and metadata is in no byte of the data folder", async () => {
  const markers = {
    bucket: word(), "key of a small object": word(), "key of a large object": word(), "inlined body": word(), "body in the journal": word(),
    "body that compresses": word(), "body in blocks": word(), "metadata value": word(), "metadata name": word(), "content type": word(),
    "key of an upload": word(), "body of a part": word(), "deleted key": word(), "overwritten body": word(), "copied key": word(), "version of a key": word()
  }
  const running = await startServer({ config: { settleBytes: MiB, settleAgeMs: 200, checkpointRows: 10 } })
  server = running
  const bucket = markers.bucket
  const put = async (key: string, body: string | Uint8Array, headers: Record<string, string> = {}): Promise<void> => {
    const answer = await call(running, { method: "PUT", bucket, key, body, headers })
    expect([answer.status, answer.code], key).toEqual([200, ""])
  }
  const around = (marker: string, size: number): Buffer => Buffer.concat([randomBytes(size), Buffer.from(marker), randomBytes(size)])
  expect((await call(running, { method: "PUT", bucket })).status).toBe(200)
  expect((await call(running, {
    method: "PUT", bucket, query: [["versioning", ""]], body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
  })).status).toBe(200)
  await put(markers["key of a small object"], markers["inlined body"])
  await put(`dir/${markers["key of a large object"]}/x`, around(markers["body in the journal"], 50_000), {
    [`x-amz-meta-${markers["metadata name"]}`]: "v", "x-amz-meta-m": markers["metadata value"], "content-type": `text/${markers["content type"]}`
  })
  await put("compressible", Buffer.from(`${markers["body that compresses"]} `.repeat(100_000)))
  await put("blocks", around(markers["body in blocks"], 9 * MiB))
  await put(markers["deleted key"], "x")
  expect((await call(running, { method: "DELETE", bucket, key: markers["deleted key"] })).status).toBe(204)
  await put("overwritten", markers["overwritten body"])
  await put("overwritten", markers["version of a key"])
  const copied = await call(running, { method: "PUT", bucket, key: markers["copied key"], headers: { "x-amz-copy-source": `/${bucket}/compressible` } })
  expect(copied.status).toBe(200)
  const upload = await call(running, { method: "POST", bucket, key: markers["key of an upload"], query: [["uploads", ""]] })
  const uploadId = /<UploadId>([^<]+)</.exec(upload.body.toString())?.[1] ?? ""
  const part = await call(running, {
    method: "PUT", bucket, key: markers["key of an upload"], query: [["partNumber", "1"], ["uploadId", uploadId]], body: around(markers["body of a part"], 30_000)
  })
  expect(part.status).toBe(200)

  expect(findings(running.data, stem), "live, before settling").toEqual([])
  expect((await askAdmin(running, "POST", "/v1/settle")).status).toBe(200)
  expect((await askAdmin(running, "POST", "/v1/checkpoint")).status).toBe(200)
  expect(findings(running.data, stem), "live, settled and checkpointed").toEqual([])
  expect(await running.stop()).toEqual({ code: 0, signal: null })
  expect(findings(running.data, stem), "stopped").toEqual([])

  // The search itself finds what is there to be found.
  expect(findings(running.data, running.accessKey).some((text) => text.includes("as text in credentials"))).toBe(true)
  const again = await startServer({ data: running.data })
  expect((await call(again, { method: "GET", bucket, key: markers["key of a small object"] })).body.toString()).toBe(markers["inlined body"])
  await again.stop()
  expect(findings(running.data, stem), "stopped again").toEqual([])
}, 90_000)
