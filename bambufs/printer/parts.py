"""Names of our own on the card, and how a file takes the place of another."""

from __future__ import annotations

import errno
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

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


def is_part(path: str) -> bool:
    """Whether a path (or name) is one of our own that stand for something else for a while."""
    name = paths.split(path)[1]
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def is_junk(name: str) -> bool:
    """Whether a dot name on the card is litter that nobody misses: our own part files, or a desktop's."""
    return is_part(name) or name == ".DS_Store" or name.startswith("._")


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


@dataclass(frozen=True)
class Keep:
    """That a file which is replaced shall be kept ``at`` a path of ours, since somebody reads it.

    ``moved`` is told what it is called from then on: that path, or its own again once it has been put back.
    """

    at: str
    moved: Callable[[str], object]


class Move:
    """A file that takes the place of another: at once where the printer renames over a file, else in three steps.

    RNTO onto an existing file is refused by FatFs. Then the old file is put ``aside`` first, and deleted afterwards or
    put back. A move that was broken off by the network can be run again, and goes on where it was. ``leftovers``
    remember what is set aside, should this process be killed in the middle. With ``keep`` the old file is not deleted.
    """

    def __init__(self, source: str, target: str, leftovers: Leftovers, keep: Keep | None = None) -> None:
        self.source, self.target, self._leftovers, self._keep = source, target, leftovers, keep
        self.aside: str | None = None
        self._home = target
        """Where what is aside was."""

    def run(self, session: FtpsSession) -> None:
        """Rename.

        Raises `FileNotFoundError` without the source, `InvalidName` when the printer refuses the name, `NotSupported`
        when it renames nothing at all, `OSError` with ENOTEMPTY when the target is a folder with something in it.
        """
        if paths.folded(self.source) == paths.folded(self.target):
            self._change_case(session)
        elif not (self._may_rename_over(session) and self._renamed_over(session)):
            self._swap(session)

    def _may_rename_over(self, session: FtpsSession) -> bool:
        return session.family.renames_over and self.aside is None and self._keep is None

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
        self.undo(session)  # what was begun before the connection broke
        try:
            aside = self._put_aside(session, self.source)
        except NotSupported:
            raise
        except CardRefused as refusal:
            raise gone(self.source) from refusal
        try:
            session.rename(aside, self.target)
        except CardRefused as refusal:
            self.undo(session)
            raise self._refused(refusal) from refusal
        self._forget_aside()

    def _put_aside(self, session: FtpsSession, path: str) -> str:
        """Give what is at ``path`` a name of ours, and return that. Raises `CardRefused`."""
        aside = self._keep.at if self._keep else new_part_path(self.target, session.family.longest_path)
        self.aside, self._home = aside, path
        self._leftovers.note(aside, instead_of=path)
        try:
            session.rename(path, aside)
        except CardRefused:
            self._forget_aside()
            raise
        return aside

    def _swap(self, session: FtpsSession) -> None:
        if self.aside is not None and not _is_there(session, self.aside):
            self._forget_aside()  # the connection broke before it had been put aside
        if self.aside is None:
            with suppress(CardRefused):
                self._put_aside(session, self.target)
        if self.aside is not None:
            self._tell(self.aside)
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

    def _tell(self, path: str) -> None:
        if self._keep is not None:
            self._keep.moved(path)

    def _refused(self, refusal: CardRefused) -> InvalidName:
        return InvalidName(f"the printer cannot store this name ({refusal.reply})", self.target)

    def finish(self, session: FtpsSession) -> None:
        """The new file is in place: delete the one that was put aside, or leave that to whoever has it kept.

        Raises as `run` does when that was a folder.
        """
        if self.aside is not None and self._keep is not None:
            aside = self.aside
            self._forget_aside()
            self._leftovers.note(aside)
        elif self.aside is not None:
            try:
                session.delete(self.aside)
            except CardRefused as refusal:
                if session.is_folder(self.aside):
                    self._replace_folder(session, self.aside, refusal)
            self._forget_aside()

    def _replace_folder(self, session: FtpsSession, aside: str, refusal: CardRefused) -> None:
        """It was a folder that was put aside, made by another computer a moment ago: only an empty one may go."""
        try:
            session.remove_folder(aside)
        except CardRefused:
            session.rename(self.target, self.source)
            self.undo(session)
            message = "There is a folder by this name, and it is not empty"
            raise OSError(errno.ENOTEMPTY, message, self.target) from refusal

    def undo(self, session: FtpsSession) -> None:
        """The move was broken off: put back what was put aside, unless something else has taken its place since."""
        if self.aside is not None:
            with suppress(CardRefused):
                if put_back(session, self.aside, self._home):
                    self._tell(self._home)
            self._forget_aside()

    def _forget_aside(self) -> None:
        if self.aside is not None:
            self._leftovers.strike_out(self.aside)
        self.aside = None


def put_back(session: FtpsSession, aside: str, target: str) -> bool:
    """A move was broken off: what it set aside is old and deleted, or else all that there is, and put back.

    Returns whether it was put back.
    """
    try:
        session.size(target)
    except CardRefused:
        session.rename(aside, target)
        return True
    session.delete(aside)
    return False
