/** aws-cli against the running server. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { randomBytes } from "node:crypto"
import { type Case, type Stage, assertSame, assertSameTree, assertThat, makeTree, MiB, readTree, runClient, type Said } from "./Case.ts"

export const awsCases = (stage: Stage): ReadonlyArray<Case> => {
  const { server } = stage
  const folder = join(stage.scratch, "aws")
  mkdirSync(folder, { recursive: true })
  const env: Record<string, string> = {
    AWS_ACCESS_KEY_ID: server.accessKey, AWS_SECRET_ACCESS_KEY: server.secretKey, AWS_DEFAULT_REGION: "us-east-1",
    AWS_CONFIG_FILE: join(folder, "config"), AWS_SHARED_CREDENTIALS_FILE: join(folder, "none"), AWS_MAX_ATTEMPTS: "1",
    ...(stage.ca === undefined ? {} : { AWS_CA_BUNDLE: stage.ca })
  }
  // In us-east-1 this aws-cli presigns with the old Signature Version 2 unless it is told otherwise.
  writeFileSync(env["AWS_CONFIG_FILE"] ?? "", "[default]\ns3 =\n  addressing_style = path\n  signature_version = s3v4\n")
  const aws = (args: ReadonlyArray<string>, options: { readonly code?: number; readonly input?: string | Uint8Array } = {}): Promise<Said> =>
    runClient(stage.clients.aws, ["--endpoint-url", server.s3, ...args], { env, ...options })
  const api = async (...args: ReadonlyArray<string>): Promise<any> => {
    const { stdout } = await aws(["s3api", ...args, "--output", "json"])
    return stdout.trim() === "" ? {} : JSON.parse(stdout)
  }
  const define = (name: string, run: () => Promise<void>): Case => ({ suite: `aws-cli ${stage.name}`, name, run })
  const tree = join(folder, "tree")

  return [
    define("s3 mb, ls, cp a file up and down, rm, rb", async () => {
      await aws(["s3", "mb", "s3://aws-one"])
      assertThat((await aws(["s3", "ls"])).stdout.includes("aws-one"), "the bucket is not listed")
      const file = join(folder, "file.bin")
      writeFileSync(file, randomBytes(100_000))
      await aws(["s3", "cp", file, "s3://aws-one/a b/ü+.bin", "--no-progress"])
      await aws(["s3", "cp", "s3://aws-one/a b/ü+.bin", `${file}.back`, "--no-progress"])
      assertThat(readFileSync(file).equals(readFileSync(`${file}.back`)), "the file came back changed")
      await aws(["s3", "rb", "s3://aws-one"], { code: 1 })
      await aws(["s3", "rm", "s3://aws-one/a b/ü+.bin"])
      await aws(["s3", "rb", "s3://aws-one"])
      assertThat(!(await aws(["s3", "ls"])).stdout.includes("aws-one"), "the bucket is still listed")
    }),
    define("s3 cp of 20 MiB in parts, from standard input, to standard output", async () => {
      await aws(["s3", "mb", "s3://aws-large"])
      const file = join(folder, "large.bin")
      const bytes = randomBytes(20 * MiB + 1)
      writeFileSync(file, bytes)
      await aws(["s3", "cp", file, "s3://aws-large/file", "--no-progress"])
      assertThat((await aws(["s3", "cp", "s3://aws-large/file", "-"])).bytes.equals(bytes), "20 MiB came back changed")
      await aws(["s3", "cp", "-", "s3://aws-large/stdin"], { input: bytes })
      assertThat((await aws(["s3", "cp", "s3://aws-large/stdin", "-"])).bytes.equals(bytes), "standard input came back changed")
      assertSame((await api("list-objects-v2", "--bucket", "aws-large")).Contents.map((entry: any) => [entry.Key, entry.Size]),
        [["file", bytes.length], ["stdin", bytes.length]], "listing")
    }),
    define("s3 sync up, down, --delete, and nothing to do the second time", async () => {
      makeTree(tree)
      await aws(["s3", "mb", "s3://aws-sync"])
      await aws(["s3", "sync", tree, "s3://aws-sync/tree", "--no-progress"])
      const again = await aws(["s3", "sync", tree, "s3://aws-sync/tree", "--no-progress"])
      assertSame(again.stdout.trim(), "", "second sync")
      const back = join(folder, "back")
      await aws(["s3", "sync", "s3://aws-sync/tree", back, "--no-progress"])
      assertSameTree(back, tree)
      rmSync(join(tree, "many"), { recursive: true })
      await aws(["s3", "sync", tree, "s3://aws-sync/tree", "--delete", "--no-progress"])
      const listed = (await aws(["s3", "ls", "--recursive", "s3://aws-sync/tree/"])).stdout.trim().split("\n").length
      assertSame(listed, Object.keys(readTree(tree)).length, "keys after --delete")
      assertThat((await aws(["s3", "ls", "s3://aws-sync/tree/"])).stdout.includes("PRE deep/"), "no prefix listed")
    }),
    define("s3 cp and mv within the store, rm --recursive, rb --force", async () => {
      await aws(["s3", "mb", "s3://aws-inside"])
      await aws(["s3", "cp", "-", "s3://aws-inside/one"], { input: "one" })
      await aws(["s3", "cp", "s3://aws-inside/one", "s3://aws-inside/two"])
      await aws(["s3", "mv", "s3://aws-inside/one", "s3://aws-inside/sub/three"])
      assertSame((await api("list-objects-v2", "--bucket", "aws-inside")).Contents.map((entry: any) => entry.Key), ["sub/three", "two"], "keys")
      await aws(["s3", "rm", "--recursive", "s3://aws-inside/sub"])
      await aws(["s3", "rb", "--force", "s3://aws-inside"])
    }),
    define("s3 presign", async () => {
      await aws(["s3", "mb", "s3://aws-presign"])
      await aws(["s3", "cp", "-", "s3://aws-presign/k"], { input: "by url" })
      const url = (await aws(["s3", "presign", "s3://aws-presign/k", "--expires-in", "60"])).stdout.trim()
      const args = [...(stage.ca === undefined ? [] : ["--cacert", stage.ca]), "-sS", "--fail", "--max-time", "30", url]
      assertSame((await runClient("curl", args)).stdout, "by url", "body")
    }),
    define("s3api: versions, delete marker, restore, checksums, attributes, tagging refused or kept", async () => {
      const bucket = "aws-versions"
      await api("create-bucket", "--bucket", bucket)
      await api("put-bucket-versioning", "--bucket", bucket, "--versioning-configuration", "Status=Enabled")
      const file = join(folder, "v.txt")
      const put = async (text: string, ...more: ReadonlyArray<string>): Promise<any> => {
        writeFileSync(file, text)
        return api("put-object", "--bucket", bucket, "--key", "k", "--body", file, ...more)
      }
      const first = await put("first", "--checksum-algorithm", "SHA256")
      assertThat(typeof first.ChecksumSHA256 === "string", "no checksum came back")
      await put("second")
      await api("delete-object", "--bucket", bucket, "--key", "k")
      await aws(["s3api", "get-object", "--bucket", bucket, "--key", "k", join(folder, "none.txt")], { code: 254 }).catch(
        () => aws(["s3api", "get-object", "--bucket", bucket, "--key", "k", join(folder, "none.txt")], { code: 255 }))
      const out = join(folder, "old.txt")
      await api("get-object", "--bucket", bucket, "--key", "k", "--version-id", first.VersionId, "--checksum-mode", "ENABLED", out)
      assertSame(readFileSync(out, "utf8"), "first", "old version")
      const versions = await api("list-object-versions", "--bucket", bucket)
      assertSame([versions.Versions.length, versions.DeleteMarkers.length], [2, 1], "versions")
      await api("delete-object", "--bucket", bucket, "--key", "k", "--version-id", versions.DeleteMarkers[0].VersionId)
      assertSame((await aws(["s3", "cp", `s3://${bucket}/k`, "-"])).stdout, "second", "after the marker went")
    }),
    define("s3api: multipart by hand, list parts, abort", async () => {
      const bucket = "aws-multipart"
      await api("create-bucket", "--bucket", bucket)
      const { UploadId } = await api("create-multipart-upload", "--bucket", bucket, "--key", "k")
      const file = join(folder, "part.bin")
      writeFileSync(file, randomBytes(5 * MiB))
      const one = await api("upload-part", "--bucket", bucket, "--key", "k", "--part-number", "1", "--body", file, "--upload-id", UploadId)
      assertSame((await api("list-parts", "--bucket", bucket, "--key", "k", "--upload-id", UploadId)).Parts.length, 1, "parts")
      await api("complete-multipart-upload", "--bucket", bucket, "--key", "k", "--upload-id", UploadId,
        "--multipart-upload", JSON.stringify({ Parts: [{ PartNumber: 1, ETag: one.ETag }] }))
      assertSame((await api("head-object", "--bucket", bucket, "--key", "k")).ContentLength, 5 * MiB, "length")
      const other = await api("create-multipart-upload", "--bucket", bucket, "--key", "gone")
      await api("abort-multipart-upload", "--bucket", bucket, "--key", "gone", "--upload-id", other.UploadId)
      assertSame((await api("list-multipart-uploads", "--bucket", bucket)).Uploads, undefined, "uploads left")
    })
  ]
}
