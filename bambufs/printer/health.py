"""DoorHealth: since when the printer's file server lets us in, or does not, and why not."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from ..errors import PrinterError


class DoorHealth:
    """What the breaker of a session pool has seen last. ``clock`` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.since: float | None = None
        """Since when it is as it is; None before the first try."""
        self._trouble: str | None = None

    def note(self, error: PrinterError | None) -> None:
        """The printer could not be entered, because of ``error``, or answers (None)."""
        trouble = str(error) if error is not None else None
        if self.since is None or (trouble is None) != (self._trouble is None):
            self.since = self._clock()
        self._trouble = trouble

    @property
    def is_shut(self) -> bool:
        """Whether the printer could not be entered when that was tried last."""
        return self._trouble is not None

    def as_status(self) -> dict[str, object]:
        """Ready for JSON: connected (null before the first try), since (local time), trouble (a sentence or null)."""
        connected = None if self.since is None else self._trouble is None
        return {"connected": connected, "since": local_time(self.since), "trouble": self._trouble}


def local_time(moment: float | None) -> str | None:
    """Seconds since the epoch as local time with its offset, such as 2025-06-15T12:30:00+02:00; None stays None."""
    return None if moment is None else datetime.fromtimestamp(moment).astimezone().isoformat(timespec="seconds")
