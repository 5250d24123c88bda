"""Names on the card and what is there, as the Python interface shows them."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from ..errors import InvalidName
from ..printer import paths
from ..printer.entry import Entry

AnyPath: TypeAlias = str | os.PathLike[str]


@dataclass(frozen=True)
class FileInfo:
    """One file or folder on the card.

    ``size`` is in bytes (0 for a folder), ``mtime`` in whole seconds since the epoch; `modified` is the same as a
    datetime. P1 and A1 printers tell times to the minute or the day only, by a clock that may be wrong.
    """

    path: str
    is_dir: bool
    size: int
    mtime: int

    @property
    def name(self) -> str:
        """The last part of the path."""
        return paths.split(self.path)[1]

    @property
    def modified(self) -> datetime:
        """When it was changed last, in UTC."""
        return datetime.fromtimestamp(self.mtime, UTC)


def entry_info(folder: str, entry: Entry) -> FileInfo:
    """What a listing of ``folder`` tells of one thing in it."""
    return FileInfo(paths.join(folder, entry.name), entry.is_dir, entry.size, entry.mtime)


def absolute(path: AnyPath) -> str:
    """``path`` as an absolute path on the card, without ``.``, ``..`` and doubled slashes.

    Raises `InvalidName` when it leads above the top of the card, or cannot be sent.
    """
    found: list[str] = []
    for part in os.fspath(path).split("/"):
        if part == ".." and not found:
            raise InvalidName("this path leads out of the card", os.fspath(path))
        if part == "..":
            found.pop()
        elif part not in ("", "."):
            found.append(part)
    return paths.check_sendable("/" + "/".join(found))


def absent(path: str) -> FileNotFoundError:
    """There is nothing at ``path``."""
    return FileNotFoundError(errno.ENOENT, "There is no such file or folder on the printer", path)
