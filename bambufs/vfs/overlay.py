"""Overlay: names that live on this computer only.

Printers hide names that begin with a dot, and rsync, editors and desktops litter with them. So a path with a dot
name in it never reaches the printer: it is kept in a local folder of the same shape, survives a remount, and
becomes real when it is renamed to a visible name.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

from ..errors import os_error
from ..printer import paths
from .attributes import Attributes
from .spool import SpoolFile

_JUNK = frozenset({".DS_Store", ".directory", ".localized", ".hidden"})


def _is_junk(name: str) -> bool:
    return name in _JUNK or name.startswith("._")


class Overlay:
    """The local side of a mount, below ``folder``. Paths are the mount's."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._root = folder, str(folder)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def local(self, path: str) -> Path:
        """Where ``path`` is kept on this computer."""
        return self._folder / path.lstrip("/")

    def attributes(self, path: str) -> Attributes | None:
        """What is kept at ``path``, or None."""
        try:
            status = os.stat(f"{self._root}{path}")  # for each look at a dot name, so no `Path`, which takes longer
        except (FileNotFoundError, NotADirectoryError):
            return None
        is_dir = not stat.S_ISREG(status.st_mode)
        return Attributes(is_dir, 0 if is_dir else status.st_size, int(status.st_mtime))

    def names(self, folder: str) -> list[str]:
        """The names kept in ``folder``: the dot names in a folder of the printer, everything in one of our own."""
        try:
            names = os.listdir(self.local(folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return names if paths.is_dot_path(folder) else [name for name in names if name.startswith(".")]

    def create(self, path: str) -> SpoolFile:
        """A new, empty file at ``path``; raises `FileExistsError`, or `FileNotFoundError` without its folder."""
        self._make_way(path)
        return SpoolFile(self.local(path), create=True)

    def open(self, path: str) -> SpoolFile:
        """The file at ``path``; raises `FileNotFoundError`, `IsADirectoryError`."""
        return SpoolFile(self.local(path))

    def make_folder(self, path: str) -> None:
        """Make a folder; raises `FileExistsError`, `FileNotFoundError`."""
        self._make_way(path)
        self.local(path).mkdir(mode=0o700)

    def unlink(self, path: str) -> None:
        """Delete the file at ``path``; raises `FileNotFoundError`, `IsADirectoryError`."""
        if os.path.isdir(self.local(path)):
            raise os_error(errno.EISDIR, path)
        self.local(path).unlink()

    def remove_folder(self, path: str) -> None:
        """Remove the empty folder at ``path``; raises `FileNotFoundError`, ENOTEMPTY, ENOTDIR."""
        self.local(path).rmdir()

    def rename(self, old: str, new: str) -> None:
        """Rename within the overlay, replacing a file at ``new``."""
        self._make_way(new)
        os.rename(self.local(old), self.local(new))

    def put(self, file: Path, path: str) -> None:
        """Move a local ``file`` in as ``path``."""
        self._make_way(path)
        os.replace(file, self.local(path))

    def set_time(self, path: str, mtime: int) -> None:
        """Set the time of what is kept at ``path``."""
        os.utime(self.local(path), (mtime, mtime))

    # --- folders of the printer -------------------------------------------------------------------

    def has_only_junk(self, folder: str) -> bool:
        """Whether nothing that anybody would miss is kept for the printer's ``folder``."""
        return all(_is_junk(name) for name in self.names(folder))

    def folder_removed(self, folder: str) -> None:
        """The printer's ``folder`` is gone, and with it what was kept for it."""
        shutil.rmtree(self.local(folder), ignore_errors=True)

    def folder_renamed(self, old: str, new: str) -> None:
        """The printer's folder ``old`` is now ``new``; what was kept for it goes along."""
        if self.local(old).is_dir():
            self.local(new).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.rmtree(self.local(new), ignore_errors=True)
            os.rename(self.local(old), self.local(new))

    def _make_way(self, path: str) -> None:
        """Make the local folders that mirror the printer's; a missing folder of our own stays an error."""
        visible = path.partition("/.")[0]
        (self._folder / visible.lstrip("/")).mkdir(parents=True, exist_ok=True, mode=0o700)
