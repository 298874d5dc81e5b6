"""Transactions, fencing, isolation."""

import threading
import time

from confluent_kafka import KafkaException, TopicPartition
from kafka_wire import batch
from support import FENCED, INVALID_EPOCH, INVALID_TXN_STATE, UNSTABLE, check, equal, name, wait_until


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
    # Also for how long it tries to deliver: a first transaction may take a second.
    producer = t.transactional(timeout=6000)
    producer.begin_transaction()
    producer.produce(topic, "too slow", partition=0)
    producer.flush(10)
    t.send(topic, "after")
    connection = t.raw()
    wait_until(
        lambda: connection.list_offsets(topic, 0, -1, committed=True)[2] == 3, "the last stable offset moves on", 40
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


@check
def nothing_of_a_transaction_is_seen_before_all_of_it(t):
    topic, transactional_id, connection = t.topic(8), name("tx"), t.raw()
    producer = connection.init_producer(transactional_id)[1:]
    stop, partial = threading.Event(), []

    def look():
        reader = t.raw()
        while not stop.is_set():
            # From the highest down: a later look at a lower partition must not see less.
            ends = [reader.list_offsets(topic, partition, -1, committed=True)[2] for partition in reversed(range(8))]
            if any(later < earlier for earlier, later in zip(ends, ends[1:], strict=False)):
                partial.append(ends)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for round in range(30):
            equal(connection.add_partitions(transactional_id, producer, topic, list(range(8))), 0, "add partitions")
            for partition in range(8):
                records = batch([b"x"], *producer, round, transactional=True)
                equal(connection.produce(topic, partition, records, transactional_id)[0], 0, "produce")
            equal(connection.end_txn(transactional_id, producer, True), 0, "commit")
    finally:
        stop.set()
        thread.join()
    equal(partial, [], "stable ends of the partitions, the last first, that were seen half-way")


@check
def an_end_that_is_repeated_is_answered_the_same_and_the_other_is_refused(t):
    topic, transactional_id, connection = t.topic(), name("tx"), t.raw()
    producer = connection.init_producer(transactional_id)[1:]
    equal(connection.add_partitions(transactional_id, producer, topic, [0]), 0, "add partition")
    equal(
        connection.produce(topic, 0, batch([b"x"], *producer, 0, transactional=True), transactional_id)[0], 0, "produce"
    )
    equal(connection.end_txn(transactional_id, producer, True), 0, "commit")
    equal(connection.end_txn(transactional_id, producer, True), 0, "the same again")
    equal(connection.end_txn(transactional_id, producer, False), INVALID_TXN_STATE, "abort of what is committed")
    equal(connection.list_offsets(topic, 0, -1)[2], 2, "end of the log: one record, one marker")
