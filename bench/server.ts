/** A real node for a measurement: its own process, its own folder, free ports; stopped by its process id. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Counters } from "./probe.ts"

export interface BenchServer {
  readonly port: number
  readonly adminPort: number
  readonly folder: string
  readonly accessKey: string
  readonly secretKey: string
  /** From its start as a process to its announcement that it is ready. */
  readonly readyMs: number
  /** Peak resident memory so far, bytes; undefined where the machine does not tell. */
  readonly peakBytes: () => number | undefined
  /** Forgets the peak so far, where the machine allows it. */
  readonly resetPeak: () => void
  /** Processor time that the node has used so far, all threads; NaN where the machine does not tell. */
  readonly cpuMicros: () => number
  /** What the probe in the node counted so far (probe.ts). */
  readonly counters: () => Promise<Counters>
  /** Stops it and removes the folder, where it was made for this node. */
  readonly stop: () => Promise<void>
  /** SIGKILL: nothing is closed. */
  readonly kill: () => Promise<void>
}

export interface ServerOptions {
  /** A data folder of the caller's, who removes it; one of the node's own otherwise. */
  readonly data?: string
  readonly flags?: ReadonlyArray<string>
  /** Loaded before the node's own code, in all its threads. */
  readonly imports?: ReadonlyArray<string>
  readonly readyMsMax?: number
}

export const keys = { accessKey: "benchmark", secretKey: "benchmark-secret" }
const launcher = fileURLToPath(new URL("../src/cli/ouroboros.mjs", import.meta.url))
const probe = new URL("probe.ts", import.meta.url).href

interface Ports {
  readonly s3: number
  readonly admin: number
}

const untilReady = (child: ChildProcess, readyMsMax: number): Promise<Ports> =>
  new Promise((resolve, reject) => {
    let text = ""
    const timer = setTimeout(() => reject(new Error(`the node was not ready in ${readyMsMax} ms:\n${text}`)), readyMsMax)
    const see = (bytes: Buffer): void => {
      text += bytes.toString()
      const match = /ready: S3 on http:\/\/127\.0\.0\.1:(\d+), admin on http:\/\/127\.0\.0\.1:(\d+)/.exec(text)
      if (match === null) return
      clearTimeout(timer)
      resolve({ s3: Number(match[1]), admin: Number(match[2]) })
    }
    child.stdout?.on("data", see)
    child.stderr?.on("data", see)
    child.once("exit", (code) => {
      clearTimeout(timer)
      reject(new Error(`the node ended with ${code}:\n${text}`))
    })
  })

/** Only Linux has /proc. */
const ofProc = (child: ChildProcess, name: string): string | undefined => {
  try {
    return readFileSync(`/proc/${child.pid}/${name}`, "utf8")
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw error
  }
}

const peakOf = (child: ChildProcess): number | undefined => {
  const match = /VmHWM:\s+(\d+) kB/.exec(ofProc(child, "status") ?? "")
  return match === null ? undefined : Number(match[1]) * 1024
}

const cpuOf = (child: ChildProcess): number => {
  // utime and stime, in ticks of 1/100 s, are the 12th and 13th fields after the command's name.
  const fields = ofProc(child, "stat")?.replace(/^.*\) /, "").split(" ") ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

const countersOf = (child: ChildProcess): Promise<Counters> =>
  new Promise((resolve) => {
    child.once("message", (counters) => resolve(counters as Counters))
    child.send("counters")
  })

const ended = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
  const exit = new Promise((resolve) => child.once("exit", resolve))
  child.kill(signal)
  await exit
}

/** BENCH_NODE_FLAGS go before the launcher: --cpu-prof and the like. */
export const startServer = async (options: ServerOptions = {}): Promise<BenchServer> => {
  const nodeFlags = (process.env["BENCH_NODE_FLAGS"] ?? "").split(" ").filter((flag) => flag !== "")
  const folder = mkdtempSync(join(tmpdir(), "ouroboros-bench-"))
  const data = options.data ?? join(folder, "data")
  const begun = performance.now()
  const child = spawn(process.execPath, [
    ...nodeFlags, ...[probe, ...(options.imports ?? [])].flatMap((module) => ["--import", module]), launcher, "serve", "--data", data, "--s3", "127.0.0.1:0", "--admin", "127.0.0.1:0", ...(options.flags ?? [])
  ], {
    env: { ...process.env, OUROBOROS_ACCESS_KEY: keys.accessKey, OUROBOROS_SECRET_KEY: keys.secretKey },
    stdio: ["ignore", "pipe", "pipe", "ipc"]
  })
  const cleaned = async (signal: NodeJS.Signals): Promise<void> => {
    await ended(child, signal)
    rmSync(folder, { recursive: true })
  }
  try {
    const ports = await untilReady(child, options.readyMsMax ?? 30_000)
    return {
      port: ports.s3, adminPort: ports.admin, folder, ...keys, readyMs: performance.now() - begun,
      peakBytes: () => peakOf(child),
      resetPeak: () => {
        // "5" sets VmHWM to what is resident now (proc(5), clear_refs).
        if (ofProc(child, "status") !== undefined) writeFileSync(`/proc/${child.pid}/clear_refs`, "5")
      },
      cpuMicros: () => cpuOf(child),
      counters: () => countersOf(child),
      stop: () => cleaned("SIGTERM"),
      kill: () => cleaned("SIGKILL")
    }
  } catch (error) {
    if (child.exitCode === null) child.kill("SIGKILL")
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}
