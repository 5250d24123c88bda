"""BlockCache: the parts of remote files that have been fetched, on disk and bounded, also from one mount to the next.

Each path has one `RemoteFile` at most, that of the version last seen. What an earlier mount left is taken up when it is
of that version; until then it costs a few hundred bytes of memory. Only what no later listing can mistake for another
version is left to a later mount.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from ..printer import paths
from ..printer.entry import Entry
from .budget import Budget
from .fetching import RemoteFile, Source
from .sparse import Kept, SparseFile, load
from .spool import SpoolFile

SYNC_PATIENCE, SYNC_MOST = 5.0, 256 << 20
"""Seconds for which the end of a mount forces content to the disk, and bytes; the rest is good until the next boot."""

MOST_FILES = 5_000
"""So many are kept, however small they are: each costs memory, and some time at the next mount."""


class Settled(Protocol):
    """Tells whether content is sure to be that of its version, for whoever sees the same size and time later."""

    def __call__(self, path: str, entry: Entry, since: float) -> bool:
        """Whether what came in after ``since`` (seconds since the epoch) is all that ``entry`` can stand for."""


class BlockCache:
    """Remote files by path; the ones unused longest go when more than ``max_bytes`` are kept.

    ``on_changed`` is told the path of a file of which the printer turns out to have another version than was listed.
    ``folder`` belongs to it alone. ``clock`` gives seconds since the epoch. Raises `OSError` when the folder cannot be
    used.
    """

    def __init__(
        self,
        source: Source,
        folder: Path,
        *,
        max_bytes: int,
        reads_ahead: bool = True,
        is_settled: Settled = lambda path, entry, since: False,
        on_changed: Callable[[str], object] = lambda path: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source, self._folder, self._max_bytes, self._reads_ahead = source, folder, max_bytes, reads_ahead
        self._is_settled, self._on_changed, self._clock = is_settled, on_changed, clock
        self._lock = threading.Lock()
        self._files: OrderedDict[str, RemoteFile] = OrderedDict()
        self._kept = OrderedDict((kept.path, kept) for kept in load(folder))
        self._left: dict[str, dict[str, int]] = {}
        for path, kept in self._kept.items():
            folder_path, name = paths.split(path)
            self._left.setdefault(folder_path, {})[name] = kept.mtime
        self._total = sum(kept.bytes_here for kept in self._kept.values())
        _discard(list(self._surplus_locked()))

    @property
    def bytes_here(self) -> int:
        """How many bytes are kept on the local disk."""
        with self._lock:
            files = sum(file.bytes_here for file in self._files.values())
            return files + sum(kept.bytes_here for kept in self._kept.values())

    # --- using a file -----------------------------------------------------------------------------

    def borrow(self, path: str, entry: Entry) -> RemoteFile:
        """The file at ``path`` in the version that ``entry`` describes; give it back with `give_back`."""
        with self._lock:
            file, outdated = self._files.get(path), list[RemoteFile | Kept]()
            if file is None or not file.is_of(entry):
                kept = self._kept.get(path)
                fits = kept is not None and kept.is_of(entry)
                local = SparseFile.kept(kept) if kept is not None and fits else SparseFile.new(self._folder)
                outdated = [one for one in self._taken_out_locked([path]) if not (fits and one is kept)]
                file = self._put_in_locked(path, entry, local, self._clock())
            self._files.move_to_end(path)
            file.users += 1
        _discard(outdated)
        return file

    def adopt(self, path: str, entry: Entry, spool: SpoolFile) -> None:
        """Keep ``spool``, which was just uploaded as ``path``, for whoever reads it next.

        Who ends a file may be overtaken by others who write and end it once more, within the same second.
        """
        if spool.size != entry.size or entry.size > self._max_bytes // 4:
            spool.discard()
            return
        spool.move(self._folder / spool.file.name)
        spool.count_against(Budget())  # it is the cache's bound that holds for it now
        began = spool.modified
        with self._lock:
            last = self._files.get(path)
            if last is not None and last.is_of(entry) and last.began > began:
                file, outdated = None, list[RemoteFile | Kept]()
            else:
                outdated = self._taken_out_locked([path])
                file = self._put_in_locked(path, entry, SparseFile.whole(spool), began)
                file.users += 1
        _discard(outdated)
        if file is None:
            spool.discard()
        else:
            self.give_back(file)

    def give_back(self, file: RemoteFile) -> None:
        """End one use of ``file``."""
        with self._lock:
            file.users -= 1
            is_forgotten = self._files.get(file.key) is not file
            if not is_forgotten:
                self._count_locked(file)
            surplus = list(self._surplus_locked())
            is_unused = file.users == 0
        if is_unused and is_forgotten:
            file.close()
        elif is_unused:
            self._note(file)
            file.used()
            file.rest()
        _discard(surplus)

    def _put_in_locked(self, path: str, entry: Entry, local: SparseFile, began: float) -> RemoteFile:
        file = RemoteFile(
            self._source,
            path,
            entry,
            local,
            make_room=self.make_room,
            on_progress=self._note,
            on_changed=self._changed,
            began=began,
            reads_ahead=self._reads_ahead,
        )
        self._files[path] = file
        self._count_locked(file)
        return file

    def _changed(self, file: RemoteFile) -> None:
        """Whoever opens ``file`` from now on shall get what the printer has; those who have it open are told."""
        with self._lock:
            outdated = self._taken_out_locked([file.key]) if self._files.get(file.key) is file else []
        _discard(outdated)
        self._on_changed(file.key)

    # --- letting go -------------------------------------------------------------------------------

    def forget(self, path: str, *, is_file: bool = False) -> None:
        """Drop what is kept of ``path`` and below, as far as nobody reads it; no later mount will use it either.

        Nothing is looked for below what ``is_file``.
        """
        with self._lock:
            everything = () if is_file else (*self._files, *self._kept)
            below = [known for known in everything if known.startswith(path + "/")]
            taken_out = self._taken_out_locked([path, *below])
        _discard(taken_out)

    def make_room(self) -> None:
        """Drop everything that nobody reads: the local disk is full."""
        with self._lock:
            unused = [path for path, file in self._files.items() if file.users == 0]
            taken_out = self._taken_out_locked([*unused, *self._kept])
        _discard(taken_out)

    def close(self) -> None:
        """Stop every transfer; what a later mount may use stays, forced to the disk as far as that is soon done."""
        with self._lock:
            closing, self._files = list(self._files.values()), OrderedDict()
        deadline, room = time.monotonic() + SYNC_PATIENCE, SYNC_MOST
        for file in reversed(closing):
            is_soon_done = time.monotonic() < deadline and file.unsynced <= room
            room -= file.unsynced if is_soon_done else 0
            file.close(keep=self._note(file, durable=is_soon_done))

    # --- for a later mount ------------------------------------------------------------------------

    def _note(self, file: RemoteFile, *, durable: bool = False) -> bool:
        """Leave ``file`` to a later mount if it may be; returns whether it may."""
        may_be = file.is_usable_later and self._is_settled(file.key, file.entry, file.began)
        if may_be:
            file.note(durable=durable)
        return may_be

    def left_in(self, folder: str) -> Mapping[str, int]:
        """The files in ``folder`` of which an earlier mount has left something, with their times, until `compared`."""
        return self._left.get(folder, {})

    def compared(self, folder: str) -> None:
        """What was left of the files in ``folder`` has been compared with what the printer has now."""
        self._left.pop(folder, None)

    # --- bounds -----------------------------------------------------------------------------------

    def _count_locked(self, file: RemoteFile) -> None:
        now = file.bytes_here
        self._total += now - file.counted
        file.counted = now

    def _taken_out_locked(self, some: Iterable[str]) -> list[RemoteFile | Kept]:
        """What was kept of those paths, which is no longer."""
        taken_out: list[RemoteFile | Kept] = []
        for path in some:
            file, kept = self._files.pop(path, None), self._kept.pop(path, None)
            if file is not None:
                self._total -= file.counted
                taken_out.append(file)
            if kept is not None:
                self._total -= kept.bytes_here
                taken_out.append(kept)
        return taken_out

    def _surplus_locked(self) -> Iterator[RemoteFile | Kept]:
        """Take out what is too much: what earlier mounts left goes before what was used in this one."""
        if self._fits_locked():
            return
        for path in (*self._kept, *self._files):
            if self._fits_locked():
                return
            if path in self._kept or self._files[path].users == 0:
                yield from self._taken_out_locked([path])

    def _fits_locked(self) -> bool:
        return self._total <= self._max_bytes and len(self._files) + len(self._kept) <= MOST_FILES


def _discard(some: Iterable[RemoteFile | Kept]) -> None:
    """Delete what has been taken out. A file that is in use serves on, and is deleted when it is given back."""
    for one in some:
        if isinstance(one, RemoteFile) and one.users:
            one.strike()
        elif isinstance(one, RemoteFile):
            one.close()
        else:
            one.discard()
