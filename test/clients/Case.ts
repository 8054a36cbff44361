/** A named case of the client tests: what it is called with, and what it answers. Sits between the suites and run.ts. */
import { createHash, randomBytes } from "node:crypto"
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { cleanEnvironment, runCommand, type Server } from "../e2e/server.ts"
import type { Clients } from "./install.ts"

/** One server, one way to reach it. */
export interface Stage {
  readonly name: "http" | "tls" | "cluster"
  readonly server: Server
  readonly clients: Clients
  /** Path of the certificate that clients must trust; undefined over plain HTTP. */
  readonly ca: string | undefined
  /** Folder of this stage's own. */
  readonly scratch: string
}

export interface Result {
  readonly suite: string
  readonly name: string
  readonly ms: number
  readonly error: string | undefined
}

export interface Case {
  readonly suite: string
  readonly name: string
  readonly run: () => Promise<void>
}

export class CaseFailed extends Error {}

export const commandMsMax = 90_000

export const assertThat = (holds: boolean, what: string): void => {
  if (!holds) throw new CaseFailed(what)
}

export const assertSame = (actual: unknown, expected: unknown, what: string): void => {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (a !== e) throw new CaseFailed(`${what}: got ${a?.slice(0, 400)}, expected ${e?.slice(0, 400)}`)
}

export interface Said {
  readonly code: number | null
  readonly stdout: string
  readonly bytes: Buffer
  readonly stderr: string
}

/** Runs a client and expects an exit code; what it said is part of the complaint. */
export const runClient = async (
  command: string, args: ReadonlyArray<string>,
  options: { readonly env?: Record<string, string>; readonly code?: number; readonly input?: string | Uint8Array; readonly cwd?: string } = {}
): Promise<Said> => {
  const { code, stdout, stderr, late } = await runCommand(command, args, {
    env: cleanEnvironment(options.env), msMax: commandMsMax,
    ...(options.input === undefined ? {} : { input: options.input }), ...(options.cwd === undefined ? {} : { cwd: options.cwd })
  })
  if (late || code !== (options.code ?? 0)) {
    const said = `${stdout.toString("utf8").slice(-1500)}\n${stderr.slice(-1500)}`.trim()
    throw new CaseFailed(`${command.split("/").at(-1)} ${args.join(" ")}: ${late ? `no end within ${commandMsMax} ms` : `exit ${code}, expected ${options.code ?? 0}`}\n${said}`)
  }
  return { code, stdout: stdout.toString("utf8"), bytes: stdout, stderr }
}

export const KiB = 1024
export const MiB = 1024 * KiB

/** A folder of files as people have them: empty, small, large, odd names, several levels. */
export const makeTree = (folder: string): void => {
  const files: ReadonlyArray<readonly [string, Uint8Array]> = [
    ["empty", new Uint8Array(0)],
    ["one", Buffer.from("1")],
    ["text.txt", Buffer.from("the same line again and again\n".repeat(5000))],
    ["with space/and +plus %41.bin", randomBytes(70_000)],
    ["deep/er/still/ü-漢字-😀.bin", randomBytes(3 * KiB)],
    ["large/noise.bin", randomBytes(9 * MiB + 5)],
    ["large/zeros.bin", new Uint8Array(6 * MiB)],
    ...Array.from({ length: 40 }, (_, index) => [`many/${String(index).padStart(3, "0")}`, randomBytes(index * 50)] as const)
  ]
  for (const [name, bytes] of files) {
    const path = join(folder, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, bytes)
  }
}

/** Every file of a folder by its path, as the SHA-256 of its bytes. */
export const readTree = (folder: string): Readonly<Record<string, string>> =>
  Object.fromEntries((readdirSync(folder, { recursive: true }) as ReadonlyArray<string>)
    .filter((name) => statSync(join(folder, name)).isFile())
    .sort()
    .map((name) => [name, createHash("sha256").update(readFileSync(join(folder, name))).digest("hex")]))

export const assertSameTree = (actual: string, expected: string): void =>
  assertSame(readTree(actual), readTree(expected), `files of ${actual}`)
