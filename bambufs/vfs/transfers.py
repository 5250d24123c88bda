"""Transfers: which uploads run, and which went wrong."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import CalledOff, PrinterError


@dataclass
class Transfer:
    """One upload: sizes in bytes, times in seconds of the clock."""

    path: str
    size: int
    began: float
    sent: int = 0
    ended: float | None = None
    error: str | None = None
    will_try_again: bool = False
    """Whether a failure is not its end, and so not worth telling."""

    def progress(self, sent: int) -> None:
        """Note that ``sent`` bytes are out."""
        self.sent = sent

    def rate(self, now: float) -> float:
        """Bytes a second so far."""
        return self.sent / max((self.ended or now) - self.began, 0.001)

    def summary(self, now: float) -> str:
        """How far it is, for a person."""
        percent = 100 * self.sent // max(self.size, 1)
        told = f"{self.sent} of {self.size} bytes ({percent} %)"
        if not self.sent:
            return told
        rate = self.rate(now)
        return f"{told}, {_speed(rate)}, about {_duration((self.size - self.sent) / rate)} left"


def _speed(rate: float) -> str:
    return f"{rate / 1e6:.2f} MB/s" if rate >= 1e6 else f"{rate / 1e3:.0f} kB/s"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


class Transfers:
    """The uploads of one mount; the last ``history`` that went wrong are remembered."""

    def __init__(self, *, history: int = 100, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._running: list[Transfer] = []
        self._failed: deque[Transfer] = deque(maxlen=history)
        self._conflicts: deque[tuple[str, str]] = deque(maxlen=history)
        self.uploads = self.bytes_sent = 0

    @contextmanager
    def running(self, path: str, size: int, *, will_try_again: bool = False) -> Iterator[Transfer]:
        """Note an upload for as long as the block lasts, and its failure if it raises and that is its end."""
        transfer = Transfer(path, size, self._clock(), will_try_again=will_try_again)
        with self._lock:
            self._running.append(transfer)
        try:
            yield transfer
        except CalledOff:
            raise
        except OSError as error:
            transfer.error = error.message if isinstance(error, PrinterError) else str(error)
            raise
        finally:
            with self._lock:
                transfer.ended = self._clock()
                self._running.remove(transfer)
                self.uploads += 1
                self.bytes_sent += transfer.sent
                if transfer.error is not None and not transfer.will_try_again:
                    self._failed.append(transfer)

    def conflict(self, path: str, copy: str) -> None:
        """Note that what was to become ``path`` became ``copy``, since the printer's file had changed."""
        with self._lock:
            self._conflicts.append((path, copy))

    def report(self, others: Sequence[str] = ()) -> str:
        """The table that `.bambufs/transfers` shows: one line each, for a person; with the lines of ``others``."""
        now = self._clock()
        with self._lock:
            running, failed, conflicts = list(self._running), list(self._failed), list(self._conflicts)
        lines = [f"sending  {t.path}  {t.summary(now)}" for t in running]
        lines += [f"failed   {t.path}  {t.error}" for t in failed]
        lines += [f"copied   {path}  had changed on the printer; yours became {copy}" for path, copy in conflicts]
        lines += others
        if not lines:
            return "No upload is running, and none has failed.\n"
        return "".join(line + "\n" for line in lines)
