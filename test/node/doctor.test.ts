/** The doctor's judgement: every fault that it knows, with what to mend, and none where nothing is wrong. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { diagnose, type Facts, type Finding } from "../../src/node/Doctor.ts"
import { layer } from "../../src/adapters/NodeMachine.ts"
import { Machine } from "../../src/ports/Machine.ts"
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

const GiB = 1024 ** 3
const nowMs = 1_800_000_000_000
const dayMs = 24 * 3_600_000

const healthy: Facts = {
  machine: {
    nodeVersion: "v26.10.0", platform: "linux-x64", cores: 2, memoryBytes: 4 * GiB, openFiles: { soft: 1024, hard: 1_048_576 }, nowMs,
    isClockSet: true, brokenPackages: []
  },
  folder: {
    path: "/data", isThere: true, unwritable: undefined, mode: 0o700, freeBytes: 100 * GiB, freeFiles: 1_000_000, fileSystem: "ext4", syncMicros: 300,
    isDirectIoTaken: true, fileTimeAheadMs: 0, lastWrittenMs: nowMs - 1000, openSecrets: [], names: ["keyring", "ouroboros.json"],
    marker: JSON.stringify({ format: 1 })
  },
  isRunning: false, hasPassphrase: true,
  addresses: [{ what: "s3", address: "127.0.0.1:9000", fault: undefined }],
  certificate: { path: "c.pem", end: nowMs + 90 * dayMs }
}

const bad = (facts: Facts): ReadonlyArray<Finding> => diagnose(facts).filter(({ grade }) => grade !== "ok")
const withMachine = (machine: Partial<Facts["machine"]>): Facts => ({ ...healthy, machine: { ...healthy.machine, ...machine } })
const withFolder = (folder: Partial<Facts["folder"]>): Facts => ({ ...healthy, folder: { ...healthy.folder, ...folder } })

describe("doctor", () => {
  it("doctor: a healthy machine has nothing to mend", () => {
    expect(bad(healthy)).toEqual([])
    expect(bad(withFolder({ isThere: false, names: [], marker: undefined }))).toEqual([])
    expect(bad(withFolder({ names: [], marker: undefined }))).toEqual([])
  })

  const faults: ReadonlyArray<readonly [story: string, facts: Facts, check: string, grade: "warn" | "fail", mend: RegExp]> = [
    ["an old Node", withMachine({ nodeVersion: "v20.1.0" }), "runtime", "fail", /npm ci/],
    ["a native package of another platform", withMachine({ brokenPackages: ["lmdb: no such file"] }), "packages", "fail", /npm ci/],
    ["little memory", withMachine({ memoryBytes: GiB / 2 }), "memory", "warn", /memory settings/],
    ["few open files", withMachine({ openFiles: { soft: 256, hard: 1024 } }), "open files", "warn", /ulimit -n 4096/],
    ["a clock behind the store", withMachine({ nowMs: nowMs - dayMs }), "clock", "fail", /set the clock/],
    ["a file server with another clock", withFolder({ fileTimeAheadMs: 60_000 }), "clock", "warn", /time service/],
    ["a clock that nobody has set", withMachine({ isClockSet: false }), "clock", "warn", /chrony/],
    ["a folder that cannot be written", withFolder({ unwritable: "EACCES" }), "data folder", "fail", /--data/],
    ["a full disk", withFolder({ freeBytes: GiB / 8 }), "disk space", "fail", /gc --now/],
    ["a disk that will be full", withFolder({ freeBytes: GiB }), "disk space", "warn", /in time/],
    ["no inodes", withFolder({ freeFiles: 12 }), "disk files", "warn", /inodes/],
    ["a folder in memory", withFolder({ fileSystem: "tmpfs" }), "file system", "fail", /on a disk/],
    ["a folder on a file server", withFolder({ fileSystem: "nfs" }), "file system", "warn", /local disk/],
    ["no direct I/O", withFolder({ isDirectIoTaken: false }), "file system", "warn", /ext4/],
    ["syncs that reach no disk", withFolder({ syncMicros: 3 }), "syncs", "fail", /eatmydata/],
    ["slow syncs", withFolder({ syncMicros: 50_000 }), "syncs", "warn", /SSD/],
    ["a folder that others may look into", withFolder({ mode: 0o755 }), "data folder", "warn", /chmod 700/],
    ["secrets that others may read", withFolder({ openSecrets: ["credentials"] }), "secrets", "fail", /chmod 600 \/data\/credentials/],
    ["a key beside the data", withFolder({ names: ["keyring", "vault.key"] }), "vault key", "warn", /passphrase/],
    ["a passphrase that is not given", { ...healthy, hasPassphrase: false }, "vault key", "warn", /OUROBOROS_PASSPHRASE/],
    ["somebody else's folder", withFolder({ marker: undefined, names: ["letters"] }), "data folder", "warn", /empty one/],
    ["a marker that cannot be read", withFolder({ marker: "{" }), "data folder", "fail", /copy of the folder/],
    ["a marker that is null", withFolder({ marker: "null" }), "data folder", "fail", /copy of the folder/],
    ["a folder of a newer format", withFolder({ marker: JSON.stringify({ format: 99 }) }), "data folder", "fail", /newer OuroborosDB/],
    ["an address that is taken", { ...healthy, addresses: [{ what: "s3", address: "127.0.0.1:9000", fault: "EADDRINUSE" }] }, "s3", "fail", /--s3/],
    ["a certificate that is no certificate", { ...healthy, certificate: { path: "c.pem", end: "no PEM" } }, "certificate", "fail", /PEM/],
    ["a certificate that has ended", { ...healthy, certificate: { path: "c.pem", end: nowMs - 2 * dayMs } }, "certificate", "fail", /SIGHUP/],
    ["a certificate that ends soon", { ...healthy, certificate: { path: "c.pem", end: nowMs + 2 * dayMs } }, "certificate", "warn", /SIGHUP/]
  ]
  for (const [story, facts, check, grade, mend] of faults) {
    it(`doctor: ${story} is named, and how to mend it`, () => {
      expect(bad(facts)).toEqual([{ check, grade, detail: expect.any(String), mend: expect.stringMatching(mend) }])
    })
  }

  it("doctor: while a node runs, its addresses are its own", () => {
    expect(diagnose({ ...healthy, isRunning: true, addresses: [] })).toContainEqual({ check: "node", grade: "ok", detail: expect.any(String) })
  })
})

describe("machine", () => {
  const look = <A>(use: (machine: Machine["Service"]) => Effect.Effect<A>): Promise<A> =>
    Effect.runPromise(Effect.provide(Effect.flatMap(Machine, use), layer))

  it("machine: looks at a folder and leaves nothing in it", async () => {
    const folder = mkdtempSync(join(tmpdir(), "ouroboros-doctor-"))
    try {
      writeFileSync(join(folder, "credentials"), "secret")
      chmodSync(join(folder, "credentials"), 0o644)
      const facts = await look((machine) => machine.folder(folder, "ouroboros.json", ["credentials", "keyring"]))
      expect(facts).toMatchObject({ isThere: true, unwritable: undefined, mode: 0o700, openSecrets: ["credentials"], names: ["credentials"], marker: undefined })
      expect(facts.syncMicros).toBeGreaterThan(0)
      expect(Math.abs(facts.fileTimeAheadMs ?? Number.NaN)).toBeLessThan(2000)
      expect(readdirSync(folder)).toEqual(["credentials"])
      const missing = await look((machine) => machine.folder(join(folder, "a/b"), "ouroboros.json", []))
      expect(missing).toMatchObject({ isThere: false, unwritable: undefined, names: [] })
      expect(readdirSync(folder)).toEqual(["credentials"])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it("machine: tells a free address from one that is taken", async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const { port } = server.address() as { readonly port: number }
    expect(await look((machine) => machine.addressFault("127.0.0.1", port))).toContain("EADDRINUSE")
    await new Promise((resolve) => server.close(resolve))
    expect(await look((machine) => machine.addressFault("127.0.0.1", port))).toBeUndefined()
  })

  it("machine: knows itself, and its packages load", async () => {
    const facts = await look((machine) => machine.facts)
    expect(facts.brokenPackages).toEqual([])
    expect(facts.nodeVersion).toBe(process.version)
    expect(facts.memoryBytes).toBeGreaterThan(0)
  })
})
