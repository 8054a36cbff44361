/**
 * SpaceRule: which changes may be logged while the disk is nearly full. It sits between proposers and the log's reserve
 * (R11): what gives space back, or only says where things are, goes on; what makes the store grow waits for space.
 */
import { unreachable } from "../base/assert.ts"
import type { Change } from "./Model.ts"

/** Whether a change makes the store grow by what a client asked to keep. */
export const takesSpace = (change: Change): boolean => {
  switch (change._tag) {
    case "CreateBucket": case "PutObject": case "CreateUpload": case "PutPart": case "CompleteUpload": case "StagePage": case "Branch":
      return true
    case "DeleteBucket": case "SetVersioning": case "DeleteObjects": case "AbortUpload": case "AbortStaleUpload": case "DropParts": case "BlockSealed":
    case "RaiseHorizon": case "ChunksHealed": case "Rollback":
    case "PurgeVersions": case "DropHistory": case "FreeChunks": case "DropBlock": case "ReindexChunks": case "ExpireVersions": case "ExpireAgain":
      return false
    default:
      return unreachable(change)
  }
}
