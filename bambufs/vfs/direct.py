"""The printer's card as the print desk wants it, without a mount; see `printing.Storage`."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

from ..errors import os_error
from ..printer import paths
from ..printer.card import Card
from ..printer.remotefile import fetch
from ..printer.upload import Upload
from .attributes import Attributes
from .spool import Content

Watch = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Called with what is being done and its bytes; gives what to call with the bytes that are done."""


def unwatched(_what: str, _size: int) -> AbstractContextManager[Callable[[int], None]]:
    """A `Watch` that tells nobody."""
    return nullcontext(lambda done: None)


class LocalFile:
    """A file of this computer; see `Content`."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def size(self) -> int:
        """In bytes."""
        return self._file.stat().st_size

    def reader(self) -> BinaryIO:
        """A new file object at the start."""
        return open(self._file, "rb")


class CardFiles:
    """The files of ``card``; ``watch`` is told of every transfer."""

    def __init__(self, card: Card, watch: Watch = unwatched) -> None:
        self._card, self._watch = card, watch

    def find(self, path: str) -> Attributes | None:
        """What is at ``path``, or None."""
        folder, name = paths.split(path)
        try:
            entries = self._card.list(folder)
        except FileNotFoundError:
            return None
        found = next((entry for entry in entries if entry.name == name), None)
        return None if found is None else Attributes(found.is_dir, found.size, found.mtime)

    def settle(self, path: str) -> None:
        """Nothing is owed here."""

    @contextmanager
    def reader(self, path: str) -> Iterator[BinaryIO]:
        """The content, seekable; fetched whole, since all of it is going to be read, more than once."""
        found = self.find(path)
        if found is None:
            raise os_error(2, path)
        with tempfile.TemporaryFile() as copy:
            with self._watch(f"Reading {path}", found.size) as progress:
                fetch(self._card, path, found.size, copy, on_progress=progress)
            copy.seek(0)
            yield copy

    def store(self, content: Content, path: str) -> None:
        """Store a new file, whole or not at all; raises `FileExistsError` when the name is taken."""
        self._check_new(path)
        with content.reader() as source, self._watch(f"Uploading {path}", content.size) as progress:
            size, now = content.size, int(time.time())
            self._card.store(Upload(source, path, size=size, mtime=now, on_progress=progress))

    def _check_new(self, path: str) -> None:
        folder, name = paths.split(path)
        paths.check_storable(path, longest_path=self._card.family.longest_path)
        if paths.folded(name) in {paths.folded(entry.name) for entry in self._card.list(folder)}:
            raise FileExistsError(17, os.strerror(17), path)

    def make_folder(self, path: str) -> None:
        """Make a folder."""
        self._card.make_folder(path)
