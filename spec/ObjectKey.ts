/**
 * ObjectKey: what one key of an S3 bucket does, as a sequential model: what Linearizability.ts needs to judge what clients
 * of that key were told. It sits beside ObjectStore.ts, which says the same of a whole store whose commits are known;
 * here nothing is known but answers, and a version that nobody was told of gets its name when it is first read.
 */
import type { SequentialModel } from "./Linearizability.ts"

export type KeyVersioning = "Unversioned" | "Enabled" | "Suspended"

/** As in S3: an ETag or "*". */
export interface KeyCondition {
  readonly ifMatch?: string
  readonly ifNoneMatch?: string
}

/** `content` is whatever tells one write from every other (a mark in its metadata); a copy is a put whose content is its own. */
export type KeyInput =
  | { readonly _tag: "Put"; readonly key: string; readonly content: string; readonly etag: string; readonly condition?: KeyCondition }
  | { readonly _tag: "Delete"; readonly key: string; readonly versionId?: string; readonly condition?: KeyCondition }
  | { readonly _tag: "Get"; readonly key: string; readonly versionId?: string; readonly condition?: KeyCondition }

export type KeyOutput =
  /** `versionId`: absent in a bucket without versioning. */
  | { readonly _tag: "Stored"; readonly versionId?: string }
  /** `marker`: the delete marker that was made. */
  | { readonly _tag: "Deleted"; readonly marker?: string }
  | { readonly _tag: "Found"; readonly content: string; readonly etag: string; readonly versionId?: string }
  /** Nothing, or a delete marker: which of both a GET of a current version may leave open. */
  | { readonly _tag: "Missing"; readonly marker?: string }
  /** A delete marker asked for by its id. */
  | { readonly _tag: "Marker" }
  | { readonly _tag: "NotModified" }
  | { readonly _tag: "PreconditionFailed" }

export interface KeyVersion {
  /** Undefined while nobody was told. */
  readonly id: string | undefined
  /** Undefined: a delete marker. */
  readonly content: string | undefined
  readonly etag: string
}

/** Newest first. */
export type KeyState = ReadonlyArray<KeyVersion>

const nullId = "null"
const impossible: ReadonlyArray<KeyState> = []

const currentEtag = (state: KeyState, version: KeyVersion | undefined = state[0]): string | undefined =>
  version?.content === undefined ? undefined : version.etag

/** As S3 judges a write: what must be there and is not is missing, whatever else is asked. */
const judgeWrite = ({ ifMatch, ifNoneMatch }: KeyCondition, etag: string | undefined): "Missing" | "PreconditionFailed" | undefined => {
  if (ifMatch !== undefined && etag === undefined) return "Missing"
  if (ifMatch !== undefined && ifMatch !== "*" && ifMatch !== etag) return "PreconditionFailed"
  if (ifNoneMatch === undefined || etag === undefined) return undefined
  return ifNoneMatch === "*" || ifNoneMatch === etag ? "PreconditionFailed" : undefined
}

const judgeRead = ({ ifMatch, ifNoneMatch }: KeyCondition, etag: string): "NotModified" | "PreconditionFailed" | undefined => {
  if (ifMatch !== undefined && ifMatch !== "*" && ifMatch !== etag) return "PreconditionFailed"
  return ifNoneMatch === "*" || ifNoneMatch === etag ? "NotModified" : undefined
}

/** A version gets an id while versioning is enabled; else it takes the place of the one named "null". */
const add = (versioning: KeyVersioning, state: KeyState, version: KeyVersion): KeyState => {
  if (versioning === "Enabled") return [version, ...state]
  return [{ ...version, id: nullId }, ...state.filter(({ id }) => id !== nullId)]
}

/** The state in which `version` is known to be called `id`; none where it is called otherwise. */
const named = (state: KeyState, version: KeyVersion, id: string): ReadonlyArray<KeyState> => {
  if (version.id === id) return [state]
  if (version.id !== undefined || state.some((other) => other.id === id)) return impossible
  return [state.map((other) => (other === version ? { ...other, id } : other))]
}

const stepPut = (versioning: KeyVersioning, state: KeyState, input: Extract<KeyInput, { readonly _tag: "Put" }>, output: KeyOutput | undefined) => {
  const refusal = judgeWrite(input.condition ?? {}, currentEtag(state))
  if (refusal !== undefined) return output === undefined || output._tag === refusal ? [state] : impossible
  if (output !== undefined && output._tag !== "Stored") return impossible
  const id = output?.versionId
  // What a new version is called, none was called before.
  if (output !== undefined && (versioning === "Unversioned" ? id !== undefined : id === undefined)) return impossible
  if (versioning === "Suspended" && id !== undefined && id !== nullId) return impossible
  if (versioning === "Enabled" && id !== undefined && state.some((version) => version.id === id)) return impossible
  return [add(versioning, state, { id, content: input.content, etag: input.etag })]
}

const stepDelete = (versioning: KeyVersioning, state: KeyState, input: Extract<KeyInput, { readonly _tag: "Delete" }>, output: KeyOutput | undefined) => {
  const { condition = {}, versionId } = input
  const asked = versionId === undefined ? state[0] : state.find(({ id }) => id === versionId)
  const refusal = judgeWrite(condition, currentEtag(state, asked ?? { id: undefined, content: undefined, etag: "" }))
  if (refusal !== undefined) return output === undefined || output._tag === refusal ? [state] : impossible
  if (output !== undefined && output._tag !== "Deleted") return impossible
  if (versionId === undefined && versioning !== "Unversioned") {
    if (output !== undefined && output.marker === undefined) return impossible
    return [add(versioning, state, { id: output?.marker, content: undefined, etag: "" })]
  }
  // A delete marker that is deleted is named in the answer; no other is.
  const marker = versionId !== undefined && asked !== undefined && asked.content === undefined ? versionId : undefined
  if (output !== undefined && output.marker !== marker) return impossible
  return [asked === undefined ? state : state.filter((version) => version !== asked)]
}

const stepFound = (versioning: KeyVersioning, state: KeyState, asked: KeyVersion, input: KeyInput, output: Extract<KeyOutput, { readonly _tag: "Found" }>) => {
  if (asked.content !== output.content || asked.etag !== output.etag || judgeRead(input.condition ?? {}, asked.etag) !== undefined) return impossible
  if (versioning === "Unversioned") return output.versionId === undefined ? [state] : impossible
  return output.versionId === undefined ? impossible : named(state, asked, output.versionId)
}

const stepGet = (versioning: KeyVersioning, state: KeyState, input: Extract<KeyInput, { readonly _tag: "Get" }>, output: KeyOutput | undefined) => {
  if (output === undefined) return [state]
  const { condition = {}, versionId } = input
  /** By its id, or one whose id nobody was told: it may be this. */
  const known = versionId === undefined ? state.slice(0, 1) : state.filter(({ id }) => id === versionId)
  const asked = known.length > 0 || versionId === undefined ? known : state.filter(({ id }) => id === undefined)
  switch (output._tag) {
    case "Found":
      return asked.flatMap((version) => stepFound(versioning, state, version, input, output))
    case "Missing": {
      if (versionId !== undefined) return known.length === 0 ? [state] : impossible
      const current = state[0]
      if (current === undefined) return output.marker === undefined ? [state] : impossible
      if (current.content !== undefined || output.marker === undefined) return impossible
      return named(state, current, output.marker)
    }
    case "Marker":
      return versionId === undefined ? impossible : asked.filter(({ content }) => content === undefined).flatMap((version) => named(state, version, versionId))
    case "NotModified": case "PreconditionFailed":
      return asked.some(({ content, etag }) => content !== undefined && judgeRead(condition, etag) === output._tag) ? [state] : impossible
    case "Stored": case "Deleted":
      return impossible
  }
}

/** One key of a bucket whose versioning stays as it is. */
export const objectKeyModel = (versioning: KeyVersioning): SequentialModel<KeyState, KeyInput, KeyOutput> => ({
  initial: [],
  step: (state, input, output) => {
    switch (input._tag) {
      case "Put":
        return stepPut(versioning, state, input, output)
      case "Delete":
        return stepDelete(versioning, state, input, output)
      case "Get":
        return stepGet(versioning, state, input, output)
    }
  },
  /** A read may tell a version's name; without it there is only more that can be. */
  isRead: (input, output) => input._tag === "Get" || output._tag === "Missing" || output._tag === "PreconditionFailed",
  keyOf: (state) => state.map(({ id, content }) => `${id ?? "?"}=${content ?? "-"}`).join("&")
})
