/** The check after a restart: every key and version of the model is read back from the server, bit for bit. */
import { call, type Target } from "../e2e/wire.ts"
import { sha256Of } from "./Content.ts"
import { plainBucket, versionedBucket } from "./load.ts"
import { type PlainKey, settlePlain, settleVersioned, type State, type Version, type VersionedKey, type Worker } from "./Model.ts"

export interface Verdict {
  readonly wrong: Array<string>
  /** Objects, versions and parts that were read and compared. */
  compared: number
  /** Unknown outcomes that turned out to be there. */
  there: number
}

const checkPlain = async (target: Target, key: PlainKey, verdict: Verdict): Promise<void> => {
  const answer = await call(target, { method: "GET", bucket: plainBucket, key: key.key })
  if (answer.status !== 200 && answer.code !== "NoSuchKey") {
    verdict.wrong.push(`${key.key}: ${answer.status} ${answer.code} ${answer.body.toString().slice(0, 400)}`)
    return
  }
  const found = answer.status === 200 ? sha256Of(answer.body) : undefined
  const expected = [key.known, ...key.maybe].map((state) => state?.slice(0, 12) ?? "absent").join(" or ")
  const outcome = settlePlain(key, found, answer.headers["etag"])
  verdict.compared += 1
  if (outcome === "maybe") verdict.there += 1
  if (outcome === "wrong") verdict.wrong.push(`${key.key}: found ${found?.slice(0, 12) ?? "absent"} (${answer.body.length} bytes), expected ${expected}`)
}

const listVersions = async (target: Target, key: string): Promise<ReadonlyArray<{ readonly id: string; readonly isMarker: boolean }>> => {
  const answer = await call(target, { method: "GET", bucket: versionedBucket, query: [["versions", ""], ["prefix", key]] })
  const text = answer.body.toString()
  if (answer.status !== 200 || text.includes("<IsTruncated>true")) throw new Error(`versions of ${key}: ${answer.status}, or more than a page`)
  return [...text.matchAll(/<(Version|DeleteMarker)>([\s\S]*?)<\/\1>/g)].map((match) => ({
    id: /<VersionId>([^<]+)</.exec(match[2] ?? "")?.[1] ?? "", isMarker: match[1] === "DeleteMarker"
  }))
}

const checkVersioned = async (target: Target, key: VersionedKey, verdict: Verdict): Promise<void> => {
  const found: Array<Version> = []
  for (const { id, isMarker } of await listVersions(target, key.key)) {
    let state: State
    if (!isMarker) {
      const answer = await call(target, { method: "GET", bucket: versionedBucket, key: key.key, query: [["versionId", id]] })
      state = answer.status === 200 ? sha256Of(answer.body) : `status ${answer.status} ${answer.code}`
    }
    found.push({ id, sha256: state })
    verdict.compared += 1
  }
  const before = key.versions.length
  const latest = await call(target, { method: "GET", bucket: versionedBucket, key: key.key })
  const newest = found[0]?.sha256
  if ((latest.status === 200 ? sha256Of(latest.body) : undefined) !== newest) verdict.wrong.push(`${key.key}: the current object is not the newest version`)
  const wrong = settleVersioned(key, found)
  verdict.wrong.push(...wrong)
  if (wrong.length === 0) verdict.there += key.versions.length - before
}

/** Acknowledged parts of an upload that was interrupted are listed with their ETags; the load then completes it. */
const checkUpload = async (target: Target, worker: Worker, verdict: Verdict): Promise<void> => {
  if (worker.upload === undefined) return
  const { id, parts } = worker.upload
  const answer = await call(target, { method: "GET", bucket: plainBucket, key: worker.uploadKey.key, query: [["uploadId", id]] })
  if (answer.status !== 200) {
    verdict.wrong.push(`${worker.uploadKey.key}: the acknowledged upload is gone: ${answer.code}`)
    return
  }
  const text = answer.body.toString()
  for (const [number, { bytes, etag }] of parts) {
    const part = [...text.matchAll(/<Part>([\s\S]*?)<\/Part>/g)].map((match) => match[1] ?? "").find((each) => each.includes(`<PartNumber>${number}<`)) ?? ""
    const found = [/<ETag>([^<]+)</.exec(part)?.[1]?.replaceAll("&quot;", "\""), /<Size>(\d+)</.exec(part)?.[1]]
    if (found[0] !== etag || found[1] !== String(bytes.length)) verdict.wrong.push(`${worker.uploadKey.key}: part ${number} is ${found.join(", ")}, expected ${etag}, ${bytes.length}`)
    verdict.compared += 1
  }
}

const checkListing = async (target: Target, workers: ReadonlyArray<Worker>, verdict: Verdict): Promise<void> => {
  const answer = await call(target, { method: "GET", bucket: plainBucket, query: [["list-type", "2"]] })
  const listed = [...answer.body.toString().matchAll(/<Key>([^<]+)<\/Key>/g)].map((match) => match[1] ?? "")
  const expected = workers.flatMap((worker) => [...worker.plain, worker.uploadKey]).filter(({ known }) => known !== undefined).map(({ key }) => key).toSorted()
  if (listed.join("\n") !== expected.join("\n")) {
    const lost = expected.filter((key) => !listed.includes(key))
    const extra = listed.filter((key) => !expected.includes(key))
    verdict.wrong.push(`the listing lacks [${lost.join(", ")}] and has [${extra.join(", ")}] too many`)
  }
}

export const checkAll = async (target: Target, workers: ReadonlyArray<Worker>): Promise<Verdict> => {
  const verdict: Verdict = { wrong: [], compared: 0, there: 0 }
  const checkWorker = async (worker: Worker): Promise<void> => {
    for (const key of [...worker.plain, worker.uploadKey]) await checkPlain(target, key, verdict)
    for (const key of worker.versioned) await checkVersioned(target, key, verdict)
    await checkUpload(target, worker, verdict)
  }
  // A connection that breaks in the check is a finding too: nobody killed this server.
  await Promise.all(workers.map((worker) => checkWorker(worker).catch((error: Error) => verdict.wrong.push(`worker ${worker.index}: ${error.message}`))))
  await checkListing(target, workers, verdict)
  return verdict
}
