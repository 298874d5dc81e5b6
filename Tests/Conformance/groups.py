#!/usr/bin/env python3
"""Consumer groups of the broker under churn.

    groups.py [--broker COMMAND] [--seed S] [--changes N] [--shared-generation]

1. A member process is killed with SIGKILL: after its session time-out, and not before, its partitions belong to the
   member that is left, which goes on at the committed offset.
2. Per assignment strategy (range, cooperative-sticky) eight members join and leave 50 times while records arrive: no
   record is lost, and no partition is processed by two members in one generation.

--shared-generation makes the members lie about their generation (all say 1), to see that the second check can fail.
"""

import argparse
import collections
import concurrent.futures
import os
import random
import select
import signal
import struct
import subprocess
import sys
import threading
import time

from broker_process import DEFAULT_COMMAND, BrokerProcess, wait_until
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 16
MEMBERS = 8
SESSION_TIMEOUT = 6.0
QUIET = {"log_level": 2}


def consumer_of(bootstrap, group, strategy):
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": strategy,
            "session.timeout.ms": int(SESSION_TIMEOUT * 1000),
            "heartbeat.interval.ms": 250,
            **QUIET,
        }
    )


def generation_of(consumer):
    """The generation that the client believes in, out of its serialised group metadata."""
    data = consumer.consumer_group_metadata()
    magic = b"CGMDv2:"
    assert data.startswith(magic), f"unknown form of group metadata: {data[:8]}"
    return struct.unpack_from("=i", data, len(magic))[0]


class Member(threading.Thread):
    """Processes records, noting for each who had it in which generation; commits what it has processed."""

    def __init__(self, name, bootstrap, group, topic, strategy, ledger):
        super().__init__(daemon=True)
        self.label, self.topic, self.ledger = name, topic, ledger
        self.cooperative = strategy.startswith("cooperative")
        self.leaving, self.failure = threading.Event(), None
        self.uncommitted = {}
        self.consumer = consumer_of(bootstrap, group, strategy)

    def run(self):
        try:
            self.consumer.subscribe([self.topic], on_revoke=self.revoked, on_lost=self.lost)
            while not self.leaving.is_set():
                for message in self.consumer.consume(20, 0.05):
                    if message.error():
                        continue
                    self.ledger.note(generation_of(self.consumer), self.label, message)
                    self.uncommitted[message.partition()] = message.offset() + 1
                self.commit()
            self.commit()
        except Exception as error:
            self.failure = error
        finally:
            self.consumer.close()

    def commit(self):
        """Refusals are no failure: the next owner then processes the records again, in a later generation."""
        offsets = [TopicPartition(self.topic, partition, offset) for partition, offset in self.uncommitted.items()]
        if offsets:
            try:
                self.consumer.commit(offsets=offsets, asynchronous=False)
                self.uncommitted.clear()
            except KafkaException as error:
                self.ledger.refused[error.args[0].name()] += 1

    def revoked(self, consumer, partitions):
        self.commit()
        self.lost(consumer, partitions)

    def lost(self, consumer, partitions):
        for entry in partitions:
            self.uncommitted.pop(entry.partition, None)
        if self.cooperative:
            consumer.incremental_unassign(partitions)
        else:
            consumer.unassign()


class Ledger:
    def __init__(self, shared_generation):
        self.lock = threading.Lock()
        self.shared_generation = shared_generation
        self.owners = collections.defaultdict(set)  # (generation, partition) -> names of members
        self.processed = collections.Counter()  # values
        self.refused = collections.Counter()  # commits, by error

    def note(self, generation, member, message):
        with self.lock:
            self.owners[(1 if self.shared_generation else generation, message.partition())].add(member)
            self.processed[message.value()] += 1


class Feeder(threading.Thread):
    def __init__(self, bootstrap, topic):
        super().__init__(daemon=True)
        self.topic, self.count, self.enough = topic, 0, threading.Event()
        self.producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 1, "enable.idempotence": True, **QUIET})

    def run(self):
        while not self.enough.wait(0.01):
            for _ in range(PARTITIONS):
                self.producer.produce(self.topic, str(self.count), partition=self.count % PARTITIONS)
                self.count += 1
            self.producer.poll(0)
        self.left = self.producer.flush(30)


def create(admin, topic):
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(20)


def churn(bootstrap, strategy, seed, changes, shared_generation):
    """Returns what was seen, as a sentence; raises if something is wrong."""
    group = topic = f"churn-{strategy}"
    admin = AdminClient({"bootstrap.servers": bootstrap, **QUIET})
    create(admin, topic)
    chance, ledger = random.Random(seed), Ledger(shared_generation)
    feeder, members, gone = Feeder(bootstrap, topic), {}, []
    feeder.start()

    def join(slot):
        members[slot] = Member(f"{slot}.{len(gone)}", bootstrap, group, topic, strategy, ledger)
        members[slot].start()

    try:
        for slot in range(MEMBERS):
            join(slot)
        wait_until(lambda: len(ledger.processed) > 0, "the first record is processed", 30)
        for _ in range(changes):
            time.sleep(chance.uniform(0.05, 0.7))
            slot = chance.randrange(MEMBERS)
            if slot in members and len(members) > 1:
                member = members.pop(slot)
                member.leaving.set()
                gone.append(member)
            elif slot not in members:
                join(slot)
        feeder.enough.set()
        feeder.join()
        assert feeder.left == 0, f"{feeder.left} records were not acknowledged"
        for slot in set(range(MEMBERS)) - set(members):
            join(slot)
        wait_until(
            lambda: len(ledger.processed) == feeder.count, f"{strategy}: all {feeder.count} records are processed", 60
        )
    finally:
        feeder.enough.set()
        for member in [*members.values(), *gone]:
            member.leaving.set()
        for member in [*members.values(), *gone]:
            member.join(30)
    failures = [repr(member.failure) for member in [*members.values(), *gone] if member.failure]
    assert not failures, f"{strategy}: {len(failures)} members failed, first: {failures[0]}"
    shared = {place: sorted(names) for place, names in ledger.owners.items() if len(names) > 1}
    assert not shared, f"{strategy}: processed by two members of one generation: {list(shared.items())[:3]}"
    found = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(10)
    committed = sum(entry.offset for entry in found.topic_partitions)
    assert committed == feeder.count, f"{strategy}: {committed} of {feeder.count} records are committed"
    generations = {generation for generation, _ in ledger.owners}
    repeated = sum(ledger.processed.values()) - feeder.count
    refused = ", ".join(f"{count} {name}" for name, count in ledger.refused.items()) or "none"
    return (
        f"{strategy}: {changes} joins and leaves of {MEMBERS} members, {len(generations)} generations, "
        f"{feeder.count} records, 0 lost, {repeated} processed again; commits refused: {refused}"
    )


def dead_member(bootstrap):
    """Kills a member process; its partitions must change hands after the session time-out, and not before."""
    group = topic = "dead-member"
    create(AdminClient({"bootstrap.servers": bootstrap, **QUIET}), topic)
    producer = Producer({"bootstrap.servers": bootstrap, **QUIET})
    for number in range(PARTITIONS):
        producer.produce(topic, b"before", partition=number)
    producer.flush(20)
    victim = subprocess.Popen([sys.executable, __file__, "--member", bootstrap, group, topic], stdout=subprocess.PIPE)
    heir = consumer_of(bootstrap, group, "range")
    try:
        assert select.select([victim.stdout], [], [], 60)[0], "the first member said nothing within 60 s"
        assert victim.stdout.readline() == b"committed\n", "the first member did not commit"
        received = []

        def heir_owns(count):
            message = heir.poll(0.05)
            if message and not message.error():
                received.append(message)
            return len(heir.assignment()) == count

        heir.subscribe([topic])
        wait_until(lambda: heir_owns(PARTITIONS // 2), "each member has one half", 30)
        time.sleep(0.6)  # Two heartbeats: the session of the victim is fresh.
        victim.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        wait_until(lambda: heir_owns(PARTITIONS), "the heir owns all partitions", SESSION_TIMEOUT + 20)
        took = time.monotonic() - killed
        # The victim may have been held up before it was killed, and the heir after that.
        assert took > SESSION_TIMEOUT / 2, f"the member was evicted after {took:.1f} s, before its session time-out"
        assert took < SESSION_TIMEOUT + 15, f"the member was evicted only after {took:.1f} s"
        for number in range(PARTITIONS):
            producer.produce(topic, b"after", partition=number)
        producer.flush(20)
        wait_until(lambda: heir_owns(PARTITIONS) and len(received) == PARTITIONS, "the heir reads every partition", 20)
        values = collections.Counter(message.value() for message in received)
        assert values == {b"after": PARTITIONS}, f"the heir did not go on at the committed offsets: {values}"
        return f"a killed member's partitions changed hands after {took:.1f} s (session time-out {SESSION_TIMEOUT} s)"
    finally:
        victim.kill()
        victim.wait()
        victim.stdout.close()
        heir.close()


def member_process(bootstrap, group, topic):
    """The victim: reads and commits everything, says so, and goes on polling until it is killed."""
    consumer = consumer_of(bootstrap, group, "range")
    consumer.subscribe([topic])
    count = 0
    while True:
        message = consumer.poll(0.1)
        if message and not message.error():
            count += 1
            if count == PARTITIONS:
                consumer.commit(asynchronous=False)
                os.write(1, b"committed\n")


def main():
    if sys.argv[1:2] == ["--member"]:
        return member_process(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", default=DEFAULT_COMMAND, help="command with {data} and {port}")
    parser.add_argument("--changes", type=int, default=50, help="joins and leaves per strategy (default 50)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shared-generation", action="store_true", help="the churn must fail")
    options = parser.parse_args()
    failed = 0
    with BrokerProcess(options.broker) as broker, concurrent.futures.ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(dead_member, broker.bootstrap)]
        for strategy in ("range", "cooperative-sticky"):
            runs.append(
                pool.submit(churn, broker.bootstrap, strategy, options.seed, options.changes, options.shared_generation)
            )
        for run in runs:
            try:
                print(f"ok    {run.result()}", flush=True)
            except Exception as error:
                failed += 1
                print(f"FAIL  {type(error).__name__}: {error} (--seed {options.seed})", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
