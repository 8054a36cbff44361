/** restic against the running server: a backup is made, proved and restored. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Case, type Stage, assertSame, assertSameTree, assertThat, makeTree, runClient, type Said } from "./Case.ts"

export const resticCases = (stage: Stage): ReadonlyArray<Case> => {
  const { server } = stage
  const folder = join(stage.scratch, "restic")
  const tree = join(folder, "tree")
  const env: Record<string, string> = {
    AWS_ACCESS_KEY_ID: server.accessKey, AWS_SECRET_ACCESS_KEY: server.secretKey, AWS_DEFAULT_REGION: "us-east-1",
    RESTIC_REPOSITORY: `s3:${server.s3}/restic-repository/inside`, RESTIC_PASSWORD: "a test's password",
    RESTIC_CACHE_DIR: join(folder, "cache")
  }
  const restic = (args: ReadonlyArray<string>, code = 0): Promise<Said> =>
    runClient(stage.clients.restic, [...(stage.ca === undefined ? [] : ["--cacert", stage.ca]), ...args], { env, code })
  const define = (name: string, run: () => Promise<void>): Case => ({ suite: `restic ${stage.name}`, name, run })

  return [
    define("init, backup, a second backup, snapshots", async () => {
      mkdirSync(folder, { recursive: true })
      makeTree(tree)
      await restic(["init"])
      await restic(["backup", tree])
      rmSync(join(tree, "many"), { recursive: true })
      writeFileSync(join(tree, "added"), "later")
      await restic(["backup", tree])
      assertSame(JSON.parse((await restic(["snapshots", "--json"])).stdout).length, 2, "snapshots")
    }),
    define("check --read-data", async () => {
      assertThat(/no errors were found/.test((await restic(["check", "--read-data"])).stdout), "errors were found")
    }),
    define("restore", async () => {
      const target = join(folder, "restored")
      await restic(["restore", "latest", "--target", target])
      assertSameTree(join(target, tree), tree)
    }),
    define("forget --prune, then check", async () => {
      await restic(["forget", "--keep-last", "1", "--prune"])
      assertSame(JSON.parse((await restic(["snapshots", "--json"])).stdout).length, 1, "snapshots")
      await restic(["check", "--read-data"])
    })
  ]
}
