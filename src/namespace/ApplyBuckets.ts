/** ApplyBuckets: buckets come, change and go. It sits between their changes and the rows of names and configurations. */
import { refused, type Commit } from "./ApplyCommit.ts"
import type { Answer, Change } from "./Model.ts"
import { bucketIdAt, isEmpty, type View } from "./QueryView.ts"
import { afterPrefix, bucketConfigKey, bucketNameKey, uploadsPrefix } from "./Rows.ts"
import { type BucketConfigRow, bucketConfigRow, bucketNameRow } from "./RowsValue.ts"

type Of<T extends Change["_tag"]> = Extract<Change, { readonly _tag: T }>

const done: Answer = { _tag: "Done" }

export const createBucket = ({ draft, entry }: Commit, { bucket: name, id, owner }: Of<"CreateBucket">): Answer => {
  const { tenant, vault, sequence, time } = entry
  if (bucketIdAt(draft, tenant, name, sequence) !== undefined) return refused("BucketAlreadyOwnedByYou")
  const config: BucketConfigRow = {
    tenant, vault, name, owner, created: time, versioning: "Unversioned", lineage: [{ source: id, from: sequence }]
  }
  draft.put(bucketNameKey(tenant, name, sequence), bucketNameRow.encode({ tenant, vault, bucket: id }))
  draft.put(bucketConfigKey(id, sequence), bucketConfigRow.encode(config))
  return done
}

/** Refused while S3 lists a version in it, or an upload is under way: what those hold could not be dropped in one commit. */
export const deleteBucket = ({ draft, entry }: Commit, view: View): Answer => {
  const { tenant, vault, sequence } = entry
  if (!isEmpty(draft, view)) return refused("BucketNotEmpty")
  const uploads = uploadsPrefix(view.bucket)
  for (const _ of draft.scan(uploads, afterPrefix(uploads))) return refused("BucketNotEmpty")
  draft.put(bucketNameKey(tenant, view.config.name, sequence), bucketNameRow.encode({ tenant, vault }))
  return done
}

export const setVersioning = ({ draft, entry }: Commit, view: View, { status }: Of<"SetVersioning">): Answer => {
  if (view.config.versioning !== status) {
    draft.put(bucketConfigKey(view.bucket, entry.sequence), bucketConfigRow.encode({ ...view.config, versioning: status }))
  }
  return done
}
