/**
 * Load: clients that write and read while members come and go: each has keys of its own, writes a new value to one, and reads one, at one member after the other; whichever did not
 * answer is let alone for a while, as by a load balancer. What it was told
 * counts: a read shows the last value that was acknowledged, or one that is in doubt. Between the tests of processes and an S3 client without retries of its own.
 */
import { createHash } from "node:crypto"
import { GetObjectCommand, NoSuchKey, PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import type { Host } from "./Trio.ts"

interface Key {
  readonly name: string
  /** The last that was acknowledged; -1: none. */
  acked: number
  /** Begun behind it, and answered by an error or not at all: any of them may show, and none that showed may vanish. */
  doubtful: Array<number>
}

export interface LoadReport {
  readonly puts: number
  readonly gets: number
  readonly refused: number
  /** The longest time in which a client had no success, at any member that it tried. */
  readonly longestMs: number
  readonly wrong: ReadonlyArray<string>
}

const bytesOf = (key: string, version: number): Buffer => {
  const seed = createHash("sha256").update(`${key} ${version}`).digest()
  // Some small, some of many chunks.
  const size = version % 14 === 6 ? 300_000 + seed[0]! * 1000 : 100 + seed[1]! * 20
  return Buffer.concat([Buffer.from(`${version} `), Buffer.alloc(size, seed)])
}

const bannedMs = 2_000

const versionIn = (bytes: Buffer): number => Number(bytes.subarray(0, bytes.indexOf(32)).toString("latin1"))

export const clientOf = (host: Host): S3Client =>
  new S3Client({
    endpoint: host.s3 ?? "", region: "us-east-1", forcePathStyle: true, maxAttempts: 1, requestHandler: { requestTimeout: 3_000, throwOnRequestTimeout: true, connectionTimeout: 1_000 },
    credentials: { accessKeyId: host.server?.accessKey ?? "", secretAccessKey: host.server?.secretKey ?? "" }
  })

export class Load {
  readonly #clients: ReadonlyArray<S3Client>
  readonly #keys: Array<Key> = []
  readonly #wrong: Array<string> = []
  readonly #running: Array<Promise<void>> = []
  #puts = 0
  #gets = 0
  #refused = 0
  #longestMs = 0
  #isOver = false

  readonly bucket: string

  /** `name`: of its keys, so that no two runs share any. */
  constructor(hosts: ReadonlyArray<Host>, bucket: string, name: string, writers = 4, keysEach = 4) {
    this.bucket = bucket
    this.#clients = hosts.map(clientOf)
    for (let writer = 0; writer < writers; writer += 1) {
      const keys = Array.from({ length: keysEach }, (_, at): Key => ({ name: `${name}/w${writer}/k${at}`, acked: -1, doubtful: [] }))
      this.#keys.push(...keys)
      this.#running.push(this.#write(writer, keys))
    }
  }

  get acknowledged(): number {
    return this.#puts
  }

  async end(): Promise<LoadReport> {
    this.#isOver = true
    await Promise.all(this.#running)
    return { puts: this.#puts, gets: this.#gets, refused: this.#refused, longestMs: this.#longestMs, wrong: this.#wrong }
  }

  /** Every key, at every member. */
  async check(): Promise<ReadonlyArray<string>> {
    for (const client of this.#clients) for (const key of this.#keys) await this.#read(client, key)
    return this.#wrong
  }

  close(): void {
    for (const client of this.#clients) client.destroy()
  }

  async #write(writer: number, keys: ReadonlyArray<Key>): Promise<void> {
    let aliveMs = performance.now()
    const banned = new Map<S3Client, number>()
    for (let turn = 0; !this.#isOver; turn += 1) {
      const nowMs = performance.now()
      const well = this.#clients.filter((one) => (banned.get(one) ?? 0) <= nowMs)
      const some = well.length === 0 ? this.#clients : well
      const client = some[(writer + turn) % some.length]!
      const key = keys[(turn >> 1) % keys.length]!
      try {
        // What one member was given another is asked for at once.
        await (turn % 2 === 0 ? this.#put(client, key, turn) : this.#read(client, key))
        this.#longestMs = Math.max(this.#longestMs, performance.now() - aliveMs)
        aliveMs = performance.now()
      } catch (error) {
        // Another member is asked next: what was asked may have come true.
        if (!(error instanceof Error)) throw error
        this.#refused += 1
        banned.set(client, performance.now() + bannedMs)
        await new Promise((resolve) => void setTimeout(resolve, 20))
      }
    }
  }

  async #put(client: S3Client, key: Key, version: number): Promise<void> {
    key.doubtful.push(version)
    await client.send(new PutObjectCommand({ Bucket: this.bucket, Key: key.name, Body: bytesOf(key.name, version) }))
    this.#puts += 1
    key.acked = version
    // What was begun before and not answered may still come, and then this one is under it; nobody waits for it any more.
    key.doubtful = key.doubtful.filter((one) => one !== version)
  }

  async #read(client: S3Client, key: Key): Promise<void> {
    const found = await this.#get(client, key)
    this.#gets += 1
    if (found === undefined) {
      if (key.acked >= 0) this.#wrong.push(`${key.name}: version ${key.acked} was acknowledged, and there is none`)
      return
    }
    const version = versionIn(found)
    if (!found.equals(bytesOf(key.name, version))) this.#wrong.push(`${key.name}: bytes that nobody wrote, of version ${version}`)
    else if (version !== key.acked && !key.doubtful.includes(version)) this.#wrong.push(`${key.name}: version ${version} shows, ${key.acked} was acknowledged, in doubt: ${key.doubtful.join(", ") || "none"}`)
  }

  async #get(client: S3Client, key: Key): Promise<Buffer | undefined> {
    try {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: this.bucket, Key: key.name }))
      return Buffer.from(await Body!.transformToByteArray())
    } catch (error) {
      if (error instanceof NoSuchKey) return undefined
      throw error
    }
  }
}
