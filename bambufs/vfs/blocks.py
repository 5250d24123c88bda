"""BlockCache: the parts of remote files that have been fetched, on disk and bounded.

Each remote file in use has one `RemoteFile`: a sparse local file, the ranges of it that are here, and one fetching
thread while somebody wants more. The thread keeps a transfer open as long as reading goes on in order, reads a
little ahead, follows a far jump with a new transfer (or reads on, where the printer cannot start in the middle),
and gives its session back when nobody has wanted anything for a moment or others wait for a session.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from .. import interrupts
from ..errors import ConnectionDropped, PrinterTimeout, again
from ..printer.entry import Entry
from .budget import Budget
from .ranges import RangeSet
from .spool import SpoolFile

logger = logging.getLogger(__name__)

BLOCK = 64 * 1024
SKIP = 256 * 1024
"""A gap that is read and kept rather than jumped over: cheaper than a new transfer's round trips."""

LEAST_AHEAD = 128 * 1024
MOST_AHEAD = 8 * 1024 * 1024
LINGER = 1.0
"""Seconds for which an open transfer waits for the next read."""

TURN = 2.0
"""Seconds after which a transfer makes way when others wait for a session."""

PATIENCE = 960.0
"""Seconds to wait for bytes; a stalled transfer and a session that does not come free end much sooner."""


class Source(Protocol):
    """Where content comes from; `Card` is one."""

    @property
    def can_start_anywhere(self) -> bool:
        """Whether a transfer may begin in the middle of a file."""

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for the session that a transfer holds."""

    def open_read(self, path: str, offset: int, length: int) -> AbstractContextManager[Content]:
        """Begin fetching ``length`` bytes from ``offset``."""


class Content(Protocol):
    """A transfer in progress."""

    def read(self, size: int) -> bytes:
        """The next bytes, at most ``size``; empty only at the end."""


class RemoteFile:
    """One version of one remote file, as far as it has been fetched."""

    def __init__(
        self,
        source: Source,
        path: str,
        entry: Entry,
        spool: SpoolFile,
        make_room: Callable[[], None] = lambda: None,
        *,
        reads_ahead: bool = True,
    ) -> None:
        self.path, self.size, self._reads_ahead = path, entry.size, reads_ahead
        self._source, self._spool, self._make_room = source, spool, make_room
        self._condition = threading.Condition()
        self._ranges = RangeSet()
        self._wanted: list[tuple[int, int]] = []
        self._ahead_to = 0
        self._next_expected = 0
        self._ahead = LEAST_AHEAD
        self._is_fetching = self._is_closed = False
        self._error: OSError | None = None
        self.users = 0

    @property
    def bytes_here(self) -> int:
        """How many bytes of it are on the local disk."""
        return self._ranges.total

    def read(self, size: int, offset: int) -> bytes:
        """At most ``size`` bytes from ``offset``, fetched if need be; empty at the end.

        Raises what the printer's link raises, and `Interrupted`.
        """
        end = min(offset + size, self.size)
        if offset >= end:
            return b""
        with self._condition:
            self._note_position_locked(offset, end)
            if self._ranges.first_missing(offset, end) is not None:
                self._await_locked(offset, end)
            elif self._ahead_to > end and not self._is_fetching:
                self._start_locked()
        return self._spool.read(end - offset, offset)

    def copy_to(self, target: SpoolFile, length: int) -> None:
        """Write the first ``length`` bytes into ``target``, for a file that is about to be changed."""
        offset = 0
        while block := self.read(min(1024 * 1024, length - offset), offset):
            target.fill(block, offset)
            offset += len(block)

    def moved(self, path: str) -> None:
        """The file is now called ``path`` on the printer."""
        self.path = path

    def fill_from(self, spool: SpoolFile) -> None:
        """Take ``spool``, which holds the whole content, in place of the sparse file."""
        with self._condition:
            old, self._spool = self._spool, spool
            self._ranges.add(0, self.size)
        old.discard()

    def close(self) -> None:
        """Stop fetching and delete the local part."""
        with self._condition:
            self._is_closed = True
            self._error = ConnectionDropped("the mount is being closed", self.path)
            self._condition.notify_all()
            if not self._is_fetching:
                self._spool.discard()

    # --- what readers want ------------------------------------------------------------------------

    def _note_position_locked(self, offset: int, end: int) -> None:
        """Read ahead more and more while reads follow each other, and not at all after a jump."""
        in_order = self._next_expected - BLOCK <= offset <= self._next_expected + SKIP
        self._ahead = min(self._ahead * 2, MOST_AHEAD) if in_order and offset else LEAST_AHEAD
        self._next_expected = end
        self._ahead_to = min(end + self._ahead, self.size) if in_order and self._reads_ahead else end

    def _await_locked(self, offset: int, end: int) -> None:
        want = (offset, end)
        self._wanted.append(want)
        self._error = None
        try:
            if not self._is_fetching:
                self._start_locked()
            self._condition.notify_all()
            if not interrupts.wait_for(
                self._condition, lambda: self._is_settled_locked(want), time.monotonic() + PATIENCE, time.monotonic
            ):
                raise PrinterTimeout("the printer did not send the file in time", self.path)
        finally:
            self._wanted.remove(want)

    def _is_settled_locked(self, want: tuple[int, int]) -> bool:
        """Whether ``want`` is here; raises what ended the fetching when it will not come."""
        if self._ranges.first_missing(*want) is None:
            return True
        if self._error is not None:
            raise again(self._error)
        return False

    # --- the fetching thread ----------------------------------------------------------------------

    def _start_locked(self) -> None:
        self._is_fetching = True
        threading.Thread(target=self._run, name="bambufs-fetch", daemon=True).start()

    def _run(self) -> None:
        error: OSError | None = None
        failures = 0
        while not self._is_closed:
            with self._condition:
                start = self._next_missing_locked()
                if start is None or error is not None:
                    self._end_locked(error)
                    return
            before = self._ranges.total
            try:
                self._fetch_from(start if self._source.can_start_anywhere else 0)
            except ConnectionDropped as lost:
                failures = 1 if self._ranges.total > before else failures + 1
                error = lost if failures > 1 else None
            except OSError as failure:
                error = failure
            except Exception:
                logger.exception("%s: fetching failed", self.path)
                error = ConnectionDropped("fetching the file failed; see the log", self.path)
        with self._condition:
            self._end_locked(error)

    def _end_locked(self, error: OSError | None) -> None:
        self._is_fetching = False
        if not self._is_closed:
            self._error = error
        else:
            self._spool.discard()
        self._condition.notify_all()

    def _next_missing_locked(self) -> int | None:
        """Where to fetch next: what the longest waiting reader lacks, else what is to be read ahead."""
        for offset, end in self._wanted:
            missing = self._ranges.first_missing(offset, end)
            if missing is not None:
                return missing
        if not self.users:
            return None
        return self._ranges.first_missing(self._next_expected, self._ahead_to)

    def _fetch_from(self, start: int) -> None:
        """One transfer, from ``start`` for as long as its next bytes are of use."""
        with self._source.open_read(self.path, start, self.size - start) as content:
            began = time.monotonic()
            position = start
            while position < self.size and self._goes_on(position, began):
                block = content.read(BLOCK)
                self._keep(block, position)
                with self._condition:
                    self._ranges.add(position, position + len(block))
                    self._condition.notify_all()
                position += len(block)

    def _keep(self, block: bytes, position: int) -> None:
        """Write a block to the local disk; a full one first loses what nobody reads."""
        try:
            self._spool.fill(block, position)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self._make_room()
            try:
                self._spool.fill(block, position)
            except OSError as full:
                message = "this computer's disk is full; make room there, or choose another folder with --cache-dir"
                raise OSError(full.errno, message, str(self._spool.file.parent)) from full

    def _goes_on(self, position: int, began: float) -> bool:
        """Whether the transfer that stands at ``position`` should go on; waits for the next read a little."""
        with self._condition:
            if self._is_closed or not self.users:
                return False
            if not self._source.can_start_anywhere:
                return True
            if self._source.is_wanted and time.monotonic() - began > TURN:
                return False
            self._condition.wait_for(lambda: self._is_closed or self._next_missing_locked() is not None, LINGER)
            following = self._next_missing_locked()
            return not self._is_closed and following is not None and position <= following <= position + SKIP


class BlockCache:
    """Remote files by path, size and time; the ones unused longest go when more than ``max_bytes`` are kept."""

    def __init__(self, source: Source, folder: Path, *, max_bytes: int, reads_ahead: bool = True) -> None:
        self._source, self._folder, self._max_bytes, self._reads_ahead = source, folder, max_bytes, reads_ahead
        self._lock = threading.Lock()
        self._files: OrderedDict[tuple[str, int, int], RemoteFile] = OrderedDict()

    @property
    def bytes_here(self) -> int:
        """How many bytes are kept on the local disk."""
        with self._lock:
            return sum(file.bytes_here for file in self._files.values())

    def borrow(self, path: str, entry: Entry) -> RemoteFile:
        """The file at ``path`` in the version that ``entry`` describes; give it back with `give_back`."""
        key = (path, entry.size, entry.mtime)
        with self._lock:
            file = self._files.get(key)
            if file is None:
                spool = SpoolFile.new(self._folder)
                file = self._files[key] = RemoteFile(
                    self._source, path, entry, spool, self.make_room, reads_ahead=self._reads_ahead
                )
            self._files.move_to_end(key)
            file.users += 1
            return file

    def adopt(self, path: str, entry: Entry, spool: SpoolFile) -> None:
        """Keep ``spool``, which was just uploaded as ``path``, for whoever reads it next."""
        if spool.size != entry.size or entry.size > self._max_bytes // 4:
            spool.discard()
            return
        spool.move(self._folder / spool.file.name)
        spool.count_against(Budget())  # it is the cache's bound that holds for it now
        file = self.borrow(path, entry)
        file.fill_from(spool)
        self.give_back(file)

    def give_back(self, file: RemoteFile) -> None:
        """End one use of ``file``."""
        with self._lock:
            file.users -= 1
            closing = list(self._surplus_locked())
            if file.users == 0 and file not in self._files.values():
                closing.append(file)  # forgotten while it was in use
        for old in closing:
            old.close()

    def forget(self, path: str) -> None:
        """Drop what is kept of ``path`` and below, as far as nobody reads it."""
        with self._lock:
            keys = [key for key in self._files if key[0] == path or key[0].startswith(path + "/")]
            closing = [self._files.pop(key) for key in keys]
            unused = [file for file in closing if file.users == 0]
        for file in unused:
            file.close()

    def make_room(self) -> None:
        """Drop everything that nobody reads: the local disk is full."""
        with self._lock:
            unused = [(key, file) for key, file in self._files.items() if file.users == 0]
            for key, _ in unused:
                del self._files[key]
        for _, file in unused:
            file.close()

    def close(self) -> None:
        """Stop every transfer and delete everything."""
        with self._lock:
            closing, self._files = list(self._files.values()), OrderedDict()
        for file in closing:
            file.close()

    def _surplus_locked(self) -> Iterator[RemoteFile]:
        total = sum(file.bytes_here for file in self._files.values())
        for key, file in list(self._files.items()):
            if total <= self._max_bytes:
                return
            if file.users == 0:
                total -= file.bytes_here
                del self._files[key]
                yield file
