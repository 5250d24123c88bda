"""Journal: which files of this computer still have to reach the printer. It survives a crash.

One small JSON record for each, in the folder ``journal`` of the printer's folder; the content lies beside it, in
``spool`` while it is owed, in ``lost+found`` once it has failed. A record is written under another name and renamed,
so that there is the old one or the new one. Where the content changes its place too, the record comes first and names
both places; `load` finishes what was begun.

A record (and its content) that must outlive the computer's power is forced to the disk. Another one carries the boot
in which it was made: after the next boot nobody can tell whether its content ever got to the disk whole.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

logger = logging.getLogger(__name__)

State = Literal["owed", "failed"]

_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "State": (str,),
    "tuple[int, int, int] | None": (list, type(None)),
}


@dataclass(frozen=True)
class Record:
    """A file that the printer lacks.

    ``path`` is where it shall be on the mount, ``content`` where it is now, relative to the printer's folder; sizes in
    bytes, times in seconds since the epoch. ``held`` is what the printer had at ``held_path`` before it: size, time and
    how exact that is in seconds; None when it had nothing. ``sent`` is the size of an earlier version that may have
    reached it unnoticed, -1 without one. ``whole`` is False for what was being written when the mount was killed.
    ``boot`` names the boot within which it may be trusted, empty for any. ``was`` is where the content comes from, and
    ``inode`` its number there, for as long as the move may be unfinished.
    """

    id: str
    path: str
    content: str
    size: int
    mtime: int
    created: float
    held: tuple[int, int, int] | None = None
    held_path: str = ""
    sent: int = -1
    state: State = "owed"
    reason: str = ""
    tries: int = 0
    whole: bool = True
    boot: str = ""
    was: str = ""
    inode: int = 0


def new_id() -> str:
    """A name for a record that no other one has."""
    return secrets.token_hex(8)


def this_boot() -> str:
    """What tells this run of the computer from the others."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


class Journal:
    """The records of one printer's folder ``home``. Safe to call from many threads; one record from one at a time."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._folder = home / "journal"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = threading.Lock()
        self._records: dict[str, Record] = {}
        self._load()

    # --- what is in it ----------------------------------------------------------------------------

    def records(self, state: State) -> list[Record]:
        """Those in ``state``, the oldest first."""
        with self._lock:
            found = [record for record in self._records.values() if record.state == state]
        return sorted(found, key=lambda record: record.created)

    def file(self, record: Record) -> Path:
        """Where its content is on this computer."""
        return self.home / record.content

    def relative(self, file: Path) -> str:
        """``file``, which lies in the printer's folder, as a record names it."""
        return str(file.relative_to(self.home))

    # --- changing it ------------------------------------------------------------------------------

    def write(self, record: Record, *, durable: bool) -> None:
        """Put ``record`` in, replacing the one of its id. ``durable`` forces it to the disk.

        Raises `OSError` when this computer's disk fails; then the old one stands.
        """
        file = self._file(record.id)
        new = file.with_suffix(".new")
        try:
            with open(new, "w", encoding="ascii") as opened:
                opened.write(json.dumps(asdict(record)))
                if durable:
                    opened.flush()
                    os.fsync(opened.fileno())
            os.replace(new, file)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        if durable:
            sync_folder(self._folder)
        with self._lock:
            self._records[record.id] = record

    def strike(self, record: Record) -> None:
        """Take it out: the printer has the file, or nobody wants it there any more."""
        try:
            self._file(record.id).unlink(missing_ok=True)
        except OSError as error:  # then the next mount finds that the printer has it
            logger.error("%s: cannot be struck out of the journal: %s", record.path, error.strerror)
        with self._lock:
            self._records.pop(record.id, None)

    def _file(self, number: str) -> Path:
        return self._folder / f"{number}.json"

    # --- after a crash ----------------------------------------------------------------------------

    def _load(self) -> None:
        for record in self._readable():
            if self._has_content(record):
                self._records[record.id] = record
            else:
                self._file(record.id).unlink(missing_ok=True)
                if record.state == "owed":
                    logger.error("%s: cannot be sent: its content (%s) is gone", record.path, record.content)

    def _readable(self) -> Iterator[Record]:
        for file in sorted(self._folder.iterdir()):
            if file.suffix != ".json":
                file.unlink()
                continue
            try:
                text = file.read_bytes()
                yield parsed(file.stem, text)
            except (OSError, ValueError, RecursionError) as error:
                message = "the note %s on an unsent file is damaged (%s); its content is kept in lost+found"
                logger.error(message, file, error)
                file.unlink(missing_ok=True)

    def _has_content(self, record: Record) -> bool:
        """Whether the content is there, after the move that may have been under way is finished."""
        file, before = self.file(record), self.home / record.was
        if file.is_file():
            return True
        if not record.was or not before.is_file() or before.stat().st_ino != record.inode:
            return False
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.replace(before, file)
        return True


def parsed(number: str, text: bytes) -> Record:
    """The record that ``text`` holds; raises `ValueError` unless it is one through and through."""
    values = json.loads(text)
    if not isinstance(values, dict) or set(values) != {field.name for field in fields(Record)}:
        raise ValueError("it is not a record")
    for field in fields(Record):
        if not isinstance(values[field.name], _TYPES[str(field.type)]):
            raise ValueError(f"its {field.name} is none")
    _check(number, values)
    held = values["held"]
    return Record(**(values | {"held": None if held is None else tuple(held)}))


def _check(number: str, values: dict[str, Any]) -> None:
    """Raise `ValueError` for a record that is of the right shape, and makes no sense."""
    held = values["held"]
    if held is not None and not (len(held) == 3 and all(isinstance(number, int) for number in held)):
        raise ValueError("its held is none")
    for place in (values["content"], values["was"] or "spool"):
        if place.startswith("/") or ".." in place.split("/") or "\0" in place:
            raise ValueError("its content lies elsewhere")
    if values["id"] != number or not values["path"].startswith("/") or values["state"] not in ("owed", "failed"):
        raise ValueError("it contradicts itself")


def sync_folder(folder: Path) -> None:
    """Force the names in ``folder`` to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
