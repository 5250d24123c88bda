"""Recovery: what is kept of a printer's files on this computer and has not reached it; without a mount."""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from ..printer import paths
from .journal import Journal, Record
from .lost import LostFound
from .spool import spool_name

_UNKNOWN = "nothing is known about it any more"


@dataclass(frozen=True)
class Kept:
    """One file: its ``record``, and where its content is. ``is_owed`` tells that the next mount sends it by itself."""

    record: Record
    file: Path

    @property
    def is_owed(self) -> bool:
        """Whether it only waits."""
        return self.record.state == "owed"


class Recovery:
    """What lies in the printer's folder ``home``, which no mount uses meanwhile."""

    def __init__(self, home: Path) -> None:
        self._journal = Journal(home)
        LostFound(self._journal).rescue(home / "spool")

    def kept(self) -> list[Kept]:
        """All of it: what is owed, the oldest first, then what is in lost+found."""
        records = [*self._journal.records("owed"), *self._journal.records("failed")]
        known = [Kept(record, self._journal.file(record)) for record in records]
        return [*known, *self._strangers({kept.file for kept in known})]

    def _strangers(self, known: set[Path]) -> list[Kept]:
        """Files in lost+found that the journal does not name."""
        folder = self._journal.home / "lost+found"
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        return [Kept(self._described(file), file) for file in files if file.is_file() and file not in known]

    def _described(self, file: Path) -> Record:
        status = file.stat()
        content, mtime = self._journal.relative(file), int(status.st_mtime)
        return Record(
            "", f"/{file.name}", content, status.st_size, mtime, status.st_mtime,
            state="failed", reason=_UNKNOWN, whole=False,
        )  # fmt: skip

    def send_again(self, kept: Kept) -> None:
        """Let the next mount send a file of lost+found; one that has changed on the printer meanwhile is not replaced.

        Raises `OSError` when this computer's disk fails.
        """
        place = self._journal.home / "spool" / spool_name(kept.record.path)
        owed = replace(
            kept.record, state="owed", reason="", tries=0, boot="", size=kept.file.stat().st_size,
            content=self._journal.relative(place), was=kept.record.content, inode=kept.file.stat().st_ino,
        )  # fmt: skip
        self._journal.write(owed, durable=True)
        os.replace(kept.file, place)

    def export(self, kept: Kept, folder: Path) -> Path:
        """Copy it into ``folder``, under its path on the printer; returns where it is. It stays kept here too."""
        names = [name for name in paths.parts(kept.record.path) if name not in (".", "..")] or ["file"]
        wanted = place = folder.joinpath(*names)
        wanted.parent.mkdir(parents=True, exist_ok=True)
        numbers = itertools.count(2)
        while place.exists():
            place = wanted.with_name(f"{wanted.stem} ({next(numbers)}){wanted.suffix}")
        shutil.copyfile(kept.file, place)
        os.utime(place, (kept.record.mtime, kept.record.mtime))
        return place

    def discard(self, kept: Kept) -> None:
        """Delete it for good."""
        kept.file.unlink(missing_ok=True)
        if kept.record.id:
            self._journal.strike(kept.record)
