"""boto3 under way while members of a cluster stop, start and die: threads put and get at all of them, each operation tried at the next member until one answers, and the history is judged.
Sits between run.ts, which stops and starts members meanwhile and ends this by SIGTERM, and boto.py.

Environment: as boto.py, ENDPOINTS being of all members, in one line. Tells "acknowledged N" now and then, and a JSON line at the end.

Every try writes a value of its own, so that one whose answer was lost is a write of its own that may come true at any time, or never.
What is judged:
1. every key is linearizable. By zones (Gibbons and Korach, "Testing shared memories", 1997): a value's zone reaches from the first end to the last begin of its write and reads. Two zones
   that run forwards may not overlap, nor may one hold one that runs backwards; and nothing is read before its write began;
2. every acknowledged version is listed at every member at the end, all list the same, and no try made two.
"""
import json
import os
import random
import signal
import sys
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ENDPOINTS = os.environ["ENDPOINTS"].split()
BUCKET = f"{os.environ['PREFIX']}-rolling"
WRITERS = 4
READERS = 2
KEYS_EACH = 3
TOLD_EACH = 10
TRY_PAUSE_SECONDS = 0.02
# Whoever is silent for so long is given up: the next member is asked.
TRY_SECONDS_MAX = 3
NOTHING = "nothing"
over = threading.Event()


def client(endpoint):
    return boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=os.environ["ACCESS_KEY"], aws_secret_access_key=os.environ["SECRET_KEY"],
        config=Config(signature_version="s3v4", retries={"total_max_attempts": 1}, connect_timeout=1, read_timeout=TRY_SECONDS_MAX, s3={"addressing_style": "path"}))


class Run:
    def __init__(self):
        self.lock = threading.Lock()
        # By key: (what, value, begun, ended); ended is None where no answer came.
        self.history = {}
        self.versions = {}
        self.puts = self.gets = self.refused = self.tries = 0
        self.longest = 0.0
        self.wrong = []

    def note(self, key, what, value, begun, ended):
        with self.lock:
            self.history.setdefault(key, []).append((what, value, begun, ended))

    def next_value(self):
        with self.lock:
            self.tries += 1
            return self.tries

    def acknowledged(self, version, value):
        with self.lock:
            self.puts += 1
            self.versions[version] = value
            if self.puts % TOLD_EACH == 0:
                print(f"acknowledged {self.puts}", flush=True)

    def fail(self, error):
        # Not there, or not able to: the next one is. Whatever else is refused, is wrong.
        status = error.response["ResponseMetadata"]["HTTPStatusCode"] if isinstance(error, ClientError) else 503
        with self.lock:
            self.refused += 1
            if status < 500:
                self.wrong.append(f"refused: {error}")


def body_of(value):
    chance = random.Random(value)
    size = 300_000 + chance.randrange(200_000) if value % 14 == 6 else 100 + chance.randrange(5000)
    return b"%d " % value + chance.randbytes(size)


def value_of(data):
    value = int(data[:data.index(b" ")])
    return value if data == body_of(value) else f"bytes that nobody wrote, of {value}"


def put(run, member, key):
    value = run.next_value()
    begun = time.monotonic()
    try:
        version = member.put_object(Bucket=BUCKET, Key=key, Body=body_of(value))["VersionId"]
    except (BotoCoreError, ClientError):
        run.note(key, "write", value, begun, None)
        raise
    run.note(key, "write", value, begun, time.monotonic())
    run.acknowledged(version, value)


def get(run, member, key):
    begun = time.monotonic()
    try:
        value = value_of(member.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        value = NOTHING
    run.note(key, "read", value, begun, time.monotonic())
    with run.lock:
        run.gets += 1


def work(run, number, keys, writes):
    """One operation after the other, each begun at another member; how long it took until one answered."""
    members = [client(endpoint) for endpoint in ENDPOINTS]
    chance = random.Random(number)
    at = number
    try:
        while not over.is_set():
            at += 1
            key = chance.choice(keys)
            operation = put if writes and chance.random() < 0.5 else get
            begun = time.monotonic()
            while not over.is_set():
                try:
                    operation(run, members[at % len(members)], key)
                    break
                except (BotoCoreError, ClientError) as error:
                    run.fail(error)
                    at += 1
                    time.sleep(TRY_PAUSE_SECONDS)
            with run.lock:
                run.longest = max(run.longest, time.monotonic() - begun)
    except BaseException as error:
        with run.lock:
            run.wrong.append(f"a client ended by {type(error).__name__}: {error}")


def judge_key(history):
    """What is wrong with the operations of one key: none, or the first that was found."""
    begun_of = {NOTHING: float("-inf")}
    # First end and last begin of what concerns a value; before all, there was nothing.
    zones = {NOTHING: [float("-inf"), float("-inf")]}
    for what, value, begun, ended in history:
        if what == "write":
            begun_of[value] = begun
            zones[value] = [float("inf") if ended is None else ended, begun]
    read = {NOTHING}
    for what, value, begun, ended in history:
        if what == "write":
            if ended is not None:
                read.add(value)
            continue
        if value not in zones:
            return f"{value} was read, and nobody wrote it"
        if ended < begun_of[value]:
            return f"{value} was read before it was written"
        read.add(value)
        zones[value] = [min(zones[value][0], ended), max(zones[value][1], begun)]
    # Whose answer was lost and whom nobody read may never have been.
    shown = {value: zone for value, zone in zones.items() if value in read}
    forward = sorted((first, last, value) for value, (first, last) in shown.items() if first < last)
    for (_, last, value), (first, _, other) in zip(forward, forward[1:]):
        if first < last:
            return f"{value} shows after {other} did, and before"
    for value, (first, last) in shown.items():
        if first < last:
            continue
        for begin, end, other in forward:
            if begin < last and first < end:
                return f"{other} shows before and after {value} was written and answered"
    return None


# The judge is judged: histories that are as they must be, and some that are not.
KNOWN = [
    (True, [("write", 1, 0, 1), ("read", 1, 2, 3), ("write", 2, 4, 5), ("read", 2, 6, 7)]),
    (True, [("read", NOTHING, 0, 1), ("write", 1, 0, 5), ("read", 1, 2, 3), ("read", 1, 4, 6)]),
    # Whose answer was lost may come late.
    (True, [("write", 1, 0, None), ("write", 2, 2, 3), ("read", 2, 4, 5), ("read", 1, 6, 7)]),
    (False, [("write", 1, 0, 1), ("read", NOTHING, 2, 3)]),
    (False, [("write", 1, 0, 1), ("write", 2, 2, 3), ("read", 1, 4, 5)]),
    (False, [("write", 1, 0, 9), ("read", 1, 1, 2), ("read", NOTHING, 3, 4)]),
    (False, [("write", 1, 0, None), ("write", 2, 2, 3), ("read", 1, 4, 5), ("read", 2, 6, 7)]),
    (False, [("write", 1, 5, 6), ("read", 1, 1, 2)]),
    (False, [("read", 7, 1, 2)]),
]


def judge_judge():
    return [f"the judge takes {history} for {'wrong' if fits else 'right'}" for fits, history in KNOWN if (judge_key(history) is None) != fits]


def versions_at(member):
    found = {}
    for page in member.get_paginator("list_object_versions").paginate(Bucket=BUCKET):
        for entry in page.get("Versions", []):
            found[entry["VersionId"]] = (entry["Key"], entry["ETag"])
    return found


def judge(run):
    """At the end: all members are there again."""
    members = [client(endpoint) for endpoint in ENDPOINTS]
    for key in list(run.history):
        for member in members:
            get(run, member, key)
        found = judge_key(run.history[key])
        if found:
            run.wrong.append(f"{key}: {found}")
    listed = [versions_at(member) for member in members]
    for endpoint, found in zip(ENDPOINTS, listed):
        lost = [version for version in run.versions if version not in found]
        if lost:
            run.wrong.append(f"{endpoint} has lost {len(lost)} acknowledged versions, the first {lost[0]}, value {run.versions[lost[0]]}")
        if found != listed[0]:
            run.wrong.append(f"{endpoint} lists other versions than {ENDPOINTS[0]}")
        if len(found) != len({etag for _, etag in found.values()}):
            run.wrong.append(f"{endpoint}: a put was done twice")


def main():
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    run = Run()
    run.wrong += judge_judge()
    first = client(ENDPOINTS[0])
    first.create_bucket(Bucket=BUCKET)
    first.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    own = [[f"w{writer}/k{number}" for number in range(KEYS_EACH)] for writer in range(WRITERS)]
    every = [key for keys in own for key in keys]
    threads = [threading.Thread(target=work, args=(run, number, keys, True)) for number, keys in enumerate(own)]
    threads += [threading.Thread(target=work, args=(run, WRITERS + number, every, False)) for number in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    judge(run)
    print(json.dumps({"puts": run.puts, "gets": run.gets, "refused": run.refused, "longestMs": round(run.longest * 1000), "wrong": run.wrong[:20]}), flush=True)
    return 1 if run.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
