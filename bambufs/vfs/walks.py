"""Walks: fetches the listings that a walk through the folders is about to ask for.

`ls -lR`, `find` and `rsync` read a folder and right afterwards the folders in it, one by one, each for some round
trips. Once that is seen, the next ones are listed on sessions that are free; where the printer takes one connection
only, nothing is done ahead.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from ..printer import paths
from .listings import ListingCache

PACE = 1.0
"""Seconds from one folder to the next within which it is a program that walks, and no person."""

WINDOW = 6
"""Folders that are listed ahead: few enough to be still fresh when the walk gets there."""

_WORKERS = 3
_MOST_VISITED = 10_000


class Walks:
    """Recognises walks and lists ahead for them.

    ``spare`` tells how many sessions could be had at once; ``warm`` has them opened in the background.
    """

    def __init__(
        self,
        listings: ListingCache,
        spare: Callable[[], int],
        warm: Callable[[], None] = lambda: None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listings, self._spare, self._warm, self._clock = listings, spare, warm, clock
        self._lock = threading.Lock()
        self._visited: set[str] = set()
        self._last = float("-inf")
        self._queue: deque[str] = deque()
        self._workers = 0

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is being listed ahead."""
        return not self._workers

    def entered(self, folder: str) -> None:
        """Somebody wants to read ``folder`` and has not got its listing yet."""
        if not self._listings.is_at_hand(folder):
            self._warm()  # by the time that this folder is here, the folders in it may be wanted
        if self._is_on_a_walk(folder) and folder != paths.ROOT:
            following = (sibling for sibling in self._folders_in(paths.parent(folder)) if sibling > folder)
            self._look_ahead(following, beside=1)

    def left(self, folder: str) -> None:
        """``folder`` has been listed: on a walk, those in it come next."""
        with self._lock:
            self._last = self._clock()
            is_walk = paths.parent(folder) in self._visited and folder != paths.ROOT
            queued = tuple(self._queue)
        if is_walk:
            self._look_ahead([*self._folders_in(folder), *queued])

    def _folders_in(self, folder: str) -> list[str]:
        """In the order in which they are walked; `FileSystem.readdir` sorts names."""
        entries = self._listings.known(folder)
        return [paths.join(folder, name) for name in sorted(entries) if entries[name].is_dir]

    def _is_on_a_walk(self, folder: str) -> bool:
        with self._lock:
            now = self._clock()
            if now - self._last > PACE or len(self._visited) > _MOST_VISITED:
                self._visited.clear()
            self._last = now
            self._visited.add(folder)
            return paths.parent(folder) in self._visited

    def _look_ahead(self, folders: Iterable[str], *, beside: int = 0) -> None:
        """List ``folders`` on the sessions that are free, but for those that the walk itself needs ``beside`` them."""
        wanted = [folder for folder in folders if not self._listings.is_at_hand(folder)][:WINDOW]
        with self._lock:
            self._queue = deque(wanted)
            places = self._workers + self._spare()
            while self._workers < min(_WORKERS, len(wanted), places - beside) and places > 1:
                try:
                    threading.Thread(target=self._work, name="bambufs-walk", daemon=True).start()
                except RuntimeError:  # no thread is to be had, and nobody waits for this one
                    return
                self._workers += 1

    def _work(self) -> None:
        while (folder := self._next()) is not None:
            with suppress(OSError, RuntimeError):  # whoever comes to it finds out by himself
                self._listings.listing(folder)

    def _next(self) -> str | None:
        """The next folder to list, or None when there is none or others need the sessions more."""
        with self._lock:
            while self._queue and self._spare() > 0:
                folder = self._queue.popleft()
                if not self._listings.is_at_hand(folder):
                    return folder
            self._workers -= 1
            return None
