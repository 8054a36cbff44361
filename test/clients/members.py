"""boto3 against three members of one cluster at once: what one was given the others have. A JSON line a result. Sits between run.ts and boto.py, whose client and words it has.

Environment: as boto.py, ENDPOINT being any member's; ENDPOINTS of all of them, in one line.
"""
import datetime
import os
import sys
import threading

import boto
from boto import MIB, NEW, PREFIX, body_of_client, cases_of, client, fetch, noise, refused, same

ENDPOINTS = os.environ["ENDPOINTS"].split()
MEMBERS = [client(endpoint) for endpoint in ENDPOINTS]
CASES = []
case = cases_of(CASES)


def bucket(name, versioning=None):
    full = f"{PREFIX}-{name}"
    MEMBERS[0].create_bucket(Bucket=full)
    if versioning:
        MEMBERS[1].put_bucket_versioning(Bucket=full, VersioningConfiguration={"Status": versioning})
    return full


def turn(index):
    """Whoever is asked at that turn, and the others."""
    return [MEMBERS[(index + step) % len(MEMBERS)] for step in range(len(MEMBERS))]


def keys_at(member, name, **arguments):
    return [entry["Key"] for entry in member.list_objects_v2(Bucket=name, **arguments).get("Contents", [])]


@case("what one was given the others list, head and read at once; so with what was replaced and removed")
def at_once():
    name = bucket("at-once")
    expected = []
    for index in range(18):
        first, second, third = turn(index)
        key = f"k{index:03d}"
        data = noise((17, 3000, 70_000, 300_000)[index % 4], index)
        etag = first.put_object(Bucket=name, Key=key, Body=data)["ETag"]
        expected.append(key)
        same(keys_at(second, name), expected, f"listing behind the put of {key}")
        same(third.head_object(Bucket=name, Key=key)["ETag"], etag, f"ETag of {key}")
        same(body_of_client(second, name, key) == data, True, f"bytes of {key}")
        if index % 3 == 1:
            third.put_object(Bucket=name, Key=key, Body=b"replaced")
            same(body_of_client(first, name, key), b"replaced", f"replaced {key}")
        if index % 3 == 2:
            second.delete_object(Bucket=name, Key=key)
            expected.remove(key)
            refused("NoSuchKey", 404, third.get_object, Bucket=name, Key=key)
            same(keys_at(first, name), expected, f"listing behind the deletion of {key}")


@case("buckets: made at one, there at the others at once; removed at another, gone everywhere")
def buckets():
    for index in range(6):
        first, second, third = turn(index)
        name = f"{PREFIX}-life-{index}"
        first.create_bucket(Bucket=name)
        same(second.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"], 200, "head")
        third.put_object(Bucket=name, Key="k", Body=b"v")
        refused("BucketNotEmpty", 409, first.delete_bucket, Bucket=name)
        second.delete_object(Bucket=name, Key="k")
        third.delete_bucket(Bucket=name)
        refused("NoSuchBucket", 404, first.list_objects_v2, Bucket=name)
        assert name not in [entry["Name"] for entry in second.list_buckets()["Buckets"]], "still among the buckets"


@case("multipart: begun at one, parts at each, one replaced, listed at all, completed and read at another; aborted at another")
def multipart():
    name = bucket("multipart")
    for index in range(3):
        first, second, third = turn(index)
        key = f"dir/k{index}"
        upload = first.create_multipart_upload(Bucket=name, Key=key, Metadata={"m": "1"})["UploadId"]
        parts = {1: noise(5 * MIB, 1 + index), 2: noise(5 * MIB + 1, 2 + index), 3: b"the last"}
        same([entry["UploadId"] for entry in second.list_multipart_uploads(Bucket=name)["Uploads"]], [upload], "uploads")
        third.upload_part(Bucket=name, Key=key, UploadId=upload, PartNumber=3, Body=b"to be replaced")
        etags = {number: turn(index + number)[0].upload_part(Bucket=name, Key=key, UploadId=upload, PartNumber=number, Body=body)["ETag"]
                 for number, body in parts.items()}
        for member in MEMBERS:
            listed = member.list_parts(Bucket=name, Key=key, UploadId=upload)["Parts"]
            same([(part["PartNumber"], part["Size"], part["ETag"]) for part in listed], [(number, len(parts[number]), etags[number]) for number in (1, 2, 3)], "parts")
        second.complete_multipart_upload(Bucket=name, Key=key, UploadId=upload, MultipartUpload={
            "Parts": [{"PartNumber": number, "ETag": etags[number]} for number in (1, 2, 3)]})
        for member in MEMBERS:
            same(body_of_client(member, name, key) == b"".join(parts.values()), True, "bytes")
            same(member.head_object(Bucket=name, Key=key)["Metadata"], {"m": "1"}, "metadata")
    gone = MEMBERS[0].create_multipart_upload(Bucket=name, Key="aborted")["UploadId"]
    MEMBERS[1].upload_part(Bucket=name, Key="aborted", UploadId=gone, PartNumber=1, Body=noise(MIB))
    MEMBERS[2].abort_multipart_upload(Bucket=name, Key="aborted", UploadId=gone)
    for member in MEMBERS:
        refused("NoSuchUpload", 404, member.list_parts, Bucket=name, Key="aborted", UploadId=gone)
        same(member.list_multipart_uploads(Bucket=name).get("Uploads"), None, "uploads left")


@case("copies at another member: whole, of a version, as parts")
def copies():
    name = bucket("copies", "Enabled")
    first, second, third = MEMBERS
    data = noise(6 * MIB, 6)
    version = first.put_object(Bucket=name, Key="source", Body=data)["VersionId"]
    second.copy_object(Bucket=name, Key="copy", CopySource={"Bucket": name, "Key": "source"})
    third.put_object(Bucket=name, Key="source", Body=b"newer")
    first.copy_object(Bucket=name, Key="old", CopySource={"Bucket": name, "Key": "source", "VersionId": version})
    second.copy_object(Bucket=name, Key="new", CopySource={"Bucket": name, "Key": "source"})
    upload = third.create_multipart_upload(Bucket=name, Key="parts")["UploadId"]
    source = {"Bucket": name, "Key": "copy"}
    parts = [
        first.upload_part_copy(Bucket=name, Key="parts", UploadId=upload, PartNumber=1, CopySource=source)["CopyPartResult"]["ETag"],
        second.upload_part_copy(Bucket=name, Key="parts", UploadId=upload, PartNumber=2, CopySource=source, CopySourceRange=f"bytes=1000-{MIB}")["CopyPartResult"]["ETag"],
    ]
    third.complete_multipart_upload(Bucket=name, Key="parts", UploadId=upload, MultipartUpload={
        "Parts": [{"PartNumber": index + 1, "ETag": etag} for index, etag in enumerate(parts)]})
    for member in MEMBERS:
        for key, expected in (("copy", data), ("old", data), ("new", b"newer"), ("parts", data + data[1000:MIB + 1])):
            same(body_of_client(member, name, key) == expected, True, f"bytes of {key}")


@case("versions: written, marked, restored and removed at one member after the other, the same list at each")
def versions():
    name = bucket("versions", "Enabled")
    ids = [turn(index)[0].put_object(Bucket=name, Key="k", Body=b"v%d" % index)["VersionId"] for index in range(7)]
    same(len(set(ids)), 7, "ids")
    marker = MEMBERS[1].delete_object(Bucket=name, Key="k")["VersionId"]
    for member in MEMBERS:
        refused("NoSuchKey", 404, member.get_object, Bucket=name, Key="k")
        listed = member.list_object_versions(Bucket=name)
        same([entry["VersionId"] for entry in listed["Versions"]], ids[::-1], "versions")
        same([entry["VersionId"] for entry in listed["DeleteMarkers"]], [marker], "markers")
        for index, version in enumerate(ids):
            same(body_of_client(member, name, "k", VersionId=version), b"v%d" % index, f"version {index}")
    MEMBERS[2].delete_object(Bucket=name, Key="k", VersionId=marker)
    same(body_of_client(MEMBERS[0], name, "k"), b"v6", "after the marker went")
    MEMBERS[0].delete_object(Bucket=name, Key="k", VersionId=ids[6])
    same(body_of_client(MEMBERS[1], name, "k"), b"v5", "after the newest went")


@case("one key made by three members at once where there is none (If-None-Match): one of them wins, each time", when=NEW)
def made_once():
    name = bucket("made-once")
    for index in range(15):
        key = f"k{index}"
        won = []

        def make(number):
            try:
                MEMBERS[number].put_object(Bucket=name, Key=key, Body=b"by %d" % number, IfNoneMatch="*")
                won.append(number)
            except boto.ClientError as error:
                same(error.response["Error"]["Code"], "PreconditionFailed", "error code")
        threads = [threading.Thread(target=make, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        same(len(won), 1, f"who made {key}: {won}")
        for member in MEMBERS:
            same(body_of_client(member, name, key), b"by %d" % won[0], key)


@case("presigned URLs of each member: what was put by one is got by another's")
def presigned():
    name = bucket("presigned")
    for index in range(3):
        first, second, _ = turn(index)
        put = first.generate_presigned_url("put_object", Params={"Bucket": name, "Key": f"k {index}"}, ExpiresIn=60)
        same(fetch(put, "PUT", b"by url", {"content-type": ""})[0], 200, "PUT by URL")
        get = second.generate_presigned_url("get_object", Params={"Bucket": name, "Key": f"k {index}"}, ExpiresIn=60)
        same(fetch(get), (200, b"by url"), "GET by URL")


@case("AS OF: a commit that one member answered, and a time that just was, mean the same at the others")
def as_of():
    name = bucket("asof")

    def at(member, point):
        past = client(ENDPOINTS[MEMBERS.index(member)])
        past.meta.events.register("before-sign.s3.*", lambda request, **_: request.headers.add_header("x-ouroboros-as-of", point))
        return past
    for index in range(3):
        first, second, third = turn(index)
        answer = first.put_object(Bucket=name, Key="k", Body=b"then %d" % index)
        commit = answer["ResponseMetadata"]["HTTPHeaders"]["x-ouroboros-commit"]
        moment = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(milliseconds=50)).isoformat().replace("+00:00", "Z")
        boto.time.sleep(0.4)
        second.put_object(Bucket=name, Key="k", Body=b"now")
        second.put_object(Bucket=name, Key=f"later-{index}", Body=b"")
        for member in (third, second, first):
            for point in (commit, moment):
                same(body_of_client(at(member, point), name, "k"), b"then %d" % index, f"GET as of {point}")
                same(f"later-{index}" in keys_at(at(member, point), name), False, f"listing as of {point}")
        refused("AsOfInFuture", 400, at(third, "999999999").get_object, Bucket=name, Key="k")


@case("a listing goes on at another member by the commit of its first page, whatever came between")
def pages():
    name = bucket("pages")
    keys = [f"k{index:03d}" for index in range(30)]
    for index, key in enumerate(keys):
        turn(index)[0].put_object(Bucket=name, Key=key, Body=b"")
    first = MEMBERS[0].list_objects_v2(Bucket=name, MaxKeys=10)
    MEMBERS[1].delete_object(Bucket=name, Key="k015")
    MEMBERS[2].put_object(Bucket=name, Key="k0155", Body=b"")
    second = MEMBERS[2].list_objects_v2(Bucket=name, MaxKeys=10, ContinuationToken=first["NextContinuationToken"])
    third = MEMBERS[1].list_objects_v2(Bucket=name, MaxKeys=10, ContinuationToken=second["NextContinuationToken"])
    same([entry["Key"] for page in (first, second, third) for entry in page["Contents"]], keys, "pages")
    same(keys_at(MEMBERS[0], name), sorted({*keys, "k0155"} - {"k015"}), "anew")


if __name__ == "__main__":
    sys.exit(boto.main(CASES))
