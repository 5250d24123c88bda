"""Janitor: removes our own left-overs from the card in the background, and retires idle sessions.

After an interrupted upload the caller wants its prompt back at once, while deleting the part file may
need a new connection. So the deletion is handed to a thread that tries for a while.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ..errors import PrinterError

logger = logging.getLogger(__name__)


class Janitor:
    """Calls ``delete(path)`` for each path handed in, until it succeeds or ``tries`` are used up.

    ``tidy`` is called every ``interval`` seconds while the thread lives. The thread begins with `start` or with
    the first path.
    """

    def __init__(
        self,
        delete: Callable[[str], None],
        tidy: Callable[[], None],
        *,
        interval: float = 15.0,
        retry_delay: float = 2.0,
        tries: int = 30,
    ) -> None:
        self._delete, self._tidy = delete, tidy
        self._interval, self._retry_delay, self._tries = interval, retry_delay, tries
        self._condition = threading.Condition()
        self._owed: list[tuple[str, int]] = []
        self._closing = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, once. Only after any fork."""
        if self._thread is not None:
            return
        with self._condition:
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="bambufs-janitor", daemon=True)
                self._thread.start()

    def remove(self, path: str) -> None:
        """Have ``path`` deleted soon."""
        with self._condition:
            self._owed.append((path, self._tries))
            self._condition.notify_all()
        self.start()

    def close(self, patience: float = 5.0) -> None:
        """End the thread after one more try for what is owed, waiting at most ``patience`` seconds."""
        with self._condition:
            self._closing = True
            thread = self._thread
            self._condition.notify_all()
        if thread is not None:
            thread.join(patience)

    def _run(self) -> None:
        next_tidy = time.monotonic() + self._interval
        while True:
            with self._condition:
                if not self._owed and not self._closing:
                    self._condition.wait(max(0.0, next_tidy - time.monotonic()))
                owed, self._owed = self._owed, []
                closing = self._closing
            for path, tries in owed:
                self._try(path, tries)
            if closing:
                return
            if time.monotonic() >= next_tidy:
                self._tidy()
                next_tidy = time.monotonic() + self._interval
            with self._condition:
                if self._owed and not self._closing:
                    self._condition.wait(self._retry_delay)

    def _try(self, path: str, tries: int) -> None:
        try:
            self._delete(path)
        except PrinterError as error:
            if tries > 1:
                with self._condition:
                    self._owed.append((path, tries - 1))
            else:
                logger.warning("%s: could not be removed from the printer: %s", path, error)
        except OSError as error:
            logger.warning("%s: could not be removed from the printer: %s", path, error)
