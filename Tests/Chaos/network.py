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
        pair = frozenset((one, other))
        if pair in self.cuts or len(pair) == 1:
            return
        self.cuts.add(pair)
        for here, there in ((one, other), (other, one)):
            entry = f"neigh replace {self.addresses[there]} lladdr {NOBODY} nud permanent dev eth0"
            _batch(here, [entry])

    def heal(self, one, other):
        pair = frozenset((one, other))
        if pair not in self.cuts:
            return
        self.cuts.discard(pair)
        for here, there in ((one, other), (other, one)):
            _batch(here, [f"neigh del {self.addresses[there]} dev eth0"])

    def split(self, group, others):
        """Takes away all lines between two groups; returns those pairs that had one."""
        pairs = [(a, b) for a in group for b in others if frozenset((a, b)) not in self.cuts]
        for one, other in pairs:
            self.cut(one, other)
        return pairs

    def heal_all(self):
        for pair in list(self.cuts):
            self.heal(*pair)

    def close(self):
        """Removes everything; nobody may be using it any more."""
        for name in self.addresses:
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
