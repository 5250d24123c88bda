"""LostFound: where content is kept that did not reach the printer. Nothing in it is ever deleted here."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from .journal import Journal, Record, new_id, this_boot
from .spool import SpoolFile, label_of, spool_name

logger = logging.getLogger(__name__)

_POWER_CUT = "the computer went down before it was sent; look whether it is whole"
_CHANGED = "it is not as long as it was when it was closed; look whether it is whole"
_UNFINISHED = "the last mount was killed while it was being written; it may be half a file"
_DOUBLE = "another file took its name before it was sent"


class LostFound:
    """The folder ``lost+found`` beside ``journal``, which has a record with path and reason for all that is in it."""

    def __init__(self, journal: Journal, clock: Callable[[], float] = time.time) -> None:
        self._journal, self._clock = journal, clock
        self._folder = journal.home / "lost+found"

    def put(self, record: Record, spool: SpoolFile, reason: str) -> None:
        """Keep ``spool``, which ``record`` describes and which cannot be sent; an empty one is not worth it."""
        if not spool.size:
            logger.error("%s: the empty file was not stored on the printer: %s", record.path, reason)
            self._journal.strike(record)
            spool.retire()
            return
        kept = self._place(spool_name(record.path))
        self._note(record, spool.file, kept, reason)
        spool.move(kept)
        spool.is_frozen = True
        message = "%s: was not stored on the printer (%s); what was written is kept in %s"
        logger.error(message, record.path, reason, kept)

    def rescue(self, spool_folder: Path) -> None:
        """After a crash: keep what ``spool_folder`` holds that cannot simply be sent; make the folder if need be."""
        spool_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        owed = self._sendable()
        for file in sorted(spool_folder.iterdir()):
            if self._journal.relative(file) not in owed:
                self._keep_unfinished(file)
        self._sum_up()

    def _sendable(self) -> set[str]:
        """The content of what is owed; without what is not whole for certain, and older files of the same name."""
        newest: dict[str, Record] = {}
        for record in self._journal.records("owed"):
            file = self._journal.file(record)
            why_not = self._doubts(record, file)
            if why_not:
                self._put_aside(record, file, why_not, whole=False)
                continue
            if record.path in newest:
                older = newest[record.path]
                self._put_aside(older, self._journal.file(older), _DOUBLE)
            newest[record.path] = record
        return {record.content for record in newest.values()}

    def _doubts(self, record: Record, file: Path) -> str:
        """Why ``file`` may not be whole; empty when it is as it was noted."""
        if record.boot not in ("", this_boot()):
            return _POWER_CUT
        return "" if file.stat().st_size == record.size else _CHANGED

    def _keep_unfinished(self, file: Path) -> None:
        path = label_of(file) or f"/{file.name.partition(' ')[2] or file.name}"
        size, mtime = file.stat().st_size, int(file.stat().st_mtime)
        if not size:
            file.unlink()  # nothing had been written yet
            return
        record = Record(new_id(), path, self._journal.relative(file), size, mtime, self._clock())
        self._put_aside(record, file, _UNFINISHED, whole=False)

    def _put_aside(self, record: Record, file: Path, reason: str, *, whole: bool = True) -> None:
        try:
            kept = self._place(file.name if whole else f"unfinished {file.name}")
            self._note(replace(record, whole=whole), file, kept, reason)
            file.replace(kept)
        except OSError as error:
            logger.error("%s: %s. It stays in %s, since: %s", record.path, reason, file, error.strerror)
        else:
            logger.warning("%s: %s. It is kept in %s", record.path, reason, kept)

    def _note(self, record: Record, file: Path, kept: Path, reason: str) -> None:
        """Write into the journal where the content is going to be, before it is moved. It must be moved in any case."""
        home = self._journal
        inode, was = file.stat().st_ino, home.relative(file)
        failed = replace(
            record, state="failed", reason=reason, content=home.relative(kept), was=was, inode=inode, boot=""
        )
        try:
            home.write(failed, durable=True)
        except OSError as error:
            logger.error("%s: why it was kept cannot be noted on this computer: %s", record.path, error.strerror)
            home.strike(record)

    def _sum_up(self) -> None:
        kept = self._journal.records("failed")
        if kept:
            total = sum(record.size for record in kept) / 1e6
            number = "1 file" if len(kept) == 1 else f"{len(kept)} files"
            logger.info(
                "%s (%.1f MB) that did not reach the printer: %s (bambufs recover lists them)",
                number, total, self._folder,
            )  # fmt: skip

    def _place(self, name: str) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        stamp = time.strftime("%Y-%m-%d %H.%M.%S", time.localtime(self._clock()))
        return self._folder / f"{stamp} {name}"
