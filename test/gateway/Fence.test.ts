/** A gateway of a store with other members: what they did shows once its member has fenced, and not before. */
import { Effect } from "effect"
import { expect, test } from "vitest"
import type { BucketId } from "../../src/base/ids.ts"
import { stalenessMsMax } from "../../src/base/limits.ts"
import { Unavailable } from "../../src/namespace/Namespace.ts"
import { makeScene } from "./scene.ts"

const header = "x-ouroboros-max-staleness"
const noQuorum = new Unavailable({ reason: "NoQuorum", detail: "nobody answers" })

test("every request sees what others had been answered when it came, one that is answered without a fiber too", async () => {
  let made = 0
  // With each fence a bucket comes that another member has made.
  const scene = await makeScene({}, {}, (namespace) => ({
    leads: () => true,
    fence: () => Effect.suspend(() => {
      made += 1
      return Effect.orDie(Effect.asVoid(namespace.propose({ _tag: "CreateBucket", bucket: `of-others-${made}`, id: `${made}`.padStart(32, "0") as BucketId, owner: "root" })))
    })
  }))
  expect((await scene.ask({ method: "HEAD", bucket: "of-others-1" })).status).toBe(200)
  expect((await scene.ask({})).text).toContain("<Name>of-others-2</Name>")
  expect((await scene.ask({ method: "PUT", bucket: "of-others-3", key: "key", body: "small" })).status).toBe(200)
  expect((await scene.ask({ bucket: "of-others-3", key: "key" })).text).toBe("small")
  expect(made).toBe(4)
})

test("without a quorum a request is told to come again, and nothing is read or written", async () => {
  const scene = await makeScene({}, {}, () => ({ leads: () => false, fence: () => Effect.fail(noQuorum) }))
  for (const ask of [{}, { method: "PUT", bucket: "bucket" }, { bucket: "bucket", key: "key" }]) {
    const answer = await scene.ask(ask)
    expect(answer.status).toBe(503)
    expect(answer.headers.get("retry-after")).toMatch(/^\d+$/)
    expect(answer.text).toContain("no majority")
  }
})

test("a read that may be old is answered by a member that is cut off, for as long as it may be; a write is refused with the header, and without a quorum", async () => {
  const asked: Array<number | undefined> = []
  let isCutOff = false
  const scene = await makeScene({}, {}, () => ({
    leads: () => false,
    fence: (ageMsMax) => Effect.suspend(() => {
      asked.push(ageMsMax)
      return isCutOff && (ageMsMax ?? 0) < 5000 ? Effect.fail(noQuorum) : Effect.void
    })
  }))
  expect((await scene.ask({ method: "PUT", bucket: "bucket" })).status).toBe(200)
  expect((await scene.ask({ method: "PUT", bucket: "bucket", key: "key", body: "small" })).status).toBe(200)
  isCutOff = true
  asked.length = 0
  const reads = [{}, { bucket: "bucket" }, { bucket: "bucket", key: "key" }, { method: "HEAD", bucket: "bucket", key: "key" }, { bucket: "bucket", query: [["versions", ""]] as const }]
  for (const read of reads) {
    expect((await scene.ask({ ...read, headers: { [header]: "5000" } })).status).toBe(200)
    expect((await scene.ask({ ...read, headers: { [header]: "4999" } })).status).toBe(503)
    expect((await scene.ask(read)).status).toBe(503)
  }
  expect(asked).toEqual(reads.flatMap(() => [5000, 4999, 0]))
  asked.length = 0
  for (const method of ["PUT", "DELETE"]) {
    const refused = await scene.ask({ method, bucket: "bucket", key: "key", headers: { [header]: "5000" } })
    expect(refused.status).toBe(400)
    expect(refused.text).toContain("writes, and what it changes is never old")
  }
  expect(asked).toEqual([])
})

test("an age that is none is refused with what it may be, of a store without other members too; there one that is changes nothing", async () => {
  const scene = await makeScene()
  expect((await scene.ask({ method: "PUT", bucket: "bucket" })).status).toBe(200)
  for (const age of ["0", "-1", "1.5", "1e3", "5s", "", "01", String(stalenessMsMax + 1), "9".repeat(30)]) {
    const refused = await scene.ask({ bucket: "bucket", headers: { [header]: age } })
    expect(`${age}: ${refused.status}`).toBe(`${age}: 400`)
    expect(refused.text).toContain(`1 to ${stalenessMsMax}`)
  }
  for (const age of ["1", String(stalenessMsMax)]) expect((await scene.ask({ bucket: "bucket", headers: { [header]: age } })).status).toBe(200)
})
