"""What libfuse calls: its structures in, the adapter's verbs, and the answer put straight into its structures again.

In the way of each request, so that it is short: the bindings do the same by way of dictionaries, names of fields and
copies. Paths and names are UTF-8, and other bytes are carried as surrogate escapes. The bindings do what is not here.
"""

from __future__ import annotations

import ctypes
import errno
import logging
from collections.abc import Callable
from typing import Any

from . import threads
from .adapter import Adapter, Status
from .settings import LARGEST_REQUEST, MAX_BACKGROUND

logger = logging.getLogger(__name__)

_READDIR_PLUS = 1
_UTIME_NOW, _UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
_PLUS = 2  # FUSE_FILL_DIR_PLUS
_ENTRY = 152  # struct fuse_direntplus, without the name
_LEAST_ROOM = 4096
"""Bytes that the kernel takes in one answer at least when it reads a folder."""

_view = ctypes.pythonapi.PyMemoryView_FromMemory
_view.restype = ctypes.py_object
_view.argtypes = [ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int]
_READ_ONLY = 0x100  # PyBUF_READ


def _answered(operation: Callable[..., Any], *arguments: Any) -> int:
    """Carry out what libfuse asks for; its result or the negative errno. Nothing else may leave a callback."""
    threads.keep()
    try:
        return operation(*arguments) or 0
    except OSError as error:
        return -(error.errno or errno.EIO)
    except BaseException:
        logger.critical("%s failed in an unforeseen way", operation, exc_info=True)
        return -errno.EIO


def decoded(path: bytes | None) -> Any:
    """The path as text; None where there is none."""
    return None if path is None else path.decode("utf-8", "surrogateescape")


def fill(target: Any, status: Status) -> None:
    """Put ``status`` into a ``struct stat`` that is zero elsewhere."""
    target.st_mode, target.st_nlink = status.mode, status.links
    target.st_uid, target.st_gid = status.uid, status.gid
    size = target.st_size = status.size
    target.st_blocks, target.st_blksize = (size + 511) // 512, 4096
    target.st_atimespec.tv_sec = target.st_mtimespec.tv_sec = target.st_ctimespec.tv_sec = status.mtime


def _times(buffer: Any) -> int | None:
    """The modification time in ns out of a pair of timespecs: `Adapter.NOW` for now, None to leave it."""
    if not buffer:
        return Adapter.NOW
    wanted = buffer.contents.modtime
    if wanted.tv_nsec == _UTIME_OMIT:
        return None
    if wanted.tv_nsec == _UTIME_NOW:
        return Adapter.NOW
    return int(wanted.tv_sec) * 10**9 + int(wanted.tv_nsec)


def _handle(fip: Any) -> int | None:
    return int(fip.contents.fh) if fip else None


def names(adapter: Adapter, put: Any, folder: Any, scratch: Any, information: Any) -> int:
    """All names of a folder at once, with what kind of thing each is; libfuse keeps those that do not fit yet."""
    for name, mode in adapter.names(information.contents.fh, 0):
        scratch.st_mode = mode
        if put(folder, name.encode("utf-8", "surrogateescape"), scratch, 0):
            break
    return 0


def names_from(adapter: Adapter, put: Any, folder: Any, scratch: Any, offset: int, information: Any) -> int:
    """The names of a folder from that at ``offset`` on, as many as there is room for."""
    listed = adapter.names(information.contents.fh, offset)
    for number in range(offset, len(listed)):
        name, scratch.st_mode = listed[number]
        if put(folder, name.encode("utf-8", "surrogateescape"), scratch, number + 1, 0):
            break
    return 0


def entries_from(adapter: Adapter, put: Any, folder: Any, make: Callable[[], Any], offset: int, fip: Any) -> int:
    """The same, each with all that a `stat` of it tells as of now, so that nobody has to ask for that one by one.

    libfuse counts a reference of the kernel for each, even for one that it then finds no room for. So none is given
    that might not fit.
    """
    handle, room = fip.contents.fh, _LEAST_ROOM
    listed = adapter.names(handle, offset)
    for number in range(offset, len(listed)):
        text, mode = listed[number]
        name = text.encode("utf-8", "surrogateescape")
        room -= _ENTRY + (len(name) + 7) // 8 * 8
        if room < 0:
            break
        status, target = adapter.status_in(handle, text), make()
        if status is None:
            target.st_mode = mode
        else:
            fill(target, status)
        if put(folder, name, target, number + 1, 0 if status is None else _PLUS):
            break
    return 0


class Calls:
    """What is the same with both; to come before the binding's class. ``stat_type`` is its ``struct stat``."""

    operations: Any
    stat_type: Any

    _wrapper = staticmethod(_answered)

    def _stat(self, path: bytes | None, target: Any, fip: Any) -> int:
        status = self.operations.adapter.getattr(decoded(path), fip.contents.fh if fip else None)
        fill(target.contents, status)
        return 0

    def open(self, path: bytes, fip: Any) -> int:
        """What is made on the spot is kept out of the kernel's page cache; all else stays there with its version."""
        adapter, details, name = self.operations.adapter, fip.contents, decoded(path)
        number = details.fh = adapter.open(name, details.flags)
        if adapter.is_live(number):
            details.direct_io = 1
        elif adapter.keeps_pages(name, number):
            details.keep_cache = 1
        return 0

    def create(self, path: bytes, mode: int, fip: Any) -> int:
        """With the flags, which fusepy does not pass on."""
        fip.contents.fh = self.operations.adapter.create(decoded(path), mode, fip.contents.flags)
        return 0

    def read(self, _: Any, target: Any, size: int, offset: int, fip: Any) -> int:
        """Fewer bytes than ``size`` at the end of the file."""
        data = self.operations.adapter.read(None, size, offset, fip.contents.fh)
        assert len(data) <= size
        ctypes.memmove(target, data, len(data))
        return len(data)

    def write(self, _: Any, source: Any, size: int, offset: int, fip: Any) -> int:
        """What is written is not copied: it is valid until this returns."""
        return int(self.operations.adapter.write(None, _view(source, size, _READ_ONLY), offset, fip.contents.fh))


class Calls2(Calls):
    """What libfuse 2 calls, by way of fusepy."""

    def getattr(self, path: bytes, target: Any) -> int:
        """stat."""
        return self._stat(path, target, None)

    def fgetattr(self, path: bytes | None, target: Any, fip: Any) -> int:
        """fstat."""
        return self._stat(path, target, fip)

    def readdir(self, _: Any, folder: Any, put: Any, offset: int, fip: Any) -> int:
        """All at once; libfuse keeps what does not fit."""
        return names(self.operations.adapter, put, folder, self.stat_type(), fip)

    def utimens(self, path: bytes, buffer: Any) -> int:
        """Of a path only."""
        return int(self.operations.adapter.utimens(decoded(path), _times(buffer)))


class Calls3(Calls):
    """What libfuse 3 calls, by way of mfusepy."""

    def init_fuse_3(self, conn: Any, config: Any) -> None:
        """There are no options for these."""
        super().init_fuse_3(conn, config)  # type: ignore[misc]
        conn.contents.max_background, conn.contents.max_write = MAX_BACKGROUND, LARGEST_REQUEST

    def getattr_fuse_3(self, path: bytes | None, target: Any, fip: Any) -> int:
        """stat and fstat."""
        return self._stat(path, target, fip)

    def readdir_fuse_3(self, _: Any, folder: Any, put: Any, offset: int, fip: Any, flags: int) -> int:
        """Part by part, and with all that is known of each where the kernel expects that it will be wanted."""
        if flags & _READDIR_PLUS:
            return entries_from(self.operations.adapter, put, folder, self.stat_type, offset, fip)
        return names_from(self.operations.adapter, put, folder, self.stat_type(), offset, fip)

    def rename_fuse_3(self, old: bytes, new: bytes, flags: int) -> int:
        """With the flags: without them an exchange would destroy a file."""
        return int(self.operations.adapter.rename(decoded(old), decoded(new), flags))

    def truncate_fuse_3(self, path: bytes | None, length: int, fip: Any) -> int:
        """With the handle."""
        return int(self.operations.adapter.truncate(decoded(path), length, _handle(fip)))

    def utimens_fuse_3(self, path: bytes | None, buffer: Any, fip: Any) -> int:
        """With the handle."""
        return int(self.operations.adapter.utimens(decoded(path), _times(buffer), _handle(fip)))
