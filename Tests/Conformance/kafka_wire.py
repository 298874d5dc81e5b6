"""A minimal raw client of Kafka's protocol, for what client libraries never send: repeated sequences, stale epochs,
wrong generations, versions that do not exist, cut frames. Only what the conformance checks need."""

import socket
import struct
import time


def _crc32c_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ 0x82F63B78 if n & 1 else n >> 1
        table.append(n)
    return table


_TABLE = _crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def varint(n):
    n = (n << 1) ^ (n >> 63)
    n &= (1 << 64) - 1
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def uvarint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def batch(values, producer_id=-1, epoch=-1, sequence=-1, transactional=False, key=None, timestamp=None, attributes=0):
    """One record batch of format 2."""
    now = timestamp if timestamp is not None else int(time.time() * 1000)
    records = b""
    for index, value in enumerate(values):
        body = b"\0" + varint(0) + varint(index)
        body += varint(-1) if key is None else varint(len(key)) + key
        body += varint(-1) if value is None else varint(len(value)) + value
        body += varint(0)
        records += varint(len(body)) + body
    tail = (
        struct.pack(
            ">hiqqqhii",
            attributes | (0x10 if transactional else 0),
            len(values) - 1,
            now,
            now,
            producer_id,
            epoch,
            sequence,
            len(values),
        )
        + records
    )
    return struct.pack(">qiibI", 0, len(tail) + 9, 0, 2, crc32c(tail)) + tail


DATA, COMMIT, ABORT = "data", "commit", "abort"


def kinds_of_batches(records):
    """What each of some whole batches is: data, or the marker that ends a transaction."""
    kinds, at = [], 0
    while at < len(records):
        is_control = struct.unpack_from(">h", records, at + 21)[0] & 0x20
        # Behind the header and five bytes of the record comes its key: a version, and which marker it is.
        outcome = struct.unpack_from(">h", records, at + 61 + 7)[0] if is_control else None
        kinds.append({None: DATA, 0: ABORT, 1: COMMIT}[outcome])
        at += 12 + struct.unpack_from(">i", records, at + 8)[0]
    return kinds


def string(text):
    if text is None:
        return struct.pack(">h", -1)
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def compact(text):
    if text is None:
        return b"\0"
    data = text.encode()
    return uvarint(len(data) + 1) + data


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, format):
        values = struct.unpack_from(">" + format, self.data, self.at)
        self.at += struct.calcsize(">" + format)
        return values[0] if len(values) == 1 else values

    def string(self):
        length = self.take("h")
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length : self.at].decode()

    def bytes(self):
        length = self.take("i")
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length : self.at]

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.take("B")
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def compact(self):
        length = self.uvarint() - 1
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length : self.at].decode()

    def tags(self):
        for _ in range(self.uvarint()):
            self.uvarint()
            length = self.uvarint()
            self.at += length


class Closed(OSError):
    """The broker has closed the connection."""


class Connection:
    def __init__(self, bootstrap, timeout=15):
        host, port = bootstrap.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.correlation = 0

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            try:
                part = self.socket.recv(count - len(data))
            except ConnectionResetError:
                raise Closed() from None
            if not part:
                raise Closed()
            data += part
        return data

    def frame(self):
        return self._exactly(struct.unpack(">i", self._exactly(4))[0])

    def request(self, api, version, body, flexible=False):
        self.correlation += 1
        header = (
            struct.pack(">hhi", api, version, self.correlation) + string("conformance") + (b"\0" if flexible else b"")
        )
        self.send(struct.pack(">i", len(header) + len(body)) + header + body)

    def call(self, api, version, body, flexible=False, flexible_header=None):
        self.request(api, version, body, flexible)
        reader = Reader(self.frame())
        correlation = reader.take("i")
        assert correlation == self.correlation, f"answer {correlation} for request {self.correlation}"
        if flexible if flexible_header is None else flexible_header:
            reader.tags()
        return reader

    # Produce v7: (error, base offset)
    def produce(self, topic, partition, records, transactional_id=None, acks=-1):
        self.produce_request(topic, partition, records, transactional_id, acks)
        return self.produce_answer()

    def produce_request(self, topic, partition, records, transactional_id=None, acks=-1):
        body = string(transactional_id) + struct.pack(">hii", acks, 10000, 1) + string(topic)
        self.request(0, 7, body + struct.pack(">iii", 1, partition, len(records)) + records)

    def produce_answer(self):
        reader = Reader(self.frame())
        reader.take("ii"), reader.string(), reader.take("i")
        _, error, offset, _, _ = reader.take("ihqqq")
        return error, offset

    # Fetch v11: dict per partition
    def fetch(
        self,
        topic,
        partition,
        offset,
        max_wait=0,
        min_bytes=1,
        max_bytes=1 << 20,
        partition_bytes=1 << 20,
        committed=False,
        session=(0, -1),
    ):
        self.fetch_request(
            topic, partition, offset, max_wait, min_bytes, max_bytes, partition_bytes, committed, session
        )
        return self.fetch_answer()

    def fetch_request(
        self,
        topic,
        partition,
        offset,
        max_wait=0,
        min_bytes=1,
        max_bytes=1 << 20,
        partition_bytes=1 << 20,
        committed=False,
        session=(0, -1),
    ):
        body = struct.pack(">iiiibii", -1, max_wait, min_bytes, max_bytes, 1 if committed else 0, *session)
        body += struct.pack(">i", 1) + string(topic)
        body += struct.pack(">iiiqqi", 1, partition, -1, offset, -1, partition_bytes)
        body += struct.pack(">i", 0) + string("")
        self.request(1, 11, body)

    def fetch_answer(self):
        reader = Reader(self.frame())
        reader.take("i"), reader.take("i")
        result = {"error": reader.take("h"), "session": reader.take("i")}
        for _ in range(reader.take("i")):
            reader.string()
            for _ in range(reader.take("i")):
                _, error, high, stable, start = reader.take("ihqqq")
                aborted = [reader.take("qq") for _ in range(max(0, reader.take("i")))]
                reader.take("i")
                result.update(
                    error=error or result["error"],
                    high=high,
                    stable=stable,
                    start=start,
                    aborted=aborted,
                    records=reader.bytes() or b"",
                )
        return result

    # ListOffsets v2: (error, timestamp, offset)
    def list_offsets(self, topic, partition, timestamp, committed=False):
        body = (
            struct.pack(">ibi", -1, 1 if committed else 0, 1)
            + string(topic)
            + struct.pack(">iiq", 1, partition, timestamp)
        )
        reader = self.call(2, 2, body)
        reader.take("i"), reader.take("i"), reader.string(), reader.take("i")
        _, error, stamp, offset = reader.take("ihqq")
        return error, stamp, offset

    # InitProducerId v1 or v4: (error, id, epoch)
    def init_producer(self, transactional_id, timeout=60000, current=None, version=4):
        body = compact(transactional_id) + struct.pack(">i", timeout)
        if version >= 3:
            body += struct.pack(">qh", *(current or (-1, -1)))
        reader = self.call(22, version, body + b"\0", flexible=True)
        reader.take("i")
        return reader.take("hqh")

    # AddPartitionsToTxn v1: error
    def add_partitions(self, transactional_id, producer, topic, partitions):
        body = string(transactional_id) + struct.pack(">qhi", *producer, 1) + string(topic)
        body += struct.pack(f">i{len(partitions)}i", len(partitions), *partitions)
        reader = self.call(24, 1, body)
        reader.take("ii"), reader.string(), reader.take("i")
        return reader.take("ih")[1]

    # AddOffsetsToTxn v1: error
    def add_offsets(self, transactional_id, producer, group):
        reader = self.call(25, 1, string(transactional_id) + struct.pack(">qh", *producer) + string(group))
        return reader.take("ih")[1]

    # TxnOffsetCommit v2: error
    def txn_offset_commit(self, transactional_id, producer, group, topic, partition, offset):
        body = string(transactional_id) + string(group) + struct.pack(">qhi", *producer, 1) + string(topic)
        body += struct.pack(">iiqi", 1, partition, offset, -1) + string("")
        reader = self.call(28, 2, body)
        reader.take("ii"), reader.string(), reader.take("i")
        return reader.take("ih")[1]

    # EndTxn v1: error
    def end_txn(self, transactional_id, producer, commit):
        reader = self.call(26, 1, string(transactional_id) + struct.pack(">qhb", *producer, 1 if commit else 0))
        return reader.take("ih")[1]

    # OffsetFetch v7: (error, offset)
    def offset_fetch(self, group, topic, partition, stable=True):
        return self.committed(group, topic, partition, stable)[:2]

    # OffsetFetch v7: (error, offset, metadata)
    def committed(self, group, topic, partition, stable=True):
        body = compact(group) + uvarint(2) + compact(topic) + uvarint(2) + struct.pack(">i", partition) + b"\0"
        reader = self.call(9, 7, body + (b"\1" if stable else b"\0") + b"\0", flexible=True)
        reader.take("i"), reader.uvarint(), reader.compact(), reader.uvarint()
        _, offset, _ = reader.take("iqi")
        metadata = reader.compact()
        return reader.take("h"), offset, metadata

    # OffsetCommit v5: error
    def offset_commit(self, group, generation, member, topic, partition, offset):
        body = string(group) + struct.pack(">i", generation) + string(member) + struct.pack(">i", 1) + string(topic)
        body += struct.pack(">iiq", 1, partition, offset) + string("")
        reader = self.call(8, 5, body)
        reader.take("ii"), reader.string(), reader.take("i")
        return reader.take("ih")[1]

    # JoinGroup v3 (no member id is required first): (error, generation, member)
    def join_group(self, group, member="", session=6000, rebalance=10000):
        body = string(group) + struct.pack(">ii", session, rebalance) + string(member) + string("consumer")
        metadata = struct.pack(">hi", 0, 0) + struct.pack(">i", -1)
        body += struct.pack(">i", 1) + string("range") + struct.pack(">i", len(metadata)) + metadata
        reader = self.call(11, 3, body)
        reader.take("i")
        error, generation = reader.take("hi")
        reader.string(), reader.string()
        return error, generation, reader.string()

    # SyncGroup v2: error
    def sync_group(self, group, generation, member):
        body = string(group) + struct.pack(">i", generation) + string(member) + struct.pack(">i", 1) + string(member)
        reader = self.call(14, 2, body + struct.pack(">i", 0))
        return reader.take("ih")[1]

    # Heartbeat v2: error
    def heartbeat(self, group, generation, member):
        reader = self.call(12, 2, string(group) + struct.pack(">i", generation) + string(member))
        return reader.take("ih")[1]

    # ApiVersions v0: {api: (oldest, newest version)}
    def api_versions(self):
        reader = self.call(18, 0, b"")
        error = reader.take("h")
        assert error == 0, f"error {error}"
        return {api: (oldest, newest) for api, oldest, newest in (reader.take("hhh") for _ in range(reader.take("i")))}

    # JoinGroup v9 of a static member: dict
    def join_static(self, group, instance, member="", session=10000, metadata=b"\0"):
        body = compact(group) + struct.pack(">ii", session, 10000) + compact(member) + compact(instance)
        body += compact("consumer") + uvarint(2) + compact("range") + uvarint(len(metadata) + 1) + metadata + b"\0"
        reader = self.call(11, 9, body + compact("a reason") + b"\0", flexible=True)
        reader.take("i")
        answer = {"error": reader.take("h"), "generation": reader.take("i")}
        reader.compact(), reader.compact()
        answer.update(leader=reader.compact(), skip=reader.take("?"), member=reader.compact())
        answer["members"] = []
        for _ in range(reader.uvarint() - 1):
            answer["members"].append(reader.compact())
            reader.compact()
            length = reader.uvarint() - 1
            reader.at += length
            reader.tags()
        return answer

    # SyncGroup v5 of a static member: (error, assignment)
    def sync_static(self, group, instance, generation, member, assignments):
        body = compact(group) + struct.pack(">i", generation) + compact(member) + compact(instance)
        body += compact("consumer") + compact("range") + uvarint(len(assignments) + 1)
        for whom, what in assignments.items():
            body += compact(whom) + uvarint(len(what) + 1) + what + b"\0"
        reader = self.call(14, 5, body + b"\0", flexible=True)
        reader.take("i")
        error = reader.take("h")
        reader.compact(), reader.compact()
        length = reader.uvarint() - 1
        return error, reader.data[reader.at : reader.at + length]
