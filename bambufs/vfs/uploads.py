"""Uploads: brings what open files hold to the printer, and lets listings, times and caches know."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .. import interrupts
from ..errors import CalledOff, Interrupted, again
from ..printer import paths
from ..printer.card import Card
from ..printer.entry import Entry
from ..printer.parts import Keep
from ..printer.upload import Upload
from .attributes import Attributes
from .blocks import BlockCache
from .conflicts import has_changed, unsent_path
from .debts import Debts
from .handles import Node, NodeTable
from .listings import ListingCache
from .spool import Content, SpoolFile
from .streaming import Streams
from .times import TimeStore
from .transfers import Transfers

logger = logging.getLogger(__name__)

_BLOCK = 256 * 1024


class Uploads:
    """The way to the printer. Safe to call from many threads. ``clock`` gives seconds since the epoch."""

    def __init__(
        self,
        card: Card,
        listings: ListingCache,
        blocks: BlockCache,
        times: TimeStore,
        transfers: Transfers,
        streams: Streams,
        debts: Debts,
        nodes: NodeTable,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._card, self._listings, self._blocks, self._times = card, listings, blocks, times
        self._transfers, self._streams, self._clock = transfers, streams, clock
        self._debts, self._nodes = debts, nodes

    # --- what a program waits for -----------------------------------------------------------------

    def upload(self, node: Node) -> bool:
        """Store the node's content on the printer, through the journal. Raises why that failed; the content stays.

        Returns whether the node was pinned for what it owed, and has to be unpinned now.
        """
        interrupts.acquire(node.io_lock)
        try:
            check_wanted(node)
            if not node.owes_upload:
                return False
            self._note(node)
            return self._store_locked(node)
        except CalledOff:
            return False  # its file was deleted meanwhile
        except BaseException as error:
            if not node.is_noted:
                node.upload_error, node.was_interrupted = error, isinstance(error, Interrupted)
            self._catch_up(node)
            raise
        finally:
            node.io_lock.release()

    def _note(self, node: Node) -> None:
        """So that a crash in the middle costs nothing. Without room for a note it is sent all the same."""
        try:
            self._debts.incur(node, node.path, in_background=False)
        except OSError as error:
            logger.warning("%s: cannot be noted in the journal on this computer: %s", node.path, error.strerror)

    def _store_locked(self, node: Node) -> bool:
        assert node.spool is not None
        spool, generation, size = node.spool, node.spool.generation, node.spool.size
        mtime = node.mtime if node.mtime is not None else int(self._clock())
        path = self.send(spool, node.path, size, mtime, node=node)
        with node.lock:
            spool.mark_clean(generation)
            late = node.mtime if node.mtime is not None else mtime  # set while the upload was running
            node.remote, node.remote_path = Entry(paths.split(path)[1], False, size, late), path
            node.is_unstored, node.upload_error, node.was_interrupted = False, None, False
        if late != mtime:
            self._set_late_time(path, Attributes(False, size, mtime), late)
        return self._debts.settle(node)

    def _set_late_time(self, path: str, attributes: Attributes, mtime: int) -> None:
        """The file is stored, whatever becomes of its time: that shows here at least."""
        try:
            self.set_time(path, attributes, mtime)
        except OSError as error:
            logger.warning("%s: its time is remembered on this computer only, since: %s", path, error)
            self._remember_time(path, attributes, mtime)

    def _catch_up(self, node: Node) -> None:
        """The upload that was to bring a renamed file to its new path failed: rename what the printer has of it."""
        if node.remote is not None and node.remote_path != node.path and not node.is_removed:
            try:
                self._card.rename(node.remote_path, node.path)
                node.remote_path = node.path
                self._debts.update(node)
            except OSError as error:
                logger.error("%s: is still called %s on the printer: %s", node.path, node.remote_path, error)

    def send(
        self,
        spool: Content,
        path: str,
        size: int,
        mtime: int,
        *,
        node: Node | None = None,
        keep: Keep | None = None,
    ) -> str:
        """Store ``spool`` as ``path`` and let listings, times and caches know.

        Returns the path that it got: that of ``node`` may change while the upload runs. See `Upload` for ``keep``.
        """
        self._blocks.forget(path, is_file=True)  # also for a mount that comes after a crash in the middle
        self.disown(path)
        streamed = None if node is None else self._streams.finish(node, size, mtime)
        path = streamed or self._send_whole(spool, path, size, mtime, node, keep)
        self._times.remember(path, size, mtime)
        self._blocks.forget(path, is_file=True)
        self._listings.apply(path, Entry(paths.split(path)[1], False, size, mtime))
        return path

    def _send_whole(
        self, spool: Content, path: str, size: int, mtime: int, node: Node | None, keep: Keep | None
    ) -> str:
        will_try_again = node is not None and node.is_noted
        with self._transfers.running(path, size, will_try_again=will_try_again) as transfer, spool.reader() as source:
            upload = Upload(source, path, size=size, mtime=mtime, on_progress=transfer.progress, keep=keep)
            if node is not None:
                upload.leaves = node.left_behind
                node.upload = upload
            try:
                self._card.store(upload)
            finally:
                if node is not None:
                    node.upload = None
        return upload.path

    # --- in the background ------------------------------------------------------------------------

    def owe(self, node: Node) -> bool:
        """Note for good that the node's content has to be stored, instead of storing it.

        Returns False when this computer's disk does not take the note. Raises as `upload` does.
        """
        interrupts.acquire(node.io_lock)
        try:
            check_wanted(node)
            if node.owes_upload and not node.is_noted:
                self._debts.incur(node, node.path, in_background=True)
            return True
        except OSError as error:
            if node.write_error is not None or node.was_interrupted:
                raise
            logger.warning("%s: cannot be noted in the journal on this computer: %s", node.path, error.strerror)
            return False
        finally:
            node.io_lock.release()

    def pay(self, node: Node) -> bool:
        """Store what ``node`` owes, unless its content is being changed; whoever wants to change it goes first.

        Returns as `upload` does; raises why it failed. When the printer's file is not what it was, both are kept.
        """
        interrupts.acquire(node.io_lock)
        node.gives_way = True
        try:
            if not node.is_noted or not node.owes_upload:
                return False
            if self._is_there_already(node):
                return self._debts.settle(node)
            is_settled = self._store_locked(node)
            self._times.rebind(paths.parent(node.path))  # which a program has set after the file, as it thought
            return is_settled
        except CalledOff:
            return False
        except OSError:
            self._catch_up(node)
            raise
        finally:
            node.gives_way = False
            node.io_lock.release()

    def give_up(self, node: Node, error: OSError) -> bool:
        """What ``node`` owes cannot be stored: it goes to lost+found. Returns as `upload` does."""
        interrupts.acquire(node.io_lock)
        try:
            if not node.is_noted or node.spool is None:
                return False
            was_pinned = self._debts.fail(node, node.spool, error)
            self._debts.complain(node.path, error)
            return was_pinned
        finally:
            node.io_lock.release()

    def _is_there_already(self, node: Node) -> bool:
        """Whether the printer has the node's content, as after a crash between the storing and the striking out.

        When it has something else than the node was made from, the node becomes a copy beside it.
        """
        assert node.spool is not None
        held = node.remote if node.remote_path == node.path else None
        now = self._listings.lookup(node.path)
        if now is None and held is not None:
            node.remote = None  # somebody deleted it
        if now is None or not has_changed(held, now) or now.size == _sent_before(node):
            return False
        if not now.is_dir and now.size == node.spool.size and self._is_same(node.spool, node.path, now.size):
            self._stored_before(node, now)
            return True
        self._step_aside(node)
        return False

    def _is_same(self, spool: SpoolFile, path: str, size: int) -> bool:
        """Whether the printer's file at ``path`` has the content of ``spool``."""
        offset = 0
        with self._card.open_read(path, 0, size) as theirs:
            while block := theirs.read(_BLOCK):
                if spool.read(len(block), offset) != block:
                    return False
                offset += len(block)
        return True

    def _stored_before(self, node: Node, entry: Entry) -> None:
        assert node.spool is not None
        mtime = node.mtime if node.mtime is not None else entry.mtime
        node.spool.mark_clean(node.spool.generation)
        node.remote, node.remote_path, node.is_unstored = entry._replace(mtime=mtime, resolution=1), node.path, False
        if mtime != entry.mtime:
            self.set_time(node.path, Attributes(False, entry.size, entry.mtime), mtime)

    def _step_aside(self, node: Node) -> None:
        path = node.path
        folder = paths.parent(path)
        taken = {paths.folded(name) for name in self._listings.listing(folder)}
        taken |= {paths.folded(paths.split(other.path)[1]) for other in self._nodes.in_folder(folder)}
        copy = unsent_path(path, self._clock(), taken, self._card.family.longest_path)
        logger.warning("%s: was changed on the printer while it waited to be sent; yours is stored as %s", path, copy)
        self._transfers.conflict(path, copy)
        node.remote, node.remote_path = None, copy
        self.moved(node, copy)

    def disown(self, path: str, *, besides: Node | None = None) -> None:
        """Something is about to take ``path``: an open file that was called so has nothing there any more."""
        for node in self._nodes.all():
            left = node.left_behind
            if left is not None and node is not besides and paths.folded(left) == paths.folded(path):
                with node.lock:
                    node.remote = None
                if node.upload is not None:
                    node.upload.leaves = None
                self._debts.update(node)

    def moved(self, node: Node, path: str) -> None:
        """``node`` is now at ``path``; what it owes goes with it."""
        self._nodes.move(node, path)
        self._debts.update(node)

    # --- times ------------------------------------------------------------------------------------

    def touch(self, node: Node, mtime: int) -> None:
        """Set the time of an open file: with the upload that is owed, else at once."""
        with node.lock:
            before, node.mtime = node.attributes, mtime
            is_owed = node.is_local or node.is_removed or node.owes_upload
        self._debts.update(node)
        if not is_owed and before.mtime != mtime:
            with _no_other_version(node):
                self.set_time(node.path, before, mtime)
            if node.remote is not None:
                node.remote = node.remote._replace(mtime=mtime)

    def set_time(self, path: str, attributes: Attributes, mtime: int) -> None:
        """Set the time of a file (or folder) on the printer where it takes times, and remember it here."""
        if not attributes.is_dir:
            self._card.set_time(path, mtime)
        self._remember_time(path, attributes, mtime)

    def _remember_time(self, path: str, attributes: Attributes, mtime: int) -> None:
        self._times.remember(path, attributes.size, mtime)
        self._listings.apply(path, Entry(paths.split(path)[1], attributes.is_dir, attributes.size, mtime))


@contextmanager
def _no_other_version(node: Node) -> Iterator[None]:
    """In the block its time is set on the printer, which makes no other content of what is being read."""
    blocks = node.blocks
    if blocks is not None:
        blocks.retime()  # for transfers that begin before this block ends
    yield
    if blocks is not None:
        blocks.retime()


def _sent_before(node: Node) -> int:
    """The size of an earlier version of ``node`` that the printer may have, -1 when there is none."""
    return node.debt.record.sent if node.debt is not None else -1


def check_wanted(node: Node) -> None:
    """Raise why the content of ``node`` must not reach the printer, if so."""
    if node.write_error is not None:
        raise again(node.write_error)
    if node.was_interrupted:
        raise Interrupted("storing this file was interrupted; write it again to store it", node.path)
