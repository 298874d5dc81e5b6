"""Topics and their settings."""

from confluent_kafka import KafkaException
from confluent_kafka.admin import ConfigResource, NewPartitions, NewTopic, ResourceType
from kafka_wire import batch
from support import UNKNOWN_TOPIC, check, equal, name


@check
def topics_are_created_described_grown_and_deleted(t):
    topic = t.topic(3, {"cleanup.policy": "compact", "max.message.bytes": "2000000"})
    admin = t.admin()
    equal(len(admin.list_topics(topic, timeout=10).topics[topic].partitions), 3, "partitions")
    config = list(admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values())[0].result(10)
    equal(config["cleanup.policy"].value, "compact", "cleanup.policy")
    equal(config["max.message.bytes"].value, "2000000", "max.message.bytes")
    equal(config["retention.ms"].is_default, True, "retention.ms is the default")
    list(admin.create_partitions([NewPartitions(topic, 5)]).values())[0].result(10)
    equal(len(admin.list_topics(topic, timeout=10).topics[topic].partitions), 5, "partitions")
    list(admin.delete_topics([topic]).values())[0].result(10)
    assert topic not in admin.list_topics(timeout=10).topics, "the topic is still there"
    equal(t.raw().produce(topic, 0, batch([b"x"]))[0], UNKNOWN_TOPIC, "produce to a deleted topic")


@check
def bad_topics_are_refused(t):
    admin = t.admin()
    topic = t.topic()
    for new, expected in [
        (NewTopic(topic, 1, 1), "TOPIC_ALREADY_EXISTS"),
        (NewTopic("a/b", 1, 1), "TOPIC_EXCEPTION"),
        (NewTopic(name(), 0, 1), "INVALID_PARTITIONS"),
        (NewTopic(name(), 1, 3), "INVALID_REPLICATION_FACTOR"),
        (NewTopic(name(), 1, 1, config={"retention.ms": "soon"}), "INVALID_CONFIG"),
        (NewTopic(name(), 1, 1, config={"no.such": "1"}), "INVALID_CONFIG"),
    ]:
        try:
            list(admin.create_topics([new]).values())[0].result(10)
            raise AssertionError(f"{expected}: the topic was made")
        except KafkaException as error:
            equal(error.args[0].name(), expected, "error")
