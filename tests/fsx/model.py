"""What a mount must show: files and folders, all in memory."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(eq=False)
class File:
    """One file. ``is_stored`` tells that a program was told that the printer holds all of ``content``.

    ``mtime`` is the time that was set, None when it is the mount's own affair. ``is_late`` tells that it will be
    stored without anybody waiting for it: it was made or emptied by being opened, and not written since.
    ``deleted_in`` is the folder from which it was deleted while open. Once that is gone too, the file is
    ``is_out_of_sight``: libfuse then has no path for fstat(2), and answers ESTALE.
    """

    content: bytearray = field(default_factory=bytearray)
    mtime: int | None = None
    is_stored: bool = False
    is_late: bool = True
    deleted_in: str = ""
    is_out_of_sight: bool = False

    def write(self, data: bytes, offset: int) -> None:
        """As pwrite(2): a hole before ``offset`` is full of zeroes."""
        if not data:
            return
        if len(self.content) < offset:
            self.content.extend(bytes(offset - len(self.content)))
        self.content[offset : offset + len(data)] = data
        self._changed()

    def truncate(self, length: int) -> None:
        """As truncate(2)."""
        if length < len(self.content):
            del self.content[length:]
        else:
            self.content.extend(bytes(length - len(self.content)))
        self._changed()

    def empty(self) -> None:
        """As open(2) with O_TRUNC."""
        self.truncate(0)
        self.is_late = True

    def _changed(self) -> None:
        self.mtime, self.is_stored, self.is_late = None, False, False


@dataclass(eq=False)
class Opened:
    """A file descriptor of the mount; ``ways`` has an r when it reads, a w when it writes, an a when it appends."""

    fd: int
    file: File
    ways: str


class Tree:
    """The files by path below the mount (``folder/name`` or ``name``), and the folders; one level of them."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.folders: set[str] = set()
        self._deleted: list[File] = []

    def path_of(self, file: File) -> str | None:
        """Where ``file`` is; None when it was deleted."""
        return next((path for path, other in self.files.items() if other is file), None)

    def names(self, folder: str) -> set[str]:
        """The names in ``folder``; the empty name is the top."""
        inside = {path for path in self.files if folder_of(path) == folder}
        return {path.rpartition("/")[2] for path in inside} | (set() if folder else self.folders)

    def delete(self, path: str) -> None:
        """As unlink(2)."""
        file = self.files.pop(path)
        file.deleted_in = folder_of(path)
        self._deleted.append(file)

    def remove_folder(self, folder: str) -> None:
        """As rmdir(2) of a folder that holds nothing but what was deleted."""
        self.folders.discard(folder)
        for file in self._deleted:
            file.is_out_of_sight |= file.deleted_in == folder

    def move_folder(self, old: str, new: str) -> None:
        """As rename(2) of a folder to a free name."""
        self.folders = self.folders - {old} | {new}
        self.files = {_moved(path, old, new): file for path, file in self.files.items()}
        for file in self._deleted:
            file.deleted_in = new if file.deleted_in == old else file.deleted_in


def folder_of(path: str) -> str:
    """The folder that ``path`` is in."""
    return path.rpartition("/")[0]


def is_local(path: str) -> bool:
    """Whether ``path`` has a dot name in it, which never reaches the printer."""
    return path.rpartition("/")[2].startswith(".")


def _moved(path: str, old: str, new: str) -> str:
    return f"{new}{path[len(old) :]}" if path.startswith(f"{old}/") else path
