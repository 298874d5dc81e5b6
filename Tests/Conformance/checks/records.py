"""Produce and fetch."""

import struct
import time

from confluent_kafka import TopicPartition
from kafka_wire import batch
from support import CORRUPT, OFFSET_OUT_OF_RANGE, TOO_LARGE, UNKNOWN_TOPIC, check, equal, name


@check
def records_come_back_as_they_were_in_every_compression(t):
    for compression in ["none", "gzip", "snappy", "lz4", "zstd"]:
        topic = t.topic()
        producer = t.producer(compression_type=compression, linger_ms=20)
        for index in range(500):
            producer.produce(
                topic, f"value {index} " * 10, key=f"k{index}", headers=[("h", b"1"), ("n", None)], partition=0
            )
        equal(producer.flush(20), 0, "unacknowledged")
        equal(t.read(topic), [f"value {index} " * 10 for index in range(500)], f"values with {compression}")


@check
def damaged_batches_are_refused(t):
    topic, connection = t.topic(), t.raw()
    good = batch([b"one", b"two"])
    flipped = bytearray(good)
    flipped[-2] ^= 1
    equal(connection.produce(topic, 0, bytes(flipped))[0], CORRUPT, "wrong checksum")
    assert connection.produce(topic, 0, good[:-3])[0] != 0, "a cut batch was taken"
    assert connection.produce(topic, 0, good + good)[0] != 0, "two batches were taken"
    assert connection.produce(topic, 0, batch([b"x"], attributes=0x20))[0] != 0, "a control batch was taken"
    equal(connection.produce(topic, 0, good), (0, 0), "the good batch")
    equal(t.read(topic), ["one", "two"], "values")


@check
def max_message_bytes_is_enforced(t):
    topic, connection = t.topic(config={"max.message.bytes": "1000"}), t.raw()
    equal(connection.produce(topic, 0, batch([b"x" * 1001]))[0], TOO_LARGE, "error")
    equal(connection.produce(topic, 0, batch([b"x" * 500])), (0, 0), "a small one")


@check
def fetch_honours_its_limits_but_always_gets_on(t):
    topic, connection = t.topic(), t.raw()
    for _ in range(10):
        equal(connection.produce(topic, 0, batch([b"x" * 10000]))[0], 0, "produce")
    two = connection.fetch(topic, 0, 0, partition_bytes=25000)
    assert 20000 < len(two["records"]) <= 25000, f"{len(two['records'])} bytes with a partition limit of 25000"
    total = connection.fetch(topic, 0, 0, max_bytes=35000)
    assert 30000 < len(total["records"]) <= 35000, f"{len(total['records'])} bytes with a limit of 35000"
    one = connection.fetch(topic, 0, 3, partition_bytes=10, max_bytes=10)
    assert 10000 < len(one["records"]) < 12000, f"{len(one['records'])} bytes: not exactly one batch"
    equal(struct.unpack(">q", one["records"][:8])[0], 3, "its offset")


@check
def fetch_waits_for_data_and_is_woken_by_it(t):
    topic, connection = t.topic(), t.raw()
    began = time.monotonic()
    equal(connection.fetch(topic, 0, 0, max_wait=500)["records"], b"", "an empty log")
    took = time.monotonic() - began
    assert 0.45 < took < 5, f"an empty long poll of 0.5 s took {took:.2f} s"
    connection.fetch_request(topic, 0, 0, max_wait=10000)
    time.sleep(0.2)
    producer = t.raw()
    began = time.monotonic()
    producer.produce(topic, 0, batch([b"x"]))
    assert connection.fetch_answer()["records"], "nothing came"
    took = time.monotonic() - began
    assert took < 5, f"the long poll was answered {took:.2f} s after the produce"


@check
def offsets_out_of_range_and_unknown_partitions_are_named(t):
    topic, connection = t.topic(), t.raw()
    equal(connection.fetch(topic, 0, 5)["error"], OFFSET_OUT_OF_RANGE, "fetch beyond the end")
    equal(connection.fetch(topic, 7, 0)["error"], UNKNOWN_TOPIC, "fetch of an unknown partition")
    equal(connection.fetch(name(), 0, 0)["error"], UNKNOWN_TOPIC, "fetch of an unknown topic")


@check
def fetch_sessions_are_refused_cleanly(t):
    topic, connection = t.topic(), t.raw()
    equal(connection.fetch(topic, 0, 0, session=(0, 0))["session"], 0, "session id")
    equal(connection.fetch(topic, 0, 0, session=(4711, 3))["error"], 70, "an unknown session")


@check
def offsets_are_found_by_time(t):
    topic, connection = t.topic(config={"retention.ms": "-1"}), t.raw()
    for stamp in (1000, 2000, 3000):
        connection.produce(topic, 0, batch([b"x", b"y"], timestamp=stamp))
    equal(connection.list_offsets(topic, 0, -2), (0, -1, 0), "earliest")
    equal(connection.list_offsets(topic, 0, -1), (0, -1, 6), "latest")
    equal(connection.list_offsets(topic, 0, 1500), (0, 2000, 2), "at 1500")
    equal(connection.list_offsets(topic, 0, 3000), (0, 3000, 4), "at 3000")
    equal(connection.list_offsets(topic, 0, 3001), (0, -1, -1), "at 3001")


@check
def tombstones_and_null_keys_pass(t):
    topic = t.topic()
    producer = t.producer()
    producer.produce(topic, None, key="k", partition=0)
    producer.produce(topic, b"", partition=0)
    producer.flush(10)
    consumer = t.consumer()
    consumer.assign([TopicPartition(topic, 0, 0)])
    messages = [message for message in consumer.consume(2, 10)]
    consumer.close()
    equal([(message.key(), message.value()) for message in messages], [(b"k", None), (None, b"")], "messages")
