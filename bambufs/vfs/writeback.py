"""WriteBack: sees to it that what is owed reaches the printer, in threads of its own.

A file waits for some quiet after its last close, so that one that is written again, or renamed into place, is sent
once. The oldest goes first. `Card` sends one at a time, since more at once would only share the printer's link and its
one writing head; a second thread is there for the moments in which one file is being begun or renamed.
While the printer is away, everything waits for it; a failure of the file's own is tried again less and less often,
and given up in the end.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..errors import (
    CertificateRefused,
    ConnectionDropped,
    InvalidName,
    LoginRefused,
    NameTooLong,
    PrinterError,
)
from .debts import sentence
from .handles import Node

logger = logging.getLogger(__name__)

_HOPELESS = (InvalidName, NameTooLong, FileNotFoundError, IsADirectoryError, NotADirectoryError)

_TRIES = 50
"""How often a failure of the file's own is put up with: some four hours, in which a full card can be tidied up."""

_AWAY_DELAYS = (1.0, 2.0, 4.0)
_OWN_DELAYS = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0)
_OPEN_DELAY = 1.0
_THREADS = 2


class Payer(Protocol):
    """Who can store what a node owes."""

    def is_in_use(self, node: Node) -> bool:
        """Whether a program has it open for writing."""

    def pay(self, node: Node) -> None:
        """Store it; raises why that failed."""

    def note(self, node: Node, error: OSError, *, counts: bool) -> int:
        """It failed with ``error``, which ``counts`` against it or not; returns how often one has that does."""

    def give_up(self, node: Node, error: OSError) -> None:
        """It will not be tried again."""


@dataclass(frozen=True)
class Remaining:
    """How many files are owed, with how many bytes, and why they cannot be sent at present, if so."""

    files: int
    size: int
    trouble: str | None = None

    def __str__(self) -> str:
        number = "1 file" if self.files == 1 else f"{self.files} files"
        size = f"{self.size / 1e6:.1f} MB" if self.size >= 1e6 else f"{self.size / 1e3:.1f} kB"
        return f"{number} ({size})"


Tell = Callable[[Remaining], None]


@dataclass
class _Owed:
    """When a node is to be sent, and what stood in its way."""

    node: Node
    due: float


class WriteBack:
    """The nodes that owe, and when they are due. ``quiet`` is in seconds of ``clock``.

    ``at_once`` tells how many may be under way together.
    """

    def __init__(
        self,
        payer: Payer,
        *,
        quiet: float,
        at_once: Callable[[], int] = lambda: 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._payer, self._quiet, self._at_once, self._clock = payer, quiet, at_once, clock
        self._condition = threading.Condition()
        self._owed: dict[Node, _Owed] = {}
        self._running: set[Node] = set()
        self._away_tries, self._wait_until = 0, 0.0
        self._trouble_since: float | None = None
        self._hurry, self._closing = False, False
        self._threads: list[threading.Thread] = []
        self.trouble: str | None = None
        """Why nothing can be sent at present, or None."""

    # --- from other threads -----------------------------------------------------------------------

    def start(self) -> None:
        """Start the threads, once. Only after any fork."""
        with self._condition:
            while len(self._threads) < _THREADS and not self._closing:
                self._threads.append(threading.Thread(target=self._run, name="bambufs-writeback", daemon=True))
                self._threads[-1].start()

    def owe(self, node: Node) -> None:
        """If ``node`` owes an upload, send it after the quiet time, which begins anew."""
        with self._condition:
            if node.debt is None:
                return
            owed = self._owed.setdefault(node, _Owed(node, 0.0))
            owed.due = self._clock() + self._quiet
            self._condition.notify_all()

    def drop(self, node: Node) -> None:
        """``node`` owes nothing any more, unless it has come to owe something again meanwhile."""
        with self._condition:
            if node.debt is None:
                self._owed.pop(node, None)
            self._condition.notify_all()

    def waiting(self) -> list[tuple[Node, float]]:
        """Which nodes owe, the oldest first, and in how many seconds each may be sent; but for those under way."""
        now = self._clock()
        with self._condition:
            waiting = [owed for owed in self._in_order() if owed.node not in self._running]
        return [(owed.node, max(0.0, owed.due - now)) for owed in waiting]

    def drain(self, patience: float, tell: Tell = lambda remaining: None) -> Remaining:
        """Send everything now, and end the threads. While nothing can be sent, wait ``patience`` seconds for a change.

        ``tell`` is called every second. Returns what could not be sent.
        """
        with self._condition:
            self._closing = not self._owed
            self._hurry, self._wait_until = True, 0.0
            for owed in self._owed.values():
                owed.due = min(owed.due, self._clock())
            self.trouble = self._trouble_since = None
            self._condition.notify_all()
        self.start()
        while True:
            with self._condition:
                if not self._owed or self._is_late(patience):
                    break
                self._condition.wait(1.0)
                remaining = self._remaining_locked()
            if remaining.files:
                tell(remaining)
        with self._condition:
            self._closing = True
            self._condition.notify_all()
            threads = list(self._threads)
        for thread in threads:
            thread.join(patience + 1.0)
        with self._condition:
            return self._remaining_locked()

    def _remaining_locked(self) -> Remaining:
        nodes = [owed.node for owed in self._owed.values()]
        return Remaining(len(nodes), sum(node.attributes.size for node in nodes), self.trouble)

    def _is_late(self, patience: float) -> bool:
        """Whether nothing could be sent for ``patience`` seconds."""
        return self._trouble_since is not None and time.monotonic() - self._trouble_since >= patience

    # --- the threads ------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self.step()
            with self._condition:
                delay = self._next_locked()[1]  # something may have become owed since
                if delay != 0 and not self._closing:
                    self._condition.wait(delay)
                if self._is_over():
                    return

    def _is_over(self) -> bool:
        return self._closing

    def step(self) -> float | None:
        """Send one file, if one is due. Returns after how many seconds to call again, None when nothing is owed."""
        with self._condition:
            owed, delay = self._next_locked()
            if owed is None:
                return delay
            self._running.add(owed.node)
        try:
            self._send(owed)
        finally:
            with self._condition:
                self._running.discard(owed.node)
                self._condition.notify_all()
        return 0.0

    def _in_order(self) -> list[_Owed]:
        def age(owed: _Owed) -> float:
            debt = owed.node.debt
            return debt.record.created if debt is not None else 0.0

        return sorted(self._owed.values(), key=age)

    def _next_locked(self) -> tuple[_Owed | None, float | None]:
        """What to send now; else nothing, and how long to wait."""
        idle = [owed for owed in self._in_order() if owed.node not in self._running]
        if not idle or len(self._running) >= self._at_once():
            return None, None
        now = self._clock()
        if now < self._wait_until:
            return None, self._wait_until - now
        for owed in idle:
            if owed.due <= now:
                if not self._payer.is_in_use(owed.node):
                    return owed, 0.0
                owed.due = now + _OPEN_DELAY
        return None, max(0.0, min(owed.due for owed in idle) - now)

    def _send(self, owed: _Owed) -> None:
        node = owed.node
        try:
            self._payer.pay(node)
        except OSError as error:
            self._failed(owed, error)
            return
        except Exception:  # the thread must live, or nothing is sent any more, and the end of the mount waits for ever
            logger.exception("%s: sending failed in an unforeseen way", node.path)
            self._failed(owed, OSError(errno.EIO, "sending it failed; see the log"))
            return
        with self._condition:
            self._away_tries, self.trouble, self._trouble_since = 0, None, None
            if node.debt is None:
                self._owed.pop(node, None)
            else:  # somebody went on writing
                owed.due = self._clock() + (_OPEN_DELAY if self._hurry else self._quiet)

    def _failed(self, owed: _Owed, error: OSError) -> None:
        is_away = _is_away(error)
        tries = self._payer.note(owed.node, error, counts=not is_away)
        if (isinstance(error, _HOPELESS) or tries >= _TRIES) and self._has_given_up(owed.node, error):
            return
        why = sentence(error)
        level = logging.DEBUG if self.trouble == why else logging.WARNING
        logger.log(level, "%s: not sent yet: %s", owed.node.path, why)
        with self._condition:
            if self._trouble_since is None:
                self._trouble_since = time.monotonic()
            self.trouble = why
            if is_away:
                self._wait_until = self._clock() + _AWAY_DELAYS[min(self._away_tries, len(_AWAY_DELAYS) - 1)]
                self._away_tries += 1
            else:
                owed.due = self._clock() + _OWN_DELAYS[min(tries, len(_OWN_DELAYS)) - 1]


    def _has_given_up(self, node: Node, error: OSError) -> bool:
        """Put the content of ``node`` aside; False when this computer's disk does not let it be moved now."""
        try:
            self._payer.give_up(node, error)
        except OSError as full:
            logger.error("%s: cannot be put into lost+found: %s", node.path, full)
            return False
        self.drop(node)
        return True


def _is_away(error: OSError) -> bool:
    """Whether it is not the file's own failure: the printer could not be asked, or does not let us in."""
    if isinstance(error, (LoginRefused, CertificateRefused)):
        return True
    return isinstance(error, PrinterError) and error.away and not isinstance(error, ConnectionDropped)
