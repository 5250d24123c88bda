"""Transfers: which uploads run, and which failed and where their content was kept."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import PrinterError


@dataclass
class Transfer:
    """One upload: sizes in bytes, times in seconds of the clock."""

    path: str
    size: int
    began: float
    sent: int = 0
    ended: float | None = None
    error: str | None = None

    def progress(self, sent: int) -> None:
        """Note that ``sent`` bytes are out."""
        self.sent = sent

    def rate(self, now: float) -> float:
        """Bytes a second so far."""
        return self.sent / max((self.ended or now) - self.began, 0.001)

    def summary(self, now: float) -> str:
        """How far it is, for a person."""
        percent = 100 * self.sent // max(self.size, 1)
        return f"{self.sent} of {self.size} bytes ({percent} %), {self.rate(now) / 1e6:.2f} MB/s"


@dataclass(frozen=True)
class Kept:
    """A file that could not be uploaded: its path on the mount, where its content is, and why."""

    path: str
    file: str
    reason: str


class Transfers:
    """The uploads of one mount; ``history`` ended ones are remembered."""

    def __init__(self, *, history: int = 100, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._running: list[Transfer] = []
        self._failed: deque[Transfer] = deque(maxlen=history)
        self._kept: deque[Kept] = deque(maxlen=history)
        self.uploads = self.bytes_sent = 0

    @contextmanager
    def running(self, path: str, size: int) -> Iterator[Transfer]:
        """Note an upload for as long as the block lasts, and its failure if it raises."""
        transfer = Transfer(path, size, self._clock())
        with self._lock:
            self._running.append(transfer)
        try:
            yield transfer
        except OSError as error:
            transfer.error = error.message if isinstance(error, PrinterError) else str(error)
            raise
        finally:
            with self._lock:
                transfer.ended = self._clock()
                self._running.remove(transfer)
                self.uploads += 1
                self.bytes_sent += transfer.sent
                if transfer.error is not None:
                    self._failed.append(transfer)

    def kept(self, path: str, file: str, reason: str) -> None:
        """Note that the content meant for ``path`` was put aside as ``file``."""
        with self._lock:
            self._kept.append(Kept(path, file, reason))

    def report(self) -> str:
        """The table that `.bambufs/transfers` shows: one line each, for a person."""
        now = self._clock()
        with self._lock:
            running, failed, kept = list(self._running), list(self._failed), list(self._kept)
        lines = [f"sending  {t.path}  {t.summary(now)}" for t in running]
        lines += [f"failed   {t.path}  {t.error}" for t in failed]
        lines += [f"kept     {k.path}  its content is in {k.file} ({k.reason})" for k in kept]
        if not lines:
            return "No upload is running, and none has failed.\n"
        return "".join(line + "\n" for line in lines)
