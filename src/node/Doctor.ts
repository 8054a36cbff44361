/**
 * Doctor: judges a machine and a data folder before or while a node runs on them: facts in, findings out, each with
 * what to mend. Pure; examine.ts gathers the facts.
 */
import {
  certificateDaysWanted, clockDriftMsMax, clockSlackMs, freeFilesWanted, memoryBytesWanted, MiB, openFilesWanted, syncMicrosMin, syncMicrosSlow,
  walReserveBytes
} from "../base/limits.ts"
import type { FolderFacts, MachineFacts } from "../ports/Machine.ts"
import { memberFolderFormat, markerFile } from "./Folder.ts"

export type Grade = "ok" | "warn" | "fail"

export interface Finding {
  readonly check: string
  readonly grade: Grade
  /** What was found. */
  readonly detail: string
  /** What to do about it; undefined where all is well. */
  readonly mend?: string
}

export interface Facts {
  readonly machine: MachineFacts
  readonly folder: FolderFacts
  /** A node answers at the admin address. */
  readonly isRunning: boolean
  readonly hasPassphrase: boolean
  /** Why an address cannot be listened on; undefined: it is free. Not asked while a node runs. */
  readonly addresses: ReadonlyArray<{ readonly what: string; readonly address: string; readonly fault: string | undefined }>
  /** End of the certificate, or why it cannot be read; undefined: no TLS. */
  readonly certificate: { readonly path: string; readonly end: number | string } | undefined
}

const dayMs = 24 * 3_600_000

const ok = (check: string, detail: string): Finding => ({ check, grade: "ok", detail })
const warn = (check: string, detail: string, mend: string): Finding => ({ check, grade: "warn", detail, mend })
const fail = (check: string, detail: string, mend: string): Finding => ({ check, grade: "fail", detail, mend })

const mib = (bytes: number): string => `${Math.floor(bytes / MiB)} MiB`

const versions = ({ machine }: Facts): ReadonlyArray<Finding> => {
  const { brokenPackages, nodeVersion, platform } = machine
  const runtime = Number(/^v(\d+)/.exec(nodeVersion)?.[1]) >= 26
    ? ok("runtime", `Node ${nodeVersion} on ${platform}`)
    : fail("runtime", `Node ${nodeVersion}, 26 or later is needed`, "run the ouroboros command itself, which brings its own Node; if it is missing: npm ci")
  return [runtime, ...brokenPackages.map((why) => fail("packages", why, "run npm ci again, on this machine and for this platform"))]
}

const resources = ({ machine }: Facts): ReadonlyArray<Finding> => {
  const { cores, memoryBytes, openFiles } = machine
  const memory = memoryBytes >= memoryBytesWanted
    ? ok("memory", mib(memoryBytes))
    : warn("memory", `${mib(memoryBytes)}, a node wants ${mib(memoryBytesWanted)}`, "give the machine or its control group more, or lower the memory settings (docs/operations.md, Limits)")
  const files = openFiles === undefined ? [] : [openFiles.hard >= openFilesWanted
    ? ok("open files", `${openFiles.soft} now, ${openFiles.hard} at most`)
    : warn("open files", `at most ${openFiles.hard}, a busy node wants ${openFilesWanted}`, `raise it: ulimit -n ${openFilesWanted}, or LimitNOFILE=${openFilesWanted} in its systemd unit`)]
  return [ok("cores", String(cores)), memory, ...files]
}

const clock = ({ machine, folder }: Facts): ReadonlyArray<Finding> => {
  const { lastWrittenMs, fileTimeAheadMs } = folder
  const behindMs = lastWrittenMs === undefined ? 0 : lastWrittenMs - machine.nowMs
  if (behindMs > clockDriftMsMax) {
    return [fail("clock", `it is ${Math.round(behindMs / 1000)} s behind the last write in the folder`, "set the clock before the node starts: commits are stamped with it")]
  }
  if (fileTimeAheadMs !== undefined && Math.abs(fileTimeAheadMs) > clockSlackMs) {
    return [warn("clock", `the file system's is ${fileTimeAheadMs} ms away from this machine's`, "set both by the same time service")]
  }
  return [machine.isClockSet === false
    ? warn("clock", "no time service has set it yet", "wait for systemd-timesyncd, or install chrony")
    : ok("clock", machine.isClockSet === true ? "set by a time service" : "not ahead of, nor behind, what the folder says")]
}

const remote = new Set(["nfs", "smb", "smb2", "cifs", "9p", "ceph", "fuse"])
const volatile = new Set(["tmpfs", "ramfs"])

const disk = ({ folder }: Facts): ReadonlyArray<Finding> => {
  const { fileSystem, freeBytes, freeFiles, isDirectIoTaken, unwritable } = folder
  if (unwritable !== undefined) return [fail("data folder", unwritable, "let the node's user write there, or name another folder with --data")]
  const space = freeBytes < walReserveBytes
    ? fail("disk space", `${mib(freeBytes)} free: below ${mib(walReserveBytes)} writes are refused`, "add space, or delete objects and run: ouroboros gc --now")
    : freeBytes < 10 * walReserveBytes
      ? warn("disk space", `${mib(freeBytes)} free`, `below ${mib(walReserveBytes)} writes are refused: add space in time`)
      : ok("disk space", `${mib(freeBytes)} free`)
  const files = freeFiles !== undefined && freeFiles < freeFilesWanted
    ? [warn("disk files", `room for ${freeFiles} more files`, "the file system runs out of inodes: make one with more")] : []
  const kind = volatile.has(fileSystem)
    ? fail("file system", `${fileSystem} lives in memory: nothing survives a restart of the machine`, "name a folder on a disk with --data")
    : remote.has(fileSystem)
      ? warn("file system", `${fileSystem} goes over a network or another program, whose syncs may not reach a disk`, "name a folder on a local disk with --data")
      : isDirectIoTaken ? ok("file system", `${fileSystem}, with direct I/O`)
      : warn("file system", `${fileSystem} refuses direct I/O`, "writes are checked through the page cache instead; ext4 and XFS take it")
  return [space, ...files, kind, ...syncs(folder)]
}

const syncs = ({ fileSystem, syncMicros }: FolderFacts): ReadonlyArray<Finding> => {
  if (syncMicros === undefined || volatile.has(fileSystem)) return []
  const took = `a synced write of 4 KiB takes ${Math.round(syncMicros)} us`
  if (syncMicros < syncMicrosMin) {
    return [fail("syncs", `${took}: no disk is that fast, so syncs do not reach one`, "end what swallows them (eatmydata, libeatmydata in LD_PRELOAD, a mount with nobarrier, a hypervisor's cache=unsafe)")]
  }
  return [syncMicros > syncMicrosSlow
    ? warn("syncs", `${took}: each small write waits for that`, "a disk with a power-safe cache, or an SSD, makes small writes fast")
    : ok("syncs", took)]
}

const permissions = ({ folder, hasPassphrase }: Facts): ReadonlyArray<Finding> => {
  const { isThere, marker, mode, names, openSecrets, path } = folder
  if (!isThere) return [ok("data folder", `${path} is made at the first start`)]
  const found: Array<Finding> = []
  if ((mode & 0o077) !== 0) found.push(warn("data folder", `others may look into it (mode ${mode.toString(8)})`, `chmod 700 ${path}`))
  for (const name of openSecrets) found.push(fail("secrets", `others may read ${name}`, `chmod 600 ${path}/${name}`))
  if (names.includes("vault.key")) {
    found.push(warn("vault key", "its key file lies beside the data: whoever copies the folder reads everything", "set a passphrase: ouroboros key change-passphrase"))
  } else if (names.includes("keyring") && !hasPassphrase) {
    found.push(warn("vault key", "it is under a passphrase, and OUROBOROS_PASSPHRASE is not set here", "set OUROBOROS_PASSPHRASE for the node"))
  }
  return [...found, markerOf(marker, names)]
}

const markerOf = (marker: string | undefined, names: ReadonlyArray<string>): Finding => {
  if (marker === undefined) {
    return names.length === 0 ? ok("data folder", "empty: a store is made at the first start")
      : warn("data folder", `it holds ${names.length} names and no ${markerFile}`, "name the folder of a store, or an empty one, with --data")
  }
  const format = formatOf(marker)
  if (format === undefined) return fail("data folder", `${markerFile} cannot be read`, "restore it from a copy of the folder")
  return format > memberFolderFormat
    ? fail("data folder", `it has format ${format}, this version knows up to ${memberFolderFormat}`, "start it with a newer OuroborosDB")
    : ok("data folder", `a store of format ${format}`)
}

/** Undefined: it is no marker. */
export const formatOf = (marker: string): number | undefined => {
  try {
    const { format } = JSON.parse(marker) as { readonly format?: unknown }
    return typeof format === "number" ? format : undefined
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined
    throw error
  }
}

const network = ({ addresses, certificate, isRunning, machine }: Facts): ReadonlyArray<Finding> => {
  const found: Array<Finding> = isRunning ? [ok("node", "one is running on this folder's addresses")] : addresses.map(({ address, fault, what }) =>
    fault === undefined ? ok(what, `${address} is free`)
      : fail(what, `${address}: ${fault}`, `name another address with --${what}, or stop what listens there`))
  if (certificate === undefined) return found
  const { end, path } = certificate
  const left = typeof end === "number" ? Math.floor((end - machine.nowMs) / dayMs) : undefined
  return [...found, left === undefined ? fail("certificate", `${path}: ${end}`, "name a certificate chain in PEM with --tls-cert")
    : left < 0 ? fail("certificate", `${path} ended ${-left} days ago`, "renew it, and send the node SIGHUP")
    : left < certificateDaysWanted ? warn("certificate", `${path} ends in ${left} days`, "renew it, and send the node SIGHUP")
    : ok("certificate", `${path} ends in ${left} days`)]
}

/** All findings, in the order in which they are best mended. */
export const diagnose = (facts: Facts): ReadonlyArray<Finding> =>
  [versions, resources, clock, disk, permissions, network].flatMap((check) => check(facts))
