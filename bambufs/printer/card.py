"""Card: the files on the printer, by verbs that either happened or raise a true error.

The one place that retries: verbs that change nothing, once; verbs that change something only after
having looked whether the first try took effect. Safe to call from many threads.
"""

from __future__ import annotations

import errno
import functools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TypeVar

from .. import interrupts
from ..errors import CardRefused, ConnectionDropped, InvalidName, NotSupported, PrinterError, PrinterTimeout, again
from . import paths
from .entry import Entry
from .family import ESP32, Family
from .janitor import Janitor
from .leftovers import Leftovers
from .listing import parse_list
from .parts import Move, gone, is_junk, put_back
from .pool import SessionPool
from .reading import Reading
from .session import FtpsSession
from .upload import Upload

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

METADATA_PATIENCE = 20.0
BULK_PATIENCE = 900.0
"""Seconds that a transfer waits for its turn behind others, which are bounded by their own stall time-outs."""

_MAX_ODD_LINES = 200
_MAX_ODD_TEXT = 200

_MOST_RENAME_REFUSALS = 2
"""Uploads whose renaming was refused, one after the other, before none is tried any more."""

_LATER = (1, 4, 16)
"""A printer that hung is looked after so many times later."""

_ENOUGH_UNTOLD = 5
"""Files in a listing after which a printer that has told the time of none is not asked again."""

_PIPELINED = 500
"""Commands sent at once: they and their replies must fit into the sockets' buffers."""


class Card:
    """The printer's card.

    ``clock`` gives seconds since the epoch, for reading listings; ``leftovers`` remembers part files over a crash.
    ``late`` is after how many seconds a printer that hung may have done what it still had to do.
    """

    def __init__(
        self,
        pool: SessionPool[FtpsSession],
        *,
        leftovers: Leftovers | None = None,
        clock: Callable[[], float] = time.time,
        late: float = 30.0,
    ) -> None:
        self._pool, self._clock, self._late = pool, clock, late
        self._leftovers = leftovers or Leftovers(None)
        self._upload_lock, self._count_lock, self._waiting_stores = Lock(), Lock(), 0
        self._family: Family | None = None
        self._sets_time: bool | None = None
        self._tells_times: bool | None = None
        self._has_rest = True
        self._rename_refusals = 0
        self._odd_lines: set[str] = set()
        self._janitor = Janitor(pool.retire)

    @property
    def family(self) -> Family:
        """The printer's family; before the first session the more limited one."""
        return self._family or ESP32

    @property
    def can_start_anywhere(self) -> bool:
        """Whether a download may begin in the middle of a file."""
        return self._has_rest and self.family.has_rest

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for a session, so that a download that can pause should."""
        return self._pool.is_wanted

    @property
    def renames(self) -> bool:
        """Whether a file can come into being under another name first, as far as is known."""
        return self._rename_refusals < _MOST_RENAME_REFUSALS

    @property
    def is_storing(self) -> bool:
        """Whether an upload runs, so that another one would have to wait."""
        return self._upload_lock.locked()

    @property
    def is_store_wanted(self) -> bool:
        """Whether another upload, or somebody else, waits for the one that runs to end."""
        return self._waiting_stores > 0 or (self.is_wanted and self.family.max_sessions == 1)

    @property
    def pool(self) -> SessionPool[FtpsSession]:
        """The sessions, for statistics."""
        return self._pool

    def connect(self) -> Family:
        """Make sure that the printer lets us in. Raises what `FtpsSession.open` raises."""
        with self._lend() as session:
            family = session.family
        self.tidy_up()
        return family

    def warm(self, count: int) -> None:
        """Have up to ``count`` sessions opened in the background, where the family allows several."""
        if self.family.max_sessions > 1:
            self._pool.warm(count)

    def close(self) -> None:
        """Finish the tidying up that is owed and say goodbye."""
        self._janitor.close()
        self._pool.close()
        self._leftovers.close()

    @contextmanager
    def _lend(self, *, bulk: bool = False, patience: float = METADATA_PATIENCE) -> Iterator[FtpsSession]:
        with self._pool.lend(bulk=bulk, patience=patience) as session:
            self._family = session.family
            session.be_patient(long=bulk)
            self._janitor.start()
            yield session

    # --- looking ----------------------------------------------------------------------------------

    def list(self, folder: str, *, patience: float = METADATA_PATIENCE, hidden: bool = False) -> list[Entry]:
        """What is in ``folder``; waits for a free session at most ``patience`` seconds.

        Raises `FileNotFoundError` when there is no such folder.
        """

        def ask() -> list[str]:
            with self._lend(patience=patience) as session:
                return session.list(folder, hidden=hidden)

        try:
            lines = self._again_once(ask)
        except CardRefused as refusal:
            if folder == paths.ROOT:
                raise CardRefused("the printer shows no storage; is its card (or USB stick) in?", folder) from refusal
            raise FileNotFoundError(errno.ENOENT, "No such folder on the printer", folder) from refusal
        return parse_list(lines, self._clock(), self._note_odd)

    def modified(self, folder: str, names: Sequence[str], *, patience: float = METADATA_PATIENCE) -> dict[str, int]:
        """The times, exact to the second, of files in ``folder``, as far as the printer tells them.

        Where commands go one by one, this takes a round trip for each; others get the session in between.
        """
        found: dict[str, int] = {}
        for start in range(0, len(names), _PIPELINED):
            if not self.family.tells_times or self._tells_times is False:
                break
            some = names[start : start + _PIPELINED]
            with self._lend(patience=patience) as session:
                times = session.modified([paths.join(folder, name) for name in some])
            found.update({name: mtime for name, mtime in zip(some, times) if mtime is not None})
            if found:
                self._tells_times = True
            elif self._tells_times is None and len(some) >= _ENOUGH_UNTOLD:
                self._tells_times = False
        return found

    def _note_odd(self, line: str) -> None:
        text = ascii(line[:_MAX_ODD_TEXT])
        if text in self._odd_lines or len(self._odd_lines) >= _MAX_ODD_LINES:
            return
        self._odd_lines.add(text)
        logger.warning("the printer lists something that cannot be shown: %s", text)
        if len(self._odd_lines) == _MAX_ODD_LINES:
            logger.warning("the printer lists more that cannot be shown; no more of it is told here")

    def _find(self, path: str) -> Entry | None:
        folder, name = paths.split(path)
        try:
            return next((entry for entry in self.list(folder, hidden=name.startswith(".")) if entry.name == name), None)
        except FileNotFoundError:
            return None

    def size(self, path: str) -> int | None:
        """The size of a file in bytes, or None when there is none."""

        def ask() -> int:
            with self._lend() as session:
                return session.size(path)

        try:
            return self._again_once(ask)
        except NotSupported:
            entry = self._find(path)
            return entry.size if entry else None
        except CardRefused:
            return None

    @contextmanager
    def open_read(self, path: str, offset: int, length: int, *, patience: float = BULK_PATIENCE) -> Iterator[Reading]:
        """Fetch ``length`` bytes of ``path`` from ``offset`` on; ending early is fine.

        ``offset`` must be 0 where the family has no REST. Raises `FileNotFoundError` and what the link raises.
        """
        with self._lend(bulk=True, patience=patience) as session:
            try:
                download = session.download(path, offset)
            except NotSupported as refusal:
                self._has_rest = False
                raise ConnectionDropped("this printer cannot start in the middle of a file", path) from refusal
            except CardRefused as refusal:
                raise gone(path) from refusal
            reading = Reading(download, path, length)
            try:
                yield reading
            except BaseException:
                download.abandon()
                raise
            if reading.left > 0 and not session.family.survives_abort:
                download.abandon()
                session.close()
            else:
                download.finish()

    def _again_once(self, verb: Callable[[], Result]) -> Result:
        """Run a verb that changes nothing, and once more when the connection turned out to be dead."""
        try:
            return verb()
        except ConnectionDropped as lost:
            logger.debug("trying once more: %s", lost)
            return verb()

    # --- storing ----------------------------------------------------------------------------------

    def store(self, upload: Upload) -> None:
        """Carry out ``upload``, whole or not at all; one at a time.

        Two tries; after a failure the part file is removed, and a file that was already put aside is put back.

        Raises `CardFull`, `CardRefused`, `InvalidName`, `FileNotFoundError` (no such folder), `ConnectionDropped`,
        `PrinterTimeout`, `Interrupted`, `CalledOff` and what opening a session raises.
        """
        with self._counted():
            interrupts.acquire(self._upload_lock)
        try:
            upload.check()
            upload.stay_within(self.family.longest_path)
            upload.leftovers = self._leftovers
            self._leftovers.note(upload.part)
            self._carry_out(upload)
        except BaseException as error:
            if isinstance(error, PrinterError) and error.path == upload.part:
                error.path = upload.path  # our part file's name says nothing to the user
            if upload.has_begun:
                self._tidy_after(upload, error)
            else:
                self._leftovers.strike_out(upload.part)
            raise
        finally:
            self._upload_lock.release()
        self._leftovers.strike_out(upload.part)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._count_lock:
            self._waiting_stores += 1
        try:
            yield
        finally:
            with self._count_lock:
                self._waiting_stores -= 1

    def _carry_out(self, upload: Upload) -> None:
        try:
            with self._lend(bulk=True, patience=BULK_PATIENCE) as session:
                self._put(upload, session)
        except (ConnectionDropped, PrinterTimeout) as lost:
            logger.warning("%s: %s; looking at what arrived", upload.path, lost.message)
            arrived = self._arrived(upload, lost)
            with self._lend(bulk=True, patience=BULK_PATIENCE) as session:
                if upload.move is not None and arrived is None and self._has(session, upload.path, upload.size):
                    upload.move.finish(session)  # it was lost after the renaming had taken effect
                    return
                if arrived != upload.size and upload.move is None:
                    self._renew_part(upload)
                self._put(upload, session, is_there=arrived == upload.size)

    def _renew_part(self, upload: Upload) -> None:
        old = upload.renew_part(self.family.longest_path)
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

    def _put(self, upload: Upload, session: FtpsSession, *, is_there: bool = False) -> None:
        """Send the part file, unless it ``is_there``, and rename it; or the file itself where nothing is renamed."""
        if self.renames:
            if not is_there:
                upload.send(session)
            if upload.publish(session, self._try_set_time):
                self._rename_refusals = 0
                return
            self._rename_refusals += 1
            logger.warning("this printer does not rename: a file is lost when the upload that replaces it breaks off")
        upload.send_in_place(session, self._try_set_time)

    def _arrived(self, upload: Upload, lost: PrinterError) -> int | None:
        """The size of the part file, None without one; when that cannot be asked, what was ``lost`` counts."""
        try:
            return self.size(upload.part)
        except PrinterError as error:
            raise again(lost) from error

    def _has(self, session: FtpsSession, path: str, size: int) -> bool:
        try:
            return session.size(path) == size
        except CardRefused:
            return False

    def _tidy_after(self, upload: Upload, error: BaseException) -> None:
        """An upload failed: have what it had put aside put back, and its part file removed."""
        self._janitor.give(lambda: self._undo(upload), f"tidying up after {upload.path}")
        if isinstance(error, PrinterError) and not error.answered:
            self._remove_late(upload.part)

    def _undo(self, upload: Upload) -> None:
        with self._lend() as session:
            if upload.move is not None:
                upload.move.undo(session)
            with suppress(CardRefused):
                session.delete(upload.path if upload.is_half_there else upload.part)
        self._leftovers.strike_out(upload.part)

    def tidy_up(self) -> None:
        """Have the part files removed that an earlier process left on the card when it was killed."""
        for aside, target in self._leftovers.set_aside():
            self._janitor.give(functools.partial(self._put_back, aside, target), f"putting back {target}")
        for path in self._leftovers.left_over():
            self.remove_later(path)

    def _put_back(self, aside: str, target: str) -> None:
        with self._lend() as session, suppress(CardRefused):
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

    # --- changing ---------------------------------------------------------------------------------

    def set_time(self, path: str, mtime: int) -> bool:
        """Set a file's time where the printer takes it; returns whether it did."""
        if self._sets_time is False:
            return False

        def ask() -> bool:
            with self._lend() as session:
                return self._try_set_time(session, path, mtime)

        return self._again_once(ask)

    def rename(self, old: str, new: str) -> None:
        """Rename a file or folder; a file at ``new`` is replaced (at once where the printer can, else deleted first).

        Raises `FileNotFoundError`, `InvalidName`, `CardRefused`; where the printer renames nothing an `OSError` with
        EXDEV, upon which `mv` and its like copy.
        """
        change = Move(old, new, self._leftovers)
        try:
            self._settle(
                lambda: self._simply(change.run), lambda: self._find(old) is None and self._find(new) is not None
            )
        except (NotSupported, FileNotFoundError) as refusal:
            if self._find(old) is None:
                raise gone(old) from refusal
            message = "This printer cannot rename; copy it and delete the old one"
            raise OSError(errno.EXDEV, message, old) from refusal

    def delete(self, path: str) -> None:
        """Delete a file. Raises `FileNotFoundError`, `IsADirectoryError`, `CardRefused`."""
        self._change(lambda session: session.delete(path), path, lambda: self._find(path) is None)

    def make_folder(self, path: str) -> None:
        """Make a folder. Raises `FileExistsError`, `FileNotFoundError`, `InvalidName`."""

        def is_there() -> bool:
            entry = self._find(path)
            return entry is not None and entry.is_dir

        try:
            self._settle(lambda: self._simply(lambda session: session.make_folder(path)), is_there)
        except NotSupported:
            raise
        except CardRefused as refusal:
            if self._find(path) is not None:
                raise FileExistsError(errno.EEXIST, "There is something by this name already", path) from refusal
            self.list(paths.parent(path))
            raise InvalidName(f"the printer cannot make a folder by this name ({refusal.reply})", path) from refusal

    def remove_folder(self, path: str) -> None:
        """Remove an empty folder; known litter that the printer hides in it goes with it.

        Raises `OSError` with ENOTEMPTY, `FileNotFoundError`, `CardRefused`.
        """
        is_gone: Callable[[], bool] = lambda: self._find(path) is None  # noqa: E731
        try:
            self._settle(lambda: self._simply(lambda session: session.remove_folder(path)), is_gone)
        except NotSupported:
            raise
        except CardRefused as refusal:
            hidden = self.list(path, hidden=True)
            if not all(is_junk(entry.name) and not entry.is_dir for entry in hidden):
                raise OSError(errno.ENOTEMPTY, "The folder is not empty", path) from refusal
            for entry in hidden:
                with suppress(FileNotFoundError):  # a part file that the janitor has just removed
                    self.delete(paths.join(path, entry.name))
            try:
                self._settle(lambda: self._simply(lambda session: session.remove_folder(path)), is_gone)
            except CardRefused as again_refused:
                message = f"the printer does not remove this folder ({again_refused.reply}); is it using it?"
                raise CardRefused(message, path, again_refused.reply) from again_refused

    def remove_later(self, path: str) -> None:
        """Delete a file of ours in the background, trying for a while."""
        self._leftovers.note(path)
        self._janitor.give(lambda: self._remove_part(path), f"removing {path}")

    def _remove_part(self, path: str, *, for_good: bool = True) -> None:
        with self._lend() as session, suppress(CardRefused):
            session.delete(path)
        if for_good:
            self._leftovers.strike_out(path)

    def _simply(self, verb: Callable[[FtpsSession], None]) -> None:
        with self._lend() as session:
            verb(session)

    def _change(self, verb: Callable[[FtpsSession], None], path: str, is_done: Callable[[], bool]) -> None:
        """Run a verb that changes ``path``; a refusal is explained by what the listing shows."""
        try:
            self._settle(lambda: self._simply(verb), is_done)
        except CardRefused as refusal:
            entry = self._find(path)
            if entry is None:
                raise gone(path) from refusal
            if entry.is_dir:
                raise IsADirectoryError(errno.EISDIR, "This is a folder", path) from refusal
            message = f"the printer refuses this ({refusal.reply}); is it using the file?"
            raise CardRefused(message, path, refusal.reply) from refusal

    def _settle(self, verb: Callable[[], None], is_done: Callable[[], bool]) -> None:
        """Run a verb that changes something; when the connection broke, repeat it unless it took effect."""
        try:
            verb()
        except ConnectionDropped as lost:
            logger.debug("looking whether it happened: %s", lost)
            if not is_done():
                verb()
