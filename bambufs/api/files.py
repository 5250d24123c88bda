"""CardClient: the files on a printer's card, by paths."""

from __future__ import annotations

import errno
import io
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeAlias

from ..config import Config
from ..errors import ConnectionDropped, InvalidName
from ..printer import paths
from ..printer.doors import certificate_check, open_card
from ..printer.localpart import LocalPart
from ..printer.remotefile import RemoteFile, fetch
from ..printer.upload import Upload
from .names import AnyPath, FileInfo, absent, absolute, entry_info
from .sources import opened

Progress: TypeAlias = Callable[[int, int], None]
"""Called during a transfer, from the thread that asked for it, with the bytes done and the bytes in all."""


class CardClient:
    """The files of the printer that ``config`` names. Connects when it is used; safe to use from many threads."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._check_certificate = certificate_check(config)
        self._card = open_card(config, check=self._check_certificate)

    def __repr__(self) -> str:
        return f"<bambufs.{type(self).__name__} {self._config.host}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connections. What an interrupted upload left on the card is removed first, within some seconds."""
        self._card.close()

    @property
    def host(self) -> str:
        """Its address."""
        return self._config.host

    @property
    def can_resume(self) -> bool:
        """Whether a download may begin in the middle of a file (not on P1 and A1). Known after the first contact."""
        return self._card.can_start_anywhere

    # -- looking ---------------------------------------------------------------------------------------

    def listdir(self, path: AnyPath = "/") -> list[str]:
        """The names in a folder, sorted. Raises `FileNotFoundError`, `NotADirectoryError`."""
        return [info.name for info in self._entries(absolute(path))]

    def scandir(self, path: AnyPath = "/") -> list[FileInfo]:
        """What is in a folder, sorted by name, with times exact to the second where the printer tells them.

        Raises `FileNotFoundError`, `NotADirectoryError`.
        """
        folder = absolute(path)
        found = self._entries(folder)
        vague = [info.name for info in found if not info.is_dir]
        exact = self._card.modified(folder, vague) if vague else {}
        return [replace(info, mtime=exact.get(info.name, info.mtime)) for info in found]

    def stat(self, path: AnyPath) -> FileInfo:
        """One file or folder. Raises `FileNotFoundError`."""
        place = absolute(path)
        if place == paths.ROOT:
            return FileInfo(paths.ROOT, True, 0, 0)
        info = self._find(place)
        if info is None:
            raise absent(place)
        folder, name = paths.split(place)
        exact = {} if info.is_dir else self._card.modified(folder, [name])
        return replace(info, mtime=exact.get(name, info.mtime))

    def exists(self, path: AnyPath) -> bool:
        """Whether there is a file or folder of this name."""
        place = absolute(path)
        return place == paths.ROOT or self._find(place) is not None

    def is_dir(self, path: AnyPath) -> bool:
        """Whether there is a folder of this name."""
        place = absolute(path)
        info = None if place == paths.ROOT else self._find(place)
        return place == paths.ROOT or (info is not None and info.is_dir)

    def walk(self, top: AnyPath = "/") -> Iterator[tuple[str, list[FileInfo], list[FileInfo]]]:
        """Each folder below ``top``, from the top down: its path, the folders in it, the files in it.

        As with `os.walk`, removing a folder from the second list skips it. Raises `FileNotFoundError`.
        """
        folder = absolute(top)
        found = self.scandir(folder)
        folders = [info for info in found if info.is_dir]
        yield folder, folders, [info for info in found if not info.is_dir]
        for info in folders:
            yield from self.walk(info.path)

    def _entries(self, folder: str) -> list[FileInfo]:
        try:
            entries = self._card.list(folder)
        except FileNotFoundError:
            info = None if folder == paths.ROOT else self._find(folder)
            if info is not None and not info.is_dir:
                raise NotADirectoryError(errno.ENOTDIR, "This is a file, not a folder", folder) from None
            raise
        return sorted((entry_info(folder, entry) for entry in entries), key=lambda info: info.name)

    def _find(self, path: str) -> FileInfo | None:
        folder, name = paths.split(path)
        try:
            return next((entry_info(folder, entry) for entry in self._card.list(folder) if entry.name == name), None)
        except FileNotFoundError:
            return None

    # -- fetching --------------------------------------------------------------------------------------

    def download(
        self, path: AnyPath, target: AnyPath, *, progress: Progress | None = None, resume: bool = False
    ) -> Path:
        """Fetch a file to ``target`` on this computer, whole or not at all; returns where it is.

        ``target`` is a file's name (what is there is replaced), or a folder, where it keeps its name. It gets the time
        that it has on the printer. A connection that breaks is made anew, and the transfer goes on where it was where
        the printer can do that. With ``resume`` what a failed or interrupted try has fetched is kept, in a hidden file
        beside ``target``, and the next call with ``resume`` goes on from there unless the printer's file has changed.

        Raises `FileNotFoundError`, `IsADirectoryError`, `ConnectionDropped` (also when the file changed meanwhile),
        what the local disk raises, and the other kinds of `PrinterError`.
        """
        info = self._file(absolute(path))
        place = Path(target).expanduser()
        if place.is_dir() or os.fspath(target).endswith("/"):
            place = place / info.name
        version = f"{self._config.trust_key} {info.path} {info.size} {info.mtime}"
        with LocalPart(place, version, keep=resume and self.can_resume) as part:
            if part.size > info.size:
                part.file.truncate(0)
            fetch(self._card, info.path, info.size, part.file, on_progress=told(progress, info.size))
            if self._card.size(info.path) != info.size:
                part.discard()
                raise ConnectionDropped("the file changed on the printer while it was fetched; try again", info.path)
            part.publish(info.mtime)
        return place

    def open(self, path: AnyPath, *, progress: Progress | None = None) -> io.BufferedReader:
        """Open a file for reading, at any place, as `open(path, "rb")` does.

        Only what is read is fetched; but P1 and A1 printers give all of it at the first read, which ``progress`` tells
        of. Raises `FileNotFoundError`, `IsADirectoryError`; reading raises what the link raises.
        """
        info = self._file(absolute(path))
        return io.BufferedReader(RemoteFile(self._card, info.path, info.size, told(progress, info.size)), 64 * 1024)

    def _file(self, path: str) -> FileInfo:
        info = self.stat(path)
        if info.is_dir:
            raise IsADirectoryError(errno.EISDIR, "This is a folder", path)
        return info

    # -- storing ---------------------------------------------------------------------------------------

    def upload(
        self,
        source: AnyPath | BinaryIO,
        path: AnyPath,
        *,
        progress: Progress | None = None,
        overwrite: bool = True,
        mtime: float | None = None,
    ) -> FileInfo:
        """Store a file of this computer, or what a binary file object holds, on the printer; returns what is there.

        ``path`` is the new file's name, or a folder that exists (or ends in a slash), where it keeps its own. It is
        stored under a part name, its size is compared, and only then it takes the place of what was there: the printer
        never shows half a file. ``mtime`` is its time (the source's own, else now); P1 and A1 printers do not take it.

        Raises `FileExistsError` (without ``overwrite``, or a name that differs in capitals only), `IsADirectoryError`,
        `FileNotFoundError` (no such folder), `InvalidName`, `CardFull`, `ConnectionDropped` and what the link raises.
        """
        with opened(source) as (file, size, own_time, own_name):
            place = self._place_for(path, own_name)
            self._check_target(place, overwrite=overwrite)
            when = int(mtime if mtime is not None else own_time)
            upload = Upload(file, place, size=size, mtime=when, on_progress=told(progress, size))
            self._card.store(upload)
        return FileInfo(place, False, size, when if upload.time_kept else int(time.time()))

    def _place_for(self, path: AnyPath, own_name: str) -> str:
        place = absolute(path)
        if not own_name or not (os.fspath(path).endswith("/") or self.is_dir(place)):
            return place
        return paths.join(place, own_name)

    def _check_target(self, path: str, *, overwrite: bool = True, is_folder: bool = False, source: str = "") -> None:
        """Refuse a new name that the card cannot store, or that something has which must not be replaced."""
        folder, name = paths.split(path)
        if not name or name.startswith("."):
            raise InvalidName("the printer hides names that begin with a dot; choose another", path)
        entries = self._card.list(folder)
        paths.check_storable(path, longest_path=self._card.family.longest_path)
        for entry in entries:
            if paths.folded(entry.name) != paths.folded(name) or paths.join(folder, entry.name) == source:
                continue
            if entry.name != name:
                raise FileExistsError(errno.EEXIST, f"The card takes this for the same name as {entry.name}", path)
            if entry.is_dir and not is_folder:
                raise IsADirectoryError(errno.EISDIR, "There is a folder by this name", path)
            if is_folder or not overwrite:
                raise FileExistsError(errno.EEXIST, "There is something by this name already", path)

    # -- changing --------------------------------------------------------------------------------------

    def remove(self, path: AnyPath) -> None:
        """Delete a file. Raises `FileNotFoundError`, `IsADirectoryError`, `CardRefused`."""
        self._card.delete(absolute(path))

    def rename(self, old: AnyPath, new: AnyPath, *, overwrite: bool = True) -> None:
        """Rename or move a file or folder; a file that is there already is replaced, a folder never.

        Raises `FileNotFoundError`, `FileExistsError`, `IsADirectoryError`, `InvalidName`, `CardRefused`.
        """
        source, target = absolute(old), absolute(new)
        info = self._find(source)
        if info is None:
            raise absent(source)
        if paths.is_below(target, source):
            raise OSError(errno.EINVAL, "A folder cannot be moved into itself", target)
        if source != target:
            self._check_target(target, overwrite=overwrite, is_folder=info.is_dir, source=source)
            self._card.rename(source, target)

    def set_time(self, path: AnyPath, mtime: float | None = None) -> bool:
        """Give a file a time (seconds since the epoch; None: now). Returns False where the printer takes none.

        Raises `FileNotFoundError`, `IsADirectoryError`.
        """
        return self._card.set_time(self._file(absolute(path)).path, int(time.time() if mtime is None else mtime))

    def mkdir(self, path: AnyPath, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Make a folder, with ``parents`` also those above it. Raises `FileExistsError`, `FileNotFoundError`."""
        place = absolute(path)
        if exist_ok and self.is_dir(place):
            return
        above = paths.parent(place)
        if parents and not self.is_dir(above):
            self.mkdir(above, parents=True, exist_ok=True)
        self._check_target(place, is_folder=True)
        self._card.make_folder(place)

    def rmdir(self, path: AnyPath) -> None:
        """Remove an empty folder. Raises `OSError` with ENOTEMPTY, `FileNotFoundError`, `NotADirectoryError`."""
        place = absolute(path)
        if not self.stat(place).is_dir:
            raise NotADirectoryError(errno.ENOTDIR, "This is a file, not a folder", place)
        self._card.remove_folder(place)

    def rmtree(self, path: AnyPath) -> None:
        """Remove a folder and all that is in it. Raises as `rmdir` and `remove` do; what is gone by then stays gone."""
        top = absolute(path)
        if top == paths.ROOT:
            raise OSError(errno.EBUSY, "The whole card is not removed; name a folder on it", top)
        for info in self._entries(top):
            if info.is_dir:
                self.rmtree(info.path)
            else:
                self.remove(info.path)
        self.rmdir(top)


def told(progress: Progress | None, size: int) -> Callable[[int], None]:
    """``progress`` for one transfer of ``size`` bytes, to be called with the bytes done."""
    return (lambda done: None) if progress is None else (lambda done: progress(done, size))
