"""A printer for the pool: it opens sessions that note what becomes of them."""

from __future__ import annotations

import threading

from bambufs.errors import PrinterBusy, PrinterError


class Session:
    """A session of a printer that may go away under it."""

    def __init__(self, printer: Printer, number: int) -> None:
        self._printer, self.number, self.sessions_allowed = printer, number, printer.allowed
        self.is_closed = self.said_good_bye = self.is_dead = self.is_deaf = False
        self.probes = 0

    def __repr__(self) -> str:
        return f"<Session {self.number}>"

    def has_hung_up(self) -> bool:
        """When it is dead."""
        return self.is_dead

    def answers(self) -> bool:
        """Unless it is deaf; raises the printer's error."""
        self.probes += 1
        if self._printer.error is not None:
            raise self._printer.error
        return not self.is_deaf

    def close(self) -> None:
        """Take note."""
        self.is_closed = True

    def quit(self) -> None:
        """Take note."""
        self.said_good_bye = self.is_closed = True


class Printer:
    """Opens sessions, unless there is an ``error``; counts how often it was tried, in which threads.

    ``room`` is how many sessions it puts up with, ``allowed`` how many it is known to.
    """

    def __init__(self, allowed: int = 3) -> None:
        self.allowed, self.room = allowed, 100
        self.opened: list[Session] = []
        self.error: PrinterError | None = None
        self.threads: list[str] = []

    @property
    def tries(self) -> int:
        """How often somebody wanted a session."""
        return len(self.threads)

    def open(self) -> Session:
        """One more session."""
        self.threads.append(threading.current_thread().name)
        if self.error is not None:
            raise self.error
        if sum(not session.is_closed for session in self.opened) >= self.room:
            raise PrinterBusy("all connections are taken")
        self.opened.append(Session(self, len(self.opened) + 1))
        return self.opened[-1]
