"""Workflows offered at a steady rate over HTTP, at any gateway, and what became of each.

Each trigger has an Idempotency-Key and is repeated under it, at another gateway, until it is accepted (202) or its
patience ends. Some accepted workflows are asked for at once, at another gateway, which must know them.
"""

import asyncio
import collections
import json
import random
import threading
import time
import urllib.parse

ATTEMPT_SECONDS = 8
MAXIMUM_UNDER_WAY = 4000


class HTTP:
    """Connections to one gateway, kept open and used by one request at a time."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port
        self.idle = []

    async def request(self, method, path, body=b"", headers=(), timeout=ATTEMPT_SECONDS):
        """(status, JSON); raises OSError, asyncio.TimeoutError or ValueError."""
        return await asyncio.wait_for(self._request(method, path, body, headers), timeout)

    async def _request(self, method, path, body, headers):
        connection = self.idle.pop() if self.idle else await asyncio.open_connection(self.host, self.port)
        reader, writer = connection
        try:
            lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}", f"Content-Length: {len(body)}"]
            lines += [f"{name}: {value}" for name, value in headers]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(head[0].split(" ")[1])
            fields = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:] if line)}
            content = await reader.readexactly(int(fields.get("content-length", 0)))
            answer = json.loads(content) if content else None
            if fields.get("connection", "").lower() == "close":
                writer.close()
            else:
                self.idle.append(connection)
            return status, answer
        except BaseException as error:
            writer.close()
            if isinstance(error, (asyncio.IncompleteReadError, asyncio.LimitOverrunError)):
                raise OSError("the answer was cut off") from error
            raise

    def close(self):
        for _, writer in self.idle:
            writer.close()
        self.idle.clear()


FAILURES = (OSError, asyncio.TimeoutError, ValueError, IndexError)


class WorkflowLoad:
    """Runs in a thread of its own between `start()` and `finish()`."""

    def __init__(self, urls, rate, seed, log_path, sample=0.03, patience=60):
        self.urls, self.rate, self.seed, self.sample, self.patience = urls, rate, seed, sample, patience
        self.log_path = log_path
        self.accepted = {}  # key → workflow id
        self.unknown = set()  # keys of triggers that were never accepted, but may have been taken
        self.violations = []
        self.counts = collections.Counter()
        self.delays = []
        self.accept_times = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="workflows", daemon=True)

    def start(self):
        self._thread.start()

    def finish(self, limit=120):
        """Offers no more, and waits for what is under way."""
        self._stop.set()
        self._thread.join(limit)
        if self._thread.is_alive():
            raise RuntimeError("the triggers did not come to an end")

    async def _run(self):
        self.gateways = [HTTP(url) for url in self.urls]
        self.random = random.Random(self.seed)
        under_way = set()
        number, due = 0, time.monotonic()
        with open(self.log_path, "w", encoding="utf-8", buffering=1 << 16) as self.log:
            while not self._stop.is_set():
                if len(under_way) < MAXIMUM_UNDER_WAY:
                    task = asyncio.create_task(self._trigger(number))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                    self.counts["offered"] += 1
                else:
                    self.counts["not offered: too many under way"] += 1
                number += 1
                due = max(due + 1 / self.rate, time.monotonic() - 1)
                await asyncio.sleep(max(0, due - time.monotonic()))
            await asyncio.gather(*under_way)
        for gateway in self.gateways:
            gateway.close()

    async def _trigger(self, number):
        key = f"{self.seed}-{number}"
        text = f"Token {key} marks this text. It was posted while processes die. All of it must complete."
        body = json.dumps({"workflow": "summarize", "input": text}).encode()
        headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)]
        begin = time.monotonic()
        may_exist, attempts = False, 0
        while True:
            gateway = self.random.choice(self.gateways)
            attempts += 1
            try:
                status, answer = await gateway.request("POST", "/v1/workflows", body, headers)
            except FAILURES as error:
                # A refused connection has sent nothing.
                may_exist |= not isinstance(error, ConnectionRefusedError)
                status, answer = type(error).__name__, None
            if status == 202:
                await self._accept(key, answer["workflowId"], begin, attempts)
                return
            self.counts[f"trigger: {status} {(answer or {}).get('type', '')}".strip()] += 1
            may_exist |= status in (500, 502, 503, 504)
            if isinstance(status, int) and 400 <= status < 500 and status not in (408, 429):
                self.violations.append(f"trigger {key} was refused with {status}: {answer}")
                return
            if time.monotonic() - begin > self.patience:
                if may_exist:
                    self.unknown.add(key)
                self.counts["never accepted"] += 1
                return
            await asyncio.sleep(self.random.uniform(0.05, 0.5))

    async def _accept(self, key, workflow_id, begin, attempts):
        now = time.monotonic()
        self.delays.append(now - begin)
        self.accept_times.append(now)
        self.counts["accepted"] += 1
        self.counts["accepted by repetition"] += attempts > 1
        self.accepted[key] = workflow_id
        self.log.write(json.dumps({"key": key, "id": workflow_id, "at": now, "attempts": attempts}) + "\n")
        if self.random.random() < self.sample:
            await self._must_be_known(workflow_id)

    async def _must_be_known(self, workflow_id):
        """A workflow is known, at every gateway, from the moment of its 202."""
        gateway = self.random.choice(self.gateways)
        try:
            status, answer = await gateway.request("GET", f"/v1/workflows/{workflow_id}?wait=5s", timeout=15)
        except FAILURES as error:
            self.counts[f"question: {type(error).__name__}"] += 1
            return
        self.counts[f"question: {status}"] += 1
        if status == 404:
            at = time.time()
            self.violations.append(f"{workflow_id}: accepted, then 404 at {gateway.host} at {at:.3f}: {answer}")


async def _read(gateways, workflow_id, patience):
    """The final status, asking until `patience` seconds are over."""
    end = time.monotonic() + patience
    last = None
    while True:
        gateway = random.choice(gateways)
        try:
            status, answer = await gateway.request("GET", f"/v1/workflows/{workflow_id}?wait=10s", timeout=20)
            last = (status, answer)
            if status == 200 and answer["status"] in ("completed", "failed", "cancelled"):
                return last
        except FAILURES as error:
            last = (type(error).__name__, None)
        if time.monotonic() > end:
            return last
        await asyncio.sleep(0.2)


def check_all_completed(urls, accepted, patience, workers=16):
    """Asks for every accepted workflow; yields what is wrong. `accepted` is key → id."""

    async def run():
        gateways = [HTTP(url) for url in urls]
        remaining = list(accepted.items())
        deadline = time.monotonic() + patience
        found = []

        async def work():
            while remaining:
                key, workflow_id = remaining.pop()
                status, answer = await _read(gateways, workflow_id, max(5, deadline - time.monotonic()))
                problem = _problem(key, status, answer)
                if problem:
                    found.append(f"{workflow_id} ({key}): {problem}")

        await asyncio.gather(*(work() for _ in range(workers)))
        for gateway in gateways:
            gateway.close()
        return found

    return asyncio.run(run())


def _problem(key, status, answer):
    if status != 200:
        return f"the API says {status} {answer}"
    if answer["status"] != "completed":
        return f"ended as {answer['status']}: {answer.get('error')}"
    result = answer["result"]
    if key not in result["output"]:
        return f"its result is not about it: {result['output']!r}"
    if len(result["functions"]) != 2:
        return f"{len(result['functions'])} functions took effect, not 2"
    return None
