#!/usr/bin/env python3
"""Measures how long callers wait when a silo dies, leaves or joins.

A client adds to some counters, each 100 times a second, through any silo. Before that the cluster is filled with
10,000 grains that hold 100 MB. Per round:

* SIGKILL of a silo that owns some of the counters: the time until the first addition that began after it succeeds, for
  each of those counters.
* SIGTERM of another (a drain): additions that failed, and the longest time without a success, for any counter.
* A further silo joins: the same. It leaves again at the end of the round.

A measurement during which the machine stood still does not count. Prints median, 99th percentile and maximum over all
rounds, beside the goals. Exit status: 0 goals met, 1 not.
"""

import argparse
import collections
import json
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import isolation
import partitions
import stalls
from chaos import ROOT, say
from cluster import Cluster

GOALS = {"kill": (4.0, 6.0), "drain": (0.5, 0.5), "join": (0.5, 0.5)}


def murmur2(data):
    """Kafka's hash of a key."""
    length, m, mask = len(data), 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ length) & mask
    for i in range(0, length - length % 4, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ (k >> 24)) * m & mask
        h = (h * m & mask) ^ k
    rest = data[length - length % 4 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ (h >> 13)) * m & mask
    return h ^ (h >> 15)


def partition_of(key, count):
    return (murmur2(key.encode()) & 0x7FFFFFFF) % count


def owners(cluster, wanted):
    """Partition → the silo that claimed it last, of those claims that stand."""
    connection, result = partitions.kafka_wire.Connection(cluster.kafka, timeout=30), {}
    try:
        for partition in wanted:
            claims = {}
            for record in partitions.committed_records(connection, partition)[0]:
                if record.key.startswith(partitions.CLAIM):
                    silo = record.key.partition(b"/")[2].decode()
                    claims.pop(silo, None)
                    if record.value is not None:
                        claims[silo] = record.offset
            if claims:
                result[partition] = max(claims, key=claims.get)
    finally:
        connection.close()
    return result


class Probe:
    """The client, and what it saw."""

    def __init__(self, cluster, keys, rate, seconds, path):
        self.path = path
        path.unlink(missing_ok=True)
        arguments = ["probe", "--silos", cluster.silo_addresses, "--keys", ",".join(keys), "--rate", str(rate)]
        arguments += ["--seconds", str(seconds), "--output", str(path), "--attempt-timeout", "10000"]
        self.process = cluster.run_client(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)

    def results(self):
        if self.process.wait(timeout=200) != 0:
            raise RuntimeError(f"the probe ended with {self.process.returncode}")
        with open(self.path, encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]


def first_success(results, key, moment):
    """Seconds from `moment` until the end of the first success among the calls that began after it."""
    ends = [r["end"] for r in results if r["key"] == key and "error" not in r and r["begin"] >= moment]
    return (min(ends) - moment) / 1e9 if ends else float("inf")


def longest_gap(results, key, begin, end):
    """The longest time between two successes that touches the time from `begin` to `end`."""
    ends = sorted(r["end"] for r in results if r["key"] == key and "error" not in r)
    gaps = [b - a for a, b in zip(ends, ends[1:], strict=False) if b >= begin and a <= end]
    return max(gaps, default=float("inf")) / 1e9


class Rounds:
    def __init__(self, cluster, options):
        self.cluster, self.options = cluster, options
        self.samples = collections.defaultdict(list)
        self.errors = collections.Counter()
        self.messages = collections.Counter()
        self.number = self.discarded = 0
        self.stalls = stalls.Stalls()
        self.keys = [f"probe-{n}" for n in range(options.keys)]
        self.partition_of = {key: partition_of(key, options.partitions) for key in self.keys}

    def probe(self, action, seconds):
        """Probes for a while and does something after two seconds; returns results, begin and end of the action."""
        self.number += 1
        path = self.cluster.folder / f"probe-{self.number}.jsonl"
        self.stalls.take()
        probe = Probe(self.cluster, self.keys, self.options.rate, seconds, path)
        time.sleep(2)
        moment = time.monotonic_ns()
        action()
        done = time.monotonic_ns()
        return probe.results(), moment, done

    def owned(self):
        """Silo → the keys that it owns."""
        by_silo, current = collections.defaultdict(list), owners(self.cluster, set(self.partition_of.values()))
        for key, partition in self.partition_of.items():
            if partition in current:
                by_silo[current[partition]].append(key)
        return by_silo

    def settle(self, names=()):
        self.cluster.wait_ready(names, limit=120)
        self.cluster.wait_agreement(limit=120)
        # Until the hand-over that a join brings about has come to rest.
        last, since = None, time.monotonic()
        while time.monotonic() - since < 4:
            now = owners(self.cluster, set(self.partition_of.values()))
            if now != last:
                last, since = now, time.monotonic()
            time.sleep(0.5)

    def victim(self, number):
        by_silo = self.owned()
        names = sorted(name for name in by_silo if self.cluster.nodes[name].is_running)
        return names[number % len(names)], by_silo

    def counts(self):
        """Whether what was just measured says something of the cluster."""
        stall = self.stalls.take()
        if stall > self.options.stall:
            say(f"the machine stood still for {stall} s: not counted")
            self.discarded += 1
        return stall <= self.options.stall

    def note(self, kind, results, begin, end):
        errors = [r for r in results if "error" in r and r["end"] >= begin]
        gap = max(longest_gap(results, key, begin, end) for key in self.keys)
        for message, count in collections.Counter(r["error"][:160] for r in errors).most_common(3):
            say(f"  {count} × {message}")
        if self.counts():
            self.errors[kind] += len(errors)
            self.messages.update(f"{kind}: {r['error'][:160]}" for r in errors)
            self.samples[kind].append(gap)
        return len(errors), gap

    def kill(self, number):
        name, by_silo = self.victim(number)
        results, moment, _ = self.probe(lambda: self.cluster.kill(name), self.options.window)
        times = [first_success(results, key, moment) for key in by_silo[name]]
        if self.counts():
            self.samples["kill"] += times
            self.errors["kill"] += sum("error" in r for r in results)
        say(f"round {number}: SIGKILL of {name}: first success after {' '.join(f'{t:.2f}' for t in times)} s")
        self.cluster.restart(name)
        self.settle([name])

    def drain(self, number):
        name, _ = self.victim(number + 1)
        results, begin, end = self.probe(lambda: self.cluster.stop(name), self.options.window)
        errors, gap = self.note("drain", results, begin, end)
        say(f"round {number}: drain of {name} took {(end - begin) / 1e9:.2f} s: {errors} errors, gap {gap:.3f} s")
        self.cluster.restart(name)
        self.settle([name])

    def join(self, number):
        name = f"silo-{self.options.silos + 1}"

        def start():
            self.cluster.restart(name)
            self.cluster.wait_ready([name])

        results, begin, _ = self.probe(start, self.options.window)
        errors, gap = self.note("join", results, begin, max(r["end"] for r in results))
        self.settle([name])
        moved = len(self.owned().get(name, []))
        say(f"round {number}: {name} joined, has {moved} of the counters: {errors} errors, gap {gap:.3f} s")
        self.cluster.stop(name)
        self.settle()

    def table(self):
        print("\n| what | samples | median s | p99 s | max s | errors | goal (median, p99) |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        good = True
        for kind, (median_goal, tail_goal) in GOALS.items():
            values = sorted(self.samples[kind])
            if not values:
                continue
            median, tail = statistics.median(values), values[min(len(values) - 1, int(len(values) * 0.99))]
            errors = self.errors[kind]
            goal = f"{median_goal}, {tail_goal}" + ("" if kind == "kill" else ", no errors")
            print(f"| {kind} | {len(values)} | {median:.2f} | {tail:.2f} | {values[-1]:.2f} | {errors} | {goal} |")
            good &= median <= median_goal and tail <= tail_goal and (kind == "kill" or errors == 0)
        print(f"\n{self.discarded} measurements did not count, because the machine stood still")
        for message, count in self.messages.most_common(10):
            print(f"{count} × {message}")
        return good


def parse():
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--only", default="kill,drain,join")
    parser.add_argument("--silos", type=int, default=3)
    parser.add_argument("--partitions", type=int, default=16)
    parser.add_argument("--keys", type=int, default=4, help="counters that are called")
    parser.add_argument("--rate", type=float, default=100, help="calls of each counter a second")
    parser.add_argument("--grains", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=10_000, help="bytes of each grain")
    parser.add_argument("--window", type=float, default=20, help="seconds that each measurement takes")
    parser.add_argument("--stall", type=float, default=0.15, help="seconds without the processor that do not matter")
    parser.add_argument("--binary", default=str(ROOT / ".build/release/chaos-orchestra"))
    parser.add_argument("--folder")
    parser.add_argument("--log-level", default="info")
    return parser.parse_args()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = parse()
    isolated = isolation.enter()
    folder = pathlib.Path(options.folder or tempfile.mkdtemp(prefix="orchestra-failover-")).resolve()
    with Cluster(
        folder, options.binary, silos=options.silos, agents=1, gateways=1, partitions=options.partitions,
        isolated=isolated, spares=1, log_level=options.log_level,
    ) as cluster:  # fmt: skip
        cluster.start()
        cluster.wait_agreement()
        begin = time.monotonic()
        arguments = ["fill", "--silos", cluster.silo_addresses, "--grains", str(options.grains)]
        if cluster.run_client([*arguments, "--size", str(options.size)]).wait(timeout=900) != 0:
            raise RuntimeError("the cluster could not be filled")
        say(f"filled in {time.monotonic() - begin:.0f} s; logs in {folder}")
        rounds = Rounds(cluster, options)
        # The counters exist, and everything has its place.
        Probe(cluster, rounds.keys, 10, 1, folder / "probe.jsonl").results()
        rounds.settle()
        for number in range(options.rounds):
            for kind in options.only.split(","):
                getattr(rounds, kind)(number)
        good = rounds.table()
        ends = cluster.notice_ends() or cluster.unexpected_ends
        for end in ends:
            print(end)
    return 0 if good and not ends else 1


if __name__ == "__main__":
    sys.exit(main())
