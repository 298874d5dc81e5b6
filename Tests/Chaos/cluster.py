"""A cluster of real processes, each in a network namespace of its own, and what can be done to them.

    with Cluster(folder, binary, silos=3, agents=2, gateways=2) as cluster:
        cluster.start()
        cluster.kill("silo-2")
        cluster.restart("silo-2")

Nothing outlives the `with`, and with namespaces (isolation.py) nothing outlives the harness.
"""

import json
import os
import pathlib
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import isolation
import network as networks

SECRET = "the secret of a cluster under test"


class ClusterError(Exception):
    pass


class Node:
    """One process and where it is."""

    def __init__(self, name, role, address, ports):
        self.name, self.role, self.address, self.ports = name, role, address, ports
        self.process = None
        self.is_stopped = False
        self.starts = 0
        self.expected_to_run = False

    @property
    def pid(self):
        return self.process.pid if self.process else None

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def at(self, port):
        return f"{self.address}:{self.ports[port]}"


class Cluster:
    def __init__(
        self, folder, binary, silos=1, agents=1, gateways=1, partitions=16, isolated=False, log_level="info", spares=2
    ):
        self.folder = pathlib.Path(folder)
        self.binary = str(binary)
        self.partitions = partitions
        self.log_level = log_level
        self.counts = {"silo": silos, "agent": agents, "gateway": gateways}
        self.spares = spares
        self.network = networks.Network() if isolated else networks.Loopback(isolation.loopback_network())
        self.nodes = {}
        self.clients = []
        self.unexpected_ends = []
        self.lock = threading.RLock()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "logs").mkdir(exist_ok=True)
        self._declare("broker", "broker", {"kafka": 9092, "registry": 8081})
        for role, count in self.counts.items():
            for number in range(1, count + 1 + (spares if role == "silo" else 0)):
                ports = {"node": 7600, "admin": 9600} if role != "gateway" else {"node": 7600, "http": 8080}
                self._declare(f"{role}-{number}", role, ports)
        # Clients have a place of their own, from which nothing is ever cut.
        self._declare("clients", "clients", {})

    def _declare(self, name, role, ports):
        address = self.network.add(name)
        found = {port: self.network.port(address, preferred) for port, preferred in ports.items()}
        self.nodes[name] = Node(name, role, address, found)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    # Where things are

    @property
    def kafka(self):
        return self.nodes["broker"].at("kafka")

    @property
    def registry(self):
        return "http://" + self.nodes["broker"].at("registry")

    def of_role(self, role):
        return [node for node in self.nodes.values() if node.role == role]

    def running(self, role):
        return [node for node in self.of_role(role) if node.is_running and not node.is_stopped]

    @property
    def silo_addresses(self):
        """Every address at which a silo is or may yet be."""
        return ",".join(node.at("node") for node in self.of_role("silo"))

    @property
    def gateway_urls(self):
        return ["http://" + node.at("http") for node in self.of_role("gateway")]

    # Life

    def start(self, limit=60):
        """Starts everything that belongs to the cluster from the beginning; returns once all of it serves."""
        self.start_node("broker")
        self.wait_ready(["broker"], limit)
        self.make_topics()
        names = [f"{role}-{n}" for role in ("silo", "agent", "gateway") for n in range(1, self.counts[role] + 1)]
        for name in names:
            self.start_node(name)
        self.wait_ready(names, limit)

    def make_topics(self):
        """Makes the changelog before a silo does, so that nothing is compacted away before it has been checked."""
        from confluent_kafka.admin import AdminClient, NewTopic

        admin = AdminClient({"bootstrap.servers": self.kafka})
        configuration = {
            "cleanup.policy": "compact",
            "min.compaction.lag.ms": str(7 * 86_400_000),
            "max.message.bytes": str(8 << 20),
        }
        topic = NewTopic("orchestra.state", self.partitions, 1, config=configuration)
        for future in admin.create_topics([topic], operation_timeout=20).values():
            future.result(timeout=30)

    def arguments(self, node):
        seeds = [n.at("node") for n in self.of_role("silo")[: self.counts["silo"]]]
        common = ["--data-dir", str(self.folder / node.name), "--log-level", self.log_level]
        if node.role == "broker":
            listen = ["--listen", node.at("kafka"), "--registry-listen", node.at("registry")]
            return ["broker", *listen, *common]
        common += ["--node-id", node.name, "--kafka", self.kafka, "--registry", self.registry]
        for seed in seeds:
            common += ["--seed", seed]
        if node.role == "silo":
            listen = ["--listen", node.at("node"), "--admin-listen", node.at("admin")]
            return ["silo", *listen, "--set", f"silo.partitions={self.partitions}", *common]
        if node.role == "agent":
            return ["agent", "--listen-node", node.at("node"), "--admin-listen", node.at("admin"), *common]
        return [
            "gateway", "--listen", node.at("http"), "--listen-node", node.at("node"),
            "--set", f"silo.partitions={self.partitions}", *common,
        ]  # fmt: skip

    def start_node(self, name):
        """Starts a process; does not wait."""
        with self.lock:
            node = self.nodes[name]
            if node.is_running:
                raise ClusterError(f"{name} runs already, pid {node.pid}")
            node.starts += 1
            node.is_stopped = False
            with open(self.log_path(name), "ab") as log:
                log.write(f"--- start {node.starts} at {time.time():.3f}\n".encode())
                log.flush()
                node.process = subprocess.Popen(
                    self.network.command(name, [self.binary, *self.arguments(node)]),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    env=self.environment,
                    start_new_session=True,
                )
            node.expected_to_run = True

    @property
    def environment(self):
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("ORCHESTRA_", "OPENAI_"))}
        return kept | {"ORCHESTRA_CLUSTER_SECRET": SECRET}

    def run_client(self, arguments, **options):
        """Starts the binary in the clients' namespace; whoever calls this waits for it."""
        command = self.network.command("clients", [self.binary, *arguments])
        client = subprocess.Popen(command, cwd=self.folder, env=self.environment, start_new_session=True, **options)
        self.clients.append(client)
        return client

    def log_path(self, name):
        return self.folder / "logs" / f"{name}.log"

    def is_ready(self, name):
        """Whether this start of the node has logged that it serves."""
        text = self.log_path(name).read_text(errors="replace")
        return " ready" in text[text.rfind("--- start ") :]

    def wait_ready(self, names, limit=60):
        deadline = time.monotonic() + limit
        for name in names:
            while not self.is_ready(name):
                node = self.nodes[name]
                if not node.is_running:
                    raise ClusterError(f"{name} ended with {node.process.returncode}: {self.tail(name)}")
                if time.monotonic() > deadline:
                    raise ClusterError(f"{name} is not ready after {limit} s: {self.tail(name)}")
                time.sleep(0.02)

    def tail(self, name, size=2000):
        return self.log_path(name).read_text(errors="replace")[-size:]

    # What is done to nodes. Each returns whether it could be done.

    def kill(self, name):
        with self.lock:
            node = self.nodes[name]
            if not node.is_running:
                return False
            node.expected_to_run = False
            node.process.kill()
            node.process.wait(timeout=30)
            node.is_stopped = False
            return True

    def stop(self, name, limit=30):
        """SIGTERM, and the end; returns the seconds that it took, None if the node did not run."""
        node = self.nodes[name]
        with self.lock:
            if not node.is_running:
                return None
            node.expected_to_run = False
            start = time.monotonic()
            node.process.terminate()
        try:
            node.process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            self.unexpected_ends.append(f"{name} did not end within {limit} s of SIGTERM")
            self.kill(name)
        return time.monotonic() - start

    def pause(self, name):
        with self.lock:
            node = self.nodes[name]
            if not node.is_running or node.is_stopped:
                return False
            node.process.send_signal(signal.SIGSTOP)
            node.is_stopped = True
            return True

    def resume(self, name):
        with self.lock:
            node = self.nodes[name]
            if not node.is_running or not node.is_stopped:
                return False
            node.process.send_signal(signal.SIGCONT)
            node.is_stopped = False
            return True

    def restart(self, name):
        """Starts a node that does not run; does not wait."""
        with self.lock:
            if self.nodes[name].is_running:
                return False
            self.start_node(name)
            return True

    def notice_ends(self):
        """Takes down which nodes have ended that nobody ended; returns their names."""
        with self.lock:
            found = []
            for node in self.nodes.values():
                if node.expected_to_run and not node.is_running:
                    node.expected_to_run = False
                    found.append(node.name)
                    self.unexpected_ends.append(f"{node.name} ended by itself with {node.process.returncode}")
            return found

    # What it says of itself

    def get(self, url, timeout=5):
        """(status, JSON) of a GET; raises OSError when there is no answer."""
        try:
            with urllib.request.urlopen(url, timeout=timeout) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def members(self, name):
        """What a node knows of the others: name → status."""
        node = self.nodes[name]
        port = "http" if node.role == "gateway" else "admin"
        _, answer = self.get(f"http://{node.at(port)}/v1/cluster/members", timeout=2)
        return {member["id"]: member["status"] for member in answer["members"]}

    def wait_agreement(self, limit=60):
        """Waits until every running node says that exactly the running nodes are alive."""
        deadline = time.monotonic() + limit
        while True:
            running = [n for n in self.nodes.values() if n.is_running and n.role in ("silo", "agent", "gateway")]
            problem = self._disagreement(running)
            if problem is None:
                return
            if time.monotonic() > deadline:
                raise ClusterError(f"no agreement on the members after {limit} s: {problem}")
            time.sleep(0.2)

    def _disagreement(self, running):
        names = {node.name for node in running}
        for node in running:
            try:
                alive = {name for name, status in self.members(node.name).items() if status == "alive"}
            except (OSError, KeyError, TypeError, ValueError) as error:
                return f"{node.name} does not say who is alive: {error}"
            # A client that only calls is no member.
            if alive != names:
                return f"{node.name} misses {sorted(names - alive)}, has {sorted(alive - names)} too many"
        return None

    def end(self):
        """Ends everything that was started. Without a graceful stop: that is tested elsewhere."""
        with self.lock:
            for node in self.nodes.values():
                if node.is_running:
                    node.process.kill()
            for node in self.nodes.values():
                if node.process is not None:
                    node.process.wait()
            for client in self.clients:
                client.kill()
                client.wait()
            self.network.close()
