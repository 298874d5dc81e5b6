#!/usr/bin/env python3
"""Shows that the checks can fail: breaks one behaviour after the other on the wire, and sees the checks notice.

    prove.py [--broker COMMAND] [--only WORD]

Between the clients and the broker stands a proxy that makes one mutation of mutations.py. Every check that the
mutation names must fail through it (and pass without). Prints one line per mutation; exits with 1 if one went
unnoticed.
"""

import argparse
import contextlib
import io
import socket
import struct
import sys
import threading
import time

from broker_process import DEFAULT_COMMAND, BrokerProcess
from mutations import MUTATIONS, Frame
from run import load_checks
from support import Context


def exactly(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data


class Proxy:
    """Passes frames both ways, changed by one mutation. Clients are told its port wherever the broker tells its own."""

    def __init__(self, broker, change):
        self.broker, self.change = broker, change
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.bootstrap = f"127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.broker.port), timeout=60)
                except OSError:
                    client.close()
                    continue
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                pending = {}
                for pump in (self.requests, self.answers):
                    threading.Thread(target=self.guarded, args=(pump, client, server, pending), daemon=True).start()

    @staticmethod
    def guarded(pump, client, server, pending):
        try:
            pump(client, server, pending)
        except (OSError, struct.error):
            for connection in (client, server):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()

    def requests(self, client, server, pending):
        while True:
            length = struct.unpack(">i", exactly(client, 4))[0]
            if not 8 <= length <= 64 << 20:
                if getattr(self.change, "accepts_any_length", False):
                    time.sleep(3600)
                # Let the broker decide about it.
                server.sendall(struct.pack(">i", length))
                while part := client.recv(65536):
                    server.sendall(part)
                raise ConnectionError
            data = exactly(client, length)
            api, version, correlation = struct.unpack(">hhi", data[:8])
            frame = Frame(api, version, bytearray(data[8:]), True, correlation)
            self.change(frame)
            if frame.answer is not None:
                client.sendall(struct.pack(">ii", len(frame.answer) + 4, correlation) + frame.answer)
                if not frame.delay:
                    continue
            pending[correlation] = frame
            if frame.delay:
                time.sleep(frame.delay)
            whole = struct.pack(">ihhi", len(frame.body) + 8, api, version, correlation) + frame.body
            server.sendall(whole)

    def answers(self, client, server, pending):
        here, there = struct.pack(">i", self.port), struct.pack(">i", self.broker.port)
        while True:
            length = struct.unpack(">i", exactly(server, 4))[0]
            data = exactly(server, length)
            correlation = struct.unpack(">i", data[:4])[0]
            body = bytearray(data[4:].replace(b"127.0.0.1" + there, b"127.0.0.1" + here))
            request = pending.pop(correlation)
            if request.answer is not None:
                continue
            frame = Frame(request.api, request.version, body, False, correlation)
            self.change(frame)
            body = frame.body
            client.sendall(struct.pack(">ii", len(body) + 4, correlation) + body)


def unnoticed(broker, mutation, checks):
    """The names of the checks that should have failed through this proxy, and did not."""
    proxy = Proxy(broker, mutation.change)
    context = Context(broker, through=proxy.bootstrap)
    try:
        passed = []
        for word in mutation.checks:
            found = [check for check in checks if word in check.title]
            assert found, f"no check is named like {word!r}"
            for check in found:
                with contextlib.redirect_stdout(io.StringIO()):
                    if check.failure(context) is None:
                        passed.append(check.title)
        return passed
    finally:
        proxy.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", default=DEFAULT_COMMAND, help="command with {data} and {port}")
    parser.add_argument("--only", default="", help="only mutations whose name contains this")
    options = parser.parse_args()
    checks, failed, tried = load_checks(), 0, 0
    with BrokerProcess(options.broker) as broker:
        honest = unnoticed(broker, Honest, checks)
        assert len(honest) == 1, "the proxy itself breaks a check"
        for mutation in MUTATIONS:
            if options.only not in mutation.title:
                continue
            tried += 1
            passed = unnoticed(broker, mutation, checks)
            failed += bool(passed)
            said = f"UNNOTICED by {', '.join(passed)}" if passed else "noticed"
            print(f"{'FAIL' if passed else 'ok  '}  {mutation.title}: {said}", flush=True)
    print(f"{tried - failed} of {tried} mutations were noticed")
    return 1 if failed or not tried else 0


class Honest:
    checks = ("committed data is seen",)

    @staticmethod
    def change(frame):
        """Nothing."""


if __name__ == "__main__":
    sys.exit(main())
