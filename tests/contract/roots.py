"""The two ways to a card that the contract is tried on: a mount, and the verbs behind it in this process.

Paths are absolute inside the mount, as in ``/cache/benchy.3mf``. Every refusal is an `OSError`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bambufs.vfs.root import Root as Verbs


class Status(NamedTuple):
    """What stat tells; ``mtime`` in whole seconds."""

    is_dir: bool
    size: int
    mtime: int


class Handle(ABC):
    """An open file."""

    @abstractmethod
    def read(self, size: int, offset: int = 0) -> bytes:
        """Return up to ``size`` bytes from ``offset``."""

    @abstractmethod
    def write(self, data: bytes, offset: int = 0) -> int:
        """Write ``data`` at ``offset`` (at the end of a file opened with O_APPEND)."""

    @abstractmethod
    def truncate(self, length: int) -> None:
        """Cut or extend the file to ``length``."""

    @abstractmethod
    def status(self) -> Status:
        """Return what fstat tells."""

    @abstractmethod
    def sync(self) -> None:
        """Return when the printer has what was written."""

    @abstractmethod
    def close(self) -> None:
        """Close the file; raises what close(2) would."""


class Root(ABC):
    """A way to the card."""

    # Whether renameat2's flags get through; libfuse 2 has no room for them, and the kernel then says EINVAL.
    passes_rename_flags = True

    @abstractmethod
    def open(self, path: str, flags: int) -> Handle:
        """Open a file as open(2) does."""

    @abstractmethod
    def status(self, path: str) -> Status: ...

    @abstractmethod
    def names(self, path: str) -> list[str]:
        """Return the sorted names in a folder, without . and .."""

    @abstractmethod
    def rename(self, old: str, new: str, *, replace: bool = True) -> None: ...

    @abstractmethod
    def unlink(self, path: str) -> None: ...

    @abstractmethod
    def mkdir(self, path: str) -> None: ...

    @abstractmethod
    def rmdir(self, path: str) -> None: ...

    @abstractmethod
    def truncate(self, path: str, length: int) -> None: ...

    @abstractmethod
    def set_time(self, path: str, mtime: int) -> None: ...

    @abstractmethod
    def free_bytes(self) -> tuple[int, int]:
        """Return the free bytes and all bytes of the card."""

    @abstractmethod
    def may(self, path: str, mode: int) -> bool: ...

    @contextlib.contextmanager
    def opened(self, path: str, flags: int) -> Iterator[Handle]:
        """Open for the ``with`` block. The close at its end may raise, as close(2) may."""
        handle = self.open(path, flags)
        try:
            yield handle
        finally:
            handle.close()

    def read(self, path: str) -> bytes:
        """Return the whole content of a file."""
        with self.opened(path, os.O_RDONLY) as handle:
            return b"".join(iter_read(handle))

    def write(self, path: str, data: bytes) -> None:
        """Write a whole file, as ``cp`` does."""
        with self.opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as handle:
            for start in range(0, len(data), 131072):
                handle.write(data[start : start + 131072], start)

    def exists(self, path: str) -> bool:
        try:
            self.status(path)
        except FileNotFoundError:
            return False
        return True


def iter_read(handle: Handle) -> Iterator[bytes]:
    """Yield a file's content from the start, in pieces."""
    offset = 0
    while piece := handle.read(131072, offset):
        offset += len(piece)
        yield piece


class MountedRoot(Root):
    """The functions of `os` on a mount point."""

    def __init__(self, path: Path, *, passes_rename_flags: bool = True) -> None:
        self.path = path
        self.passes_rename_flags = passes_rename_flags

    def __repr__(self) -> str:
        return f"MountedRoot({str(self.path)!r})"

    def at(self, path: str) -> str:
        """Return where ``path`` is on this machine."""
        return f"{self.path}{path}"

    def open(self, path: str, flags: int) -> Handle:
        return MountedHandle(os.open(self.at(path), flags, 0o644), flags)

    def status(self, path: str) -> Status:
        return _status(os.lstat(self.at(path)))

    def names(self, path: str) -> list[str]:
        return sorted(os.listdir(self.at(path)))

    def rename(self, old: str, new: str, *, replace: bool = True) -> None:
        if replace:
            os.rename(self.at(old), self.at(new))
        else:
            rename_with_flags(self.at(old), self.at(new), RENAME_NOREPLACE)

    def unlink(self, path: str) -> None:
        os.unlink(self.at(path))

    def mkdir(self, path: str) -> None:
        os.mkdir(self.at(path))

    def rmdir(self, path: str) -> None:
        os.rmdir(self.at(path))

    def truncate(self, path: str, length: int) -> None:
        os.truncate(self.at(path), length)

    def set_time(self, path: str, mtime: int) -> None:
        os.utime(self.at(path), (mtime, mtime))

    def free_bytes(self) -> tuple[int, int]:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize

    def may(self, path: str, mode: int) -> bool:
        return os.access(self.at(path), mode)


class MountedHandle(Handle):
    """A file descriptor."""

    def __init__(self, fd: int, flags: int) -> None:
        self.fd = fd
        self._appends = bool(flags & os.O_APPEND)

    def read(self, size: int, offset: int = 0) -> bytes:
        return os.pread(self.fd, size, offset)

    def write(self, data: bytes, offset: int = 0) -> int:
        return os.write(self.fd, data) if self._appends else os.pwrite(self.fd, data, offset)

    def truncate(self, length: int) -> None:
        os.ftruncate(self.fd, length)

    def status(self) -> Status:
        return _status(os.fstat(self.fd))

    def sync(self) -> None:
        os.fsync(self.fd)

    def close(self) -> None:
        os.close(self.fd)


class InProcessRoot(Root):
    """The verbs behind a mount, called in the order in which the kernel calls them."""

    def __init__(self, files: Verbs) -> None:
        self.files = files

    def __repr__(self) -> str:
        return f"InProcessRoot({self.files!r})"

    def open(self, path: str, flags: int) -> Handle:
        return InProcessHandle(self.files, path, self._open(path, flags), flags)

    def _open(self, path: str, flags: int) -> int:
        if flags & os.O_CREAT and not self.exists(path):
            return self.files.create(path, flags & ~os.O_TRUNC)
        if flags & os.O_CREAT and flags & os.O_EXCL:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        if self.status(path).is_dir:
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        fh = self.files.open(path, flags & ~os.O_TRUNC)
        if flags & os.O_TRUNC:
            self.files.truncate(path, 0, fh)  # as the kernel does, which opens first
        return fh

    def status(self, path: str) -> Status:
        found = self.files.getattr(path)
        return Status(found.is_dir, found.size, int(found.mtime))

    def names(self, path: str) -> list[str]:
        return sorted(name for name, _ in self.files.readdir(path) if name not in (".", ".."))

    def rename(self, old: str, new: str, *, replace: bool = True) -> None:
        self.files.rename(old, new, replace=replace)

    def unlink(self, path: str) -> None:
        self.files.unlink(path)

    def mkdir(self, path: str) -> None:
        self.files.mkdir(path)

    def rmdir(self, path: str) -> None:
        self.files.rmdir(path)

    def truncate(self, path: str, length: int) -> None:
        self.files.truncate(path, length)

    def set_time(self, path: str, mtime: int) -> None:
        self.files.utimens(path, mtime)

    def free_bytes(self) -> tuple[int, int]:
        found = self.files.statfs()
        return found.free * found.block_size, found.blocks * found.block_size

    def may(self, path: str, mode: int) -> bool:
        try:
            self.files.access(path, mode)
        except OSError:
            return False
        return True


class InProcessHandle(Handle):
    """A handle that those verbs gave."""

    def __init__(self, files: Verbs, path: str, fh: int, flags: int) -> None:
        self._files = files
        self._path = path
        self._fh = fh
        self._appends = bool(flags & os.O_APPEND)

    def read(self, size: int, offset: int = 0) -> bytes:
        return self._files.read(self._fh, size, offset)

    def write(self, data: bytes, offset: int = 0) -> int:
        place = self.status().size if self._appends else offset
        return self._files.write(self._fh, data, place)

    def truncate(self, length: int) -> None:
        self._files.truncate(self._path, length, self._fh)

    def status(self) -> Status:
        found = self._files.getattr(self._path, self._fh)
        return Status(found.is_dir, found.size, int(found.mtime))

    def sync(self) -> None:
        self._files.fsync(self._fh)

    def close(self) -> None:
        try:
            self._files.flush(self._fh)
        finally:
            self._files.release(self._fh)


RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
_AT_FDCWD = -100


def rename_with_flags(old: str, new: str, flags: int) -> None:
    """Call renameat2(2), which Python has no function for."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), old, None, new)


def _status(found: os.stat_result) -> Status:
    is_dir = stat.S_ISDIR(found.st_mode)
    return Status(is_dir, 0 if is_dir else found.st_size, found.st_mtime_ns // 10**9)
