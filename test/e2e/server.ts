/**
 * The real server as a child process: started on free ports with a folder of its own, found again by its ready line,
 * ended by its process id. It sits between the tests that drive the server from outside and node:child_process.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

export const projectRoot = fileURLToPath(new URL("../..", import.meta.url))
export const commandPath = fileURLToPath(new URL("../../src/cli/ouroboros.mjs", import.meta.url))

const readyMsMax = 30_000
const stopMsMax = 20_000
const outputCharsMax = 1 << 20

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ServerOptions {
  /** A folder to serve; else a new one that goes with `dispose`. */
  readonly data?: string
  /** Written to a file beside the data folder and named by --config. */
  readonly config?: Readonly<Record<string, unknown>>
  readonly args?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  /** The ouroboros command of another checkout. */
  readonly command?: string
  /** What runs the server, such as strace with its flags; the server's own command follows. */
  readonly wrapper?: ReadonlyArray<string>
  /** HOST:PORT; a free port by default. */
  readonly s3?: string
  readonly admin?: string
}

export interface Server {
  /** Of the process that was started: the wrapper's where there is one. */
  readonly pid: number
  readonly s3: string
  readonly admin: string
  readonly s3Port: number
  readonly adminPort: number
  readonly data: string
  readonly accessKey: string
  readonly secretKey: string
  readonly output: () => string
  readonly ended: Promise<Ended>
  /** Sends the signal and waits for the end; after a bound, SIGKILL. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<Ended>
  readonly kill: () => Promise<Ended>
  /** Ends the server and removes a folder that it was given by startServer. */
  readonly dispose: () => Promise<void>
}

/** Whatever a test forgets goes with the test's own process. */
const children = new Set<ChildProcess>()
export const killChildren = (): void => {
  for (const child of children) child.kill("SIGKILL")
}
process.on("exit", killChildren)

export const temporaryFolder = (name = "e2e"): string => mkdtempSync(join(tmpdir(), `ouroboros-${name}-`))

/** This process's environment without what would configure a server or a client. */
export const cleanEnvironment = (extra: Readonly<Record<string, string>> = {}): Record<string, string> => {
  const kept = Object.entries(process.env).filter(([name]) => !/^(OUROBOROS_|AWS_|RCLONE_|RESTIC_|NODE_OPTIONS|VITEST)/.test(name))
  return { ...(Object.fromEntries(kept) as Record<string, string>), ...extra }
}

export const readCredentials = (data: string): { readonly accessKey: string; readonly secretKey: string } => {
  const text = readFileSync(join(data, "credentials"), "utf8")
  const value = (name: string): string => new RegExp(`^${name}=(.+)$`, "m").exec(text)?.[1] ?? ""
  return { accessKey: value("OUROBOROS_ACCESS_KEY"), secretKey: value("OUROBOROS_SECRET_KEY") }
}

const after = (ms: number): Promise<"late"> =>
  new Promise((resolve) => {
    setTimeout(() => resolve("late"), ms).unref()
  })

export interface Spawned {
  readonly child: ChildProcess
  readonly output: () => string
  readonly ended: Promise<Ended>
  /** Ends with the first line that matches; throws at the process's end or after a bound. */
  readonly line: (pattern: RegExp, msMax?: number) => Promise<RegExpExecArray>
  readonly stop: (signal?: NodeJS.Signals) => Promise<Ended>
}

/** Runs a command, gathers what it says, and never outlives the test. */
export const spawnWatched = (
  command: string, args: ReadonlyArray<string>,
  options: { readonly env?: Record<string, string>; readonly cwd?: string; readonly detached?: boolean } = {}
): Spawned => {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: cleanEnvironment(), cwd: projectRoot, ...options })
  children.add(child)
  let text = ""
  const waiting = new Set<() => void>()
  const hear = (part: Buffer): void => {
    if (text.length < outputCharsMax) text += part.toString("utf8")
    for (const wake of waiting) wake()
  }
  child.stdout?.on("data", hear)
  child.stderr?.on("data", hear)
  const ended = new Promise<Ended>((resolve) => {
    child.on("error", (error) => {
      text += `\ncannot run ${command}: ${error.message}\n`
      children.delete(child)
      resolve({ code: -1, signal: null })
    })
    child.on("close", (code, signal) => {
      children.delete(child)
      resolve({ code, signal })
    })
  })
  const line = async (pattern: RegExp, msMax = readyMsMax): Promise<RegExpExecArray> => {
    const found = new Promise<RegExpExecArray>((resolve) => {
      const look = (): void => {
        const match = pattern.exec(text)
        if (match === null) return
        waiting.delete(look)
        resolve(match)
      }
      waiting.add(look)
      look()
    })
    const first = await Promise.race([found, ended, after(msMax)])
    if (Array.isArray(first)) return first
    child.kill("SIGKILL")
    const why = first === "late" ? `not within ${msMax} ms` : `it ended with ${JSON.stringify(first)}`
    throw new Error(`${command} ${args.join(" ")}: expected ${pattern}; ${why}. It said:\n${text}`)
  }
  const stop = async (signal: NodeJS.Signals = "SIGTERM"): Promise<Ended> => {
    child.kill(signal)
    const first = await Promise.race([ended, after(stopMsMax)])
    if (first !== "late") return first
    child.kill("SIGKILL")
    await ended
    throw new Error(`${command}: still there ${stopMsMax} ms after ${signal}. It said:\n${text}`)
  }
  return { child, output: () => text, ended, line, stop }
}

export const readyLine = /OuroborosDB is ready: S3 on (https?:\/\/[^\s,]+:(\d+)), admin on (https?:\/\/[^\s,]+:(\d+)), data in (.+)/

/** Command and arguments of a server on these options, not yet run. */
export const serveCommand = (data: string, options: ServerOptions): ReadonlyArray<string> => [
  ...(options.wrapper ?? []), process.execPath, options.command ?? commandPath, "serve", "--data", data,
  "--s3", options.s3 ?? "127.0.0.1:0", "--admin", options.admin ?? "127.0.0.1:0", ...(options.args ?? [])
]

export const startServer = async (options: ServerOptions = {}): Promise<Server> => {
  const home = options.data === undefined ? temporaryFolder() : undefined
  const data = options.data ?? join(home ?? "", "data")
  const config = options.config === undefined ? undefined : `${data}.config.json`
  if (config !== undefined) writeFileSync(config, JSON.stringify(options.config))
  const [command, ...args] = serveCommand(data, {
    ...options, args: [...(config === undefined ? [] : ["--config", config]), ...(options.args ?? [])]
  })
  const running = spawnWatched(command ?? "", args, { env: cleanEnvironment(options.env) })
  const match = await running.line(readyLine)
  const kill = (): Promise<Ended> => {
    running.child.kill("SIGKILL")
    return running.ended
  }
  return {
    pid: running.child.pid ?? 0,
    s3: match[1] ?? "",
    admin: match[3] ?? "",
    s3Port: Number(match[2]),
    adminPort: Number(match[4]),
    data,
    ...readCredentials(data),
    output: running.output,
    ended: running.ended,
    stop: running.stop,
    kill,
    dispose: async () => {
      await kill()
      if (home !== undefined) rmSync(home, { recursive: true, force: true })
    }
  }
}

/** Runs a command to its end, bounded in time. */
export const runCommand = async (
  command: string, args: ReadonlyArray<string>,
  options: { readonly env?: Record<string, string>; readonly cwd?: string; readonly msMax?: number; readonly input?: string | Uint8Array } = {}
): Promise<{ readonly code: number | null; readonly stdout: Buffer; readonly stderr: string; readonly late: boolean }> => {
  const child = spawn(command, args, {
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    env: options.env ?? cleanEnvironment(), cwd: options.cwd ?? projectRoot
  })
  children.add(child)
  const out: Array<Buffer> = []
  const errors: Array<Buffer> = []
  child.stdout?.on("data", (part: Buffer) => out.push(part))
  child.stderr?.on("data", (part: Buffer) => errors.push(part))
  // A command that ends without reading its input breaks the pipe: its exit code tells the story.
  child.stdin?.on("error", () => undefined)
  if (options.input !== undefined) child.stdin?.end(options.input)
  let late = false
  const timer = setTimeout(() => {
    late = true
    child.kill("SIGKILL")
  }, options.msMax ?? 60_000)
  const code = await new Promise<number | null>((resolve) => {
    child.on("error", (error) => {
      errors.push(Buffer.from(error.message))
      resolve(-1)
    })
    child.on("close", (exit) => resolve(exit))
  })
  clearTimeout(timer)
  children.delete(child)
  return { code, stdout: Buffer.concat(out), stderr: Buffer.concat(errors).toString("utf8"), late }
}

/** A request to the admin address with the root credentials. */
export const askAdmin = async (server: Server, method: string, path: string, anonymous = false): Promise<{ readonly status: number; readonly body: any }> => {
  const basic = Buffer.from(`${server.accessKey}:${server.secretKey}`).toString("base64")
  const response = await fetch(`${server.admin}${path}`, { method, headers: anonymous ? {} : { authorization: `Basic ${basic}` } })
  const text = await response.text()
  try {
    return { status: response.status, body: JSON.parse(text) }
  } catch (error) {
    if (error instanceof SyntaxError) return { status: response.status, body: text }
    throw error
  }
}

/** A line of /proc/PID/status in bytes; undefined where there is no such system. */
export const memoryOf = (pid: number, field: "VmHWM" | "VmRSS"): number | undefined => {
  try {
    const kiB = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
    return kiB === undefined ? undefined : Number(kiB) * 1024
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw error
  }
}
