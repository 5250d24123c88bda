"""The speed of a simulated printer: bytes a second over all transfers together."""

from __future__ import annotations

import threading
import time

LARGEST_BLOCK = 256 * 1024
SMALLEST_BLOCK = 512


class Throttle:
    """Shares out ``rate`` bytes a second (None: no limit). `rate` may be turned while it runs."""

    def __init__(self, *, rate: float | None) -> None:
        self.rate = rate
        self._free_at = 0.0
        self._lock = threading.Lock()

    @property
    def block(self) -> int:
        """The most bytes to move at once, so that a slow printer is slow evenly."""
        rate = self.rate
        return LARGEST_BLOCK if rate is None else int(min(LARGEST_BLOCK, max(SMALLEST_BLOCK, rate / 20)))

    def spend(self, count: int) -> float:
        """Book ``count`` bytes; returns the seconds to wait until they are through."""
        rate = self.rate
        if rate is None:
            return 0.0
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + count / rate
            return self._free_at - now
