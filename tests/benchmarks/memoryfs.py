"""A mount with nothing behind it: the FUSE layer of a real one over a few dictionaries, to measure it alone.

``python -m tests.benchmarks.memoryfs fuse3 FOLDER [--debug]`` serves until it is unmounted. ``/r00`` and so on hold
files to look at and a ``big.bin`` to read, ``/new`` is for files to be made.
"""

from __future__ import annotations

import errno
import itertools
import os
import sys
from typing import cast

from bambufs.mount import binding
from bambufs.mount.adapter import Adapter, Owner
from bambufs.mount.settings import fuse_options
from bambufs.vfs.attributes import Attributes
from bambufs.vfs.filesystem import Space
from bambufs.vfs.root import Root

FOLDERS, FILES, BIG = 16, 1000, 64 << 20
_LONG_AGO = 1_700_000_000
_NOTHING = bytes(1 << 20)


def folder_name(number: int) -> str:
    """The name of a folder full of files."""
    return f"r{number:02}"


def file_name(number: int) -> str:
    """The name of a file in each of them."""
    return f"Cat_Toy_{number:04}.gcode.3mf"


class MemoryFS:
    """The verbs of `Root`. Files consist of zeros; what is written is counted and forgotten."""

    def __init__(self) -> None:
        many = {file_name(number): Attributes(False, 1000 + number, _LONG_AGO) for number in range(FILES)}
        big = {"big.bin": Attributes(False, BIG, _LONG_AGO)}
        self._folders: dict[str, dict[str, Attributes]] = {
            "": {},
            "/new": {},
            **{f"/{folder_name(number)}": {**many, **big} for number in range(FOLDERS)},
        }
        self._handles: dict[int, str] = {}
        self._numbers = itertools.count(1)

    def _at(self, path: str) -> Attributes:
        if path.rstrip("/") in self._folders:
            return Attributes(True, 0, _LONG_AGO)
        folder, _, name = path.rpartition("/")
        found = self._folders.get(folder, {}).get(name)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return found

    def _put(self, path: str, attributes: Attributes) -> None:
        folder, _, name = path.rpartition("/")
        self._folders[folder][name] = attributes

    def getattr(self, path: str | None, fh: int | None = None) -> Attributes:
        """stat."""
        return self._at(self._handles[fh] if fh is not None else path or "")

    def readdir(self, path: str) -> list[tuple[str, Attributes]]:
        """What is in a folder."""
        if path == "/":
            return [(name[1:], Attributes(True, 0, _LONG_AGO)) for name in self._folders if name]
        return list(self._folders[path].items())

    def access(self, path: str, mode: int) -> None:
        """Whether it is there."""
        self._at(path)

    def statfs(self) -> Space:
        """Room enough."""
        return Space(4096, 1 << 20, 1 << 19)

    def open(self, path: str, flags: int) -> int:
        """A handle."""
        self._at(path)
        number = next(self._numbers)
        self._handles[number] = path
        return number

    def version_of(self, fh: int) -> tuple[int, int]:
        """All files stay as they are."""
        return (1, 1)

    def is_live(self, fh: int) -> bool:
        """Nothing is made on the spot."""
        return False

    def create(self, path: str, flags: int) -> int:
        """A handle on a new file."""
        self._put(path, Attributes(False, 0, _LONG_AGO))
        return self.open(path, flags)

    def read(self, fh: int, size: int, offset: int) -> bytes:
        """Zeros."""
        left = self._at(self._handles[fh]).size - offset
        return _NOTHING[: min(size, left)]

    def write(self, fh: int, data: bytes, offset: int) -> int:
        """Only the size is kept."""
        path = self._handles[fh]
        before = self._at(path)
        self._put(path, before._replace(size=max(before.size, offset + len(data))))
        return len(data)

    def truncate(self, path: str | None, length: int, fh: int | None = None) -> None:
        """Only the size is kept."""
        path = self._handles[fh] if fh is not None else path or ""
        self._put(path, self._at(path)._replace(size=length))

    def flush(self, fh: int) -> None:
        """Nothing to do."""

    fsync = cut_off = flush

    def release(self, fh: int) -> None:
        """The handle is gone."""
        del self._handles[fh]

    def check_settable(self, path: str) -> None:
        """Whether it is there."""
        self._at(path)

    def utimens(self, path: str | None, mtime: int | None, fh: int | None = None) -> None:
        """Set the time."""
        path = self._handles[fh] if fh is not None else path or ""
        if mtime is not None:
            self._put(path, self._at(path)._replace(mtime=mtime))

    def rename(self, old: str, new: str, *, replace: bool = True) -> None:
        """Only files."""
        self._put(new, self._at(old))
        self.unlink(old)

    def unlink(self, path: str) -> None:
        """Delete a file."""
        folder, _, name = path.rpartition("/")
        del self._folders[folder][name]


def serve(library: str, mountpoint: str, *, debug: bool = False) -> int:
    """Mount it with ``library``, with the options of every mount, until it is unmounted."""
    options = fuse_options("nowhere", 5.0) | ({"debug": True} if debug else {})
    adapter = Adapter(cast(Root, MemoryFS()), Owner(os.getuid(), os.getgid()))
    return binding.choose(library).run(adapter, mountpoint, options)


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1], sys.argv[2], debug="--debug" in sys.argv))
