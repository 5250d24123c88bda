"""Storing: files on their way to the card, whole or not at all, and what has to be tidied up afterwards."""

from __future__ import annotations

import functools
import logging
import threading
from contextlib import suppress

from .. import interrupts
from ..errors import CardRefused, ConnectionDropped, PrinterBusy, PrinterError, PrinterTimeout, again
from . import paths
from .access import BULK_PATIENCE, Access
from .catalog import Catalog
from .leftovers import Leftovers
from .parts import is_part, put_back
from .session import FtpsSession
from .upload import Upload

logger = logging.getLogger(__name__)

_MOST_RENAME_REFUSALS = 2
"""Uploads whose renaming was refused, one after the other, before none is tried any more."""

_SMALL = 64 * 1024
"""Bytes that are sent in one go: most of such an upload is waiting for answers."""

_LATER = (1, 4, 16)
"""A printer that hung is looked after so many times later."""


class _Locks:
    """One upload at a time is ``opening`` its way to the printer, and one is ``sending``."""

    def __init__(self) -> None:
        self.opening, self.sending = threading.Lock(), threading.Lock()


class _Turn:
    """The right of one upload to open its way, then to send. Only a small one leaves the first to others before it has
    sent: they wait for a moment, with a connection on which the printer expects them. So whoever waits for a connection
    must not have the right to send alone: they might have the only one."""

    def __init__(self, locks: _Locks, *, is_small: bool) -> None:
        self._locks, self._is_small = locks, is_small
        self._mine: list[threading.Lock] = []

    def begin(self) -> None:
        """Wait for the right to open, if it has not got it yet; raises `Interrupted`."""
        self._take(self._locks.opening)
        if not self._is_small:
            self._take(self._locks.sending)

    def send(self) -> None:
        """Wait for the right to send, if it has not got it yet; raises `Interrupted`."""
        self._take(self._locks.sending)
        if self._is_small:
            self._leave(self._locks.opening)

    def lost(self) -> None:
        """It has no connection any more: those that have one, and wait to send, come first."""
        if self._locks.opening not in self._mine:
            self.end()

    def end(self) -> None:
        """Let the next one send."""
        for lock in tuple(self._mine):
            self._leave(lock)

    def _take(self, lock: threading.Lock) -> None:
        if lock not in self._mine:
            interrupts.acquire(lock)
            self._mine.append(lock)

    def _leave(self, lock: threading.Lock) -> None:
        if lock in self._mine:
            self._mine.remove(lock)
            lock.release()


class Storing:
    """Stores files, and sends them one at a time. ``leftovers`` remember part files over a crash.

    ``late`` is after how many seconds a printer that hung may have done what it still had to do; with ``overlaps`` an
    upload begins while the one before it is being finished, where there is another session for it.
    """

    def __init__(
        self, access: Access, catalog: Catalog, leftovers: Leftovers, late: float, *, overlaps: bool = True
    ) -> None:
        self._overlaps = overlaps
        self._access, self._catalog, self._leftovers, self._late = access, catalog, leftovers, late
        self._janitor = access.janitor
        self._locks, self._count_lock, self._waiting = _Locks(), threading.Lock(), 0
        self._sets_time: bool | None = None
        self._rename_refusals = 0
        self._unwanted: set[str] = set()
        """Final names (folded) of what is to be removed, unless something else is put there first."""

    @property
    def renames(self) -> bool:
        """Whether a file can come into being under another name first, as far as is known."""
        return self._rename_refusals < _MOST_RENAME_REFUSALS

    @property
    def may_overlap(self) -> bool:
        """Whether two uploads may be under way together, of which one sends."""
        return self._overlaps and self._access.family.max_sessions > 1

    @property
    def is_going_on(self) -> bool:
        """Whether a file is being sent, so that another one would have to wait."""
        return self._locks.opening.locked() or self._locks.sending.locked()

    @property
    def is_wanted(self) -> bool:
        """Whether another upload waits for the one that runs to end."""
        return self._waiting > 0

    def store(self, upload: Upload) -> None:
        """Carry out ``upload``, whole or not at all; one sends at a time.

        Two tries; after a failure the part file is removed, and a file that was already put aside is put back.

        Raises `CardFull`, `CardRefused`, `InvalidName`, `FileNotFoundError` (no such folder), `ConnectionDropped`,
        `PrinterTimeout`, `Interrupted`, `CalledOff` and what opening a session raises.
        """
        is_small = 0 <= upload.size <= _SMALL and self.may_overlap
        turn = _Turn(self._locks, is_small=is_small)
        try:
            self._begin(turn)
            upload.check()
            upload.stay_within(self._access.family.longest_path)
            upload.leftovers = self._leftovers
            self._leftovers.note(upload.part)
            self._carry_out(upload, turn)
            self.is_put(upload.path)
        except BaseException as error:
            if isinstance(error, PrinterError) and error.path == upload.part:
                error.path = upload.path  # our part file's name says nothing to the user
            if upload.has_begun:
                self._tidy_after(upload, error)
            else:
                self._leftovers.strike_out(upload.part)
            raise
        finally:
            turn.end()
        self._leftovers.strike_out(upload.part)

    def _begin(self, turn: _Turn) -> None:
        with self._count_lock:
            self._waiting += 1
        try:
            turn.begin()
        finally:
            with self._count_lock:
                self._waiting -= 1

    def _carry_out(self, upload: Upload, turn: _Turn) -> None:
        try:
            self._put(upload, turn)
        except (ConnectionDropped, PrinterTimeout) as lost:
            logger.warning("%s: %s; looking at what arrived", upload.path, lost.message)
            turn.lost()
            arrived = self._arrived(upload, lost)
            if arrived is None and self._has_taken_effect(upload):
                return
            if self.renames and arrived != upload.size and upload.move is None:
                self._renew_part(upload)
            self._put(upload, turn, is_there=arrived == upload.size)

    def _renew_part(self, upload: Upload) -> None:
        old = upload.renew_part(self._access.family.longest_path)
        self._leftovers.note(upload.part)
        self._janitor.give(lambda: self._remove_part(old, for_good=False), f"removing {old}")
        self._remove_late(old)

    def _remove_late(self, part: str) -> None:
        """Remove a part file some more times later: a printer that hung may go on to make it only then."""
        self._leftovers.note(part)
        for factor in _LATER:
            is_last = factor == _LATER[-1]
            self._janitor.give(
                lambda is_last=is_last: self._remove_part(part, for_good=is_last),  # type: ignore[misc]
                f"removing {part}",
                after=self._late * factor,
            )

    def _put(self, upload: Upload, turn: _Turn, *, is_there: bool = False) -> None:
        """Send the part file, unless it ``is_there``, and rename it; or the file itself where nothing is renamed."""
        if self.renames and self._put_whole(upload, turn, is_there=is_there):
            return
        self._begin(turn)
        with self._access.lend(bulk=True, patience=BULK_PATIENCE) as session:
            upload.send_in_place(session, self._try_set_time, turn.send)

    def _put_whole(self, upload: Upload, turn: _Turn, *, is_there: bool) -> bool:
        """Send the part file, unless it ``is_there``, and rename it. Returns False when the printer renames nothing.

        While a file is being renamed the next one can be sent, where there is another session for it; and while a small
        one is being sent, a small one after it can ask the printer to expect it.
        """
        if not is_there:
            self._begin(turn)
        with self._access.lend(bulk=True, patience=BULK_PATIENCE) as session:
            if not is_there:
                upload.send(session, turn.send)
            if self.may_overlap:
                turn.end()
            self.is_put(upload.path)
            if upload.publish(session, self._try_set_time):
                self._rename_refusals = 0
                return True
        self._rename_refusals += 1
        logger.warning("this printer does not rename: a file is lost when the upload that replaces it breaks off")
        return False

    def _arrived(self, upload: Upload, lost: PrinterError) -> int | None:
        """The size of the part file, None without one; when that cannot be asked, what was ``lost`` counts."""
        try:
            return self._catalog.size(upload.part)
        except PrinterError as error:
            raise again(lost) from error

    def _has_taken_effect(self, upload: Upload) -> bool:
        """Whether the connection was lost when all was done, though there is no part file (any more).

        The old file may have the same size. So that counts only once a renaming was asked for, after which the part
        file would be there, or once the printer had begun to write in the place of the old one.
        """
        if upload.move is None and not upload.is_half_there:
            return False
        with self._access.lend(bulk=True, patience=BULK_PATIENCE) as session:
            if not self._has(session, upload.path, upload.size):
                return False
            upload.finish(session)
        upload.is_half_there = False
        return True

    def _has(self, session: FtpsSession, path: str, size: int) -> bool:
        try:
            return session.size(path) == size
        except CardRefused:
            return False

    def _tidy_after(self, upload: Upload, error: BaseException) -> None:
        """An upload failed: have what it had put aside put back, and what there is of it removed."""
        if upload.is_half_there:
            self.remove_later(upload.path)
        self._janitor.give(lambda: self._undo(upload), f"tidying up after {upload.path}")
        if isinstance(error, PrinterError) and not error.answered:
            self._remove_late(upload.part)

    def _undo(self, upload: Upload) -> None:
        with self._access.lend() as session:
            if upload.move is not None:
                upload.move.undo(session)
            with suppress(CardRefused):
                session.delete(upload.part)
        self._leftovers.strike_out(upload.part)

    def is_put(self, path: str) -> None:
        """What is at ``path`` now, or will be at once, is not what was to be removed."""
        self._unwanted.discard(paths.folded(path))

    def _remove_unwanted(self, path: str) -> None:
        """Remove what is at ``path``, unless something else has taken its place, or is just about to."""
        with self._access.lend() as session:
            is_quiet = self._locks.sending.acquire(blocking=False)
            try:
                if is_quiet and paths.folded(path) in self._unwanted:
                    with suppress(CardRefused):
                        session.delete(path)
                    self.is_put(path)
            finally:
                if is_quiet:
                    self._locks.sending.release()
        if not is_quiet:
            raise PrinterBusy("a file is being sent", path)

    def tidy_up(self) -> None:
        """Have the part files removed that an earlier process left on the card when it was killed."""
        for aside, target in self._leftovers.set_aside():
            self._janitor.give(functools.partial(self._put_back, aside, target), f"putting back {target}")
        for path in self._leftovers.left_over():
            self.remove_later(path)

    def _put_back(self, aside: str, target: str) -> None:
        with self._access.lend() as session, suppress(CardRefused):
            put_back(session, aside, target)
        self._leftovers.strike_out(aside)

    def _try_set_time(self, session: FtpsSession, path: str, mtime: int) -> bool:
        if self._sets_time is False:
            return False
        try:
            session.set_time(path, mtime)
        except CardRefused as refusal:
            if self._sets_time is None:
                logger.info("this printer keeps no times; they are remembered on this computer")
                logger.debug("its answer to MDTM was: %s", refusal.reply)
                self._sets_time = False
            return False
        self._sets_time = True
        return True

    def remove_later(self, path: str) -> None:
        """Delete a file in the background, trying for a while; not what is put at ``path`` meanwhile."""
        if is_part(path):
            self._leftovers.note(path)
            self._janitor.give(lambda: self._remove_part(path), f"removing {path}")
        else:  # who knows what will be there after a crash
            self._unwanted.add(paths.folded(path))
            self._janitor.give(lambda: self._remove_unwanted(path), f"removing {path}")

    def _remove_part(self, path: str, *, for_good: bool = True) -> None:
        with self._access.lend() as session, suppress(CardRefused):
            session.delete(path)
        if for_good:
            self._leftovers.strike_out(path)

    def set_time(self, path: str, mtime: int) -> bool:
        """Set a file's time where the printer takes it; returns whether it did."""
        if self._sets_time is False:
            return False

        def ask() -> bool:
            with self._access.lend() as session:
                return self._try_set_time(session, path, mtime)

        return self._access.again_once(ask)
