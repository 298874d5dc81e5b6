"""A transactional worker of the soak test, on confluent-kafka: consume, count, produce, send offsets, commit.

    soak_worker.py BOOTSTRAP GROUP SOURCE TARGET TRANSACTIONAL_ID INSTANCE SEED

INSTANCE "-": a dynamic member of the group; else the group.instance.id of a static one. Each record of SOURCE (key
"0" to "15") becomes one of TARGET, in the same partition: "<partition> <offset> <value> <key> <n>", where n counts the
records of that key in that partition. The counts travel in the metadata of the committed offset, so that a successor
goes on counting; a lost, repeated or half-done transaction shows as a wrong n. soak_worker.c is the same in C.
"""

import faulthandler
import random
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from kafka_wire import Connection

KEYS = 16
ABORTS = 0.15
# librdkafka doubles its pause between attempts up to 10 s, which is as long as a transaction may take.
COMMON = {"reconnect.backoff.max.ms": 500, "log_level": 2}
# Some calls of librdkafka wait without an end if the broker goes at the wrong moment. Who supervises such a process
# starts it again; so does the soak test.
STUCK = 45


class Worker:
    def __init__(self, bootstrap, group, source, target, transactional_id, instance, seed):
        self.bootstrap, self.group, self.source, self.target = bootstrap, group, source, target
        self.random = random.Random(int(seed))
        self.states = {}  # partition -> (next offset, counts by key), as committed
        self.open = None  # the same as it will be, of the partitions that the open transaction has touched
        self.producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "transactional.id": transactional_id,
                "transaction.timeout.ms": 10000,
                "message.timeout.ms": 10000,
                "linger.ms": 1,
                **COMMON,
            }
        )
        settings = {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 500,
            **COMMON,
        }
        if instance != "-":
            settings["group.instance.id"] = instance
        self.consumer = Consumer(settings)

    def run(self):
        while not self.attempt(lambda: self.producer.init_transactions(30)):
            pass
        self.consumer.subscribe([self.source], on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.revoked)
        while True:
            faulthandler.dump_traceback_later(STUCK, exit=True)
            self.turn()

    def turn(self):
        """One transaction over what comes within a few milliseconds; none if nothing comes."""
        limit, until = self.random.randint(1, 80), None
        while limit and (until is None or time.monotonic() < until):
            message = self.consumer.poll(0.5 if until is None else 0.01)
            if message is None:
                if until is None:
                    return
                continue
            if message.error():
                if message.error().retriable() or not message.error().fatal():
                    continue
                raise KafkaException(message.error())
            if message.partition() not in self.states:
                continue
            if self.open is None:
                self.producer.begin_transaction()
                self.open = {}
            if until is None:
                until = time.monotonic() + 0.03
            self.take(message)
            limit -= 1
        if self.open is not None:
            self.finish()

    def take(self, message):
        partition = message.partition()
        if partition not in self.open:
            offset, counts = self.states[partition]
            self.open[partition] = (offset, list(counts))
        expected, counts = self.open[partition]
        if message.offset() < expected:
            return  # What was fetched before a rewind.
        key = int(message.key())
        counts[key] += 1
        text = f"{partition} {message.offset()} {message.value().decode()} {key} {counts[key]}"
        self.producer.produce(self.target, text, partition=partition)
        self.producer.poll(0)
        self.open[partition] = (message.offset() + 1, counts)

    def finish(self):
        lot = self.random.random()
        if lot < ABORTS / 2:
            return self.abort()
        offsets = [
            TopicPartition(self.source, partition, offset, metadata=",".join(map(str, counts)))
            for partition, (offset, counts) in self.open.items()
        ]
        member = self.consumer.consumer_group_metadata()
        if not self.attempt(lambda: self.producer.send_offsets_to_transaction(offsets, member, 30)):
            return self.abort()
        if lot < ABORTS or not self.attempt(lambda: self.producer.commit_transaction(30)):
            return self.abort()
        self.states.update(self.open)
        self.open = None

    def attempt(self, call):
        """Whether the call succeeded; false: the transaction must be aborted. Anything worse ends the process."""
        while True:
            try:
                call()
                return True
            except KafkaException as failure:
                error = failure.args[0]
                if error.retriable():
                    continue
                if error.txn_requires_abort():
                    return False
                raise

    def abort(self, rewind=True):
        touched, self.open = self.open, None
        self.attempt(lambda: self.producer.abort_transaction(30))
        for partition in touched if rewind else []:
            if partition in self.states:
                self.consumer.seek(TopicPartition(self.source, partition, self.states[partition][0]))

    def assigned(self, consumer, partitions):
        deadline = time.monotonic() + 60
        while True:
            try:
                found = [self.restored(entry) for entry in consumer.committed(partitions, timeout=10)]
                break
            except (KafkaException, OSError):
                # The broker is away, or an open transaction has offsets of these partitions.
                if time.monotonic() > deadline:
                    raise
        consumer.assign(found)

    def restored(self, entry):
        if entry.error:
            raise KafkaException(entry.error)
        if entry.offset < 0:
            self.states[entry.partition] = (0, [0] * KEYS)
            return TopicPartition(self.source, entry.partition, 0)
        # Not entry.metadata: confluent-kafka 2.16 takes it for a C string, and writes it as one with its zero byte.
        connection = Connection(self.bootstrap)
        error, offset, metadata = connection.committed(self.group, self.source, entry.partition)
        connection.close()
        if (error, offset) != (0, entry.offset):
            raise OSError(f"offset {entry.offset} is committed, but the raw client got {offset}, error {error}")
        self.states[entry.partition] = (offset, [int(word) for word in metadata.rstrip("\0").split(",")])
        return TopicPartition(self.source, entry.partition, offset)

    def revoked(self, consumer, partitions):
        if self.open is not None:
            self.abort(rewind=False)
        for entry in partitions:
            self.states.pop(entry.partition, None)


if __name__ == "__main__":
    Worker(*sys.argv[1:]).run()
