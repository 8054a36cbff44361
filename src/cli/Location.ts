/** Location: how a command names an object: s3://BUCKET/KEY, a path of this machine, or "-" for a stream. */
import { Data } from "effect"

export class UsageError extends Data.TaggedError("UsageError")<{ readonly detail: string }> {
  override get message(): string {
    return this.detail
  }
}

export type Location =
  | { readonly _tag: "Remote"; readonly bucket: string; readonly key: string }
  | { readonly _tag: "Local"; readonly path: string }
  | { readonly _tag: "Stream" }

const scheme = "s3://"

/** Keys are data: nothing in them is decoded, folded or trimmed. */
export const parseLocation = (text: string): Location => {
  if (text === "-") return { _tag: "Stream" }
  if (!text.startsWith(scheme)) return { _tag: "Local", path: text }
  const rest = text.slice(scheme.length)
  const slash = rest.indexOf("/")
  return slash < 0
    ? { _tag: "Remote", bucket: rest, key: "" }
    : { _tag: "Remote", bucket: rest.slice(0, slash), key: rest.slice(slash + 1) }
}

export interface Remote {
  readonly bucket: string
  readonly key: string
}

/** A location that must be in the store; `key` says whether it must, may or must not have one. */
export const parseRemote = (text: string, key: "Required" | "Optional" | "None"): Remote | UsageError => {
  const location = parseLocation(text.startsWith(scheme) || key !== "None" ? text : `${scheme}${text}`)
  if (location._tag !== "Remote" || location.bucket === "") {
    return new UsageError({ detail: `"${text}" is no s3://BUCKET${key === "None" ? "" : "/KEY"}` })
  }
  if (key === "Required" && location.key === "") return new UsageError({ detail: `"${text}" names no key: s3://BUCKET/KEY` })
  if (key === "None" && location.key !== "") return new UsageError({ detail: `"${text}" names a key; a bucket is meant: s3://BUCKET` })
  return { bucket: location.bucket, key: location.key }
}

export const formatRemote = (bucket: string, key: string): string => `${scheme}${bucket}/${key}`
