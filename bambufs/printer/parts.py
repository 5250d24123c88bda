"""Names of our own on the card: part files, and how a file takes the place of another."""

from __future__ import annotations

import errno
import secrets
from collections.abc import Callable

from ..errors import CardRefused, InvalidName
from . import paths
from .session import FtpsSession

_PREFIX, _SUFFIX = ".bambufs-", ".part"


def new_part_path(path: str) -> str:
    """A fresh name beside ``path`` under which to store what will become it. Hidden, and never a 3MF to the printer."""
    return paths.join(paths.parent(path), f"{_PREFIX}{secrets.token_hex(4)}{_SUFFIX}")


def is_junk(name: str) -> bool:
    """Whether a dot name on the card is litter that nobody misses: our own part files, or a desktop's."""
    is_part = name.startswith(_PREFIX) and name.endswith(_SUFFIX)
    return is_part or name == ".DS_Store" or name.startswith("._")


def gone(path: str) -> FileNotFoundError:
    """The error for a file that was listed and is not there any more."""
    return FileNotFoundError(errno.ENOENT, "The printer has no such file any more", path)


def move(session: FtpsSession, source: str, target: str, discard: Callable[[str], None]) -> None:
    """Rename ``source`` over ``target``, at once where the printer can, else by way of a second name.

    ``discard`` is given the path of a left-over that could not be deleted at once.

    Raises `FileNotFoundError` without ``source``, `InvalidName` when the printer refuses ``target``.
    """
    if source.casefold() == target.casefold():  # one and the same file on a FAT card
        between = new_part_path(target)
        session.rename(source, between)
        session.rename(between, target)
        return
    if session.family.renames_over:
        try:
            session.rename(source, target)
            return
        except CardRefused as refusal:
            if refusal.path == source:
                raise gone(source) from refusal
    _swap(session, source, target, discard)


def _swap(session: FtpsSession, source: str, target: str, discard: Callable[[str], None]) -> None:
    """RNTO onto an existing file is refused by FatFs: put that file aside, and back if the renaming fails."""
    aside: str | None = new_part_path(target)
    try:
        session.rename(target, aside or "")
    except CardRefused:
        aside = None
    try:
        session.rename(source, target)
    except CardRefused as refusal:
        if aside:
            session.rename(aside, target)
        if refusal.path == source:
            raise gone(source) from refusal
        raise InvalidName(f"the printer cannot store this name ({refusal.reply})", target) from refusal
    if aside:
        try:
            session.delete(aside)
        except CardRefused:
            discard(aside)
