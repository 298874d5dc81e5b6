"""Idempotent produce."""

from kafka_wire import batch
from support import OUT_OF_ORDER, check, equal


@check
def a_repeated_batch_is_answered_with_its_old_offset(t):
    topic, connection = t.topic(), t.raw()
    _, producer_id, epoch = connection.init_producer(None)
    for sequence in range(5):
        equal(connection.produce(topic, 0, batch([b"x"], producer_id, epoch, sequence)), (0, sequence), "first time")
    for sequence in range(5):
        equal(connection.produce(topic, 0, batch([b"x"], producer_id, epoch, sequence)), (0, sequence), "second time")
    equal(len(t.read(topic)), 5, "records")


@check
def a_gap_in_the_sequence_is_refused(t):
    topic, connection = t.topic(), t.raw()
    _, producer_id, epoch = connection.init_producer(None)
    equal(connection.produce(topic, 0, batch([b"x"], producer_id, epoch, 0))[0], 0, "sequence 0")
    equal(connection.produce(topic, 0, batch([b"x"], producer_id, epoch, 2))[0], OUT_OF_ORDER, "sequence 2")
    equal(connection.produce(topic, 0, batch([b"x"], producer_id, epoch, 1)), (0, 1), "sequence 1")


@check
def an_idempotent_producer_delivers_everything_once(t):
    topic = t.topic()
    producer = t.producer(enable_idempotence=True, batch_num_messages=50)
    for index in range(5000):
        producer.produce(topic, str(index), partition=0)
        producer.poll(0)
    equal(producer.flush(30), 0, "unacknowledged")
    equal(t.read(topic), [str(index) for index in range(5000)], "values")
