"""Reading: a file on its way here, checked for its length."""

from __future__ import annotations

from ..errors import ConnectionDropped
from .download import Download, Version


class Reading:
    """The content of one file on its way here, checked for its length.

    ``version`` is what is being sent, None when the printer does not tell: two transfers of one file belong together
    when that is the same.
    """

    def __init__(self, download: Download, path: str, length: int, version: Version | None = None) -> None:
        self._download, self._path, self.left = download, path, length
        self.version = version

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
