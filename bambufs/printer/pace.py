"""Pace: a transfer that never quite stands still must not go on for ever."""

from __future__ import annotations

import time
from collections.abc import Callable

LEAST = 1000.0
"""Bytes a second. The slowest printers reported take 50,000 (maziggy/bambuddy#2529)."""

WINDOW = 60.0
"""Seconds over which they are counted."""


class Pace:
    """Watches over a transfer that has moved ``total`` bytes already. ``clock`` is in seconds."""

    def __init__(self, total: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._total, self._since = total, clock()

    def moved(self, total: int) -> None:
        """Note that it has moved ``total`` bytes by now; raises `TimeoutError` when that is too little."""
        now = self._clock()
        if now - self._since < WINDOW:
            return
        if total - self._total < LEAST * (now - self._since):
            raise TimeoutError("the transfer hardly moves")
        self._total, self._since = total, now
