"""A broker under test: its process, its data folder, its port.

The command holds {data} (a folder) and {port}; the port stays the same over restarts, so that clients find it again.
"""

import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEFAULT_COMMAND = (
    f"{ROOT}/.build/release/orchestra broker --data-dir {{data}} --listen 127.0.0.1:{{port}} --no-registry"
)
COMPILING = threading.Lock()


def wait_until(condition, what, timeout=20.0):
    """Returns the first true value of the condition; fails, naming what did not come, after the time-out (seconds)."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout} s still not: {what}")
        time.sleep(0.02)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class BrokerProcess:
    def __init__(self, command=DEFAULT_COMMAND, data=None):
        self.command = command
        self.data = data or tempfile.mkdtemp(prefix="conformance-")
        self.owns_data = data is None
        self.log = open(os.path.join(self.data, "broker.log"), "ab")  # noqa: SIM115 - closed in stop()
        self.process = None
        for attempts_left in reversed(range(3)):
            self.port = free_port()
            self.bootstrap = f"127.0.0.1:{self.port}"
            try:
                self.start()
                break
            except AssertionError:
                # Somebody else may have taken the port since.
                if not attempts_left or "in use" not in self.log_tail():
                    self.stop()
                    raise

    def start(self):
        """Starts the process; returns the seconds until it accepts connections."""
        arguments = [word.format(data=self.data, port=self.port) for word in shlex.split(self.command)]
        began = time.monotonic()
        self.process = subprocess.Popen(arguments, stdout=self.log, stderr=self.log)
        try:
            wait_until(self._accepts, "the broker accepts connections", 60)
        except AssertionError as error:
            raise AssertionError(f"{error}; its log ends:\n{self.log_tail()}") from None
        return time.monotonic() - began

    def _accepts(self):
        code = self.process.poll()
        assert code is None, f"the broker ended with {code}"
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            return True
        except OSError:
            return False

    def log_tail(self):
        return "\n".join(pathlib.Path(self.log.name).read_text(errors="replace").splitlines()[-10:])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def restart(self):
        self.kill()
        self.start()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
        self.log.close()
        if self.owns_data:
            shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # What the process takes

    def memory(self):
        """Resident megabytes: now, and at most so far."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in status if line.startswith("Vm")}
        return sizes["VmRSS"], sizes["VmHWM"]

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def compile_c(name, *libraries):
    """Compiles a C program of this folder, if that is needed; returns the path of the binary.

    Against the librdkafka of the system (Debian 12: 2.0.2), another one than confluent-kafka carries.
    """
    source = ROOT / "Tests/Conformance" / f"{name}.c"
    folder = ROOT / ".build/conformance"
    folder.mkdir(parents=True, exist_ok=True)
    binary = folder / name
    with COMPILING:
        compile_if_older(source, binary, libraries)
    return str(binary)


def compile_if_older(source, binary, libraries):
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        command = ["gcc", "-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-o", str(binary), str(source)]
        subprocess.run([*command, *libraries], check=True)
