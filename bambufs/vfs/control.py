"""ControlFolder: the virtual folder ``.bambufs`` at the root of the mount.

It is reached by its name and not listed, so that `rsync --delete`, `find` and file managers do not stumble over it.
Its files are small and made on the spot when they are opened; reading one never waits for the network. A line
written to one acts when it is complete, inside the `write`, because a shell ignores the errors of `close`.
"""

from __future__ import annotations

import errno
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from .. import interrupts
from ..errors import InvalidJob, os_error
from .attributes import Attributes

FOLDER = "/.bambufs"

HANDLE_BIT = 1 << 62
"""Set in the numbers of handles on control files, to tell them from those on the card's files."""

_MAX_LINE = 64 * 1024


class Sink(Protocol):
    """What takes in the writes of one opening of a control file."""

    def write(self, data: bytes, offset: int) -> None:
        """Take in more, which begins ``offset`` bytes after the first, and act on what is complete; raises why that
        failed."""

    def end(self) -> None:
        """The descriptor is being closed: act on what is left; raises why that failed."""

    def drop(self) -> None:
        """The last descriptor is gone: let go of everything."""


@dataclass(frozen=True)
class ControlFile:
    """One file: what reading it shows, and what takes in writes (None for one that cannot be written)."""

    content: Callable[[], bytes]
    sink: Callable[[], Sink] | None = None
    changed: Callable[[], float] | None = None
    """When it last changed, in seconds since the epoch; None for one that always does."""

    @property
    def mode(self) -> int:
        """Its permissions: they are nobody's business but the owner's."""
        return 0o400 if self.sink is None else 0o600


class LineSink:
    """Gives each complete line of text to ``act``, without its line break and surrounding blanks."""

    def __init__(self, act: Callable[[str], None]) -> None:
        self._act = act
        self._rest = b""

    def write(self, data: bytes, offset: int) -> None:
        """See `Sink`."""
        *lines, rest = (self._rest + data).split(b"\n")
        if len(rest) > _MAX_LINE:
            self._rest = b""
            raise InvalidJob("that line is too long to be a request")
        self._rest = b""
        for line in lines:
            self._act(_text(line))
        self._rest = rest

    def end(self) -> None:
        """See `Sink`: a last line may lack its line break."""
        rest, self._rest = self._rest, b""
        if rest.strip():
            self._act(_text(rest))

    def drop(self) -> None:
        """See `Sink`."""
        self._rest = b""


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape").strip()


class _Opening:
    """One opening of a control file: what it showed then, and what is being written."""

    def __init__(self, file: ControlFile, *, writes: bool) -> None:
        self.file = file
        self.content = b"" if writes else file.content()
        self.sink = file.sink() if writes and file.sink is not None else None
        self.began: int | None = None
        self.taken = 0
        self.lock = threading.Lock()


@contextmanager
def _held(lock: threading.Lock) -> Iterator[None]:
    """``lock``, for the block; waiting for it can be interrupted."""
    interrupts.acquire(lock)
    try:
        yield
    finally:
        lock.release()


class ControlFolder:
    """The control files by name. ``clock`` gives seconds since the epoch."""

    def __init__(
        self,
        files: Mapping[str, ControlFile],
        *,
        is_listed: bool = False,
        read_only: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._files, self.is_listed, self._read_only, self._clock = files, is_listed, read_only, clock
        self._numbers = itertools.count(1)
        self._openings: dict[int, _Opening] = {}

    @staticmethod
    def owns(path: str) -> bool:
        """Whether ``path`` is the folder or something in it."""
        return path.startswith(FOLDER) and (path == FOLDER or path.startswith(FOLDER + "/"))

    def attributes(self, path: str) -> Attributes | None:
        """What is at ``path``, or None."""
        if path == FOLDER:
            return Attributes(True, 0, int(self._clock()), 0o700)
        file = self._files.get(path.removeprefix(FOLDER + "/"))
        return None if file is None else Attributes(False, len(file.content()), self._mtime(file), file.mode)

    def attributes_of(self, number: int) -> Attributes:
        """What is behind a handle."""
        opening = self._openings[number]
        size = len(opening.content) if opening.sink is None else opening.taken
        return Attributes(False, size, self._mtime(opening.file), opening.file.mode)

    def _mtime(self, file: ControlFile) -> int:
        """An editor that finds another time than before asks whether to overwrite what somebody else wrote."""
        return int(file.changed() if file.changed is not None else self._clock())

    def names(self) -> list[str]:
        """The files' names."""
        return sorted(self._files)

    def open(self, path: str, flags: int) -> int:
        """A handle on a control file; raises `FileNotFoundError`, EACCES for writing what only tells, EROFS."""
        file = self._files.get(path.removeprefix(FOLDER + "/"))
        if file is None:
            raise os_error(errno.EISDIR if path == FOLDER else errno.ENOENT, path)
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR))
        if writes and self._read_only:
            raise os_error(errno.EROFS, path)
        if writes and file.sink is None:
            raise os_error(errno.EACCES, path)
        number = HANDLE_BIT | next(self._numbers)
        self._openings[number] = _Opening(file, writes=writes)
        return number

    def read(self, number: int, size: int, offset: int) -> bytes:
        """A part of what the file showed when it was opened (or, opened for writing too, shows now)."""
        opening = self._openings[number]
        content = opening.file.content() if opening.sink is not None else opening.content
        return content[offset : offset + size]

    def write(self, number: int, data: bytes, offset: int) -> int:
        """Take in ``data``, which must follow what came before; returns its length. Raises what acting on it raises."""
        opening = self._openings[number]
        if opening.sink is None:
            raise os_error(errno.EBADF, FOLDER)
        with _held(opening.lock):
            if offset < opening.taken:
                raise os_error(errno.EINVAL, FOLDER)
            if opening.began is None:
                opening.began = offset  # behind what it shows, when it was opened to append
            opening.sink.write(data, offset - opening.began)
            opening.taken = offset + len(data)  # not after a failure: programs try again at the same place
        return len(data)

    def flush(self, number: int) -> None:
        """A descriptor is being closed: act on what is left. Raises what that raises."""
        opening = self._openings[number]
        if opening.sink is not None:
            with _held(opening.lock):
                opening.sink.end()

    def cut_off(self, number: int) -> None:
        """The writer was killed: drop what is not complete."""
        opening = self._openings[number]
        if opening.sink is not None:
            with opening.lock:
                opening.sink.drop()
                opening.sink = None

    def release(self, number: int) -> None:
        """The last descriptor is gone."""
        opening = self._openings.pop(number)
        if opening.sink is not None:
            opening.sink.drop()
