"""Transactional commits without a client library: what the broker itself takes of a commit's latency.

Each producer has a connection and sends AddPartitionsToTxn, Produce and EndTxn, one after the other, at fixed times.
"""

import statistics
import threading
import time

from confluent_kafka.admin import AdminClient, NewTopic
from kafka_wire import Connection, batch

TOPIC, PARTITIONS, SIZE = "raw-commits", 8, 256


class Committer(threading.Thread):
    def __init__(self, bootstrap, number):
        super().__init__(daemon=True)
        self.connection, self.number, self.took = Connection(bootstrap), number, []
        self.name = f"raw-{number}"
        error, *self.producer = self.connection.init_producer(self.name)
        assert error == 0, f"InitProducerId: error {error}"
        self.sequence = 0

    def schedule(self, start, period, count):
        self.due = [start + period * turn for turn in range(count)]

    def run(self):
        for due in self.due:
            time.sleep(max(0.0, due - time.monotonic()))
            self.commit()

    def commit(self):
        partition = self.number % PARTITIONS
        record = batch([b"x" * SIZE], *self.producer, self.sequence, transactional=True)
        self.sequence += 1
        began = time.monotonic()
        error = self.connection.add_partitions(self.name, self.producer, TOPIC, [partition])
        assert error == 0, f"AddPartitionsToTxn: error {error}"
        error, _ = self.connection.produce(TOPIC, partition, record, transactional_id=self.name)
        assert error == 0, f"Produce: error {error}"
        error = self.connection.end_txn(self.name, self.producer, True)
        assert error == 0, f"EndTxn: error {error}"
        self.took.append(time.monotonic() - began)


def measure(broker, producers, pace, seconds):
    """The three requests together, in milliseconds: the median and the 99th percentile."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 2})
    if TOPIC not in admin.list_topics(timeout=20).topics:
        admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result(20)
    committers = [Committer(broker.bootstrap, number) for number in range(producers)]
    start, count = time.monotonic() + 0.2, int(seconds * pace)
    for committer in committers:
        committer.schedule(start + committer.number / producers / pace, 1 / pace, count)
        committer.start()
    for committer in committers:
        committer.join()
        assert len(committer.took) == count, f"{committer.name} has failed"
    cuts = statistics.quantiles([took * 1000 for committer in committers for took in committer.took], n=100)
    return cuts[49], cuts[98]
