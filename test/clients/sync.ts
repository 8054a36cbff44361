/**
 * The data sync behind an acknowledgement, as the kernel saw it: the server runs under strace, a lone 1 KiB PUT is
 * sent, and its data must have been written and synced before its 200 went out.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { serveCommand, spawnWatched, readyLine, runCommand, readCredentials, cleanEnvironment } from "../e2e/server.ts"
import { call } from "../e2e/wire.ts"
import { type Case, assertSame, assertThat, CaseFailed } from "./Case.ts"

const calls = "pwrite64,pwritev,pwritev2,write,writev,sendto,sendmsg,fdatasync,fsync,sync_file_range,openat,msync,io_uring_enter"

const sleep = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms))

const ensureStrace = async (): Promise<void> => {
  if ((await runCommand("strace", ["--version"])).code === 0) return
  await runCommand("apt-get", ["update", "-qq"], { msMax: 120_000 })
  await runCommand("apt-get", ["install", "-y", "-qq", "strace"], { msMax: 120_000 })
  if ((await runCommand("strace", ["--version"])).code !== 0) throw new CaseFailed("strace cannot be had: apt-get install strace failed")
}

interface Event {
  readonly name: string
  readonly text: string
}

/** The file behind a call's first argument, as strace -y shows it. */
const pathOf = (text: string): string => /^\w+\(\d+<([^>]+)>/.exec(text)?.[1] ?? ""
const resultOf = (text: string): number => Number(/\) += (-?\d+)/.exec(text)?.[1] ?? -1)

/** `PID call(…) = RESULT`, with calls that were interrupted put together at their end. */
const finished = (trace: string): ReadonlyArray<Event> => {
  const open = new Map<string, string>()
  const events: Array<Event> = []
  for (const line of trace.split("\n")) {
    const match = /^(\d+)\s+(.*)$/.exec(line)
    if (match === null) continue
    const [pid, text] = [match[1] ?? "", match[2] ?? ""]
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(text)
    if (resumed !== null) {
      events.push({ name: resumed[1] ?? "", text: `${open.get(pid) ?? ""}${resumed[2] ?? ""}` })
      open.delete(pid)
    } else if (text.endsWith("<unfinished ...>")) {
      const start = text.slice(0, -"<unfinished ...>".length)
      open.set(pid, start)
      // What is on its way to a socket has left: an answer counts from its beginning.
      if (/^(write|writev|sendto|sendmsg)\(/.test(start)) events.push({ name: "sending", text: start })
    } else {
      events.push({ name: /^(\w+)\(/.exec(text)?.[1] ?? "", text })
    }
  }
  return events
}

export const syncCases = (scratch: string): ReadonlyArray<Case> => [{
  suite: "sync",
  name: "a traced lone 1 KiB PUT shows its data sync before its 200",
  run: async () => {
    await ensureStrace()
    const data = join(scratch, "traced")
    const trace = join(scratch, "trace.txt")
    const [command, ...args] = serveCommand(data, { wrapper: ["strace", "-f", "-y", "-s", "64", "-e", `trace=${calls}`, "-o", trace] })
    const running = spawnWatched(command ?? "", args, { env: cleanEnvironment() })
    try {
      const match = await running.line(readyLine, 60_000)
      const target = { s3: match[1] ?? "", ...readCredentials(data) }
      assertSame((await call(target, { method: "PUT", bucket: "traced" })).status, 200, "PUT of the bucket")
      // Whatever start-up and the bucket left to do is done before the one PUT.
      await sleep(3000)
      const before = readFileSync(trace, "utf8").length
      const put = await call(target, { method: "PUT", bucket: "traced", key: "lone", body: new Uint8Array(1024).fill(7) })
      assertSame(put.status, 200, "PUT")
      await sleep(500)
      const events = finished(readFileSync(trace, "utf8").slice(before))
      const answer = events.findIndex(({ name, text }) => /^(sending|write|writev|sendto|sendmsg)$/.test(name) && text.includes("HTTP/1.1 200"))
      assertThat(answer >= 0, `no answer in the trace:\n${events.map(({ text }) => text).join("\n").slice(0, 3000)}`)
      const shown = events.map(({ text }) => text.slice(0, 160)).join("\n")
      const isData = ({ name, text }: Event): boolean => name.startsWith("pwrite") && pathOf(text).startsWith(data) && resultOf(text) >= 1024
      const write = events.findLastIndex((event, index) => index < answer && isData(event))
      assertThat(write >= 0, `no write of the data before the answer:\n${shown}`)
      const path = pathOf(events[write]?.text ?? "")
      const isSync = ({ name, text }: Event): boolean => /^(fdatasync|fsync)$/.test(name) && pathOf(text) === path && resultOf(text) === 0
      const isSynced = events.some((event, index) => index > write && index < answer && isSync(event))
      // Opened so that each write is a sync of its own.
      const isOpenedSynced = finished(readFileSync(trace, "utf8")).some(({ text }) => /^openat\(.*O_D?SYNC/.test(text) && text.includes(`<${path}>`))
      assertThat(isSynced || isOpenedSynced, `no data sync of ${path} between its write and the answer:\n${shown}`)
    } finally {
      // strace passes SIGTERM on only to itself: the server's process id is what its children are.
      const server = (await runCommand("pgrep", ["-P", String(running.child.pid)])).stdout.toString().trim()
      if (/^\d+$/.test(server)) process.kill(Number(server), "SIGTERM")
      await running.ended
    }
  }
}]
