/** A real node for a measurement: its own process, its own folder, free ports; stopped by its process id. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

export interface BenchServer {
  readonly port: number
  readonly folder: string
  readonly accessKey: string
  readonly secretKey: string
  /** Peak resident memory so far, bytes; undefined where the machine does not tell. */
  readonly peakBytes: () => number | undefined
  /** Forgets the peak so far, where the machine allows it. */
  readonly resetPeak: () => void
  /** Processor time that the node has used so far, all threads; NaN where the machine does not tell. */
  readonly cpuMicros: () => number
  readonly stop: () => Promise<void>
}

const launcher = fileURLToPath(new URL("../src/cli/ouroboros.mjs", import.meta.url))
const startMsMax = 30_000

const untilReady = (child: ChildProcess): Promise<number> =>
  new Promise((resolve, reject) => {
    let text = ""
    const timer = setTimeout(() => reject(new Error(`the node was not ready in ${startMsMax} ms:\n${text}`)), startMsMax)
    const see = (bytes: Buffer): void => {
      text += bytes.toString()
      const match = /ready: S3 on http:\/\/127\.0\.0\.1:(\d+)/.exec(text)
      if (match === null) return
      clearTimeout(timer)
      resolve(Number(match[1]))
    }
    child.stdout?.on("data", see)
    child.stderr?.on("data", see)
    child.once("exit", (code) => reject(new Error(`the node ended with ${code}:\n${text}`)))
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

/** BENCH_NODE_FLAGS go before the launcher: --cpu-prof and the like. */
export const startServer = async (): Promise<BenchServer> => {
  const nodeFlags = (process.env["BENCH_NODE_FLAGS"] ?? "").split(" ").filter((flag) => flag !== "")
  const folder = mkdtempSync(join(tmpdir(), "ouroboros-bench-"))
  const keys = { accessKey: "benchmark", secretKey: "benchmark-secret" }
  const child = spawn(process.execPath, [...nodeFlags, launcher, "serve", "--data", join(folder, "data"), "--s3", "127.0.0.1:0", "--admin", "127.0.0.1:0"], {
    env: { ...process.env, OUROBOROS_ACCESS_KEY: keys.accessKey, OUROBOROS_SECRET_KEY: keys.secretKey },
    stdio: ["ignore", "pipe", "pipe"]
  })
  const port = await untilReady(child)
  const peakBytes = (): number | undefined => {
    const match = /VmHWM:\s+(\d+) kB/.exec(ofProc(child, "status") ?? "")
    return match === null ? undefined : Number(match[1]) * 1024
  }
  const resetPeak = (): void => {
    // "5" sets VmHWM to what is resident now (proc(5), clear_refs).
    if (ofProc(child, "status") !== undefined) writeFileSync(`/proc/${child.pid}/clear_refs`, "5")
  }
  const cpuMicros = (): number => {
    // utime and stime, in ticks of 1/100 s, are the 12th and 13th fields after the command's name.
    const fields = ofProc(child, "stat")?.replace(/^.*\) /, "").split(" ") ?? []
    return (Number(fields[11]) + Number(fields[12])) * 10_000
  }
  const stop = async (): Promise<void> => {
    const ended = new Promise((resolve) => child.once("exit", resolve))
    child.kill("SIGTERM")
    await ended
    rmSync(folder, { recursive: true })
  }
  return { port, folder, ...keys, peakBytes, resetPeak, cpuMicros, stop }
}
