"""Writes records that cannot be processed to each input topic; prints as JSON how many dead letters each must cause.

poison.py --kafka HOST:PORT --registry URL
"""

import argparse
import json
import struct

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--kafka", required=True)
    arguments.add_argument("--registry", required=True)
    options = arguments.parse_args()
    registry = SchemaRegistryClient({"url": options.registry})
    producer = Producer({"bootstrap.servers": options.kafka, "partitioner": "murmur2_random"})
    failures = []
    expected = {}
    for topic in ("workflow-start-events", "agent-tasks", "agent-results"):
        schema_id = registry.get_latest_version(f"{topic}-value").schema_id
        header = b"\x00" + struct.pack(">i", schema_id)
        cases = [
            ("unknown-schema-id", b"\x00" + struct.pack(">i", 987654) + b"\x02a"),
            ("cut-in-half", header + b"\x48abc"),
            ("cut-header", b"\x00\x00"),
            ("no-magic", b"hello, world"),
            ("empty", b""),
            ("hostile-length", header + b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            (None, header + b"\x02a"),
        ]
        for key, value in cases:
            producer.produce(topic, key=key, value=value, on_delivery=lambda error, _: error and failures.append(error))
        expected[topic] = len(cases)
    producer.flush(30)
    if failures or len(producer):
        raise SystemExit(f"not delivered: {failures or len(producer)}")
    print(json.dumps(expected))


if __name__ == "__main__":
    main()
