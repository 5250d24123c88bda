"""The threads that a test has started, apart from those of mounts and servers that other tests share."""

from __future__ import annotations

import threading


class Threads:
    """Looks at the threads that began after it was made."""

    def __init__(self) -> None:
        self._before = set(threading.enumerate())

    def named(self, part: str) -> list[str]:
        """The names, with ``part`` in them, of those that live."""
        return [thread.name for thread in threading.enumerate() if thread not in self._before and part in thread.name]

