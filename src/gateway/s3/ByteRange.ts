/** ByteRange: the Range header against an object's size (RFC 9110, section 14). It sits between headers and `get`. */

export interface ByteRange {
  readonly start: number
  /** Exclusive. */
  readonly end: number
}

const SINGLE = /^\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*$/i

/**
 * The bytes asked for; undefined: the whole object (no range, a malformed one, or several, which S3 ignores);
 * "Unsatisfiable": 416.
 */
export const parseRange = (header: string | undefined, sizeBytes: number): ByteRange | undefined | "Unsatisfiable" => {
  const match = header === undefined ? null : SINGLE.exec(header)
  if (match === null) return undefined
  const [, first = "", last = ""] = match
  if (first === "" && last === "") return undefined
  if (first === "") {
    const suffix = Number(last)
    return suffix === 0 || sizeBytes === 0 ? "Unsatisfiable" : { start: Math.max(0, sizeBytes - suffix), end: sizeBytes }
  }
  const start = Number(first)
  if (last !== "" && Number(last) < start) return undefined
  if (start >= sizeBytes) return "Unsatisfiable"
  return { start, end: last === "" ? sizeBytes : Math.min(Number(last) + 1, sizeBytes) }
}

/** x-amz-copy-source-range: strictly `bytes=first-last`, within the source. */
export const parseCopyRange = (header: string, sizeBytes: number): ByteRange | "Malformed" | "Unsatisfiable" => {
  const match = /^bytes=(\d+)-(\d+)$/.exec(header.trim())
  if (match === null || Number(match[2]) < Number(match[1])) return "Malformed"
  return Number(match[2]) < sizeBytes ? { start: Number(match[1]), end: Number(match[2]) + 1 } : "Unsatisfiable"
}

export const contentRange = (range: ByteRange, sizeBytes: number): string => `bytes ${range.start}-${range.end - 1}/${sizeBytes}`
