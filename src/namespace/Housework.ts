/** Housework: which changes the store makes for itself. It sits between commits and whoever waits for others' changes. */
import { unreachable } from "../base/assert.ts"
import type { Change } from "./Model.ts"

/** Whether a change leaves everything as it is shown: only where bytes lie, and what is remembered, changes. */
export const isHousework = (change: Change): boolean => {
  switch (change._tag) {
    case "CreateBucket": case "DeleteBucket": case "SetVersioning": case "PutObject": case "DeleteObjects": case "CreateUpload": case "PutPart":
    case "CompleteUpload": case "AbortUpload": case "AbortStaleUpload": case "Rollback": case "Branch": case "ExpireVersions":
      return false
    case "DropParts": case "StagePage": case "BlockSealed": case "RaiseHorizon": case "ChunksHealed": case "PurgeVersions": case "DropHistory":
    case "FreeChunks": case "DropBlock": case "ReindexChunks": case "ExpireAgain":
      return true
    default:
      return unreachable(change)
  }
}
