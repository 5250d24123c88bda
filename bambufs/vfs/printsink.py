"""PrintSink: takes in what is written to the file `print`, lines of text or the content of a 3MF.

A line acts when it is complete, inside the `write`, because a shell ignores the errors of `close`. A 3MF acts when
its descriptor is closed, since `cp` reports that.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from ..errors import PrinterBusy
from .control import LineSink, Sink
from .printing import PrintDesk
from .spool import SpoolFile

MAGIC = b"PK\x03\x04"

_LARGEST = (4 << 30) - 1
"""A FAT card stores no larger file."""


class PrintSink:
    """One opening of `print`; a 3MF is kept in ``folder`` while it arrives."""

    def __init__(self, desk: PrintDesk, folder: Path) -> None:
        self._desk, self._folder = desk, folder
        self._head = b""
        self._sink: Sink | None = None

    def write(self, data: bytes, offset: int) -> None:
        """See `Sink`."""
        if self._sink is None:
            self._head, data, offset = b"", self._head + data, offset - len(self._head)
            if len(data) < len(MAGIC) and MAGIC.startswith(data):
                self._head = data
                return
            self._sink = self._chosen(data)
        self._sink.write(data, offset)

    def _chosen(self, data: bytes) -> Sink:
        if data.startswith(MAGIC):
            return _ContentSink(self._desk, self._folder)
        return LineSink(_once(self._desk.print_line))

    def end(self) -> None:
        """See `Sink`."""
        if self._sink is None and self._head:
            self._sink = LineSink(_once(self._desk.print_line))
            self._sink.write(self._head, 0)
        if self._sink is not None:
            self._sink.end()

    def drop(self) -> None:
        """See `Sink`."""
        if self._sink is not None:
            self._sink.drop()


def _once(act: Callable[[str], bool]) -> Callable[[str], None]:
    """``act`` for lines until one has started a print; those that follow are refused."""
    started: list[str] = []

    def act_once(line: str) -> None:
        if started and line and not line.startswith("#"):
            raise PrinterBusy(f"One print at a time: {started[0]} was asked for first, so {line} was not.")
        if act(line):
            started.append(line)

    return act_once


class _ContentSink:
    """The content of a 3MF, kept on this computer until it is whole."""

    def __init__(self, desk: PrintDesk, folder: Path) -> None:
        self._desk = desk
        self._spool: SpoolFile | None = SpoolFile.new(folder)
        self._is_printed = False

    def write(self, data: bytes, offset: int) -> None:
        """See `Sink`."""
        if self._is_printed or self._spool is None:
            raise PrinterBusy("This file was printed already; open it anew for another print.")
        if offset + len(data) > _LARGEST:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        self._spool.write(data, offset)

    def end(self) -> None:
        """See `Sink`: print what has come since the last try."""
        spool = self._spool
        if spool is None or not spool.is_dirty or self._is_printed:
            return
        spool.mark_clean(spool.generation)
        self._desk.print_content(spool)
        self._is_printed = True

    def drop(self) -> None:
        """See `Sink`."""
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.discard()
