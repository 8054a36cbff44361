import { describe, expect, test } from "vitest"
import { asOfHeader } from "../../src/cli/AsOf.ts"
import { formatBytes, formatSeconds, formatTable, printable } from "../../src/cli/Format.ts"
import { parseLocation, parseRemote, UsageError } from "../../src/cli/Location.ts"
import { line } from "../../src/cli/Progress.ts"
import { percentEncode } from "../../src/cli/S3Client.ts"

describe("the words of the command line", () => {
  test("locations: a key is data, whatever it looks like", () => {
    expect(parseLocation("s3://b/../k//%2F é")).toEqual({ _tag: "Remote", bucket: "b", key: "../k//%2F é" })
    expect(parseLocation("s3://b")).toEqual({ _tag: "Remote", bucket: "b", key: "" })
    expect(parseLocation("-")).toEqual({ _tag: "Stream" })
    expect(parseLocation("s3:/b/k")).toEqual({ _tag: "Local", path: "s3:/b/k" })
  })

  test("a bucket is meant, or a key: the other is a usage error", () => {
    expect(parseRemote("s3://b", "Required")).toBeInstanceOf(UsageError)
    expect(parseRemote("s3://b/k", "None")).toBeInstanceOf(UsageError)
    expect(parseRemote("b", "None")).toEqual({ bucket: "b", key: "" })
    expect(parseRemote("b", "Optional")).toBeInstanceOf(UsageError)
  })

  test("as-of: a sequence, a time, an age; nothing else", () => {
    const now = Date.UTC(2026, 0, 2)
    expect(asOfHeader("12", now)).toBe("12")
    expect(asOfHeader("2h", now)).toBe("2026-01-01T22:00:00.000Z")
    expect(asOfHeader("1.5d", now)).toBe("2025-12-31T12:00:00.000Z")
    expect(asOfHeader("2026-01-01T00:00:00Z", now)).toBe("2026-01-01T00:00:00.000Z")
    for (const bad of ["yesterday", "-3", "2y", "", "2026-13-40"]) expect(asOfHeader(bad, now), bad).toBeInstanceOf(UsageError)
  })

  test("sizes, times and tables for people", () => {
    expect([0, 1023, 1536, 10 * 1024 ** 2, 3 * 1024 ** 4].map(formatBytes)).toEqual(["0 B", "1023 B", "1.5 KiB", "10 MiB", "3.0 TiB"])
    expect([5, 75, 3725, Infinity].map(formatSeconds)).toEqual(["0:05", "1:15", "1:02:05", "-:--"])
    expect(formatTable([["a", "b"], ["long", "c"]])).toEqual(["a     b", "long  c"])
    expect(line("f", 512, 1024, 1000)).toBe("f  [############............]  50%  512 B of 1.0 KiB  512 B/s  0:01 left")
  })

  test("a terminal is shown no control character of a key", () => {
    expect(printable("a\u001b[2Jb\n")).toBe("a\\x1b[2Jb\\x0a")
  })

  test("targets escape everything but RFC 3986's unreserved", () => {
    expect(percentEncode("a b/+é~")).toBe("a%20b%2F%2B%C3%A9~")
  })
})
