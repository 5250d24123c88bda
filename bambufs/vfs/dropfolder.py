"""DropFolder: a folder at the root of the mount that prints what is dropped into it.

A sliced 3MF acts when its writer closes it, or when it is renamed to its final name, as file managers do that copy
under another one first. What was printed leaves the folder after a while; what was refused stays, with the reason
beside it as a text file, and the writer gets the error. The folder is on this computer, not on the printer.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..errors import InvalidJob, PrinterBusy, os_error
from ..printer import paths
from .attributes import Attributes
from .printing import PrintDesk, sentence_of
from .spool import SpoolFile

logger = logging.getLogger(__name__)

HANDLE_BIT = 1 << 61
"""Set in the numbers of handles on files in here, to tell them from those on the card's files."""

REASON = ".not-printed.txt"
"""What the name of the text file ends in that tells why something was not printed."""

LINGER = 10.0
"""Seconds for which a printed file is still shown: programs look at a file once more after they have copied it."""

_WRITES = os.O_WRONLY | os.O_RDWR
_UNFINISHED = (".part", ".partial", ".partial~", ".tmp", ".crdownload", "~", REASON)


class _Open:
    """One opening of a file."""

    def __init__(self, path: str, spool: SpoolFile, *, writes: bool) -> None:
        self.path, self.spool, self.writes = path, spool, writes
        self.is_cut_off = False


class DropFolder:
    """The folder ``/name``; its files are kept in ``folder``. ``clock`` is monotonic, in seconds."""

    def __init__(
        self, name: str, folder: Path, desk: PrintDesk, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = f"/{name}"
        self._folder, self._desk, self._clock = folder, desk, clock
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._open: dict[int, _Open] = {}
        self._printed: dict[str, float] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def owns(self, path: str) -> bool:
        """Whether ``path`` is the folder or something in it."""
        return path == self.path or paths.is_below(path, self.path)

    def close(self) -> None:
        """Remove what was printed; what was refused stays for the next mount."""
        for name in list(self._printed):
            self._remove(name)
        with self._lock:
            opened, self._open = list(self._open.values()), {}
        for one in opened:
            one.spool.close()

    # --- looking ----------------------------------------------------------------------------------

    def getattr(self, path: str | None, fh: int | None = None) -> Attributes:
        """What is at ``path``, or behind the handle ``fh``; raises `FileNotFoundError`."""
        self._sweep()
        if fh is not None:
            spool = self._handle(fh).spool
            return Attributes(False, spool.size, int(spool.modified))
        if path == self.path:
            return Attributes(True, 0, int(self._folder.stat().st_mtime))
        try:
            status = self._local(path or "").stat()
        except OSError:
            raise os_error(errno.ENOENT, path or "") from None
        return Attributes(False, status.st_size, int(status.st_mtime))

    def readdir(self, path: str) -> list[tuple[str, Attributes]]:
        """The files in here; raises ENOTDIR."""
        if path != self.path:
            raise os_error(errno.ENOTDIR, path)
        self._sweep()
        return [(name, self.getattr(paths.join(path, name))) for name in sorted(os.listdir(self._folder))]

    # --- files ------------------------------------------------------------------------------------

    def open(self, path: str, flags: int) -> int:
        """A handle on an existing file; raises `FileNotFoundError`, `IsADirectoryError`."""
        if path == self.path:
            raise os_error(errno.EISDIR, path)
        local = self._local(path)
        if not local.exists():
            raise os_error(errno.ENOENT, path)
        return self._opened(path, SpoolFile(local), flags)

    def create(self, path: str, flags: int) -> int:
        """A handle on a new file; raises EEXIST."""
        local = self._local(path)
        if local.exists():
            if flags & os.O_EXCL:
                raise os_error(errno.EEXIST, path)
            return self.open(path, flags)
        return self._opened(path, SpoolFile(local, create=True), flags)

    def _opened(self, path: str, spool: SpoolFile, flags: int) -> int:
        writes = bool(flags & _WRITES)
        if writes:
            with self._lock:
                self._printed.pop(_name(path), None)
        if flags & os.O_TRUNC:
            spool.truncate(0)
            spool.mark_clean(spool.generation)
        number = HANDLE_BIT | next(self._numbers)
        with self._lock:
            self._open[number] = _Open(path, spool, writes=writes)
        return number

    def _handle(self, fh: int) -> _Open:
        try:
            return self._open[fh]
        except KeyError:
            raise os_error(errno.EBADF, self.path) from None

    def read(self, fh: int, size: int, offset: int) -> bytes:
        """At most ``size`` bytes from ``offset``."""
        return self._handle(fh).spool.read(size, offset)

    def write(self, fh: int, data: bytes | memoryview, offset: int) -> int:
        """Write all of ``data`` at ``offset``; returns its length."""
        return self._handle(fh).spool.write(data, offset)

    def truncate(self, path: str | None, length: int, fh: int | None = None) -> None:
        """Cut or extend a file."""
        if fh is not None:
            self._handle(fh).spool.truncate(length)
        else:
            os.truncate(self._local(path or ""), length)

    def flush(self, fh: int) -> None:
        """A descriptor was closed: print what has been written since the last try. Raises why that failed."""
        handle = self._handle(fh)
        if not handle.writes or handle.is_cut_off or not handle.spool.is_dirty:
            return
        handle.spool.mark_clean(handle.spool.generation)
        if not _is_unfinished(_name(handle.path)):
            self._print(_name(handle.path), handle.spool)

    def fsync(self, fh: int) -> None:
        """It is on this computer's disk; it acts when it is closed."""

    def cut_off(self, fh: int) -> None:
        """The writer was killed: what it wrote must not be printed."""
        self._handle(fh).is_cut_off = True

    def release(self, fh: int) -> None:
        """The last descriptor of an opening is gone."""
        with self._lock:
            handle = self._open.pop(fh, None)
        if handle is not None:
            handle.spool.close()

    def check_settable(self, path: str) -> None:
        """Whether ``path`` is there; raises `FileNotFoundError`."""
        self.getattr(path)

    def utimens(self, path: str | None, mtime: int | None, fh: int | None = None) -> None:
        """Set a file's time, in whole seconds; None leaves it."""
        local = self._handle(fh).spool.file if fh is not None else self._local(path or "")
        if mtime is not None and local.exists() and path != self.path:
            os.utime(local, (mtime, mtime))

    # --- names ------------------------------------------------------------------------------------

    def rename(self, old: str, new: str, *, replace: bool = True) -> None:
        """Rename a file in here; a sliced file that thereby gets its final name is printed, and why not is raised."""
        source, target = self._local(old), self._local(new)
        if not source.exists():
            raise os_error(errno.ENOENT, old)
        if target.exists() and not replace:
            raise os_error(errno.EEXIST, new)
        source.replace(target)
        with self._lock:
            was_printed = self._printed.pop(_name(old), None)
            self._printed.pop(_name(new), None)
            for handle in self._open.values():
                if handle.path == old:
                    handle.path, handle.spool.file = new, target
            mine = [handle for handle in self._open.values() if handle.path == new]
        is_final = _is_unfinished(_name(old)) and not _is_unfinished(_name(new))
        if is_final and was_printed is None and not any(handle.spool.is_dirty for handle in mine):
            self._print_file(_name(new))

    def _print_file(self, name: str) -> None:
        spool = SpoolFile(self._folder / name)
        try:
            self._print(name, spool)
        finally:
            spool.close()

    def unlink(self, path: str) -> None:
        """Delete a file."""
        self.getattr(path)
        self._remove(_name(path))

    # --- printing ---------------------------------------------------------------------------------

    def _print(self, name: str, spool: SpoolFile) -> None:
        """Print a whole file; raises why not, and leaves the reason beside it."""
        reason = self._folder / f"{name}{REASON}"
        try:
            if not name.lower().endswith(".3mf"):
                raise InvalidJob("Only a sliced 3MF file (.gcode.3mf) can be printed.", name)
            self._desk.print_content(spool, name=name)
        except OSError as error:
            _write_reason(reason, name, error)
            raise
        reason.unlink(missing_ok=True)
        with self._lock:
            self._printed[name] = self._clock()

    def _sweep(self) -> None:
        """Let go of what was printed a while ago."""
        limit = self._clock() - LINGER
        with self._lock:
            old = [name for name, since in self._printed.items() if since <= limit]
        for name in old:
            self._remove(name)

    def _remove(self, name: str) -> None:
        with self._lock:
            self._printed.pop(name, None)
        (self._folder / name).unlink(missing_ok=True)

    def _local(self, path: str) -> Path:
        """Where a file in here is kept; a folder cannot be in here."""
        if paths.parent(path) != self.path:
            raise os_error(errno.ENOENT, path)
        return self._folder / _name(path)


def _name(path: str) -> str:
    return paths.split(path)[1]


def _is_unfinished(name: str) -> bool:
    """Whether a program gives such a name to a file that it is still writing, or it is one of our own."""
    return name.startswith(".") or name.lower().endswith(_UNFINISHED)


def _write_reason(file: Path, name: str, error: OSError) -> None:
    sentence = sentence_of(error)
    again = "Drop it again once that is over." if isinstance(error, PrinterBusy) or error.errno in _PASSING else ""
    try:
        file.write_text(f"{name} was not printed.\n\n{sentence}\n{again}".rstrip() + "\n", errors="replace")
    except OSError as trouble:
        logger.warning("%s: the reason could not be written beside it: %s", name, trouble)


_PASSING = (errno.EHOSTUNREACH, errno.ETIMEDOUT)
