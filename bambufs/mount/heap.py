"""Gives memory back to the system when there is a lull: each thread of libfuse takes from a heap of its own.

Otherwise what 64 readers took at once stays for good: a third of all memory. To have each block given back as soon as
it is free would cost four times as much as to read what it holds.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any

_MOST_HEAPS = 4
_ARENA_MAX = -8  # of mallopt

_WORTH_IT = 16 << 20
"""Bytes that have to go through first: to look through the heaps takes a millisecond or so."""

_libc: Any = ctypes.CDLL(None)
_trim: Any = getattr(_libc, "malloc_trim", None)
"""Of glibc; elsewhere nothing is done."""


def limit_heaps() -> None:
    """Let threads share a few heaps, which also costs them no time. To be called before there are many."""
    if _trim is not None:
        _libc.mallopt(_ARENA_MAX, _MOST_HEAPS)


class Heap:
    """Counts what is open and how much goes through it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = self._moved = 0

    def opened(self) -> None:
        """One more file is open."""
        with self._lock:
            self._open += 1

    def moved(self, count: int) -> None:
        """About ``count`` bytes are read or written."""
        self._moved += count

    def closed(self) -> None:
        """One file less is open; when it was the last, memory is given back if much may be free."""
        with self._lock:
            self._open -= 1
            is_lull = self._open == 0 and self._moved > _WORTH_IT
            if is_lull:
                self._moved = 0
        if is_lull and _trim is not None:
            _trim(0)
