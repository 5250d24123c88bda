"""Names of our own on the card, and how a file takes the place of another."""

from __future__ import annotations

import errno
import secrets
from contextlib import suppress

from ..errors import CardRefused, InvalidName, NotSupported
from . import paths
from .leftovers import Leftovers
from .session import FtpsSession

_PREFIX, _SUFFIX = ".bambufs-", ".part"


def new_part_path(path: str, longest_path: int | None = None) -> str:
    """A fresh name beside ``path`` under which to store what will become it. Hidden, and never a 3MF to the printer.

    Where that would be more than ``longest_path`` bytes, it lies in the nearest folder above in which it is not.
    """
    folder, name = paths.parent(path), f"{_PREFIX}{secrets.token_hex(4)}{_SUFFIX}"
    while folder != paths.ROOT and not paths.fits(paths.join(folder, name), longest_path):
        folder = paths.parent(folder)
    return paths.join(folder, name)


def is_junk(name: str) -> bool:
    """Whether a dot name on the card is litter that nobody misses: our own part files, or a desktop's."""
    is_part = name.startswith(_PREFIX) and name.endswith(_SUFFIX)
    return is_part or name == ".DS_Store" or name.startswith("._")


def gone(path: str) -> FileNotFoundError:
    """The error for a file that was listed and is not there any more."""
    return FileNotFoundError(errno.ENOENT, "The printer has no such file any more", path)


def _is_there(session: FtpsSession, path: str) -> bool:
    """Whether there is such a file, as far as the printer tells."""
    try:
        session.size(path)
    except NotSupported:
        return True
    except CardRefused:
        return False
    return True


class Move:
    """A file that takes the place of another: at once where the printer renames over a file, else in three steps.

    RNTO onto an existing file is refused by FatFs. Then the old file is put ``aside`` first, and deleted afterwards or
    put back. A move that was broken off by the network can be run again, and goes on where it was. ``leftovers``
    remember what is set aside, should this process be killed in the middle.
    """

    def __init__(self, source: str, target: str, leftovers: Leftovers) -> None:
        self.source, self.target, self._leftovers = source, target, leftovers
        self.aside: str | None = None

    def run(self, session: FtpsSession) -> None:
        """Rename.

        Raises `FileNotFoundError` without the source, `InvalidName` when the printer refuses the name, `NotSupported`
        when it renames nothing at all.
        """
        if paths.folded(self.source) == paths.folded(self.target):
            self._change_case(session)
        elif not (session.family.renames_over and self.aside is None and self._renamed_over(session)):
            self._swap(session)

    def _renamed_over(self, session: FtpsSession) -> bool:
        try:
            session.rename(self.source, self.target)
        except NotSupported:
            raise
        except CardRefused as refusal:
            if refusal.path == self.source:
                raise gone(self.source) from refusal
            return False
        return True

    def _change_case(self, session: FtpsSession) -> None:
        """Both names are one file on a FAT card, so that deleting or overwriting the one would lose the other."""
        between = new_part_path(self.target, session.family.longest_path)
        session.rename(self.source, between)
        try:
            session.rename(between, self.target)
        except CardRefused as refusal:
            session.rename(between, self.source)
            raise self._refused(refusal) from refusal

    def _swap(self, session: FtpsSession) -> None:
        if self.aside is not None and not _is_there(session, self.aside):
            self._forget_aside()  # the connection broke before it had been put aside
        if self.aside is None:
            aside = new_part_path(self.target, session.family.longest_path)
            self.aside = aside
            self._leftovers.note(aside, instead_of=self.target)
            try:
                session.rename(self.target, aside)
            except CardRefused:
                self._forget_aside()
        try:
            session.rename(self.source, self.target)
        except CardRefused as refusal:
            self.undo(session)
            if isinstance(refusal, NotSupported):
                raise
            if refusal.path == self.source:
                raise gone(self.source) from refusal
            raise self._refused(refusal) from refusal
        self.finish(session)

    def _refused(self, refusal: CardRefused) -> InvalidName:
        return InvalidName(f"the printer cannot store this name ({refusal.reply})", self.target)

    def finish(self, session: FtpsSession) -> None:
        """The new file is in place: delete the one that was put aside."""
        if self.aside is not None:
            with suppress(CardRefused):
                session.delete(self.aside)
            self._forget_aside()

    def undo(self, session: FtpsSession) -> None:
        """The new file cannot take its place: put the old one back."""
        if self.aside is not None:
            with suppress(CardRefused):
                session.rename(self.aside, self.target)
            self._forget_aside()

    def _forget_aside(self) -> None:
        if self.aside is not None:
            self._leftovers.strike_out(self.aside)
        self.aside = None


def put_back(session: FtpsSession, aside: str, target: str) -> None:
    """A move was broken off by the death of its process: what it set aside is old, or else all that there is."""
    try:
        session.size(target)
    except CardRefused:
        session.rename(aside, target)
    else:
        session.delete(aside)
