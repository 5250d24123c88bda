"""Runs random operations: each is done on the mount and in the model, and what both say must be the same."""

from __future__ import annotations

import errno
import os
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from tests.fsx.model import File, Opened, Tree, folder_of, is_local

MOST = 300_000
"""Bytes in a file at most."""

FOLDERS = ("alpha", "beta", "gamma")
NAMES = ("a.gcode.3mf", "b.gcode", "c d.txt", "é.stl", ".draft", ".x.swp")
PATHS = (*NAMES, *(f"{folder}/{name}" for folder in FOLDERS for name in NAMES))
_MOST_OPEN = 12
_LATE = 10.0
"""Seconds within which a file that nobody waits for must have been stored."""


Operation: TypeAlias = "Callable[[Machine], None]"


class Mismatch(AssertionError):
    """The mount, or the printer's disk, is not what the model says."""


class Machine:
    """Works on the mount at ``mount``, whose printer keeps its files in ``card``; ``seed`` decides everything.

    ``sends_later`` tells that a close does not wait for the upload.
    """

    def __init__(self, mount: Path, card: Path, seed: int, *, sends_later: bool = False) -> None:
        self.mount, self.card, self.sends_later = mount, card, sends_later
        self.random = random.Random(seed)
        self.tree = Tree()
        self.opened: list[Opened] = []
        self.log: deque[str] = deque(maxlen=60)
        self.done: Counter[str] = Counter()

    def run(self, operations: Mapping[Operation, int], count: int, *, check_every: int = 100) -> None:
        """Do ``count`` of the weighted ``operations``; compare all of the card at intervals and at the end.

        Raises `Mismatch`, and what an operation raises.
        """
        for number in range(1, count + 1):
            operation = self.random.choices(list(operations), list(operations.values()))[0]
            self.log.append(f"{number} {operation.__name__}")
            operation(self)
            self.done[operation.__name__] += 1
            if number % check_every == 0:
                self.check_all()
        while self.opened:
            self.close(self.opened[-1])
        self.check_all()

    # --- choosing ---------------------------------------------------------------------------------

    def note(self, *what: object) -> None:
        """Say in the log with what the present operation works."""
        self.log[-1] += " " + " ".join(map(str, what))

    def some_path(self, *, there: bool | None = None) -> str | None:
        """A path whose folder is there: of a file (``there``), or of none (not ``there``); None when none is."""
        fit = [p for p in PATHS if not folder_of(p) or folder_of(p) in self.tree.folders]
        if there is not None:
            fit = [path for path in fit if (path in self.tree.files) is there]
        return self.random.choice(fit) if fit else None

    def some_opened(self, ways: str) -> Opened | None:
        """A descriptor that has all of ``ways``."""
        fit = [opened for opened in self.opened if all(way in opened.ways for way in ways)]
        return self.random.choice(fit) if fit else None

    def some_place(self, limit: int) -> int:
        """An offset below ``limit``, often at the edge of a page or at an end."""
        place = self.random.randrange(limit + 1)
        kind = self.random.randrange(4)
        return place if kind < 2 else place // 4096 * 4096 if kind == 2 else limit

    def some_bytes(self, most: int = 66_000) -> bytes:
        """Content to write, mostly little."""
        return self.random.randbytes(self.random.choice((1, 100, 4096, 5000, self.random.randrange(1, most))))

    def at(self, path: str) -> str:
        """Where ``path`` is on this machine."""
        return os.path.join(self.mount, path)

    # --- what several operations do -----------------------------------------------------------------

    def open(self, path: str, ways: str, flags: int) -> Opened:
        """open(2), and the model's descriptor."""
        access = {"r": os.O_RDONLY, "w": os.O_WRONLY, "rw": os.O_RDWR}[ways.replace("a", "")]
        self.note(path, ways, oct(flags))
        fd = os.open(self.at(path), access | flags | (os.O_APPEND if "a" in ways else 0), 0o644)
        opened = Opened(fd, self.tree.files.setdefault(path, File()), ways)
        self.opened.append(opened)
        if len(self.opened) > _MOST_OPEN:
            self.close(self.opened[0])
        return opened

    def close(self, opened: Opened) -> None:
        """close(2): what was written is on the printer afterwards."""
        self.opened.remove(opened)
        os.close(opened.fd)
        if "w" in opened.ways and not opened.file.is_late:
            self.is_stored(opened.file)

    def is_stored(self, file: File, *, by_now: bool = False) -> None:
        """A program was told that the printer has all of ``file``, or will have it: look when it must ``by_now``."""
        file.is_stored, file.is_late = True, self.sends_later and not by_now
        if file.is_late:
            return
        path = self.tree.path_of(file)
        if path is not None and not is_local(path):
            self.compare(f"{path} on the card", self.on_card(path), file.content)

    def is_open_for_writing(self, file: File) -> bool:
        """Whether somebody may still write to ``file``."""
        return any(opened.file is file and "w" in opened.ways for opened in self.opened)

    def refused(self, number: int, call: Callable[[], object]) -> None:
        """``call`` must fail with the errno ``number``."""
        try:
            call()
        except OSError as error:
            self.compare("the error", errno.errorcode[error.errno or 0], errno.errorcode[number])
        else:
            raise Mismatch(f"nothing was refused; there should have been {errno.errorcode[number]}")

    # --- comparing ----------------------------------------------------------------------------------

    def compare(self, what: str, found: object, expected: object) -> None:
        """Raise `Mismatch` unless they are equal."""
        if isinstance(found, bytes) and isinstance(expected, bytes | bytearray) and found != expected:
            raise Mismatch(f"{what}: {_difference(found, bytes(expected))}")
        if found != expected:
            raise Mismatch(f"{what}: found {found!r}, expected {expected!r}")

    def on_card(self, path: str) -> bytes | None:
        """What the printer's disk has at ``path``; None when it has nothing."""
        try:
            return (self.card / path).read_bytes()
        except FileNotFoundError:
            return None

    def check_all(self) -> None:
        """Finish what is owed; then everything is the same in the model, on the card and in the mount."""
        for opened in self.opened:
            os.fsync(opened.fd)
            self.is_stored(opened.file, by_now=True)
        self._await_late()
        visible = {path: file for path, file in self.tree.files.items() if not is_local(path)}
        for path, file in visible.items():
            self.compare(f"{path} on the card", self.on_card(path), file.content)
        self.compare("names on the card", self._nameson_card(), set(visible) | self.tree.folders)
        for folder in ("", *self.tree.folders):
            self.compare(f"names in /{folder}", set(os.listdir(self.at(folder))), self.tree.names(folder))
        for path, file in self.tree.files.items():
            self._check_file(path, file)

    def _await_late(self) -> None:
        """What was made or emptied by being opened is stored soon after it was closed."""
        deadline = time.monotonic() + _LATE
        for path, file in self.tree.files.items():
            while not is_local(path) and file.is_late and self.on_card(path) != bytes(file.content):
                if time.monotonic() > deadline:
                    raise Mismatch(f"{path} was not stored within {_LATE:g} s after it was closed")
                time.sleep(0.01)

    def _check_file(self, path: str, file: File) -> None:
        found = os.stat(self.at(path))
        self.compare(f"size of {path}", found.st_size, len(file.content))
        if file.mtime is not None:
            self.compare(f"time of {path}", found.st_mtime_ns, file.mtime * 10**9)
        with open(self.at(path), "rb") as opened:
            self.compare(f"{path} in the mount", opened.read(), file.content)

    def _nameson_card(self) -> set[str]:
        names = {str(place.relative_to(self.card)) for place in self.card.rglob("*")}
        return {name for name in names if not is_local(name)}


def _difference(found: bytes, expected: bytes) -> str:
    both = enumerate(zip(found, expected, strict=False))
    at = next((n for n, (a, b) in both if a != b), min(len(found), len(expected)))
    return f"{len(found)} bytes instead of {len(expected)}, different from offset {at} on"
