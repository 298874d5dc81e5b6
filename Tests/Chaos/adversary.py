"""What goes wrong, and when: all of it follows from a seed.

`schedule()` makes the plan without looking at the cluster, so a seed replays it. `Adversary` carries it out on a
real cluster and writes down what it did.
"""

import collections
import dataclasses
import json
import random
import threading
import time

# What happens, how often relative to the others, and for how long (seconds).
FAULTS = {
    "kill silo": (5, (1, 8)),
    "pause silo": (4, (5, 20)),
    "stop silo": (3, (1, 5)),
    "add silo": (3, (10, 40)),
    "kill agent": (2, (1, 5)),
    "kill gateway": (2, (1, 5)),
    "cut silos": (3, (3, 15)),
    "split": (2, (5, 15)),
    "cut from kafka": (3, (3, 15)),
    "restart broker": (2, (0.5, 3)),
}
NEEDS_NETWORK = {"cut silos", "split", "cut from kafka"}
ON_SILO = {"kill silo", "pause silo", "stop silo", "cut from kafka"}


@dataclasses.dataclass
class Action:
    at: float
    until: float
    fault: str
    targets: tuple

    def __str__(self):
        return f"{self.at:6.1f} s to {self.until:6.1f} s: {self.fault} {' '.join(map(str, self.targets))}"


def schedule(seed, duration, silos, spares, agents, gateways, can_cut, faults=None):
    """The actions of a run, in the order of their beginning.

    A node suffers one fault at a time, and one silo is always left alone; faults of different nodes overlap.
    """
    generator = random.Random(seed)
    possible = [f for f in faults or FAULTS if (can_cut or f not in NEEDS_NETWORK) and (silos > 1 or f != "cut silos")]
    if not possible:
        return []
    weights = [FAULTS[fault][0] for fault in possible]
    pace = 6 if duration > 60 else 3
    # When each node is free again.
    busy = {f"silo-{n}": 0.0 for n in range(1, silos + 1)}
    busy |= {f"agent-{n}": 0.0 for n in range(1, agents + 1)} | {f"gateway-{n}": 0.0 for n in range(1, gateways + 1)}
    busy["broker"] = 0.0
    free_spares = [f"silo-{n}" for n in range(silos + 1, silos + spares + 1)]
    split_until = 0.0
    actions, at = [], generator.uniform(1, pace)
    while at < duration - 2:
        fault = generator.choices(possible, weights)[0]
        length = generator.uniform(*FAULTS[fault][1])
        until = min(at + length, duration)
        idle = {
            role: [name for name, end in busy.items() if name.startswith(role) and end <= at]
            for role in ("silo", "agent", "gateway", "broker")
        }
        targets = None
        if fault in ON_SILO and (len(idle["silo"]) > 1 or silos == 1) and idle["silo"]:
            targets = (generator.choice(idle["silo"]),)
        elif fault == "cut silos" and len(idle["silo"]) > 1:
            targets = tuple(sorted(generator.sample(idle["silo"], 2)))
        elif fault == "add silo" and free_spares:
            targets = (free_spares.pop(0),)
        elif fault in ("kill agent", "kill gateway"):
            role = fault.split(" ")[1]
            # One is left, so that there is work to do.
            if len(idle[role]) > 1 or {"agent": agents, "gateway": gateways}[role] == 1 and idle[role]:
                targets = (generator.choice(idle[role]),)
        elif fault == "restart broker" and idle["broker"]:
            targets = ("broker",)
        elif fault == "split" and split_until <= at:
            split_until = until + 5
            # The halves are chosen among all that may run then.
            targets = (generator.randrange(1 << 30),)
        if targets is not None:
            actions.append(Action(at, until, fault, targets))
            for name in targets:
                if name in busy and fault != "cut silos":
                    # Time to come back before the next blow.
                    busy[name] = until + generator.uniform(1, 6)
            if fault == "add silo":
                busy[targets[0]] = duration
        at += generator.expovariate(1 / pace) + 0.5
    return actions


def left_out(seed, duration, silos, spares, agents, gateways, faults=None):
    """How many faults of each kind the seed makes only where the network can be cut."""
    plan = schedule(seed, duration, silos, spares, agents, gateways, True, faults)
    return collections.Counter(action.fault for action in plan if action.fault in NEEDS_NETWORK)


class Adversary:
    """Carries out a schedule in threads of its own."""

    def __init__(self, cluster, actions, log_path, protected=("broker", "clients")):
        self.cluster, self.actions = cluster, actions
        self.protected = set(protected)
        self.problems = []
        self.done = []
        self._stop = threading.Event()
        self._threads = []
        self._lock = threading.Lock()
        self._log = open(log_path, "w", encoding="utf-8", buffering=1)

    def start(self):
        self.begin = time.monotonic()
        for action in self.actions:
            thread = threading.Thread(target=self._carry_out, args=(action,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def finish(self):
        """Ends all faults; returns once the cluster is whole again (though perhaps not ready)."""
        self._stop.set()
        for thread in self._threads:
            thread.join(90)
        late = sum(thread.is_alive() for thread in self._threads)
        if late:
            self.problems.append(f"{late} faults had not ended 90 s after they were told to")
        self.cluster.network.heal_all()
        for node in self.cluster.nodes.values():
            self.cluster.resume(node.name)
        self.note("healed")
        self._log.close()

    def note(self, text):
        now = time.monotonic()
        with self._lock:
            line = {"at": round(now - self.begin, 3), "monotonic": time.monotonic_ns(), "time": time.time()}
            self._log.write(json.dumps(line | {"what": text}) + "\n")

    def _carry_out(self, action):
        if self._stop.wait(max(0, self.begin + action.at - time.monotonic())):
            return
        try:
            undo = getattr(self, "_" + action.fault.replace(" ", "_"))(action)
            if undo is None:
                self.note(f"{action}: not possible")
                return
            self.note(f"begin {action}")
            self.done.append(action)
            self._stop.wait(max(0, self.begin + action.until - time.monotonic()))
            undo()
            self.note(f"end {action}")
        except Exception as error:  # a fault that cannot be made is a problem of the harness, and must be seen
            self.note(f"failed {action}: {error!r}")
            self.problems.append(f"{action}: {error!r}")

    # Each begins a fault and returns what ends it, or None if it is not possible.

    def _kill(self, action):
        name = action.targets[0]
        return (lambda: self.cluster.restart(name)) if self.cluster.kill(name) else None

    _kill_silo = _kill_agent = _kill_gateway = _restart_broker = _kill

    def _pause_silo(self, action):
        name = action.targets[0]
        return (lambda: self.cluster.resume(name)) if self.cluster.pause(name) else None

    def _stop_silo(self, action):
        name = action.targets[0]
        seconds = self.cluster.stop(name)
        if seconds is None:
            return None
        self.note(f"{name} took {seconds:.2f} s to stop")
        return lambda: self.cluster.restart(name)

    def _add_silo(self, action):
        name = action.targets[0]
        if not self.cluster.restart(name):
            return None
        return lambda: self.cluster.stop(name)

    def _cut_silos(self, action):
        return self._cut(*action.targets)

    def _cut_from_kafka(self, action):
        return self._cut(action.targets[0], "broker")

    def _cut(self, one, other):
        network = self.cluster.network
        if frozenset((one, other)) in network.cuts:
            return None
        network.cut(one, other)
        return lambda: network.heal(one, other)

    def _split(self, action):
        network = self.cluster.network
        names = sorted(name for name in self.cluster.nodes if name not in self.protected)
        generator = random.Random(action.targets[0])
        generator.shuffle(names)
        half = set(names[: len(names) // 2])
        pairs = network.split(sorted(half), sorted(set(names) - half))
        self.note(f"halves: {' '.join(sorted(half))} | {' '.join(sorted(set(names) - half))}")

        def heal():
            for one, other in pairs:
                network.heal(one, other)

        return heal


if __name__ == "__main__":
    import sys

    for action in schedule(int(sys.argv[1]), float(sys.argv[2]), 3, 2, 2, 2, True):
        print(action)
