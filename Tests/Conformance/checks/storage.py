"""Old data: compaction, retention. The broker looks for it every few seconds, so these checks wait."""

import time

from kafka_wire import batch
from support import check, equal, wait_until

PATIENCE = 75  # seconds; the broker looks for old data every 15


def keyed(connection, topic, key, value, timestamp=None):
    equal(connection.produce(topic, 0, batch([value], key=key, timestamp=timestamp))[0], 0, "produce")


@check
def compaction_keeps_the_newest_record_of_each_key(t):
    topic = t.topic(config={"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0", "segment.ms": "1000"})
    connection = t.raw()
    for round in range(50):
        for key in (b"a", b"b", b"c"):
            keyed(connection, topic, key, b"%s%d" % (key, round))
    keyed(connection, topic, b"b", None)
    keyed(connection, topic, b"last", b"x")

    def compacted():
        found = t.records(topic)
        newest = {}
        for key, value in found:
            newest[key] = value
        expected = {b"a": b"a49", b"b": None, b"c": b"c49", b"last": b"x"}
        equal({key: newest.get(key) for key in expected}, expected, "newest value of each key")
        return len(found) <= 6

    wait_until(compacted, "150 records of 3 keys are compacted to at most 6", PATIENCE)
    equal(connection.list_offsets(topic, 0, -1)[2], 152, "the end of the log stays where it was")


@check
def tombstones_go_after_their_retention(t):
    topic = t.topic(
        config={
            "cleanup.policy": "compact",
            "min.cleanable.dirty.ratio": "0",
            "segment.ms": "1000",
            "delete.retention.ms": "1000",
        }
    )
    connection = t.raw()
    keyed(connection, topic, b"gone", b"1")
    keyed(connection, topic, b"kept", b"1")
    keyed(connection, topic, b"gone", None)
    keyed(connection, topic, b"last", b"x")

    def cleaned():
        keys = {key for key, _ in t.records(topic)}
        assert keys >= {b"kept", b"last"}, f"a live key is gone: {keys}"
        return b"gone" not in keys

    wait_until(cleaned, "the tombstone and what it deletes are gone", PATIENCE)


@check
def tombstones_stay_for_their_retention(t):
    topic = t.topic(
        config={
            "cleanup.policy": "compact",
            "min.cleanable.dirty.ratio": "0",
            "segment.ms": "1000",
            "delete.retention.ms": "86400000",
        }
    )
    connection = t.raw()
    keyed(connection, topic, b"gone", b"1")
    keyed(connection, topic, b"gone", None)
    # The round that deletes the value keeps the tombstone in any case: only the next one could delete that too soon.
    for key in (b"first", b"second"):
        keyed(connection, topic, key, b"1")
        keyed(connection, topic, key, b"2")
        keyed(connection, topic, b"last", b"x")
        wait_until(lambda key=key: (key, b"1") not in t.records(topic), f"the old value of {key} is gone", PATIENCE)
        assert (b"gone", b"1") not in t.records(topic), "the deleted value has outlived a round of compaction"
        assert (b"gone", None) in t.records(topic), "the tombstone has gone before its retention"


@check
def retention_by_time_moves_the_start_of_the_log(t):
    topic = t.topic(config={"retention.ms": "3600000", "segment.ms": "1000"})
    connection = t.raw()
    old = int((time.time() - 7200) * 1000)
    for _ in range(5):
        keyed(connection, topic, None, b"old", timestamp=old)
    keyed(connection, topic, None, b"new")
    wait_until(lambda: connection.list_offsets(topic, 0, -2)[2] == 5, "the log starts at offset 5", PATIENCE)
    equal(t.read(topic, offset=5), ["new"], "what is left")
    equal(connection.fetch(topic, 0, 0)["error"], 1, "fetch before the start (OFFSET_OUT_OF_RANGE)")


@check
def retention_by_size_moves_the_start_of_the_log(t):
    topic = t.topic(config={"retention.bytes": "100000", "segment.bytes": "50000"})
    connection = t.raw()
    for _ in range(40):
        keyed(connection, topic, None, b"x" * 10_000)

    def left():
        return 40 - connection.list_offsets(topic, 0, -2)[2]

    # It may move a first time while the records are still written.
    wait_until(lambda: left() <= 16, "at most 16 records of 10 kB are left with retention.bytes 100,000", PATIENCE)
    assert left() >= 9, f"only {left()} records of 10 kB are left with retention.bytes 100,000"
