"""FileSystem: the verbs of the mount. Every failure is an `OSError` with a true errno.

Knows neither FTP nor FUSE: it joins the printer's card, the listing cache, the overlay of dot names and the open
files. Paths are absolute inside the mount. Safe to call from many threads.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable
from typing import NamedTuple

from ..errors import DataRefused, InvalidName, PrinterBusy, os_error
from ..printer import paths
from ..printer.card import Card
from ..printer.entry import Entry
from .attributes import Attributes
from .blocks import BlockCache
from .contents import Contents
from .dating import Dating
from .debts import Debts
from .files import WRITES, OpenFiles
from .handles import NodeTable
from .listings import ListingCache
from .local import LocalState
from .owed import owed_lines
from .renames import Renames
from .scout import Scout
from .settings import Settings
from .spool import Content
from .streaming import Streams
from .transfers import Transfers
from .tree import Tree, check_replaceable
from .uploads import Uploads
from .walks import Walks
from .writeback import Remaining, Tell

logger = logging.getLogger(__name__)

_ALL, _ONE_MORE = 99, 2
"""Sessions to have open, as far as the printer allows: for a walk through the folders, and else."""

_TRASH = ".Trash"
_BLOCK_SIZE = 4096


class Space(NamedTuple):
    """The room on the card in blocks of ``block_size`` bytes."""

    block_size: int
    blocks: int
    free: int


class FileSystem:
    """One printer's card as a tree of files, with what this computer adds to it."""

    def __init__(
        self,
        card: Card,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        local, nodes = LocalState(settings, clock), NodeTable()
        self._journal, self._times, self._overlay = local.journal, local.times, local.overlay
        self._card, self._settings, self._clock, self._monotonic = card, settings, clock, monotonic
        self._transfers = Transfers()
        self._blocks = BlockCache(
            card,
            local.blocks_folder,
            max_bytes=settings.cache_size,
            reads_ahead=settings.looks_ahead,
            is_settled=self._times.is_settled,
            on_changed=self._changed,
            clock=clock,
        )
        self._listings = ListingCache(
            Dating(card, self._times, self._blocks, clock=clock).listing,
            ttl=settings.ttl,
            max_entries=settings.max_entries,
            clock=monotonic,
        )
        self._scout = Scout(self._listings.listing, lambda: bool(card.pool.state["lent"]))
        debts = Debts(local, nodes, clock=clock)
        streams = Streams(card, self._transfers, is_on=settings.looks_ahead and settings.write_back is None)
        self._uploads = Uploads(
            card, self._listings, self._blocks, self._times, self._transfers, streams, debts, nodes, clock=clock
        )
        self._contents = Contents(self._blocks, streams, local, clock)
        self._files = OpenFiles(
            *(card, self._listings, self._overlay, self._blocks, nodes, self._contents, self._uploads, debts),
            write_back=settings.write_back,
            clock=clock,
            monotonic=monotonic,
        )
        self._replay()
        self._renames = Renames(card, self._listings, self._overlay, self._blocks, self._times, self._files)
        walks = Walks(self._listings, lambda: card.pool.spare if settings.looks_ahead else 0, lambda: self._warm(_ALL))
        self._tree = Tree(
            card, self._listings, self._overlay, nodes, walks, is_read_only=settings.read_only, made_at=int(clock())
        )

    def _replay(self) -> None:
        """Take on what the last mount has not sent, unless nothing may be changed on the printer."""
        owed = len(self._journal.records("owed"))
        if owed and self._settings.read_only:
            logger.warning("%d files of the last mount have not been sent; a read-only mount does not send them", owed)
        elif owed:
            self._files.replay()
            logger.info("%d files of the last mount are still to be sent to the printer", owed)

    def connect(self) -> None:
        """Make sure that the printer lets us in, and gives data too. Raises what stands in the way.

        One whose only slot is taken may let a second client in all the same, and refuse it every data connection. A
        top folder that cannot be listed for another reason, such as a card that is out, is no reason not to mount.
        """
        self._card.connect()
        try:
            self._listings.listing(paths.ROOT)
        except OSError as error:
            if isinstance(error, DataRefused):
                error.path = None  # it is not about the top folder
                raise
            logger.warning("the top folder cannot be listed: %s", error)

    def look_ahead(self) -> None:
        """List the folders in the background, if the printer's only connection may be taken for long later."""
        if self._settings.looks_ahead and self._card.pool.state["limit"] == 1:
            self._scout.start()
        self._warm(_ONE_MORE)

    def _changed(self, path: str) -> None:
        """The printer has another version of the file at ``path`` than is known."""
        self._times.forget(path)
        self._listings.forget(paths.parent(path))

    def _warm(self, sessions: int) -> None:
        if self._settings.looks_ahead:
            self._card.warm(sessions)

    def forget(self, path: str = paths.ROOT) -> None:
        """Forget what is remembered of ``path`` and below, so that the printer is asked again."""
        if path != paths.ROOT:
            self._listings.forget(paths.parent(path))
        self._listings.forget(path)
        self._blocks.forget(path if path != paths.ROOT else "")

    def start(self) -> None:
        """Begin to send in the background what is owed. To be called after any fork."""
        self._files.write_back.start()

    def transfers(self) -> str:
        """The uploads that run, are owed, failed, or were put aside, as text."""
        return self._transfers.report(owed_lines(self._files.write_back, self._journal))

    def statistics(self) -> dict[str, object]:
        """Counters of every part, for whoever wants to know where time and memory go."""
        return {
            "family": self._card.family.name,
            "sessions": self._card.pool.state,
            "trouble": self._card.pool.breaker.reason,
            "listings": {
                "from_cache": self._listings.hits,
                "asked": self._listings.misses,
                "served_stale": self._listings.served_stale,
            },
            "uploads": self._transfers.uploads,
            "bytes_uploaded": self._transfers.bytes_sent,
            "bytes_cached": self._blocks.bytes_here,
            "open_files": len(self._files.nodes),
            "uploads_owed": len(self._journal.records("owed")),
        }

    def stale_for(self) -> float | None:
        """For how many seconds old listings have been served, since the printer cannot be asked; None while it can."""
        since = self._listings.stale_since
        return None if since is None else self._monotonic() - since

    def close(self, tell: Tell = lambda remaining: None) -> Remaining:
        """Upload what is still owed, as far as that goes, and let go of everything. No verb may follow.

        ``tell`` is called every second meanwhile. Returns what is left for the next mount to send.
        """
        self._scout.stop()
        self._files.close()
        remaining = self._files.write_back.drain(self._settings.leave_patience, tell)
        self._files.let_go()
        self._blocks.close()
        self._card.close()
        self._times.close()
        return remaining

    # --- looking ----------------------------------------------------------------------------------

    def getattr(self, path: str | None, fh: int | None = None) -> Attributes:
        """What is at ``path``, or behind the handle ``fh``; raises `FileNotFoundError`."""
        if fh is not None:
            return self._files.nodes.handle(fh).node.attributes
        attributes = None if path is None else self._tree.find(path)
        if attributes is None:
            raise os_error(errno.ENOENT, path or "")
        return attributes

    def readdir(self, path: str) -> list[tuple[str, Attributes]]:
        """The names in the folder ``path`` with what they are; raises `FileNotFoundError`, `NotADirectoryError`."""
        return self._tree.readdir(path)

    def access(self, path: str, mode: int) -> None:
        """Whether ``path`` is there; permissions are the mount's affair. Raises `FileNotFoundError`."""
        self.getattr(path)

    def statfs(self) -> Space:
        """The room on the card, as far as it is known: no printer tells it over FTP. Never zero."""
        total = max(self._settings.card_size, 2 * _BLOCK_SIZE)
        free = max(total - self._listings.known_bytes(), _BLOCK_SIZE)
        return Space(_BLOCK_SIZE, total // _BLOCK_SIZE, free // _BLOCK_SIZE)

    # --- files ------------------------------------------------------------------------------------

    def open(self, path: str, flags: int) -> int:
        """Open an existing file; opening costs nothing. Raises `FileNotFoundError`, `IsADirectoryError`, EROFS."""
        if flags & WRITES:
            self._tree.check_writable(path)
        return self._files.open(path, flags)

    def version_of(self, fh: int) -> tuple[int, int] | None:
        """Size and time of what was opened, when it is the printer's.

        None for content that is on its way there, and while somebody may write: what is written may never get there.
        """
        node = self._files.nodes.handle(fh).node
        is_changing = node.spool is not None or node.remote is None or self._files.nodes.is_being_written(node)
        return None if is_changing or node.remote is None else (node.remote.size, node.remote.mtime)

    def create(self, path: str, flags: int) -> int:
        """Create a file and open it; raises EEXIST (also for a name that differs in case only), EINVAL, EROFS."""
        self._tree.check_writable(path)
        existing = self._tree.find(path)
        if existing is not None and existing.is_dir:
            raise os_error(errno.EISDIR, path)
        if existing is not None:
            if flags & os.O_EXCL:
                raise os_error(errno.EEXIST, path)
            return self._files.open(path, flags)
        self._tree.check_new(path)
        self._tree.warn_of_ghost_print(path)
        return self._files.create(path, flags)

    def read(self, fh: int, size: int, offset: int) -> bytes:
        """At most ``size`` bytes from ``offset``; fewer at the end of the file."""
        return self._files.read(fh, size, offset)

    def write(self, fh: int, data: bytes | memoryview, offset: int) -> int:
        """Write all of ``data`` at ``offset``; returns its length."""
        return self._files.write(fh, data, offset)

    def truncate(self, path: str | None, length: int, fh: int | None = None) -> None:
        """Cut or extend a file. The change is uploaded at once, unless a program is writing to the file."""
        if fh is not None or path is None:
            handle = self._files.nodes.handle(fh or 0)
            self._contents.truncate(handle.node, length)
            handle.is_flushed = False
            return
        self._tree.check_writable(path)
        number = self._files.open(path, os.O_WRONLY)
        try:
            node = self._files.nodes.handle(number).node
            was_stored = not node.owes_upload  # a writer that has closed it may not have been released by the kernel
            self._contents.truncate(node, length)
            if was_stored or not self._files.nodes.is_being_written(node, besides=number):
                self._files.flush(number)
        finally:
            self._files.release(number)

    def flush(self, fh: int) -> None:
        """A descriptor was closed: upload what changed. Raises why that failed."""
        self._files.flush(fh)

    def fsync(self, fh: int) -> None:
        """Upload what the printer lacks. Raises why that failed."""
        self._files.fsync(fh)

    def cut_off(self, fh: int) -> str | None:
        """The writer was killed by a signal: its half-written file must not replace the whole one.

        Returns its path, where what was there before is shown again; None when it had written nothing.
        """
        return self._files.cut_off(fh)

    def release(self, fh: int) -> None:
        """The last descriptor of an opening is gone."""
        self._files.release(fh)

    def settle(self, path: str) -> None:
        """See that the printer has all of the file ``path``: finish an upload that is owed.

        Raises `PrinterBusy` while a program still writes to it, and why the upload failed.
        """
        with self._files.pinned(path) as (node,):
            if node is None or not node.owes_upload:
                return
            if self._files.nodes.is_being_written(node):
                raise PrinterBusy("A program is still writing to this file. Try again when it is done.", path)
            self._files.upload(node)

    def store(self, content: Content, path: str) -> None:
        """Store ``content`` as the new file ``path``, whole or not at all.

        Raises `FileExistsError` when the card holds that name, in whichever case, EROFS, and why storing failed.
        """
        self._tree.check_writable(path)
        if self._tree.find(path) is not None:
            raise os_error(errno.EEXIST, path)
        self._tree.check_new(path)
        self._uploads.send(content, path, content.size, int(self._clock()))

    def check_settable(self, path: str) -> None:
        """Whether attributes of ``path`` could be set, had a card any; raises `FileNotFoundError`, EROFS."""
        if self._settings.read_only:
            raise os_error(errno.EROFS, path)
        self.getattr(path)

    def utimens(self, path: str | None, mtime: int | None, fh: int | None = None) -> None:
        """Set the time of ``path`` (or of the handle ``fh``), in whole seconds; None leaves it.

        On the printer where it takes times, and remembered here.
        """
        if fh is not None or path is None:
            if mtime is not None:
                self._uploads.touch(self._files.nodes.handle(fh or 0).node, mtime)
            return
        self.check_settable(path)
        if mtime is None:
            return
        with self._files.pinned(path) as (node,):
            if node is not None:
                self._uploads.touch(node, mtime)
                return
        if paths.is_dot_path(path):
            self._overlay.set_time(path, mtime)
        elif path != paths.ROOT:
            attributes = self.getattr(path)
            if mtime != attributes.mtime:
                self._uploads.set_time(path, attributes, mtime)

    # --- names ------------------------------------------------------------------------------------

    def rename(self, old: str, new: str, *, replace: bool = True) -> None:
        """Rename a file or folder; an existing file at ``new`` is replaced unless ``replace`` is false (EEXIST)."""
        with self._renames.undone_on_failure(new):
            self._rename(old, new, replace=replace)

    def _rename(self, old: str, new: str, *, replace: bool) -> None:
        self._tree.check_writable(old)
        self._tree.check_writable(new)
        source, target = self._tree.find(old), self._tree.find(new)
        if source is None:
            raise os_error(errno.ENOENT, old)
        if self._renames.is_hiding(new):
            self._renames.hide(old, new)
            return
        if paths.is_below(new, old):
            raise InvalidName("a folder cannot be moved into itself", new)
        if target is not None:
            check_replaceable(source, new, target, replace)
            if old == new:
                return
        else:
            self._tree.check_new(new, besides=old)
        if target is not None and target.is_dir:
            self.rmdir(new)
        self._renames.rename(old, new, is_dir=source.is_dir)
        self._tree.warn_of_ghost_print(new)

    def unlink(self, path: str) -> None:
        """Delete a file; whoever has it open goes on using it. Raises `FileNotFoundError`, `IsADirectoryError`."""
        self._tree.check_writable(path)
        attributes = self._tree.find(path)
        if attributes is None:
            raise os_error(errno.ENOENT, path)
        if attributes.is_dir:
            raise os_error(errno.EISDIR, path)
        self._renames.unlink(path)

    def mkdir(self, path: str) -> None:
        """Make a folder; raises EEXIST, `FileNotFoundError`, EINVAL; EPERM for a desktop's trash folder."""
        self._tree.check_writable(path)
        if paths.split(path)[1].startswith(_TRASH):
            raise os_error(errno.EPERM, path)
        if self._tree.find(path) is not None:
            raise os_error(errno.EEXIST, path)
        self._tree.check_new(path)
        if paths.is_dot_path(path):
            self._overlay.make_folder(path)
            return
        self._card.make_folder(path)
        now = int(self._clock())
        self._times.remember(path, 0, now)  # rsync sets no time that is shown already; it has to be shown from then on
        self._listings.apply(path, Entry(paths.split(path)[1], True, 0, now))
        self._listings.begin(path)

    def rmdir(self, path: str) -> None:
        """Remove an empty folder, and known litter with it; raises ENOTEMPTY, ENOTDIR, `FileNotFoundError`."""
        self._tree.check_writable(path)
        attributes = self._tree.find(path)
        if attributes is None:
            raise os_error(errno.ENOENT, path)
        if not attributes.is_dir:
            raise os_error(errno.ENOTDIR, path)
        if paths.is_dot_path(path):
            self._overlay.remove_folder(path)
            return
        being_made = any(not node.is_removed and not node.is_local for node in self._files.nodes.in_folder(path))
        if being_made or not self._overlay.has_only_junk(path):
            raise os_error(errno.ENOTEMPTY, path)
        if any(not name.startswith(".") for name in self._listings.listing(path)):
            raise os_error(errno.ENOTEMPTY, path)
        self._card.remove_folder(path)
        self._overlay.folder_removed(path)
        self._times.forget(path)
        self._listings.forget(path)
        self._listings.apply(path, None)
