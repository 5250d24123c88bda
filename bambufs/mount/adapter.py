"""Adapter: FUSE operations to the verbs of `Root`, and their errors to errno. It decides nothing else.

Knows no FUSE library, so that it can be tried without a kernel. Whatever leaves an operation is an `OSError` with a
true errno: what nobody foresaw is logged with its traceback and becomes EIO.
"""

from __future__ import annotations

import errno
import functools
import itertools
import logging
import os
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, cast

from cachetools import LRUCache

from .. import interrupts
from ..errors import Interrupted, PrinterError
from ..printer import paths
from ..vfs.attributes import Attributes
from ..vfs.root import Root
from .callers import is_told_to_stop, was_killed
from .heap import Heap

logger = logging.getLogger(__name__)

_RENAME_NOREPLACE = 1
_QUIET_SECONDS = 30.0
_PAGES_KNOWN = 10_000
_TRUE_ERRORS = ("builtins", "bambufs.errors")


@dataclass(frozen=True)
class Owner:
    """To whom everything in the mount belongs, and with which permissions."""

    uid: int
    gid: int
    umask: int = 0o022


Verb = TypeVar("Verb", bound=Callable[..., Any])


def _verb(method: Verb) -> Verb:
    """An operation: interruptible by its caller, and with errors that the kernel understands."""

    @functools.wraps(method)
    def run(self: Adapter, *args: Any, **kwargs: Any) -> Any:
        before = interrupts.begin(self._interrupted)
        try:
            return method(self, *args, **kwargs)
        except OSError as error:
            if type(error).__module__ in _TRUE_ERRORS and error.errno in errno.errorcode:
                self._tell(error)
                raise OSError(error.errno, os.strerror(error.errno or 0)) from error
            logger.exception("%s failed in an unforeseen way", method.__name__)
            raise OSError(errno.EIO, os.strerror(errno.EIO)) from error
        except Exception as error:
            logger.exception("%s failed in an unforeseen way", method.__name__)
            raise OSError(errno.EIO, os.strerror(errno.EIO)) from error
        finally:
            interrupts.end(before)

    return cast(Verb, run)


class Status(NamedTuple):
    """What stat(2) tells: ``size`` in bytes, all three times in whole seconds since the epoch."""

    mode: int
    links: int
    uid: int
    gid: int
    size: int
    mtime: int


@dataclass
class _Folder:
    """A folder that somebody has open, and the names that were in it when it was last read from the start."""

    path: str
    names: list[tuple[str, int]] = field(default_factory=list)


class Adapter:
    """The operations that a binding calls, from many threads."""

    NOW = -1
    """A time to set that means the present."""

    def __init__(self, root: Root, owner: Owner, *, on_mounted: Callable[[], None] = lambda: None) -> None:
        self._fs, self._owner, self._on_mounted = root, owner, on_mounted
        self._folder_mode = stat.S_IFDIR | 0o777 & ~owner.umask
        self._file_mode = stat.S_IFREG | 0o666 & ~owner.umask
        self._interrupted: Callable[[], bool] = lambda: False
        self._caller: Callable[[], int] = lambda: 0
        self._forget: Callable[[str], object] = lambda path: None
        self._forgets_at_once = False
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}
        self._folders: dict[int, _Folder] = {}
        self._folder_numbers = itertools.count(1)
        self._heap = Heap()
        self._pages: LRUCache[str, tuple[int, int]] = LRUCache(_PAGES_KNOWN)
        """Of which version of a file the kernel may hold pages, as of when it was last opened; none when that was for
        writing, or while somebody wrote."""
        self._writers: set[int] = set()
        """Handles that may be written to."""
        self.was_mounted = False

    def attach(
        self,
        interrupted: Callable[[], bool],
        caller: Callable[[], int],
        forget: Callable[[str], object] = lambda path: None,
        *,
        forgets_at_once: bool = True,
    ) -> None:
        """Take over from the library how to ask about the present request: interrupted? from which process?

        ``forget`` returns when the kernel no longer holds what it knows of a path; ``forgets_at_once`` tells that this
        costs no time.
        """
        self._caller, self._forget, self._forgets_at_once = caller, forget, forgets_at_once
        self._interrupted = lambda: interrupted() and is_told_to_stop(self._caller())

    def mounted(self) -> None:
        """The kernel has the mount."""
        self.was_mounted = True
        self._on_mounted()

    def _tell(self, error: OSError) -> None:
        """Log what the owner of the printer should know, each sentence at most every half minute."""
        says_more = error.strerror != os.strerror(error.errno or 0) and not isinstance(error, FileNotFoundError)
        is_worth_telling = says_more or error.errno in (errno.ENOSPC, errno.EIO)
        if not is_worth_telling or isinstance(error, Interrupted):
            return
        about = f"{error.filename}: " if error.filename else ""
        sentence = str(error) if isinstance(error, PrinterError) else f"{about}{error.strerror}"
        now = time.monotonic()
        with self._lock:
            self._told = {text: at for text, at in self._told.items() if now - at < _QUIET_SECONDS}
            is_new = sentence not in self._told
            self._told.setdefault(sentence, now)
        if is_new:
            logger.warning("%s", sentence)

    def _mode(self, attributes: Attributes) -> int:
        usual = self._folder_mode if attributes.is_dir else self._file_mode
        return usual if attributes.mode is None else stat.S_IFMT(usual) | attributes.mode

    def _status(self, attributes: Attributes) -> Status:
        links, owner = 2 if attributes.is_dir else 1, self._owner
        return Status(self._mode(attributes), links, owner.uid, owner.gid, attributes.size, attributes.mtime)

    # --- looking ----------------------------------------------------------------------------------

    @_verb
    def getattr(self, path: str | None, fh: int | None = None) -> Status:
        """stat and fstat."""
        return self._status(self._fs.getattr(path, fh))

    def opendir(self, path: str) -> int:
        """Remember which folder is open: those who read it tell the number only."""
        with self._lock:
            number = next(self._folder_numbers)
            self._folders[number] = _Folder(path)
        return number

    def releasedir(self, path: str | None, fh: int) -> int:
        """Forget it."""
        with self._lock:
            del self._folders[fh]
        return 0

    @_verb
    def names(self, fh: int, offset: int) -> list[tuple[str, int]]:
        """The names in an open folder, each with a mode that tells what kind of thing it is.

        They are those of when it was last read from the start, with ``offset`` 0, so that none is missed or told twice.
        """
        folder = self._folders[fh]
        if offset == 0:
            entries = [(name, self._mode(attributes)) for name, attributes in self._fs.readdir(folder.path)]
            folder.names = [(".", stat.S_IFDIR), ("..", stat.S_IFDIR), *entries]
        return folder.names

    def status_in(self, fh: int, name: str) -> Status | None:
        """What a stat of ``name`` in an open folder tells now; None when it tells nothing."""
        if name in (".", ".."):
            return None
        try:
            return self._status(self._fs.getattr(paths.join(self._folders[fh].path, name)))
        except OSError:
            return None

    @_verb
    def access(self, path: str, mode: int) -> int:
        """access(2)."""
        self._fs.access(path, mode)
        return 0

    @_verb
    def statfs(self, path: str) -> dict[str, int]:
        """statvfs(3)."""
        space = self._fs.statfs()
        return {
            "f_bsize": space.block_size,
            "f_frsize": space.block_size,
            "f_blocks": space.blocks,
            "f_bfree": space.free,
            "f_bavail": space.free,
            "f_files": 1_000_000,
            "f_ffree": 900_000,
            "f_namemax": 255,
        }

    # --- files ------------------------------------------------------------------------------------

    @_verb
    def open(self, path: str, flags: int) -> int:
        """open(2) of an existing file."""
        number = self._fs.open(path, flags)
        self._heap.opened()
        if flags & os.O_ACCMODE != os.O_RDONLY:
            self._writers.add(number)
        return number

    def keeps_pages(self, path: str, fh: int) -> bool:
        """Whether what the kernel holds of the content at ``path`` is of the version that was opened as ``fh``.

        libfuse's own look at size and time (auto_cache) may be a second old, and then pages of two versions are mixed.
        So may be the size that the kernel holds, past which it lets nobody read, and at which it appends: unless it is
        of the same version, the kernel is made to forget that too.
        """
        version = self._fs.version_of(fh)
        with self._lock:
            before = self._pages.pop(path, None)
            if version is not None:
                self._pages[path] = version
        keeps = version is not None and version == before
        if not keeps and self._forgets_at_once:
            self._forget(path)
        return keeps

    def is_live(self, fh: int) -> bool:
        """Whether the kernel must not keep what is read from the handle: it is made on the spot."""
        return self._fs.is_live(fh)

    @_verb
    def create(self, path: str, mode: int, flags: int) -> int:
        """open(2) with O_CREAT."""
        number = self._fs.create(path, flags)
        self._heap.opened()
        self._writers.add(number)
        return number

    @_verb
    def read(self, path: str | None, size: int, offset: int, fh: int) -> bytes:
        """pread(2)."""
        self._heap.moved(size)
        return self._fs.read(fh, size, offset)

    @_verb
    def write(self, path: str | None, data: bytes | memoryview, offset: int, fh: int) -> int:
        """pwrite(2). ``data`` may change once this has returned."""
        self._heap.moved(len(data))
        return self._fs.write(fh, data, offset)

    @_verb
    def truncate(self, path: str | None, length: int, fh: int | None = None) -> int:
        """truncate(2) and ftruncate(2)."""
        self._fs.truncate(path, length, fh)
        return 0

    @_verb
    def flush(self, path: str | None, fh: int) -> int:
        """close(2) of one descriptor: the last moment at which an error reaches the program."""
        path = self._fs.cut_off(fh) if fh in self._writers and was_killed(self._caller()) else None
        self._fs.flush(fh)
        if path is not None:
            self._forget(path)
        return 0

    @_verb
    def fsync(self, path: str | None, datasync: int, fh: int) -> int:
        """fsync(2)."""
        self._fs.fsync(fh)
        return 0

    @_verb
    def release(self, path: str | None, fh: int) -> int:
        """The last descriptor is gone; nobody hears of errors any more."""
        self._writers.discard(fh)
        with interrupts.watched(lambda: False):
            self._fs.release(fh)
        self._heap.closed()
        return 0

    @_verb
    def utimens(self, path: str | None, mtime: int | None, fh: int | None = None) -> int:
        """utimensat(2): ``mtime`` in ns, `NOW`, or None to leave it."""
        seconds = int(time.time()) if mtime == self.NOW else None if mtime is None else mtime // 10**9
        self._fs.utimens(path, seconds, fh)
        return 0

    # --- names ------------------------------------------------------------------------------------

    @_verb
    def rename(self, old: str, new: str, flags: int = 0) -> int:
        """rename(2) and renameat2(2)."""
        if flags & ~_RENAME_NOREPLACE:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), old)
        self._fs.rename(old, new, replace=not flags)
        return 0

    @_verb
    def unlink(self, path: str) -> int:
        """unlink(2)."""
        self._fs.unlink(path)
        return 0

    @_verb
    def mkdir(self, path: str, mode: int) -> int:
        """mkdir(2)."""
        self._fs.mkdir(path)
        return 0

    @_verb
    def rmdir(self, path: str) -> int:
        """rmdir(2)."""
        self._fs.rmdir(path)
        return 0

    # --- what a card has not ----------------------------------------------------------------------

    @_verb
    def chmod(self, path: str | None, mode: int) -> int:
        """Succeeds and changes nothing, so that `cp -p`, `rsync -a` and `tar` are content."""
        if path is not None:
            self._fs.check_settable(path)
        return 0

    @_verb
    def chown(self, path: str | None, uid: int, gid: int) -> int:
        """Succeeds and changes nothing."""
        if path is not None:
            self._fs.check_settable(path)
        return 0

    @_verb
    def symlink(self, target: str, source: str) -> int:
        """A card has no links."""
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), target)

    @_verb
    def link(self, target: str, source: str) -> int:
        """A card has no links."""
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), target)

    @_verb
    def mknod(self, path: str, mode: int, device: int) -> int:
        """A card has no devices or pipes."""
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), path)

    def fsyncdir(self, path: str | None, datasync: int, fh: int) -> int:
        """Names are on the printer as soon as they change."""
        return 0

    def destroy(self, path: Any) -> None:
        """The mount is gone; the daemon closes the rest."""
