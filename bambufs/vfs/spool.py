"""SpoolFile: the temp file behind an open file; it knows whether it is dirty.

Reads and writes go by offset and need no lock; `generation` counts changes, so that whoever uploads can tell
what the upload contained. An error of the local disk (ENOSPC, say) passes through as it is.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from .budget import Budget


class Content(Protocol):
    """Something whole that can be stored: a `SpoolFile`, or a file of this computer."""

    @property
    def size(self) -> int:
        """In bytes."""

    def reader(self) -> BinaryIO:
        """A new file object at the start, which the caller closes."""


_LABEL = "user.bambufs.path"
_BLOCK = 1024 * 1024


class SpoolFile:
    """A local file with a dirty mark. ``file`` must exist unless ``create``.

    ``is_frozen`` marks one that belongs to the journal: who wants to change it works on a copy. Its size counts against
    ``budget`` for as long as it is open here.
    """

    def __init__(self, file: Path, *, create: bool = False, budget: Budget | None = None) -> None:
        self.file, self._fd, self._counted = file, -1, 0
        self._budget = budget or Budget()
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0)
        self._fd = os.open(file, flags, 0o600)
        self.generation = 0
        self._clean_generation = 0
        self.is_frozen = False
        self._counted = self.size
        self._budget.adopt(self._counted)

    def count_against(self, budget: Budget) -> None:
        """From now on it takes its room from ``budget``; raises `SpoolFull` when that has too little left."""
        budget.take(self._counted)
        self._budget.give_back(self._counted)
        self._budget = budget

    def _count(self, size: int) -> None:
        """Its size is about to be ``size``; raises `SpoolFull`."""
        self._budget.take(size - self._counted)
        self._counted = size

    @classmethod
    def new(cls, folder: Path) -> SpoolFile:
        """A new, empty spool file in ``folder``."""
        return cls(folder / secrets.token_hex(8), create=True)

    def __repr__(self) -> str:
        return f"<SpoolFile {self.file.name} {'dirty' if self.is_dirty else 'clean'}>"

    @property
    def is_dirty(self) -> bool:
        """Whether it changed since `mark_clean`."""
        return self.generation != self._clean_generation

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return os.fstat(self._fd).st_size

    @property
    def modified(self) -> float:
        """When it changed last, in seconds since the epoch."""
        return os.fstat(self._fd).st_mtime

    def read(self, size: int, offset: int) -> bytes:
        """At most ``size`` bytes from ``offset``; fewer at the end of the file."""
        return os.pread(self._fd, size, offset)

    def write(self, data: bytes | memoryview, offset: int) -> int:
        """Write all of ``data`` at ``offset``; returns its length."""
        self.generation += 1
        self.fill(data, offset)
        return len(data)

    def fill(self, data: bytes | memoryview, offset: int) -> None:
        """Write content that came from the printer: not a change."""
        if offset + len(data) > self._counted:
            self._count(offset + len(data))
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, offset)
            view, offset = view[written:], offset + written

    def truncate(self, length: int) -> None:
        """Cut or extend it to ``length`` bytes."""
        self.generation += 1
        self._count(length)
        os.ftruncate(self._fd, length)

    def copy_to(self, other: SpoolFile, length: int) -> None:
        """Fill ``other`` with the first ``length`` bytes: not a change."""
        offset = 0
        while block := self.read(min(_BLOCK, length - offset), offset):
            other.fill(block, offset)
            offset += len(block)

    def label(self, path: str) -> None:
        """Note in the file whose content it is, where the local file system can: for whoever finds it after a crash."""
        with suppress(OSError):
            os.setxattr(self._fd, _LABEL, os.fsencode(path))

    def sync(self) -> None:
        """Force the content to the disk."""
        os.fsync(self._fd)

    def set_time(self, mtime: int) -> None:
        """Give the file itself the time ``mtime`` (seconds since the epoch); does nothing once it is closed."""
        if self._fd >= 0:
            os.utime(self._fd, (mtime, mtime))

    def mark_clean(self, generation: int) -> None:
        """The printer now has what the file held at ``generation``."""
        self._clean_generation = generation

    def reader(self) -> BinaryIO:
        """The content from its start, for an upload; an independent file object that the caller closes."""
        return open(f"/proc/self/fd/{self._fd}", "rb", buffering=0)

    def move(self, file: Path) -> None:
        """Rename the file on the local disk; it stays open."""
        os.replace(self.file, file)
        self.file = file

    def close(self) -> None:
        """Close it and leave the file where it is."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._budget.give_back(self._counted)
            self._counted = 0

    def retire(self) -> None:
        """Delete the file; it is closed when the last who reads it lets go."""
        self.file.unlink(missing_ok=True)

    __del__ = close

    def discard(self) -> None:
        """Close it and delete the file."""
        self.close()
        self.file.unlink(missing_ok=True)


def label_of(file: Path) -> str | None:
    """The path that `SpoolFile.label` noted in ``file``, if any."""
    try:
        return os.fsdecode(os.getxattr(file, _LABEL))
    except OSError:
        return None


def spool_name(path: str) -> str:
    """A name for the local content of ``path`` that is unique, and tells a person whose it is."""
    name = os.fsencode(os.path.basename(path))[-180:].decode("utf-8", "ignore")
    return f"{secrets.token_hex(3)} {name}"
