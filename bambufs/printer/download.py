"""Download: a file on its way from the printer, over an open data connection."""

from __future__ import annotations

import ftplib
import ssl
import time
from typing import TYPE_CHECKING, NamedTuple

from .pace import Pace
from .replies import translating
from .sockets import receive

if TYPE_CHECKING:
    from .session import FtpsSession

BLOCK = 64 * 1024


class Version(NamedTuple):
    """What the printer tells of a file when a transfer of it begins: its size, and the time of its last change.

    The time is by the printer's own clock, and good for nothing but being compared; None when it is not told.
    """

    size: int
    mtime: int | None


class Download:
    """A file on its way from the printer: an open data connection. Close it, or the session stays blocked.

    ``version`` is what is being sent, None when the printer does not tell.
    """

    def __init__(
        self, session: FtpsSession, data: ssl.SSLSocket, path: str, stall: float, version: Version | None = None
    ) -> None:
        self.version = version
        self._session, self._data, self._path, self._stall = session, data, path, stall
        self._moved, self._waited = 0, 0.0
        self._pace = Pace(clock=lambda: self._waited)

    def read(self, size: int = BLOCK) -> bytes:
        """The next bytes, at most ``size``; empty at the end.

        Raises `PrinterTimeout` when nothing came for the stall time-out, or hardly anything for long (see `Pace`; only
        the time in here counts), `ConnectionDropped`, `Interrupted`.
        """
        with translating(self._path):
            began = time.monotonic()
            block = receive(self._data, self._stall, size)
            self._waited += time.monotonic() - began
            self._moved += len(block)
            self._pace.moved(self._moved)
            return block

    def abandon(self) -> None:
        """Close the data connection and nothing more; the session must be closed after it."""
        self._data.close()

    def finish(self) -> None:
        """End the transfer, wherever it is, and read its reply, which does not matter: the bytes were counted.

        Cut short, a vsFTPd answers 426 and stays usable. ESP32 printers answer 451 after a whole file whose
        size is a multiple of their block. A session that is out of step afterwards is closed.
        """
        self._data.close()
        try:
            self._session.final_reply()
        except (ftplib.error_temp, ftplib.error_perm):
            pass
        except (ftplib.Error, EOFError, OSError, ValueError):
            self._session.close()
