"""The network of a cluster: a bridge, and for each node a namespace with an address of its own.

A cut is silent, like a pulled cable: each side gets a neighbour entry for the other one with a hardware address that
nobody has, so that packets leave and arrive nowhere. Nothing is refused and no error is reported; connections
that exist stay until their owners give them up. Healing removes the entries.
"""

import subprocess

PREFIX = "10.66.0"
HARNESS = f"{PREFIX}.254"
NOBODY = "02:00:00:00:00:01"


def _ip(*arguments, check=True):
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _batch(namespace, lines):
    if not lines:
        return
    done = subprocess.run(
        ["ip", "-n", namespace, "-force", "-batch", "-"], input="\n".join(lines) + "\n", capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(f"{namespace}: {lines}: {done.stderr.strip()}")


class Network:
    """Namespaces joined by a bridge."""

    can_cut = True

    def __init__(self):
        self.addresses = {}
        self.cuts = set()
        _ip("link", "set", "lo", "up")
        _ip("link", "add", "bridge", "type", "bridge")
        _ip("addr", "add", f"{HARNESS}/24", "dev", "bridge")
        _ip("link", "set", "bridge", "up")

    def add(self, name):
        """Makes a namespace; returns its address."""
        number = len(self.addresses) + 1
        address = f"{PREFIX}.{number}"
        _ip("netns", "add", name)
        _ip("link", "add", f"to{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", f"to{number}", "master", "bridge", "up")
        _batch(name, ["link set lo up", f"addr add {address}/24 dev eth0", "link set eth0 up"])
        self.addresses[name] = address
        return address

    def command(self, name, arguments):
        """What runs these arguments in a node's namespace."""
        return ["nsenter", f"--net=/run/netns/{name}", "--", *arguments]

    def port(self, _host, preferred):
        return preferred

    def cut(self, one, other):
        """Takes the line between two nodes away; does nothing twice."""
        self.split([one], [other])

    def heal(self, one, other):
        self._heal([frozenset((one, other))])

    def split(self, group, others):
        """Takes away all lines between two groups; returns those pairs that had one."""
        pairs = [(a, b) for a in group for b in others if a != b and frozenset((a, b)) not in self.cuts]
        self.cuts.update(frozenset(pair) for pair in pairs)
        self._tell_both(pairs, "replace", f"lladdr {NOBODY} nud permanent")
        return pairs

    def heal_all(self):
        self._heal(list(self.cuts))

    def _heal(self, pairs):
        healed = [pair for pair in pairs if pair in self.cuts]
        self.cuts.difference_update(healed)
        self._tell_both([tuple(pair) for pair in healed], "del", "")

    def _tell_both(self, pairs, verb, entry):
        """Changes the neighbour entries at both ends of all these lines: one process for each node, so that many lines
        go at nearly the same moment."""
        lines = {}
        for one, other in pairs:
            for here, there in ((one, other), (other, one)):
                lines.setdefault(here, []).append(f"neigh {verb} {self.addresses[there]} {entry} dev eth0")
        for namespace, changes in lines.items():
            _batch(namespace, changes)

    def close(self):
        """Removes everything; nobody may be using it any more."""
        for number, name in enumerate(self.addresses, 1):
            # A namespace takes its interfaces away some time later; the next network may use the names before that.
            _ip("link", "del", f"to{number}", check=False)
            _ip("netns", "del", name)
        _ip("link", "del", "bridge")


class Loopback:
    """The network where there are no namespaces: loopback addresses. Nothing can be cut."""

    can_cut = False

    def __init__(self, prefix):
        self.prefix = prefix
        self.addresses = {}
        self.cuts = set()

    def add(self, name):
        self.addresses[name] = f"{self.prefix}.{len(self.addresses) + 1}"
        return self.addresses[name]

    def command(self, _name, arguments):
        return arguments

    def port(self, host, preferred):
        """`preferred`, unless somebody listens there or on all addresses."""
        import socket

        with socket.socket() as probe:
            try:
                probe.bind((host, preferred))
            except OSError:
                probe.bind((host, 0))
            return probe.getsockname()[1]

    def heal_all(self):
        pass

    def close(self):
        pass
