"""Janitor: tidies up on the card in the background, and retires idle sessions.

After an interrupted upload the caller wants its prompt back at once, while deleting the part file may need a new
connection. So that is handed to a thread which tries for a while.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import PrinterBusy, PrinterError, PrinterUnreachable

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class _Chore:
    """Something to do on the card, what to call it in the log, how often it may still be tried, and from when on."""

    do: Callable[[], None]
    name: str
    tries: int
    due: float = 0.0


class Janitor:
    """Does chores, each until it succeeds or ``tries`` are used up, ``retry_delay`` seconds apart.

    ``tidy`` is called every ``interval`` seconds while the thread lives. The thread begins with `start` or with the
    first chore.
    """

    def __init__(
        self,
        tidy: Callable[[], None],
        *,
        interval: float = 15.0,
        retry_delay: float = 2.0,
        tries: int = 30,
    ) -> None:
        self._tidy = tidy
        self._interval, self._retry_delay, self._tries = interval, retry_delay, tries
        self._condition = threading.Condition()
        self._owed: list[_Chore] = []
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

    def give(self, do: Callable[[], None], name: str, *, after: float = 0.0) -> None:
        """Have ``do`` called soon, or ``after`` so many seconds; ``name`` says in the log what could not be done.

        At the end, what is due later is done at once.
        """
        with self._condition:
            self._owed.append(_Chore(do, name, self._tries, time.monotonic() + after))
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
                now = time.monotonic()
                next_due = min([next_tidy, *(chore.due for chore in self._owed)])
                if next_due > now and not self._closing:
                    self._condition.wait(next_due - now)
                now, closing = time.monotonic(), self._closing
                owed = [chore for chore in self._owed if closing or chore.due <= now]
                self._owed = [chore for chore in self._owed if chore not in owed]
            for chore in owed:
                self._try(chore)
            if closing:
                return
            if time.monotonic() >= next_tidy:
                self._tidy()
                next_tidy = time.monotonic() + self._interval

    def _try(self, chore: _Chore) -> None:
        try:
            chore.do()
        except OSError as error:
            if not isinstance(error, (PrinterUnreachable, PrinterBusy)):
                chore.tries -= 1  # a printer that is away is waited for, like the uploads that wait for it
            if isinstance(error, PrinterError) and chore.tries > 0:
                chore.due = time.monotonic() + self._retry_delay
                with self._condition:
                    self._owed.append(chore)
            else:
                logger.warning("%s: that failed: %s", chore.name, error)
        except Exception:  # the other chores, and the sessions at rest, need the thread
            logger.exception("%s: that failed", chore.name)
