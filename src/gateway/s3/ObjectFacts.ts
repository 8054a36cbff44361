/** ObjectFacts: GetObjectAttributes: size, ETag, checksum and parts without the bytes. It sits between router and namespace. */
import { Effect } from "effect"
import { listKeysMax, partNumberMax } from "../../base/limits.ts"
import { millisOf } from "../../base/time.ts"
import type { Checksum, ObjectPart, ObjectVersion } from "../../namespace/Model.ts"
import { elementOf } from "./Checksums.ts"
import { formatHttpDate } from "./HttpDate.ts"
import { findVersion, versionHeaders } from "./ObjectRead.ts"
import { type Call, momentOf, type Operation, orFail, type Rooms, xmlReply } from "./Operation.ts"
import { invalidArgument, type S3Error } from "./S3Error.ts"
import { document, element, wrap } from "./XmlOut.ts"

const FACTS = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]

/** x-amz-object-attributes: one or more of S3's five, separated by commas. */
const wantedFacts = (call: Call): ReadonlyArray<string> | S3Error => {
  const header = call.request.headers.get("x-amz-object-attributes") ?? ""
  const wanted = header.split(",").map((name) => name.trim()).filter((name) => name !== "")
  return wanted.length > 0 && wanted.every((name) => FACTS.includes(name))
    ? wanted
    : invalidArgument("x-amz-object-attributes", header, `The attributes must be some of: ${FACTS.join(", ")}.`)
}

const numberOf = (call: Call, name: string, absent: number, max: number): number | S3Error => {
  const text = call.request.headers.get(name)
  if (text === undefined) return absent
  return /^\d{1,9}$/.test(text) ? Math.min(Number(text), max) : invalidArgument(name, text, `Provided ${name} not an integer or within integer range`)
}

const checksumElement = (checksum: Checksum): string => element(elementOf(checksum.algorithm), checksum.value)

const partElement = (part: ObjectPart): string =>
  wrap("Part", element("PartNumber", part.partNumber) + element("Size", part.sizeBytes) + (part.checksum === undefined ? "" : checksumElement(part.checksum)))

const partsElement = (parts: ReadonlyArray<ObjectPart>, after: number, limit: number): string => {
  const rest = parts.filter((part) => part.partNumber > after)
  const page = rest.slice(0, limit)
  return wrap("ObjectParts", element("PartsCount", parts.length) + element("PartNumberMarker", after) +
    element("NextPartNumberMarker", page.at(-1)?.partNumber ?? 0) + element("MaxParts", limit) +
    element("IsTruncated", rest.length > page.length) + page.map(partElement).join(""))
}

const factElement = (fact: string, version: ObjectVersion, after: number, limit: number): string => {
  switch (fact) {
    case "ETag":
      return element("ETag", version.etag)
    case "Checksum":
      return version.checksum === undefined ? "" : wrap("Checksum", checksumElement(version.checksum) + element("ChecksumType", version.checksum.type))
    case "ObjectParts":
      return version.parts === undefined ? "" : partsElement(version.parts, after, limit)
    case "StorageClass":
      return element("StorageClass", "STANDARD")
    default:
      return element("ObjectSize", version.sizeBytes)
  }
}

export const getObjectAttributes: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const wanted = yield* orFail(wantedFacts(call))
  const limit = yield* orFail(numberOf(call, "x-amz-max-parts", listKeysMax, listKeysMax))
  const after = yield* orFail(numberOf(call, "x-amz-part-number-marker", 0, partNumberMax))
  const { sequence: at, ms } = yield* momentOf(rooms, call)
  const version = yield* findVersion(rooms, call, at, ms)
  const named = yield* versionHeaders(rooms, call.bucket, version, at)
  const inner = FACTS.filter((fact) => wanted.includes(fact)).map((fact) => factElement(fact, version, after, limit)).join("")
  return xmlReply(at, document("GetObjectAttributesResponse", inner), [["last-modified", formatHttpDate(millisOf(version.time))], ...named])
})
