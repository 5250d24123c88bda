"""Contents: reading and writing open files, on this computer as far as they are here.

Reading fetches what is read. The first write makes a file local: emptied at once when it is cut to nothing, fetched
first otherwise. What is owed to the printer is never changed: who writes to it goes on with a copy.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import interrupts
from ..errors import SpoolFull
from .blocks import BlockCache
from .handles import Node
from .local import LocalState
from .spool import SpoolFile, spool_name
from .streaming import Streams


class Contents:
    """The contents of nodes; new ones in the spool folder of ``local``. ``clock``: seconds since the epoch."""

    def __init__(
        self,
        blocks: BlockCache,
        streams: Streams,
        local: LocalState,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._blocks, self._streams, self._clock = blocks, streams, clock
        self._spool_folder, self._budget = local.spool_folder, local.budget

    def read(self, node: Node, size: int, offset: int) -> bytes:
        """At most ``size`` bytes from ``offset``; fewer at the end."""
        spool = node.spool
        if spool is not None:
            return spool.read(size, offset)
        if node.blocks is None:
            self._borrow_blocks(node)
        blocks = node.blocks
        if blocks is not None:
            try:
                return blocks.read(size, offset)
            except OSError:
                if node.blocks is blocks:
                    raise
        elif node.remote is None and node.spool is None:
            return b""  # it was empty, and has been deleted
        return self.read(node, size, offset)  # it became local meanwhile

    def write(self, node: Node, data: bytes | memoryview, offset: int) -> int:
        """Write all of ``data`` at ``offset``; returns its length. Raises ENOSPC when this computer's disk is full."""
        with self._changing(node):
            spool = self._made_own(node)
            self._with_room(lambda: spool.write(data, offset))
            self._streams.wrote(node, offset, len(data))
        self._streams.hold_back(node)
        return len(data)

    def truncate(self, node: Node, length: int) -> None:
        """Cut or extend the file to ``length`` bytes; to nothing costs no download."""
        with self._changing(node):
            self._cut(node, length)

    def empty(self, node: Node) -> None:
        """Cut to nothing a file that is being opened. As with a new one, that is stored with what is written, or at the
        end: a shell closes a copy of the descriptor right after opening it, and uploading then would leave an empty
        file on the printer if the program behind it is killed.
        """
        with self._changing(node):
            spool = self._cut(node, 0)
            if not node.is_local:
                spool.mark_clean(spool.generation)
                node.is_unstored = True

    def _cut(self, node: Node, length: int) -> SpoolFile:
        if length == 0:
            node.write_error = None
        spool = self._made_own(node, length)
        spool.truncate(length)
        self._streams.cut(node, length)
        return spool

    @contextmanager
    def _changing(self, node: Node) -> Iterator[None]:
        """Hold ``node`` still for a change, and remember one that failed: what it left must not reach the printer."""
        node.make_way()
        while not node.io_lock.acquire(timeout=interrupts.STEP):
            interrupts.check()
            node.make_way()
        try:
            yield
            node.mtime = int(self._clock())
            node.upload_error, node.was_interrupted, node.is_abandoned = None, False, False
        except Exception as error:
            node.write_error = error if isinstance(error, OSError) else OSError(errno.EIO, os.strerror(errno.EIO))
            self._streams.abandon(node)
            raise
        finally:
            node.io_lock.release()

    def _with_room(self, change: Callable[[], object]) -> None:
        """Run ``change``, and once more without the block cache's surplus when the local disk is full."""
        try:
            change()
        except OSError as error:
            if error.errno != errno.ENOSPC or isinstance(error, SpoolFull):
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
                with node.lock:  # it may be renamed on the printer just now
                    node.blocks = self._blocks.borrow(node.remote_path, node.remote)

    def _made_own(self, node: Node, keep: int | None = None) -> SpoolFile:
        """A spool file of the node that may be changed, made now if need be with the first ``keep`` bytes of what it
        holds (all of it by default): on the printer, or in the journal. The caller holds io_lock."""
        before = node.spool
        if before is not None and not before.is_frozen:
            return before
        size = before.size if before is not None else node.remote.size if node.remote is not None else 0
        keep = size if keep is None else min(keep, size)
        spool = self.new_spool(node.path)
        try:
            if keep and before is not None:
                self._with_room(lambda: before.copy_to(spool, keep))
            elif keep and node.remote is not None:
                blocks = node.blocks or self._blocks.borrow(node.remote_path, node.remote)
                node.blocks = blocks
                self._with_room(lambda: blocks.copy_to(spool, keep))
        except BaseException:
            spool.discard()
            raise
        node.spool = spool
        if before is not None and not before.is_frozen:  # nothing is owed any more since it was looked at
            before.retire()
        self.give_back_blocks(node)
        return spool

    def stop_sending(self, node: Node) -> None:
        """Nobody writes to ``node`` any more, and it has been stored or is not wanted."""
        self._streams.abandon(node)

    def new_place(self, path: str) -> Path:
        """Where a new spool file for ``path`` shall be."""
        return self._spool_folder / spool_name(path)

    def new_spool(self, path: str) -> SpoolFile:
        """A new, empty spool file for ``path``."""
        spool = SpoolFile(self.new_place(path), create=True, budget=self._budget)
        spool.label(path)
        return spool

    def give_back_blocks(self, node: Node) -> None:
        """``node`` is not read through the block cache any more."""
        if node.blocks is not None:
            blocks, node.blocks = node.blocks, None
            self._blocks.give_back(blocks)

    def copy_of(self, node: Node) -> SpoolFile:
        """A new spool file with all of the node's content."""
        copy = self.new_spool(node.path)
        try:
            if node.spool is not None:
                node.spool.copy_to(copy, node.spool.size)
            elif node.remote is not None:
                self._borrow_blocks(node)
                if node.blocks is not None:
                    node.blocks.copy_to(copy, node.remote.size)
        except BaseException:
            copy.discard()
            raise
        return copy
