"""RemoteFile: a file on the card as a file object, read at any place without fetching the rest."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from typing import BinaryIO

from ..errors import ConnectionDropped, FileChanged, PrinterTimeout
from .card import Card
from .download import Version

_SMALLEST, _LARGEST = 64 * 1024, 8 * 1024 * 1024
"""How much is fetched at once: little after a jump, more and more while the reader goes straight on."""

_BLOCK = 256 * 1024
_TRIES = 3


def fetch(
    card: Card, path: str, size: int, target: BinaryIO, *, on_progress: Callable[[int], None] = lambda done: None
) -> None:
    """Append to ``target`` what it lacks of the ``size`` bytes of ``path``; seekable, at its end at the beginning.

    A connection that breaks is made anew as long as the transfer comes on: it then goes on where it was, or from the
    start of the file where the printer cannot do that. ``on_progress`` is told the length of ``target``.

    Raises `FileNotFoundError`, `ConnectionDropped`, `FileChanged` when the printer has another version of it than when
    it began, and what the link raises.
    """
    tries = 0
    version: Version | None = None
    while True:
        done = began = _start(card, target)
        try:
            with card.open_read(path, done, size - done) as reading:
                version = _same(version if done else None, reading.version, path, size)
                while block := reading.read(_BLOCK):
                    target.write(block)
                    done += len(block)
                    on_progress(done)
            return
        except (ConnectionDropped, PrinterTimeout):
            tries = 1 if done > began and card.can_start_anywhere else tries + 1
            if tries >= _TRIES:
                raise


def _same(before: Version | None, now: Version | None, path: str, size: int) -> Version | None:
    """The version of the file; raises `FileChanged` when it is not ``size`` bytes long, or another than ``before``."""
    if now is not None and (now.size != size or now != (before or now)):
        raise FileChanged.at(path)
    return now or before


def _start(card: Card, target: BinaryIO) -> int:
    """Where to go on; what there is already is thrown away when the printer cannot begin in the middle."""
    at = target.seek(0, os.SEEK_END)
    if at and not card.can_start_anywhere:
        target.truncate(0)
        at = target.seek(0)
    return at


class RemoteFile(io.RawIOBase):
    """``path`` of ``size`` bytes on ``card``, open for reading. Wrap it into an `io.BufferedReader`.

    No session is held between two reads. A printer that cannot start in the middle of a file (P1, A1) gives all of it
    at the first read, into a temporary file; ``on_progress`` is told the bytes that have come.
    """

    def __init__(
        self, card: Card, path: str, size: int, on_progress: Callable[[int], None] = lambda done: None
    ) -> None:
        super().__init__()
        self.name, self.size = path, size
        self._card, self._on_progress = card, on_progress
        self._at = 0
        self._window, self._window_start, self._step = b"", 0, _SMALLEST
        self._copy: BinaryIO | None = None
        self._version: Version | None = None

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always; costs nothing."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go somewhere else; the end is where the file ended when it was opened."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise ValueError("a file has nothing before its beginning")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill ``buffer`` as far as what is at hand goes, after fetching more when nothing is."""
        wanted = min(len(buffer), self.size - self._at)
        if self.closed or wanted <= 0:
            return 0
        data = self._some(wanted) if self._card.can_start_anywhere else self._from_copy(wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        """Forget what was fetched."""
        if self._copy is not None:
            self._copy.close()
        self._window = b""
        super().close()

    def _some(self, wanted: int) -> bytes:
        skip = self._at - self._window_start
        if not 0 <= skip < len(self._window):
            self._fetch_window(wanted)
            skip = self._at - self._window_start
        return self._window[skip : skip + wanted]

    def _fetch_window(self, wanted: int) -> None:
        """Fetch at least ``wanted`` bytes; near the end its last part whole, where the directory of a zip file is."""
        goes_on = bool(self._window) and self._at == self._window_start + len(self._window)
        self._step = min(self._step * 2, _LARGEST) if goes_on else _SMALLEST
        start = min(self._at, max(0, self.size - _SMALLEST)) if not goes_on else self._at
        length = min(max(wanted + self._at - start, self._step), self.size - start)
        self._window, self._window_start = self._fetch(start, length), start

    def _fetch(self, start: int, length: int) -> bytes:
        for attempt in range(1, _TRIES + 1):
            try:
                blocks = []
                with self._card.open_read(self.name, start, length) as reading:
                    self._version = _same(self._version, reading.version, self.name, self.size)
                    while block := reading.read(_BLOCK):
                        blocks.append(block)
                return b"".join(blocks)
            except ConnectionDropped:
                if attempt == _TRIES:
                    raise
        raise AssertionError("not reached")

    def _from_copy(self, wanted: int) -> bytes:
        if self._copy is None:
            copy = tempfile.TemporaryFile()  # noqa: SIM115  (closed with this file)
            try:
                fetch(self._card, self.name, self.size, copy, on_progress=self._on_progress)
            except BaseException:
                copy.close()
                raise
            self._copy = copy
        self._copy.seek(self._at)
        return self._copy.read(wanted)
