"""The broker is killed."""

import threading
import time

from confluent_kafka import KafkaException
from kafka_wire import batch
from support import FENCED, INVALID_EPOCH, OUT_OF_ORDER, UNSTABLE, equal, name, restart_check, wait_until


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
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged records are lost, first {lost[0]}"


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
