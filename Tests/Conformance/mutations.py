"""Ways in which a broker can be wrong, each made by changing one thing on the wire between client and broker.

A mutation is a function of a Frame: it may change the body of a request or of an answer, drop it, or answer in the
broker's place. `prove.py` runs the checks that must notice.
"""

import re
import struct
import time
from dataclasses import dataclass

from kafka_wire import Reader, compact, crc32c, string, uvarint

PRODUCE, FETCH, LIST_OFFSETS, OFFSET_COMMIT, OFFSET_FETCH, JOIN_GROUP, HEARTBEAT = 0, 1, 2, 8, 9, 11, 12
API_VERSIONS, CREATE_TOPICS, INIT_PRODUCER, ADD_PARTITIONS, ADD_OFFSETS, END_TXN, TXN_OFFSET_COMMIT = (
    18,
    19,
    22,
    24,
    25,
    26,
    28,
)
METADATA, DELETE_GROUPS = 3, 42


@dataclass
class Mutation:
    title: str
    clause: str  # of "What it must get right"
    checks: tuple[str, ...]  # words in the names of the checks that must notice
    change: object


MUTATIONS = []


def mutation(clause, *checks):
    def register(function):
        title = function.__name__.replace("_", " ")
        MUTATIONS.append(Mutation(title, clause, checks, function))
        return function

    return register


def errors_become_success(frame, api, *codes):
    """Replaces the last error code of an answer. In the versions that the raw client speaks it is the last field."""
    if not frame.is_request and frame.api == api and struct.unpack(">h", frame.body[-2:])[0] in codes:
        frame.body[-2:] = b"\0\0"


def produce_errors_become_success(frame, *codes):
    """The same for one partition in an answer to the raw client's Produce."""
    if not frame.is_request and frame.api == PRODUCE and frame.version == 7:
        at = len(frame.body) - 4 - 26  # error, offset, time, start; throttle time
        if struct.unpack_from(">h", frame.body, at)[0] in codes:
            frame.body[at : at + 2] = b"\0\0"


# ---------------------------------------------------------------- fencing

FENCED_CODES = (47, 90)


@mutation("InitProducerId bumps the epoch", "an older epoch", "init checks")
def init_answers_always_with_epoch_0(frame):
    if not frame.is_request and frame.api == INIT_PRODUCER and frame.version >= 2:
        # tags, throttle time, error, producer id, epoch, tags
        frame.body[15:17] = b"\0\0"


@mutation("fences older epochs on Produce", "an older epoch")
def produce_of_an_older_epoch_succeeds(frame):
    produce_errors_become_success(frame, *FENCED_CODES)


@mutation("fences older epochs on AddPartitionsToTxn", "an older epoch")
def add_partitions_of_an_older_epoch_succeeds(frame):
    errors_become_success(frame, ADD_PARTITIONS, *FENCED_CODES)


@mutation("fences older epochs on AddOffsetsToTxn", "an older epoch")
def add_offsets_of_an_older_epoch_succeeds(frame):
    errors_become_success(frame, ADD_OFFSETS, *FENCED_CODES)


@mutation("fences older epochs on TxnOffsetCommit", "an older epoch")
def txn_offset_commit_of_an_older_epoch_succeeds(frame):
    errors_become_success(frame, TXN_OFFSET_COMMIT, *FENCED_CODES)


@mutation("fences older epochs on EndTxn, also after a restart", "an older epoch", "zombie is fenced after a kill")
def end_of_an_older_epoch_succeeds(frame):
    errors_become_success(frame, END_TXN, *FENCED_CODES)


@mutation("InitProducerId v3+ checks a supplied producer id and epoch", "init checks", "zombie is fenced after a kill")
def init_ignores_the_supplied_identity(frame):
    if frame.is_request and frame.api == INIT_PRODUCER and frame.version >= 3:
        frame.body[-11:-1] = struct.pack(">qh", -1, -1)


@mutation("aborts the open transaction", "new producer fences")
def the_transaction_of_the_predecessor_is_seen(frame):
    reads_uncommitted(frame)


# ---------------------------------------------------------------- produce


@mutation("a transactional Produce to a partition that was not added is refused", "was not added is refused")
def a_partition_that_was_not_added_is_taken(frame):
    produce_errors_become_success(frame, 48)


def batch_range(frame):
    """Where the one record batch of a produce request lies: its magic byte is 2, its length reaches the end, or the
    three bytes without a tag that follow it in a flexible request."""
    body = frame.body
    if frame.is_request and frame.api == PRODUCE:
        for at in range(len(body) - 61):
            end = at + 12 + struct.unpack_from(">i", body, at + 8)[0]
            if body[at + 16] == 2 and end == len(body) - (3 if frame.version >= 9 else 0):
                return at, end
    return None


def correct_checksum(body, at, end):
    struct.pack_into(">I", body, at + 17, crc32c(body[at + 21 : end]))


@mutation("idempotent produce: duplicates answered with the old offset", "repeated batch", "idempotence survives")
def idempotence_is_forgotten(frame):
    if found := batch_range(frame):
        at, end = found
        if struct.unpack_from(">h", frame.body, at + 21)[0] & 0x10:
            return  # Transactional: it would not be taken without its producer.
        struct.pack_into(">qhi", frame.body, at + 43, -1, -1, -1)
        correct_checksum(frame.body, at, end)


@mutation("idempotent produce: sequence checks", "gap in the sequence", "idempotence survives")
def a_gap_in_the_sequence_is_answered_with_success(frame):
    produce_errors_become_success(frame, 45)


@mutation("batches with a wrong checksum are refused", "damaged batches")
def a_wrong_checksum_is_taken(frame):
    produce_errors_become_success(frame, 2)


@mutation("max.message.bytes", "max message bytes")
def a_batch_that_is_too_large_is_taken(frame):
    produce_errors_become_success(frame, 10)


@mutation("kcat", "kcat produces")
def the_last_byte_of_a_value_changes(frame):
    if found := batch_range(frame):
        at, end = found
        frame.body[end - 2] ^= 1  # The record ends with the number of its headers.
        correct_checksum(frame.body, at, end)


@mutation("all record compressions pass through", "every compression")
def batches_are_no_longer_called_compressed(frame):
    if found := batch_range(frame):
        at, end = found
        struct.pack_into(">h", frame.body, at + 21, struct.unpack_from(">h", frame.body, at + 21)[0] & ~7)
        correct_checksum(frame.body, at, end)


@mutation("a null value is a tombstone", "tombstones and null keys")
def null_values_become_empty(frame):
    if found := batch_range(frame):
        at, end = found
        reader = Reader(bytes(frame.body[:end]))
        reader.at = at + 61
        while reader.at < end:
            after = reader.uvarint() // 2 + reader.at
            reader.take("b"), reader.uvarint(), reader.uvarint()
            length = reader.uvarint()
            reader.at += 0 if length & 1 else length // 2
            if frame.body[reader.at] == 1:  # -1 as a varint
                frame.body[reader.at] = 0
            reader.at = after
        correct_checksum(frame.body, at, end)


@mutation(
    "produced data is on disk before it is acknowledged",
    "acknowledged data survives",
    "an idempotent producer delivers",
)
def produce_is_acknowledged_before_it_is_stored(frame):
    """The answer is made up at once; the broker gets the request a moment later, or never if it is killed."""
    if frame.is_request and frame.api == PRODUCE and frame.version == 9:
        reader = Reader(bytes(frame.body))
        reader.string(), reader.tags(), reader.compact(), reader.take("hi"), reader.uvarint()
        topic = reader.compact()
        reader.uvarint()
        partition = reader.take("i")
        frame.answer = b"\0" + uvarint(2) + compact(topic) + uvarint(2)
        frame.answer += struct.pack(">ihqqq", partition, 0, 0, -1, 0) + b"\1\0\0\0" + struct.pack(">i", 0) + b"\0"
        frame.delay = 1


# ---------------------------------------------------------------- the end of a transaction


@mutation(
    "EndTxn writes control batches; aiokafka, kafka-python, both librdkafkas",
    "committed data is seen",
    "system commits",
    "aiokafka produces",
    "kafka python produces",
    "many transactional producers",
    "clients go on after a kill",
)
def a_commit_becomes_an_abort(frame):
    if frame.is_request and frame.api == END_TXN:
        at = -2 if frame.version >= 3 else -1
        frame.body[at] = 0


@mutation("EndTxn makes offsets visible atomically", "offsets of a transaction")
def offsets_of_an_open_transaction_are_seen(frame):
    """OffsetFetch is answered as if the pending offset had been committed."""
    if not frame.is_request and frame.api == OFFSET_FETCH and frame.version == 7:
        frame.body[:] = frame.body.replace(struct.pack(">qi", -1, -1), struct.pack(">qi", 3, -1))


@mutation("EndTxn can be repeated, not contradicted", "end that is repeated", "an end is not contradicted")
def a_second_end_of_the_other_kind_succeeds(frame):
    errors_become_success(frame, END_TXN, 48)


@mutation("transaction.timeout.ms aborts", "takes too long", "dead producer times out")
def transactions_have_an_hour(frame):
    if frame.is_request and frame.api == INIT_PRODUCER and frame.version >= 2:
        tail = 11 if frame.version >= 3 else 1
        at = len(frame.body) - tail - 4
        struct.pack_into(">i", frame.body, at, 600_000)


# ---------------------------------------------------------------- isolation


def reads_uncommitted(frame):
    """Every fetch becomes one of read_uncommitted."""
    if frame.is_request and frame.api == FETCH and frame.version <= 11:
        at = client_id_end(frame) + 16  # replica, max wait, min bytes, max bytes
        frame.body[at] = 0
    elif frame.is_request and frame.api == FETCH:
        at = client_id_end(frame) + 1 + 16
        frame.body[at] = 0


def client_id_end(frame):
    return 2 + max(0, struct.unpack_from(">h", frame.body)[0])


@mutation("last stable offset", "stops at the last stable offset", "committed data is seen", "system commits")
def fetch_ignores_the_isolation_level(frame):
    reads_uncommitted(frame)


@mutation("last stable offset in ListOffsets", "stops at the last stable offset")
def list_offsets_ignores_the_isolation_level(frame):
    if frame.is_request and frame.api == LIST_OFFSETS and frame.version < 6:
        frame.body[client_id_end(frame) + 4] = 0


@mutation("the aborted list holds only transactions whose last offset >= the fetch offset", "aborted list holds only")
def the_aborted_list_holds_what_ended_before(frame):
    """A fetch asks from 0: the answer then names all aborted transactions."""
    if frame.is_request and frame.api == FETCH and frame.version == 11:
        # Behind the offset of the only partition: log start, limit, forgotten topics, rack.
        struct.pack_into(">q", frame.body, len(frame.body) - (8 + 4 + 4 + 2) - 8, 0)


@mutation("the aborted list is there", "committed data is seen", "aborted list holds only")
def the_aborted_list_is_empty(frame):
    """read_uncommitted has none: what was aborted comes, and nothing says so."""
    reads_uncommitted(frame)


# ---------------------------------------------------------------- groups


@mutation(
    "OffsetFetch with require-stable answers UNSTABLE_OFFSET_COMMIT", "offsets of a transaction", "can be committed"
)
def require_stable_is_ignored(frame):
    if frame.is_request and frame.api == OFFSET_FETCH and frame.version == 7:
        frame.body[-2] = 0


@mutation("stale group generations are refused", "stale generations")
def any_generation_may_commit(frame):
    errors_become_success(frame, OFFSET_COMMIT, 22, 25)


@mutation("stale group generations are refused in Heartbeat", "stale generations")
def any_generation_may_beat(frame):
    errors_become_success(frame, HEARTBEAT, 22, 25)


@mutation("session time-outs evict", "silent member is evicted")
def sessions_last_five_minutes(frame):
    if frame.is_request and frame.api == JOIN_GROUP and frame.version < 6:
        at = client_id_end(frame)
        at += 2 + struct.unpack_from(">h", frame.body, at)[0]
        struct.pack_into(">i", frame.body, at, 300_000)


@mutation("groups lose nothing", "range assignment", "cooperative assignment")
def a_group_skips_records_where_it_goes_on(frame):
    if not frame.is_request and frame.api == API_VERSIONS and frame.version <= 4:
        announce(frame, OFFSET_FETCH, 1, 7)
    elif not frame.is_request and frame.api == OFFSET_FETCH and frame.version == 7:
        reader = Reader(bytes(frame.body))
        reader.tags(), reader.take("i")
        for _ in range(reader.uvarint() - 1):
            reader.compact()
            for _ in range(reader.uvarint() - 1):
                reader.take("i")
                at, offset = reader.at, reader.take("q")
                if offset >= 0:
                    struct.pack_into(">q", frame.body, at, offset + 5)
                reader.take("i"), reader.compact(), reader.take("h"), reader.tags()
            reader.tags()


@mutation("groups are deleted", "groups are listed")
def a_deleted_group_stays(frame):
    if frame.is_request and frame.api == DELETE_GROUPS:
        reader = Reader(bytes(frame.body))
        reader.string()
        # Throttle time, the only group with its error.
        if frame.version < 2:
            reader.take("i")
            frame.answer = struct.pack(">ii", 0, 1) + string(reader.string()) + b"\0\0"
        else:
            reader.tags(), reader.uvarint()
            frame.answer = b"\0" + struct.pack(">i", 0) + uvarint(2) + compact(reader.compact()) + b"\0\0\0\0"


@mutation("what a member may say to its group is bounded", "says too much")
def a_member_may_say_what_it_likes(frame):
    if not frame.is_request and frame.api == JOIN_GROUP and frame.version == 9:
        frame.body[5:7] = b"\0\0"  # tags, throttle time


# ---------------------------------------------------------------- fetch


@mutation("offsets that are not there and partitions that do not exist are named", "offsets out of range")
def errors_of_partitions_are_hidden(frame):
    if not frame.is_request and frame.api == FETCH and frame.version == 11:
        reader = Reader(bytes(frame.body))
        if reader.take("ihii")[3]:  # throttle time, error, session, topics
            reader.string(), reader.take("ii")
            frame.body[reader.at : reader.at + 2] = b"\0\0"


@mutation("fetch sessions are refused", "fetch sessions")
def any_fetch_session_goes_on(frame):
    if not frame.is_request and frame.api == FETCH and frame.version == 11:
        frame.body[4:6] = b"\0\0"  # throttle time


@mutation("offsets are found by time", "found by time")
def times_are_ignored(frame):
    if frame.is_request and frame.api == LIST_OFFSETS and frame.version == 2 and frame.body[-8] < 0x80:
        struct.pack_into(">q", frame.body, len(frame.body) - 8, -1)


@mutation("fetch limits are honoured", "fetch honours its limits")
def fetch_limits_are_ignored(frame):
    if frame.is_request and frame.api == FETCH and frame.version == 11:
        at = client_id_end(frame)
        struct.pack_into(">i", frame.body, at + 12, 50_000_000)
        frame.body[-10:-6] = struct.pack(">i", 50_000_000)


@mutation("long polls are honoured: they wait", "fetch waits for data")
def long_polls_do_not_wait(frame):
    if frame.is_request and frame.api == FETCH and frame.version == 11:
        struct.pack_into(">i", frame.body, client_id_end(frame) + 4, 0)


@mutation("long polls are honoured: data wakes them", "fetch waits for data")
def long_polls_are_not_woken(frame):
    if frame.is_request and frame.api == FETCH and frame.version == 11:
        wait = struct.unpack_from(">i", frame.body, client_id_end(frame) + 4)[0]
        if wait > 5000:
            frame.delay = 8


# ---------------------------------------------------------------- old data


def replace_text(frame, old, new):
    """A string carries its length in front, in two bytes, or plus one in one byte in a flexible request."""
    frame.body[:] = frame.body.replace(string(old), string(new))
    frame.body[:] = frame.body.replace(compact(old), compact(new))


@mutation("compaction; settings of topics", "compaction keeps", "topics are created")
def nothing_is_compacted(frame):
    if frame.is_request and frame.api == CREATE_TOPICS:
        replace_text(frame, "compact", "delete")


@mutation("compaction with tombstones: they go", "tombstones go")
def tombstones_stay_for_ever(frame):
    if frame.is_request and frame.api == CREATE_TOPICS:
        replace_text(frame, "1000", "86400000")


@mutation("compaction with tombstones: they stay for delete.retention.ms", "tombstones stay")
def tombstones_go_at_once(frame):
    if frame.is_request and frame.api == CREATE_TOPICS:
        replace_text(frame, "86400000", "0")


@mutation("retention by time", "retention by time")
def nothing_is_too_old(frame):
    if frame.is_request and frame.api == CREATE_TOPICS:
        replace_text(frame, "3600000", "36000000")


@mutation("retention by size", "retention by size")
def nothing_is_too_large(frame):
    if frame.is_request and frame.api == CREATE_TOPICS:
        replace_text(frame, "100000", "100000000")


# ---------------------------------------------------------------- topics

# As Context.topic names them, in both encodings, in front of an error.
NAMED = rb"(\x0f|\0\x0e)(t-[0-9a-f]{12})"


@mutation("topics that cannot be made are refused", "bad topics")
def every_topic_is_made(frame):
    if not frame.is_request and frame.api == CREATE_TOPICS:
        identifier = rb"(.{16})" if frame.version >= 7 else rb"()"
        frame.body[:] = re.sub(NAMED + identifier + rb"\0.", rb"\1\2\3\0\0", bytes(frame.body), flags=re.DOTALL)


@mutation("asking for a topic does not make it", "does not create topics")
def unknown_topics_have_no_error(frame):
    if not frame.is_request and frame.api == METADATA:
        frame.body[:] = re.sub(rb"\0\3" + NAMED, rb"\0\0\1\2", bytes(frame.body))


# ---------------------------------------------------------------- versions and frames


@mutation("requests of one connection are answered in order", "pipelined requests")
def answers_change_places(frame):
    if not frame.is_request and frame.api == API_VERSIONS and frame.version == 0:
        frame.correlation ^= 1


@mutation("unknown API versions answered as Kafka does: ApiVersions in version 0", "unknown version are answered")
def an_unknown_version_of_api_versions_is_no_error(frame):
    if not frame.is_request and frame.api == API_VERSIONS and frame.version > 10:
        frame.body[:2] = b"\0\0"


@mutation("unknown API versions answered as Kafka does: others close the connection", "not announced closes")
def an_unknown_version_is_answered(frame):
    if frame.is_request and frame.version == 77:
        frame.answer = b"\0\x23"


@mutation("versions that clients negotiate", "keep to the versions")
def fetch_is_announced_in_old_versions_only(frame):
    if not frame.is_request and frame.api == API_VERSIONS and frame.version <= 4:
        announce(frame, FETCH, 0, 3)


def announce(frame, api, oldest, newest):
    """Replaces the range of one API in an answer to ApiVersions."""
    is_flexible = frame.version >= 3
    reader = Reader(bytes(frame.body))
    reader.take("h")
    for _ in range(reader.uvarint() - 1 if is_flexible else reader.take("i")):
        at = reader.at
        if reader.take("hhh")[0] == api:
            struct.pack_into(">hh", frame.body, at + 2, oldest, newest)
        if is_flexible:
            reader.tags()


@mutation("static members", "static leader that comes back")
def a_static_leader_must_assign_again(frame):
    if not frame.is_request and frame.api == JOIN_GROUP and frame.version == 9:
        # tags, throttle time, error, generation, protocol type and name, leader
        reader = Reader(bytes(frame.body))
        reader.tags(), reader.take("ihi"), reader.compact(), reader.compact(), reader.compact()
        frame.body[reader.at] = 0


@mutation("hostile frames close the connection", "hostile frames close")
def hostile_frames_leave_the_connection_open(frame):
    """The proxy itself waits for the rest of the frame for ever; see Proxy.accepts."""


hostile_frames_leave_the_connection_open.accepts_any_length = True


@mutation("a new commit is seen at once by everybody", "nothing of a transaction")
def partitions_show_a_commit_one_after_the_other(frame):
    """The stable end of one partition is told late."""
    if not frame.is_request and frame.api == LIST_OFFSETS and frame.version == 2:
        partition, error, stamp, offset = struct.unpack(">ihqq", frame.body[-22:])
        if partition == 0:
            late = LATE.setdefault(partition, []) if offset else []
            late.append((time.monotonic(), offset))
            shown = [seen for at, seen in late if at < time.monotonic() - 0.002]
            frame.body[-8:] = struct.pack(">q", shown[-1] if shown else 0)


LATE = {}

# Checks of what only the broker itself can break; the README says how they were seen to fail.
ONLY_IN_THE_BROKER = {
    "a silent member is evicted after a kill too",
    "a producer goes on when the broker is killed before its first batch",
    "a transaction of which nothing was written can be ended after a kill",
    "group offsets and topics survive a kill",
    "librdkafka of the system goes on when the broker is killed before its first batch",
    "markers survive a kill",
    "offsets of an aborted transaction do not come back after a kill",
    "what is acknowledged under load survives a kill",
    "what was added to a transaction may be used after a kill",
}
