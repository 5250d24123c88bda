"""Leftovers: which part files may lie on the card, remembered on this computer so that a crash leaves no litter."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path


class Leftovers:
    """One small file for each part file on the card, in ``folder``; None keeps nothing.

    Several processes may share the folder (a mount and `bambufs put`, say): each holds a lock on what it has noted, so
    that nobody takes the upload of a living process for a leftover. The kernel drops the lock of one that was killed.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def left_over(self) -> list[str]:
        """The paths that a process which is gone noted and did not strike out."""
        return [path for path, instead_of in self._abandoned() if not instead_of]

    def set_aside(self) -> list[tuple[str, str]]:
        """The same for files that were set aside, each with the path that it had."""
        return [(path, instead_of) for path, instead_of in self._abandoned() if instead_of]

    def _abandoned(self) -> list[tuple[str, str]]:
        if self._folder is None:
            return []
        notes = [os.fsdecode(_abandoned(file)) for file in sorted(self._folder.iterdir())]
        return [(path, instead_of) for path, _, instead_of in (note.partition("\0") for note in notes) if path]

    def note(self, path: str, *, instead_of: str = "") -> None:
        """A part file is about to be made at ``path``, or the file at ``instead_of`` to be set aside there.

        A full local disk is no reason not to. What is noted already stays as it is.
        """
        if self._folder is not None and path not in self._held:
            with suppress(OSError):
                file = os.open(self._file(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
                self._held[path] = file
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.write(file, os.fsencode(f"{path}\0{instead_of}" if instead_of else path))

    def strike_out(self, path: str) -> None:
        """There is none at ``path`` any more."""
        if self._folder is not None:
            with suppress(OSError):
                self._file(path).unlink(missing_ok=True)
        self._let_go(path)

    def close(self) -> None:
        """What is still noted is for the next process."""
        for path in list(self._held):
            self._let_go(path)

    def _let_go(self, path: str) -> None:
        file = self._held.pop(path, None)
        if file is not None:
            os.close(file)

    def _file(self, path: str) -> Path:
        assert self._folder is not None
        return self._folder / os.path.basename(path)


def _abandoned(file: Path) -> bytes:
    """What stands in the note, or nothing while the process that wrote it lives (or when it is no note)."""
    with suppress(OSError), open(file, "rb") as opened:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return opened.read()
    return b""
