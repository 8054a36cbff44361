/** A member that is stopped leaves a checkpoint: the next start applies no log that was applied. */
import { CreateBucketCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { afterAll, beforeAll, expect, it } from "vitest"
import { stopCheckpointRowsMin } from "../../src/base/limits.ts"
import { askAdmin } from "../e2e/server.ts"
import { Trio } from "./Trio.ts"

let solo: Trio
beforeAll(async () => {
  solo = await Trio.open(["solo"])
}, 60_000)
afterAll(() => solo.dispose())

const pendingRows = async (): Promise<number> => ((await askAdmin(solo.hosts[0]!.server!, "GET", "/v1/status")).body as { readonly checkpoint: { readonly pendingRows: number } }).checkpoint.pendingRows

it("processes: a member that stops checkpoints what it has applied; one that is killed applies it again", async () => {
  const [host] = solo.hosts
  const { accessKey, s3, secretKey } = host!.server!
  const client = new S3Client({ endpoint: s3, region: "us-east-1", forcePathStyle: true, credentials: { accessKeyId: accessKey, secretAccessKey: secretKey } })
  await client.send(new CreateBucketCommand({ Bucket: "things" }))
  const put = (count: number, name: string) => Promise.all(Array.from({ length: count }, (_, at) => client.send(new PutObjectCommand({ Bucket: "things", Key: `${name}${at}`, Body: "x" }))))
  for (let round = 0; round < 50; round += 1) await put(16, `k${round}-`)
  await solo.stop(host!, "SIGKILL")
  await solo.start(host!)
  expect(await pendingRows()).toBeGreaterThan(stopCheckpointRowsMin)
  await solo.stop(host!)
  await solo.start(host!)
  expect(await pendingRows()).toBeLessThan(50)
  client.destroy()
}, 120_000)
