"""Upload: one file on its way to the card, whole or not at all, in steps that can be taken up again.

It goes out under a part name, its size is compared, its time is set, and it is renamed.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import BinaryIO

from ..errors import CardRefused, ConnectionDropped
from . import paths
from .parts import move, new_part_path
from .session import FtpsSession


class Upload:
    """``size`` bytes of ``source``, from its start, that shall become ``path`` with the time ``mtime``."""

    def __init__(
        self, source: BinaryIO, path: str, *, size: int, mtime: int, on_progress: Callable[[int], None]
    ) -> None:
        self.path, self.size, self.mtime = path, size, mtime
        self.part = new_part_path(path)
        self.may_be_renamed = False
        """Whether the renaming was asked for: only then can a missing part file mean success."""
        self._source, self._on_progress = source, on_progress

    def send(self, session: FtpsSession) -> None:
        """Store the part file and compare its size.

        Raises `ConnectionDropped` when it differs, `FileNotFoundError` without the folder, `CardFull`, `CardRefused`.
        """
        self._source.seek(0)
        try:
            session.store(self.part, self._source, self._on_progress)
        except CardRefused as refusal:
            raise self._cannot_create(session, refusal) from refusal
        arrived = session.size(self.part)
        if arrived != self.size:
            raise ConnectionDropped(f"only {arrived} of {self.size} bytes arrived on the printer; try again", self.path)

    def _cannot_create(self, session: FtpsSession, refusal: CardRefused) -> OSError:
        """Why the printer creates no file: the folder is missing, or the card is out, read-only or full."""
        folder = paths.parent(self.path)
        try:
            session.list(folder)
        except CardRefused:
            return FileNotFoundError(errno.ENOENT, "No such folder on the printer", folder)
        message = f"the printer takes no new file here ({refusal.reply}); is its card in, writable and not full?"
        return CardRefused(message, folder, refusal.reply)

    def publish(
        self,
        session: FtpsSession,
        set_time: Callable[[FtpsSession, str, int], bool],
        discard: Callable[[str], None],
    ) -> bool:
        """Set the part file's time and rename it over the path; returns whether the printer took the time."""
        kept = set_time(session, self.part, self.mtime)
        self.may_be_renamed = True
        move(session, self.part, self.path, discard)
        return kept
