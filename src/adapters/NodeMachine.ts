/**
 * NodeMachine: the Machine port over node:os, node:fs, node:net and /proc. It looks, writes one small file of its own
 * into the data folder to see how syncs behave, and removes it.
 */
import { X509Certificate } from "node:crypto"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import { dirname, join, resolve } from "node:path"
import { Effect, Layer } from "effect"
import { doctorSyncMsMax, doctorSyncs } from "../base/limits.ts"
import { type FolderFacts, Machine, type MachineFacts, type MachineService } from "../ports/Machine.ts"

/** What `look` gives, or undefined where this system has no such thing or does not let us look. */
const orUndefined = <A>(look: () => A): A | undefined => {
  try {
    return look()
  } catch (error) {
    if (error instanceof Error) return undefined
    throw error
  }
}

export const openFiles = (): MachineFacts["openFiles"] => orUndefined(() => {
  const match = /^Max open files\s+(\d+|unlimited)\s+(\d+|unlimited)/m.exec(fs.readFileSync("/proc/self/limits", "utf8"))
  const count = (text: string | undefined): number => (text === "unlimited" ? Number.MAX_SAFE_INTEGER : Number(text))
  return match === null ? undefined : { soft: count(match[1]), hard: count(match[2]) }
})

/** Linux: systemd-timesyncd and chrony leave a file; elsewhere nobody says. */
const isClockSet = (): boolean | undefined => {
  if (process.platform !== "linux") return undefined
  const has = (path: string): boolean => fs.existsSync(path)
  if (has("/run/systemd/timesync/synchronized") || has("/run/chrony/chronyd.pid") || has("/run/ntpd.pid")) return true
  return has("/run/systemd/timesync") ? false : undefined
}

const packages = ["lmdb", "@napi-rs/blake-hash", "@node-rs/crc32", "@node-rs/argon2"] as const

const brokenPackages: Effect.Effect<ReadonlyArray<string>> = Effect.map(
  Effect.forEach(packages, (name) => Effect.tryPromise({ try: () => import(name), catch: (error) => `${name}: ${String(error).split("\n", 1)[0]}` }).pipe(
    Effect.match({ onSuccess: () => undefined, onFailure: (why) => why })
  )),
  (faults) => faults.filter((fault) => fault !== undefined)
)

const machineFacts: Effect.Effect<MachineFacts> = Effect.map(brokenPackages, (broken) => ({
  nodeVersion: process.version,
  platform: `${process.platform}-${process.arch}`,
  cores: os.availableParallelism(),
  memoryBytes: Math.min(os.totalmem(), process.constrainedMemory() || os.totalmem()),
  openFiles: openFiles(),
  nowMs: Date.now(),
  isClockSet: isClockSet(),
  brokenPackages: broken
}))

/** Magic numbers of statfs(2). */
const fileSystems: Readonly<Record<number, string>> = {
  0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x2fc12fc1: "zfs", 0x01021994: "tmpfs", 0x858458f6: "ramfs", 0x6969: "nfs",
  0x517b: "smb", 0xff534d42: "cifs", 0xfe534d42: "smb2", 0x794c7630: "overlayfs", 0x65735546: "fuse", 0x4d44: "fat", 0xf2f52010: "f2fs",
  0xca451a4e: "bcachefs", 0x01021997: "9p", 0x00c36400: "ceph", 0x1a: "apfs"
}

const median = (values: ReadonlyArray<number>): number | undefined => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]

interface Trial {
  readonly unwritable: string | undefined
  readonly syncMicros: number | undefined
  readonly isDirectIoTaken: boolean
  readonly fileTimeAheadMs: number | undefined
}

/** A few writes of 4 KiB, each synced. */
const trial = (folder: string): Trial => {
  const path = join(folder, `doctor-${process.pid}.new`)
  try {
    const began = Date.now()
    const file = fs.openSync(path, "wx", 0o600)
    const micros: Array<number> = []
    for (let count = 0; count < doctorSyncs && Date.now() - began < doctorSyncMsMax; count += 1) {
      const start = process.hrtime.bigint()
      fs.writeSync(file, Buffer.alloc(4096, count + 1), 0, 4096, count * 4096)
      fs.fdatasyncSync(file)
      micros.push(Number(process.hrtime.bigint() - start) / 1000)
    }
    const ended = Date.now()
    const written = fs.fstatSync(file).mtimeMs
    fs.closeSync(file)
    // Kernels stamp files with a clock that ticks every few milliseconds.
    const ahead = written > ended ? written - ended : written < began - 20 ? written - began : 0
    return { unwritable: undefined, syncMicros: median(micros), isDirectIoTaken: takesDirectIo(path), fileTimeAheadMs: Math.round(ahead) }
  } catch (error) {
    return { unwritable: error instanceof Error ? error.message : String(error), syncMicros: undefined, isDirectIoTaken: false, fileTimeAheadMs: undefined }
  } finally {
    fs.rmSync(path, { force: true })
  }
}

const takesDirectIo = (path: string): boolean => {
  const flag = fs.constants.O_DIRECT
  if (flag === undefined) return false
  return orUndefined(() => {
    fs.closeSync(fs.openSync(path, fs.constants.O_RDONLY | flag))
    return true
  }) ?? false
}

/** Newest change at the top of the folder and in the folders one level down. */
const lastWritten = (folder: string, names: ReadonlyArray<string>): number | undefined => {
  let newest: number | undefined
  const see = (path: string): void => {
    const at = orUndefined(() => fs.statSync(path).mtimeMs)
    if (at !== undefined && (newest === undefined || at > newest)) newest = at
  }
  for (const name of names) {
    see(join(folder, name))
    for (const inner of orUndefined(() => fs.readdirSync(join(folder, name))) ?? []) see(join(folder, name, inner))
  }
  return newest
}

const nearest = (path: string): string => {
  let folder = resolve(path)
  while (!fs.existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder)
  return folder
}

const folderFacts = (path: string, markerFile: string, secretFiles: ReadonlyArray<string>): FolderFacts => {
  const isThere = fs.existsSync(path)
  const folder = nearest(path)
  const names = isThere ? orUndefined(() => fs.readdirSync(folder).toSorted()) ?? [] : []
  const lastWrittenMs = lastWritten(folder, names)
  const stats = fs.statfsSync(folder)
  const isOpen = (name: string): boolean => ((orUndefined(() => fs.statSync(join(folder, name)).mode) ?? 0) & 0o077) !== 0
  return {
    path: resolve(path), isThere, mode: fs.statSync(folder).mode & 0o777,
    freeBytes: stats.bavail * stats.bsize,
    // File systems without a fixed number of files say 0 of 0.
    freeFiles: stats.files === 0 ? undefined : stats.ffree,
    fileSystem: fileSystems[stats.type >>> 0] ?? (stats.type >>> 0).toString(16),
    lastWrittenMs, openSecrets: secretFiles.filter((name) => names.includes(name) && isOpen(name)), names,
    marker: orUndefined(() => fs.readFileSync(join(folder, markerFile), "utf8")),
    ...trial(folder)
  }
}

const addressFault = (host: string, port: number): Effect.Effect<string | undefined> =>
  Effect.callback<string | undefined>((resume) => {
    const server = net.createServer()
    server.once("error", (error) => resume(Effect.succeed(error.message)))
    server.listen(port, host, () => server.close(() => resume(Effect.undefined)))
  })

const certificateEndMs = (path: string): Effect.Effect<number | string> => Effect.sync(() => {
  try {
    return Date.parse(new X509Certificate(fs.readFileSync(path)).validTo)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
})

const service: MachineService = {
  facts: machineFacts,
  folder: (path, markerFile, secretFiles) => Effect.sync(() => folderFacts(path, markerFile, secretFiles)),
  addressFault,
  certificateEndMs
}

export const layer: Layer.Layer<Machine> = Layer.succeed(Machine, service)
