"""OpenFiles: the content of files, from open to release, and the uploads between.

The rules: opening costs nothing. Reading fetches what is read. The first write makes the file local (emptied at
once with O_TRUNC, fetched first otherwise). flush and fsync upload what changed since the last upload and report
its failure; an untouched new file is stored at release. What could not be uploaded is put aside when the last
handle goes, named in the log, and never deleted.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import interrupts
from ..errors import CalledOff, Interrupted, again, os_error
from ..printer import paths
from ..printer.card import Card
from ..printer.entry import Entry
from ..printer.upload import Upload
from .attributes import Attributes
from .blocks import BlockCache
from .handles import Node, NodeTable
from .listings import ListingCache
from .lost import LostFound
from .overlay import Overlay
from .spool import Content, SpoolFile, spool_name
from .times import TimeStore
from .transfers import Transfers

logger = logging.getLogger(__name__)

WRITES = os.O_WRONLY | os.O_RDWR
"""The open flags that allow writing."""


class OpenFiles:
    """Opens, reads, writes and uploads files. Safe to call from many threads."""

    def __init__(
        self,
        card: Card,
        listings: ListingCache,
        overlay: Overlay,
        blocks: BlockCache,
        times: TimeStore,
        *,
        spool_folder: Path,
        lost: LostFound,
        transfers: Transfers,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._card, self._listings, self._overlay = card, listings, overlay
        self._blocks, self._times, self._clock = blocks, times, clock
        self._spool_folder, self._lost = spool_folder, lost
        self._create_lock = threading.Lock()
        self.nodes = NodeTable()
        self.transfers = transfers

    # --- opening ----------------------------------------------------------------------------------

    def open(self, path: str, flags: int) -> int:
        """A handle on the file at ``path``; raises `FileNotFoundError`, `IsADirectoryError`."""
        number = None
        while number is None:
            number = self.nodes.open(self.at(path), writes=bool(flags & WRITES))
        if flags & os.O_TRUNC:
            try:
                self._empty(self.nodes.handle(number).node)
            except BaseException:
                self.release(number)
                raise
        return number

    def _empty(self, node: Node) -> None:
        """Empty a file that is being opened. As with a new one, that is stored with what is written, or at the end.

        A shell closes a copy of the descriptor right after opening it: uploading then would leave an empty file on
        the printer if the program behind it is killed.
        """
        self.truncate(node, 0)
        if node.spool is not None and not node.is_local:
            node.spool.mark_clean(node.spool.generation)
            node.is_unstored = True

    def create(self, path: str, flags: int) -> int:
        """A handle on a new, empty file at ``path``, which must be free."""
        with self._create_lock:
            if self.nodes.at(path) is None:
                is_local = paths.is_dot_path(path)
                spool = self._overlay.create(path) if is_local else self._new_spool(path)
                node = Node(path, spool=spool)
                node.is_local, node.is_unstored = is_local, not is_local
                node.mtime = int(self._clock())
                number = self.nodes.open(node, writes=True)
                assert number is not None, "nobody else can have finished a node just made"
                return number
        if flags & os.O_EXCL:
            raise os_error(errno.EEXIST, path)
        return self.open(path, flags)

    def at(self, path: str) -> Node:
        """The open node at ``path``, or a new one; raises `FileNotFoundError`, `IsADirectoryError`."""
        node = self.nodes.at(path)
        if node is not None:
            return node
        if paths.is_dot_path(path):
            return self.local_node(path)
        entry = self._listings.lookup(path)
        if entry is None:
            raise os_error(errno.ENOENT, path)
        if entry.is_dir:
            raise os_error(errno.EISDIR, path)
        return Node(path, entry)

    def local_node(self, path: str) -> Node:
        """A new node for what the overlay keeps at ``path``; raises `FileNotFoundError`, `IsADirectoryError`."""
        attributes = self._overlay.attributes(path)
        node = Node(path, spool=self._overlay.open(path))
        node.is_local = True
        node.mtime = attributes.mtime if attributes is not None else int(self._clock())
        return node

    # --- content ----------------------------------------------------------------------------------

    def read(self, number: int, size: int, offset: int) -> bytes:
        """At most ``size`` bytes from ``offset``; fewer at the end."""
        node = self.nodes.handle(number).node
        if node.spool is not None:
            return node.spool.read(size, offset)
        if node.blocks is None:
            self._borrow_blocks(node)
        blocks = node.blocks
        if blocks is None:  # it became local meanwhile
            return self.read(number, size, offset)
        return blocks.read(size, offset)

    def write(self, number: int, data: bytes, offset: int) -> int:
        """Write all of ``data`` at ``offset``; returns its length. Raises ENOSPC when this computer's disk is full."""
        node = self.nodes.handle(number).node
        with self._changing(node):
            spool = self._made_local(node, node.remote.size if node.remote else 0)
            self._with_room(lambda: spool.write(data, offset))
        return len(data)

    def truncate(self, node: Node, length: int) -> None:
        """Cut or extend the file to ``length`` bytes; to nothing costs no download."""
        with self._changing(node):
            if length == 0:
                node.write_error = None
            spool = self._made_local(node, min(length, node.remote.size) if node.remote else 0)
            spool.truncate(length)

    @contextmanager
    def _changing(self, node: Node) -> Iterator[None]:
        """Hold ``node`` still for a change, and remember one that failed: what it left must not reach the printer."""
        interrupts.acquire(node.io_lock)
        try:
            yield
            node.mtime = int(self._clock())
            node.upload_error, node.was_interrupted = None, False
        except OSError as error:
            node.write_error = error
            raise
        finally:
            node.io_lock.release()

    def _with_room(self, change: Callable[[], object]) -> None:
        """Run ``change``, and once more without the block cache's surplus when the local disk is full."""
        try:
            change()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self._blocks.make_room()
            try:
                change()
            except OSError as again_full:
                message = "this computer's disk is full; make room there, or choose another folder with --cache-dir"
                raise OSError(again_full.errno, message, str(self._spool_folder)) from again_full

    def _borrow_blocks(self, node: Node) -> None:
        with node.io_lock:
            if node.blocks is None and node.spool is None and node.remote is not None:
                node.blocks = self._blocks.borrow(node.remote_path, node.remote)

    def _made_local(self, node: Node, keep: int) -> SpoolFile:
        """The node's spool file, made now with the first ``keep`` bytes of what the printer holds. Holds io_lock."""
        if node.spool is not None:
            return node.spool
        spool = self._new_spool(node.path)
        try:
            if keep and node.remote is not None:
                blocks = node.blocks or self._blocks.borrow(node.remote_path, node.remote)
                node.blocks = blocks
                self._with_room(lambda: blocks.copy_to(spool, keep))
        except BaseException:
            spool.discard()
            raise
        node.spool = spool
        self._give_back_blocks(node)
        return spool

    def _new_spool(self, path: str) -> SpoolFile:
        return SpoolFile(self._spool_folder / spool_name(path), create=True)

    def _give_back_blocks(self, node: Node) -> None:
        if node.blocks is not None:
            blocks, node.blocks = node.blocks, None
            self._blocks.give_back(blocks)

    # --- uploading --------------------------------------------------------------------------------

    def flush(self, number: int) -> None:
        """Upload what changed since the last upload; a new file that was never written waits for its release."""
        handle = self.nodes.handle(number)
        if handle.writes and handle.node.is_dirty and not handle.is_cut_off:
            self.upload(handle.node)

    def fsync(self, number: int) -> None:
        """Upload what the printer lacks, a new empty file too."""
        handle = self.nodes.handle(number)
        if handle.node.owes_upload and not handle.is_cut_off:
            self.upload(handle.node)

    def cut_off(self, number: int) -> None:
        """The program behind this handle was killed while it wrote: what it wrote must not replace the file."""
        handle = self.nodes.handle(number)
        if handle.writes and handle.node.owes_upload and handle.node.handles == 1:
            handle.is_cut_off = True

    def release(self, number: int) -> None:
        """The handle is closed for good. Its errors reach nobody, so they are logged and the content is kept."""
        handle = self.nodes.release(number)
        node = handle.node
        if not node.handles:
            node.is_abandoned = handle.is_cut_off
            self.end(node)

    @contextmanager
    def pinned(self, *wanted: str) -> Iterator[list[Node | None]]:
        """The open nodes at the ``wanted`` paths (None where there is none), none of which ends during the block.

        The kernel releases files in its own time, so that one just closed may still be ending.
        """
        nodes = [self.nodes.pin(path) for path in wanted]
        try:
            yield nodes
        finally:
            for node in nodes:
                if node is not None and self.nodes.unpin(node):
                    self.end(node)

    def close(self) -> None:
        """Treat every file as released."""
        for node in self.nodes.all():
            node.handles = node.pins = 0
            self.end(node)

    def end(self, node: Node) -> None:
        """Nobody has ``node`` open any more: store what it owes, and give back, keep or put aside its content."""
        is_wanted = True
        if node.owes_upload and (node.is_abandoned or node.was_interrupted):
            is_wanted = False
            logger.warning("%s: the program that wrote it was stopped; the printer keeps what it had", node.path)
        elif node.write_error is not None and node.owes_upload:
            is_wanted = False
            reason = node.write_error.strerror
            logger.warning("%s: could not be written whole (%s); the printer keeps what it had", node.path, reason)
        elif node.owes_upload and node.upload_error is None:
            self._upload_at_last(node)
        elif node.is_local:
            self._keep_time(node)
        if self.nodes.drop(node):
            self._finish(node, is_wanted=is_wanted)

    def _keep_time(self, node: Node) -> None:
        """Give an overlay's file its time while the node still stands for it; afterwards others may set it.

        Two threads may end a node, and one of them may have been overtaken since it looked: so the time is read and
        set under the lock that `touch` sets it under, on the open file, and only while that is open.
        """
        with node.lock:
            if node.spool is not None and node.mtime is not None and not node.is_finished:
                node.spool.set_time(node.mtime)

    def _upload_at_last(self, node: Node) -> None:
        try:
            self.upload(node)
        except OSError:
            logger.debug("%s: could not be stored at last", node.path, exc_info=True)

    def upload(self, node: Node) -> None:
        """Store the node's content on the printer. Raises why that failed; the content stays in its spool file."""
        interrupts.acquire(node.io_lock)
        try:
            if node.write_error is not None:
                raise again(node.write_error)
            if node.was_interrupted:
                raise Interrupted("storing this file was interrupted; write it again to store it", node.path)
            if node.owes_upload:
                self._upload_locked(node)
        except CalledOff:
            return  # its file was deleted meanwhile
        except BaseException as error:
            node.upload_error, node.was_interrupted = error, isinstance(error, Interrupted)
            self._catch_up(node)
            raise
        finally:
            node.io_lock.release()

    def _upload_locked(self, node: Node) -> None:
        assert node.spool is not None
        generation, size = node.spool.generation, node.spool.size
        mtime = node.mtime if node.mtime is not None else int(self._clock())
        path = self.send(node.spool, node.path, size, mtime, node=node)
        with node.lock:
            old_path, had_old = node.remote_path, node.remote is not None
            node.spool.mark_clean(generation)
            node.remote, node.remote_path = Entry(paths.split(path)[1], False, size, mtime), path
            node.is_unstored, node.upload_error, node.was_interrupted = False, None, False
            late = node.mtime if node.mtime != mtime else None
        if had_old and old_path != path:
            self._card.remove_later(old_path)
        if late is not None:  # set while the upload was running
            self.set_time(path, Attributes(False, size, mtime), late)

    def _catch_up(self, node: Node) -> None:
        """The upload that was to bring a renamed file to its new path failed: rename what the printer has of it."""
        if node.remote is not None and node.remote_path != node.path and not node.is_removed:
            try:
                self._card.rename(node.remote_path, node.path)
                node.remote_path = node.path
            except OSError as error:
                logger.error("%s: is still called %s on the printer: %s", node.path, node.remote_path, error)

    def send(self, spool: Content, path: str, size: int, mtime: int, *, node: Node | None = None) -> str:
        """Store ``spool`` as ``path`` and let listings, times and caches know.

        Returns the path that it got: that of ``node`` may change while the upload runs.
        """
        with self.transfers.running(path, size) as transfer, spool.reader() as source:
            upload = Upload(source, path, size=size, mtime=mtime, on_progress=transfer.progress)
            if node is not None:
                node.upload = upload
            try:
                self._card.store(upload)
            finally:
                if node is not None:
                    node.upload = None
        self._times.remember(upload.path, size, mtime)
        self._blocks.forget(upload.path)
        self._listings.apply(upload.path, Entry(paths.split(upload.path)[1], False, size, mtime))
        return upload.path

    def touch(self, node: Node, mtime: int) -> None:
        """Set the time of an open file: with the upload that is owed, else at once."""
        with node.lock:
            before, node.mtime = node.attributes, mtime
            is_owed = node.is_local or node.is_removed or node.owes_upload
        if not is_owed and before.mtime != mtime:
            self.set_time(node.path, before, mtime)
            if node.remote is not None:
                node.remote = node.remote._replace(mtime=mtime)

    def set_time(self, path: str, attributes: Attributes, mtime: int) -> None:
        """Set the time of a file (or folder) on the printer where it takes times, and remember it here."""
        if not attributes.is_dir:
            self._card.set_time(path, mtime)
        self._times.remember(path, attributes.size, mtime)
        self._listings.apply(path, Entry(paths.split(path)[1], attributes.is_dir, attributes.size, mtime))

    # --- changing sides (for renames; the caller holds io_lock) -------------------------------------

    def become_visible(self, node: Node, path: str, size: int, mtime: int, generation: int) -> None:
        """The overlay's ``node`` was just stored on the printer as ``path``: from now on it is an ordinary file."""
        assert node.spool is not None
        node.spool.mark_clean(generation)
        node.spool.move(self._spool_folder / spool_name(path))
        node.is_local = False
        node.remote, node.remote_path = Entry(paths.split(path)[1], False, size, mtime), path
        node.mtime = mtime
        self.nodes.move(node, path)

    def become_local(self, node: Node, path: str, spool: SpoolFile) -> None:
        """The visible ``node`` was just withdrawn into the overlay as ``path``, with ``spool`` as its content."""
        self._give_back_blocks(node)
        old, node.spool = node.spool, spool
        if old is not None:
            old.discard()
        spool.mark_clean(spool.generation)
        node.is_local, node.is_unstored, node.remote = True, False, None
        self.nodes.move(node, path)

    def copy_of(self, node: Node) -> SpoolFile:
        """A new spool file with all of the node's content."""
        copy = self._new_spool(node.path)
        try:
            if node.spool is not None:
                with node.spool.reader() as source:
                    offset = 0
                    while block := source.read(1024 * 1024):
                        copy.fill(block, offset)
                        offset += len(block)
            elif node.remote is not None:
                self._borrow_blocks(node)
                if node.blocks is not None:
                    node.blocks.copy_to(copy, node.remote.size)
        except BaseException:
            copy.discard()
            raise
        return copy

    # --- the end of a node ------------------------------------------------------------------------

    def _finish(self, node: Node, *, is_wanted: bool) -> None:
        """Nobody has it open any more: give back or keep its content."""
        self._give_back_blocks(node)
        spool = node.take_spool()
        if node.is_removed and node.remote is not None and node.remote_path != node.path:
            self._card.remove_later(node.remote_path)
        if spool is None:
            return
        if node.is_local:
            spool.close()
        elif node.is_removed or (node.owes_upload_of(spool) and not is_wanted):
            spool.discard()
        elif node.owes_upload_of(spool):
            self._lost.put(node.path, spool, node.upload_error)
        else:
            assert node.remote is not None
            self._blocks.adopt(node.remote_path, node.remote, spool)
