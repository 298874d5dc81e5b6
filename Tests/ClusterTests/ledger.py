"""An independent reader of a cluster's topics.

Reads every topic from the beginning to its end with read_committed isolation (confluent-kafka), decodes every record
with Confluent's AvroDeserializer against the registry, and prints one JSON document: what was counted, per workflow.

    ledger.py --kafka HOST:PORT --registry URL [--workflows FILE]

FILE holds one accepted workflow id per line; with it the ledger also judges the invariants of a workflow with
STEPS steps and lists every violation. Exit status: 0 no violation, 1 violations, 2 could not read.
"""

import argparse
import collections
import io
import json
import sys
import time

import fastavro
import lz4.block
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext


def read_all(bootstrap):
    """Yields every committed record of every topic that is not the broker's own, up to its end."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "ledger",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    try:
        metadata = consumer.list_topics(timeout=20)
        starts = []
        for topic in sorted(name for name in metadata.topics if not name.startswith("__")):
            for partition in metadata.topics[topic].partitions:
                starts.append(TopicPartition(topic, partition, OFFSET_BEGINNING))
        consumer.assign(starts)
        open_partitions = {(start.topic, start.partition) for start in starts}
        last_progress = time.monotonic()
        while open_partitions:
            messages = consumer.consume(1000, timeout=0.2)
            if messages:
                last_progress = time.monotonic()
            elif time.monotonic() - last_progress > 30:
                raise SystemExit(f"no end of partition within 30 s for {sorted(open_partitions)[:5]}")
            for message in messages:
                error = message.error()
                if error is None:
                    yield message
                elif error.name() == "_PARTITION_EOF":
                    open_partitions.discard((message.topic(), message.partition()))
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()


class Ledger:
    def __init__(self, registry_url):
        self.registry = SchemaRegistryClient({"url": registry_url})
        self.deserialize = AvroDeserializer(self.registry)
        self.parsed = {}
        self.records = collections.Counter()
        self.undecodable = []
        self.starts = collections.Counter()
        self.tasks = collections.defaultdict(collections.Counter)
        self.results = collections.defaultdict(collections.Counter)
        self.completions = collections.Counter()
        self.final = {}
        self.dead_letters = []

    def writer_schema(self, schema_id):
        if schema_id not in self.parsed:
            self.parsed[schema_id] = fastavro.parse_schema(json.loads(self.registry.get_schema(schema_id).schema_str))
        return self.parsed[schema_id]

    def workflow_state(self, envelope):
        """The grain's own record inside the envelope of the changelog."""
        state = envelope["state"]
        if state is None:
            return None
        if envelope["compression"] == "lz4":
            state = lz4.block.decompress(state, uncompressed_size=envelope["uncompressedSize"])
        return fastavro.schemaless_reader(io.BytesIO(state), self.writer_schema(envelope["schemaId"]), None)

    def take(self, message):
        topic, key, value = message.topic(), message.key(), message.value()
        self.records[topic] += 1
        if value is None:
            if topic == "orchestra.state" and key.startswith(b"workflow/"):
                self.final[key.decode()[9:]] = "deleted"
            return
        try:
            record = self.deserialize(value, SerializationContext(topic, MessageField.VALUE))
        except Exception as error:  # whatever the library raises: the record cannot be read by others
            self.undecodable.append(f"{topic}[{message.partition()}]@{message.offset()}: {error}")
            return
        if topic == "workflow-start-events":
            self.starts[record["workflowId"]] += 1
        elif topic == "agent-tasks":
            self.tasks[record["workflowId"]][record["taskId"]] += 1
        elif topic == "agent-results":
            self.results[record["workflowId"]][record["taskId"]] += 1
        elif topic == "orchestra.dead-letters":
            fields = ("topic", "partition", "offset", "code", "reason")
            self.dead_letters.append({name: record[name] for name in fields})
        elif topic == "orchestra.state" and key.startswith(b"workflow/"):
            workflow_id = key.decode()[9:]
            state = self.workflow_state(record)
            status = "grave" if state is None else state["status"]
            if status in ("completed", "failed", "cancelled") and self.final.get(workflow_id) != status:
                self.completions[workflow_id] += 1
            self.final[workflow_id] = status

    def violations(self, accepted, steps):
        for workflow_id in accepted:
            if self.starts[workflow_id] < 1:
                yield f"{workflow_id}: accepted, but not in workflow-start-events"
            if self.final.get(workflow_id) != "completed":
                yield f"{workflow_id}: ends as {self.final.get(workflow_id)}, not completed"
            if self.completions[workflow_id] != 1:
                yield f"{workflow_id}: completed {self.completions[workflow_id]} times"
            if len(self.tasks[workflow_id]) != steps:
                yield f"{workflow_id}: {len(self.tasks[workflow_id])} tasks, not {steps}"
            if not all(self.results[workflow_id][task] for task in self.tasks[workflow_id]):
                yield f"{workflow_id}: a task without a result"
        for tasks in self.tasks.values():
            for task, count in tasks.items():
                if count != 1:
                    yield f"{task}: committed {count} times to agent-tasks"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--kafka", required=True)
    arguments.add_argument("--registry", required=True)
    arguments.add_argument("--workflows")
    arguments.add_argument("--steps", type=int, default=1)
    options = arguments.parse_args()

    ledger = Ledger(options.registry)
    for message in read_all(options.kafka):
        ledger.take(message)
    accepted = []
    if options.workflows:
        with open(options.workflows, encoding="utf-8") as lines:
            accepted = [line.strip() for line in lines if line.strip()]
    violations = list(ledger.violations(accepted, options.steps))
    violations += [f"undecodable: {text}" for text in ledger.undecodable]
    print(
        json.dumps(
            {
                "records": dict(ledger.records),
                "accepted": len(accepted),
                "workflowsStarted": len(ledger.starts),
                "statuses": dict(collections.Counter(ledger.final.values())),
                "deadLetters": ledger.dead_letters[:1000],
                "violationCount": len(violations),
                "violations": violations[:50],
            }
        )
    )
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
