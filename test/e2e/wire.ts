/**
 * S3 requests written by hand: an own SigV4 (independent of the server's), a small client over node:http, and raw
 * sockets for what no client would send. It sits between the tests and the server's address.
 */
import { createHash, createHmac } from "node:crypto"
import { type IncomingMessage, request as httpRequest, Agent } from "node:http"
import { connect } from "node:net"

export interface Target {
  readonly s3: string
  readonly accessKey: string
  readonly secretKey: string
}

const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex")
const hmac = (key: string | Uint8Array, data: string): Buffer => createHmac("sha256", key).update(data).digest()

/** RFC 3986, as SigV4 wants it. */
export const encodeName = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)

export const encodePath = (bucket: string, key?: string): string =>
  key === undefined ? `/${bucket}` : `/${bucket}/${key.split("/").map(encodeName).join("/")}`

export interface Signing {
  readonly method: string
  /** Percent-encoded, as on the wire. */
  readonly path: string
  readonly query?: ReadonlyArray<readonly [string, string]>
  readonly headers?: Readonly<Record<string, string>>
  readonly payloadHash?: string
  readonly date?: Date
  readonly accessKey?: string
  readonly secretKey?: string
}

export interface Signed {
  /** Path and query. */
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  readonly signature: string
  readonly amzDate: string
  readonly scope: string
  readonly key: Buffer
}

export const amzDateOf = (date: Date): string => date.toISOString().replace(/[-:]|\.\d{3}/g, "")

/** Signature Version 4 in the Authorization header (AWS, "Create a signed AWS API request"). */
export const sign = (to: Target, what: Signing): Signed => {
  const amzDate = amzDateOf(what.date ?? new Date())
  const day = amzDate.slice(0, 8)
  const scope = `${day}/us-east-1/s3/aws4_request`
  const payloadHash = what.payloadHash ?? "UNSIGNED-PAYLOAD"
  const headers: Record<string, string> = {
    host: new URL(to.s3).host, "x-amz-date": amzDate, "x-amz-content-sha256": payloadHash,
    ...Object.fromEntries(Object.entries(what.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]))
  }
  const names = Object.keys(headers).filter((name) => name === "host" || name.startsWith("x-") || name.startsWith("content-")).sort()
  const query = (what.query ?? []).map(([name, value]) => `${encodeName(name)}=${encodeName(value)}`).sort().join("&")
  const canonical = [
    what.method, what.path, query, ...names.map((name) => `${name}:${(headers[name] ?? "").trim()}`), "", names.join(";"), payloadHash
  ].join("\n")
  const key = ["us-east-1", "s3", "aws4_request"].reduce<Buffer>((from, part) => hmac(from, part), hmac(`AWS4${what.secretKey ?? to.secretKey}`, day))
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${amzDate}\n${scope}\n${sha256(canonical)}`).toString("hex")
  headers["authorization"] =
    `AWS4-HMAC-SHA256 Credential=${what.accessKey ?? to.accessKey}/${scope}, SignedHeaders=${names.join(";")}, Signature=${signature}`
  return { target: query === "" ? what.path : `${what.path}?${query}`, headers, signature, amzDate, scope, key }
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Buffer
  /** The <Code> of an XML error; "" without one. */
  readonly code: string
}

const codeIn = (body: Buffer): string => /<Code>([^<]+)<\/Code>/.exec(body.subarray(0, 4096).toString("latin1"))?.[1] ?? ""

export interface Call {
  readonly method: string
  readonly bucket?: string
  readonly key?: string
  readonly query?: ReadonlyArray<readonly [string, string]>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
  /** Sent instead of the body's own hash. */
  readonly payloadHash?: string
  readonly msMax?: number
}

const agents = new Map<string, Agent>()

/** One signed request; fails where the connection does. */
export const call = (to: Target, what: Call): Promise<Answer> => {
  const body = what.body === undefined ? Buffer.alloc(0) : Buffer.from(what.body as string)
  const signed = sign(to, {
    method: what.method,
    path: what.bucket === undefined ? "/" : encodePath(what.bucket, what.key),
    payloadHash: what.payloadHash ?? sha256(body),
    ...(what.query === undefined ? {} : { query: what.query }),
    ...(what.headers === undefined ? {} : { headers: what.headers })
  })
  const url = new URL(to.s3)
  let agent = agents.get(to.s3)
  if (agent === undefined) {
    agent = new Agent({ keepAlive: true, maxSockets: 64 })
    agents.set(to.s3, agent)
  }
  return new Promise((resolve, reject) => {
    const sent = httpRequest({
      host: url.hostname, port: url.port, method: what.method, path: signed.target, agent,
      headers: { ...signed.headers, "content-length": String(body.length) }
    }, (response: IncomingMessage) => {
      const parts: Array<Buffer> = []
      response.on("data", (part: Buffer) => parts.push(part))
      response.on("error", reject)
      response.on("close", () => {
        if (!response.complete) reject(new Error("the connection was cut in the answer"))
      })
      response.on("end", () => {
        const bytes = Buffer.concat(parts)
        resolve({ status: response.statusCode ?? 0, headers: response.headers as Answer["headers"], body: bytes, code: codeIn(bytes) })
      })
    })
    sent.setTimeout(what.msMax ?? 30_000, () => sent.destroy(new Error("no answer in time")))
    sent.on("error", reject)
    sent.end(body)
  })
}

export const closeConnections = (to: Target): void => {
  agents.get(to.s3)?.destroy()
  agents.delete(to.s3)
}

/** A request's head as bytes of the wire. */
export const head = (method: string, target: string, headers: Readonly<Record<string, string>>): string =>
  `${method} ${target} HTTP/1.1\r\n${Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`

export interface RawAnswer {
  readonly text: string
  /** Of the first response; 0 where none came. */
  readonly status: number
  readonly code: string
  readonly closed: boolean
}

/** Sends bytes as they are; hears until the server closes or `msMax` passes without it. */
export const raw = (
  port: number, parts: ReadonlyArray<string | Uint8Array>,
  options: { readonly msMax?: number; readonly end?: boolean; readonly destroy?: boolean } = {}
): Promise<RawAnswer> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1")
    let text = ""
    let done = false
    const finish = (closed: boolean): void => {
      if (done) return
      done = true
      clearTimeout(timer)
      socket.destroy()
      resolve({
        text, closed,
        status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0),
        code: /<Code>([^<]+)<\/Code>/.exec(text)?.[1] ?? ""
      })
    }
    const timer = setTimeout(() => finish(false), options.msMax ?? 3000)
    socket.on("connect", () => {
      for (const part of parts) socket.write(part)
      if (options.destroy === true) socket.end(() => finish(true))
      else if (options.end === true) socket.end()
    })
    socket.on("data", (part) => {
      text += part.toString("latin1")
    })
    socket.on("close", () => finish(true))
    // A server that has heard enough may reset; what it said before counts.
    socket.on("error", (error: NodeJS.ErrnoException) => (error.code === "ECONNREFUSED" ? reject(error) : finish(true)))
  })
