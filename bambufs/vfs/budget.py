"""Budget: how much room on this computer the files may take that are being written, or have to be sent yet."""

from __future__ import annotations

import errno
import threading

from ..errors import SpoolFull


class Budget:
    """At most ``limit`` bytes; 0 sets no limit but the disk's own. Safe to call from many threads."""

    def __init__(self, limit: int = 0) -> None:
        self._limit, self._used = limit, 0
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        """Bytes that are taken."""
        return self._used

    def take(self, size: int) -> None:
        """Take ``size`` bytes; raises `SpoolFull` (ENOSPC), and takes none, when that is more than is left."""
        with self._lock:
            if self._limit and size > 0 and self._used + size > self._limit:
                raise SpoolFull(
                    errno.ENOSPC,
                    "the files that are being written, or have to be sent yet, take all the room that spool_size gives "
                    "them; wait until some are sent, or set a larger one",
                )
            self._used += size

    def adopt(self, size: int) -> None:
        """Count ``size`` bytes that are there already, limit or not."""
        with self._lock:
            self._used += size

    def give_back(self, size: int) -> None:
        """``size`` bytes are free again."""
        with self._lock:
            self._used -= size
