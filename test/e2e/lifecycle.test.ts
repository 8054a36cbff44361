/** The server's life as its operator sees it: first start, ready, refused, reloaded, stopped. */
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createServer, connect } from "node:net"
import { join } from "node:path"
import { connect as tlsConnect } from "node:tls"
import { afterAll, describe, expect, it } from "vitest"
import { makeCertificate } from "./certificate.ts"
import {
  askAdmin, cleanEnvironment, commandPath, killChildren, memoryOf, projectRoot, readCredentials, readyLine, runCommand, serveCommand, type Server, spawnWatched, startServer,
  temporaryFolder
} from "./server.ts"
import { call, closeConnections, encodePath, head, sign } from "./wire.ts"

const home = temporaryFolder("lifecycle")
const servers: Array<Server> = []
let folders = 0

const folder = (): string => {
  folders += 1
  return join(home, `data-${folders}`)
}

const start = async (options: Parameters<typeof startServer>[0] = {}): Promise<Server> => {
  const server = await startServer({ data: folder(), ...options })
  servers.push(server)
  return server
}

afterAll(async () => {
  await Promise.all(servers.map((server) => server.dispose()))
  // What a failed test started and did not end: a runner that is killed runs no exit handlers.
  killChildren()
  rmSync(home, { recursive: true, force: true })
})

const refusesConnections = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1")
    socket.on("connect", () => {
      socket.destroy()
      resolve(false)
    })
    socket.on("error", () => resolve(true))
  })

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const listener = createServer().listen(0, "127.0.0.1", () => {
      const address = listener.address()
      listener.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

const serve = (data: string, args: ReadonlyArray<string> = [], env: Record<string, string> = {}) => {
  const [command, ...rest] = serveCommand(data, { args })
  return runCommand(command ?? "", rest, { env: cleanEnvironment(env), msMax: 20_000 })
}

/** Every file of a folder with its bytes' hash. */
const snapshot = (path: string): Readonly<Record<string, string>> =>
  Object.fromEntries((readdirSync(path, { recursive: true }) as ReadonlyArray<string>).toSorted().map((name) => {
    const full = join(path, name)
    return [name, statSync(full).isFile() ? createHash("sha256").update(readFileSync(full)).digest("hex") : "folder"]
  }))

/** Processes of this machine whose command line names a text; nothing where there is no /proc. */
const processesNaming = (text: string): ReadonlyArray<number> =>
  !existsSync("/proc/self/cmdline") ? [] : readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      return pid !== process.pid && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text)
    } catch {
      // It ended while it was looked at.
      return false
    }
  })

const sleep = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms))

describe("first start", () => {
  it("makes credentials, shows them once, keeps them for its owner alone; the next start is quiet and has the objects", async () => {
    const first = await start()
    expect(first.output()).toContain(first.secretKey)
    expect(first.output()).toContain(first.accessKey)
    expect(first.output()).toMatch(/aws --endpoint-url http:\/\/127\.0\.0\.1:\d+ s3 /)
    expect(statSync(join(first.data, "credentials")).mode & 0o777).toBe(0o600)
    for (const name of readdirSync(first.data).filter((each) => /key/.test(each))) {
      expect(statSync(join(first.data, name)).mode & 0o077, `${name} is for its owner alone`).toBe(0)
    }
    expect(first.output().match(/is ready/g)).toHaveLength(1)
    await call(first, { method: "PUT", bucket: "kept" })
    await call(first, { method: "PUT", bucket: "kept", key: "k", body: "still here" })
    expect(await first.stop()).toEqual({ code: 0, signal: null })
    const second = await start({ data: first.data })
    expect(second.output()).not.toContain(first.secretKey)
    expect([second.accessKey, second.secretKey]).toEqual([first.accessKey, first.secretKey])
    expect((await call(second, { method: "GET", bucket: "kept", key: "k" })).body.toString()).toBe("still here")
    expect(await second.stop()).toEqual({ code: 0, signal: null })
  }, 60_000)

  it("killed again and again while it is under way, it still comes to an end, with one set of credentials", async () => {
    const data = folder()
    const [command, ...args] = serveCommand(data, {})
    for (const ms of [150, 300, 450, 600, 800, 1000]) {
      const running = spawnWatched(command ?? "", args)
      await sleep(ms)
      running.child.kill("SIGKILL")
      await running.ended
    }
    const server = await start({ data })
    expect((await call(server, { method: "PUT", bucket: "at-last" })).status).toBe(200)
    await server.stop()
    const again = await start({ data })
    expect([again.accessKey, again.secretKey]).toEqual([server.accessKey, server.secretKey])
    expect((await call(again, { method: "HEAD", bucket: "at-last" })).status).toBe(200)
    await again.stop()
  }, 60_000)

  it("takes credentials from the environment and does not show them", async () => {
    const server = await start({ env: { OUROBOROS_ACCESS_KEY: "ENVIRONMENT", OUROBOROS_SECRET_KEY: "from-the-environment" } })
    expect([server.accessKey, server.secretKey]).toEqual(["ENVIRONMENT", "from-the-environment"])
    expect(server.output()).not.toContain("from-the-environment")
    expect((await call(server, { method: "PUT", bucket: "env" })).status).toBe(200)
    await server.stop()
  }, 60_000)

  it("under a passphrase: a wrong one and none are refused with a sentence, the right one opens", async () => {
    const data = folder()
    const first = await start({ data, env: { OUROBOROS_PASSPHRASE: "open sesame" } })
    await call(first, { method: "PUT", bucket: "secret" })
    await first.stop()
    const environments: ReadonlyArray<Record<string, string>> = [{ OUROBOROS_PASSPHRASE: "wrong" }, {}]
    for (const env of environments) {
      const refused = await serve(data, [], env)
      expect(refused.late).toBe(false)
      expect(refused.code).not.toBe(0)
      expect(refused.stderr + refused.stdout.toString()).toMatch(/passphrase/i)
    }
    const again = await start({ data, env: { OUROBOROS_PASSPHRASE: "open sesame" } })
    expect((await call(again, { method: "HEAD", bucket: "secret" })).status).toBe(200)
    await again.stop()
  }, 60_000)
})

describe("ready", () => {
  it("/health/ready is 503 until S3 serves, then 200, and 503 again while it stops", async () => {
    const data = folder()
    // Something to recover, so that the time before S3 serves is long enough to be seen.
    const before = await start({ data })
    await call(before, { method: "PUT", bucket: "slow" })
    await Promise.all(Array.from({ length: 24 }, async (_, lane) => {
      for (let index = 0; index < 25; index++) await call(before, { method: "PUT", bucket: "slow", key: `${lane}/${index}`, body: Buffer.alloc(4000, index) })
    }))
    closeConnections(before)
    await before.kill()
    const [s3, admin] = [await freePort(), await freePort()]
    const [command, ...args] = serveCommand(data, { s3: `127.0.0.1:${s3}`, admin: `127.0.0.1:${admin}` })
    const running = spawnWatched(command ?? "", args)
    const ready = async (): Promise<number> =>
      fetch(`http://127.0.0.1:${admin}/health/ready`).then((response) => response.status, () => 0)
    const seen: Array<number> = []
    const untilMs = performance.now() + 30_000
    while (seen.at(-1) !== 200 && performance.now() < untilMs) seen.push(await ready())
    expect(await refusesConnections(s3)).toBe(false)
    const order = seen.filter((status, index) => status !== seen[index - 1])
    expect(order.filter((status) => status !== 0), "503, then 200").toEqual([503, 200])
    await running.line(readyLine)
    // A PUT that is under way holds the end back, within a bound.
    const target = { s3: `http://127.0.0.1:${s3}`, ...readCredentials(data) }
    const signed = sign(target, { method: "PUT", path: encodePath("slow", "k") })
    const socket = connect(s3, "127.0.0.1")
    let answer = ""
    socket.on("data", (part) => {
      answer += part.toString("latin1")
    })
    socket.write(head("PUT", signed.target, { ...signed.headers, "content-length": "10" }))
    socket.write("12345")
    await sleep(300)
    running.child.kill("SIGTERM")
    await sleep(300)
    expect(await ready()).toBe(503)
    socket.write("67890")
    expect(await running.ended).toEqual({ code: 0, signal: null })
    expect(answer).toMatch(/^HTTP\/1\.1 200/)
    closeConnections(target)
    const again = await start({ data })
    expect((await call(again, { method: "GET", bucket: "slow", key: "k" })).body.toString()).toBe("1234567890")
    await again.stop()
  }, 60_000)

  it("the admin address answers health to anyone and the rest to the root credentials only", async () => {
    const server = await start()
    expect((await askAdmin(server, "GET", "/health/ready", true)).status).toBe(200)
    expect((await askAdmin(server, "GET", "/health/live", true)).status).toBe(200)
    for (const [method, path] of [["GET", "/v1/status"], ["GET", "/v1/history?bucket=x"], ["POST", "/v1/key/export"], ["POST", "/v1/settle"], ["GET", "/"], ["GET", "/nothing"]] as const) {
      expect((await askAdmin(server, method, path, true)).status, path).toBe(401)
    }
    const wrong = await fetch(`${server.admin}/v1/status`, { headers: { authorization: `Basic ${Buffer.from(`${server.accessKey}:wrong`).toString("base64")}` } })
    expect(wrong.status).toBe(401)
    const status = await askAdmin(server, "GET", "/v1/status")
    expect(status.status).toBe(200)
    expect(JSON.stringify(status.body)).not.toContain(server.secretKey)
    await server.stop()
  }, 60_000)
})

describe("stopped", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it(`${signal} ends it with exit 0, idle connections or not`, async () => {
      const server = await start()
      await call(server, { method: "PUT", bucket: "idle" })
      const idle = connect(server.s3Port, "127.0.0.1")
      await sleep(100)
      const startMs = performance.now()
      expect(await server.stop(signal)).toEqual({ code: 0, signal: null })
      expect(performance.now() - startMs).toBeLessThan(10_000)
      idle.destroy()
      expect(await refusesConnections(server.s3Port)).toBe(true)
      expect(processesNaming(server.data)).toEqual([])
    }, 60_000)

    it(`${signal} to npm start ends npm and the server, and leaves no process`, async () => {
      const data = folder()
      const npm = spawnWatched("npm", ["start", "--", "--data", data, "--s3", "127.0.0.1:0", "--admin", "127.0.0.1:0"], { cwd: projectRoot })
      const ready = await npm.line(readyLine, 60_000)
      expect(ready[5]).toBe(data)
      const ended = await npm.stop(signal)
      expect(ended).toEqual({ code: 0, signal: null })
      expect(await refusesConnections(Number(ready[2]))).toBe(true)
      expect(processesNaming(data)).toEqual([])
      const again = await start({ data })
      await again.stop()
    }, 90_000)
  }
})

describe("refused", () => {
  it("a second process on the same folder, with a sentence; the first goes on", async () => {
    const first = await start()
    const second = await serve(first.data)
    expect(second.late).toBe(false)
    expect(second.code).not.toBe(0)
    expect(second.stderr + second.stdout.toString()).toMatch(/(in use|another|already|locked|served)/i)
    expect(second.stderr).not.toMatch(/\n\s+at .*\(/)
    expect((await call(first, { method: "PUT", bucket: "goes-on" })).status).toBe(200)
    await first.kill()
    // The lock dies with the process, however it ended.
    const third = await start({ data: first.data })
    expect((await call(third, { method: "HEAD", bucket: "goes-on" })).status).toBe(200)
    await third.stop()
  }, 60_000)

  it("a folder of a newer format, untouched", async () => {
    const first = await start()
    await call(first, { method: "PUT", bucket: "older" })
    await first.stop()
    const marker = join(first.data, "ouroboros.json")
    writeFileSync(marker, JSON.stringify({ ...JSON.parse(readFileSync(marker, "utf8")), format: 99, newer: true }))
    const before = snapshot(first.data)
    const refused = await serve(first.data)
    expect([refused.code !== 0, refused.late]).toEqual([true, false])
    expect(refused.stderr + refused.stdout.toString()).toMatch(/format 99/)
    expect(snapshot(first.data)).toEqual(before)
  }, 60_000)

  it("a folder of somebody else, untouched", async () => {
    const data = folder()
    mkdirSync(data)
    writeFileSync(join(data, "thesis.txt"), "mine")
    const refused = await serve(data)
    expect([refused.code !== 0, refused.late]).toEqual([true, false])
    expect(refused.stderr + refused.stdout.toString()).toMatch(/thesis\.txt/)
    expect(readFileSync(join(data, "thesis.txt"), "utf8")).toBe("mine")
    expect(readdirSync(data).filter((name) => name !== "lock")).toEqual(["thesis.txt"])
  }, 60_000)

  it("an address in use, a bad flag, an unknown key of the configuration: a sentence and exit other than 0", async () => {
    const first = await start()
    const config = join(home, "bad.json")
    writeFileSync(config, JSON.stringify({ dta: "/nowhere" }))
    const cases: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
      [["--s3", `127.0.0.1:${first.s3Port}`], new RegExp(`${first.s3Port}`)],
      [["--s3", "nonsense"], /nonsense/],
      [["--config", config], /dta/],
      [["--config", join(home, "absent.json")], /absent\.json/],
      [["--tls-cert", config], /--tls-key/],
      [["--no-such-flag"], /no-such-flag/]
    ]
    for (const [args, pattern] of cases) {
      const refused = await runCommand(process.execPath, [commandPath, "serve", "--data", folder(), "--admin", "127.0.0.1:0", ...(args[0] === "--s3" ? [] : ["--s3", "127.0.0.1:0"]), ...args], { msMax: 20_000 })
      const said = refused.stderr + refused.stdout.toString()
      expect([refused.code !== 0, refused.late], `${args.join(" ")}: ${said}`).toEqual([true, false])
      expect(said, args.join(" ")).toMatch(pattern)
      expect(said, "no stack for what an operator did").not.toMatch(/\n\s+at .*\(/)
    }
    await first.stop()
  }, 90_000)
})

const fingerprintAt = (port: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = tlsConnect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? "")
      socket.destroy()
    })
    socket.on("error", reject)
  })

describe("TLS", () => {
  it("serves the certificate, takes a new one on SIGHUP, keeps the last good one", async () => {
    const [cert, key] = [join(home, "cert.pem"), join(home, "key.pem")]
    const write = (certificate: { readonly cert: string; readonly key: string }): void => {
      writeFileSync(cert, certificate.cert)
      writeFileSync(key, certificate.key, { mode: 0o600 })
    }
    const [one, two] = [makeCertificate("one"), makeCertificate("two")]
    write(one)
    const server = await start({ args: ["--tls-cert", cert, "--tls-key", key] })
    expect(server.s3).toMatch(/^https:/)
    expect(await fingerprintAt(server.s3Port)).toBe(one.fingerprint)
    const waitFor = async (fingerprint: string): Promise<string> => {
      let seen = ""
      for (let tries = 0; tries < 100 && seen !== fingerprint; tries++) {
        await sleep(50)
        seen = await fingerprintAt(server.s3Port)
      }
      return seen
    }
    write(two)
    process.kill(server.pid, "SIGHUP")
    expect(await waitFor(two.fingerprint)).toBe(two.fingerprint)
    writeFileSync(cert, "no certificate")
    process.kill(server.pid, "SIGHUP")
    await sleep(500)
    expect(await fingerprintAt(server.s3Port)).toBe(two.fingerprint)
    write(one)
    process.kill(server.pid, "SIGHUP")
    expect(await waitFor(one.fingerprint)).toBe(one.fingerprint)
    expect(await server.stop()).toEqual({ code: 0, signal: null })
  }, 60_000)

  it("SIGHUP without TLS changes nothing", async () => {
    const server = await start()
    process.kill(server.pid, "SIGHUP")
    await sleep(300)
    expect((await call(server, { method: "PUT", bucket: "still" })).status).toBe(200)
    expect(memoryOf(server.pid, "VmRSS") ?? 1).toBeGreaterThan(0)
    await server.stop()
  }, 60_000)
})
