"""What the checks share: the broker under test with its clients, the registry of checks, assertions, error codes."""

import asyncio
import traceback
import uuid

from broker_process import BrokerProcess, wait_until
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from kafka_wire import Connection

__all__ = ["wait_until"]

OFFSET_OUT_OF_RANGE, CORRUPT, UNKNOWN_TOPIC, TOO_LARGE = 1, 2, 3, 10
ILLEGAL_GENERATION, UNKNOWN_MEMBER, UNSUPPORTED_VERSION, OUT_OF_ORDER = 22, 25, 35, 45
INVALID_EPOCH, INVALID_TXN_STATE, CONCURRENT, FENCED_INSTANCE, UNSTABLE, FENCED = 47, 48, 51, 82, 88, 90

QUIET = {"log_level": 2, "reconnect.backoff.max.ms": 500}

CHECKS = []


class Check:
    def __init__(self, function, kills):
        self.function, self.kills = function, kills
        self.title = function.__name__.replace("_", " ")

    def failure(self, context):
        """None, or what is wrong and where."""
        try:
            self.function(context)
        # aiokafka ends with a cancellation, which is no Exception, if it cannot stop its clients.
        except (Exception, asyncio.CancelledError) as error:
            frames = traceback.extract_tb(error.__traceback__)
            own = [frame for frame in frames if "/checks/" in frame.filename]
            line = f"{own[-1].filename.rsplit('/', 1)[1]}:{own[-1].lineno}: " if own else ""
            return f"{line}{type(error).__name__}: {error}"
        return None


def check(function):
    CHECKS.append(Check(function, kills=False))
    return function


def restart_check(function):
    """A check that kills the broker: it runs alone, and only if the broker was started by us."""
    CHECKS.append(Check(function, kills=True))
    return function


def name(prefix="t"):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def equal(actual, expected, what):
    assert actual == expected, f"{what}: expected {expected!r}, got {actual!r}"


class Context:
    """The broker under test.

    Made for a running broker (its address), or for a BrokerProcess, which checks may then kill. `through` is another
    address that leads to the same broker: a proxy.
    """

    def __init__(self, broker, through=None):
        self.process = broker if isinstance(broker, BrokerProcess) else None
        self.bootstrap = through or (broker.bootstrap if self.process else broker)
        # One for all: a client that is collected takes its pending futures with it.
        self.administrator = AdminClient({"bootstrap.servers": self.bootstrap, **QUIET})

    def kill(self):
        self.process.kill()

    def start(self):
        self.process.start()

    def restart(self):
        self.process.restart()

    # Clients

    def raw(self):
        return Connection(self.bootstrap)

    def admin(self):
        return self.administrator

    def topic(self, partitions=1, config=None):
        topic = name()
        for future in self.admin().create_topics([NewTopic(topic, partitions, 1, config=config or {})]).values():
            future.result(15)
        return topic

    def producer(self, **config):
        settings = {k.replace("_", "."): v for k, v in config.items()}
        return Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 1, **QUIET, **settings})

    def transactional(self, transactional_id=None, timeout=60000):
        producer = self.producer(
            transactional_id=transactional_id or name("tx"), transaction_timeout_ms=timeout, message_timeout_ms=timeout
        )
        producer.init_transactions(20)
        return producer

    def consumer(self, group=None, **config):
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": group or name("g"),
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                **QUIET,
                **{k.replace("_", "."): v for k, v in config.items()},
            }
        )

    def read(self, topic, partition=0, offset=0, isolation="read_committed", timeout=60):
        """All values from an offset to the end of the partition."""
        return [value.decode() for _, value in self.records(topic, partition, offset, isolation, timeout)]

    def records(self, topic, partition=0, offset=0, isolation="read_committed", timeout=60):
        """(key, value) of all records from an offset to the end of the partition."""
        consumer = self.consumer(isolation_level=isolation)
        consumer.assign([TopicPartition(topic, partition, offset)])
        found = []

        def at_end():
            for message in consumer.consume(500, 0.2):
                if message.error() is None:
                    found.append((message.key(), message.value()))
                elif message.error().name() == "_PARTITION_EOF":
                    return True
                else:
                    raise KafkaException(message.error())
            return False

        try:
            wait_until(at_end, f"the end of {topic}[{partition}]", timeout)
            return found
        finally:
            consumer.close()

    def send(self, topic, *values, partition=0):
        producer = self.producer()
        for value in values:
            producer.produce(topic, value, partition=partition)
        equal(producer.flush(20), 0, "unacknowledged messages")
