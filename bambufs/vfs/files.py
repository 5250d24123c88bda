"""OpenFiles: the content of files, from open to release, and the uploads between.

The rules: opening costs nothing. flush uploads what changed since the last upload and reports its failure,
or notes it for the background; fsync always uploads. An untouched new file is stored at release. What could not be
uploaded is put aside when the last handle goes, named in the log, and never deleted.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .. import interrupts
from ..errors import again, os_error
from ..printer import paths
from ..printer.card import Card
from ..printer.entry import Entry
from ..printer.parts import Keep
from .blocks import BlockCache
from .contents import Contents
from .debts import Debts
from .handles import Node, NodeTable
from .listings import ListingCache
from .overlay import Overlay
from .spool import SpoolFile
from .uploads import Uploads, check_wanted
from .writeback import WriteBack

logger = logging.getLogger(__name__)

WRITES = os.O_WRONLY | os.O_RDWR
"""The open flags that allow writing."""

_CUT_SHORT = "the mount ended while a program was still writing it, so that it may be half a file"

_RELEASE_PATIENCE = 1.0
"""Seconds; it takes milliseconds, unless somebody else goes on with the killed program's descriptor."""


class OpenFiles:
    """Opens, reads, writes and uploads files. Safe to call from many threads."""

    def __init__(
        self,
        card: Card,
        listings: ListingCache,
        overlay: Overlay,
        blocks: BlockCache,
        nodes: NodeTable,
        contents: Contents,
        uploads: Uploads,
        debts: Debts,
        *,
        write_back: float | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._card, self._listings, self._overlay, self._blocks = card, listings, overlay, blocks
        self.nodes, self.contents, self._uploads, self._debts = nodes, contents, uploads, debts
        self._clock = clock
        self._create_lock = threading.Lock()
        self.in_background = write_back is not None
        self._write_back = self.write_back = WriteBack(
            self, quiet=write_back or 0.0, at_once=lambda: card.stores_at_once, clock=monotonic
        )

    # --- opening ----------------------------------------------------------------------------------

    def open(self, path: str, flags: int) -> int:
        """A handle on the file at ``path``; raises `FileNotFoundError`, `IsADirectoryError`.

        Raises, once, why the version that was written before could not be stored in the background.
        """
        self._raise_complaint(path)
        number = None
        while number is None:
            number = self.nodes.open(self.at(path), writes=bool(flags & WRITES))
        if flags & os.O_TRUNC:
            try:
                self.contents.empty(self.nodes.handle(number).node)
            except BaseException:
                self.release(number)
                raise
        return number

    def create(self, path: str, flags: int) -> int:
        """A handle on a new, empty file at ``path``, which must be free."""
        with self._create_lock:
            if self.nodes.at(path) is None:
                is_local = paths.is_dot_path(path)
                spool = self._overlay.create(path) if is_local else self.contents.new_spool(path)
                node = Node(path, spool=spool)
                self._debts.complaint(path)  # it is written anew
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
        if node is not None and node.is_abandoned:
            self._await_end(node)
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

    @staticmethod
    def _await_end(node: Node) -> None:
        """Wait for a moment until the kernel releases what a killed writer has left: nobody shall see its half file."""
        deadline = time.monotonic() + _RELEASE_PATIENCE
        while node.is_abandoned and not node.is_finished and time.monotonic() < deadline:
            interrupts.check()
            time.sleep(0.002)

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
        return self.contents.read(self.nodes.handle(number).node, size, offset)

    def write(self, number: int, data: bytes | memoryview, offset: int) -> int:
        """Write all of ``data`` at ``offset``; returns its length. Raises ENOSPC when this computer's disk is full."""
        handle = self.nodes.handle(number)
        written = self.contents.write(handle.node, data, offset)
        handle.is_flushed = False
        handle.is_cut_off = False  # somebody goes on with the descriptor of a program that was killed
        return written

    # --- the end of an opening --------------------------------------------------------------------

    def flush(self, number: int) -> None:
        """Store what changed since it was stored last; a new file that was never written waits for its release.

        Raises why that failed, or why an earlier version of the file could not be stored in the background.
        """
        handle = self.nodes.handle(number)
        handle.is_flushed = True
        node = handle.node
        if handle.writes and not handle.is_cut_off and (node.is_dirty or node.is_noted):
            self._hand_over(node)
        self._raise_complaint(node.path)

    def fsync(self, number: int) -> None:
        """Upload what the printer lacks, a new empty file too, and wait for it."""
        handle = self.nodes.handle(number)
        if handle.node.owes_upload and not handle.is_cut_off:
            self.upload(handle.node)

    def _hand_over(self, node: Node) -> None:
        """Store the content of ``node``: now, or in the background when that was asked for."""
        if node.is_noted:
            check_wanted(node)
            return
        if self.in_background and self._uploads.owe(node):
            self._write_back.owe(node)
        else:
            self.upload(node)

    def upload(self, node: Node) -> None:
        """Store the node's content on the printer. Raises why that failed; the content stays on this computer."""
        try:
            self._let_go(node, self._uploads.upload(node))
        finally:
            if node.is_noted:
                self._write_back.owe(node)

    def _let_go(self, node: Node, was_pinned: bool) -> None:
        """``node`` owes nothing any more, for which it may have been pinned."""
        if was_pinned:
            self._write_back.drop(node)
            if self.nodes.unpin(node):
                self.end(node)

    def _raise_complaint(self, path: str) -> None:
        error = self._debts.complaint(path)
        if error is not None:
            raise again(error)

    def cut_off(self, number: int) -> str | None:
        """The program behind this handle was killed while it wrote: what it wrote must not replace the file.

        Returns the path of the file, which is what it was from now on; None when nothing is lost.
        """
        handle = self.nodes.handle(number)
        if handle.writes and handle.node.owes_upload and not handle.node.is_noted and handle.node.handles == 1:
            handle.is_cut_off = handle.node.is_abandoned = True
            return handle.node.path
        return None

    def release(self, number: int) -> None:
        """The handle is closed for good. Its errors reach nobody, so they are logged and the content is kept."""
        handle = self.nodes.release(number)
        node = handle.node
        if not node.handles:
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

    def end(self, node: Node) -> None:
        """Nobody has ``node`` open any more: see to what it owes, and give back, keep or put aside its content."""
        is_wanted = self._conclude(node)
        self.contents.stop_sending(node)
        if self.nodes.is_in_use(node):
            return  # by whoever ends it then
        with node.io_lock:  # whoever has just stored it may still be setting a time that came late
            is_over = self.nodes.drop(node)
        if is_over:
            self._finish(node, is_wanted=is_wanted)

    def _conclude(self, node: Node) -> bool:
        """See to what ``node`` owes; returns whether its content is wanted if it still owes it after that."""
        is_wanted = True
        if node.owes_upload and not node.is_noted:
            why_not = _unwanted(node)
            if why_not:
                is_wanted = False
                before = node.debt is not None and node.debt.in_background
                remains = "the version before it is sent" if before else "the printer keeps what it had"
                logger.warning("%s: %s; %s", node.path, why_not, remains)
                if before:
                    self._debts.go_back(node)
            elif node.upload_error is None:
                self._hand_over_at_last(node)
        elif node.is_local:
            self._keep_time(node)
        elif node.is_noted:
            node.write_error, node.was_interrupted = None, False  # what failed was a change that nothing is left of
        return is_wanted

    def _keep_time(self, node: Node) -> None:
        """Give an overlay's file its time while the node still stands for it; afterwards others may set it.

        Two threads may end a node, and one of them may have been overtaken since it looked: so the time is read and
        set under the lock that `touch` sets it under, on the open file, and only while that is open.
        """
        with node.lock:
            if node.spool is not None and node.mtime is not None and not node.is_finished:
                node.spool.set_time(node.mtime)

    def _hand_over_at_last(self, node: Node) -> None:
        try:
            self._hand_over(node)
        except OSError:
            logger.debug("%s: could not be stored at last", node.path, exc_info=True)

    def _finish(self, node: Node, *, is_wanted: bool) -> None:
        """Nobody has it open any more: give back or keep its content."""
        self.contents.give_back_blocks(node)
        spool = node.take_spool()
        if node.is_removed and node.remote is not None and node.remote_path != node.path:
            self._card.remove_later(node.remote_path)
        if spool is None:
            return
        owes = node.owes_upload_of(spool)
        if node.is_local:
            spool.close()
        elif owes and is_wanted and not node.is_removed:
            self._debts.fail(node, spool, node.upload_error)
            spool.close()
        elif owes or node.is_removed:
            self._debts.settle(node)
            spool.discard()
        elif spool.is_frozen:
            spool.close()  # it is in lost+found
        else:
            assert node.remote is not None
            self._blocks.adopt(node.remote_path, node.remote, spool)

    # --- what is owed -----------------------------------------------------------------------------

    def replay(self) -> None:
        """Take on what an earlier mount still owed."""
        for node in self._debts.replayed():
            self._write_back.owe(node)

    def is_in_use(self, node: Node) -> bool:
        """See `Payer`."""
        return self.nodes.is_being_written(node)

    def pay(self, node: Node) -> None:
        """See `Payer`."""
        self._let_go(node, self._uploads.pay(node))

    def note(self, node: Node, error: OSError, *, counts: bool) -> int:
        """See `Payer`."""
        return self._debts.note(node, error, counts=counts)

    def give_up(self, node: Node, error: OSError) -> None:
        """See `Payer`."""
        self._let_go(node, self._uploads.give_up(node, error))

    def forgive(self, node: Node) -> None:
        """``node`` is gone, or holds what is wanted elsewhere: it owes nothing. The caller has it pinned."""
        self._let_go(node, self._debts.settle(node))

    def disown(self, path: str, *, besides: Node | None = None) -> None:
        """See `Uploads.disown`."""
        self._uploads.disown(path, besides=besides)

    def moved(self, node: Node, path: str) -> None:
        """``node`` is now at ``path``; what it owes goes with it."""
        self._uploads.moved(node, path)

    def close(self) -> None:
        """Treat every file as released, but half of one that is being written does not replace what there is.

        What is owed in the background stays so.
        """
        for node in self.nodes.release_all():
            if node.owes_upload and not node.is_noted and not node.is_abandoned:
                with node.io_lock:
                    self._debts.put_aside(node, _CUT_SHORT)
        for node in self.nodes.all():
            self.end(node)

    def let_go(self) -> None:
        """Nothing will be sent any more: what is owed stays in the journal for the next mount."""
        for node in self.nodes.all():
            spool = node.take_spool()
            if spool is not None:
                spool.close()

    # --- changing sides (for renames; the caller holds io_lock) -------------------------------------

    def publish(self, node: Node, path: str, keep: Keep | None = None) -> None:
        """Store the overlay's ``node`` as the visible ``path``, now or in the background. Raises why that failed.

        See `Upload` for ``keep``, which does not count for the background.
        """
        assert node.spool is not None
        place = self.contents.new_place(path)
        if self.in_background:
            try:
                self._debts.incur(node, path, in_background=True, place=place)
            except OSError as error:
                logger.warning("%s: cannot be noted in the journal on this computer: %s", path, error.strerror)
            else:
                node.is_local, node.is_unstored = False, True
                self.nodes.move(node, path)
                self._write_back.owe(node)
                return
        generation, size, mtime = node.spool.generation, node.spool.size, node.attributes.mtime
        self._uploads.send(node.spool, path, size, mtime, keep=keep)
        node.spool.mark_clean(generation)
        node.spool.move(place)
        node.is_local = False
        node.remote, node.remote_path = Entry(paths.split(path)[1], False, size, mtime), path
        node.mtime = mtime
        self.nodes.move(node, path)

    def become_local(self, node: Node, path: str, spool: SpoolFile) -> None:
        """The visible ``node`` was just withdrawn into the overlay as ``path``, with ``spool`` as its content."""
        self.contents.give_back_blocks(node)
        self.forgive(node)
        old, node.spool = node.spool, spool
        if old is not None:
            old.retire()
        spool.mark_clean(spool.generation)
        node.is_local, node.is_unstored, node.remote = True, False, None
        self.nodes.move(node, path)


def _unwanted(node: Node) -> str:
    """Why the content of ``node``, which nobody writes to any more, must not reach the printer; empty if it may."""
    if node.is_abandoned or node.was_interrupted:
        return "the program that wrote it was stopped"
    if node.write_error is not None:
        return f"could not be written whole ({node.write_error.strerror})"
    return ""
