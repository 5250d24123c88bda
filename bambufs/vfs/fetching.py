"""RemoteFile: one version of one remote file, and the thread that fetches what is read of it.

The thread keeps a transfer open as long as reading goes on in order, reads a
little ahead, follows a far jump with a new transfer (or reads on, where the printer cannot start in the middle), if it
can on another session while the old one ends, and gives its session back when nobody has wanted anything for a moment
or others wait for a session.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import Protocol

from .. import interrupts
from ..errors import ConnectionDropped, FileChanged, PrinterTimeout, again
from ..printer.download import Version
from ..printer.entry import Entry
from .sparse import SparseFile
from .spool import SpoolFile

logger = logging.getLogger(__name__)

BLOCK = 256 * 1024
"""At most so much is taken from a transfer before it is looked at what is wanted; less when less has come in."""

BEHIND = 512 * 1024
"""The kernel asks for several pieces at once, in any order: one so far back is no jump."""

SKIP = 256 * 1024
"""A gap that is read and kept rather than jumped over: cheaper than a new transfer's round trips."""

TAIL = 64 * 1024
"""Who looks at the end of a file looks next at what is before it: there a zip file, such as a 3MF, has its table of
contents. So many bytes take less time than the round trips of another transfer."""

LEAST_AHEAD = 128 * 1024
MOST_AHEAD = 8 * 1024 * 1024
LINGER = 1.0
"""Seconds for which an open transfer waits for the next read."""

SHORT_LINGER = 0.05
"""The same while others wait for a session: a program that copies comes back within that."""

TURN = 2.0
"""Seconds after which a transfer makes way when others wait for a session."""

NOTE_EVERY = 5.0
"""Seconds of fetching after which what is here is noted for a later mount, should this one be killed."""

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

    @property
    def has_spare(self) -> bool:
        """Whether another transfer could begin at once, beside those that run."""

    def open_read(self, path: str, offset: int, length: int) -> AbstractContextManager[Content]:
        """Begin fetching ``length`` bytes from ``offset``."""


class Content(Protocol):
    """A transfer in progress."""

    @property
    def version(self) -> Version | None:
        """What is being sent; None when that is not told."""

    def read(self, size: int) -> bytes:
        """The next bytes, at most ``size``; empty only at the end."""


class RemoteFile:
    """One version of one remote file, as far as it has been fetched.

    ``key`` is the path by which the cache knows it, ``path`` what it is called on the printer now.
    ``began`` is when its content began to come in, in seconds since the epoch. ``users`` is counted by the cache, and
    ``counted`` is how many of its bytes the cache has counted. ``on_progress`` is called now and then while it is
    fetched, ``on_changed`` when the printer has another version now, of which nothing is taken.
    """

    def __init__(
        self,
        source: Source,
        path: str,
        entry: Entry,
        local: SparseFile,
        *,
        make_room: Callable[[], None] = lambda: None,
        on_progress: Callable[[RemoteFile], object] = lambda file: None,
        on_changed: Callable[[RemoteFile], object] = lambda file: None,
        began: float = 0.0,
        reads_ahead: bool = True,
    ) -> None:
        self.path = self.key = path
        self.entry, self.size, self.began, self._reads_ahead = entry, entry.size, began, reads_ahead
        self._source, self._local = source, local
        self._make_room, self._on_progress, self._on_changed = make_room, on_progress, on_changed
        self._condition = threading.Condition()
        self._wanted: list[tuple[int, int]] = []
        self._ahead_to = 0
        self._next_expected = 0
        self._ahead = LEAST_AHEAD
        self._is_fetching = self._is_closed = False
        self._error: OSError | None = None
        self.users = self.counted = 0

    @property
    def bytes_here(self) -> int:
        """How many bytes of it are on the local disk."""
        return self._local.ranges.total

    @property
    def unsynced(self) -> int:
        """How many of them may not have got to the disk for good."""
        return self._local.unsynced

    @property
    def is_usable_later(self) -> bool:
        """Whether a mount to come has any use for it: half a file has to be fetched anew without REST."""
        return self._source.can_start_anywhere or self.bytes_here == self.size

    def is_of(self, entry: Entry) -> bool:
        """Whether it is of the version that ``entry`` describes."""
        return (self.entry.size, self.entry.mtime) == (entry.size, entry.mtime)

    def read(self, size: int, offset: int) -> bytes:
        """At most ``size`` bytes from ``offset``, fetched if need be; empty at the end.

        Raises what the printer's link raises, `Interrupted`, and `FileChanged` when nobody uses it any more.
        """
        end = min(offset + size, self.size)
        if offset >= end:
            return b""
        with self._condition:
            self._check_used_locked()
            local = self._local.open()
            self._note_position_locked(offset, end)
            if self._local.ranges.first_missing(offset, end) is not None:
                self._await_locked(offset, end)
            elif offset and self._ahead_to > end and not self._is_fetching:  # not for a look at the beginning again
                with suppress(RuntimeError):  # no thread is to be had, and nobody waits for this one
                    self._start_locked()
        return local.read(end - offset, offset)

    def copy_to(self, target: SpoolFile, length: int) -> None:
        """Write the first ``length`` bytes into ``target``, for a file that is about to be changed."""
        offset = 0
        while block := self.read(min(1024 * 1024, length - offset), offset):
            target.fill(block, offset)
            offset += len(block)

    def moved(self, path: str) -> None:
        """The file is now called ``path`` on the printer."""
        self.path = path

    def retime(self) -> None:
        """Its time is set on the printer: the next transfer tells another version, of the same content."""
        self._local.version = None

    def rest(self) -> None:
        """Let go of the local file if nobody uses it just now."""
        with self._condition:
            self._rest_locked()
            self._condition.notify_all()  # the fetching thread need not wait for the next read

    def _rest_locked(self) -> None:
        if not self._is_fetching and (self._is_closed or not self.users):
            self._local.rest()

    def note(self, *, durable: bool = False) -> None:
        """Let a later mount use what is here; see `SparseFile.note`."""
        self._local.note(self.path, self.entry, durable=durable)

    def used(self) -> None:
        """It is the one used last."""
        self._local.used()

    def strike(self) -> None:
        """No later mount may use it; those who have it go on."""
        self._local.strike()

    def close(self, *, keep: bool = False) -> None:
        """Stop fetching, and delete the local part unless it is to be kept."""
        with self._condition:
            self._is_closed = True
            self._error = ConnectionDropped("the mount is being closed", self.path)
            self._condition.notify_all()
            if not keep:
                self._local.discard()
            self._rest_locked()

    # --- what readers want ------------------------------------------------------------------------

    def _note_position_locked(self, offset: int, end: int) -> None:
        """Read ahead more and more while reads follow each other, and not at all after a jump."""
        in_order = self._next_expected - BEHIND <= offset <= self._next_expected + SKIP
        self._ahead = min(self._ahead * 2, MOST_AHEAD) if in_order and offset else LEAST_AHEAD
        self._next_expected = max(end, self._next_expected) if in_order else end
        self._ahead_to = min(self._next_expected + self._ahead, self.size) if in_order and self._reads_ahead else end

    def _await_locked(self, offset: int, end: int) -> None:
        want = (offset, end)
        self._wanted.append(want)
        if not self._is_closed:
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
        if self._is_here_locked(want):
            return True
        self._check_used_locked()
        if self._error is not None:
            raise again(self._error)
        return False

    def _check_used_locked(self) -> None:
        """Raise `FileChanged` when all have given it back, also those for whom this is: there is another content now.

        Nothing would be fetched any more, and the local file may be gone.
        """
        if not self.users:
            raise FileChanged.at(self.path)

    def _is_here_locked(self, want: tuple[int, int]) -> bool:
        return self._local.ranges.first_missing(*want) is None

    # --- the fetching thread ----------------------------------------------------------------------

    def _start_locked(self) -> None:
        threading.Thread(target=self._run, name="bambufs-fetch", daemon=True).start()
        self._is_fetching = True

    def _run(self) -> None:
        error: OSError | None = None
        failures = 0
        while not self._is_closed:
            with self._condition:
                start = self._next_missing_locked()
                if start is None or error is not None:
                    self._end_locked(error)
                    return
            before = self._local.ranges.total
            try:
                self._fetch_from(start if self._source.can_start_anywhere else 0)
            except ConnectionDropped as lost:
                failures = 1 if self._local.ranges.total > before else failures + 1
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
        self._rest_locked()
        self._condition.notify_all()

    def _next_missing_locked(self) -> int | None:
        """Where to fetch next: what the longest waiting reader lacks, else what is to be read ahead."""
        if not self.users:
            return None
        for offset, end in self._wanted:
            missing = self._local.ranges.first_missing(offset, end)
            if missing is not None:
                return self._with_tail_locked(missing)
        return self._local.ranges.first_missing(self._next_expected, self._ahead_to)

    def _with_tail_locked(self, start: int) -> int:
        """Where to begin to get at ``start``: before it, when that is near the end and nothing around it is here."""
        tail = max(0, self.size - TAIL)
        is_bare = self._reads_ahead and tail < start and self._local.ranges.end <= tail
        return tail if is_bare else start

    def _fetch_from(self, start: int) -> None:
        """One transfer, from ``start`` for as long as its next bytes are of use."""
        with ExitStack() as transfer:
            content = transfer.enter_context(self._source.open_read(self.path, start, self.size - start))
            self._check_version(content.version)
            self._take(content, start)
            if self._reads_ahead and self._is_awaited() and self._source.has_spare:
                # Its end takes a round trip, which whoever has jumped elsewhere need not wait for.
                threading.Thread(target=transfer.pop_all().close, name="bambufs-fetch-end", daemon=True).start()

    def _check_version(self, version: Version | None) -> None:
        """Raise `FileChanged` unless ``version`` is the one of what is here, and has the size that was listed."""
        if version is None:
            return
        if version != (self._local.version or version) or version.size != self.size:
            self._on_changed(self)
            raise FileChanged.at(self.path)
        self._local.version = version

    def _is_awaited(self) -> bool:
        """Whether somebody waits for bytes that are not here."""
        with self._condition:
            return not all(map(self._is_here_locked, self._wanted))

    def _take(self, content: Content, position: int) -> None:
        """Take what comes in from ``position`` on, for as long as it is of use."""
        began = noted = time.monotonic()
        while position < self.size and self._goes_on(position, began):
            block = content.read(BLOCK)
            self._keep(block, position)
            with self._condition:
                self._local.ranges.add(position, position + len(block))
                if any(map(self._is_here_locked, self._wanted)):
                    self._condition.notify_all()
            position += len(block)
            if time.monotonic() - noted > NOTE_EVERY:
                self._on_progress(self)
                noted = time.monotonic()

    def _keep(self, block: bytes, position: int) -> None:
        """Write a block to the local disk; a full one first loses what nobody reads."""
        try:
            self._local.open().fill(block, position)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self._make_room()
            try:
                self._local.open().fill(block, position)
            except OSError as full:
                message = "this computer's disk is full; make room there, or choose another folder with --cache-dir"
                raise OSError(full.errno, message, str(self._local.file.parent)) from full

    def _goes_on(self, position: int, began: float) -> bool:
        """Whether the transfer that stands at ``position`` should go on; waits for the next read a little."""
        with self._condition:
            if self._is_unwanted_locked():
                return False
            if not self._source.can_start_anywhere:
                return True
            if self._source.is_wanted and time.monotonic() - began > TURN:
                return False
            self._linger_locked()
            following = self._next_missing_locked()
            if self._is_unwanted_locked() or following is None:
                return False
            return position <= following <= position + SKIP

    def _is_unwanted_locked(self) -> bool:
        return self._is_closed or not self.users

    def _linger_locked(self) -> None:
        """Wait until there is something to fetch, or it is time to give the session back."""
        began = time.monotonic()
        while not self._is_unwanted_locked() and self._next_missing_locked() is None:
            left = began + (SHORT_LINGER if self._source.is_wanted else LINGER) - time.monotonic()
            if left <= 0:
                return
            self._condition.wait(min(left, SHORT_LINGER))
