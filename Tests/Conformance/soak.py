#!/usr/bin/env python3
"""Soak test of the broker: transactional workers under random SIGKILLs of themselves and of the broker.

    soak.py [--broker COMMAND] [--records N] [--seeds N] [--seed S] [--jobs N] [--limit SECONDS] [--dirty-reader]

Per seed a fresh broker; an idempotent producer feeds N records; four workers (consume, count, produce, send offsets,
commit; two on confluent-kafka's librdkafka, two in C on the system's) move them to a second topic and abort 15 % of
their transactions on purpose. One reader tails the result with read_committed during the run, one re-reads it from 0
afterwards. Both must see every record once, in the order of the source, with a gapless count per key.

Prints one line per seed; exits with 1, naming the seed, if anything is lost, repeated or miscounted, or if a seed is
not done within the limit. --dirty-reader reads uncommitted instead, to see that the test can fail.
"""

import argparse
import contextlib
import faulthandler
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from broker_process import DEFAULT_COMMAND, BrokerProcess, compile_c, wait_until
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 8
KEYS = 16
QUIET = {"log_level": 2, "reconnect.backoff.max.ms": 500}
SOURCE, TARGET, GROUP = "soak-source", "soak-target", "soak"
RECORDS_PER_SECOND = 1200


class Feeder(threading.Thread):
    """Sends the records at a steady rate, idempotently, over the broker's restarts."""

    def __init__(self, bootstrap, count):
        super().__init__(daemon=True)
        self.count, self.failures = count, []
        self.producer = Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "retries": 1000, **QUIET}
        )

    def run(self):
        began = time.monotonic()
        for number in range(self.count):
            self.producer.produce(
                SOURCE,
                str(number),
                key=str(number // PARTITIONS % KEYS),
                partition=number % PARTITIONS,
                on_delivery=lambda error, _: error and self.failures.append(error),
            )
            self.producer.poll(0)
            ahead = number / RECORDS_PER_SECOND - (time.monotonic() - began)
            if ahead > 0.01:
                time.sleep(ahead)
        if self.producer.flush(60):
            self.failures.append("not everything was acknowledged")


class Reader(threading.Thread):
    """Reads the whole target topic, from 0, until it is told how far."""

    def __init__(self, bootstrap, isolation):
        super().__init__(daemon=True)
        self.values = {partition: [] for partition in range(PARTITIONS)}
        self.positions = dict.fromkeys(range(PARTITIONS), 0)
        self.ends, self.failure, self.stopped = None, None, False
        self.consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "reader",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "isolation.level": isolation,
                "enable.partition.eof": True,
                **QUIET,
            }
        )
        self.consumer.assign([TopicPartition(TARGET, partition, 0) for partition in range(PARTITIONS)])

    def run(self):
        while not self.stopped:
            for message in self.consumer.consume(500, 0.1):
                error = message.error()
                if error is None:
                    self.values[message.partition()].append(message.value().decode())
                    self.positions[message.partition()] = message.offset() + 1
                elif error.name() == "_PARTITION_EOF":
                    self.positions[message.partition()] = message.offset()
                elif not error.retriable() and error.name() not in ("_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE"):
                    self.failure = self.failure or str(error)
            if self.ends and all(self.positions[partition] >= end for partition, end in self.ends.items()):
                break
        self.consumer.close()

    def finish(self, ends, timeout):
        self.ends = ends
        self.join(timeout)
        self.stopped = True
        behind = {p: (self.positions[p], end) for p, end in ends.items() if self.positions[p] < end}
        assert not behind, f"a reader has not reached the end; partition: (at, end) {behind}"
        assert self.failure is None, f"a reader failed: {self.failure}"
        return self.values


class Workers:
    """Four processes that are started again when they end; one half static members of the group."""

    def __init__(self, bootstrap, seed):
        here = pathlib.Path(__file__).parent
        programs = [[sys.executable, str(here / "soak_worker.py")], [compile_c("soak_worker", "-lrdkafka")]]
        self.commands = [
            [*programs[n % 2], bootstrap, GROUP, SOURCE, TARGET, f"soak-{n}", f"static-{n}" if n >= 2 else "-"]
            for n in range(4)
        ]
        self.seed, self.starts, self.gave_up = seed, 0, []
        self.lock = threading.Lock()
        self.processes = [self.launch(n) for n in range(4)]

    def launch(self, number):
        self.starts += 1
        return subprocess.Popen([*self.commands[number], str(self.seed * 1000 + self.starts)], stderr=subprocess.PIPE)

    def kill(self, number):
        with self.lock:
            self.end(self.processes[number])
            self.processes[number] = self.launch(number)

    def restart_ended(self):
        with self.lock:
            for number, process in enumerate(self.processes):
                if process.poll() is not None:
                    text = process.stderr.read().decode(errors="replace").strip()
                    self.gave_up.append(self.reason(text) if text else f"exit {process.returncode}")
                    self.end(process)
                    self.processes[number] = self.launch(number)

    def stop(self):
        with self.lock:
            for process in self.processes:
                self.end(process)

    @staticmethod
    def reason(text):
        """The last line, or where it hung."""
        lines = text.splitlines()
        hung = [line.strip() for line in lines if line.strip().startswith("File ")]
        return (
            f"hung in {hung[0]}"
            if lines[0].startswith("Timeout") and hung
            else " / ".join(line.strip() for line in lines[-5:])
        )

    @staticmethod
    def end(process):
        process.kill()
        process.wait()
        process.stderr.close()


class Saboteur(threading.Thread):
    """Kills workers and the broker at random moments until the feeder has ended."""

    def __init__(self, broker, workers, feeder, seed, records):
        super().__init__(daemon=True)
        self.broker, self.workers, self.feeder = broker, workers, feeder
        self.random = random.Random(seed)
        self.length = records / RECORDS_PER_SECOND
        self.kills, self.failure = {"worker": 0, "broker": 0}, None

    def run(self):
        try:
            while self.feeder.is_alive():
                time.sleep(self.random.uniform(0.03, 0.09) * self.length)
                if not self.feeder.is_alive():
                    return
                if self.random.random() < 0.4:
                    self.kills["broker"] += 1
                    self.broker.kill()
                    time.sleep(self.random.uniform(0, 0.3))
                    self.broker.start()
                else:
                    self.kills["worker"] += 1
                    self.workers.kill(self.random.randrange(4))
        except Exception as error:
            self.failure = error


def consumed_everything(admin, records):
    try:
        found = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP)])[GROUP].result(5)
    except KafkaException:
        return False
    return sum(entry.offset for entry in found.topic_partitions if entry.offset > 0) == records


def ends_of_target(bootstrap):
    """The ends of the target's partitions once no transaction is open there."""
    results = {}
    for isolation in ("read_committed", "read_uncommitted"):
        consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "ends", "isolation.level": isolation, **QUIET})
        results[isolation] = {
            p: consumer.get_watermark_offsets(TopicPartition(TARGET, p), timeout=10)[1] for p in range(PARTITIONS)
        }
        consumer.close()
    return results["read_uncommitted"] if results["read_committed"] == results["read_uncommitted"] else None


def judge(values, records):
    """What is wrong with the target topic: a list of sentences."""
    problems = []
    for partition, lines in values.items():
        expected_count = len(range(partition, records, PARTITIONS))
        counts = [0] * KEYS
        rows = [tuple(map(int, line.split())) for line in lines]
        sources = [row[2] for row in rows]
        lost = set(range(partition, records, PARTITIONS)) - set(sources)
        if lost:
            problems.append(f"partition {partition}: {len(lost)} of {expected_count} lost, first {min(lost)}")
        if len(set(sources)) != len(sources):
            problems.append(f"partition {partition}: {len(sources) - len(set(sources))} repeated")
        if sources != sorted(sources):
            problems.append(f"partition {partition}: not in the order of the source")
        for at, offset, _, key, count in rows:
            counts[key] += 1
            if at != partition or count != counts[key]:
                problems.append(
                    f"partition {partition}, offset {offset}: count {count} of key {key}, not {counts[key]}"
                )
                break
    return problems


def soak(command, seed, records, isolation):
    began = time.monotonic()
    with BrokerProcess(command) as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap, **QUIET})
        for future in admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in (SOURCE, TARGET)]).values():
            future.result(20)
        tail = Reader(broker.bootstrap, isolation)
        tail.start()
        feeder = Feeder(broker.bootstrap, records)
        workers = Workers(broker.bootstrap, seed)
        try:
            saboteur = Saboteur(broker, workers, feeder, seed, records)
            feeder.start()
            saboteur.start()

            def done():
                workers.restart_ended()
                assert saboteur.failure is None, f"the broker did not come back: {saboteur.failure}"
                return not saboteur.is_alive() and not feeder.is_alive() and consumed_everything(admin, records)

            wait_until(done, "the workers have consumed everything", 60 + records / 200)
            assert not feeder.failures, f"the feeder failed: {feeder.failures[0]}"
        finally:
            workers.stop()
        ends = wait_until(lambda: ends_of_target(broker.bootstrap), "no transaction is open", 30)
        again = Reader(broker.bootstrap, isolation)
        again.start()
        problems = [f"tailing reader: {problem}" for problem in judge(tail.finish(ends, 30), records)]
        problems += [f"re-reading reader: {problem}" for problem in judge(again.finish(ends, 30), records)]
        markers = sum(ends.values()) - sum(len(lines) for lines in again.values.values())
    gave_up = [f"      a worker gave up: {reason[:400]}" for reason in sorted(set(workers.gave_up))]
    title = (
        f"{'FAIL' if problems else 'ok  '}  seed {seed}: {records} records, "
        f"{saboteur.kills['worker']} workers and {saboteur.kills['broker']} brokers killed, "
        f"{len(workers.gave_up)} workers gave up, {markers} markers and aborted records skipped, "
        f"{time.monotonic() - began:.0f} s"
    )
    print("\n".join([title, *gave_up, *(f"      {problem}" for problem in problems[:10])]), flush=True)
    return not problems


def survives(command, seed, records, isolation):
    try:
        return soak(command, seed, records, isolation)
    except Exception as error:
        print(f"FAIL  seed {seed}: {type(error).__name__}: {error}", flush=True)
        return False


class Seeds:
    """Runs each seed as a process of its own, a few at a time, and ends whatever is left when the time is over.

    Processes, because a call into librdkafka that hangs cannot be ended in any other way.
    """

    def __init__(self, seeds, jobs, seconds):
        self.waiting, self.running, self.failed, self.late = list(seeds), {}, [], []
        self.jobs, self.seconds = jobs, seconds
        self.deadline = time.monotonic() + seconds
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="soak-"))

    def run(self):
        """The seeds that failed or were not done."""
        try:
            while self.waiting or self.running:
                if time.monotonic() > self.deadline:
                    self.give_up()
                    return self.failed + self.late
                while self.waiting and len(self.running) < self.jobs:
                    self.begin(self.waiting.pop(0))
                for seed in [seed for seed, process in self.running.items() if process.poll() is not None]:
                    self.end(seed)
                time.sleep(0.05)
            return self.failed
        finally:
            for seed in list(self.running):
                self.kill(seed)
            if not self.late:
                shutil.rmtree(self.folder, ignore_errors=True)

    def begin(self, seed):
        folder = self.folder / f"seed-{seed}"
        folder.mkdir()
        left = self.deadline - time.monotonic()
        command = [sys.executable, __file__, *sys.argv[1:], "--seed", str(seed), "--alone", "--limit", str(left)]
        environment = os.environ | {"TMPDIR": str(folder)}
        self.running[seed] = subprocess.Popen(command, env=environment, start_new_session=True)

    def end(self, seed):
        code = self.kill(seed)
        if code:
            self.failed.append(seed)
        if code not in (0, 1):
            print(f"FAIL  seed {seed}: the process ended with {code}", flush=True)

    def kill(self, seed):
        """Ends a seed's process with its broker and workers, which are of its group; returns its exit status."""
        process = self.running.pop(seed)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return process.wait()

    def give_up(self):
        self.late = [*self.running, *self.waiting]
        names = ", ".join(f"{seed} ({'running' if seed in self.running else 'not begun'})" for seed in self.late)
        print(f"FAIL  not done within {self.seconds:.0f} s: seed {names}; data and logs: {self.folder}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", default=DEFAULT_COMMAND, help="command with {data} and {port}")
    parser.add_argument("--records", type=int, default=20000, help="per seed (default 20000)")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds (default 5)")
    parser.add_argument("--seed", type=int, help="this seed only")
    parser.add_argument("--jobs", type=int, default=3, help="seeds at a time (default 3)")
    parser.add_argument("--limit", type=float, default=230, help="seconds for all seeds together (default 230)")
    parser.add_argument("--dirty-reader", action="store_true", help="read uncommitted: the test must fail")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        # Says where it hangs before it is killed. Needs no lock of the interpreter, which may be what hangs.
        faulthandler.dump_traceback_later(max(0.1, options.limit - 2))
        isolation = "read_uncommitted" if options.dirty_reader else "read_committed"
        return 0 if survives(options.broker, options.seed, options.records, isolation) else 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    compile_c("soak_worker", "-lrdkafka")
    seeds = [options.seed] if options.seed is not None else range(1, options.seeds + 1)
    # Most of a run is waiting for session and transaction time-outs, so a few fit side by side.
    failed = Seeds(seeds, options.jobs, options.limit).run()
    if failed:
        print(f"soak: failed; repeat with --seed {failed[0]}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
