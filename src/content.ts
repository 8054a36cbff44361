/**
 * Content: what a commit says of uploaded bytes: size, ETag, checksum, manifest. It sits between the stages of a PUT and
 * the change that names their result.
 */
import { toUtf8 } from "./base/bytes.ts"
import { hashOf } from "./base/hash.ts"
import type { Upload } from "./ingest.ts"
import type { Checksum, Content, Manifest } from "./namespace/Model.ts"
import type { Vault } from "./sealer/Vault.ts"

interface Summary {
  readonly md5: string | undefined
  readonly checksum: Checksum | undefined
}

const etagDigits = 32

/** An ETag in S3's multipart shape, which no client takes for an MD5: 32 hex digits, "-", a count of at least 1. */
export const hashedEtag = (names: ReadonlyArray<string>, count = names.length): string =>
  `${hashOf(toUtf8(names.join(" "))).slice(0, etagDigits)}-${Math.max(1, count)}`

const described = (summary: Summary, hashed: () => string): Pick<Content, "etag" | "etagIsMd5" | "checksum"> => ({
  etag: summary.md5 ?? hashed(),
  etagIsMd5: summary.md5 !== undefined,
  ...(summary.checksum === undefined ? {} : { checksum: summary.checksum })
})

/** Few bytes: they go into the version's row, which is sealed as a whole. */
export const inlineContent = (vault: Vault, bytes: Uint8Array, summary: Summary): Content => ({
  ...described(summary, () => hashedEtag([vault.nameChunk(bytes)])),
  sizeBytes: bytes.length, manifest: { _tag: "Inline", bytes }, arrivals: [], blocks: []
})

/** The ETag comes from the ids at the manifest's root: they are keyed, so it tells nothing about the bytes. */
export const contentOf = (upload: Upload, manifest: Manifest, summary: Summary): Content => ({
  ...described(summary, () => hashedEtag(manifest._tag === "Inline" ? [] : manifest.entries.map(({ chunk }) => chunk))),
  sizeBytes: upload.sizeBytes, manifest, arrivals: upload.arrivals.map(({ arrival }) => arrival), blocks: [...upload.blocks]
})
