"""A proxy between clients and a broker that takes the frames apart: to change them, or to see what is said."""

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass


@dataclass
class Frame:
    """One request, or the answer to it. `body` is what follows the header's correlation id."""

    api: int
    version: int
    body: bytearray
    is_request: bool
    correlation: int = 0
    answer: bytes | None = None  # of a request: answered so; the broker gets it only if there is a delay, too
    delay: float = 0.0  # seconds until the broker gets the request


def exactly(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data


class Proxy:
    """Passes frames both ways, changed by a function of a Frame, which may as well only look. Clients are told its port
    wherever the broker, which is on this machine, tells its own."""

    def __init__(self, broker_port, change):
        self.broker_port, self.change = broker_port, change
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
                    server = socket.create_connection(("127.0.0.1", self.broker_port), timeout=60)
                except OSError:
                    client.close()
                    continue
                # Of a connection that may be idle, no longer of its making.
                server.settimeout(None)
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
        here, there = struct.pack(">i", self.port), struct.pack(">i", self.broker_port)
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
            client.sendall(struct.pack(">ii", len(frame.body) + 4, frame.correlation) + frame.body)
