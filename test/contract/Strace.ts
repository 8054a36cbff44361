/**
 * Strace: what a small program of Node writes to one file, and when that was safe: its system calls, recorded by strace, in
 * the order of their beginnings and ends. It sits between a contract test and the kernel. Where strace is missing it is
 * installed by apt; a machine that cannot have it fails the test.
 */
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"

export type Recorded =
  /** `through`: durable once it has ended, as O_DSYNC promises. */
  | { readonly _tag: "Write"; readonly call: number; readonly offset: number; readonly bytes: Uint8Array; readonly through: boolean }
  | { readonly _tag: "Sync"; readonly call: number }
  | { readonly _tag: "Ended"; readonly call: number }
  /** A line that the program wrote to its file of marks. */
  | { readonly _tag: "Mark"; readonly text: string }

const installMsMax = 5 * 60_000
const runMsMax = 120_000

const ensure = (): void => {
  if (spawnSync("strace", ["--version"]).error === undefined) return
  for (const args of [["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "strace"]]) spawnSync("apt-get", args, { timeout: installMsMax })
  if (spawnSync("strace", ["--version"]).error !== undefined) throw new Error("strace is missing, and apt-get could not install it: install it (apt-get install strace)")
}

const calls = "openat,lseek,write,writev,pwrite64,pwritev,pwritev2,fdatasync,fsync,sync_file_range,ftruncate,fallocate,msync,copy_file_range,sendfile"

/** Runs a program of Node until it ends, however it does, and tells what it did to `file`, and what it wrote to `marks`. */
export const record = (folder: string, program: string, args: ReadonlyArray<string>, file: string, marks: string): ReadonlyArray<Recorded> => {
  ensure()
  const output = join(folder, "strace.txt")
  const options = ["-f", "--seccomp-bpf", "-qq", "-y", "-xx", "-s", "4000000", "-e", `trace=${calls}`, "-o", output]
  const { error, stderr } = spawnSync("strace", [...options, process.execPath, program, ...args], { encoding: "utf8", timeout: runMsMax })
  if (error !== undefined) throw new Error(`strace: ${error.message}`)
  const recorded = parse(readFileSync(output, "latin1"), file, marks)
  if (recorded.length === 0) throw new Error(`strace recorded nothing: ${stderr}`)
  return recorded
}

/** `pid call(args) = result`, where strace could not print it in one go its end in a later line. */
const line = /^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$/
const decode = (text: string): Buffer => Buffer.from(text.replaceAll("\\x", ""), "hex")

class Recorder {
  readonly recorded: Array<Recorded> = []
  readonly #file: string
  readonly #marks: string
  readonly #through = new Set<number>()
  readonly #positions = new Map<number, number>()
  #calls = 0

  constructor(file: string, marks: string) {
    this.#file = file
    this.#marks = marks
  }

  /** A call whose arguments are known; its number where it concerns the file. */
  begin(name: string, args: string): number | undefined {
    const target = /^(\d+)<([^>]*)>/.exec(args)
    if (target === null || name === "openat") return undefined
    const [fd, path] = [Number(target[1]), decodePath(target[2]!)]
    if (path === this.#marks && name === "write") this.recorded.push({ _tag: "Mark", text: decode(/"([^"]*)"/.exec(args)![1]!).toString().trim() })
    if (path !== this.#file || name === "lseek") return undefined
    const call = this.#calls++
    if (name === "fdatasync" || name === "fsync") this.recorded.push({ _tag: "Sync", call })
    else if (name === "write" || name === "writev" || name === "pwrite64") this.#write(name, args, fd, call)
    else throw new Error(`strace: ${name} on ${path}: what that means for its durability is not known here`)
    return call
  }

  #write(name: string, args: string, fd: number, call: number): void {
    const bytes = Buffer.concat([...args.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map((part) => decode(part[1]!)))
    const positioned = name === "pwrite64" ? Number(/, (\d+)\)?(?: +=.*| <unfinished \.\.\.>)?$/.exec(args)?.[1]) : this.#positions.get(fd)
    if (positioned === undefined || Number.isNaN(positioned)) throw new Error(`strace: a ${name} at an unknown place`)
    if (name !== "pwrite64") this.#positions.set(fd, positioned + bytes.length)
    this.recorded.push({ _tag: "Write", call, offset: positioned, bytes, through: this.#through.has(fd) })
  }

  /** What an opening or a seek answered. */
  answered(name: string, args: string): void {
    const result = /= (\d+)/.exec(args.slice(args.lastIndexOf(" = ")))?.[1]
    if (result === undefined) return
    if (name === "openat") {
      const fd = Number(result)
      this.#positions.set(fd, 0)
      if (/O_D?SYNC/.test(args)) this.#through.add(fd)
      else this.#through.delete(fd)
    }
    if (name === "lseek") this.#positions.set(Number(/^(\d+)</.exec(args)![1]), Number(result))
  }

  ended(call: number): void {
    this.recorded.push({ _tag: "Ended", call })
  }
}

const decodePath = (text: string): string => (text.startsWith("\\x") ? decode(text).toString() : text)

const parse = (text: string, file: string, marks: string): ReadonlyArray<Recorded> => {
  const recorder = new Recorder(file, marks)
  const open = new Map<string, { readonly args: string; readonly call: number | undefined }>()
  for (const row of text.split("\n")) {
    const [, pid, resumed, begun, rest] = line.exec(row) ?? []
    if (pid === undefined || rest === undefined) continue
    if (begun !== undefined) {
      const call = recorder.begin(begun, rest)
      if (rest.endsWith("<unfinished ...>")) {
        open.set(pid, { args: rest.replace("<unfinished ...>", ""), call })
        continue
      }
      recorder.answered(begun, rest)
      if (call !== undefined) recorder.ended(call)
    } else {
      const before = open.get(pid)
      open.delete(pid)
      if (before === undefined || resumed === undefined) continue
      recorder.answered(resumed, before.args + rest)
      if (before.call !== undefined) recorder.ended(before.call)
    }
  }
  return recorder.recorded
}
