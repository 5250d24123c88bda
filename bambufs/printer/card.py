"""Card: the files on the printer, by verbs that either happened or raise a true error.

Here, in `Catalog` and in `Storing` is what retries: verbs that change nothing, once; verbs that change something only
after having looked whether the first try took effect. Safe to call from many threads.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ..errors import CardRefused, ConnectionDropped, InvalidName, NotSupported
from . import paths
from .access import BULK_PATIENCE, Access
from .catalog import Catalog
from .family import Family
from .leftovers import Leftovers
from .parts import Keep, Move, gone, is_junk, put_back
from .pool import SessionPool
from .reading import Reading
from .session import FtpsSession
from .storing import Storing


class Card:
    """The printer's card.

    ``clock`` gives seconds since the epoch, for reading listings; ``leftovers`` remembers part files over a crash.
    ``late`` is after how many seconds a printer that hung may have done what it still had to do; ``overlaps`` whether
    an upload may begin while the one before it is being finished.
    """

    def __init__(
        self,
        pool: SessionPool[FtpsSession],
        *,
        leftovers: Leftovers | None = None,
        clock: Callable[[], float] = time.time,
        late: float = 30.0,
        overlaps: bool = True,
    ) -> None:
        self._pool, self._leftovers = pool, leftovers or Leftovers(None)
        self._access = Access(pool)
        self._catalog = Catalog(self._access, clock)
        self._storing = Storing(self._access, self._catalog, self._leftovers, late, overlaps=overlaps)
        self._has_rest = True
        self.list, self.list_exactly = self._catalog.list, self._catalog.list_exactly
        self.modified, self.size = self._catalog.modified, self._catalog.size
        self.store, self.set_time = self._storing.store, self._storing.set_time
        self.remove_later = self._storing.remove_later

    @property
    def family(self) -> Family:
        """The printer's family; before the first session the more limited one."""
        return self._access.family

    @property
    def can_start_anywhere(self) -> bool:
        """Whether a download may begin in the middle of a file."""
        return self._has_rest and self.family.has_rest

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for a session, so that a download that can pause should."""
        return self._pool.is_wanted

    @property
    def has_spare(self) -> bool:
        """Whether another download could begin at once, beside those that run."""
        return self._pool.has_idle

    @property
    def renames(self) -> bool:
        """Whether a file can come into being under another name first, as far as is known."""
        return self._storing.renames

    @property
    def stores_at_once(self) -> int:
        """How many uploads may be under way together."""
        return 2 if self._storing.may_overlap else 1

    @property
    def is_storing(self) -> bool:
        """Whether an upload runs, so that another one would have to wait."""
        return self._storing.is_going_on

    @property
    def is_store_wanted(self) -> bool:
        """Whether another upload, or somebody else, waits for the one that runs to end."""
        return self._storing.is_wanted or (self.is_wanted and self.family.max_sessions == 1)

    @property
    def pool(self) -> SessionPool[FtpsSession]:
        """The sessions, for statistics."""
        return self._pool

    def connect(self) -> Family:
        """Make sure that the printer lets us in. Raises what `FtpsSession.open` raises."""
        with self._access.lend() as session:
            family = session.family
        self._storing.tidy_up()
        return family

    def warm(self, count: int) -> None:
        """Have up to ``count`` sessions opened in the background, where the family allows several."""
        if self.family.max_sessions > 1:
            self._pool.warm(count)

    def close(self) -> None:
        """Finish the tidying up that is owed and say goodbye."""
        self._access.janitor.close()
        self._pool.close()
        self._leftovers.close()

    @contextmanager
    def open_read(self, path: str, offset: int, length: int, *, patience: float = BULK_PATIENCE) -> Iterator[Reading]:
        """Fetch ``length`` bytes of ``path`` from ``offset`` on; ending early is fine.

        ``offset`` must be 0 where the family has no REST. Raises `FileNotFoundError` and what the link raises.
        """
        with self._access.lend(bulk=True, patience=patience) as session:
            version = None if session.pipelines else session.version(path)
            try:
                download = session.download(path, offset)
            except NotSupported as refusal:
                self._has_rest = False
                raise ConnectionDropped("this printer cannot start in the middle of a file", path) from refusal
            except CardRefused as refusal:
                raise gone(path) from refusal
            reading = Reading(download, path, length, download.version or version)
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

    # --- changing ---------------------------------------------------------------------------------

    def rename(self, old: str, new: str, *, keep: Keep | None = None) -> None:
        """Rename a file or folder; a file at ``new`` is replaced: at once where the printer can, else it is set aside
        first, and put back when that fails. With ``keep`` it is kept.

        Raises `FileNotFoundError`, `InvalidName`, `CardRefused`; where the printer renames nothing an `OSError` with
        EXDEV, upon which `mv` and its like copy. When it is broken off, what was put aside is put back later.
        """
        change = Move(old, new, self._leftovers, keep)
        self._storing.is_put(new)
        try:
            self._access.settle(
                lambda: self._access.simply(change.run),
                lambda: self._catalog.find(old) is None and self._catalog.find(new) is not None,
            )
        except (NotSupported, FileNotFoundError) as refusal:
            if self._catalog.find(old) is None:
                raise gone(old) from refusal
            message = "This printer cannot rename; copy it and delete the old one"
            raise OSError(errno.EXDEV, message, old) from refusal
        except BaseException:
            self._later(change, change.undo)
            raise
        self._later(change, change.finish)

    def set_aside(self, path: str, at: str) -> None:
        """Give a file a name of ours, by which it is removed should this process die; raises as `rename` does."""
        self._leftovers.note(at)
        try:
            self.rename(path, at)
        except BaseException:
            self._leftovers.strike_out(at)
            raise

    @contextmanager
    def replacing(self, path: str, keep: Keep) -> Iterator[None]:
        """What was at ``path`` has been set aside: when the block does not put something else there, it is put back.

        In the background, or by the next process should this one die.
        """
        self._leftovers.strike_out(keep.at)
        self._leftovers.note(keep.at, instead_of=path)
        try:
            yield
        except BaseException:
            self._access.janitor.give(lambda: self._put_back(path, keep), f"putting back {path}")
            raise
        self._leftovers.strike_out(keep.at)
        self._leftovers.note(keep.at)

    def _put_back(self, path: str, keep: Keep) -> None:
        with self._access.lend() as session, suppress(CardRefused):
            if put_back(session, keep.at, path):
                keep.moved(path)
        self._leftovers.strike_out(keep.at)

    def _later(self, change: Move, verb: Callable[[FtpsSession], None]) -> None:
        """Do what a move that was broken off still owes."""
        if change.aside is not None:
            self._access.janitor.give(lambda: self._access.simply(verb), f"putting {change.target} in order")

    def delete(self, path: str) -> None:
        """Delete a file. Raises `FileNotFoundError`, `IsADirectoryError`, `CardRefused`."""
        self._change(lambda session: session.delete(path), path, lambda: self._catalog.find(path) is None)

    def make_folder(self, path: str) -> None:
        """Make a folder. Raises `FileExistsError`, `FileNotFoundError`, `InvalidName`."""

        def is_there() -> bool:
            entry = self._catalog.find(path)
            return entry is not None and entry.is_dir

        try:
            self._access.settle(lambda: self._access.simply(lambda session: session.make_folder(path)), is_there)
        except NotSupported:
            raise
        except CardRefused as refusal:
            if self._catalog.find(path) is not None:
                raise FileExistsError(errno.EEXIST, "There is something by this name already", path) from refusal
            self.list(paths.parent(path))
            raise InvalidName(f"the printer cannot make a folder by this name ({refusal.reply})", path) from refusal

    def remove_folder(self, path: str) -> None:
        """Remove an empty folder; known litter that the printer hides in it goes with it.

        Raises `OSError` with ENOTEMPTY, `FileNotFoundError`, `CardRefused`.
        """
        is_gone: Callable[[], bool] = lambda: self._catalog.find(path) is None  # noqa: E731
        try:
            self._access.settle(lambda: self._access.simply(lambda session: session.remove_folder(path)), is_gone)
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
                self._access.settle(lambda: self._access.simply(lambda session: session.remove_folder(path)), is_gone)
            except CardRefused as again_refused:
                message = f"the printer does not remove this folder ({again_refused.reply}); is it using it?"
                raise CardRefused(message, path, again_refused.reply) from again_refused

    def _change(self, verb: Callable[[FtpsSession], None], path: str, is_done: Callable[[], bool]) -> None:
        """Run a verb that changes ``path``; a refusal is explained by what the listing shows."""
        try:
            self._access.settle(lambda: self._access.simply(verb), is_done)
        except CardRefused as refusal:
            entry = self._catalog.find(path)
            if entry is None:
                raise gone(path) from refusal
            if entry.is_dir:
                raise IsADirectoryError(errno.EISDIR, "This is a folder", path) from refusal
            message = f"the printer refuses this ({refusal.reply}); is it using the file?"
            raise CardRefused(message, path, refusal.reply) from refusal
