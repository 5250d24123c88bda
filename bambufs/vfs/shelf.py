"""Shelf: the files of a mount as `PrintDesk` wants them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from .attributes import Attributes
from .filesystem import FileSystem
from .spool import Content

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER = 256 * 1024


class Shelf:
    """See `printing.Storage`."""

    def __init__(self, filesystem: FileSystem) -> None:
        self._fs = filesystem

    def find(self, path: str) -> Attributes | None:
        """See `printing.Storage`."""
        try:
            return self._fs.getattr(path)
        except FileNotFoundError:
            return None

    def settle(self, path: str) -> None:
        """See `printing.Storage`."""
        self._fs.settle(path)

    @contextmanager
    def reader(self, path: str) -> Iterator[BinaryIO]:
        """See `printing.Storage`."""
        number = self._fs.open(path, os.O_RDONLY)
        try:
            raw = _Raw(self._fs, number)
            yield cast(BinaryIO, io.BufferedReader(raw, _BUFFER))
        finally:
            self._fs.release(number)

    def store(self, content: Content, path: str) -> None:
        """See `printing.Storage`."""
        self._fs.store(content, path)

    def make_folder(self, path: str) -> None:
        """See `printing.Storage`."""
        self._fs.mkdir(path)


class _Raw(io.RawIOBase):
    """An open file of the mount as Python knows files."""

    def __init__(self, filesystem: FileSystem, number: int) -> None:
        super().__init__()
        self._fs, self._number, self._position = filesystem, number, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence)
        if start is None:
            start = self._fs.getattr(None, self._number).size
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self._fs.read(self._number, len(view), self._position)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)
