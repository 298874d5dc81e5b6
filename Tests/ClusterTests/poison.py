"""Writes records that cannot be processed to each input topic, that of durable commands too; prints as JSON how many
dead letters each must cause.

poison.py --kafka HOST:PORT --registry URL
"""

import argparse
import datetime
import io
import json
import struct

import fastavro
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient

COMMANDS = "orchestra.commands"


def commands(header, schema):
    """Commands that decode, and that no grain can take."""
    valid = {
        "requestId": "poison",
        "grainType": "workflow",
        "grainKey": "poison",
        "method": "fly",
        "payload": b"",
        "sentBy": "test/poison",
        "sentAt": datetime.datetime.now(datetime.UTC),
    }
    changes = {
        "unknown-method": {},
        "unknown-grain-type": {"grainType": "nobody"},
        "no-grain-type": {"grainType": "no type/\0"},
        "key-of-another-grain": {"grainKey": "another"},
        "reply-to-nothing": {"kind": "reply", "method": "OnNothing", "payload": b"\xff"},
    }
    for key, change in changes.items():
        value = io.BytesIO()
        fastavro.schemaless_writer(value, schema, valid | {"grainKey": key} | change)
        yield key, header + value.getvalue()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--kafka", required=True)
    arguments.add_argument("--registry", required=True)
    options = arguments.parse_args()
    registry = SchemaRegistryClient({"url": options.registry})
    producer = Producer({"bootstrap.servers": options.kafka, "partitioner": "murmur2_random"})
    failures = []
    expected = {}
    for topic in ("workflow-start-events", "agent-tasks", "agent-results", COMMANDS):
        latest = registry.get_latest_version(f"{topic}-value")
        header = b"\x00" + struct.pack(">i", latest.schema_id)
        cases = [
            ("unknown-schema-id", b"\x00" + struct.pack(">i", 987654) + b"\x02a"),
            ("cut-in-half", header + b"\x48abc"),
            ("cut-header", b"\x00\x00"),
            ("no-magic", b"hello, world"),
            ("empty", b""),
            ("hostile-length", header + b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            (None, header + b"\x02a"),
        ]
        if topic == COMMANDS:
            cases += commands(header, fastavro.parse_schema(json.loads(latest.schema.schema_str)))
        for key, value in cases:
            producer.produce(topic, key=key, value=value, on_delivery=lambda error, _: error and failures.append(error))
        expected[topic] = len(cases)
    producer.flush(30)
    if failures or len(producer):
        raise SystemExit(f"not delivered: {failures or len(producer)}")
    print(json.dumps(expected))


if __name__ == "__main__":
    main()
