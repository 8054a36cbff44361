/** AsOfHeader: `x-ouroboros-as-of`, a commit sequence or a time. It sits between the header and namespace.resolve. */
import type { AsOf } from "../../namespace/Model.ts"
import { parseIso } from "./HttpDate.ts"
import { invalidArgument, type S3Error } from "./S3Error.ts"

export const asOfHeader = "x-ouroboros-as-of"
export const commitHeader = "x-ouroboros-commit"

/** Decimal digits are a sequence; anything else must be ISO 8601. S3Error InvalidArgument where it is neither. */
export const parseAsOf = (text: string): AsOf | S3Error => {
  const value = text.trim()
  if (/^\d{1,15}$/.test(value)) return { _tag: "Sequence", sequence: Number(value) }
  const ms = parseIso(value)
  return ms === undefined
    ? invalidArgument(asOfHeader, text, "The point in time must be a commit sequence or an ISO 8601 time.")
    : { _tag: "Time", ms }
}
