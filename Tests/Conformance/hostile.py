#!/usr/bin/env python3
"""Hostile clients of the broker, next to a witness who must not notice.

    hostile.py [--broker COMMAND] [--seed S] [--only WORD]

While a witness produces and fetches at a steady rate, one attack after the other is made: claimed sizes, cut frames,
nonsense in every API, half-sent large frames, thousands of idle connections, clients that do not read, a greedy
pipeliner, long polls without end. Each line says the peak of the broker's memory during the attack and the slowest
answer to the witness. At the end every record that was acknowledged must be there, once and unchanged, also after a
restart.
"""

import argparse
import contextlib
import os
import pathlib
import random
import resource
import socket
import struct
import sys
import threading
import time

from broker_process import DEFAULT_COMMAND, BrokerProcess, wait_until
from kafka_wire import Closed, Connection, Reader, batch, string

MEMORY_LIMIT = 400.0  # megabytes resident, whatever clients do
# Seconds until an answer. A healthy broker needs milliseconds, but the witness shares its processors and its Python
# with who attacks; that nobody starves is what it shows.
WITNESS_LIMIT = 5.0
IDLE_CONNECTIONS = 5000
FRAME_LIMIT = 32 << 20
MOST_IN_SOCKETS = 64 << 20  # bytes; what the buffers of a socket hold is less


class Witness(threading.Thread):
    """An honest client: produces a record and fetches it back, again and again."""

    def __init__(self, bootstrap):
        super().__init__(daemon=True)
        self.connection = Connection(bootstrap, timeout=30)
        self.ended, self.failure = threading.Event(), None
        self.acknowledged, self.slowest = [], 0.0
        create_topic(self.connection, "witness")

    def run(self):
        try:
            while not self.ended.wait(0.01):
                number = len(self.acknowledged)
                value = f"{number} {os.urandom(8).hex()}".encode()
                began = time.monotonic()
                error, offset = self.connection.produce("witness", 0, batch([value]))
                assert (error, offset) == (0, number), f"produce {number} was answered with {error}, {offset}"
                self.acknowledged.append(value)
                fetched = self.connection.fetch("witness", 0, number)
                assert value in fetched["records"], f"record {number} was not fetched: {fetched}"
                self.slowest = max(self.slowest, time.monotonic() - began)
        except Exception as error:
            self.failure = error


def create_topic(connection, topic):
    body = struct.pack(">i", 1) + string(topic) + struct.pack(">ihii", 1, 1, 0, 0) + struct.pack(">ib", 10000, 0)
    reader = connection.call(19, 3, body)
    reader.take("ii"), reader.string()
    assert reader.take("h") == 0, f"topic {topic} was not made"


def announced(connection):
    """(API, lowest, highest version) of everything that the broker says it speaks."""
    reader = connection.call(18, 0, b"")
    assert reader.take("h") == 0
    return [reader.take("hhh") for _ in range(reader.take("i"))]


def is_closed(connection, timeout=10.0):
    """Whether the broker closes the connection, whatever it answers before."""
    connection.socket.settimeout(timeout)
    try:
        while connection.socket.recv(65536):
            pass
        return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False


# ---------------------------------------------------------------- the attacks


def claimed_sizes(broker, chance):
    """Lengths that no request has, up to 2 GiB, each on twenty connections."""
    claims = [2**31 - 1, 2**31 - 9, 1 << 30, FRAME_LIMIT + 1, 7, 1, 0, -1, -(2**31)]
    for claim in claims:
        for _ in range(20):
            connection = Connection(broker.bootstrap)
            connection.send(struct.pack(">i", claim) + chance.randbytes(chance.randrange(16)))
            assert is_closed(connection), f"a claim of {claim} bytes did not close its connection"
            connection.close()
    return f"{len(claims) * 20} connections, all closed"


def cut_frames(broker, chance):
    """A valid request, cut at every byte, ended by FIN or by RST."""
    body = string(None) + struct.pack(">hii", -1, 1000, 1) + string("witness")
    records = batch([b"never"])
    body += struct.pack(">iii", 1, 0, len(records)) + records
    request = struct.pack(">hhi", 0, 7, 1) + string("cut") + body
    frame = struct.pack(">i", len(request)) + request
    for length in range(len(frame)):
        connection = Connection(broker.bootstrap)
        connection.send(frame[:length])
        if chance.random() < 0.5:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    return f"{len(frame)} cuts"


def nonsense_in_every_api(broker, chance):
    """Every API and version with random bodies and with lengths of 2^31 - 1 inside."""
    connection = Connection(broker.bootstrap)
    versions = [(api, version) for api, low, high in announced(connection) for version in range(low, high + 1)]
    connection.close()
    count = 0
    for api, version in versions:
        for body in (
            b"",
            b"\xff" * 64,
            b"\x7f" + b"\xff" * 63,
            b"\0\0" + b"\x7f\xff\xff\xff" * 16,
            b"\xff\xff\xff\xff\x07" * 12,
            chance.randbytes(chance.randrange(1, 200)),
            chance.randbytes(chance.randrange(1, 2000)),
        ):
            connection = Connection(broker.bootstrap)
            header = struct.pack(">hhi", api, version, 1) + string("nonsense")
            for lead in (b"", b"\0"):
                connection.send(struct.pack(">i", len(header + lead + body)) + header + lead + body)
                count += 1
            connection.close()
    return f"{count} requests of {len(versions)} API versions"


def half_sent_frames(broker, chance):
    """Many connections that each send most of a frame of the largest size, and then nothing."""
    block, connections, total = chance.randbytes(1 << 20), [], 0
    try:
        for _ in range(40):
            connection = Connection(broker.bootstrap)
            connections.append(connection)
            connection.send(struct.pack(">i", FRAME_LIMIT - 100) + struct.pack(">hhi", 0, 7, 1))
            connection.socket.settimeout(0.25)
            try:
                for _ in range((FRAME_LIMIT >> 20) - 1):
                    connection.send(block)
                    total += len(block)
            except OSError:
                pass  # The broker does not read on, or has closed: both are fine.
        time.sleep(1)
    finally:
        for connection in connections:
            connection.close()
    return f"{len(connections)} connections, {total >> 20} MB taken by sockets"


def idle_connections(broker, chance):
    """Thousands of connections that send nothing, or three bytes; everybody is still served."""
    connections = []
    try:
        for number in range(IDLE_CONNECTIONS):
            connection = socket.create_connection(("127.0.0.1", broker.port), timeout=30)
            if number % 2:
                connection.sendall(b"\0\0\0")
            connections.append(connection)
        wait_until(lambda: broker.descriptors() > IDLE_CONNECTIONS, "all connections are accepted", 30)
        resident = broker.memory()[0]
        last = Connection(broker.bootstrap)
        assert announced(last), "the last client is not served"
        last.close()
    finally:
        for connection in connections:
            connection.close()
    wait_until(lambda: broker.descriptors() < 200, "the broker has let all connections go", 30)
    return f"{IDLE_CONNECTIONS} connections at {resident:.0f} MB, all let go"


def slow_readers(broker, chance):
    """Fifty clients that ask for megabytes again and again and never read an answer."""
    filler = Connection(broker.bootstrap)
    create_topic(filler, "large")
    block = batch([chance.randbytes(900_000)])
    for _ in range(20):
        assert filler.produce("large", 0, block)[0] == 0
    filler.close()
    connections = []
    try:
        for _ in range(50):
            connection = Connection(broker.bootstrap)
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.socket.settimeout(0.5)
            connections.append(connection)
            try:
                for _ in range(500):
                    connection.fetch_request("large", 0, 0, max_bytes=1 << 30, partition_bytes=1 << 30)
            except OSError:
                pass
        time.sleep(2)
    finally:
        for connection in connections:
            connection.close()
    return "50 clients, 500 fetches of all they can get each, nothing read"


def greedy_pipeliner(broker, chance):
    """One client sends as fast as it can and reads only afterwards; its answers come complete and in order."""
    connection = Connection(broker.bootstrap)
    create_topic(connection, "greedy")
    records = batch([b"x" * 1000])
    body = string(None) + struct.pack(">hii", -1, 10000, 1) + string("greedy")
    body += struct.pack(">iii", 1, 0, len(records)) + records
    first, count = connection.correlation + 1, 100_000
    reader_failure = []

    def read():
        try:
            time.sleep(2)
            for number in range(count):
                reader = Reader(connection.frame())
                assert reader.take("i") == first + number, f"answer {number} is out of order"
                reader.take("i"), reader.string(), reader.take("i")
                _, error, offset, _, _ = reader.take("ihqqq")
                assert (error, offset) == (0, number), f"produce {number} was answered with {error}, {offset}"
        except Exception as error:
            reader_failure.append(error)

    connection.socket.settimeout(60)
    thread = threading.Thread(target=read)
    thread.start()
    pending = bytearray()
    for number in range(count):
        header = struct.pack(">hhi", 0, 7, first + number) + string("greedy")
        pending += struct.pack(">i", len(header) + len(body)) + header + body
        if len(pending) > 1 << 20:
            connection.send(pending)
            pending = bytearray()
    connection.send(pending)
    thread.join()
    assert not reader_failure, f"{reader_failure[0]!r}"
    connection.close()
    return f"{count} produce requests before the first answer was read"


def endless_long_polls(broker, chance):
    """Clients that pipeline fetches which have to wait: the broker takes up only so many of each."""
    topic, connections, sizes = "quiet", [], []
    create = Connection(broker.bootstrap)
    create_topic(create, topic)
    create.close()
    body = struct.pack(">iiiibii", -1, 30000, 1, 1 << 20, 0, 0, -1) + struct.pack(">i", 1) + string(topic)
    body += struct.pack(">iiiqqi", 1, 0, -1, 0, -1, 1 << 20) + struct.pack(">i", 0) + string("")
    request = struct.pack(">hhi", 1, 11, 1) + string("patient") + body
    block = (struct.pack(">i", len(request)) + request) * 1000
    try:
        for _ in range(4):
            connection = Connection(broker.bootstrap, timeout=1)
            connections.append(connection)
            sizes.append(0)
            with contextlib.suppress(TimeoutError):
                while sizes[-1] < MOST_IN_SOCKETS:
                    connection.send(block)
                    sizes[-1] += len(block)
        assert max(sizes) < MOST_IN_SOCKETS, f"the broker took {max(sizes) >> 20} MB of fetches and answered none"
    finally:
        for connection in connections:
            connection.close()
    return f"{len(connections)} clients were held up after at most {max(sizes) >> 10} kB"


ATTACKS = [
    claimed_sizes,
    cut_frames,
    nonsense_in_every_api,
    half_sent_frames,
    idle_connections,
    slow_readers,
    greedy_pipeliner,
    endless_long_polls,
]


# ---------------------------------------------------------------- the verdict


def values_of(records):
    """The values of a run of whole, uncompressed, single-record batches; what is cut off at the end is left out."""
    values, at = [], 0
    while at + 12 <= len(records):
        length = struct.unpack_from(">i", records, at + 8)[0]
        if at + 12 + length > len(records):
            break
        reader = Reader(records[at + 61 : at + 12 + length])

        def varint(reader=reader):
            raw = reader.uvarint()
            return (raw >> 1) ^ -(raw & 1)

        varint(), reader.take("b"), varint(), varint()
        length_of_key = varint()
        reader.at += max(0, length_of_key)
        length_of_value = varint()
        values.append(bytes(reader.data[reader.at : reader.at + length_of_value]))
        at += 12 + length
    return values


def witnessed(bootstrap):
    connection, values = Connection(bootstrap), []
    while True:
        found = values_of(connection.fetch("witness", 0, len(values))["records"])
        if not found:
            connection.close()
            return values
        values += found


def reset_peak(broker):
    pathlib.Path(f"/proc/{broker.process.pid}/clear_refs").write_text("5")


def attack(function, broker, witness, seed):
    """One line about the attack; raises what is wrong."""
    reset_peak(broker)
    witness.slowest = 0.0
    said = function(broker, random.Random(seed))
    time.sleep(0.1)
    peak = broker.memory()[1]
    assert broker.process.poll() is None, f"the broker has ended:\n{broker.log_tail()}"
    assert witness.failure is None, f"the witness was hurt: {witness.failure!r}"
    assert witness.is_alive(), "the witness has ended"
    assert peak <= MEMORY_LIMIT, f"the broker took {peak:.0f} MB; the limit is {MEMORY_LIMIT:.0f} ({said})"
    slowest = witness.slowest
    assert slowest <= WITNESS_LIMIT, f"the witness waited {slowest:.1f} s for an answer ({said})"
    return f"{said}; peak {peak:.0f} MB; slowest answer to the witness {slowest * 1000:.0f} ms"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", default=DEFAULT_COMMAND, help="command with {data} and {port}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="only attacks whose name contains this")
    options = parser.parse_args()
    needed = IDLE_CONNECTIONS + 1000
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    failed = 0
    with BrokerProcess(options.broker) as broker:
        witness = Witness(broker.bootstrap)
        witness.start()
        for function in ATTACKS:
            title = function.__name__.replace("_", " ")
            if options.only not in title:
                continue
            try:
                print(f"ok    {title}: {attack(function, broker, witness, options.seed)}", flush=True)
            except (Exception, Closed) as error:
                failed += 1
                print(f"FAIL  {title}: {type(error).__name__}: {error} (--seed {options.seed})", flush=True)
        witness.ended.set()
        witness.join(30)
        for moment in ("after the attacks", "after a kill"):
            good = witnessed(broker.bootstrap) == witness.acknowledged
            failed += not good
            print(f"{'ok  ' if good else 'FAIL'}  {len(witness.acknowledged)} records are intact {moment}", flush=True)
            broker.restart()
        print(f"      resident after a restart: {broker.memory()[0]:.0f} MB")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
