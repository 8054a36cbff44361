import { Effect, Exit } from "effect"
import { describe, expect, test } from "vitest"
import { withinOpenFiles } from "../../src/node/LoadLimits.ts"
import { parseHostPort, resolveSettings, type Flags, type Settings } from "../../src/node/Settings.ts"

const resolve = (flags: Flags, env: Record<string, string> = {}, file?: string): Settings =>
  Effect.runSync(resolveSettings(flags, env, file === undefined ? undefined : { path: "c.json", text: file }))

const refusal = (flags: Flags, env: Record<string, string> = {}, file?: string): string => {
  const exit = Effect.runSyncExit(resolveSettings(flags, env, file === undefined ? undefined : { path: "c.json", text: file }))
  return Exit.isFailure(exit) ? String(exit.cause) : "accepted"
}

describe("settings", () => {
  test("defaults are a node on this machine", () => {
    const settings = resolve({})
    expect(settings.data).toBe("./ouroboros-data")
    expect(settings.s3).toEqual({ host: "127.0.0.1", port: 9000 })
    expect(settings.admin).toEqual({ host: "127.0.0.1", port: 9001 })
    expect(settings.retentionDays).toBe(30)
  })

  test("flags beat the environment, which beats the file, which beats the defaults", () => {
    const file = "{\"s3\": \"127.0.0.1:3\", \"data\": \"file\", \"domain\": \"file.example\"}"
    const env = { OUROBOROS_S3: "127.0.0.1:2", OUROBOROS_DATA: "env" }
    expect(resolve({ s3: "127.0.0.1:1" }, env, file)).toMatchObject({ s3: { port: 1 }, data: "env", domain: "file.example", admin: { port: 9001 } })
    expect(resolve({}, {}, file)).toMatchObject({ s3: { port: 3 }, data: "file" })
    expect(resolve({}, { OUROBOROS_DATA: "" }, file).data).toBe("file")
  })

  test("an unknown key, a wrong type and no JSON are refused, and the file is named", () => {
    expect(refusal({}, {}, "{\"dta\": \"x\"}")).toContain("dta")
    expect(refusal({}, {}, "{\"retentionDays\": \"long\"}")).toContain("c.json")
    expect(refusal({}, {}, "retentionDays: 3")).toContain("not JSON")
    expect(refusal({}, {}, "{\"retentionDays\": -1}")).not.toBe("accepted")
  })

  test("collection is told how in the file; shares and times that make no sense are refused", () => {
    expect(resolve({}).gc).toEqual({ intervalMs: 60_000, graceMs: 600_000, staleUploadMs: 7 * 24 * 3_600_000, compactBelow: 0.7, compactBytesPerSecond: 32 * 1024 * 1024 })
    expect(resolve({}, {}, "{\"gcGraceSeconds\": 0, \"staleUploadDays\": 0, \"compactBelow\": 0.5, \"gcIntervalSeconds\": 2}").gc)
      .toMatchObject({ graceMs: 0, staleUploadMs: 0, compactBelow: 0.5, intervalMs: 2000 })
    for (const bad of ["{\"compactBelow\": 1}", "{\"gcGraceSeconds\": -1}", "{\"gcIntervalSeconds\": 0}"]) expect(refusal({}, {}, bad), bad).not.toBe("accepted")
  })

  test("limits of load are named in the file; one that nothing could work under is refused", () => {
    expect(resolve({}).limits).toMatchObject({ requestsMax: 1024, connectionsMax: 10_000, stallMs: 60_000 })
    expect(resolve({}, {}, "{\"requestsMax\": 2, \"requestsQueuedMax\": 0, \"readMemoryBytes\": 8388608}").limits)
      .toMatchObject({ requestsMax: 2, requestsQueuedMax: 0, readBytes: 8_388_608 })
    for (const bad of ["{\"requestsMax\": 0}", "{\"connectionsMax\": 1.5}", "{\"bodyMemoryBytes\": 1000}", "{\"readMemoryBytes\": 8388607}"]) {
      expect(refusal({}, {}, bad)).toContain("c.json")
    }
  })

  test("connections that the process has no file descriptors for are not promised, and a warning says so", () => {
    const wanted = resolve({}).limits
    expect(withinOpenFiles(wanted, undefined)).toEqual({ limits: wanted, warnings: [] })
    expect(withinOpenFiles(wanted, 1_048_576).warnings).toEqual([])
    const { limits, warnings } = withinOpenFiles(wanted, 1024)
    expect(limits).toEqual({ ...wanted, connectionsMax: 192 })
    expect(warnings[0]).toContain("raise the limit of open files (ulimit -n) to 10832")
    expect(withinOpenFiles(wanted, 256).limits.connectionsMax).toBe(1)
  })

  test("chunk bounds follow the average, or are given; impossible ones are refused", () => {
    expect(resolve({}, {}, "{\"chunkAverageBytes\": 65536}").chunks).toEqual({ minBytes: 32768, averageBytes: 65536, maxBytes: 262144 })
    expect(resolve({}, {}, "{\"chunkMinBytes\": 1000, \"chunkMaxBytes\": 2000000}").chunks).toMatchObject({ minBytes: 1000, maxBytes: 2000000 })
    expect(refusal({}, {}, "{\"chunkMinBytes\": 2000000}")).toContain("averageBytes")
  })

  test("half a pair is refused: certificate without key, access key without secret", () => {
    expect(refusal({ tlsCert: "c.pem" })).toContain("both or neither")
    expect(refusal({}, { OUROBOROS_ACCESS_KEY: "abc" })).toContain("both or neither")
    expect(refusal({}, { OUROBOROS_ACCESS_KEY: "abc", OUROBOROS_SECRET_KEY: "short" })).toContain("8 characters")
  })

  test("an address that is none is blamed on the place that said it", () => {
    expect(refusal({ s3: "x" })).toContain("--s3")
    expect(refusal({}, { OUROBOROS_ADMIN: "x" })).toContain("OUROBOROS_ADMIN")
    expect(refusal({}, {}, "{\"s3\": \"x\"}")).toContain("c.json: s3")
  })

  test("addresses: host and port, IPv6 in brackets, a port alone; nothing else", () => {
    const parse = (text: string) => Effect.runSync(parseHostPort(text, "x"))
    expect(parse("0.0.0.0:80")).toEqual({ host: "0.0.0.0", port: 80 })
    expect(parse("[::1]:9000")).toEqual({ host: "::1", port: 9000 })
    expect(parse(":0")).toEqual({ host: "127.0.0.1", port: 0 })
    for (const bad of ["9000", "a:b", "::1:9000", "h:65536", "h:", "http://h:1"]) expect(() => parse(bad), bad).toThrow()
  })
})
