"""Debts: which open files owe an upload, and their records in the journal.

A debt is what a program was told to be safe. It has a content of its own: whoever changes the file afterwards works on
a copy, so that a crash in the middle of that, or a writer that is killed, leaves the version before.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..errors import PrinterError
from ..printer import paths
from ..printer.entry import Entry
from .handles import Debt, Node, NodeTable
from .journal import Record, new_id, sync_folder, this_boot
from .local import LocalState
from .spool import SpoolFile

logger = logging.getLogger(__name__)


class Debts:
    """The debts of one mount, whose content takes its room from ``budget``. ``clock`` gives seconds since the epoch."""

    def __init__(
        self,
        local: LocalState,
        nodes: NodeTable,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._journal, self._lost, self._nodes = local.journal, local.lost, nodes
        self._spool_folder, self._clock, self._boot = local.spool_folder, clock, this_boot()
        self._budget = local.budget
        self._lock = threading.Lock()
        self._grievances: dict[str, OSError] = {}

    # --- incurring --------------------------------------------------------------------------------

    def incur(self, node: Node, path: str, *, in_background: bool, place: Path | None = None) -> None:
        """Note that the content of ``node`` as it is now has to become ``path``. The caller holds io_lock.

        In the background means for good: it is forced to the disk. ``place`` is where the content shall be moved, when
        it is not in the spool folder yet. Raises `OSError` when this computer's disk fails; then all is as before.
        """
        with node.debt_lock:
            self._incur_locked(node, path, in_background=in_background, place=place)

    def _incur_locked(self, node: Node, path: str, *, in_background: bool, place: Path | None) -> None:
        spool, old = node.spool, node.debt
        assert spool is not None
        in_background = in_background or (old is not None and old.in_background)
        if in_background:
            spool.sync()
        record = self._described(node, path, spool, old.record if old else None)
        record = replace(record, boot="" if in_background else self._boot)
        if old is not None:  # which may have been stored without our hearing of it
            record = replace(record, sent=old.record.size if old.spool is not spool else old.record.sent)
        if place is not None:
            spool.count_against(self._budget)
            was, inode = self._journal.relative(spool.file), spool.file.stat().st_ino
            record = replace(record, content=self._journal.relative(place), was=was, inode=inode)
        self._journal.write(record, durable=in_background)
        if place is not None:
            self._move(spool, place, record)
        if in_background:
            sync_folder(self._spool_folder)
        self._take_on(node, Debt(record, spool, spool.generation, in_background))

    def _move(self, spool: SpoolFile, place: Path, record: Record) -> None:
        try:
            spool.move(place)
        except BaseException:
            self._journal.strike(record)
            raise

    def _described(self, node: Node, path: str, spool: SpoolFile, old: Record | None) -> Record:
        held = (node.remote.size, node.remote.mtime, node.remote.resolution) if node.remote else None
        return Record(
            id=old.id if old else new_id(),
            path=path,
            content=self._journal.relative(spool.file),
            size=spool.size,
            mtime=node.mtime if node.mtime is not None else int(self._clock()),
            created=old.created if old else self._clock(),
            held=held,
            held_path=node.remote_path if node.remote else "",
        )

    def _take_on(self, node: Node, debt: Debt) -> None:
        debt.spool.is_frozen = True
        with node.lock:
            old, node.debt = node.debt, debt
        if debt.in_background and not (old is not None and old.in_background):
            self._nodes.keep(node)
        if old is not None and old.spool is not debt.spool:
            old.spool.retire()

    def replayed(self) -> list[Node]:
        """A node for each record that an earlier mount left, in the table; the oldest first."""
        nodes = []
        for record in self._journal.records("owed"):
            try:
                spool = SpoolFile(self._journal.file(record), budget=self._budget)
            except OSError as error:
                logger.error("%s: cannot be sent, since its content cannot be read: %s", record.path, error)
                continue
            nodes.append(self._replayed(record, spool))
        return nodes

    def _replayed(self, record: Record, spool: SpoolFile) -> Node:
        held = Entry(paths.split(record.held_path)[1], False, *record.held) if record.held else None
        node = Node(record.path, held, spool=spool)
        node.remote_path = record.held_path or record.path
        node.mtime, node.is_unstored = record.mtime, True
        self._take_on(node, Debt(record, spool, spool.generation, in_background=True))
        return node

    # --- changing ---------------------------------------------------------------------------------

    def update(self, node: Node) -> None:
        """Carry the node's path, its time, and what the printer holds of it over to its record, if it has one."""
        with node.debt_lock:
            debt = node.debt
            if debt is None:
                return
            described = self._described(node, node.path, debt.spool, debt.record)
            changed = replace(
                debt.record,
                path=described.path,
                held=described.held,
                held_path=described.held_path,
                mtime=described.mtime if debt.spool is node.spool else debt.record.mtime,
            )
            self._write(debt, changed)

    def note(self, node: Node, error: OSError, *, counts: bool) -> int:
        """Remember why a try failed; returns how many have that count."""
        with node.debt_lock:
            debt = node.debt
            if debt is None:
                return 0
            self._write(debt, replace(debt.record, reason=sentence(error), tries=debt.record.tries + counts))
            return debt.record.tries

    def _write(self, debt: Debt, record: Record) -> None:
        if record == debt.record:
            return
        debt.record = record
        try:
            self._journal.write(record, durable=debt.in_background)
        except OSError as error:
            logger.error("%s: the journal on this computer cannot be written: %s", record.path, error.strerror)

    # --- ending -----------------------------------------------------------------------------------

    def settle(self, node: Node) -> bool:
        """The printer has what the node holds, or shall never have it: nothing is owed any more.

        Returns whether the node was pinned for it; then the caller unpins it, once it holds none of its locks.
        """
        with node.debt_lock:
            with node.lock:
                debt, node.debt = node.debt, None
            if debt is None:
                return False
            self._journal.strike(debt.record)
        debt.spool.is_frozen = False
        if debt.spool is not node.spool:
            debt.spool.retire()
        return debt.in_background

    def fail(self, node: Node, spool: SpoolFile, error: BaseException | None) -> bool:
        """The content ``spool`` of ``node`` cannot be stored: it goes to lost+found. Returns as `settle` does.

        Those who have the file open go on reading it. Raises `OSError` when this computer's disk does not let it be
        moved; then it is still owed.
        """
        with node.debt_lock:
            debt = node.debt
            record = self._described(node, node.path, spool, debt.record if debt else None)
            self._lost.put(record, spool, sentence(error) if error is not None else "its upload failed")
            with node.lock:
                node.debt, node.is_unstored = None, False
                spool.mark_clean(spool.generation)
            if debt is not None and debt.spool is not spool:
                debt.spool.retire()
        return debt is not None and debt.in_background

    def go_back(self, node: Node) -> None:
        """What was written to ``node`` since it was owed is not wanted: it holds again what it owes."""
        with node.lock:
            debt, spool = node.debt, node.spool
            assert debt is not None
            node.spool, node.mtime, node.is_unstored = debt.spool, debt.record.mtime, True
            node.write_error = None
        if spool is not None and spool is not debt.spool:
            spool.retire()

    def put_aside(self, node: Node, reason: str) -> None:
        """What ``node`` holds may be half a file: it goes to lost+found, and what it owed before is owed still."""
        with node.debt_lock, node.lock:
            spool, debt = node.spool, node.debt
            assert spool is not None
            is_other = debt is not None and debt.spool is not spool
            old = None if debt is None or is_other else debt.record
            record = replace(self._described(node, node.path, spool, old), whole=False)
            try:
                self._lost.put(record, spool, reason)
            except OSError as error:  # the next mount finds it where it is
                logger.error("%s: %s; what was written stays in %s: %s", node.path, reason, spool.file, error.strerror)
            spool.is_frozen, node.is_unstored = True, False
            spool.mark_clean(spool.generation)
            if debt is not None and is_other:
                spool.close()
                node.spool, node.mtime, node.is_unstored = debt.spool, debt.record.mtime, True
            else:
                node.debt = None

    # --- errors that nobody has heard of ----------------------------------------------------------

    def complain(self, path: str, error: OSError) -> None:
        """Keep ``error`` for whoever opens or closes the file at ``path`` next."""
        with self._lock:
            self._grievances[path] = error
            while len(self._grievances) > 1000:
                del self._grievances[next(iter(self._grievances))]

    def complaint(self, path: str) -> OSError | None:
        """The error that is kept for ``path``, once."""
        with self._lock:
            return self._grievances.pop(path, None)


def sentence(error: BaseException) -> str:
    """Why something failed, for a person."""
    if isinstance(error, PrinterError):
        return error.message
    return str(getattr(error, "strerror", None) or error or repr(error))
