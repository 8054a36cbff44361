/**
 * Routes: a good request for every route of S3 and of the admin address: what the fuzz suites start from. `wire.test.ts`
 * holds this table against the routers, so that a new route is fuzzed or named as missing.
 */

export interface Sample {
  /** S3: the operation's name. Admin: METHOD path. */
  readonly route: string
  readonly method: string
  readonly bucket?: string
  readonly key?: string
  readonly query?: ReadonlyArray<readonly [string, string]>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

const bucket = "fuzz"
const key = "dir/key"
const parts = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"d41d8cd98f00b204e9800998ecf8427e\"</ETag></Part></CompleteMultipartUpload>"
const ranges = { range: "bytes=0-3", "if-match": "*", "if-modified-since": "Thu, 01 Jan 1970 00:00:00 GMT" }
const attributes = { "content-type": "text/plain", "x-amz-meta-a": "b", "x-ouroboros-ttl": "3600", "x-amz-tagging": "" }
const page: Sample["query"] = [["prefix", "d"], ["delimiter", "/"], ["max-keys", "2"], ["encoding-type", "url"]]

/** `upload`: one that is under way, so that its routes get further than its name. */
export const s3SamplesOf = (upload: string): ReadonlyArray<Sample> => [
  { route: "ListBuckets", method: "GET" },
  { route: "CreateBucket", method: "PUT", bucket: "fuzz-made", body: "<CreateBucketConfiguration><LocationConstraint>us-east-1</LocationConstraint></CreateBucketConfiguration>" },
  { route: "HeadBucket", method: "HEAD", bucket },
  { route: "DeleteBucket", method: "DELETE", bucket: "fuzz-made" },
  { route: "ListObjects", method: "GET", bucket, query: [...page, ["marker", "a"]], headers: { "x-ouroboros-as-of": "3" } },
  { route: "ListObjectsV2", method: "GET", bucket, query: [["list-type", "2"], ["continuation-token", "abc"], ["start-after", "a"], ["fetch-owner", "true"], ...page] },
  { route: "ListObjectVersions", method: "GET", bucket, query: [["versions", ""], ["key-marker", "d"], ["version-id-marker", "null"], ...page] },
  { route: "ListMultipartUploads", method: "GET", bucket, query: [["uploads", ""], ["key-marker", "d"], ["upload-id-marker", upload], ["max-uploads", "1"]] },
  { route: "GetBucketLocation", method: "GET", bucket, query: [["location", ""]] },
  { route: "GetBucketVersioning", method: "GET", bucket, query: [["versioning", ""]] },
  { route: "PutBucketVersioning", method: "PUT", bucket, query: [["versioning", ""]], body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>" },
  { route: "GetBucketAcl", method: "GET", bucket, query: [["acl", ""]] },
  { route: "PutBucketAcl", method: "PUT", bucket, query: [["acl", ""]], headers: { "x-amz-acl": "private" } },
  { route: "DeleteObjects", method: "POST", bucket, query: [["delete", ""]], body: "<Delete><Quiet>false</Quiet><Object><Key>a</Key><VersionId>null</VersionId></Object></Delete>" },
  { route: "GetObject", method: "GET", bucket, key, query: [["versionId", "null"], ["response-content-type", "a/b"], ["partNumber", "1"]], headers: ranges },
  { route: "HeadObject", method: "HEAD", bucket, key, headers: { ...ranges, "x-amz-checksum-mode": "ENABLED" } },
  { route: "PutObject", method: "PUT", bucket, key, headers: { ...attributes, "x-amz-sdk-checksum-algorithm": "CRC32", "x-amz-checksum-crc32": "AAAAAA==", "if-none-match": "*" }, body: "body" },
  { route: "CopyObject", method: "PUT", bucket, key: "copy", headers: { "x-amz-copy-source": `/${bucket}/${key}?versionId=null`, "x-amz-metadata-directive": "REPLACE", ...attributes } },
  { route: "DeleteObject", method: "DELETE", bucket, key: "gone", query: [["versionId", "null"]] },
  { route: "GetObjectAcl", method: "GET", bucket, key, query: [["acl", ""]] },
  { route: "PutObjectAcl", method: "PUT", bucket, key, query: [["acl", ""]], body: "<AccessControlPolicy/>" },
  { route: "GetObjectAttributes", method: "GET", bucket, key, query: [["attributes", ""]], headers: { "x-amz-object-attributes": "ETag,Checksum,ObjectParts,StorageClass,ObjectSize", "x-amz-max-parts": "1", "x-amz-part-number-marker": "0" } },
  { route: "GetObjectTagging", method: "GET", bucket, key, query: [["tagging", ""]] },
  { route: "CreateMultipartUpload", method: "POST", bucket, key, query: [["uploads", ""]], headers: { ...attributes, "x-amz-checksum-algorithm": "CRC32C", "x-amz-checksum-type": "COMPOSITE" } },
  { route: "UploadPart", method: "PUT", bucket, key, query: [["uploadId", upload], ["partNumber", "1"]], headers: { "content-md5": "1B2M2Y8AsgTpgAmY7PhCfg==" }, body: "part" },
  { route: "UploadPartCopy", method: "PUT", bucket, key, query: [["uploadId", upload], ["partNumber", "1"]], headers: { "x-amz-copy-source": `/${bucket}/${key}`, "x-amz-copy-source-range": "bytes=0-1" } },
  { route: "ListParts", method: "GET", bucket, key, query: [["uploadId", upload], ["max-parts", "1"], ["part-number-marker", "0"]] },
  { route: "CompleteMultipartUpload", method: "POST", bucket, key, query: [["uploadId", upload]], headers: { "x-amz-mp-object-size": "4" }, body: parts },
  { route: "AbortMultipartUpload", method: "DELETE", bucket, key, query: [["uploadId", upload]] }
]

/** Those that end the node, lock it out or are long are asked for with a body that they refuse. */
export const adminSamples: ReadonlyArray<Sample> = [
  { route: "GET /health/live", method: "GET" },
  { route: "GET /health/ready", method: "GET" },
  { route: "GET /metrics", method: "GET" },
  { route: "GET /v1/status", method: "GET" },
  { route: "GET /v1/history", method: "GET", query: [["bucket", bucket], ["key", key], ["as-of", "3"], ["limit", "2"], ["after", "a"], ["after-version", "0".repeat(20)]] },
  { route: "GET /v1/children", method: "GET", query: [["bucket", bucket], ["vertex", "0".repeat(64)], ["as-of", "3"]] },
  { route: "GET /v1/diff", method: "GET", query: [["bucket", bucket], ["from", "1"], ["to", "3"], ["with", bucket], ["limit", "2"], ["after", "a"]] },
  { route: "GET /v1/lineage", method: "GET", query: [["bucket", bucket], ["as-of", "3"]] },
  { route: "POST /v1/rollback", method: "POST", body: JSON.stringify({ bucket, to: "2" }) },
  { route: "POST /v1/branch", method: "POST", body: JSON.stringify({ source: bucket, bucket: "fuzz-branch", asOf: "2" }) },
  { route: "POST /v1/key/export", method: "POST" },
  { route: "POST /v1/key/passphrase", method: "POST", body: JSON.stringify({ passphrase: "" }) },
  { route: "POST /v1/gc", method: "POST", query: [["now", "true"]] },
  { route: "POST /v1/verify", method: "POST", body: "{}" },
  { route: "POST /v1/settle", method: "POST" },
  { route: "POST /v1/checkpoint", method: "POST" }
]
