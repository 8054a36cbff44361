/** rclone against the running server, as each of the providers whose quirks it knows. */
import { appendFileSync, mkdirSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Case, type Stage, assertSame, assertSameTree, assertThat, makeTree, readTree, runClient, type Said } from "./Case.ts"

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const providers = ["Minio", "AWS", "Other"] as const

const casesOf = (stage: Stage, provider: (typeof providers)[number]): ReadonlyArray<Case> => {
  const { server } = stage
  const folder = join(stage.scratch, `rclone-${provider}`)
  const tree = join(folder, "tree")
  const remote = `store:rclone-${provider.toLowerCase()}`
  const env: Record<string, string> = {
    RCLONE_CONFIG: join(folder, "rclone.conf"),
    RCLONE_RETRIES: "1", RCLONE_LOW_LEVEL_RETRIES: "2", RCLONE_CONTIMEOUT: "10s", RCLONE_TIMEOUT: "30s",
    ...(stage.ca === undefined ? {} : { RCLONE_CA_CERT: stage.ca })
  }
  const rclone = (args: ReadonlyArray<string>, options: { readonly code?: number; readonly input?: string } = {}): Promise<Said> =>
    runClient(stage.clients.rclone, args, { env, ...options })
  const define = (name: string, run: () => Promise<void>): Case => ({ suite: `rclone ${provider} ${stage.name}`, name, run })
  const stamp = new Date("2019-03-04T05:06:07.500Z")

  return [
    define("copy up and down, mtime kept in metadata", async () => {
      mkdirSync(folder, { recursive: true })
      writeFileSync(env["RCLONE_CONFIG"] ?? "", [
        "[store]", "type = s3", `provider = ${provider}`, `access_key_id = ${server.accessKey}`, `secret_access_key = ${server.secretKey}`,
        `endpoint = ${server.s3}`, "region = us-east-1", "force_path_style = true", "upload_cutoff = 8Mi", "chunk_size = 5Mi",
        // As AWS, rclone counts on checksum trailers, which its SDK sends only over TLS; without, it cannot send a stream.
        ...(provider === "AWS" && stage.ca === undefined ? ["use_unsigned_payload = true"] : []), ""
      ].join("\n"))
      makeTree(tree)
      utimesSync(join(tree, "one"), stamp, stamp)
      utimesSync(join(tree, "large", "noise.bin"), stamp, stamp)
      await rclone(["copy", tree, remote])
      const back = join(folder, "back")
      await rclone(["copy", remote, back])
      assertSameTree(back, tree)
    }),
    define("lsjson: sizes, times and hashes", async () => {
      const listed = JSON.parse((await rclone(["lsjson", "--recursive", "--files-only", "--hash", remote])).stdout) as ReadonlyArray<any>
      assertSame(listed.map((entry) => String(entry.Path)).toSorted(byText), Object.keys(readTree(tree)).toSorted(byText), "paths")
      for (const path of ["one", "large/noise.bin"]) {
        const entry = listed.find((each) => each.Path === path)
        assertSame(new Date(entry.ModTime).toISOString(), stamp.toISOString(), `mtime of ${path}`)
      }
      assertThat(listed.every((entry) => entry.Hashes?.md5?.length === 32), "a file has no MD5")
    }),
    define("check, also by downloading, and it sees a difference", async () => {
      await rclone(["check", tree, remote])
      await rclone(["check", "--download", tree, remote])
      appendFileSync(join(tree, "one"), "2")
      await rclone(["check", tree, remote], { code: 1 })
    }),
    define("sync: changes, removals, then nothing to do", async () => {
      rmSync(join(tree, "many"), { recursive: true })
      await rclone(["sync", tree, remote])
      await rclone(["check", tree, remote])
      const again = await rclone(["sync", tree, remote, "-v", "--stats-one-line"])
      assertThat(!/: (Copied|Deleted)/.test(again.stderr), `the second sync was not idle:\n${again.stderr}`)
      const listed = JSON.parse((await rclone(["lsjson", "--recursive", "--files-only", remote])).stdout) as ReadonlyArray<any>
      assertSame(listed.length, Object.keys(readTree(tree)).length, "files after the removals")
    }),
    define("rcat, cat, moveto, copyto within, delete, purge", async () => {
      await rclone(["rcat", `${remote}/streamed`], { input: "a stream of unknown length" })
      assertSame((await rclone(["cat", `${remote}/streamed`])).stdout, "a stream of unknown length", "cat")
      await rclone(["moveto", `${remote}/streamed`, `${remote}/dir/moved`])
      await rclone(["copyto", `${remote}/large/noise.bin`, `${remote}/dir/copied`])
      await rclone(["delete", `${remote}/dir`])
      const listed = JSON.parse((await rclone(["lsjson", "--recursive", "--files-only", `${remote}/dir`], {}).catch(() => ({ stdout: "[]" }))).stdout)
      assertSame(listed, [], "after delete")
      await rclone(["purge", remote])
    })
  ]
}

export const rcloneCases = (stage: Stage, as: ReadonlyArray<(typeof providers)[number]> = providers): ReadonlyArray<Case> => as.flatMap((provider) => casesOf(stage, provider))
