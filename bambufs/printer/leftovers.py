"""Leftovers: which part files may lie on the card, remembered on this computer so that a crash leaves no litter."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


class Leftovers:
    """One small file for each part file on the card, in ``folder``; None keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def left_over(self) -> list[str]:
        """The paths that an earlier process noted and did not strike out."""
        if self._folder is None:
            return []
        return [os.fsdecode(file.read_bytes()) for file in sorted(self._folder.iterdir()) if file.is_file()]

    def note(self, path: str) -> None:
        """A part file is about to be made at ``path``. A full local disk is no reason not to."""
        if self._folder is not None:
            with suppress(OSError):
                self._file(path).write_bytes(os.fsencode(path))

    def strike_out(self, path: str) -> None:
        """There is none at ``path`` any more."""
        if self._folder is not None:
            with suppress(OSError):
                self._file(path).unlink(missing_ok=True)

    def _file(self, path: str) -> Path:
        assert self._folder is not None
        return self._folder / os.path.basename(path)
