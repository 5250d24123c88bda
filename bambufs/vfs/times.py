"""TimeStore: exact times that a listing cannot tell, remembered on this computer.

A LIST line tells minutes at best, the printer's clock may be wrong, and some printers take no times at
all. So whatever time was set is kept here with the file's size; the next listing binds it to the time that the
printer shows for the file. For as long as size and shown time stay, the exact time is shown in its place; when
they change, somebody else wrote the file and the printer's word counts.

The store is a convenience: when the local disk fails it, times are merely as vague as the printer lists them.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ..printer import paths
from ..printer.entry import Entry

logger = logging.getLogger(__name__)

_SCHEMA = """
create table if not exists times (
    folder blob not null, name blob not null, size integer not null, mtime integer not null,
    listed integer, resolution integer, own integer not null, primary key (folder, name)
) without rowid
"""
_OF_FOLDER = "select name, size, mtime, listed, resolution, own from times where folder = ?"
_BELOW = "folder >= ? and folder < ?"
"""Of everything deeper than in a folder itself: in the order of the index it lies between ``path/`` and ``path0``."""

_MOST_CHANGES = 10_000
"""How many own changes are remembered while no listing has shown them."""

_RECENT = 120
"""Seconds within which a file may have been written again without its listed minute changing."""

_DAY = 86400
"""How far a time that only a listing tells may be from the true one: its time zone is not known."""

PATIENCE = 5.0
"""Seconds to wait for another program that uses the file."""

_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY}
"""Another program has locked the file, or the disk takes nothing."""

_FIRST_PRINTER = 1640995200
"""The year 2022. What is listed with an older time was written by a clock that may show the same time every day."""


class _Known(NamedTuple):
    """What is remembered of a file: ``listed`` is what a listing showed, None until one did; ``own`` that we set it."""

    size: int
    mtime: int
    listed: int | None
    resolution: int
    own: int

    def fits(self, entry: Entry) -> bool:
        """Whether ``entry`` is still that file; one grown old is listed by its day only."""
        if self.size != entry.size:
            return False
        if self.listed is None:
            return True
        coarser = max(self.resolution, entry.resolution)
        return self.listed // coarser == entry.mtime // coarser


class TimeStore:
    """Times by path in one SQLite file; safe to call from many threads and against a crash."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._database = _open(file)
        self._changes = 0
        self._changed_at: dict[tuple[bytes, bytes], int] = {}
        self._has_complained = False

    def close(self) -> None:
        """Write what is left and close the file."""
        with self._using() as database:
            database.commit()
            self._has_complained = True  # a listing that still comes in has nowhere to go, and nobody misses it
        self._database.close()

    def ticket(self) -> int:
        """To be taken before a listing is asked for: what is remembered after it is not judged by that listing."""
        return self._changes

    # --- own changes ------------------------------------------------------------------------------

    def remember(self, path: str, size: int, mtime: int) -> None:
        """The file at ``path`` now has ``size`` bytes and the time ``mtime``; the next listing will bind them."""
        key = _key(path)
        with self._using() as database:
            self._note_change(key)
            database.execute("insert or replace into times values (?, ?, ?, ?, null, null, 1)", (*key, size, mtime))
            database.commit()

    def forget(self, path: str) -> None:
        """Forget ``path`` and everything below it."""
        folder = os.fsencode(path)
        with self._using() as database:
            self._changed_at.pop(_key(path), None)
            database.execute("delete from times where folder = ? and name = ?", _key(path))
            database.execute("delete from times where folder = ?", (folder,))
            database.execute(f"delete from times where {_BELOW}", _below(folder))
            database.commit()

    def renamed(self, old: str, new: str) -> None:
        """Carry what is known of ``old``, and of everything below it, over to ``new``."""
        self.forget(new)
        before, after = os.fsencode(old), os.fsencode(new)
        with self._using() as database:
            self._note_change(_key(new))
            database.execute(
                "update times set folder = ?, name = ? where folder = ? and name = ?", (*_key(new), *_key(old))
            )
            database.execute("update times set folder = ? where folder = ?", (after, before))
            database.execute(
                f"update times set folder = cast(? || substr(folder, ?) as blob) where {_BELOW}",
                (after, len(before) + 1, *_below(before)),
            )
            database.commit()

    def rebind(self, path: str) -> None:
        """Whatever the next listing shows for ``path``, the time that was set for it stays: it was meant to come last.

        For a folder into which a file has come late.
        """
        key = _key(path)
        with self._using() as database:
            statement = "update times set listed = null, resolution = null where folder = ? and name = ? and own"
            if database.execute(statement, key).rowcount:
                self._note_change(key)
            database.commit()

    def _note_change(self, key: tuple[bytes, bytes]) -> None:
        """Remember that ``key`` was changed just now; of very many, the oldest are forgotten."""
        self._changes += 1
        self._changed_at.pop(key, None)
        self._changed_at[key] = self._changes
        if len(self._changed_at) > _MOST_CHANGES:
            for old in list(self._changed_at)[: _MOST_CHANGES // 2]:
                del self._changed_at[old]

    # --- listings ---------------------------------------------------------------------------------

    def unknown(
        self, folder: str, entries: Iterable[Entry], now: float, *, also: Container[str] = ()
    ) -> list[Entry]:
        """Those files of a listing whose exact time has to be asked for: it is not known, or so recent (``now`` is in
        seconds since the epoch) that somebody else may have written the file once more within the listed minute.

        Those in ``also`` are to be asked for unless it was us who set their time, which counts more than the printer's.
        """
        known = self._of_folder(folder)

        def is_certain(entry: Entry) -> bool:
            one = known.get(entry.name)
            return _is_settled(one, entry, now) and (entry.name not in also or (one is not None and bool(one.own)))

        return [e for e in entries if not e.is_dir and e.resolution > 1 and not is_certain(e)]

    def learn(self, folder: str, entries: Iterable[Entry], mtimes: Mapping[str, int], ticket: int) -> None:
        """Remember the exact ``mtimes`` that the printer told for ``entries``, bound to what it listed."""
        key = os.fsencode(folder)
        rows = [
            (key, os.fsencode(entry.name), entry.size, mtimes[entry.name], entry.mtime, entry.resolution)
            for entry in entries
            if entry.name in mtimes
        ]
        with self._using() as database:
            old = [row for row in rows if self._changed_at.get(row[:2], 0) <= ticket]
            database.executemany("insert or replace into times values (?, ?, ?, ?, ?, ?, 0)", old)
            database.commit()

    def correct(self, folder: str, entries: Iterable[Entry], ticket: int) -> list[Entry]:
        """``entries`` as listed in ``folder`` since ``ticket``, with exact times where they are known.

        Binds what was remembered before the listing began, and forgets what it contradicts or lacks.
        """
        known, entries = self._of_folder(folder), list(entries)
        if not known:
            return entries
        self._prune(folder, known.keys() - {entry.name for entry in entries}, ticket)
        corrected = []
        for entry in entries:
            remembered = known.get(entry.name)
            if remembered is None or self._changed_at.get(_key(paths.join(folder, entry.name)), 0) > ticket:
                corrected.append(entry)
            elif remembered.fits(entry):
                self._bind(folder, entry, remembered, ticket)
                corrected.append(entry._replace(mtime=remembered.mtime, resolution=1))
            else:
                self._prune(folder, [entry.name], ticket)
                corrected.append(entry)
        return corrected

    def is_settled(self, path: str, entry: Entry, since: float) -> bool:
        """Whether a file whose content came in after ``since`` (seconds since the epoch) cannot have been changed after
        that without a listing showing another size or time than those of ``entry``.

        A change within the minute (or the day) that is listed would not show, so that must have been over by then; a
        printer that keeps only times of its own may have a clock of another time zone.
        """
        folder, name = paths.split(path)
        known = self._of_folder(folder, name).get(name)
        if entry.resolution > 1 and known is None:
            return entry.mtime > _FIRST_PRINTER and entry.mtime + entry.resolution + _DAY < since
        if known is None or known.listed is None or (known.size, known.mtime) != (entry.size, entry.mtime):
            return False
        if not known.own or known.listed == known.mtime - known.mtime % known.resolution:  # the printer knows the time
            return max(known.listed, known.mtime) + known.resolution + _RECENT < since
        return known.listed > _FIRST_PRINTER and known.listed + known.resolution + _DAY < since

    def _prune(self, folder: str, gone: Iterable[str], ticket: int) -> None:
        """Forget files that the listing does not show, or not as they were, unless they are newer than ``ticket``."""
        keys = [_key(paths.join(folder, name)) for name in gone]
        with self._using() as database:
            old = [key for key in keys if self._changed_at.get(key, 0) <= ticket]
            database.executemany("delete from times where folder = ? and name = ?", old)
            if old:
                database.commit()

    def _bind(self, folder: str, entry: Entry, known: _Known, ticket: int) -> None:
        """Bind what is ``known`` to what is listed, unless it has changed since ``ticket``."""
        if known.listed is None:
            key = _key(paths.join(folder, entry.name))
            with self._using() as database:
                if self._changed_at.get(key, 0) > ticket:
                    return
                self._changed_at.pop(key, None)
                statement = "update times set listed = ?, resolution = ? where folder = ? and name = ?"
                database.execute(statement, (entry.mtime, entry.resolution, *key))
                database.commit()

    def _of_folder(self, folder: str, name: str | None = None) -> dict[str, _Known]:
        """What is known of all files in ``folder``, or of the one called ``name``."""
        rows: list[tuple[Any, ...]] = []
        with self._using() as database:
            if name is None:
                rows = database.execute(_OF_FOLDER, (os.fsencode(folder),)).fetchall()
            else:
                rows = database.execute(_OF_FOLDER + " and name = ?", _key(paths.join(folder, name))).fetchall()
        return {os.fsdecode(row[0]): _Known(*row[1:]) for row in rows}

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """The database for one step; its failure is logged once and costs nothing but exactness."""
        with self._lock:
            try:
                yield self._database
            except sqlite3.Error as error:
                if not self._has_complained:
                    self._has_complained = True
                    logger.warning("exact file times cannot be remembered on this computer: %s", error)


def _is_settled(known: _Known | None, entry: Entry, now: float) -> bool:
    """Whether what is ``known`` of a file needs no asking again."""
    if known is None or not known.fits(entry):
        return False
    return bool(known.own) or abs(now - entry.mtime) > _RECENT


def _below(folder: bytes) -> tuple[bytes, bytes]:
    return folder + b"/", folder + b"0"


def _key(path: str) -> tuple[bytes, bytes]:
    folder, name = paths.split(path)
    return os.fsencode(folder), os.fsencode(name)


def _open(file: Path) -> sqlite3.Connection:
    """The database: made anew when the file is damaged, in memory when it cannot be used for now.

    Raises `OSError` when something else is in its place.
    """
    try:
        return _connected(file)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode in _PASSING:  # what is in it may be sound
            logger.warning("exact file times are remembered for this mount only: %s: %s", file, error)
            return _connected(":memory:")
        file.unlink(missing_ok=True)
        return _connected(file)


def _connected(file: Path | str) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=PATIENCE, check_same_thread=False)
    try:
        database.execute("pragma journal_mode = wal")
        database.execute("pragma synchronous = off")
        database.execute(_SCHEMA)
    except sqlite3.DatabaseError:
        database.close()
        raise
    return database
