#!/usr/bin/env python3
"""Checks a Kafka broker against what Orchestra relies on, with real clients and a raw one.

    broker_conformance.py --bootstrap HOST:PORT [--only WORD]
    broker_conformance.py --broker COMMAND                 starts the broker itself, and also kills and restarts it

COMMAND holds {data} (a folder) and {port}; for the local broker it is

    '.build/debug/orchestra broker --data-dir {data} --listen 127.0.0.1:{port} --no-registry'

Prints one line per check; exits with 1 if any failed. The first form also runs against Apache Kafka.
"""

import argparse
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, ResourceType
from kafka_wire import Closed, Connection, batch, string

CHECKS = []
OFFSET_OUT_OF_RANGE, CORRUPT, UNKNOWN_TOPIC, TOO_LARGE = 1, 2, 3, 10
ILLEGAL_GENERATION, UNKNOWN_MEMBER, UNSUPPORTED_VERSION, OUT_OF_ORDER = 22, 25, 35, 45
INVALID_EPOCH, INVALID_TXN_STATE, CONCURRENT, UNSTABLE, FENCED = 47, 48, 51, 88, 90


def check(function):
    CHECKS.append((function, False))
    return function


def restart_check(function):
    """A check that kills the broker; runs only with --broker."""
    CHECKS.append((function, True))
    return function


def name(prefix="t"):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def equal(actual, expected, what):
    assert actual == expected, f"{what}: expected {expected!r}, got {actual!r}"


def wait_until(condition, what, timeout=20):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"after {timeout} s still not: {what}")


class Context:
    """The broker under test."""

    def __init__(self, bootstrap, command=None):
        self.command, self.process, self.data = command, None, None
        if command:
            self.data = tempfile.mkdtemp(prefix="conformance-")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            bootstrap = f"127.0.0.1:{self.port}"
        self.bootstrap, self.administrator = bootstrap, None
        if command:
            self.start()

    def start(self):
        arguments = [word.format(data=self.data, port=self.port) for word in self.command.split()]
        self.process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def answers():
            assert self.process.poll() is None, f"the broker ended with {self.process.returncode}"
            try:
                Connection(self.bootstrap).close()
                return True
            except OSError:
                return False

        wait_until(answers, "the broker accepts connections")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def restart(self):
        self.kill()
        self.start()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
        if self.data:
            shutil.rmtree(self.data, ignore_errors=True)

    # Clients

    def raw(self):
        return Connection(self.bootstrap)

    def admin(self):
        # Kept: a client that is collected takes its pending futures with it.
        if not self.administrator:
            self.administrator = AdminClient({"bootstrap.servers": self.bootstrap})
        return self.administrator

    def topic(self, partitions=1, config=None):
        topic = name()
        for future in self.admin().create_topics([NewTopic(topic, partitions, 1, config=config or {})]).values():
            future.result(15)
        return topic

    def producer(self, **config):
        return Producer(
            {"bootstrap.servers": self.bootstrap, "linger.ms": 1, **{k.replace("_", "."): v for k, v in config.items()}}
        )

    def transactional(self, transactional_id=None, timeout=60000):
        producer = self.producer(
            transactional_id=transactional_id or name("tx"), transaction_timeout_ms=timeout, message_timeout_ms=timeout
        )
        producer.init_transactions(20)
        return producer

    def consumer(self, group=None, **config):
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": group or name("g"),
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                **{k.replace("_", "."): v for k, v in config.items()},
            }
        )

    def read(self, topic, partition=0, offset=0, isolation="read_committed", timeout=20):
        """All values from an offset to the end of the partition."""
        consumer = self.consumer(isolation_level=isolation)
        consumer.assign([TopicPartition(topic, partition, offset)])
        values, deadline = [], time.monotonic() + timeout
        try:
            while time.monotonic() < deadline:
                message = consumer.poll(1)
                if message is None:
                    continue
                if message.error():
                    if message.error().name() == "_PARTITION_EOF":
                        return values
                    raise KafkaException(message.error())
                values.append(message.value().decode())
            raise AssertionError(f"no end of {topic}[{partition}] after {timeout} s; read {len(values)}")
        finally:
            consumer.close()

    def send(self, topic, *values, partition=0):
        producer = self.producer()
        for value in values:
            producer.produce(topic, value, partition=partition)
        equal(producer.flush(20), 0, "unacknowledged messages")


# ---------------------------------------------------------------- protocol


@check
def api_versions_of_an_unknown_version_are_answered_in_version_0(t):
    reader = t.raw().call(18, 99, b"", flexible=False, flexible_header=False)
    equal(reader.take("h"), UNSUPPORTED_VERSION, "error")
    apis = [reader.take("hhh") for _ in range(reader.take("i"))]
    assert any(api[0] == 18 for api in apis), "ApiVersions is not in the list"


@check
def a_version_that_is_not_announced_closes_the_connection(t):
    connection = t.raw()
    try:
        connection.call(0, 77, b"")
    except Closed:
        return
    raise AssertionError("the connection is still open")


@check
def hostile_frames_close_their_connection_only(t):
    topic = t.topic()
    witness = t.raw()
    for frame in [
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff",
        b"\0\0\0\1\0",
        b"\0\0\0\x0aabcdefghij",
        os.urandom(64),
        struct.pack(">i", 40)
        + struct.pack(">hhi", 3, 1, 1)
        + struct.pack(">h", -1)
        + struct.pack(">i", 2**31 - 1)
        + b"x" * 26,
    ]:
        hostile = t.raw()
        hostile.socket.settimeout(3)
        try:
            hostile.send(frame)
            hostile.socket.shutdown(socket.SHUT_WR)
            hostile.frame()
        except (Closed, OSError):
            pass
        hostile.close()
    for _ in range(200):
        cut = t.raw()
        try:
            cut.send(struct.pack(">i", random.randrange(8, 1 << 24)) + os.urandom(random.randrange(0, 200)))
        except OSError:
            pass
        cut.close()
    equal(witness.produce(topic, 0, batch([b"x"]))[0], 0, "produce after the attack")


@check
def pipelined_requests_are_answered_in_order(t):
    topic = t.topic()
    connection = t.raw()
    records = batch([b"x"])
    for _ in range(50):
        body = (
            string(None)
            + struct.pack(">hii", -1, 10000, 1)
            + string(topic)
            + struct.pack(">iii", 1, 0, len(records))
            + records
        )
        connection.request(0, 7, body)
        connection.request(18, 0, b"")
    for expected in range(1, 101):
        equal(struct.unpack(">i", connection.frame()[:4])[0], expected, "correlation id")


@check
def metadata_does_not_create_topics(t):
    topic = name()
    metadata = t.admin().list_topics(topic, timeout=10)
    assert metadata.topics[topic].error is not None, "an unknown topic has no error"
    assert topic not in t.admin().list_topics(timeout=10).topics, "the topic exists"


# ---------------------------------------------------------------- topics


@check
def topics_are_created_described_grown_and_deleted(t):
    topic = t.topic(3, {"cleanup.policy": "compact", "max.message.bytes": "2000000"})
    admin = t.admin()
    equal(len(admin.list_topics(topic, timeout=10).topics[topic].partitions), 3, "partitions")
    config = list(admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values())[0].result(10)
    equal(config["cleanup.policy"].value, "compact", "cleanup.policy")
    equal(config["max.message.bytes"].value, "2000000", "max.message.bytes")
    equal(config["retention.ms"].is_default, True, "retention.ms is the default")
    list(admin.create_partitions([NewPartitions(topic, 5)]).values())[0].result(10)
    equal(len(admin.list_topics(topic, timeout=10).topics[topic].partitions), 5, "partitions")
    list(admin.delete_topics([topic]).values())[0].result(10)
    assert topic not in admin.list_topics(timeout=10).topics, "the topic is still there"
    equal(t.raw().produce(topic, 0, batch([b"x"]))[0], UNKNOWN_TOPIC, "produce to a deleted topic")


@check
def bad_topics_are_refused(t):
    admin = t.admin()
    topic = t.topic()
    for new, expected in [
        (NewTopic(topic, 1, 1), "TOPIC_ALREADY_EXISTS"),
        (NewTopic("a/b", 1, 1), "TOPIC_EXCEPTION"),
        (NewTopic(name(), 0, 1), "INVALID_PARTITIONS"),
        (NewTopic(name(), 1, 3), "INVALID_REPLICATION_FACTOR"),
        (NewTopic(name(), 1, 1, config={"retention.ms": "soon"}), "INVALID_CONFIG"),
        (NewTopic(name(), 1, 1, config={"no.such": "1"}), "INVALID_CONFIG"),
    ]:
        try:
            list(admin.create_topics([new]).values())[0].result(10)
            raise AssertionError(f"{expected}: the topic was made")
        except KafkaException as error:
            equal(error.args[0].name(), expected, "error")


# ---------------------------------------------------------------- produce and fetch


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
    assert 0.45 < took < 1.5, f"an empty long poll of 0.5 s took {took:.2f} s"
    connection.fetch_request(topic, 0, 0, max_wait=10000)
    time.sleep(0.2)
    began = time.monotonic()
    t.raw().produce(topic, 0, batch([b"x"]))
    assert connection.fetch_answer()["records"], "nothing came"
    took = time.monotonic() - began
    assert took < 1, f"the long poll was answered {took:.2f} s after the produce"


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


# ---------------------------------------------------------------- idempotence


@check
def a_repeated_batch_is_answered_with_its_old_offset(t):
    topic, connection = t.topic(), t.raw()
    _, producer_id, epoch = connection.init_producer(None)
    for sequence in range(5):
        equal(connection.produce(topic, 0, batch([b"x"], producer_id, epoch, sequence)), (0, sequence), "first time")
    for sequence in range(5):
        equal(connection.produce(topic, 0, batch([b"x"], producer_id, epoch, sequence)), (0, sequence), "second time")
    equal(len(t.read(topic)), 5, "records")


@check
def a_gap_in_the_sequence_is_refused(t):
    topic, connection = t.topic(), t.raw()
    _, producer_id, epoch = connection.init_producer(None)
    equal(connection.produce(topic, 0, batch([b"x"], producer_id, epoch, 0))[0], 0, "sequence 0")
    equal(connection.produce(topic, 0, batch([b"x"], producer_id, epoch, 2))[0], OUT_OF_ORDER, "sequence 2")
    equal(connection.produce(topic, 0, batch([b"x"], producer_id, epoch, 1)), (0, 1), "sequence 1")


@check
def an_idempotent_producer_delivers_everything_once(t):
    topic = t.topic()
    producer = t.producer(enable_idempotence=True, batch_num_messages=50)
    for index in range(5000):
        producer.produce(topic, str(index), partition=0)
        producer.poll(0)
    equal(producer.flush(30), 0, "unacknowledged")
    equal(t.read(topic), [str(index) for index in range(5000)], "values")


# ---------------------------------------------------------------- transactions


@check
def committed_data_is_seen_and_aborted_data_is_not(t):
    topic = t.topic()
    producer = t.transactional()
    expected = []
    for round in range(20):
        producer.begin_transaction()
        for index in range(5):
            producer.produce(topic, f"{round}.{index}", partition=0)
        equal(producer.flush(10), 0, "unacknowledged")  # An abort would drop what has not been sent.
        if round % 3 == 1:
            producer.abort_transaction(20)
        else:
            producer.commit_transaction(20)
            expected += [f"{round}.{index}" for index in range(5)]
    equal(t.read(topic), expected, "read_committed")
    equal(len(t.read(topic, isolation="read_uncommitted")), 100, "records for read_uncommitted")


@check
def read_committed_stops_at_the_last_stable_offset(t):
    topic, connection = t.topic(), t.raw()
    producer = t.transactional()
    producer.begin_transaction()
    producer.produce(topic, "open", partition=0)
    producer.flush(10)
    t.send(topic, "after")
    equal(t.read(topic), [], "read_committed while the transaction is open")
    equal(t.read(topic, isolation="read_uncommitted"), ["open", "after"], "read_uncommitted")
    equal(connection.list_offsets(topic, 0, -1, committed=True)[2], 0, "latest for read_committed")
    equal(connection.list_offsets(topic, 0, -1)[2], 2, "latest for read_uncommitted")
    connection.fetch_request(topic, 0, 0, max_wait=10000, committed=True)
    time.sleep(0.1)
    producer.commit_transaction(20)
    answer = connection.fetch_answer()
    equal(answer["stable"], answer["high"], "last stable offset after the commit")
    equal(t.read(topic), ["open", "after"], "after the commit")


@check
def the_aborted_list_holds_only_what_ends_at_or_after_the_fetch_offset(t):
    topic, connection = t.topic(), t.raw()
    producer = connection.init_producer(name("tx"))[1:]
    transactional_id = name("tx")
    producer = connection.init_producer(transactional_id)[1:]
    sequence = 0
    for commit in (False, True, False):
        equal(connection.add_partitions(transactional_id, producer, topic, [0]), 0, "add partition")
        equal(
            connection.produce(topic, 0, batch([b"x"], *producer, sequence, transactional=True), transactional_id)[0],
            0,
            "produce",
        )
        equal(connection.end_txn(transactional_id, producer, commit), 0, "end")
        sequence += 1

    # 0 data, 1 abort, 2 data, 3 commit, 4 data, 5 abort
    def aborted(offset):
        return sorted(first for _, first in connection.fetch(topic, 0, offset, committed=True)["aborted"])

    equal(aborted(0), [0, 4], "aborted from 0")
    equal(aborted(1), [0, 4], "aborted from 1, the marker itself")
    equal(aborted(2), [4], "aborted from 2")
    equal(t.read(topic, offset=1), ["x"], "values from 1")


@check
def offsets_of_a_transaction_appear_with_its_commit_only(t):
    source, target, group = t.topic(), t.topic(), name("g")
    t.send(source, "a", "b", "c")
    for commit in (False, True):
        consumer = t.consumer(group)
        consumer.assign([TopicPartition(source, 0, 0)])
        producer = t.transactional()
        producer.begin_transaction()
        producer.produce(target, "out", partition=0)
        producer.send_offsets_to_transaction([TopicPartition(source, 0, 3)], consumer.consumer_group_metadata(), 20)
        equal(t.raw().offset_fetch(group, source, 0, stable=True)[0], UNSTABLE, "require stable, transaction open")
        equal(t.raw().offset_fetch(group, source, 0, stable=False), (0, -1), "unstable, transaction open")
        producer.commit_transaction(20) if commit else producer.abort_transaction(20)
        equal(
            t.raw().offset_fetch(group, source, 0), (0, 3 if commit else -1), f"after {'commit' if commit else 'abort'}"
        )
        consumer.close()
    equal(t.read(target), ["out"], "output")


@check
def a_new_producer_fences_the_old_one_and_aborts_its_transaction(t):
    topic, transactional_id = t.topic(), name("tx")
    old = t.transactional(transactional_id)
    old.begin_transaction()
    old.produce(topic, "zombie", partition=0)
    old.flush(10)
    new = t.transactional(transactional_id)
    new.begin_transaction()
    new.produce(topic, "owner", partition=0)
    new.commit_transaction(20)
    try:
        old.commit_transaction(20)
        raise AssertionError("the zombie has committed")
    except KafkaException as error:
        assert error.args[0].fatal() or error.args[0].name() in ("_FENCED", "PRODUCER_FENCED"), f"not fenced: {error}"
    equal(t.read(topic), ["owner"], "values")
    new.begin_transaction()
    new.produce(topic, "owner again", partition=0)
    new.commit_transaction(20)
    equal(t.read(topic), ["owner", "owner again"], "values")


@check
def an_older_epoch_is_refused_everywhere(t):
    topic, transactional_id, group, connection = t.topic(), name("tx"), name("g"), t.raw()
    old = connection.init_producer(transactional_id)[1:]
    new = connection.init_producer(transactional_id)[1:]
    equal(new, (old[0], old[1] + 1), "the new identity")
    equal(connection.add_partitions(transactional_id, new, topic, [0]), 0, "the owner adds the partition")
    fenced = (INVALID_EPOCH, FENCED)

    def records(producer):
        return batch([b"x"], *producer, 0, transactional=True)

    assert connection.produce(topic, 0, records(old), transactional_id)[0] in fenced, "Produce"
    assert connection.add_partitions(transactional_id, old, topic, [0]) in fenced, "AddPartitionsToTxn"
    assert connection.add_offsets(transactional_id, old, group) in fenced, "AddOffsetsToTxn"
    equal(connection.add_offsets(transactional_id, new, group), 0, "the owner adds offsets")
    assert connection.txn_offset_commit(transactional_id, old, group, topic, 0, 1) in fenced, "TxnOffsetCommit"
    assert connection.end_txn(transactional_id, old, True) in fenced, "EndTxn"
    equal(connection.produce(topic, 0, records(new), transactional_id), (0, 0), "the owner produces")
    equal(connection.end_txn(transactional_id, new, True), 0, "the owner commits")


@check
def init_checks_a_supplied_identity(t):
    transactional_id, connection = name("tx"), t.raw()
    old = connection.init_producer(transactional_id)[1:]
    new = connection.init_producer(transactional_id)[1:]
    assert connection.init_producer(transactional_id, current=old)[0] in (INVALID_EPOCH, FENCED), (
        "a zombie bumped itself"
    )
    bumped = connection.init_producer(transactional_id, current=new)
    equal(bumped, (0, new[0], new[1] + 1), "the owner's bump")


@check
def a_transactional_batch_to_a_partition_that_was_not_added_is_refused(t):
    topic, transactional_id, connection = t.topic(2), name("tx"), t.raw()
    producer = connection.init_producer(transactional_id)[1:]
    error = connection.produce(topic, 0, batch([b"x"], *producer, 0, transactional=True), transactional_id)[0]
    equal(error, INVALID_TXN_STATE, "before any partition")
    connection.add_partitions(transactional_id, producer, topic, [1])
    error = connection.produce(topic, 0, batch([b"x"], *producer, 0, transactional=True), transactional_id)[0]
    equal(error, INVALID_TXN_STATE, "another partition")
    equal(connection.list_offsets(topic, 0, -1)[2], 0, "end of the log")


@check
def a_transaction_that_takes_too_long_is_aborted(t):
    topic = t.topic()
    producer = t.transactional(timeout=1500)
    producer.begin_transaction()
    producer.produce(topic, "too slow", partition=0)
    producer.flush(10)
    t.send(topic, "after")
    connection = t.raw()
    wait_until(
        lambda: connection.list_offsets(topic, 0, -1, committed=True)[2] == 3, "the last stable offset moves on", 20
    )
    equal(t.read(topic), ["after"], "values")
    try:
        producer.commit_transaction(10)
        raise AssertionError("the commit succeeded after the time-out")
    except KafkaException:
        pass


@check
def many_transactional_producers_at_once(t):
    topic = t.topic(4)
    failures = []

    def work(number):
        try:
            producer = t.transactional()
            for round in range(10):
                producer.begin_transaction()
                for partition in range(4):
                    producer.produce(topic, f"{number}.{round}", partition=partition)
                producer.commit_transaction(20)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    equal(failures, [], "failures")
    for partition in range(4):
        values = t.read(topic, partition)
        equal(
            sorted(values), sorted(f"{n}.{r}" for n in range(8) for r in range(10)), f"values of partition {partition}"
        )


# ---------------------------------------------------------------- groups


@check
def stale_generations_and_members_are_refused(t):
    topic, group, connection = t.topic(), name("g"), t.raw()
    error, generation, member = connection.join_group(group)
    equal(error, 0, "join")
    equal(connection.sync_group(group, generation, member), 0, "sync")
    equal(connection.offset_commit(group, generation, member, topic, 0, 1), 0, "commit")
    equal(connection.offset_commit(group, generation - 1, member, topic, 0, 2), ILLEGAL_GENERATION, "old generation")
    equal(connection.offset_commit(group, generation, "stranger", topic, 0, 2), UNKNOWN_MEMBER, "unknown member")
    equal(connection.heartbeat(group, generation + 1, member), ILLEGAL_GENERATION, "heartbeat")
    equal(connection.offset_fetch(group, topic, 0), (0, 1), "offset")


@check
def a_silent_member_is_evicted(t):
    topic, group, connection = t.topic(4), name("g"), t.raw()
    _, generation, member = connection.join_group(group, session=6000, rebalance=6000)
    equal(connection.sync_group(group, generation, member), 0, "sync")
    consumer = t.consumer(group, session_timeout_ms=6000)
    consumer.subscribe([topic])
    began = time.monotonic()

    def assigned():
        consumer.poll(0.1)
        return len(consumer.assignment()) == 4

    wait_until(assigned, "the other member owns all partitions", 30)
    equal(connection.heartbeat(group, generation, member), UNKNOWN_MEMBER, "heartbeat of the evicted")
    assert time.monotonic() - began < 25, "eviction took too long"
    consumer.close()


def group_delivers_everything(t, strategy):
    topic, group, count = t.topic(8), name("g"), 4000
    lock, seen, stop = threading.Lock(), set(), threading.Event()

    def work(number, rounds):
        for _ in range(rounds):
            consumer = t.consumer(group, partition_assignment_strategy=strategy, session_timeout_ms=6000)
            consumer.subscribe([topic])
            until = time.monotonic() + random.uniform(1.0, 2.5) if rounds > 1 else None
            while not stop.is_set() and (until is None or time.monotonic() < until):
                message = consumer.poll(0.1)
                if message is None or message.error():
                    continue
                with lock:
                    seen.add(message.value())
                try:
                    consumer.commit(message, asynchronous=False)
                except KafkaException:
                    pass  # A rebalance is going on: if the partition goes, its next owner reads the record again.
            consumer.close()

    threads = [threading.Thread(target=work, args=(n, 1 if n == 0 else 4)) for n in range(4)]
    [thread.start() for thread in threads]
    producer = t.producer()
    for index in range(count):
        producer.produce(topic, str(index), partition=index % 8)
        producer.poll(0)
        if index % 400 == 0:
            time.sleep(0.2)
    producer.flush(20)
    try:
        wait_until(lambda: len(seen) == count, "all records are consumed", 60)
    finally:
        stop.set()
        [thread.join() for thread in threads]


@check
def a_group_with_range_assignment_loses_nothing(t):
    group_delivers_everything(t, "range")


@check
def a_group_with_cooperative_assignment_loses_nothing(t):
    group_delivers_everything(t, "cooperative-sticky")


@check
def groups_are_listed_described_and_deleted(t):
    topic, group = t.topic(), name("g")
    t.send(topic, "x")
    consumer = t.consumer(group)
    consumer.subscribe([topic])
    wait_until(lambda: consumer.poll(0.2) and consumer.assignment(), "assignment")
    admin = t.admin()
    listed = {entry.group_id: entry.state.name for entry in admin.list_consumer_groups().result().valid}
    equal(listed.get(group), "STABLE", "state in the list")
    described = list(admin.describe_consumer_groups([group]).values())[0].result(10)
    equal(len(described.members), 1, "members")
    equal(
        [(p.topic, p.partition) for p in described.members[0].assignment.topic_partitions], [(topic, 0)], "assignment"
    )
    consumer.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=False)
    consumer.close()
    offsets = list(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values())[0].result(10)
    equal([(p.partition, p.offset) for p in offsets.topic_partitions], [(0, 1)], "offsets")
    list(admin.delete_consumer_groups([group]).values())[0].result(10)
    equal(t.raw().offset_fetch(group, topic, 0), (0, -1), "offset after deletion")


# ---------------------------------------------------------------- other clients


@check
def kcat_produces_consumes_and_lists(t):
    if not shutil.which("kcat"):
        print("      (kcat is not installed: nothing checked)")
        return
    topic = t.topic(2)

    def run(*words, text=None):
        return subprocess.run(
            ["kcat", "-b", t.bootstrap, *words], input=text, text=True, capture_output=True, timeout=30
        )

    produced = run("-P", "-t", topic, "-p", "1", "-z", "lz4", text="one\ntwo\n")
    equal(produced.returncode, 0, f"kcat -P {produced.stderr}")
    equal(run("-C", "-t", topic, "-p", "1", "-o", "beginning", "-e", "-q").stdout, "one\ntwo\n", "kcat -C")
    assert f'topic "{topic}" with 2 partitions' in run("-L").stdout, "kcat -L"
    grouped = run("-G", name("g"), "-X", "auto.offset.reset=earliest", "-e", "-q", "-c", "2", topic)
    equal(sorted(grouped.stdout.split()), ["one", "two"], f"kcat -G {grouped.stderr}")


# ---------------------------------------------------------------- the broker is killed


@restart_check
def acknowledged_data_survives_a_kill(t):
    topic = t.topic()
    acknowledged = []
    producer = t.producer(message_timeout_ms=30000)
    stop = threading.Event()

    def produce():
        index = 0
        while not stop.is_set():
            try:
                producer.produce(
                    topic,
                    str(index),
                    partition=0,
                    on_delivery=lambda error, message: error or acknowledged.append(message.value().decode()),
                )
                index += 1
            except BufferError:
                producer.poll(0.1)
            producer.poll(0.0005)

    thread = threading.Thread(target=produce)
    thread.start()
    for _ in range(3):
        time.sleep(0.7)
        t.restart()
    stop.set()
    thread.join()
    producer.flush(30)
    values = set(t.read(topic))
    lost = [value for value in acknowledged if value not in values]
    assert len(acknowledged) > 100, f"only {len(acknowledged)} were acknowledged"
    equal(lost, [], f"lost of {len(acknowledged)}")


@restart_check
def idempotence_survives_a_kill(t):
    topic, connection = t.topic(), t.raw()
    _, producer_id, epoch = connection.init_producer(None)
    equal(connection.produce(topic, 0, batch([b"x"], producer_id, epoch, 0)), (0, 0), "first")
    t.restart()
    connection = t.raw()
    equal(connection.produce(topic, 0, batch([b"x"], producer_id, epoch, 0)), (0, 0), "repeated")
    equal(connection.produce(topic, 0, batch([b"x"], producer_id, epoch, 2))[0], OUT_OF_ORDER, "gap")
    other = connection.init_producer(None)[1]
    assert other != producer_id, "a producer id was handed out twice"


@restart_check
def a_zombie_is_fenced_after_a_kill_too(t):
    topic, transactional_id, connection = t.topic(), name("tx"), t.raw()
    old = connection.init_producer(transactional_id)[1:]
    connection.add_partitions(transactional_id, old, topic, [0])
    equal(
        connection.produce(topic, 0, batch([b"zombie"], *old, 0, transactional=True), transactional_id),
        (0, 0),
        "produce",
    )
    new = connection.init_producer(transactional_id)[1:]
    t.restart()
    connection = t.raw()
    assert connection.produce(topic, 0, batch([b"y"], *old, 1, transactional=True), transactional_id)[0] in (
        INVALID_EPOCH,
        FENCED,
    ), "Produce"
    assert connection.end_txn(transactional_id, old, True) in (INVALID_EPOCH, FENCED), "EndTxn"
    assert connection.init_producer(transactional_id, current=old)[0] in (INVALID_EPOCH, FENCED), "InitProducerId"
    equal(connection.add_partitions(transactional_id, new, topic, [0]), 0, "the owner goes on")
    equal(t.read(topic), [], "read_committed")


@restart_check
def an_open_transaction_survives_a_kill_and_can_be_committed(t):
    topic, group, transactional_id, connection = t.topic(), name("g"), name("tx"), t.raw()
    producer = connection.init_producer(transactional_id)[1:]
    connection.add_partitions(transactional_id, producer, topic, [0])
    connection.produce(topic, 0, batch([b"x"], *producer, 0, transactional=True), transactional_id)
    connection.add_offsets(transactional_id, producer, group)
    equal(connection.txn_offset_commit(transactional_id, producer, group, topic, 0, 7), 0, "offset")
    t.restart()
    connection = t.raw()
    equal(t.read(topic), [], "before the commit")
    equal(connection.offset_fetch(group, topic, 0)[0], UNSTABLE, "offset before the commit")
    equal(connection.end_txn(transactional_id, producer, True), 0, "commit")
    equal(t.read(topic), ["x"], "after the commit")
    equal(connection.offset_fetch(group, topic, 0), (0, 7), "offset after the commit")


@restart_check
def an_open_transaction_of_a_dead_producer_times_out_after_a_kill(t):
    topic, transactional_id, connection = t.topic(), name("tx"), t.raw()
    producer = connection.init_producer(transactional_id, timeout=3000)[1:]
    connection.add_partitions(transactional_id, producer, topic, [0])
    connection.produce(topic, 0, batch([b"x"], *producer, 0, transactional=True), transactional_id)
    t.restart()
    connection = t.raw()
    wait_until(lambda: connection.list_offsets(topic, 0, -1, committed=True)[2] == 2, "the transaction is aborted")
    equal(t.read(topic), [], "values")


@restart_check
def group_offsets_and_topics_survive_a_kill(t):
    topic, group, connection = t.topic(3, {"cleanup.policy": "compact"}), name("g"), t.raw()
    equal(connection.offset_commit(group, -1, "", topic, 2, 42), 0, "commit")
    t.restart()
    equal(t.raw().offset_fetch(group, topic, 2), (0, 42), "offset")
    equal(len(t.admin().list_topics(topic, timeout=10).topics[topic].partitions), 3, "partitions")


@restart_check
def transactional_clients_go_on_after_a_kill(t):
    topic = t.topic()
    producer = t.transactional(timeout=30000)
    committed = []
    for round in range(30):
        if round in (10, 20):
            t.kill()
            threading.Timer(0.5, t.start).start()
        producer.begin_transaction()
        producer.produce(topic, str(round), partition=0)
        while True:
            try:
                producer.commit_transaction(30)
                committed.append(str(round))
                break
            except KafkaException as error:
                if error.args[0].retriable():
                    continue
                if error.args[0].txn_requires_abort():
                    producer.abort_transaction(30)
                    break
                raise
    equal(t.read(topic), committed, "values")


# ----------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", help="host:port of a running broker")
    parser.add_argument("--broker", help="command that runs a broker; {data} and {port} are filled in")
    parser.add_argument("--only", help="run only checks whose name contains this")
    arguments = parser.parse_args()
    if bool(arguments.bootstrap) == bool(arguments.broker):
        parser.error("give either --bootstrap or --broker")
    context = Context(arguments.bootstrap, arguments.broker)
    failed = count = 0
    try:
        for function, kills in CHECKS:
            title = function.__name__.replace("_", " ")
            if (kills and not context.command) or (arguments.only and arguments.only not in title):
                continue
            count += 1
            began = time.monotonic()
            try:
                function(context)
                print(f"ok    {title} ({time.monotonic() - began:.1f} s)", flush=True)
            except Exception as error:
                failed += 1
                where = traceback.extract_tb(error.__traceback__)
                line = next((f.lineno for f in reversed(where) if f.filename == __file__ and f.name != "equal"), 0)
                print(f"FAIL  {title}, line {line}: {type(error).__name__}: {error}", flush=True)
    finally:
        context.stop()
    print(f"{count - failed} of {count} checks passed")
    return 1 if failed or not count else 0


if __name__ == "__main__":
    sys.exit(main())
