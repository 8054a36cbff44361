/**
 * gc: what is on the disk beside what is live, after many mixed operations on a node that keeps no history and a
 * collection to the end. Everything that is left is read and compared.
 */
import {
  AbortMultipartUploadCommand, CompleteMultipartUploadCommand, CopyObjectCommand, CreateBucketCommand, CreateMultipartUploadCommand,
  DeleteObjectCommand, GetObjectCommand, PutBucketVersioningCommand, PutObjectCommand, S3Client, UploadPartCommand
} from "@aws-sdk/client-s3"
import { createHash } from "node:crypto"
import { lstatSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { KiB, MiB } from "../src/base/limits.ts"
import { type Random, seededRandom } from "../sim/Random.ts"
import type { Bench, BenchContext } from "./bench.ts"
import { type BenchServer, startServer } from "./server.ts"

const parallel = 8
const keyCount = 300
const partBytes = 5 * MiB
/** What the folder may hold beside the live bytes: this many times as much, and the room that the journal and the index work in. */
const ratioMax = 1.3
const slackBytes = 256 * MiB

interface World {
  readonly s3: S3Client
  readonly random: Random
  /** Digests of what must be there, by bucket and key, or by bucket, key and version id. */
  readonly expected: Map<string, string>
  readonly contents: Array<Uint8Array>
}

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** 1 KiB to 1 MiB, every order of magnitude alike; now and then what was sent before. */
const body = ({ contents, random }: World): Uint8Array => {
  if (contents.length > 0 && random.chance(0.2)) return random.pick(contents)
  const bytes = random.bytes(Math.floor(KiB * 1024 ** (random.below(1000) / 1000)))
  if (contents.length < 20) contents.push(bytes)
  return bytes
}

/** One operation on a key that is one client's own, so that the order is the sender's. */
const operate = async (world: World, key: string, other: string): Promise<void> => {
  const { expected, random, s3 } = world
  const Bucket = random.chance(0.7) ? "plain" : "versioned"
  const name = `${Bucket}/${key}`
  const at = { Bucket, Key: key }
  const draw = random.below(100)
  if (draw < 55) {
    const bytes = body(world)
    const { VersionId } = await s3.send(new PutObjectCommand({ ...at, Body: bytes }))
    expected.set(VersionId === undefined ? name : `${name}?${VersionId}`, digest(bytes))
  } else if (draw < 80) {
    const versions = [...expected.keys()].filter((known) => known.startsWith(`${name}?`))
    if (Bucket === "plain") {
      await s3.send(new DeleteObjectCommand(at))
      expected.delete(name)
    } else if (versions.length > 0) {
      const version = random.pick(versions)
      await s3.send(new DeleteObjectCommand({ ...at, VersionId: version.slice(name.length + 1) }))
      expected.delete(version)
    }
  } else if (draw < 97) {
    const source = `plain/${other}`
    const known = expected.get(source)
    if (known === undefined || source === name) return
    const { VersionId } = await s3.send(new CopyObjectCommand({ ...at, CopySource: source }))
    expected.set(VersionId === undefined ? name : `${name}?${VersionId}`, known)
  } else {
    await multipart(world, Bucket, key, random.chance(0.4))
  }
}

const multipart = async ({ expected, random, s3 }: World, Bucket: string, Key: string, aborted: boolean): Promise<void> => {
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }))
  const bodies = [random.bytes(partBytes), random.bytes(300 * KiB)]
  const Parts: Array<{ readonly PartNumber: number; readonly ETag: string | undefined }> = []
  for (const [index, Body] of bodies.entries()) {
    const { ETag } = await s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: index + 1, Body }))
    Parts.push({ PartNumber: index + 1, ETag })
  }
  if (aborted) return void (await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId })))
  const { VersionId } = await s3.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }))
  expected.set(VersionId === undefined ? `${Bucket}/${Key}` : `${Bucket}/${Key}?${VersionId}`, digest(Buffer.concat(bodies)))
}

/** Each client works on keys of its own, and copies from these. */
const client = async (world: World, number: number, operations: number): Promise<void> => {
  const keyOf = (): string => `key-${number}-${world.random.below(keyCount / parallel)}`
  for (let done = 0; done < operations; done += 1) await operate(world, keyOf(), keyOf())
}

/** Bytes that files take on the disk. */
const bytesOn = (folder: string): number =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .reduce((sum, entry) => sum + (entry.isFile() ? lstatSync(join(entry.parentPath, entry.name)).blocks * 512 : 0), 0)

interface Collected {
  readonly remaining: { readonly liveBytes: number; readonly blockBytes: number; readonly waiting: ReadonlyArray<string> }
}

const collect = async (server: BenchServer): Promise<Collected> => {
  const authorization = `Basic ${Buffer.from(`${server.accessKey}:${server.secretKey}`).toString("base64")}`
  const answer = await fetch(`http://127.0.0.1:${server.adminPort}/v1/gc?now=1`, { method: "POST", headers: { authorization } })
  if (!answer.ok) throw new Error(`gc: ${answer.status} ${await answer.text()}`)
  return await answer.json() as Collected
}

const readAll = async ({ expected, s3 }: World): Promise<void> => {
  for (const [name, wanted] of expected) {
    const [, Bucket, Key, VersionId] = /^([^/]+)\/([^?]+)(?:\?(.+))?$/.exec(name) ?? []
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: Bucket!, Key: Key!, ...(VersionId === undefined ? {} : { VersionId }) }))
    if (digest(await Body!.transformToByteArray()) !== wanted) throw new Error(`${name} is not what it was`)
  }
}

const run = async ({ options, report }: BenchContext): Promise<void> => {
  const own = mkdtempSync(join(tmpdir(), "ouroboros-gc-"))
  const config = join(own, "config.json")
  const data = join(own, "data")
  writeFileSync(config, JSON.stringify({ retentionDays: 0 }))
  const server = await startServer({ data, flags: ["--config", config] })
  const s3 = new S3Client({
    endpoint: `http://127.0.0.1:${server.port}`, region: "us-east-1", forcePathStyle: true,
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey }
  })
  try {
    for (const Bucket of ["plain", "versioned"]) await s3.send(new CreateBucketCommand({ Bucket }))
    await s3.send(new PutBucketVersioningCommand({ Bucket: "versioned", VersioningConfiguration: { Status: "Enabled" } }))
    const worlds = Array.from({ length: parallel }, (_, number): World => ({ s3, random: seededRandom(number + 1), expected: new Map(), contents: [] }))
    const begun = performance.now()
    await Promise.all(worlds.map((world, number) => client(world, number, Math.ceil(options.operations / parallel))))
    const worked = performance.now()
    const before = bytesOn(data)
    const { remaining } = await collect(server)
    const seconds = (performance.now() - worked) / 1000
    for (const world of worlds) await readAll(world)
    const folder = bytesOn(data)
    const ratio = folder / remaining.liveBytes
    report.add({ id: "gc.operations", name: "operations", value: options.operations / ((worked - begun) / 1000), unit: "/s", better: "more" })
    report.add({ id: "gc.seconds", name: "collection to the end", value: seconds, unit: "s", better: "less" })
    report.add({ id: "gc.before", name: "folder before", value: before / MiB, unit: "MiB", better: "less" })
    report.add({ id: "gc.folder", name: "folder after", value: folder / MiB, unit: "MiB", better: "less" })
    report.add({ id: "gc.live", name: "live", value: remaining.liveBytes / MiB, unit: "MiB", better: "less" })
    report.add({ id: "gc.blocks", name: "blocks/live", value: remaining.blockBytes / remaining.liveBytes, unit: "", better: "less", aim: ratioMax })
    const isWithin = folder <= ratioMax * remaining.liveBytes + slackBytes
    console.log(`folder/live ${ratio.toFixed(2)} (limit ${ratioMax} plus 256 MiB): ${isWithin ? "ok" : "MISSED"}`)
    if (!isWithin) process.exitCode = 1
  } finally {
    s3.destroy()
    await server.stop()
    rmSync(own, { recursive: true })
  }
}

export const gc: Bench = { names: ["gc"], title: "Deletion that frees space", run }
