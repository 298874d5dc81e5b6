"""Notices when the machine does not run this process, and so most likely not the cluster either.

Whoever measures seconds must know that: a machine that builds something else beside it, or was suspended, measures
that.
"""

import threading
import time

INTERVAL = 0.02


class Stalls:
    """Watches in a thread of its own from the start on."""

    def __init__(self):
        self._longest = 0.0
        self._end = threading.Event()
        self._lock = threading.Lock()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        last = time.monotonic()
        while not self._end.wait(INTERVAL):
            now = time.monotonic()
            with self._lock:
                self._longest = max(self._longest, now - last - INTERVAL)
            last = now

    def take(self):
        """The longest stall since the last call, in seconds."""
        with self._lock:
            longest, self._longest = self._longest, 0.0
        return round(longest, 2)

    def close(self):
        self._end.set()
