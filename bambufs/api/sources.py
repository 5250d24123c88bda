"""What is uploaded: a file of this computer, or a file object."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from .names import AnyPath


class Source(NamedTuple):
    """Something to upload: a seekable file, its size in bytes, its time (seconds since the epoch), its name or ""."""

    file: BinaryIO
    size: int
    mtime: float
    name: str


@contextmanager
def opened(source: AnyPath | BinaryIO) -> Iterator[Source]:
    """``source`` for the block. A file object is taken from its start, and stays the caller's."""
    if isinstance(source, str | os.PathLike):
        place = Path(source).expanduser()
        with open(place, "rb") as file:
            about = os.fstat(file.fileno())
            yield Source(file, about.st_size, about.st_mtime, place.name)
    elif source.seekable():
        yield Source(source, source.seek(0, os.SEEK_END), time.time(), "")
    else:
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(source, copy)
            yield Source(cast(BinaryIO, copy), copy.tell(), time.time(), "")
