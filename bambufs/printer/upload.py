"""Upload: one file on its way to the card, whole or not at all, in steps that can be taken up again.

It goes out under a part name, its size is compared, its time is set, and it is renamed. While it is under way it can
be called off, and sent to another path than it started for. Only where the printer cannot rename it goes out under its
final name.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from ..errors import CalledOff, CardRefused, ConnectionDropped, NotSupported
from . import paths
from .leftovers import Leftovers
from .listing import parse_list
from .parts import Keep, Move, new_part_path
from .session import FtpsSession

SetTime = Callable[[FtpsSession, str, int], bool]


class Upload:
    """``size`` bytes of ``source``, from its start, that shall become ``path`` with the time ``mtime``.

    When it begins before all is known, a ``size`` of -1 stands for that; see `complete`. What it replaces is deleted,
    unless it is to ``keep`` it.
    """

    def __init__(
        self,
        source: BinaryIO,
        path: str,
        *,
        size: int,
        mtime: int,
        on_progress: Callable[[int], None] = lambda sent: None,
        keep: Keep | None = None,
    ) -> None:
        self.size, self.mtime, self._keep = size, mtime, keep
        self.leftovers = Leftovers(None)
        self.has_begun = False
        """Whether there may be something of it on the card."""
        self.part = new_part_path(path)
        self.time_kept: bool | None = None
        self.leaves: str | None = None
        """Under which other name the printer has an older version of it, that goes once this one is in its place."""
        self._source, self._on_progress = source, on_progress
        self._lock = threading.Lock()
        self._path = path
        self._move: Move | None = None
        self._is_called_off = self._is_decided = False
        self.is_half_there = False
        """Whether a half file may stand under the final name, where it was sent in place."""

    # --- from other threads -----------------------------------------------------------------------

    @property
    def path(self) -> str:
        """What it shall become, or has become."""
        return self._path

    def redirect(self, path: str, first: Callable[[], None] = lambda: None) -> bool:
        """Let it become ``path`` instead, after ``first``; returns False (and does nothing) when it is too late."""
        with self._lock:
            if self._is_decided or self._is_called_off:
                return False
            first()
            self._path = path
            return True

    def call_off(self) -> bool:
        """Stop it, since its file was deleted; returns False when it is too late for that."""
        with self._lock:
            if self._is_decided:
                return False
            self._is_called_off = True
            return True

    @property
    def is_called_off(self) -> bool:
        """Whether it shall not become anything any more."""
        return self._is_called_off

    def complete(self, size: int, mtime: int) -> None:
        """Now it is known what it is: to be called before ``source`` comes to its end."""
        self.size, self.mtime = size, mtime

    def check(self) -> None:
        """Raise `CalledOff` when it was called off."""
        if self._is_called_off:
            raise CalledOff("the file was deleted while it was being stored", self._path)

    # --- the steps --------------------------------------------------------------------------------

    def stay_within(self, longest_path: int | None) -> None:
        """Use a part name that a printer with paths of at most ``longest_path`` bytes can store."""
        if not paths.fits(self.part, longest_path):
            self.part = new_part_path(self._path, longest_path)

    def renew_part(self, longest_path: int | None) -> str:
        """Use another part name from now on; returns the old one.

        A printer that hung may begin to store under that one when it goes on, and cut short what lies there.
        """
        old, self.part = self.part, new_part_path(self._path, longest_path)
        return old

    @property
    def move(self) -> Move | None:
        """The renaming, while it is what becomes of it: only then can a missing part file mean success."""
        return self._move

    def send(self, session: FtpsSession, begin: Callable[[], None] = lambda: None) -> None:
        """Store the part file and compare its size; ``begin`` is called before its first byte goes out.

        Raises `ConnectionDropped` when it differs, `FileNotFoundError` without the folder, `CardFull`, `CardRefused`.
        """
        self._store(session, self.part, self._progress, begin)

    def send_in_place(
        self, session: FtpsSession, set_time: SetTime, begin: Callable[[], None] = lambda: None
    ) -> None:
        """Store the file under its final name, compare its size and set its time; raises as `send` does."""
        self._decide()

        def progress(sent: int) -> None:
            self.is_half_there = True
            self._on_progress(sent)

        self._store(session, self._path, progress, begin)
        self.is_half_there = False
        if self.time_kept is None:
            self.time_kept = set_time(session, self._path, self.mtime)
        self.finish(session)

    def _store(
        self, session: FtpsSession, path: str, progress: Callable[[int], None], begin: Callable[[], None]
    ) -> None:
        self._source.seek(0)
        self.has_begun = True
        try:
            arrived, self.time_kept = session.store(
                path, self._source, progress, mtime=lambda: self.mtime, begin=begin
            )
        except CardRefused as refusal:
            raise self._cannot_create(session, refusal) from refusal
        if arrived is None:
            arrived = _size_of(session, path)
        if arrived != self.size:
            message = f"only {arrived or 0} of {self.size} bytes arrived on the printer; try again"
            raise ConnectionDropped(message, self._path)

    def _progress(self, sent: int) -> None:
        self.check()
        self._on_progress(sent)

    def _cannot_create(self, session: FtpsSession, refusal: CardRefused) -> OSError:
        """Why the printer creates no file: the folder is missing, or the card is out, read-only or full."""
        folder = paths.parent(self._path)
        try:
            session.list(folder)
        except CardRefused:
            return FileNotFoundError(errno.ENOENT, "No such folder on the printer", folder)
        message = f"the printer takes no new file here ({refusal.reply}); is its card in, writable and not full?"
        return CardRefused(message, folder, refusal.reply)

    def publish(self, session: FtpsSession, set_time: SetTime) -> bool:
        """Set the part file's time, unless it is set already, and rename it over the path.

        Returns False, without the part file, when the printer renames nothing: some firmwares refuse RNFR
        (ClusterM/open-bambu-networking).
        """
        if self.time_kept is None:
            self.time_kept = set_time(session, self.part, self.mtime)
        self._decide()
        move = self._move = self._move or Move(self.part, self._path, self.leftovers, self._keep)
        try:
            move.run(session)
        except (NotSupported, FileNotFoundError) as refusal:
            if not isinstance(refusal, NotSupported) and _size_of(session, self.part) is None:
                raise
            self._move = None
            with suppress(CardRefused):
                session.delete(self.part)
            return False
        self.finish(session)
        return True

    def finish(self, session: FtpsSession) -> None:
        """It is in its place: delete what it replaces, before anybody else can store something there."""
        if self._move is not None:
            self._move.finish(session)
        if self.leaves is not None and paths.folded(self.leaves) != paths.folded(self._path):
            with suppress(CardRefused):
                session.delete(self.leaves)

    def _decide(self) -> None:
        """From now on it can neither be called off nor sent elsewhere. Raises `CalledOff`."""
        with self._lock:
            self.check()
            self._is_decided = True


def _size_of(session: FtpsSession, path: str) -> int | None:
    """The size of a file in bytes, by its listing where the printer does not know SIZE; None without the file."""
    try:
        return session.size(path)
    except NotSupported:
        folder, name = paths.split(path)
        entries = parse_list(session.list(folder, hidden=True), time.time())
        return next((entry.size for entry in entries if entry.name == name), None)
    except CardRefused:
        return None
