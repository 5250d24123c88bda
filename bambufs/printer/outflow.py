"""The way of an upload's bytes out of this computer, and an honest count of them.

What was handed to the kernel is not with the printer yet: Linux queues up to 4 MB for a connection, which a P1S at
70 KB/s takes a minute for. So progress is what has left the queue, and the wait for the printer's last word
begins when the queue is empty.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from .. import interrupts
from .pace import Pace
from .sockets import is_ready, patiently, queued

BLOCK = 64 * 1024
_GLANCE = 0.2

Progress = Callable[[int], None]


class Outflow:
    """One upload over the data connection ``data``; ``stall`` is how long it may stand still, in seconds.

    ``most_queued`` bounds the kernel's queue, in bytes. ``on_progress`` is told the bytes that have gone.
    ``is_answered(seconds)`` waits that long for a reply, and tells whether there is one, or the printer has hung up.
    """

    def __init__(
        self,
        data: ssl.SSLSocket,
        *,
        stall: float,
        most_queued: int | None,
        on_progress: Progress,
        is_answered: Callable[[float], bool],
    ) -> None:
        self._data, self._stall, self._on_progress, self._is_answered = data, stall, on_progress, is_answered
        self._sent = self._gone = 0
        if most_queued is not None:
            data.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, most_queued)

    def send(self, source: BinaryIO) -> None:
        """Hand the rest of ``source`` over, and tell the printer that the file ends there.

        Raises `TimeoutError` when it stalls or hardly moves (see `Pace`), `ConnectionError` when the printer takes no
        more, `Interrupted`, what ``on_progress`` raises, and `OSError`.
        """
        pace = Pace()
        while block := source.read(BLOCK):
            view = memoryview(block)
            while view:
                count = patiently(self._send_some, self._stall, view)
                view = view[count:]
                self._sent += count
                pace.moved(self._sent)
            self._tell(queued(self._data))
            interrupts.check()
        self._end()

    def _send_some(self, block: memoryview) -> int:
        """As `send` of a socket. A printer that has an answer already waits for nothing, though its end may be open."""
        try:
            return self._data.send(block)
        except TimeoutError:
            if self._is_answered(0):
                raise ConnectionResetError("it takes no more of the upload") from None
            raise

    def drain(self, *, negligible: int = 0) -> None:
        """Wait until no more than ``negligible`` bytes are queued, or there is an answer. Raises as `send` does."""
        left, moved_at, pace = queued(self._data), time.monotonic(), Pace(self._gone)
        while left > negligible and not self._is_answered(_GLANCE):
            before, left = left, queued(self._data)
            self._tell(left)
            pace.moved(self._gone)
            if left < before:
                moved_at = time.monotonic()
            elif time.monotonic() - moved_at > self._stall:
                raise TimeoutError("the printer takes no more of the upload")
        self._tell(0)

    def _tell(self, left: int) -> None:
        self._gone = max(self._gone, self._sent - left)
        self._on_progress(self._gone)

    def _end(self) -> None:
        """Tell the printer that the file ends here: our close_notify, then FIN, without waiting for its own.

        Without a close_notify vsFTPd answers 426 (and cuts the file in TLS 1.3, maziggy/bambuddy#1401);
        P1 and A1 models never send theirs, so that waiting for it would hang (seen by ha-bambulab).
        """
        self._data.settimeout(0)
        deadline = time.monotonic() + self._stall
        while True:
            try:
                self._data.unwrap()
            except ssl.SSLWantWriteError:
                is_ready(self._data, interrupts.STEP, to_send=True)
                interrupts.check()
                if time.monotonic() < deadline:
                    continue
                raise TimeoutError("stalled at the end of the upload") from None
            except OSError:
                pass  # ours is out and theirs has not come, or the printer was quicker to close: SIZE will tell
            break
        with suppress(OSError):
            self._data.shutdown(socket.SHUT_WR)
