"""SparseFile: the part of a remote file that is on this computer, and the note by which a later mount goes on with it.

Two files in one folder: a sparse one with the content, and beside it, once there is reason to trust it later, a note
that says of which version of which remote file it is, and which ranges of it are there.

- A note is written after the content that it speaks of, under another name, and renamed. So whenever the process is
  killed, the note names no byte that is not there.
- The note carries the boot in which it was written, unless its content was forced to the disk before. After the next
  boot nobody can tell what of the rest got to the disk, and it is not used.
- The note has a checksum. One that is damaged, or that is about more than there is, is dropped with its content.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ..printer.download import Version
from ..printer.entry import Entry
from .journal import this_boot
from .ranges import RangeSet
from .spool import SpoolFile

logger = logging.getLogger(__name__)

_NOTE = ".json"


class Kept(NamedTuple):
    """What an earlier mount left: ``spans`` of the version ``size``, ``mtime`` of ``path``, in ``file``.

    ``version`` is what the printer told when it sent them, None when it told nothing.
    """

    file: Path
    path: str
    size: int
    mtime: int
    spans: tuple[tuple[int, int], ...]
    is_durable: bool
    used: int
    """When, in nanoseconds since the epoch."""
    version: Version | None = None

    @property
    def bytes_here(self) -> int:
        """How many bytes are there."""
        return sum(end - start for start, end in self.spans)

    def is_of(self, entry: Entry) -> bool:
        """Whether it is of the version that ``entry`` describes."""
        return (self.size, self.mtime) == (entry.size, entry.mtime)

    def discard(self) -> None:
        """Delete it."""
        _delete(_note_of(self.file))
        _delete(self.file)


class SparseFile:
    """The ``ranges`` of one version of one remote file that are in ``file``, which is there once they are.

    ``version`` is how the printer tells it from others, None when it does not, or has not been asked.
    It is open while it is used, see `open` and `rest`; the caller sees to it that these two do not meet.
    """

    def __init__(self, file: Path, ranges: RangeSet | None = None, version: Version | None = None) -> None:
        self.file, self.ranges, self.version = file, ranges or RangeSet(), version
        self._spool: SpoolFile | None = None
        self._lock = threading.Lock()
        self._is_struck = False
        self._noted = self._durable = 0
        """How many bytes the note speaks of, and of how many it may say that they are on the disk for good."""

    @classmethod
    def new(cls, folder: Path) -> SparseFile:
        """An empty one in ``folder``."""
        return cls(folder / secrets.token_hex(8))

    @classmethod
    def kept(cls, kept: Kept) -> SparseFile:
        """The one that an earlier mount left."""
        sparse = cls(kept.file, RangeSet(kept.spans), kept.version)
        sparse._noted = kept.bytes_here
        sparse._durable = kept.bytes_here if kept.is_durable else 0
        return sparse

    @classmethod
    def whole(cls, spool: SpoolFile) -> SparseFile:
        """One that has all of its content, which is ``spool``."""
        sparse = cls(spool.file)
        sparse.ranges.add(0, spool.size)
        sparse._spool = spool
        return sparse

    # --- the content ------------------------------------------------------------------------------

    def open(self) -> SpoolFile:
        """The open file. When somebody has deleted or cut it meanwhile, nothing of it is here any more."""
        if self._spool is None:
            self._spool = self._reopened() or SpoolFile(self.file, create=True)
        return self._spool

    def _reopened(self) -> SpoolFile | None:
        if not self.ranges.total:
            return None
        with suppress(FileNotFoundError):
            spool = SpoolFile(self.file)
            if spool.size >= self.ranges.end:
                return spool
            spool.discard()
        self.strike()
        self.ranges = RangeSet()
        return None

    def rest(self) -> None:
        """Let go of the file for now; one without content is deleted. The last who reads it closes it."""
        spool, self._spool = self._spool, None
        if spool is not None and not self.ranges.total:
            _delete(self.file)

    def discard(self) -> None:
        """Delete content and note; while it is open it can still be used."""
        self.strike()
        _delete(self.file)

    @property
    def unsynced(self) -> int:
        """How many bytes may not have got to the disk for good yet."""
        return self.ranges.total - self._durable

    # --- the note ---------------------------------------------------------------------------------

    def note(self, path: str, entry: Entry, *, durable: bool = False) -> None:
        """Let a later mount use what is here, as the version ``entry`` of ``path``.

        ``durable`` forces the content to the disk first. When this computer's disk fails, the old note stands.
        """
        with self._lock:
            spans = self.ranges.spans
            total = sum(end - start for start, end in spans)
            if self._is_struck or not total or total == (self._durable if durable else self._noted):
                return
            try:
                if durable:
                    _sync(self.file)
                kept = Kept(self.file, path, entry.size, entry.mtime, spans, durable, 0, self.version)
                _write(_note_of(self.file), _noted(kept))
            except OSError as error:
                logger.debug("%s: cannot be noted for the next mount: %s", path, error)
                return
            self._noted, self._durable = total, total if durable else 0

    def used(self) -> None:
        """It is the one used last."""
        if self._noted:
            with suppress(OSError):
                os.utime(_note_of(self.file))

    def strike(self) -> None:
        """No later mount may use it. For good: a note that is just being written comes to nothing."""
        with self._lock:
            self._is_struck = True
            _delete(_note_of(self.file))


def load(folder: Path) -> list[Kept]:
    """What earlier mounts left in ``folder``, the one unused longest first; what cannot be trusted is deleted.

    Makes the folder if there is none. Raises `OSError` when it cannot be used.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.scandir(folder) as entries:
        found = {entry.name: entry for entry in entries}
    kept = list({one.path: one for one in sorted(_readable(found), key=lambda one: one.used)}.values())
    known = {name for one in kept for name in (one.file.name, one.file.name + _NOTE)}
    for name in found.keys() - known:
        _delete(folder / name)
    return kept


def _readable(found: Mapping[str, os.DirEntry[str]]) -> Iterator[Kept]:
    boot = this_boot()
    for name, note in found.items():
        content = found.get(name.removesuffix(_NOTE))
        if content is None or content is note:
            continue
        try:
            yield _parsed(note, content, boot)
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            logger.debug("%s: not used any more: %s", note.path, error)


def _parsed(note: os.DirEntry[str], content: os.DirEntry[str], boot: str) -> Kept:
    """What ``note`` says. Raises `ValueError` (or what wrong types raise) unless all of it may be trusted."""
    with open(note.path, "rb", buffering=0) as opened:
        checksum, _, text = opened.read().partition(b" ")
    if checksum != _checksum(text):
        raise ValueError("it is damaged")
    values = json.loads(text)
    spans = tuple((int(start), int(end)) for start, end in values["spans"])
    if values["boot"] not in ("", boot):
        raise ValueError("it is of an earlier boot")
    if not content.is_file(follow_symlinks=False) or not spans or content.stat().st_size < spans[-1][1]:
        raise ValueError("its content is gone")
    is_durable, used = not values["boot"], note.stat().st_mtime_ns
    version = None if values["version"] is None else Version(*values["version"])
    size, mtime = int(values["size"]), int(values["mtime"])
    return Kept(Path(content.path), values["path"], size, mtime, spans, is_durable, used, version)


def _noted(kept: Kept) -> bytes:
    values = {"path": kept.path, "size": kept.size, "mtime": kept.mtime, "spans": kept.spans, "version": kept.version}
    text = json.dumps(values | {"boot": "" if kept.is_durable else this_boot()}).encode("ascii")
    return _checksum(text) + b" " + text


def _checksum(text: bytes) -> bytes:
    return b"%08x" % zlib.crc32(text)


def _note_of(file: Path) -> Path:
    return file.with_name(file.name + _NOTE)


def _write(file: Path, content: bytes) -> None:
    new = file.with_suffix(".new")
    try:
        new.write_bytes(content)
        os.replace(new, file)
    except BaseException:
        _delete(new)
        raise


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _delete(file: Path) -> None:
    with suppress(OSError):
        file.unlink(missing_ok=True)
