"""A folder of its own for each test, seen from both ends: through the root, and on the printer's disk."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from tests.contract.roots import MountedRoot, Root
from tests.support.mounting import Target


@dataclass(frozen=True)
class Traits:
    """Where printers differ in what the contract can promise, as the documentation says.

    ``time_resolution`` is in seconds, to which the card rounds times down; a printer that does not keep times has them
    remembered on this computer. Where files are not replaced at once, a name may be without a file for a moment.
    ``longest_path`` is in bytes.
    """

    time_resolution: int = 1
    keeps_times: bool = True
    replaces_at_once: bool = True
    starts_anywhere: bool = True
    longest_path: int | None = None


class Printer(Target, Protocol):
    """What the contract needs of a server: its address, its disk, and what was sent to it."""

    @property
    def root(self) -> Path:
        """The card on the printer's own disk."""
        ...

    @property
    def traits(self) -> Traits:
        """What it can and cannot do."""
        ...

    def sent(self, verb: str) -> list[str]:
        """Return the arguments of all commands ``verb`` so far."""
        ...


class Box:
    """A test's own folder ``folder`` on the card.

    `put` places files behind the driver's back, which is fair only before the test has used
    the box through the root: after that the driver may remember what it saw.
    """

    def __init__(self, root: Root, printer: Printer, folder: str) -> None:
        self.root = root
        self.printer = printer
        self.folder = folder
        self.disk = printer.root / folder.lstrip("/")

    def __repr__(self) -> str:
        return f"Box({self.root!r}, {self.folder!r})"

    def at(self, name: str = "") -> str:
        """Return the path of ``name`` inside the mount."""
        return f"{self.folder}/{name}" if name else self.folder

    def path(self, name: str = "") -> Path:
        """Return the path of ``name`` on this machine (mounts only)."""
        assert isinstance(self.root, MountedRoot)
        return Path(self.root.at(self.at(name)))

    def put(self, name: str | bytes, data: bytes = b"", mtime: int | None = None) -> None:
        """Place a file on the printer's disk, with the folders above it."""
        place = os.path.join(os.fsencode(self.disk), os.fsencode(name))
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as file:
            file.write(data)
        if mtime is not None:
            os.utime(place, (mtime, mtime))
        # The driver looks into folders ahead of need, and may remember this one as it was before.
        with contextlib.suppress(OSError):  # a read-only mount
            self.root.write("/.bambufs/refresh", os.fsencode(self.folder) + b"\n")

    def card(self, name: str) -> bytes:
        """Return what the printer's disk holds under ``name``."""
        return (self.disk / name).read_bytes()

    def holds(self, name: str, content: bytes) -> bool:
        """Tell whether the printer's disk holds ``content`` under ``name`` at this moment."""
        try:
            return self.card(name) == content
        except FileNotFoundError:
            return False

    def keeps_time(self, name: str, mtime: int) -> bool:
        """Tell whether ``name`` has the time ``mtime`` where times are kept.

        That is the printer's disk, as exactly as it can store it, or this computer where the printer takes no times.
        """
        if not self.printer.traits.keeps_times:
            return self.root.status(self.at(name)).mtime == mtime
        return 0 <= mtime - int((self.disk / name).stat().st_mtime) < self.printer.traits.time_resolution

    def card_names(self) -> list[str]:
        """Return everything on the printer's disk below the box, sorted."""
        return sorted(str(path.relative_to(self.disk)) for path in self.disk.rglob("*"))

    def stored(self) -> list[str]:
        """Return the paths of all STORs into this box so far, relative to it."""
        return self._inside(self.printer.sent("STOR"))

    def renamed_to(self) -> list[str]:
        """Return the targets of all renames into this box so far, relative to it."""
        return self._inside(self.printer.sent("RNTO"))

    def _inside(self, paths: list[str]) -> list[str]:
        start = f"{self.folder}/"
        return [path[len(start) :] for path in paths if path.startswith(start)]


@contextlib.contextmanager
def refused(number: int) -> Iterator[None]:
    """Expect the block to end with an `OSError` of errno ``number``."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 (the number is checked here)
        yield
    assert name_of(caught.value.errno) == name_of(number)


def name_of(number: int | None) -> str:
    """Return the symbol of an errno, for readable failures."""
    return errno.errorcode.get(number or 0, str(number))


def boxes(card: Path, region: str) -> Callable[[], str]:
    """Make many empty folders on the card and return a function that hands out one after the other.

    They are there before the driver looks for the first time, so that none comes as news to it.
    """
    paths = [f"/{region}/g{group:02}/b{number:02}" for group in range(16) for number in range(30)]
    for path in paths:
        (card / path.lstrip("/")).mkdir(parents=True)
    remaining = iter(paths)
    return lambda: next(remaining)
