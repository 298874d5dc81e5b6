"""How long a broker with much data needs until it serves: after a kill, after a clean stop, with nothing cached.

Beside the bytes there is what a start has to read back: a thousand finished transactions with offsets of groups, open
ones, a compacted topic. What was open before must be open afterwards, and must still commit.
"""

import os
import pathlib
import time

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from kafka_wire import Connection, batch

# Topic: partitions, settings, bytes of a record, most bytes of a batch, share of all bytes. Without linger a batch is
# what has gathered meanwhile, up to that size.
TOPICS = {
    "large": (8, {"retention.ms": "-1"}, 900_000, 1_000_000, 0.6),
    "small": (32, {"retention.ms": "-1"}, 4_000, 16_384, 0.35),
    "changelog": (16, {"cleanup.policy": "compact"}, 4_000, 65_536, 0.05),
}
KEYS = 10_000
TRANSACTION_PARTITIONS, PRODUCERS, FINISHED_EACH = 16, 32, 32
DROP_CACHES = pathlib.Path("/proc/sys/vm/drop_caches")


def fill(broker, gigabytes):
    admin = AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 2})
    new = [NewTopic(name, count, 1, config=config) for name, (count, config, *_) in TOPICS.items()]
    for future in admin.create_topics([*new, NewTopic("transactions", TRANSACTION_PARTITIONS, 1)]).values():
        future.result(20)
    for name, (partitions, _, size, batch_size, share) in TOPICS.items():
        produce(broker, name, partitions, size, batch_size, int(gigabytes * 1e9 * share / size))
    return transactions(broker)


def produce(broker, topic, partitions, size, batch_size, count):
    producer = Producer(
        {
            "bootstrap.servers": broker.bootstrap,
            "message.max.bytes": 1_000_000,
            "batch.size": batch_size,
            "linger.ms": 0,
            "queue.buffering.max.kbytes": 65_536,
            "log_level": 2,
        }
    )
    value = os.urandom(size)
    for number in range(count):
        while True:
            try:
                producer.produce(topic, value, key=str(number % KEYS), partition=number % partitions)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(300) == 0, "not everything was acknowledged"


def transactions(broker):
    """Finished ones, one in four aborted, and an open one of every second producer.

    Returns the open ones: transactional id, producer, partition, and where the partition's last stable offset is.
    """
    connection, opened = Connection(broker.bootstrap), []
    for number in range(PRODUCERS):
        name, partition = f"transactional-{number}", number % TRANSACTION_PARTITIONS
        error, *producer = connection.init_producer(name, timeout=600_000)
        assert error == 0, f"InitProducerId: error {error}"
        for sequence in range(FINISHED_EACH):
            append(connection, name, producer, partition, sequence)
            assert connection.add_offsets(name, producer, f"group-{number}") == 0, "AddOffsetsToTxn failed"
            error = connection.txn_offset_commit(name, producer, f"group-{number}", "small", number, sequence)
            assert error == 0, f"TxnOffsetCommit: error {error}"
            assert connection.end_txn(name, producer, sequence % 4 != 0) == 0, "EndTxn failed"
        # One open transaction in each partition.
        if number >= PRODUCERS - TRANSACTION_PARTITIONS:
            append(connection, name, producer, partition, FINISHED_EACH)
            opened.append((name, producer, partition, connection.fetch("transactions", partition, 0)["stable"]))
    connection.close()
    return opened


def append(connection, name, producer, partition, sequence):
    error = connection.add_partitions(name, producer, "transactions", [partition])
    assert error == 0, f"AddPartitionsToTxn: error {error}"
    record = batch([b"x" * 100], *producer, sequence, transactional=True)
    error, _ = connection.produce("transactions", partition, record, transactional_id=name)
    assert error == 0, f"Produce: error {error}"


def commit_one(broker, opened):
    """What was open is open, and can be committed."""
    connection = Connection(broker.bootstrap)
    for _, _, partition, stable in opened:
        found = connection.fetch("transactions", partition, 0)["stable"]
        assert found == stable, f"partition {partition} is stable up to {found}, it was {stable}"
    name, producer, partition, stable = opened.pop()
    assert connection.end_txn(name, producer, True) == 0, "the open transaction cannot be committed any more"
    assert connection.fetch("transactions", partition, 0)["stable"] > stable, "its commit is not seen"
    connection.close()


def start(broker, opened):
    """Starts the broker; the seconds from then on until it took a connection, answered a produce, a fetch of the oldest
    record of the largest topic, and a commit of what was open before."""
    began, record = time.monotonic(), batch([b"x" * 100])
    broker.start()
    accepted = time.monotonic() - began
    connection = Connection(broker.bootstrap, timeout=120)
    error, _ = connection.produce("small", 0, record)
    produced = time.monotonic() - began
    assert error == 0, f"Produce: error {error}"
    assert len(connection.fetch("large", 0, 0, max_wait=1000)["records"]) >= 900_000, "the first record is not there"
    fetched = time.monotonic() - began
    connection.close()
    commit_one(broker, opened)
    return accepted, produced, fetched, time.monotonic() - began


def end(broker, cleanly):
    if cleanly:
        broker.process.terminate()
        broker.process.wait(60)
    else:
        broker.kill()


def drop_caches():
    """Makes the kernel forget what it has read from the disk; only root may.

    Returns whether it did.
    """
    os.sync()
    try:
        DROP_CACHES.write_text("3\n")
        return True
    except OSError:
        return False


def measure(broker, gigabytes, row):
    began = time.monotonic()
    opened = fill(broker, gigabytes)
    row(f"write {gigabytes:g} GB", f"{gigabytes * 1000 / (time.monotonic() - began):,.0f} MB/s", "", "", "")
    files = [path for path in pathlib.Path(broker.data).rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e9
    log = sum(path.stat().st_size for path in files if path.name.endswith("-wal")) / 1e6
    row("data folder", f"{size:.1f} GB, write-ahead log {log:.0f} MB", "", "", "")
    for cleanly in (False, True):
        for cold in (False, True):
            end(broker, cleanly)
            if cold and not drop_caches():
                broker.start()
                continue
            accepted, produced, fetched, committed = start(broker, opened)
            row(
                f"start-up, {'clean stop' if cleanly else 'killed'}, {'nothing' if cold else 'all'} cached",
                f"ready {accepted:.2f} s, produced {produced:.2f} s, fetched {fetched:.2f} s, "
                f"committed {committed:.2f} s",
                "",
                "",
                "<= 3 s (10 GB)",
            )
