"""What a printer does to its card by itself: files appear in /cache and vanish, a timelapse grows.

Seen by owners of a P2S, whose /cache keeps the six newest files that it was sent
(bambulab/BambuStudio#9198). What came by FTP is left alone.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from pathlib import Path

from bambufs.simulator.machine import Machine

_CACHE = "cache"
_FILM = "timelapse/video_2025-06-16_08-00-00.avi"
_JOB_SIZE = 2048
_GROWTH = 4096
_JOIN = 10.0


class Life:
    """A thread that changes the card as often as the quirk ``restless`` says."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._made: deque[Path] = deque()
        self._count = 0
        self._woken = threading.Event()
        machine.quirks.watch(self._woken.set)
        self._thread = threading.Thread(target=self._run, name="life", daemon=True)

    def start(self) -> None:
        if self._thread.ident is None:
            self._thread.start()

    def close(self) -> None:
        """End the thread; the machine is closing already."""
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(_JOIN)

    def tick(self) -> None:
        """One round of changes: a file more, perhaps one less, and a longer film."""
        self._count += 1
        folder = self._machine.card.folder / _CACHE
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / f"job_{self._count:04d}.3mf"
        new.write_bytes(self._machine.random.randbytes(_JOB_SIZE))
        self._made.append(new)
        self._forget_old()
        self._grow(self._machine.card.folder / _FILM)

    def _forget_old(self) -> None:
        most = int(self._machine.quirks.number("cache_fifo"))
        while most and len(self._made) > most:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._made.popleft())

    def _grow(self, film: Path) -> None:
        film.parent.mkdir(parents=True, exist_ok=True)
        with film.open("ab") as file:
            file.write(self._machine.random.randbytes(_GROWTH))

    def _run(self) -> None:
        while not self._machine.closing.is_set():
            period = self._machine.quirks.number("restless")
            if self._woken.wait(period or None):
                self._woken.clear()
            elif not self._machine.closing.is_set():
                self.tick()
