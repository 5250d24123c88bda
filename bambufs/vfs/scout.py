"""Scout: lists the card's folders ahead of need, where the printer has one connection.

While a long upload holds that connection no folder can be asked for, and only what was listed before can be
shown. A P1 at 70 KB/s takes minutes for a file, so each folder is looked at once, soon after mounting. The number
of folders is bounded, and whoever wants the printer goes first.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping

from ..printer import paths
from ..printer.entry import Entry

logger = logging.getLogger(__name__)

MOST_FOLDERS = 100
_PAUSE = 0.1
"""Seconds between two listings, and between two looks whether the printer is free."""


class Scout:
    """``listing`` gives a folder's entries; ``is_busy`` tells that the connection is wanted for something else."""

    def __init__(self, listing: Callable[[str], Mapping[str, Entry]], is_busy: Callable[[], bool]) -> None:
        self._listing, self._is_busy = listing, is_busy
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, in the background; once is enough."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="bambufs-scout", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End soon."""
        self._stopping.set()

    def _run(self) -> None:
        waiting, looked_at = deque([paths.ROOT]), 0
        while waiting and looked_at < MOST_FOLDERS and not self._stopping.wait(_PAUSE):
            if self._is_busy():
                continue
            folder = waiting.popleft()
            looked_at += 1
            try:
                entries = self._listing(folder)
            except OSError as error:
                logger.debug("%s was not listed ahead: %s", folder, error)
                continue
            waiting.extend(paths.join(folder, name) for name, entry in entries.items() if _is_to_see(name, entry))


def _is_to_see(name: str, entry: Entry) -> bool:
    return entry.is_dir and not name.startswith(".")
