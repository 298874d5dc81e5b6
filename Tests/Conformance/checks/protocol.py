"""Frames, versions, metadata."""

import os
import random
import struct

from kafka_wire import Closed, batch, string
from support import UNSUPPORTED_VERSION, check, equal, name


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
        b"\x60" + os.urandom(64),
        struct.pack(">i", 40)
        + struct.pack(">hhi", 3, 1, 1)
        + struct.pack(">h", -1)
        + struct.pack(">i", 2**31 - 1)
        + b"x" * 26,
    ]:
        hostile = t.raw()
        hostile.socket.settimeout(15)
        try:
            hostile.send(frame)
            hostile.frame()
        except TimeoutError:
            raise AssertionError(f"{frame[:8].hex()}… leaves the connection open") from None
        except OSError:
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
