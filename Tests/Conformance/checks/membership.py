"""Consumer groups."""

import random
import threading
import time

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from support import FENCED_INSTANCE, ILLEGAL_GENERATION, UNKNOWN_MEMBER, check, equal, name, wait_until

# MESSAGE_TOO_LARGE, INVALID_REQUEST, POLICY_VIOLATION, GROUP_MAX_SIZE_REACHED
REFUSALS = (10, 42, 44, 81)


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


@check
def a_static_leader_that_comes_back_does_not_assign_again(t):
    group = name("g")
    first, connection = t.raw(), t.raw()
    joined = first.join_static(group, "one")
    equal(joined["error"], 0, "join")
    equal((joined["leader"], joined["skip"]), (joined["member"], False), "leader and whether to skip the assignment")
    generation = joined["generation"]
    kept = first.sync_static(group, "one", generation, joined["member"], {joined["member"]: b"all of it"})
    equal(kept, (0, b"all of it"), "assignment")
    first.close()
    # The process is started again: the same instance, another member, and no new generation.
    back = connection.join_static(group, "one")
    equal((back["error"], back["generation"]), (0, generation), "join of the successor")
    assert back["member"] != joined["member"], "the successor has its predecessor's member id"
    equal((back["leader"], back["skip"]), (back["member"], True), "leader and whether to skip the assignment")
    equal(back["members"], [back["member"]], "members that the leader is told of")
    equal(connection.sync_static(group, "one", generation, back["member"], {}), (0, b"all of it"), "assignment")
    late = t.raw().sync_static(group, "one", generation, joined["member"], {})
    equal(late[0], FENCED_INSTANCE, "sync of the predecessor")


@check
def a_member_that_says_too_much_is_refused(t):
    group, connection = name("g"), t.raw()
    big = connection.join_static(group, "one", metadata=b"x" * (9 << 20))
    assert big["error"] in REFUSALS, f"nine megabytes of metadata: error {big['error']}"
    long = t.raw().join_static(group, "i" * 30_000)
    assert long["error"] in REFUSALS, f"an instance id of 30,000 bytes: error {long['error']}"
    equal(connection.join_static(group, "one")["error"], 0, "join after that")


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
        wait_until(lambda: len(seen) == count, "all records are consumed", 180)
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
