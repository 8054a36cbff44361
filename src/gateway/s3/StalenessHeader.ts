/** StalenessHeader: `x-ouroboros-max-staleness`, how old what a read shows may be. It sits between the header and the quorum's fence. */
import { stalenessMsMax } from "../../base/limits.ts"
import { invalidArgument, type S3Error } from "./S3Error.ts"

export const maxStalenessHeader = "x-ouroboros-max-staleness"

/** Whole milliseconds, 1 to stalenessMsMax. S3Error InvalidArgument for anything else. */
export const parseMaxStaleness = (text: string): number | S3Error => {
  const value = text.trim()
  const ms = /^[1-9]\d{0,9}$/.test(value) ? Number(value) : Number.NaN
  return ms <= stalenessMsMax ? ms : invalidArgument(maxStalenessHeader, text, `The age must be a whole number of milliseconds, 1 to ${stalenessMsMax}.`)
}
