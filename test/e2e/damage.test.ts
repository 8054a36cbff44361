/**
 * The real server on folders that were harmed while it was stopped: one byte, an end, a file, two files exchanged. Every
 * answer is bit for bit right or an error that names the damage; what was not harmed is served; nothing hangs or dies
 * unexplained.
 */
import { appendFileSync, cpSync, readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { indexRunsUnendedMax } from "../../src/base/limits.ts"
import { noise } from "../golden/script.ts"
import { askAdmin, type Server, startServer, temporaryFolder } from "./server.ts"
import { call, closeConnections } from "./wire.ts"

/** Nothing settles and no checkpoint is made unless asked for: the folder is the same each time. */
const config = { chunkAverageBytes: 16_384, settleBytes: 8_000_000, settleAgeMs: 3_600_000, checkpointRows: 100_000, retentionDays: 36_500 }
const home = temporaryFolder("damage")
const origin = join(home, "origin")
const bucket = "harmed"
/** Three runs that an index kills, and the one that throws it away. */
const startsMax = 1 + indexRunsUnendedMax

interface Written {
  readonly name: string
  readonly key: string
  readonly version: string
  readonly body: Buffer
}
const written: Array<Written> = []
/** Blocks that hold an object's chunks, by its name. */
const blocksOf = new Map<string, ReadonlyArray<string>>()

const must = async (answer: ReturnType<typeof call>) => {
  const got = await answer
  expect([got.status, got.code]).toEqual([200, ""])
  return got
}

const put = async (server: Server, name: string, key: string, body: Buffer): Promise<void> => {
  const { headers } = await must(call(server, { method: "PUT", bucket, key, body }))
  written.push({ name, key, version: headers["x-amz-version-id"] ?? "", body })
}

const putParts = async (server: Server, name: string, parts: ReadonlyArray<Buffer>): Promise<void> => {
  const uploadId = /<UploadId>([^<]+)</.exec((await must(call(server, { method: "POST", bucket, key: name, query: [["uploads", ""]] }))).body.toString())?.[1] ?? ""
  const listed: Array<string> = []
  for (const [index, body] of parts.entries()) {
    const number = String(index + 1)
    const { headers } = await must(call(server, { method: "PUT", bucket, key: name, query: [["partNumber", number], ["uploadId", uploadId]], body }))
    listed.push(`<Part><PartNumber>${number}</PartNumber><ETag>${headers["etag"]}</ETag></Part>`)
  }
  const body = `<CompleteMultipartUpload>${listed.join("")}</CompleteMultipartUpload>`
  const { headers } = await must(call(server, { method: "POST", bucket, key: name, query: [["uploadId", uploadId]], body }))
  written.push({ name, key: name, version: headers["x-amz-version-id"] ?? "", body: Buffer.concat(parts) })
}

const filesIn = (folder: string): ReadonlyArray<string> =>
  (readdirSync(folder, { recursive: true }) as ReadonlyArray<string>).filter((name) => statSync(join(folder, name)).isFile()).map((name) => join(folder, name)).sort()

const asked = async (server: Server, what: "settle" | "checkpoint"): Promise<void> =>
  expect((await askAdmin(server, "POST", `/v1/${what}`)).status).toBe(200)

/** Objects that are each in a block of their own. */
const settled = ["flipped", "headless", "footless", "shortened", "lost", "exchanged", "exchanged back", "whole"] as const

beforeAll(async () => {
  const server = await startServer({ data: origin, config })
  await must(call(server, { method: "PUT", bucket }))
  const on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
  await must(call(server, { method: "PUT", bucket, query: [["versioning", ""]], body: on }))
  for (let index = 0; index < 30; index++) await put(server, `note ${index}`, `notes/${index % 40}`, Buffer.from(`words of note ${index}`))
  for (const [index, name] of settled.entries()) {
    const before = new Set(filesIn(join(origin, "blocks")))
    await put(server, name, name, noise(index + 10, 90_000))
    await asked(server, "settle")
    blocksOf.set(name, filesIn(join(origin, "blocks")).filter((path) => !before.has(path)).map((path) => path.slice(origin.length + 1)))
    if (name === "lost") await asked(server, "checkpoint")
  }
  await putParts(server, "joined", [noise(30, 5 * 1024 * 1024), noise(31, 40_000)])
  await asked(server, "settle")
  for (let index = 30; index < 150; index++) await put(server, `note ${index}`, `notes/${index % 40}`, Buffer.from(`words of note ${index}`))
  await asked(server, "checkpoint")
  await put(server, "journaled", "journaled", noise(40, 60_000))
  await put(server, "journaled too", "journaled too", noise(41, 60_000))
  await put(server, "last words", "whole", Buffer.from("a small version over a large one"))
  const { code } = await server.stop()
  closeConnections(server)
  if (code !== 0 || checkpointsOf(origin).length !== 2) throw new Error(`not the folder that was meant: ${server.output()}`)
}, 60_000)

afterAll(() => rmSync(home, { recursive: true, force: true }))

let copies = 0
const copy = (harm: (data: string) => void): string => {
  const data = join(home, `copy-${copies++}`)
  cpSync(origin, data, { recursive: true })
  harm(data)
  return data
}

const flip = (path: string, at: number): void => {
  const bytes = readFileSync(path)
  const index = at < 0 ? bytes.length + at : at
  bytes[index] = bytes[index]! ^ 0x10
  writeFileSync(path, bytes)
}

/** Reads every version there is, and the listing. What is not right: an error's code by name. Wrong bytes fail the test. */
const readAll = async (server: Server): Promise<Record<string, string>> => {
  const wrong: Record<string, string> = {}
  const readOne = async ({ name, key, version, body }: Written): Promise<void> => {
    const got = await call(server, { method: "GET", bucket, key, query: [["versionId", version]], msMax: 10_000 })
      .catch((error: Error) => error)
    if (got instanceof Error) {
      expect(got.message, name).toMatch(/cut|hang up|ECONNRESET|ECONNREFUSED/)
      wrong[name] = "cut"
    } else if (got.status === 200) expect(got.body.equals(body), `${name}: ${got.body.length} bytes that are not what was written`).toBe(true)
    else wrong[name] = `${got.status} ${got.code}`
  }
  for (let at = 0; at < written.length; at += 16) await Promise.all(written.slice(at, at + 16).map(readOne))
  const listed = await call(server, { method: "GET", bucket, query: [["list-type", "2"]] }).catch((error: Error) => error)
  const keys = listed instanceof Error ? [] : [...listed.body.toString().matchAll(/<Key>([^<]*)</g)].map((match) => match[1])
  const expected = [...new Set(written.map(({ key }) => key))].sort()
  if (keys.join() !== expected.join()) wrong["the listing"] = listed instanceof Error ? "cut" : `${listed.status} ${listed.code} ${keys.length} keys`
  return wrong
}

interface Seen {
  readonly wrong: Record<string, string>
  readonly output: string
  /** The end before it was asked for, or after it. */
  readonly ended: { readonly code: number | null; readonly signal: string | null }
}

/** Starts, reads everything, stops; where the start is refused, what it said. */
const serve = async (data: string): Promise<Seen | string> => {
  const server = await startServer({ data, config }).catch((error: Error) => error)
  if (server instanceof Error) {
    expect(server.message, "a refusal, not a hang").toContain("it ended with")
    expect(server.message).toContain('"signal":null')
    return server.message
  }
  const wrong = await readAll(server)
  const ended = await server.stop()
  closeConnections(server)
  return { wrong, output: server.output(), ended }
}

const served = async (data: string): Promise<Seen> => {
  const seen = await serve(data)
  if (typeof seen === "string") throw new Error(seen)
  expect(seen.ended).toEqual({ code: 0, signal: null })
  return seen
}

const refused = async (data: string): Promise<string> => {
  const seen = await serve(data)
  if (typeof seen !== "string") throw new Error(`expected a refusal; it started, and this was wrong: ${JSON.stringify(seen.wrong)}`)
  expect(seen, "a sentence, not a stack").not.toMatch(/\n\s+at /)
  return seen
}

const blockOf = (data: string, name: string): string => join(data, blocksOf.get(name)![0]!)
const idOf = (path: string): string => /([0-9a-f]{32})\.block$/.exec(path)![1]!

describe("damage", () => {
  it("of nothing: everything reads as it was written", async () => {
    expect((await served(copy(() => undefined))).wrong).toEqual({})
  }, 30_000)

  it("of blocks: each error names its block, and all that is elsewhere is served", async () => {
    const data = copy((at) => {
      flip(blockOf(at, "flipped"), 40_000)
      flip(blockOf(at, "headless"), 3)
      flip(blockOf(at, "footless"), -5)
      truncateSync(blockOf(at, "shortened"), 20_000)
      rmSync(blockOf(at, "lost"))
      renameSync(blockOf(at, "exchanged"), join(at, "between"))
      renameSync(blockOf(at, "exchanged back"), blockOf(at, "exchanged"))
      renameSync(join(at, "between"), blockOf(at, "exchanged back"))
    })
    const { output, wrong } = await served(data)
    const harmed = ["flipped", "shortened", "lost", "exchanged", "exchanged back"]
    expect(Object.keys(wrong).sort()).toEqual([...harmed].sort())
    for (const name of harmed) expect(output, name).toContain(idOf(blocksOf.get(name)![0]!))
  }, 30_000)

  const index: ReadonlyArray<readonly [string, (path: string) => void]> = [
    ["its first page is garbage", (path) => harmPages(path, (bytes, page) => page === 0 && bytes.fill(0xa5))],
    ["its file is cut in half", (path) => truncateSync(path, statSync(path).size >> 1)],
    ["all but its meta pages are garbage", (path) => harmPages(path, (bytes, page) => page > 1 && bytes.fill(0xa5))],
    ["the flags and bounds of every page are off", (path) => harmPages(path, (bytes, page) => page > 1 && bytes.fill(0xff, 10, 16))],
    ["the first places in every page lead beyond it", (path) => harmPages(path, (bytes, page) => page > 1 && bytes.fill(0xff, 16, 48))],
    ["a byte of every page is off", (path) => harmPages(path, (bytes, page) => { if (page > 1) bytes[200]! ^= 0x10 })],
    ["the root names pages far beyond the file", (path) => harmPages(path, (bytes, page) => page < 2 && bytes.fill(0x7f, 128, 136))]
  ]
  it.each(index)("of the index, where %s: rebuilt, and everything is right", async (_, harm) => {
    const data = copy((at) => harm(join(at, "index", "data.mdb")))
    expect(await untilRight(data)).toBeLessThanOrEqual(startsMax)
  }, 60_000)

  const checkpoint: ReadonlyArray<readonly [string, (path: string) => void]> = [
    ["has a byte off", (path) => flip(path, 600)],
    ["is cut short", (path) => truncateSync(path, 1000)],
    ["is gone", (path) => rmSync(path)]
  ]
  it.each(checkpoint)("of the index and the newest checkpoint, which %s: one generation back, and everything is right", async (_, harm) => {
    const data = copy((at) => {
      harm(join(at, checkpointsOf(at)[1]!))
      rmSync(join(at, "index"), { recursive: true })
    })
    expect((await served(data)).wrong).toEqual({})
  }, 60_000)

  it("of the newest checkpoint, with an index that has it: everything is right, and again", async () => {
    const data = copy((at) => flip(join(at, checkpointsOf(at)[1]!), 600))
    expect((await served(data)).wrong).toEqual({})
    expect((await served(data)).wrong, "again").toEqual({})
  }, 60_000)

  it("of the index and every checkpoint that could stand for it: the journal, which goes back to its beginning, is replayed whole", async () => {
    const data = copy((at) => {
      flip(join(at, checkpointsOf(at)[0]!), 600)
      rmSync(join(at, "index"), { recursive: true })
    })
    const { output, wrong } = await served(data)
    expect(wrong).toEqual({})
    expect(output).toContain(checkpointsOf(origin)[0])
    expect((await served(data)).wrong, "again").toEqual({})
  }, 60_000)

  it("of the index, every checkpoint and the whole journal: refused, now and at the next start; never an empty store", async () => {
    const data = copy((at) => {
      for (const file of checkpointsOf(at)) flip(join(at, file), -3)
      rmSync(join(at, "index"), { recursive: true })
      rmSync(segmentOf(at))
    })
    expect(await refused(data)).toContain("no generation of checkpoints can be read")
    expect(await refused(data)).toContain("no generation of checkpoints can be read")
  }, 60_000)

  it("of a chunk in the journal: an error for its object, and everything else is served", async () => {
    const chunks = recordsOf(segmentOf(origin)).filter(({ chunk, length }) => chunk && length > 1000).slice(-2)
    const { wrong, output } = await served(copy((at) => flip(segmentOf(at), chunks[0]!.payload + 500)))
    expect(Object.keys(wrong)).toEqual(["journaled too"])
    expect(output).toMatch(new RegExp(`journal.*${segmentNumber(origin)}`))
  }, 30_000)

  it("of the journal's proven part: refused, with segment and offset, and not a byte of it is changed", async () => {
    const records = recordsOf(segmentOf(origin))
    const commit = records.findLast(({ chunk }) => !chunk)!
    const harms: ReadonlyArray<readonly [string, number]> = [
      ["a commit", commit.payload + 20], ["a record's header", commit.payload - 30], ["a batch's header", batchBefore(segmentOf(origin), commit.payload) + 60],
      ["the segment's header", 30]
    ]
    for (const [what, at] of harms) {
      const data = copy((folder) => flip(segmentOf(folder), at))
      const before = readFileSync(segmentOf(data))
      const said = await refused(data)
      expect(said, what).toMatch(new RegExp(`segment ${segmentNumber(origin)}\\b`))
      expect(said, what).toMatch(/offset \d+|:\d+/)
      expect(readFileSync(segmentOf(data)).equals(before), what).toBe(true)
      flip(segmentOf(data), at)
    }
  }, 60_000)

  it("of the journal's end: what a crash may leave there costs nothing that was acknowledged", async () => {
    for (const harm of [
      (path: string) => appendFileSync(path, noise(50, 9000)), (path: string) => appendFileSync(path, Buffer.alloc(4096)),
      // The closing batch proves the one before, and holds nothing.
      (path: string) => truncateSync(path, statSync(path).size - 100)
    ]) {
      expect((await served(copy((at) => harm(segmentOf(at))))).wrong).toEqual({})
    }
  }, 60_000)

  it("of the whole journal: refused, since it was acknowledged", async () => {
    await refused(copy((at) => rmSync(segmentOf(at))))
  }, 30_000)

  const identity = ["keyring", "vault.key", "ouroboros.json"].flatMap((file) => [
    [file, "a byte is off", (path: string) => flip(path, 30)], [file, "it is cut to its half", (path: string) => truncateSync(path, statSync(path).size >> 1)], [file, "it is gone", (path: string) => rmSync(path)]
  ] as const)
  it("of what the folder is known by: refused by name, nothing is made or changed; put back, everything is right", async () => {
    await Promise.all(identity.map(async ([file, what, harm]) => {
      const data = copy((at) => harm(join(at, file)))
      const before = filesIn(data).map((path) => [path, statSync(path).size])
      const said = await refused(data)
      expect(said, what).toContain(file)
      expect(filesIn(data).map((path) => [path, statSync(path).size]), `${file}: ${what}`).toEqual(before)
      cpSync(join(origin, file), join(data, file))
    }))
  }, 60_000)

  it("of the credentials: refused by name, or new ones; nothing stored is lost", async () => {
    for (const harm of [(path: string) => truncateSync(path, 0), (path: string) => truncateSync(path, 40), (path: string) => writeFileSync(path, noise(60, 100))]) {
      const data = copy((at) => harm(join(at, "credentials")))
      expect(await refused(data)).toContain("credentials")
      cpSync(join(origin, "credentials"), join(data, "credentials"))
    }
    const data = copy((at) => rmSync(join(at, "credentials")))
    expect((await served(data)).wrong, "new ones are made").toEqual({})
  }, 60_000)
})

const segmentOf = (data: string): string => filesIn(join(data, "journal")).findLast((path) => path.endsWith(".seg"))!
const segmentNumber = (data: string): number => Number(/(\d+)\.seg$/.exec(segmentOf(data))![1])

/** Records by their headers' magic, which their own checksums would confirm; enough for bytes that we wrote. */
const recordsOf = (path: string): ReadonlyArray<{ readonly payload: number; readonly length: number; readonly chunk: boolean }> => {
  const bytes = readFileSync(path)
  const found: Array<{ payload: number; length: number; chunk: boolean }> = []
  for (let at = bytes.indexOf("OWLR"); at >= 0; at = bytes.indexOf("OWLR", at + 1)) {
    if (bytes[at + 4] !== 1 || Number(bytes.readBigUInt64BE(at + 52)) !== at) continue
    found.push({ payload: at + 96, length: bytes.readUInt32BE(at + 8), chunk: bytes[at + 5] === 1 })
  }
  return found
}
const batchBefore = (path: string, at: number): number => readFileSync(path).lastIndexOf("OWLB", at)

const checkpointsOf = (data: string): ReadonlyArray<string> => readdirSync(join(data, "checkpoints")).sort().map((name) => `checkpoints/${name}`)

const pageBytes = 4096
const harmPages = (path: string, harm: (bytes: Buffer, page: number) => unknown): void => {
  const bytes = readFileSync(path)
  for (let page = 0; (page + 1) * pageBytes <= bytes.length; page++) harm(bytes.subarray(page * pageBytes, (page + 1) * pageBytes), page)
  writeFileSync(path, bytes)
}

/** Starts until everything is right: a page of the index that kills the process is not met for ever. Wrong bytes fail at once. */
const untilRight = async (data: string): Promise<number> => {
  for (let starts = 1; starts <= startsMax; starts++) {
    const server = await startServer({ data, config }).catch((error: Error) => error)
    if (server instanceof Error) {
      expect(server.message, "an end, not a hang").toContain("it ended with")
      continue
    }
    const wrong = await readAll(server)
    await server.stop()
    closeConnections(server)
    if (Object.keys(wrong).length === 0) return starts
  }
  return Number.POSITIVE_INFINITY
}
