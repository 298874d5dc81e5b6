"""Who committed what in the changelog, read from the log itself.

Reads every batch of `orchestra.state` with a raw client, uncommitted ones too, and follows the transactions by their
markers: no client library hides anything, and the producer id and epoch of each commit, the proof of ownership, can
be seen. Then checks, per partition:

* `\\0progress` counts commits: in the order of the log, each committed one is its predecessor plus one. Two owners that
  both committed would count the same number twice, or leave one out.
* Input offsets never go back.
* The epochs of one producer never go back.
* Whoever commits progress holds a claim that was committed before, and the claims explain each change of owner: after
  a rival with a later claim has committed, a producer must claim anew.
"""

import collections
import dataclasses
import io
import json
import pathlib
import struct
import sys
import urllib.request

import fastavro
import lz4.block

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Conformance"))
import kafka_wire  # noqa: E402

TOPIC = "orchestra.state"
CLAIM, PROGRESS = b"\0claim", b"\0progress"


@dataclasses.dataclass
class Record:
    offset: int
    key: bytes
    value: bytes | None
    producer: int
    epoch: int


def _varint(data, at):
    shift = result = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return (result >> 1) ^ -(result & 1), at
        shift += 7


def _field(data, at):
    size, at = _varint(data, at)
    return (None, at) if size < 0 else (data[at : at + size], at + size)


def batches(data):
    """(base offset, producer, epoch, is transactional, is control, [(offset, key, value)]) of whole batches."""
    at = 0
    while at + 61 <= len(data):
        base, length = struct.unpack_from(">qi", data, at)
        end = at + 12 + length
        if end > len(data):
            return
        attributes, last_delta = struct.unpack_from(">hi", data, at + 21)
        producer, epoch, _, count = struct.unpack_from(">qhii", data, at + 43)
        if attributes & 7:
            raise ValueError(f"batch at {base} is compressed; this reader does not expect that")
        records, position = [], at + 61
        for _ in range(count):
            size, position = _varint(data, position)
            record_end = position + size
            _, position = _varint(data, position + 1)
            delta, position = _varint(data, position)
            key, position = _field(data, position)
            value, position = _field(data, position)
            records.append((base + delta, key, value))
            position = record_end
        yield base, last_delta, producer, epoch, bool(attributes & 0x10), bool(attributes & 0x20), records
        at = end


def committed_records(connection, partition):
    """All committed records of a partition in the order of the log, and the producers of open transactions."""
    _, _, offset = connection.list_offsets(TOPIC, partition, -2)
    _, _, end = connection.list_offsets(TOPIC, partition, -1)
    if offset != 0:
        raise ValueError(f"{TOPIC}[{partition}] begins at {offset}: its beginning has been deleted")
    open_transactions, result = collections.defaultdict(list), []
    while offset < end:
        answer = connection.fetch(TOPIC, partition, offset, partition_bytes=4 << 20, max_bytes=4 << 20)
        if answer["error"]:
            raise ValueError(f"{TOPIC}[{partition}]@{offset}: error {answer['error']}")
        before = offset
        for base, last_delta, producer, epoch, transactional, control, records in batches(answer["records"]):
            if base + last_delta < offset:
                continue
            offset = base + last_delta + 1
            if control:
                is_commit = struct.unpack(">hh", records[0][1])[1] == 1
                written = open_transactions.pop(producer, [])
                if is_commit:
                    result += written
                continue
            found = [Record(o, key, value, producer, epoch) for o, key, value in records]
            if transactional:
                open_transactions[producer] += found
            else:
                result += found
        if offset == before:
            raise ValueError(f"{TOPIC}[{partition}]@{offset} of {end}: nothing there")
    result.sort(key=lambda record: record.offset)
    return result, sorted(open_transactions)


class Schemas:
    """Decodes Confluent's wire format; looks each schema up once."""

    def __init__(self, registry):
        self.registry, self.parsed = registry, {}

    def decode(self, value):
        magic, identifier = struct.unpack_from(">bi", value)
        if magic != 0:
            raise ValueError(f"magic byte {magic}")
        if identifier not in self.parsed:
            with urllib.request.urlopen(f"{self.registry}/schemas/ids/{identifier}", timeout=10) as answer:
                self.parsed[identifier] = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
        return fastavro.schemaless_reader(io.BytesIO(value[5:]), self.parsed[identifier], None)


@dataclasses.dataclass
class PartitionReport:
    partition: int
    commits: int = 0
    owners: list = dataclasses.field(default_factory=list)  # (first sequence, silo)
    violations: list = dataclasses.field(default_factory=list)
    grains: dict = dataclasses.field(default_factory=dict)  # key → last committed value


class _Judge:
    """Goes through the committed records of one partition."""

    def __init__(self, partition, schemas):
        self.report, self.schemas = PartitionReport(partition), schemas
        self.claims = {}  # silo → (offset, producer)
        self.epochs = {}
        self.sequence = None
        self.inputs = {}
        self.owner = None  # (producer, offset of its claim)

    def wrong(self, record, text):
        self.report.violations.append(f"{TOPIC}[{self.report.partition}]@{record.offset}: {text}")

    def take(self, record):
        last = self.epochs.get(record.producer, -1)
        if record.epoch < last:
            self.wrong(record, f"producer {record.producer} committed in epoch {record.epoch} after epoch {last}")
        self.epochs[record.producer] = max(last, record.epoch)
        if record.key.startswith(CLAIM):
            self.take_claim(record)
        elif record.key == PROGRESS:
            self.take_progress(record)
        elif not record.key.startswith(b"\0"):
            self.check_author(record, "state")
            self.report.grains[record.key] = record.value

    def take_claim(self, record):
        silo = record.key.partition(b"/")[2].decode()
        if record.value is None:
            self.claims.pop(silo, None)
        else:
            self.claims[silo] = (record.offset, record.producer)

    def take_progress(self, record):
        progress = self.schemas.decode(record.value)
        sequence = progress["sequence"]
        if self.sequence is not None and sequence != self.sequence + 1:
            self.wrong(record, f"commit {sequence} by producer {record.producer} follows commit {self.sequence}")
        self.sequence = sequence
        for topic, offset in progress["nextOffsets"].items():
            if offset < self.inputs.get(topic, 0):
                self.wrong(record, f"next offset of {topic} goes back from {self.inputs[topic]} to {offset}")
            self.inputs[topic] = offset
        self.report.commits += 1
        self.check_author(record, f"commit {sequence}")

    def check_author(self, record, what):
        held = {producer: (offset, silo) for silo, (offset, producer) in self.claims.items()}
        offset, silo = held.get(record.producer, (None, None))
        if offset is None:
            self.wrong(record, f"{what} by producer {record.producer}, which has no claim; claims: {self.claims}")
            return
        if self.owner is None or self.owner[0] != record.producer:
            if self.owner is not None and offset < self.owner[1]:
                self.wrong(
                    record,
                    f"{what} by producer {record.producer} ({silo}), whose claim at {offset} is older than that of "
                    f"producer {self.owner[0]} at {self.owner[1]}, which has committed since",
                )
        if self.owner is None or self.owner != (record.producer, offset):
            self.report.owners.append((self.sequence or 0, silo))
        self.owner = (record.producer, offset)


def judge(kafka, registry, partition_count):
    """A report for each partition."""
    connection, schemas, reports = kafka_wire.Connection(kafka, timeout=30), Schemas(registry), []
    try:
        for partition in range(partition_count):
            records, open_producers = committed_records(connection, partition)
            judge = _Judge(partition, schemas)
            for record in records:
                judge.take(record)
            if open_producers:
                judge.report.violations.append(
                    f"{TOPIC}[{partition}]: transactions of producers {open_producers} are still open"
                )
            reports.append(judge.report)
    finally:
        connection.close()
    return reports


def grain_states(reports, registry, types):
    """The committed state of every grain of these types, as JSON: key → state."""
    schemas, found = Schemas(registry), {}
    for report in reports:
        for key, value in report.grains.items():
            name = key.decode(errors="replace")
            if value is None or name.partition("/")[0] not in types:
                continue
            envelope = schemas.decode(value)
            state = envelope["state"]
            if state is None:
                continue
            if envelope["compression"] == "lz4":
                state = lz4.block.decompress(state, uncompressed_size=envelope["uncompressedSize"])
            found[name] = json.loads(state)
    return found


if __name__ == "__main__":
    for report in judge(sys.argv[1], sys.argv[2], int(sys.argv[3])):
        print(report.partition, report.commits, report.owners, *report.violations, sep="\n  ")
