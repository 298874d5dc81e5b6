"""Other clients than confluent-kafka: librdkafka 2.0.2 in C, aiokafka, kafka-python, kcat."""

import asyncio
import subprocess

import aiokafka
import kafka
from broker_process import compile_c
from kafka_wire import Reader
from proxy import Proxy
from support import Context, check, equal, name


@check
def librdkafka_of_the_system_commits_aborts_and_is_fenced(t):
    run = subprocess.run(
        [compile_c("librdkafka_transactions", "-lrdkafka"), t.bootstrap, t.topic()],
        capture_output=True,
        text=True,
        timeout=60,
    )
    equal(run.returncode, 0, f"exit status; it said: {run.stdout}{run.stderr}")
    equal(run.stdout.count("ok "), 7, "checks in C")


@check
def kcat_produces_consumes_and_lists(t):
    topic = t.topic(2)

    def run(*words, text=None):
        return subprocess.run(
            ["kcat", "-b", t.bootstrap, *words], input=text, text=True, capture_output=True, timeout=30
        )

    produced = run("-P", "-t", topic, "-p", "1", "-z", "lz4", text="one\ntwo\n")
    equal(produced.returncode, 0, f"kcat -P {produced.stderr}")
    equal(run("-C", "-t", topic, "-p", "1", "-o", "beginning", "-e", "-q").stdout, "one\ntwo\n", "kcat -C")
    assert f'topic "{topic}" with 2 partitions' in run("-L").stdout, "kcat -L"
    grouped = run("-G", name("g"), "-X", "auto.offset.reset=earliest", "-e", "-q", "-c", "2", topic)
    equal(sorted(grouped.stdout.split()), ["one", "two"], f"kcat -G {grouped.stderr}")


@check
def aiokafka_produces_in_transactions_and_consumes_in_a_group(t):
    topic, group = t.topic(), name("g")

    async def work():
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=t.bootstrap, transactional_id=name("tx"))
        await producer.start()
        try:
            for commit in (True, False, True):
                await producer.begin_transaction()
                await producer.send_and_wait(topic, b"kept" if commit else b"dropped", partition=0)
                if commit:
                    await producer.send_offsets_to_transaction({aiokafka.TopicPartition(topic, 0): 1}, group)
                    await producer.commit_transaction()
                else:
                    await producer.abort_transaction()
        finally:
            await producer.stop()
        consumer = aiokafka.AIOKafkaConsumer(
            topic,
            bootstrap_servers=t.bootstrap,
            group_id=name("g"),
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            values = [(await asyncio.wait_for(consumer.getone(), 20)).value for _ in range(2)]
            equal(values, [b"kept", b"kept"], "values")
            await consumer.commit()
            equal(await consumer.committed(aiokafka.TopicPartition(topic, 0)), 5, "committed offset")
        finally:
            await consumer.stop()

    asyncio.run(work())
    equal(t.raw().offset_fetch(group, topic, 0), (0, 1), "offset of the transaction")


@check
def kafka_python_produces_in_transactions_and_consumes_in_a_group(t):
    topic = t.topic()
    producer = kafka.KafkaProducer(bootstrap_servers=t.bootstrap, transactional_id=name("tx"), compression_type="gzip")
    try:
        producer.init_transactions()
        for commit in (True, False, True):
            producer.begin_transaction()
            producer.send(topic, b"kept" if commit else b"dropped", partition=0).get(20)
            if commit:
                producer.commit_transaction()
            else:
                producer.abort_transaction()
    finally:
        producer.close()
    consumer = kafka.KafkaConsumer(
        topic,
        bootstrap_servers=t.bootstrap,
        group_id=name("g"),
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        enable_auto_commit=False,
        consumer_timeout_ms=30_000,
    )
    try:
        values = []
        for message in consumer:
            values.append(message.value)
            if len(values) == 2:
                break
        equal(values, [b"kept", b"kept"], "values")
        consumer.commit()
        equal(consumer.committed(kafka.TopicPartition(topic, 0)), 5, "committed offset")
    finally:
        consumer.close()
    admin = kafka.KafkaAdminClient(bootstrap_servers=t.bootstrap)
    try:
        assert topic in admin.list_topics(), "the administrator does not see the topic"
    finally:
        admin.close()


# The oldest version of each API in which a client can do what the workloads ask of it: records with producer ids,
# aborted transactions left out, offsets of groups in the broker.
NEEDED = {0: 3, 1: 4, 3: 0, 8: 2, 11: 0, 14: 0, 18: 0, 22: 0, 24: 0, 26: 0}
NEEDED_OF = {"aiokafka": NEEDED, "kafka-python": NEEDED}


@check
def clients_keep_to_the_versions_that_are_announced(t):
    """Looks at what aiokafka and kafka-python really send while they produce, consume and join groups."""
    announced = t.raw().api_versions()
    sent = {}

    def note(frame):
        if frame.is_request:
            client = Reader(bytes(frame.body)).string() or ""
            sent.setdefault(next((known for known in NEEDED_OF if client.startswith(known)), ""), set()).add(
                (frame.api, frame.version)
            )

    proxy = Proxy(int(t.bootstrap.rsplit(":", 1)[1]), note)
    try:
        through = Context(t.bootstrap, through=proxy.bootstrap)
        aiokafka_produces_in_transactions_and_consumes_in_a_group(through)
        kafka_python_produces_in_transactions_and_consumes_in_a_group(through)
    finally:
        proxy.close()
    for client, needed in NEEDED_OF.items():
        versions = {}
        for api, version in sorted(sent.get(client, ())):
            # A client may ask for the versions in a version that the broker does not know, and is told so.
            if api != 18:
                oldest, newest = announced.get(api, (1, 0))
                assert oldest <= version <= newest, f"{client}: API {api} in version {version}; {oldest} to {newest}"
            versions[api] = version
        for api, oldest in needed.items():
            assert versions.get(api, -1) >= oldest, f"{client} has used API {api} in version {versions.get(api)}"
