"""Open files: a `Node` for each file that is open or owes an upload, and the table of them.

Keyed by node, not by path: a rename gives the node another path, and everything that is open stays open.
"""

from __future__ import annotations

import errno
import itertools
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import os_error
from ..printer import paths
from ..printer.entry import Entry
from ..printer.upload import Upload
from .attributes import Attributes
from .fetching import RemoteFile
from .journal import Record
from .spool import SpoolFile

if TYPE_CHECKING:
    from .streaming import Stream


@dataclass(eq=False)
class Debt:
    """What is owed of one node: the content ``spool`` as of ``generation``.

    ``in_background`` tells that no program waits for it, so that somebody else has to see to it.
    """

    record: Record
    spool: SpoolFile
    generation: int
    in_background: bool


class Node:
    """One file while it is open.

    ``remote`` is what the printer holds of it, at ``remote_path``; None when it holds nothing yet. ``spool`` is the
    local content once there is any; a clean file is read through ``blocks`` instead. ``mtime`` is the time it shall
    have, when that differs from the printer's. ``is_local`` marks one of the overlay, which is never uploaded,
    ``is_unstored`` one that was made or emptied by being opened, ``is_abandoned`` one whose writer was killed,
    ``is_finished`` one that nobody has open or pinned any more. ``debt`` is what the journal knows of it.
    After a write that failed, ``write_error`` keeps the half-written content off the printer. ``upload`` is the one
    that runs, ``gives_way`` that it is called off when somebody wants to change the file. ``stream`` sends it while it
    is written, ``in_order`` is how far it was written without a jump, or -1. ``io_lock`` is held while the content is
    being written, fetched for a change, uploaded or renamed; ``lock`` only to decide together about ``mtime`` and
    whether an upload is still owed.
    """

    def __init__(self, path: str, remote: Entry | None = None, *, spool: SpoolFile | None = None) -> None:
        self.path = path
        self.remote, self.remote_path = remote, path
        self.spool = spool
        self.blocks: RemoteFile | None = None
        self.mtime: int | None = None
        self.is_local = False
        self.is_removed = False
        self.is_unstored = False
        self.upload_error: BaseException | None = None
        self.was_interrupted = False
        self.write_error: OSError | None = None
        self.upload: Upload | None = None
        self.stream: Stream | None = None
        self.in_order = 0
        self.gives_way = False
        self.debt: Debt | None = None
        self.debt_lock = threading.RLock()
        """Held while a record of its debt is made and written, so that a newer one is not overwritten by an older."""
        self.is_finished = False
        self.handles = self.pins = 0
        self.is_abandoned = False
        self.io_lock = threading.Lock()
        self.lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<Node {self.path!r} handles={self.handles}{' owes' if self.owes_upload else ''}>"

    @property
    def is_dirty(self) -> bool:
        """Whether its content changed since the last upload."""
        return self.spool is not None and self.spool.is_dirty

    @property
    def owes_upload(self) -> bool:
        """Whether the printer lacks what it holds: it was written, or made or emptied by being opened."""
        is_of_the_printer = not (self.is_local or self.is_removed or self.is_finished)
        return is_of_the_printer and (self.is_dirty or self.is_unstored)

    @property
    def left_behind(self) -> str | None:
        """Where the printer has an older version of it, when that is not at its path any more."""
        return self.remote_path if self.remote is not None and self.remote_path != self.path else None

    def owes_upload_of(self, spool: SpoolFile) -> bool:
        """Whether ``spool``, just taken from it, holds what the printer lacks."""
        return self.is_unstored or spool.is_dirty

    def make_way(self) -> None:
        """Somebody wants to change it: an upload that gives way is called off. Never waits."""
        upload = self.upload
        if self.gives_way and upload is not None:
            upload.call_off()

    def moved_on_printer(self, path: str) -> None:
        """What the printer has of it is at ``path`` now."""
        with self.lock:
            self.remote_path = path
            if self.blocks is not None:
                self.blocks.moved(path)

    @property
    def is_noted(self) -> bool:
        """Whether all that the printer lacks of it is in the journal for good, so that nobody has to wait for it."""
        debt = self.debt
        return (
            debt is not None
            and debt.in_background
            and debt.spool is self.spool
            and debt.generation == debt.spool.generation
        )

    @property
    def attributes(self) -> Attributes:
        """Its size and time as of now; of no use once it is finished.

        When its writer was killed, those of what the printer holds, which it will go back to.
        """
        with self.lock:
            if self.is_abandoned and self.remote is not None:
                return Attributes(False, self.remote.size, self.remote.mtime)
            size = self.spool.size if self.spool is not None else self.remote.size if self.remote else 0
            mtime = self.mtime if self.mtime is not None else self.remote.mtime if self.remote else 0
            return Attributes(False, size, mtime)

    def take_spool(self) -> SpoolFile | None:
        """Its spool file, which it has no more."""
        with self.lock:
            spool, self.spool = self.spool, None
            return spool


@dataclass(eq=False)
class Handle:
    """One opening of a node."""

    node: Node
    writes: bool
    is_cut_off: bool = False
    """The program that wrote was killed in the middle: what it wrote must not replace the file."""
    is_flushed: bool = False
    """A descriptor of it was closed since it was written to last, or opened."""


class NodeTable:
    """The nodes by path and the handles by number. One lock; nothing here does I/O."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nodes: dict[str, Node] = {}
        self._handles: dict[int, Handle] = {}
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._nodes)

    def at(self, path: str) -> Node | None:
        """The node at ``path``, if it is open."""
        return self._nodes.get(path)

    def handle(self, number: int) -> Handle:
        """The handle of that number; raises EBADF."""
        handle = self._handles.get(number)
        if handle is None:
            raise os_error(errno.EBADF, str(number))
        return handle

    def open(self, node: Node, *, writes: bool) -> int | None:
        """A new handle on ``node``, or on the node that another thread has put at its path meanwhile.

        None when ``node`` has been finished meanwhile, so that the caller has to look again.
        """
        with self._lock:
            if node.is_finished:
                return None
            node = self._nodes.setdefault(node.path, node)
            node.handles += 1
            number = next(self._numbers)
            self._handles[number] = Handle(node, writes)
            return number

    def is_being_written(self, node: Node, *, besides: int | None = None) -> bool:
        """Whether somebody has ``node`` open for writing, by another handle than ``besides``."""
        with self._lock:
            return any(
                handle.writes and handle.node is node and number != besides
                for number, handle in self._handles.items()
            )

    def release(self, number: int) -> Handle:
        """Take the handle away; its node stays until `drop`."""
        with self._lock:
            handle = self._handles.pop(number)
            handle.node.handles -= 1
            return handle

    def release_all(self) -> list[Node]:
        """Take every handle and pin away, but for those of nodes that owe an upload in the background.

        Returns the nodes that somebody was still writing to.
        """
        with self._lock:
            unfinished = {handle.node for handle in self._handles.values() if handle.writes and not handle.is_flushed}
            self._handles.clear()
            for node in self._nodes.values():
                node.handles = 0
                node.pins = int(node.debt is not None and node.debt.in_background)
            return list(unfinished)

    def is_in_use(self, node: Node) -> bool:
        """Whether somebody has ``node`` open or pinned."""
        with self._lock:
            return bool(node.handles or node.pins)

    def drop(self, node: Node) -> bool:
        """Forget ``node`` if nobody has it open or pinned; returns whether it did, which is true only once."""
        with self._lock:
            if node.handles or node.pins or node.is_finished:
                return False
            if self._nodes.get(node.path) is node:
                del self._nodes[node.path]
            node.is_finished = True
            return True

    def pin(self, path: str) -> Node | None:
        """The open node at ``path``, kept from being finished until `unpin`; None when there is none."""
        with self._lock:
            node = self._nodes.get(path)
            if node is not None:
                node.pins += 1
            return node

    def keep(self, node: Node) -> None:
        """Pin ``node`` itself, and put it at its path if it is not there."""
        with self._lock:
            node.pins += 1
            self._nodes.setdefault(node.path, node)

    def unpin(self, node: Node) -> bool:
        """End a `pin`; returns whether nobody has the node open or pinned any more, so that it is to be ended."""
        with self._lock:
            node.pins -= 1
            return not node.handles and not node.pins

    def detach(self, node: Node) -> None:
        """Take ``node`` off its path: it was deleted, and lives on for those who have it open."""
        with self._lock:
            if self._nodes.get(node.path) is node:
                del self._nodes[node.path]
            node.is_removed = True

    def move(self, node: Node, path: str) -> None:
        """Put ``node`` at ``path``."""
        with self._lock:
            if self._nodes.get(node.path) is node:
                del self._nodes[node.path]
            node.path = path
            if node.handles or node.pins:
                self._nodes[path] = node

    def below(self, folder: str) -> list[Node]:
        """The nodes somewhere inside ``folder``."""
        with self._lock:
            return [node for path, node in self._nodes.items() if paths.is_below(path, folder)]

    def in_folder(self, folder: str) -> list[Node]:
        """The nodes right inside ``folder``."""
        with self._lock:
            return [node for path, node in self._nodes.items() if paths.parent(path) == folder]

    def all(self) -> list[Node]:
        """Every node."""
        with self._lock:
            return list(self._nodes.values())
