"""boto3 against the running server: one function a case; a JSON line a result. Sits between run.ts and boto3, old or new.

Environment: ENDPOINT, ACCESS_KEY, SECRET_KEY, CA (path or empty), PREFIX (of bucket names),
FILTER (text in a case), SUITE (its suite), and CASES (a regular expression that a case's name has; absent: all).
"""
import base64
import datetime
import hashlib
import io
import json
import os
import random
import re
import signal
import sys
import time
import traceback
import urllib.error
import urllib.request
import ssl

import boto3
import botocore
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

CASE_SECONDS_MAX = 60
KIB = 1024
MIB = 1024 * KIB
ENDPOINT = os.environ["ENDPOINT"]
PREFIX = os.environ["PREFIX"]
CA = os.environ.get("CA") or None
NEW = tuple(int(part) for part in boto3.__version__.split(".")[:2]) >= (1, 36)
TLS = ENDPOINT.startswith("https:")
CASES = []


def client(endpoint=ENDPOINT, **config):
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=os.environ["ACCESS_KEY"],
        aws_secret_access_key=os.environ["SECRET_KEY"],
        verify=CA if CA else None,
        config=Config(signature_version="s3v4", retries={"max_attempts": 1}, read_timeout=50,
                      s3={"addressing_style": config.pop("addressing_style", "path")}, **config),
    )


s3 = client()


def cases_of(cases):
    """A decorator that puts functions into `cases` under their names."""
    def case(name, when=True):
        def add(function):
            if when:
                cases.append((name, function))
            return function
        return add
    return case


case = cases_of(CASES)


def bucket(name, versioning=None):
    full = f"{PREFIX}-{name}"
    s3.create_bucket(Bucket=full)
    if versioning:
        s3.put_bucket_versioning(Bucket=full, VersioningConfiguration={"Status": versioning})
    return full


def same(actual, expected, what="value"):
    if actual != expected:
        shown = (repr(actual)[:300], repr(expected)[:300])
        raise AssertionError(f"{what}: got {shown[0]}, expected {shown[1]}")


def refused(code, status, function, **arguments):
    try:
        function(**arguments)
    except ClientError as error:
        same(error.response["Error"]["Code"], code, "error code")
        same(error.response["ResponseMetadata"]["HTTPStatusCode"], status, "error status")
        return error.response
    raise AssertionError(f"expected {code}, but it succeeded")


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def body_of_client(of, name, key, **arguments):
    return of.get_object(Bucket=name, Key=key, **arguments)["Body"].read()


def body_of(name, key, **arguments):
    return body_of_client(s3, name, key, **arguments)


def round_trip(name, key, data):
    put = s3.put_object(Bucket=name, Key=key, Body=data)
    got = s3.get_object(Bucket=name, Key=key)
    read = got["Body"].read()
    same(hashlib.sha256(read).hexdigest(), hashlib.sha256(data).hexdigest(), f"sha256 of {key!r}")
    same(got["ContentLength"], len(data), "Content-Length")
    same(got["ETag"], put["ETag"], "ETag")
    if len(data) <= 16 * MIB:
        same(got["ETag"].strip('"'), hashlib.md5(data).hexdigest(), "ETag as MD5")
    same(s3.head_object(Bucket=name, Key=key)["ContentLength"], len(data), "length by HEAD")


@case("round trips: empty, 1 B, 1 KiB, 4 KiB and around, 5 MiB")
def sizes():
    name = bucket("sizes")
    for size in (0, 1, KIB, 4 * KIB - 1, 4 * KIB, 4 * KIB + 1, 100_000, 5 * MIB):
        round_trip(name, f"size-{size}", noise(size, size))


@case("round trip: 40 MiB of noise")
def large_random():
    round_trip(bucket("large-random"), "noise", noise(40 * MIB, 40))


@case("round trip: 40 MiB that compress")
def large_compressible():
    data = (b"the same line again and again %d\n" % 7) * (40 * MIB // 33)
    round_trip(bucket("large-text"), "text", data)


ODD_KEYS = [
    "with space", " leading and trailing ", "unicode-é-ü-ß-漢字", "emoji-\U0001F600-\U0001F469\u200D\U0001F52C", "plus+plus", "per%cent", "per%2Fcent",
    "../../../etc/passwd", "a/../b", "a/./b", "/leading/slash", "//two", "a//b", "trailing/", "dot.", ".", "..", "a&b=c?d#e", "quote'\"<>", "back\\slash",
    "semi;colon", "star*(paren)!", "tilde~", "a:b@c$d,e", "new\nline", "tab\there", "k" * 1024, "é" * 512,
]


@case("odd keys are data: spaces, unicode, emoji, plus, percent, dots, slashes, 1,024 bytes")
def odd_keys():
    name = bucket("odd")
    for index, key in enumerate(ODD_KEYS):
        try:
            s3.put_object(Bucket=name, Key=key, Body=b"body %d" % index)
        except Exception as error:
            raise AssertionError(f"PUT {key!r}: {error}") from error
    for index, key in enumerate(ODD_KEYS):
        same(body_of(name, key), b"body %d" % index, f"body of {key!r}")
    listed = [entry["Key"] for entry in s3.list_objects_v2(Bucket=name, EncodingType="url")["Contents"]]
    expected = sorted(ODD_KEYS, key=lambda key: key.encode())
    decoded = [urllib.request.unquote(key.replace("+", " ")) if key not in expected else key for key in listed]
    same(decoded, expected, "listing in byte order")
    same([entry["Key"] for entry in s3.list_objects(Bucket=name)["Contents"]], expected, "listing v1")
    refused("KeyTooLongError", 400, s3.put_object, Bucket=name, Key="k" * 1025, Body=b"")
    for key in ODD_KEYS:
        s3.delete_object(Bucket=name, Key=key)
    same(s3.list_objects_v2(Bucket=name)["KeyCount"], 0, "keys left")


@case("buckets: create, head, list, location, refuse to delete while full, delete")
def buckets():
    name = bucket("life")
    same(s3.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"], 200, "head")
    assert name in [entry["Name"] for entry in s3.list_buckets()["Buckets"]], "not among the buckets"
    same(s3.get_bucket_location(Bucket=name)["LocationConstraint"], None, "location")
    s3.put_object(Bucket=name, Key="k", Body=b"v")
    refused("BucketNotEmpty", 409, s3.delete_bucket, Bucket=name)
    s3.delete_object(Bucket=name, Key="k")
    s3.delete_bucket(Bucket=name)
    refused("404", 404, s3.head_bucket, Bucket=name)
    refused("NoSuchBucket", 404, s3.list_objects_v2, Bucket=name)
    refused("NoSuchBucket", 404, s3.put_object, Bucket=name, Key="k", Body=b"v")


@case("virtual-host style: BUCKET.localhost")
def virtual_host():
    name = bucket("vhost")
    port = ENDPOINT.rsplit(":", 1)[1]
    scheme = "https" if TLS else "http"
    other = boto3.client(
        "s3", endpoint_url=f"{scheme}://localhost:{port}", region_name="us-east-1", aws_access_key_id=os.environ["ACCESS_KEY"],
        aws_secret_access_key=os.environ["SECRET_KEY"], verify=CA if CA else None,
        config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}, retries={"max_attempts": 1}))
    hosts = []
    other.meta.events.register("before-send.s3.*", lambda request, **_: hosts.append(request.url))
    # Name servers need not know sub-domains of localhost; the resolver of this process does.
    import socket
    resolve = socket.getaddrinfo
    socket.getaddrinfo = lambda host, *rest, **named: resolve("127.0.0.1" if str(host).endswith("localhost") else host, *rest, **named)
    try:
        other.put_object(Bucket=name, Key="a/b", Body=b"virtual")
        same(other.get_object(Bucket=name, Key="a/b")["Body"].read(), b"virtual", "body")
        same([entry["Key"] for entry in other.list_objects_v2(Bucket=name)["Contents"]], ["a/b"], "listing")
    finally:
        socket.getaddrinfo = resolve
    assert all(f"//{name}.localhost:" in url for url in hosts), f"not virtual-host style: {hosts}"
    same(body_of(name, "a/b"), b"virtual", "path style body")


@case("metadata and standard headers come back as they were sent")
def metadata():
    name = bucket("meta")
    sent = dict(ContentType="text/x-odd; charset=utf-8", CacheControl="max-age=7", ContentDisposition='attachment; filename="a b.txt"',
                ContentEncoding="identity-odd", ContentLanguage="de, en", Expires=datetime.datetime(2031, 5, 4, 3, 2, 1, tzinfo=datetime.timezone.utc))
    s3.put_object(Bucket=name, Key="k", Body=b"v", Metadata={"one": "1", "two-words": "a  b", "mixed-Case": "X"}, **sent)
    got = s3.head_object(Bucket=name, Key="k")
    same(got["Metadata"], {"one": "1", "two-words": got["Metadata"].get("two-words"), "mixed-case": "X"}, "metadata")
    assert got["Metadata"]["two-words"] in ("a  b", "a b"), got["Metadata"]
    for header in ("ContentType", "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage"):
        same(got[header], sent[header], header)
    assert "2031" in str(got.get("ExpiresString", got.get("Expires"))), got
    overridden = s3.get_object(Bucket=name, Key="k", ResponseContentType="a/b", ResponseCacheControl="no-store")
    same((overridden["ContentType"], overridden["CacheControl"]), ("a/b", "no-store"), "overridden headers")
    refused("MetadataTooLarge", 400, s3.put_object, Bucket=name, Key="big", Body=b"", Metadata={"m": "x" * 3000})


@case("ranges: first, middle, last, open, suffix, across chunks, unsatisfiable")
def ranges():
    name = bucket("ranges")
    data = noise(9 * MIB + 17, 9)
    s3.put_object(Bucket=name, Key="k", Body=data)
    size = len(data)
    for text, first, last in [("bytes=0-0", 0, 0), ("bytes=1-1023", 1, 1023), (f"bytes={size - 1}-", size - 1, size - 1), ("bytes=-5", size - 5, size - 1),
                              (f"bytes={3 * MIB}-{6 * MIB}", 3 * MIB, 6 * MIB), (f"bytes=5-{10 * size}", 5, size - 1)]:
        got = s3.get_object(Bucket=name, Key="k", Range=text)
        same(got["ResponseMetadata"]["HTTPStatusCode"], 206, f"status of {text}")
        same(got["ContentRange"], f"bytes {first}-{last}/{size}", f"Content-Range of {text}")
        same(got["Body"].read() == data[first:last + 1], True, f"bytes of {text}")
    refused("InvalidRange", 416, s3.get_object, Bucket=name, Key="k", Range=f"bytes={size}-")


@case("conditional reads: If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since")
def conditional_reads():
    name = bucket("ifs")
    etag = s3.put_object(Bucket=name, Key="k", Body=b"v")["ETag"]
    old = datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)
    later = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=-5)
    same(s3.get_object(Bucket=name, Key="k", IfMatch=etag)["Body"].read(), b"v", "If-Match")
    refused("PreconditionFailed", 412, s3.get_object, Bucket=name, Key="k", IfMatch='"0"')
    refused("304", 304, s3.get_object, Bucket=name, Key="k", IfNoneMatch=etag)
    same(s3.get_object(Bucket=name, Key="k", IfNoneMatch='"0"')["Body"].read(), b"v", "If-None-Match")
    same(s3.get_object(Bucket=name, Key="k", IfModifiedSince=old)["Body"].read(), b"v", "If-Modified-Since")
    refused("PreconditionFailed", 412, s3.get_object, Bucket=name, Key="k", IfUnmodifiedSince=old)
    same(s3.get_object(Bucket=name, Key="k", IfUnmodifiedSince=later)["Body"].read(), b"v", "If-Unmodified-Since")


@case("conditional writes: If-None-Match *, If-Match", when=NEW)
def conditional_writes():
    name = bucket("ifwrite")
    etag = s3.put_object(Bucket=name, Key="k", Body=b"one", IfNoneMatch="*")["ETag"]
    refused("PreconditionFailed", 412, s3.put_object, Bucket=name, Key="k", Body=b"two", IfNoneMatch="*")
    same(body_of(name, "k"), b"one", "body after a refusal")
    refused("PreconditionFailed", 412, s3.put_object, Bucket=name, Key="k", Body=b"two", IfMatch='"0123456789abcdef0123456789abcdef"')
    s3.put_object(Bucket=name, Key="k", Body=b"two", IfMatch=etag)
    same(body_of(name, "k"), b"two", "body")
    upload = s3.create_multipart_upload(Bucket=name, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=name, Key="k", UploadId=upload, PartNumber=1, Body=b"three")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    refused("PreconditionFailed", 412, s3.complete_multipart_upload, Bucket=name, Key="k", UploadId=upload, MultipartUpload=parts, IfNoneMatch="*")
    same(body_of(name, "k"), b"two", "body after a refused completion")


@case("copy: within, across buckets, replaced metadata, of a version, large")
def copies():
    name, other = bucket("from", "Enabled"), bucket("to")
    data = noise(6 * MIB, 6)
    first = s3.put_object(Bucket=name, Key="a b/+é", Body=data, Metadata={"m": "1"}, ContentType="a/b")["VersionId"]
    s3.copy_object(Bucket=other, Key="copy", CopySource={"Bucket": name, "Key": "a b/+é"})
    same(body_of(other, "copy") == data, True, "copy")
    got = s3.head_object(Bucket=other, Key="copy")
    same((got["Metadata"], got["ContentType"]), ({"m": "1"}, "a/b"), "copied metadata")
    s3.copy_object(Bucket=other, Key="copy", CopySource={"Bucket": other, "Key": "copy"}, MetadataDirective="REPLACE", Metadata={"m": "2"})
    same(s3.head_object(Bucket=other, Key="copy")["Metadata"], {"m": "2"}, "replaced metadata")
    s3.put_object(Bucket=name, Key="a b/+é", Body=b"newer")
    s3.copy_object(Bucket=other, Key="old", CopySource={"Bucket": name, "Key": "a b/+é", "VersionId": first})
    same(body_of(other, "old") == data, True, "copy of a version")
    refused("NoSuchKey", 404, s3.copy_object, Bucket=other, Key="x", CopySource={"Bucket": name, "Key": "absent"})
    refused("InvalidRequest", 400, s3.copy_object, Bucket=other, Key="copy", CopySource={"Bucket": other, "Key": "copy"})


@case("multi-object delete: 1,000 at once, quiet, absent ones count as deleted, versions")
def multi_delete():
    name = bucket("multidel")
    for index in range(30):
        s3.put_object(Bucket=name, Key=f"k{index:04d}", Body=b"")
    keys = [{"Key": f"k{index:04d}"} for index in range(1000)]
    answer = s3.delete_objects(Bucket=name, Delete={"Objects": keys})
    same((len(answer["Deleted"]), answer.get("Errors", [])), (1000, []), "deleted")
    same(s3.list_objects_v2(Bucket=name)["KeyCount"], 0, "keys left")
    s3.put_object(Bucket=name, Key="q & <q>", Body=b"")
    same(s3.delete_objects(Bucket=name, Delete={"Quiet": True, "Objects": [{"Key": "q & <q>"}]}).get("Deleted"), None, "quiet answer")
    refused("MalformedXML", 400, s3.delete_objects, Bucket=name, Delete={"Objects": [{"Key": f"k{index}"} for index in range(1001)]})


@case("listing: 1,200 keys, pages, delimiter, prefix, start-after, max-keys, v1 markers")
def listing():
    name = bucket("list")
    keys = [f"{folder}/{index:03d}" for folder in ("a", "b", "c/d") for index in range(400)]
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=name, Key=key, Body=key.encode()), keys))
    keys.sort()
    first = s3.list_objects_v2(Bucket=name)
    same((first["KeyCount"], first["IsTruncated"]), (1000, True), "first page")
    second = s3.list_objects_v2(Bucket=name, ContinuationToken=first["NextContinuationToken"])
    same([entry["Key"] for page in (first, second) for entry in page["Contents"]], keys, "all pages")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=name, PaginationConfig={"PageSize": 97})
    same([entry["Key"] for page in pages for entry in page["Contents"]], keys, "pages of 97")
    old = s3.get_paginator("list_objects").paginate(Bucket=name, PaginationConfig={"PageSize": 333})
    same([entry["Key"] for page in old for entry in page["Contents"]], keys, "pages of v1")
    folders = s3.list_objects_v2(Bucket=name, Delimiter="/")
    same([entry["Prefix"] for entry in folders["CommonPrefixes"]], ["a/", "b/", "c/"], "prefixes")
    same(folders.get("Contents"), None, "no key at the top")
    one = s3.list_objects_v2(Bucket=name, Delimiter="/", MaxKeys=1)
    two = s3.list_objects_v2(Bucket=name, Delimiter="/", MaxKeys=1, ContinuationToken=one["NextContinuationToken"])
    same([page["CommonPrefixes"][0]["Prefix"] for page in (one, two)], ["a/", "b/"], "pages of prefixes")
    same([entry["Key"] for entry in s3.list_objects_v2(Bucket=name, Prefix="b/39")["Contents"]], [f"b/39{digit}" for digit in range(10)], "prefix")
    same(s3.list_objects_v2(Bucket=name, StartAfter="c/d/398")["KeyCount"], 1, "start-after")
    same(s3.list_objects_v2(Bucket=name, MaxKeys=0)["KeyCount"], 0, "max-keys 0")
    sizes = {entry["Size"] for entry in first["Contents"]}
    same(sizes, {5, 7}, "sizes")


@case("versioning: overwrite, list, read and restore by id, delete marker, suspended")
def versioning():
    name = bucket("versions", "Enabled")
    same(s3.get_bucket_versioning(Bucket=name)["Status"], "Enabled", "status")
    ids = [s3.put_object(Bucket=name, Key="k", Body=b"v%d" % index)["VersionId"] for index in range(4)]
    same(len(set(ids)), 4, "ids")
    listed = s3.list_object_versions(Bucket=name)["Versions"]
    same([(entry["VersionId"], entry["IsLatest"]) for entry in listed], [(version, version == ids[3]) for version in reversed(ids)], "versions")
    for index, version in enumerate(ids):
        same(body_of(name, "k", VersionId=version), b"v%d" % index, f"version {index}")
    marker = s3.delete_object(Bucket=name, Key="k")
    same(marker["DeleteMarker"], True, "marker")
    refused("NoSuchKey", 404, s3.get_object, Bucket=name, Key="k")
    refused("MethodNotAllowed", 405, s3.get_object, Bucket=name, Key="k", VersionId=marker["VersionId"])
    same([entry["VersionId"] for entry in s3.list_object_versions(Bucket=name)["DeleteMarkers"]], [marker["VersionId"]], "markers")
    same(body_of(name, "k", VersionId=ids[0]), b"v0", "read behind the marker")
    s3.delete_object(Bucket=name, Key="k", VersionId=marker["VersionId"])
    same(body_of(name, "k"), b"v3", "after the marker went")
    s3.copy_object(Bucket=name, Key="k", CopySource={"Bucket": name, "Key": "k", "VersionId": ids[1]})
    same(body_of(name, "k"), b"v1", "restored")
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"})
    for text in (b"null one", b"null two"):
        same(s3.put_object(Bucket=name, Key="k", Body=text).get("VersionId", "null"), "null", "null id")
    same(body_of(name, "k", VersionId="null"), b"null two", "null version")
    same(len(s3.list_object_versions(Bucket=name)["Versions"]), 6, "versions after suspension")
    s3.delete_object(Bucket=name, Key="k", VersionId=ids[2])
    refused("NoSuchVersion", 404, s3.get_object, Bucket=name, Key="k", VersionId=ids[2])
    everything = s3.list_object_versions(Bucket=name)
    s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in everything["Versions"]]})
    s3.delete_bucket(Bucket=name)


@case("versions: 60 of one key among others, in pages of 7")
def version_pages():
    name = bucket("vpages", "Enabled")
    for index in range(60):
        s3.put_object(Bucket=name, Key="b", Body=b"%d" % index)
    for key in ("a", "c"):
        s3.put_object(Bucket=name, Key=key, Body=b"")
    seen = []
    arguments = {}
    for _ in range(20):
        page = s3.list_object_versions(Bucket=name, MaxKeys=7, **arguments)
        seen += [(entry["Key"], entry["VersionId"]) for entry in page.get("Versions", [])]
        if not page["IsTruncated"]:
            break
        arguments = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
    same((len(seen), len(set(seen))), (62, 62), "versions in pages")
    same([key for key, _ in seen], ["a"] + ["b"] * 60 + ["c"], "order")


@case("multipart by boto3's transfer: threshold 5 MiB, 17 MiB up, down in ranges")
def transfer():
    name = bucket("transfer")
    data = noise(17 * MIB + 3, 17)
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
    s3.upload_fileobj(io.BytesIO(data), name, "k", Config=config, ExtraArgs={"Metadata": {"m": "1"}, "ContentType": "a/b"})
    got = io.BytesIO()
    s3.download_fileobj(name, "k", got, Config=config)
    same(got.getvalue() == data, True, "bytes")
    facts = s3.head_object(Bucket=name, Key="k")
    same((facts["ContentLength"], facts["Metadata"], facts["ContentType"]), (len(data), {"m": "1"}, "a/b"), "facts")
    assert facts["ETag"].strip('"').endswith("-4"), facts["ETag"]
    part = s3.get_object(Bucket=name, Key="k", PartNumber=2)
    same(part["Body"].read() == data[5 * MIB:10 * MIB], True, "part 2")
    same(part["PartsCount"], 4, "parts")


@case("multipart by hand: MD5 parts, list parts, list uploads, replaced part, abort, refusals")
def multipart():
    name = bucket("multipart")
    upload = s3.create_multipart_upload(Bucket=name, Key="dir/k")["UploadId"]
    same([entry["UploadId"] for entry in s3.list_multipart_uploads(Bucket=name)["Uploads"]], [upload], "uploads")
    bodies = {1: noise(5 * MIB, 1), 2: noise(5 * MIB + 1, 2), 9: b"last"}
    s3.upload_part(Bucket=name, Key="dir/k", UploadId=upload, PartNumber=9, Body=b"replaced")
    etags = {}
    for number, body in bodies.items():
        md5 = hashlib.md5(body)
        etags[number] = s3.upload_part(Bucket=name, Key="dir/k", UploadId=upload, PartNumber=number, Body=body,
                                       ContentMD5=base64.b64encode(md5.digest()).decode())["ETag"]
        same(etags[number].strip('"'), md5.hexdigest(), "ETag of a part with Content-MD5")
    listed = s3.list_parts(Bucket=name, Key="dir/k", UploadId=upload)["Parts"]
    same([(part["PartNumber"], part["Size"]) for part in listed], [(number, len(body)) for number, body in sorted(bodies.items())], "parts")
    refused("InvalidPart", 400, s3.complete_multipart_upload, Bucket=name, Key="dir/k", UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 5, "ETag": etags[1]}]})
    refused("InvalidPartOrder", 400, s3.complete_multipart_upload, Bucket=name, Key="dir/k", UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 2, "ETag": etags[2]}, {"PartNumber": 1, "ETag": etags[1]}]})
    refused("EntityTooSmall", 400, s3.complete_multipart_upload, Bucket=name, Key="dir/k", UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 9, "ETag": etags[9]}] + [{"PartNumber": 10, "ETag": s3.upload_part(
                Bucket=name, Key="dir/k", UploadId=upload, PartNumber=10, Body=b"x")["ETag"]}]})
    refused("NoSuchKey", 404, s3.get_object, Bucket=name, Key="dir/k")
    done = s3.complete_multipart_upload(Bucket=name, Key="dir/k", UploadId=upload,
                                        MultipartUpload={"Parts": [{"PartNumber": number, "ETag": etags[number]} for number in (1, 2, 9)]})
    expected = hashlib.md5(b"".join(hashlib.md5(bodies[number]).digest() for number in (1, 2, 9))).hexdigest()
    same(done["ETag"].strip('"'), f"{expected}-3", "ETag of parts with Content-MD5")
    same(body_of(name, "dir/k") == b"".join(bodies[number] for number in (1, 2, 9)), True, "bytes")
    gone = s3.create_multipart_upload(Bucket=name, Key="aborted")["UploadId"]
    s3.upload_part(Bucket=name, Key="aborted", UploadId=gone, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(Bucket=name, Key="aborted", UploadId=gone)
    refused("NoSuchUpload", 404, s3.list_parts, Bucket=name, Key="aborted", UploadId=gone)
    refused("NoSuchUpload", 404, s3.upload_part, Bucket=name, Key="aborted", UploadId=gone, PartNumber=1, Body=b"x")
    refused("NoSuchKey", 404, s3.get_object, Bucket=name, Key="aborted")
    same(s3.list_multipart_uploads(Bucket=name).get("Uploads"), None, "uploads left")


@case("part copy: whole and by range")
def part_copy():
    name = bucket("partcopy")
    data = noise(11 * MIB, 11)
    s3.put_object(Bucket=name, Key="source", Body=data)
    upload = s3.create_multipart_upload(Bucket=name, Key="k")["UploadId"]
    source = {"Bucket": name, "Key": "source"}
    parts = [
        s3.upload_part_copy(Bucket=name, Key="k", UploadId=upload, PartNumber=1, CopySource=source)["CopyPartResult"]["ETag"],
        s3.upload_part_copy(Bucket=name, Key="k", UploadId=upload, PartNumber=2, CopySource=source,
                            CopySourceRange=f"bytes=1000-{6 * MIB}")["CopyPartResult"]["ETag"],
    ]
    s3.complete_multipart_upload(Bucket=name, Key="k", UploadId=upload, MultipartUpload={
        "Parts": [{"PartNumber": index + 1, "ETag": etag} for index, etag in enumerate(parts)]})
    same(body_of(name, "k") == data + data[1000:6 * MIB + 1], True, "bytes")


def fetch(url, method="GET", data=None, headers=None):
    context = ssl.create_default_context(cafile=CA) if TLS else None
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@case("presigned GET and PUT, tampered, expired")
def presigned():
    name = bucket("presigned")
    put = s3.generate_presigned_url("put_object", Params={"Bucket": name, "Key": "a b/é+"}, ExpiresIn=60)
    same(fetch(put, "PUT", b"by url", {"content-type": ""})[0], 200, "PUT by URL")
    get = s3.generate_presigned_url("get_object", Params={"Bucket": name, "Key": "a b/é+", "ResponseContentType": "x/y"}, ExpiresIn=60)
    same(fetch(get), (200, b"by url"), "GET by URL")
    status, text = fetch(get.replace("X-Amz-Expires=60", "X-Amz-Expires=61"))
    same((status, b"SignatureDoesNotMatch" in text), (403, True), "tampered URL")
    short = s3.generate_presigned_url("get_object", Params={"Bucket": name, "Key": "a b/é+"}, ExpiresIn=1)
    time.sleep(2.1)
    status, text = fetch(short)
    same((status, b"AccessDenied" in text), (403, True), "expired URL")


@case("checksums: each algorithm verified, stored and returned")
def checksums():
    name = bucket("sums")
    data = b"123456789"
    known = {"CRC32": "y/Q5Jg==", "CRC32C": "4waSgw==", "SHA1": base64.b64encode(hashlib.sha1(data).digest()).decode(),
             "SHA256": base64.b64encode(hashlib.sha256(data).digest()).decode()}
    if NEW:
        known["CRC64NVME"] = "rosUhgp5mIg="
    for algorithm, value in known.items():
        member = f"Checksum{algorithm}"
        put = s3.put_object(Bucket=name, Key=algorithm, Body=data, **{member: value})
        same(put.get(member), value, f"{algorithm} in the answer to PUT")
        got = s3.get_object(Bucket=name, Key=algorithm, ChecksumMode="ENABLED")
        same((got.get(member), got["Body"].read()), (value, data), f"{algorithm} by GET")
        wrong = base64.b64encode(b"\x00" * len(base64.b64decode(value))).decode()
        refused("BadDigest", 400, s3.put_object, Bucket=name, Key="wrong", Body=data, **{member: wrong})
    refused("NoSuchKey", 404, s3.get_object, Bucket=name, Key="wrong")
    for algorithm in ("CRC32", "SHA256"):
        put = s3.put_object(Bucket=name, Key="computed", Body=io.BytesIO(data), ChecksumAlgorithm=algorithm)
        same(put.get(f"Checksum{algorithm}"), known[algorithm], f"{algorithm} computed by the client")
    refused("BadDigest", 400, s3.put_object, Bucket=name, Key="wrong", Body=data, ContentMD5=base64.b64encode(b"\x01" * 16).decode())
    refused("InvalidDigest", 400, s3.put_object, Bucket=name, Key="wrong", Body=data, ContentMD5="not base64")


@case("checksum trailers: aws-chunked over TLS, streams of unknown seeks", when=TLS)
def trailers():
    name = bucket("trailers")
    sent = []
    watched = client()
    watched.meta.events.register("before-send.s3.PutObject", lambda request, **_: sent.append(dict(request.headers)))
    data = noise(3 * MIB + 5, 3)
    arguments = {} if NEW else {"ChecksumAlgorithm": "CRC32"}
    put = watched.put_object(Bucket=name, Key="k", Body=io.BytesIO(data), **arguments)
    text = {name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in sent[0].items()}
    same(text.get("x-amz-trailer"), "x-amz-checksum-crc32", "the client did not send a trailer")
    import zlib
    crc = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
    same(put.get("ChecksumCRC32"), crc, "checksum of the trailer")
    got = watched.get_object(Bucket=name, Key="k", ChecksumMode="ENABLED")
    same((got.get("ChecksumCRC32"), got["Body"].read() == data), (crc, True), "checksum by GET")
    same(got.get("ContentEncoding"), None, "aws-chunked is not stored")


@case("AS OF: by sequence and by time, through an added header; refusals")
def as_of():
    name = bucket("asof")
    answer = s3.put_object(Bucket=name, Key="k", Body=b"then")
    commit = answer["ResponseMetadata"]["HTTPHeaders"]["x-ouroboros-commit"]
    time.sleep(1.1)
    moment = datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    time.sleep(1.1)
    later = s3.put_object(Bucket=name, Key="k", Body=b"now")["ResponseMetadata"]["HTTPHeaders"]["x-ouroboros-commit"]
    assert int(later) > int(commit), (commit, later)
    s3.put_object(Bucket=name, Key="new", Body=b"")
    s3.delete_object(Bucket=name, Key="k")

    def at(point):
        past = client()
        past.meta.events.register("before-sign.s3.*", lambda request, **_: request.headers.add_header("x-ouroboros-as-of", point))
        return past
    for point in (commit, moment):
        past = at(point)
        same(past.get_object(Bucket=name, Key="k")["Body"].read(), b"then", f"GET as of {point}")
        same([entry["Key"] for entry in past.list_objects_v2(Bucket=name)["Contents"]], ["k"], f"listing as of {point}")
        same(past.head_object(Bucket=name, Key="k")["ContentLength"], 4, f"HEAD as of {point}")
        refused("NoSuchKey", 404, past.get_object, Bucket=name, Key="new")
    same(at(later).get_object(Bucket=name, Key="k")["Body"].read(), b"now", "GET as of the later commit")
    refused("NoSuchKey", 404, s3.get_object, Bucket=name, Key="k")
    refused("AsOfInFuture", 400, at("999999999").get_object, Bucket=name, Key="k")
    refused("AsOfInFuture", 400, at("2999-01-01T00:00:00Z").get_object, Bucket=name, Key="k")
    # Nothing has been purged, so history reaches back to an empty store: the bucket was not there.
    refused("NoSuchBucket", 404, at("1999-01-01T00:00:00Z").get_object, Bucket=name, Key="k")
    for call, arguments in ((at(commit).put_object, {"Body": b"x"}), (at(commit).delete_object, {})):
        try:
            call(Bucket=name, Key="k", **arguments)
        except ClientError as error:
            same(error.response["ResponseMetadata"]["HTTPStatusCode"], 400, "status of a write into the past")
        else:
            raise AssertionError("a write into the past succeeded")


@case("errors a client expects: no key, no bucket, bad secret, unknown access key, unbuilt sub-resource")
def errors():
    name = bucket("errors")
    refused("NoSuchKey", 404, s3.get_object, Bucket=name, Key="absent")
    refused("404", 404, s3.head_object, Bucket=name, Key="absent")
    refused("NoSuchBucket", 404, s3.get_object, Bucket=f"{PREFIX}-absent", Key="k")
    same(s3.delete_object(Bucket=name, Key="absent")["ResponseMetadata"]["HTTPStatusCode"], 204, "delete of nothing")
    for access, secret, code in ((os.environ["ACCESS_KEY"], "wrong-secret", "SignatureDoesNotMatch"), ("NOBODY", "wrong-secret", "InvalidAccessKeyId")):
        other = boto3.client("s3", endpoint_url=ENDPOINT, region_name="us-east-1", aws_access_key_id=access, aws_secret_access_key=secret,
                             verify=CA if CA else None, config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}))
        refused(code, 403, other.get_object, Bucket=name, Key="k")
        refused(code, 403, other.put_object, Bucket=name, Key="k", Body=b"x")
    refused("NotImplemented", 501, s3.get_bucket_replication, Bucket=name)
    upload = s3.create_multipart_upload(Bucket=name, Key="k")["UploadId"]
    refused("InvalidArgument", 400, s3.upload_part, Bucket=name, Key="k", UploadId=upload, PartNumber=10001, Body=b"")


def expire(*_):
    raise TimeoutError(f"not done within {CASE_SECONDS_MAX} s")


def main(cases):
    signal.signal(signal.SIGALRM, expire)
    failed = 0
    for name, function in cases:
        if os.environ.get("FILTER", "") not in f"{os.environ.get('SUITE', '')} {name}" or not re.search(os.environ.get("CASES", ""), name):
            continue
        start = time.monotonic()
        signal.alarm(CASE_SECONDS_MAX)
        error = None
        try:
            function()
        except BaseException as problem:
            failed += 1
            frames = [frame for frame in traceback.extract_tb(problem.__traceback__) if os.path.dirname(frame.filename) == os.path.dirname(__file__)]
            where = f"{os.path.basename(frames[-1].filename)} line {frames[-1].lineno}" if frames else "?"
            error = f"{type(problem).__name__}: {problem} ({where})"
        finally:
            signal.alarm(0)
        print(json.dumps({"name": name, "error": error, "ms": round((time.monotonic() - start) * 1000)}), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(CASES))
