"""A private place for a whole cluster: its own network, process table and mounts.

`enter()` runs this program again inside new namespaces (unshare). The first process there is the harness; when it
ends, however it ends, the kernel kills everything it has started and the namespaces are gone with their interfaces.
So nothing can be left behind, and no packet of the cluster can leave it.

Where the machine does not allow that, the harness runs in the open, on loopback addresses, without the faults that
need a network of its own, and says so.
"""

import os
import random
import shutil
import subprocess
import sys

MARK = "ORCHESTRA_CHAOS_NAMESPACE"
FLAGS = ["--mount", "--net", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]


def _unshare():
    """The command that makes the namespaces, or None."""
    if sys.platform != "linux" or not shutil.which("unshare") or not shutil.which("ip"):
        return None
    # Everything that the network needs, tried for real.
    trial = (
        "mount -t tmpfs none /run && ip netns add trial && ip link add trial0 type bridge && "
        "ip link add trial1 type veth peer name trial2"
    )
    for user in ([], ["--user", "--map-root-user"]):
        command = ["unshare", *user, *FLAGS]
        if subprocess.run([*command, "sh", "-c", trial], capture_output=True).returncode == 0:
            return command
    return None


def enter():
    """Goes on inside the namespaces. Returns whether there are any; outside of them it does not return at all."""
    if MARK in os.environ:
        isolated = os.environ[MARK] == "1"
        if isolated:
            # Namespaces of nodes get their names under /run/netns.
            subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
        return isolated
    command = _unshare()
    if command is None:
        print("no network namespaces on this machine: the cluster runs on the loopback, without cuts", flush=True)
    os.environ[MARK] = "1" if command else "0"
    arguments = [sys.executable, *sys.argv]
    os.execvp((command or arguments)[0], [*(command or []), *arguments])


def loopback_network():
    """The first three bytes of loopback addresses that nobody else uses, most likely."""
    return f"127.{random.SystemRandom().randint(16, 250)}.{random.SystemRandom().randint(1, 250)}"
