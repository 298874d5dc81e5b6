"""The broker is killed."""

import contextlib
import subprocess
import threading
import time

from broker_process import compile_c
from confluent_kafka import KafkaException
from kafka_wire import ABORT, COMMIT, DATA, batch, kinds_of_batches
from proxy import Proxy
from support import (
    FENCED,
    ILLEGAL_GENERATION,
    INVALID_EPOCH,
    INVALID_TXN_STATE,
    OUT_OF_ORDER,
    UNSTABLE,
    Context,
    equal,
    name,
    restart_check,
    wait_until,
)


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
    try:
        for _ in range(3):
            time.sleep(0.7)
            t.restart()
    finally:
        stop.set()
        thread.join()
    producer.flush(30)
    values = set(t.read(topic))
    lost = [value for value in acknowledged if value not in values]
    assert len(acknowledged) > 100, f"only {len(acknowledged)} were acknowledged"
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged records are lost, first {lost[0]}"


@restart_check
def what_is_acknowledged_under_load_survives_a_kill(t):
    """More is sent than the disk takes at once; the broker is killed while most of it waits."""
    records, sent, enough = batch([b"x" * 300_000]), 300, 60

    def send(connection, topic):
        with contextlib.suppress(OSError):
            for _ in range(sent):
                connection.produce_request(topic, 0, records)

    for _ in range(3):
        topic, connection, acknowledged = t.topic(), t.raw(), 0
        thread = threading.Thread(target=send, args=(connection, topic))
        thread.start()
        with contextlib.suppress(OSError):
            while True:
                equal(connection.produce_answer(), (0, acknowledged), "answer")
                acknowledged += 1
                if acknowledged == enough:
                    t.kill()
        thread.join()
        assert acknowledged >= enough, f"only {acknowledged} batches were acknowledged"
        t.start()
        end = t.raw().list_offsets(topic, 0, -1)[2]
        assert enough <= acknowledged <= end, f"{acknowledged} batches were acknowledged, the log holds {end}"


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


def begin_transaction(t, topic, **settings):
    """A new transactional id, a connection, and a producer that has added the topic's first partition."""
    transactional_id, connection = name("tx"), t.raw()
    producer = connection.init_producer(transactional_id, **settings)[1:]
    equal(connection.add_partitions(transactional_id, producer, topic, [0]), 0, "add partition")
    return transactional_id, connection, producer


@restart_check
def a_zombie_is_fenced_after_a_kill_too(t):
    topic = t.topic()
    transactional_id, connection, old = begin_transaction(t, topic)
    equal(
        connection.produce(topic, 0, batch([b"zombie"], *old, 0, transactional=True), transactional_id),
        (0, 0),
        "produce",
    )
    new = connection.init_producer(transactional_id)[1:]
    t.restart()
    connection, fenced, group = t.raw(), (INVALID_EPOCH, FENCED), name("g")
    records = batch([b"y"], *old, 1, transactional=True)
    assert connection.produce(topic, 0, records, transactional_id)[0] in fenced, "Produce"
    assert connection.add_partitions(transactional_id, old, topic, [0]) in fenced, "AddPartitionsToTxn"
    assert connection.add_offsets(transactional_id, old, group) in fenced, "AddOffsetsToTxn"
    assert connection.txn_offset_commit(transactional_id, old, group, topic, 0, 1) in fenced, "TxnOffsetCommit"
    assert connection.end_txn(transactional_id, old, True) in fenced, "EndTxn"
    assert connection.init_producer(transactional_id, current=old)[0] in fenced, "InitProducerId"
    equal(connection.add_partitions(transactional_id, new, topic, [0]), 0, "the owner goes on")
    equal(t.read(topic), [], "read_committed")


@restart_check
def an_open_transaction_survives_a_kill_and_can_be_committed(t):
    topic, group = t.topic(), name("g")
    transactional_id, connection, producer = begin_transaction(t, topic)
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
    topic = t.topic()
    transactional_id, connection, producer = begin_transaction(t, topic, timeout=6000)
    records = batch([b"x"], *producer, 0, transactional=True)
    equal(connection.produce(topic, 0, records, transactional_id), (0, 0), "produce")
    t.restart()
    connection = t.raw()
    wait_until(lambda: connection.list_offsets(topic, 0, -1, committed=True)[2] == 2, "the transaction is aborted", 40)
    equal(t.read(topic), [], "values")


@restart_check
def markers_survive_a_kill(t):
    topic, transactional_id, connection = t.topic(), name("tx"), t.raw()
    producer = connection.init_producer(transactional_id)[1:]

    def transaction(sequence, commit):
        records = batch([b"%d" % sequence], *producer, sequence, transactional=True)
        equal(connection.add_partitions(transactional_id, producer, topic, [0]), 0, "add partition")
        equal(connection.produce(topic, 0, records, transactional_id)[0], 0, "produce")
        equal(connection.end_txn(transactional_id, producer, commit), 0, "end")

    transaction(0, True)
    transaction(1, False)
    t.restart()
    connection = t.raw()
    equal(connection.list_offsets(topic, 0, -1)[2], 4, "end of the log after the kill")
    transaction(2, True)
    fetched = connection.fetch(topic, 0, 0, committed=True)["records"]
    equal(kinds_of_batches(fetched), [DATA, COMMIT, DATA, ABORT, DATA, COMMIT], "batches from 0")
    equal(t.read(topic), ["0", "2"], "read_committed")


@restart_check
def offsets_of_an_aborted_transaction_do_not_come_back_after_a_kill(t):
    topic, group, transactional_id, connection = t.topic(), name("g"), name("tx"), t.raw()
    producer = connection.init_producer(transactional_id)[1:]
    for offset, commit in ((5, True), (7, False)):
        equal(connection.add_offsets(transactional_id, producer, group), 0, "add offsets")
        equal(connection.txn_offset_commit(transactional_id, producer, group, topic, 0, offset), 0, "offset")
        equal(connection.end_txn(transactional_id, producer, commit), 0, "end")
    t.restart()
    equal(t.raw().offset_fetch(group, topic, 0), (0, 5), "offset after the kill")


@restart_check
def a_silent_member_is_evicted_after_a_kill_too(t):
    topic, group, connection = t.topic(), name("g"), t.raw()
    error, generation, member = connection.join_group(group, session=6000)
    equal(error, 0, "join")
    equal(connection.sync_group(group, generation, member), 0, "sync")
    began = time.monotonic()
    t.restart()
    connection = t.raw()
    stale = connection.offset_commit(group, generation - 1, member, topic, 0, 1)
    equal(stale, ILLEGAL_GENERATION, "commit of an old generation")

    def members():
        # Asks about the group without being one of its members: that would bring about a rebalance.
        return list(t.admin().describe_consumer_groups([group]).values())[0].result(10).members

    equal(len(members()), 1, "members after the kill")
    wait_until(lambda: not members(), "the member whose process was not heard of again is evicted", 20)
    assert time.monotonic() - began > 6, "the member was evicted before its session time-out"


@restart_check
def what_was_added_to_a_transaction_may_be_used_after_a_kill(t):
    """The broker is killed right behind its answer to AddPartitionsToTxn and AddOffsetsToTxn."""
    topic, group, transactional_id, connection = t.topic(2), name("g"), name("tx"), t.raw()
    producer = connection.init_producer(transactional_id)[1:]

    def records(sequence):
        return batch([b"x"], *producer, sequence, transactional=True)

    for partition in (0, 1):
        equal(connection.add_partitions(transactional_id, producer, topic, [partition]), 0, "add partition")
        t.restart()
        connection = t.raw()
        equal(connection.produce(topic, partition, records(0), transactional_id), (0, 0), "produce after the kill")
    equal(connection.add_offsets(transactional_id, producer, group), 0, "add offsets")
    t.restart()
    connection = t.raw()
    equal(connection.txn_offset_commit(transactional_id, producer, group, topic, 0, 7), 0, "offset after the kill")
    equal([t.read(topic, partition) for partition in (0, 1)], [[], []], "values before the commit")
    equal(connection.end_txn(transactional_id, producer, True), 0, "commit")
    equal([t.read(topic, partition) for partition in (0, 1)], [["x"], ["x"]], "values")
    equal(connection.offset_fetch(group, topic, 0), (0, 7), "offset")
    # That transaction has ended: whatever was lost was part of it.
    equal(connection.produce(topic, 0, records(1), transactional_id)[0], INVALID_TXN_STATE, "produce without adding")
    late = connection.txn_offset_commit(transactional_id, producer, group, topic, 0, 8)
    equal(late, INVALID_TXN_STATE, "offset without adding")


@restart_check
def a_transaction_of_which_nothing_was_written_can_be_ended_after_a_kill(t):
    topic = t.topic()
    for commit in (True, False):
        transactional_id, connection, producer = begin_transaction(t, topic)
        t.restart()
        connection = t.raw()
        equal(connection.end_txn(transactional_id, producer, commit), 0, "end after the kill")
        equal(connection.end_txn(transactional_id, producer, commit), 0, "the same again")
        equal(connection.end_txn(transactional_id, producer, not commit), INVALID_TXN_STATE, "the other one")
        records = batch([b"late"], *producer, 0, transactional=True)
        equal(connection.produce(topic, 0, records, transactional_id)[0], INVALID_TXN_STATE, "produce after the end")
    equal(t.read(topic), [], "values")


@restart_check
def an_end_is_not_contradicted_after_a_kill(t):
    """A client that did not get the answer to its commit, and then aborts, must not be told that it has aborted."""
    topic = t.topic()
    for commit in (True, False):
        transactional_id, connection, producer = begin_transaction(t, topic)
        records = batch([b"x"], *producer, 0, transactional=True)
        equal(connection.produce(topic, 0, records, transactional_id)[0], 0, "produce")
        equal(connection.end_txn(transactional_id, producer, commit), 0, "end")
        t.restart()
        connection = t.raw()
        equal(connection.end_txn(transactional_id, producer, not commit), INVALID_TXN_STATE, "the other one")
        equal(connection.end_txn(transactional_id, producer, commit), 0, "the same again")


class KillBeforeUse:
    """Between client and broker: when a client is about to use what it was told is part of its transaction, the broker
    is killed and started again, and the client's connection lost."""

    ADD_PARTITIONS, PRODUCE = 24, 0

    def __init__(self, context, kills):
        self.context, self.left, self.kills, self.is_added = context, kills, 0, False
        self.proxy = Proxy(context.process.port, self.see)

    def see(self, frame):
        if not frame.is_request:
            self.is_added = self.is_added or frame.api == self.ADD_PARTITIONS
        elif frame.api == self.PRODUCE and self.is_added and self.left:
            self.is_added = False
            self.left -= 1
            self.context.restart()
            self.kills += 1
            raise ConnectionResetError

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proxy.close()


@restart_check
def a_producer_goes_on_when_the_broker_is_killed_before_its_first_batch(t):
    topic = t.topic(2)
    with KillBeforeUse(t, kills=4) as between:
        producer = Context(t.process, through=between.proxy.bootstrap).transactional(timeout=30000)
        for round, commit in enumerate((True, False, True)):
            producer.begin_transaction()
            for partition in (0, 1):
                producer.produce(topic, str(round), partition=partition)
                equal(producer.flush(20), 0, "unacknowledged")
            producer.commit_transaction(20) if commit else producer.abort_transaction(20)
        equal(between.kills, 4, "kills")
    equal([t.read(topic, partition) for partition in (0, 1)], [["0", "2"], ["0", "2"]], "values")


@restart_check
def librdkafka_of_the_system_goes_on_when_the_broker_is_killed_before_its_first_batch(t):
    with KillBeforeUse(t, kills=2) as between:
        run = subprocess.run(
            [compile_c("librdkafka_transactions", "-lrdkafka"), between.proxy.bootstrap, t.topic()],
            capture_output=True,
            text=True,
            timeout=60,
        )
        equal(run.returncode, 0, f"exit status; it said: {run.stdout}{run.stderr}")
        equal(between.kills, 2, "kills")


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
