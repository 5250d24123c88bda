"""The card of a simulated printer: a folder on this machine, seen as FAT shows it.

No path leads out of the folder: ``..`` stops at the root, and symbolic links do not exist here.
Every refusal is an `OSError`. Remote paths are text with surrogate escapes, absolute inside the card.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bambufs.simulator.quirks import Quirks

_FORBIDDEN = frozenset('<>:"\\|?*')
_LONGEST_NAME = 255


class BadName(OSError):
    """FAT cannot store this name."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing on the card, with its time in seconds since 1970 as FAT keeps it."""

    name: str
    is_folder: bool
    size: int
    mtime: float


def split(path: str, cwd: str = "/") -> list[str]:
    """The names of an absolute path, or of one relative to ``cwd``; ``.`` and ``..`` are resolved."""
    parts: list[str] = []
    for name in (path if path.startswith("/") else f"{cwd}/{path}").split("/"):
        if name == "..":
            parts[-1:] = []
        elif name not in ("", "."):
            parts.append(name)
    return parts


def join(parts: list[str]) -> str:
    """The absolute path of these names."""
    return "/" + "/".join(parts)


class Card:
    """What the printer's server does to its card. ``now`` is the printer's own clock."""

    def __init__(self, folder: Path, *, quirks: Quirks, now: Callable[[], float]) -> None:
        self.folder = folder
        self._quirks = quirks
        self._now = now
        self._seen: dict[Path, list[str]] = {}
        self._lock = threading.Lock()

    # -- looking

    def local(self, path: str) -> Path:
        """Where ``path`` is, or would be, on this machine. Its folder must exist."""
        self._check_present(path)
        place = self.folder
        parts = split(path)
        for depth, name in enumerate(parts):
            found = self._child(place, name)
            if found is None and depth + 1 < len(parts):
                raise FileNotFoundError(errno.ENOENT, "no such folder", path)
            place = found or place / name
        return place

    def existing(self, path: str) -> Path:
        """Where ``path`` is on this machine; `FileNotFoundError` if it is not there."""
        place = self.local(path)
        if split(path) and not self._is_shown(place):
            raise FileNotFoundError(errno.ENOENT, "no such file or folder", path)
        return place

    def item(self, path: str) -> Item:
        """What is at ``path``."""
        return self._item(self.existing(path))

    def items(self, path: str) -> list[Item]:
        """What is in the folder ``path``, in the printer's order."""
        place = self.existing(path)
        if self._quirks.text("card") == "absent":
            return []
        names = [entry.name for entry in os.scandir(place) if not entry.is_symlink()]
        return list(self._items_of(place, self._ordered(place, names)))

    def is_folder(self, path: str) -> bool:
        try:
            return self.existing(path).is_dir()
        except OSError:
            return False

    def used(self) -> int:
        """The bytes of all files together."""
        return sum(
            os.lstat(os.path.join(folder, name)).st_size
            for folder, _, names in os.walk(self.folder)
            for name in names
        )

    def room(self) -> int | None:
        """How many bytes still fit; None without a limit."""
        size = int(self._quirks.number("card_size"))
        return max(0, size - self.used()) if size else None

    # -- changing

    def open_store(self, path: str, *, offset: int, append: bool) -> int:
        """Open ``path`` for writing and return the descriptor; the file is cut at once, as printers do."""
        place = self._writable(path)
        if place.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder", path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_APPEND if append else 0)
        descriptor = os.open(place, flags | (0 if append or offset else os.O_TRUNC), 0o644)
        if offset and not append:
            os.lseek(descriptor, offset, os.SEEK_SET)
        return descriptor

    def open_read(self, path: str) -> int:
        """Open ``path`` for reading and return the descriptor."""
        place = self.existing(path)
        if place.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder", path)
        return os.open(place, os.O_RDONLY | os.O_NOFOLLOW)

    def stamp(self, path: str) -> None:
        """Give an uploaded file the time that the printer thinks it is."""
        seconds = self._now() + self._quirks.number("upload_clock_error")
        with contextlib.suppress(OSError):  # deleted meanwhile by somebody else
            os.utime(self.existing(path), (seconds, seconds))

    def set_time(self, path: str, seconds: float) -> None:
        os.utime(self._changeable(path), (seconds, seconds))

    def delete(self, path: str) -> None:
        os.unlink(self._changeable(path))

    def make_folder(self, path: str) -> None:
        os.mkdir(self._writable(path))

    def remove_folder(self, path: str) -> None:
        os.rmdir(self._changeable(path))

    def rename(self, source: str, target: str) -> None:
        """Rename; an existing target is replaced, or `FileExistsError`, as the printer has it."""
        old, new = self._changeable(source), self._writable(target)
        wanted = new.parent / split(target)[-1]
        if old == new:  # the same file, so at most the case of its name changes
            os.rename(old, wanted)
            return
        if self._is_shown(new) and not self._quirks.flag("rename_over"):
            raise FileExistsError(errno.EEXIST, "exists", target)
        os.rename(old, new)

    # -- within

    def _child(self, folder: Path, name: str) -> Path | None:
        exact = folder / name
        if self._is_shown(exact):
            return exact
        if not self._quirks.flag("ignore_case"):
            return None
        return self._other_case(folder, name)

    def _other_case(self, folder: Path, name: str) -> Path | None:
        try:
            names = os.listdir(folder)
        except OSError:
            return None
        wanted = name.casefold()
        alike = (folder / other for other in names if other.casefold() == wanted)
        return next(filter(self._is_shown, alike), None)

    def _is_shown(self, place: Path) -> bool:
        try:
            return not stat.S_ISLNK(os.lstat(place).st_mode)
        except (OSError, ValueError):
            return False

    def _check_present(self, path: str) -> None:
        state = self._quirks.text("card")
        if state == "denied" or (state == "absent" and split(path)):
            raise FileNotFoundError(errno.ENODEV, "no card", path)

    def _writable(self, path: str) -> Path:
        self._check_not_read_only(path)
        self._check_name(path)
        place = self.local(path)
        if place.is_symlink():
            raise PermissionError(errno.EACCES, "a symbolic link", path)
        if self._quirks.text("order") == "created":
            self._ordered(place.parent, os.listdir(place.parent))  # those that are older than the new one
        return place

    def _changeable(self, path: str) -> Path:
        self._check_not_read_only(path)
        return self.existing(path)

    def _check_not_read_only(self, path: str) -> None:
        if self._quirks.text("card") == "readonly":
            raise OSError(errno.EROFS, "the card is read-only", path)

    def _check_name(self, path: str) -> None:
        parts = split(path)
        limit = self._quirks.number("path_limit")
        if not parts or (limit and len(os.fsencode(path)) > limit) or "\0" in path:
            raise BadName(errno.EINVAL, "a bad path", path)
        if self._quirks.flag("fat_names") and not _fits_fat(parts[-1]):
            raise BadName(errno.EINVAL, "a bad name", path)

    def _items_of(self, place: Path, names: list[str]) -> Iterator[Item]:
        for name in names:
            try:
                yield self._item(place / name)
            except FileNotFoundError:
                continue  # vanished between the listing and the look

    def _item(self, place: Path) -> Item:
        known = os.lstat(place)
        folder = stat.S_ISDIR(known.st_mode)
        mtime = known.st_mtime // 2 * 2 if self._quirks.flag("fat_times") else known.st_mtime
        return Item(place.name, folder, 0 if folder else known.st_size, mtime)

    def _ordered(self, place: Path, names: list[str]) -> list[str]:
        if self._quirks.text("order") == "name":
            return sorted(names, key=os.fsencode)
        with self._lock:
            present, known = set(names), self._seen.get(place, [])
            new = present.difference(known)
            ordered = [name for name in known if name in present]
            ordered += sorted(new, key=lambda name: (_changed_at(place / name), os.fsencode(name)))
            self._seen[place] = ordered
            return list(ordered)


def _changed_at(place: Path) -> int:
    try:
        return os.lstat(place).st_ctime_ns
    except FileNotFoundError:
        return 0


def _fits_fat(name: str) -> bool:
    return (
        not any(letter in _FORBIDDEN or ord(letter) < 32 for letter in name)
        and not name.endswith((".", " "))
        and len(name.encode("utf-16-le", "surrogatepass")) // 2 <= _LONGEST_NAME
    )
