"""Reading: a file on its way here, checked for its length."""

from __future__ import annotations

from ..errors import ConnectionDropped
from .download import Download


class Reading:
    """The content of one file on its way here, checked for its length."""

    def __init__(self, download: Download, path: str, length: int) -> None:
        self._download, self._path, self.left = download, path, length

    def read(self, size: int) -> bytes:
        """The next bytes, at most ``size``; empty once the expected length has come.

        Raises `ConnectionDropped` when the printer ends early (it does so without an error,
        maziggy/bambuddy#2704), `PrinterTimeout` when it stalls.
        """
        if self.left <= 0:
            return b""
        block = self._download.read(min(size, self.left))
        if not block:
            raise ConnectionDropped(f"the printer ended the file {self.left} bytes early; try again", self._path)
        self.left -= len(block)
        return block
