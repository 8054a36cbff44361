/** budget: where the time of a sealed PUT and GET goes: nanoseconds a byte and microseconds a request, stage by stage. */
import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import type { BucketId, StoreId, VaultId } from "../src/base/ids.ts"
import { defaultTenant } from "../src/base/ids.ts"
import { KiB } from "../src/base/limits.ts"
import { hybridTime } from "../src/base/time.ts"
import { inlineContent } from "../src/content.ts"
import { authenticate, makeAuthenticator } from "../src/gateway/s3/Authentication.ts"
import { makeS3Handler } from "../src/gateway/s3/S3Handler.ts"
import { readRequest, type S3Request } from "../src/gateway/s3/S3Request.ts"
import { route } from "../src/gateway/s3/S3Router.ts"
import { signRequest, unsignedPayload } from "../src/gateway/s3/SigV4.ts"
import { apply } from "../src/namespace/Apply.ts"
import { type Entry, entryFormat } from "../src/namespace/Entry.ts"
import { sealEntry } from "../src/namespace/LoggedEntry.ts"
import type { Change } from "../src/namespace/Model.ts"
import { Namespace } from "../src/namespace/Namespace.ts"
import { State } from "../src/namespace/State.ts"
import type { HttpRequest } from "../src/ports/HttpListener.ts"
import { vaultOf } from "../src/sealer/SealKernel.ts"
import type { VaultKeys } from "../src/sealer/VaultKeys.ts"
import type { Bench, BenchContext } from "./bench.ts"
import { keyOf } from "./keyNames.ts"
import { cheapest } from "./pipeline.ts"
import { roomsOf } from "./rooms.ts"
import { keys as client } from "./server.ts"

/** Microseconds of processor time of each stage of a small request. */
interface RequestBudget {
  readonly parse: number
  readonly signature: number
  readonly route: number
  readonly lookUp: number
  /** All that a GET costs between the HTTP server's request and its answer. */
  readonly get: number
  readonly sealEntry: number
  readonly apply: number
  /** From proposal to answer, 64 at a time: sealed, journaled, synced, applied. */
  readonly commit: number
}

const objects = 4000
const rounds = 6
const turns = 1000

const each = (work: (turn: number) => void): number =>
  cheapest(rounds, () => {
    for (let turn = 0; turn < turns; turn += 1) work(turn)
  }) / turns

const requestOf = (index: number): HttpRequest => {
  const target = `/bench/${keyOf(index % objects)}`
  const headers = signRequest({ method: "GET", target, host: "127.0.0.1:9000", headers: [] }, { ...client, region: "us-east-1" }, Date.now(), unsignedPayload)
  return {
    method: "GET", target, headers: [...headers, ["content-length", "0"]], secure: false, remote: "127.0.0.1:1", body: { sizeBytes: 0, next: Effect.undefined },
    passage: { receivedBytes: 0, sentBytes: 0, waitedMs: 0, workedMs: 0, isWhole: false, isBroken: false, failure: undefined, follower: undefined }
  }
}

const told = (http: HttpRequest): S3Request => {
  const request = readRequest(http, [])
  if (request instanceof Error) throw request
  return request
}

const measureRequests = Effect.fnUntraced(function*(data: string) {
  const keys: VaultKeys = { vaultId: "0".repeat(32) as VaultId, generation: 1, master: randomBytes(32) }
  const rooms = yield* roomsOf(data, { store: "1".repeat(32) as StoreId, keys })
  return yield* Effect.provide(Effect.gen(function*() {
    const namespace = yield* Namespace
    const { reader } = yield* State
    const vault = vaultOf(keys)
    const changeOf = (index: number): Change => ({
      _tag: "PutObject", bucket: "bench", key: keyOf(index), attributes: { headers: { "content-type": "image/jpeg" }, userMetadata: {} },
      content: inlineContent(vault, randomBytes(KiB), { md5: index.toString(16).padStart(32, "0"), checksum: undefined })
    })
    const entryOf = (turn: number): Entry => ({
      format: entryFormat, group: 0, sequence: 1_000_000 + turn, time: hybridTime(Date.now(), turn), tenant: defaultTenant, vault: keys.vaultId, author: "bench",
      change: changeOf(objects + turn)
    })
    yield* namespace.propose({ _tag: "CreateBucket", bucket: "bench", id: "b".repeat(32) as BucketId, owner: "bench" })
    const changes = Array.from({ length: objects }, (_, index) => changeOf(index))
    const before = process.cpuUsage()
    yield* Effect.forEach(changes, (change) => namespace.propose(change), { concurrency: 64, discard: true })
    const { system, user } = process.cpuUsage(before)
    const handler = yield* makeS3Handler({
      domain: [], md5EtagBytesMax: 0, credentials: () => ({ secretKey: client.secretKey, principal: "root" })
    })
    const requests = Array.from({ length: turns }, (_, index) => requestOf(index * 7))
    const parsed = requests.map(told)
    const entries = Array.from({ length: turns }, (_, turn) => entryOf(turn))
    const authenticator = makeAuthenticator(() => ({ secretKey: client.secretKey, principal: "root" }))
    const at = namespace.head().sequence
    const budget: RequestBudget = {
      parse: each((turn) => void readRequest(requests[turn] as HttpRequest, [])),
      signature: each((turn) => void authenticate(authenticator, parsed[turn] as S3Request, Date.now())),
      route: each((turn) => void route(parsed[turn] as S3Request)),
      lookUp: each((turn) => void Effect.runSync(namespace.object("bench", keyOf(turn), undefined, at))),
      get: each((turn) => {
        const { status } = Effect.runSync(Effect.scoped(handler(requests[turn] as HttpRequest)))
        if (status !== 200) throw new Error(`a GET was answered with ${status}`)
      }),
      sealEntry: each((turn) => void sealEntry(vault, entries[turn] as Entry)),
      apply: each((turn) => void apply(reader, entries[turn] as Entry, { vertexHash: (_, bytes) => vault.vertexHash(bytes) })),
      commit: (system + user) / objects
    }
    return budget
  }), rooms)
})

const run = async ({ ceilings, report }: BenchContext): Promise<void> => {
  const { bytes, disk, http } = await ceilings()
  const nanos = (id: string, name: string, value: number): void => report.add({ id: `budget.byte.${id}`, name, value, unit: "ns/B", better: "less" })
  nanos("http.up", "HTTP, a body received", http.up.server)
  nanos("copy", "copy into a unit", bytes.copy)
  nanos("cut", "cut: content-defined points", bytes.cut)
  nanos("name", "name: keyed hash of the plaintext", bytes.name)
  nanos("seal", "seal: compression tried, cipher, hash", bytes.seal)
  nanos("hash", "hash of what was written, read back", bytes.hash)
  nanos("write", "write to the disk", disk.writeNanos)
  nanos("md5", "MD5, where a client wants it", bytes.md5)
  nanos("open", "open: hash, cipher, name", bytes.open)
  nanos("http.down", "HTTP, a body sent", http.down.server)
  nanos("client.up", "the client, sending", http.up.client)
  nanos("client.down", "the client, receiving", http.down.client)
  const folder = mkdtempSync(join(tmpdir(), "ouroboros-bench-"))
  try {
    const stages = await Effect.runPromise(Effect.scoped(measureRequests(folder)))
    const micros = (id: string, name: string, value: number): void => report.add({ id: `budget.request.${id}`, name, value, unit: "us", better: "less" })
    micros("http", "node:http, 1 KiB, both ways", http.serverMicros)
    micros("parse", "parse: target, query, headers", stages.parse)
    micros("signature", "SigV4", stages.signature)
    micros("route", "route", stages.route)
    micros("lookUp", "look-up: view, row, vertex, its hash", stages.lookUp)
    micros("get", "GET from request to answer, without HTTP", stages.get)
    micros("sealEntry", "entry of a PUT: encoded, sealed", stages.sealEntry)
    micros("apply", "apply of a PUT", stages.apply)
    micros("commit", "commit, 64 at a time: sealed, synced, applied", stages.commit)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

export const budget: Bench = { names: ["budget"], title: "Budget", run }
