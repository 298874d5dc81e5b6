#!/usr/bin/env python3
"""Members of a cluster and nothing else, as real processes: how soon the others know that one is gone, and whether the
two halves of a network that was split grow together again.

Each round one member is killed (SIGKILL) or frozen (SIGSTOP); the clock stops when the last of the others has
published a view without it. Then the network is split into two halves, for longer than it takes them to give each
other up, and healed; the clock stops when every member's view has all members again. Nobody else may be lost meanwhile.

    Tests/Chaos/membership.py [--nodes N] [--rounds R] [--partition SECONDS] [--binary PATH]

Exit status: 0 goals met, 1 not. Benchmarks/membership measures more, beside serf.
"""

import argparse
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import isolation
import network as networks
import stalls
from cluster import SECRET

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / ".build/release/orchestra"
# Seconds until the last survivor knows (the median of all rounds), and until all agree after a partition.
GOALS = {"SIGKILL": 1.0, "SIGSTOP": 3.5, "partition": 35.0}
# A measurement during which the machine stood still for longer, in seconds, tells more of the machine.
STALL = 0.3
SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGSTOP": signal.SIGSTOP}


class Failure(Exception):
    pass


class Member:
    """A process, and what it says of the others."""

    def __init__(self, name, address):
        self.name, self.address = name, address
        self.process = None
        self.view = frozenset()
        self.last_lines = []

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None


class Members:
    """Processes of one kind. Subclasses say how one is started and how its words are understood."""

    def __init__(self, folder, count, network, binary):
        self.binary = binary
        self.folder, self.network = pathlib.Path(folder), network
        self.changed = threading.Condition()
        self.threads = []
        self.stalls = stalls.Stalls()
        self.members = {}
        for number in range(1, count + 1):
            name = f"{self.kind}-{number}"
            self.members[name] = Member(name, network.add(name))
        self.names = frozenset(self.members)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for member in self.members.values():
            if member.is_running:
                member.process.kill()
                member.process.wait()
        for thread in self.threads:
            thread.join(5)
        self.stalls.close()

    def start_all(self):
        for name in self.members:
            self.start(name)
        return self.wait(lambda: self.all_see(self.names), 20, "a cluster of all members")

    @property
    def environment(self):
        return {key: value for key, value in os.environ.items() if not key.startswith("ORCHESTRA_")}

    def start(self, name):
        member = self.members[name]
        command = self.network.command(name, self.command(member))
        member.view = frozenset()
        member.process = subprocess.Popen(
            command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", env=self.environment,
        )  # fmt: skip
        thread = threading.Thread(target=self.listen, args=(member, member.process), daemon=True)
        self.threads.append(thread)
        thread.start()

    def listen(self, member, process):
        for line in process.stdout:
            at = time.monotonic()
            with self.changed:
                if member.process is not process:
                    return
                member.last_lines = [*member.last_lines[-19:], line]
                before = member.view
                member.view = self.understand(line, member.view)
                if member.view != before:
                    self.last_change = at
                    self.changed.notify_all()

    def end(self, name, how):
        """Kills or freezes a member; returns when."""
        at = time.monotonic()
        self.members[name].process.send_signal(how)
        return at

    def revive(self, name):
        """A new process in the place of one that was killed or frozen."""
        process = self.members[name].process
        process.kill()
        process.wait()
        self.start(name)
        self.wait(lambda: self.all_see(self.names), 120, f"all see {name} again")

    def all_see(self, wanted, among=None):
        return all(self.members[name].view == wanted for name in among or self.names)

    def wait(self, condition, limit, what):
        """Returns when the change was seen that made the condition true."""
        deadline = time.monotonic() + limit
        with self.changed:
            while not condition():
                if not self.changed.wait(max(0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                    views = {name: sorted(member.view) for name, member in self.members.items()}
                    said = {name: member.last_lines[-3:] for name, member in self.members.items()}
                    raise Failure(f"{self.kind}: not within {limit} s: {what}; views: {views}; they said: {said}")
            return self.last_change

    # What is measured, in seconds

    def lose(self, name, how, limit=90):
        """Until the last of the others knows."""
        others = self.names - {name}
        began = self.end(name, how)
        ended = self.wait(lambda: self.all_see(others, among=others), limit, f"all others know that {name} is gone")
        return ended - began

    def rounds(self, signal_name, count):
        """The times of so many rounds; fewer if the machine stood still again and again: those do not count."""
        names, times, tries = sorted(self.names), [], 0
        while len(times) < count and tries < 3 * count:
            name = names[tries % len(names)]
            tries += 1
            self.stalls.take()
            took = self.lose(name, SIGNALS[signal_name])
            if self.stalls.take() < STALL:
                times.append(took)
            self.revive(name)
            # Where in everybody's second the next one ends is up to chance.
            time.sleep(random.uniform(0.2, 1.2))
        return times

    def partition(self, seconds, limit=180):
        """From the end of a partition until everybody sees everybody."""
        names = sorted(self.names)
        halves = [frozenset(names[: len(names) // 2]), frozenset(names[len(names) // 2 :])]
        self.stalls.take()
        self.network.split(*halves)
        began = time.monotonic()
        for half in halves:
            self.wait(lambda half=half: self.all_see(half, among=half), 90, f"{sorted(half)} see each other only")
        parted = time.monotonic() - began
        time.sleep(max(0, seconds - parted))
        for half in halves:
            if not self.all_see(half, among=half):
                raise Failure(f"{self.kind}: a half has lost one of its own: {[m.view for m in self.members.values()]}")
        healed = time.monotonic()
        self.network.heal_all()
        took = self.wait(lambda: self.all_see(self.names), limit, "all see all after the partition") - healed
        return parted, took, self.stalls.take()


class Orchestra(Members):
    """`orchestra member`: says each view that it publishes."""

    kind = "orchestra"

    def __init__(self, folder, count, network, binary=BINARY):
        super().__init__(folder, count, network, binary)
        self.ports = {name: network.port(member.address, 7600) for name, member in self.members.items()}

    @property
    def environment(self):
        return super().environment | {"ORCHESTRA_CLUSTER_SECRET": SECRET}

    def at(self, name):
        return f"{self.members[name].address}:{self.ports[name]}"

    def command(self, member):
        seeds = sorted(self.names)[:3]
        words = [self.binary, "member", "--role", "silo", "--node-id", member.name, "--log-format", "json"]
        words += ["--listen-node", self.at(member.name), "--admin-listen", f"{member.address}:0"]
        words += ["--data-dir", self.folder / member.name]
        for seed in seeds:
            words += ["--seed", self.at(seed)]
        return [str(word) for word in words]

    def understand(self, line, view):
        with contextlib.suppress(ValueError):
            said = json.loads(line)
            if said.get("message") == "silos":
                return frozenset(said["silos"].split())
        return view


def run(nodes, rounds, partition, binary):
    isolated = isolation.enter()
    network = networks.Network() if isolated else networks.Loopback(isolation.loopback_network())
    folder, missed = tempfile.mkdtemp(prefix="membership-"), 0

    def verdict(what, took, goal):
        nonlocal missed
        missed += took > goal
        print(f"{'ok   ' if took <= goal else 'MISSED'} {what}: {took:.2f} s, goal {goal} s", flush=True)

    try:
        with Orchestra(folder, nodes, network, binary) as members:
            members.start_all()
            for signal_name in SIGNALS:
                times = members.rounds(signal_name, rounds)
                what = f"{signal_name}, {nodes} nodes, {len(times)} rounds, median"
                if times:
                    verdict(what, statistics.median(times), GOALS[signal_name])
                else:
                    print(f"?     {what}: the machine is too busy to tell; all knew in the end")
            if network.can_cut:
                parted, healed, stalled = members.partition(partition)
                if stalled > STALL:
                    print(f"      the machine stood still for {stalled} s meanwhile")
                print(f"      the halves gave each other up after {parted:.1f} s and were parted for {partition} s")
                verdict("all agree after the partition", healed, GOALS["partition"])
            else:
                print("left out, because there are no network namespaces here: 1 split")
    except Failure as failure:
        print(f"FAILED {failure}")
        return 1
    finally:
        network.close()
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if missed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=6, help="how many members (default 6)")
    parser.add_argument("--rounds", type=int, default=3, help="of each signal (default 3)")
    parser.add_argument("--partition", type=float, default=12, help="seconds (default 12)")
    parser.add_argument("--binary", default=BINARY, help="the orchestra to run (default the release build)")
    options = parser.parse_args()
    return run(options.nodes, options.rounds, options.partition, options.binary)


if __name__ == "__main__":
    sys.exit(main())
