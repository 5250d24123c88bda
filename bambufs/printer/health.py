"""DoorHealth: since when the printer's file server lets us in, or does not, and why not."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from ..errors import PrinterError

SessionT = TypeVar("SessionT")


class DoorHealth:
    """Watches the logins of a session pool. ``clock`` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._up_since: float | None = None
        self._down_since: float | None = None
        self.trouble: Callable[[], str | None] = lambda: None
        """Tells what stands in the way now, or None since the last login that worked."""

    def watched(self, open_session: Callable[[], SessionT]) -> SessionT:
        """What ``open_session`` returns or raises, with the time noted when that is news."""
        was_down = self.trouble() is not None
        try:
            session = open_session()
        except PrinterError:
            if not was_down:
                self._down_since = self._clock()
            raise
        if was_down or self._up_since is None:
            self._up_since = self._clock()
        return session

    def as_status(self) -> dict[str, object]:
        """Ready for JSON: connected (null before the first try), since (local time), trouble (a sentence or null)."""
        trouble = self.trouble()
        since = self._down_since if trouble else self._up_since
        connected = None if since is None else trouble is None
        return {"connected": connected, "since": local_time(since), "trouble": trouble}


def local_time(moment: float | None) -> str | None:
    """Seconds since the epoch as local time with its offset, such as 2025-06-15T12:30:00+02:00; None stays None."""
    return None if moment is None else datetime.fromtimestamp(moment).astimezone().isoformat(timespec="seconds")
