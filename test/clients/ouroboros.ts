/** The project's own command against the running server. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { randomBytes } from "node:crypto"
import { commandPath } from "../e2e/server.ts"
import { type Case, type Stage, assertSame, assertSameTree, assertThat, makeTree, MiB, readTree, runClient, type Said } from "./Case.ts"

const sleep = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms))

export const ouroborosCases = (stage: Stage): ReadonlyArray<Case> => {
  const { server } = stage
  const folder = join(stage.scratch, "ouroboros")
  mkdirSync(folder, { recursive: true })
  const env: Record<string, string> = {
    OUROBOROS_DATA: server.data, OUROBOROS_ENDPOINT: server.s3, OUROBOROS_ADMIN: server.admin.replace(/^https?:\/\//, ""),
    ...(stage.ca === undefined ? {} : { NODE_EXTRA_CA_CERTS: stage.ca })
  }
  const ouroboros = (args: ReadonlyArray<string>, options: { readonly code?: number; readonly input?: string | Uint8Array } = {}): Promise<Said> =>
    runClient(process.execPath, [commandPath, ...args], { env, ...options })
  const jsonLines = (text: string): ReadonlyArray<any> => text.trim().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))
  const define = (name: string, run: () => Promise<void>): Case => ({ suite: `ouroboros ${stage.name}`, name, run })

  return [
    define("mb, cp up and down, ls, cat, rm, rb", async () => {
      await ouroboros(["mb", "s3://own"])
      const bytes = randomBytes(18 * MiB + 3)
      const file = join(folder, "file.bin")
      writeFileSync(file, bytes)
      await ouroboros(["cp", file, "s3://own/a b/ü.bin"])
      assertThat((await ouroboros(["cat", "s3://own/a b/ü.bin"])).bytes.equals(bytes), "cat gave other bytes")
      await ouroboros(["cp", "-", "s3://own/stdin"], { input: "from standard input" })
      assertSame((await ouroboros(["cp", "s3://own/stdin", "-"])).stdout, "from standard input", "standard output")
      assertSame(jsonLines((await ouroboros(["ls", "--json", "--recursive", "s3://own"])).stdout).map((entry) => entry.key), ["a b/ü.bin", "stdin"], "ls")
      assertThat((await ouroboros(["ls"])).stdout.includes("s3://own"), "the bucket is not listed")
      assertThat((await ouroboros(["cat", "s3://own/absent"], { code: 3 })).stderr.includes("NoSuchKey"), "no complaint of the key")
      await ouroboros(["rm", "--recursive", "s3://own"])
      await ouroboros(["rb", "s3://own"])
    }),
    define("cp --recursive of a folder, both ways", async () => {
      const tree = join(folder, "tree")
      makeTree(tree)
      await ouroboros(["mb", "s3://own-tree"])
      await ouroboros(["cp", "--recursive", tree, "s3://own-tree/t"])
      await ouroboros(["cp", "--recursive", "s3://own-tree/t", join(folder, "back")])
      assertSameTree(join(folder, "back"), tree)
      assertSame(jsonLines((await ouroboros(["ls", "--json", "-r", "s3://own-tree"])).stdout).length, Object.keys(readTree(tree)).length, "keys")
    }),
    define("cat, ls and cp --as-of: a sequence, a time, an age", async () => {
      await ouroboros(["mb", "s3://own-past"])
      await ouroboros(["cp", "-", "s3://own-past/k"], { input: "then" })
      const history = jsonLines((await ouroboros(["log", "--json", "s3://own-past/k"])).stdout)
      await sleep(1200)
      const moment = new Date().toISOString()
      await sleep(1200)
      await ouroboros(["cp", "-", "s3://own-past/k"], { input: "now" })
      const age = `${Math.max(1, Math.round((Date.now() - Date.parse(moment)) / 1000))}s`
      await ouroboros(["rm", "s3://own-past/k"])
      const sequence = String(history[0]?.sequence ?? history[0]?.commit)
      for (const point of [sequence, moment]) {
        assertSame((await ouroboros(["cat", "--as-of", point, "s3://own-past/k"])).stdout, "then", `cat --as-of ${point}`)
        assertSame((await ouroboros(["cp", "--as-of", point, "s3://own-past/k", "-"])).stdout, "then", `cp --as-of ${point}`)
        assertSame(jsonLines((await ouroboros(["ls", "--json", "--as-of", point, "s3://own-past"])).stdout).length, 1, `ls --as-of ${point}`)
      }
      // The age counts from when the command runs: a little more than when it was computed.
      const seconds = Math.round((Date.now() - Date.parse(moment)) / 1000)
      assertSame((await ouroboros(["cat", "--as-of", `${seconds}s`, "s3://own-past/k"])).stdout, "then", `cat --as-of ${seconds}s (was ${age})`)
      assertSame(jsonLines((await ouroboros(["ls", "--json", "s3://own-past"])).stdout), [], "ls now")
    }),
    define("log of a key and of a bucket, status", async () => {
      const versions = jsonLines((await ouroboros(["log", "--json", "s3://own-past"])).stdout)
      assertThat(versions.length >= 2, `log shows ${versions.length} versions`)
      const status = jsonLines((await ouroboros(["status", "--json"])).stdout)[0]
      assertThat(typeof status === "object" && status !== null, "status is no object")
      await ouroboros(["status"])
    })
  ]
}
