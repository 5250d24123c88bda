"""A printer in memory: sessions without a wire, for tests of what lies above them.

    printer = MemoryPrinter({"/cache/x.3mf": b"content"})
    card = printer.card()

Each verb is noted in ``printer.verbs``. ``printer.fail("STOR", error)`` lets the next one fail before it takes effect,
or one ``after`` so many; ``printer.gate("STOR")`` holds them up.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO, cast

from bambufs.errors import CardRefused, PrinterError
from bambufs.printer.breaker import Breaker
from bambufs.printer.card import Card
from bambufs.printer.download import Version
from bambufs.printer.family import VSFTPD, Family
from bambufs.printer.pool import SessionPool
from bambufs.printer.session import FtpsSession, Stored

UPLOADED = 1_700_000_000
"""The printer's clock stands still."""


class Gate:
    """Holds up a verb: ``reached`` is set once it is there."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def pass_through(self) -> None:
        """Wait until the gate is opened."""
        self.reached.set()
        if not self._open.wait(20):
            raise AssertionError("the gate stayed shut")

    def release(self) -> None:
        """Open it."""
        self._open.set()


class MemoryPrinter:
    """Files and folders by their paths; hidden ones too."""

    def __init__(self, files: Mapping[str, bytes] | None = None, *, family: Family = VSFTPD) -> None:
        self.family = family
        self.files = dict(files or {})
        self.folders = {"/", "/cache", "/model"}
        self.times: dict[str, int] = {}
        self.verbs: list[tuple[str, ...]] = []
        self._failures: dict[str, list[OSError | None]] = defaultdict(list)
        self._gates: dict[str, Gate] = {}
        self.lock = threading.RLock()

    def card(self) -> Card:
        """A card with this printer behind it."""
        pool = SessionPool(lambda: cast(FtpsSession, MemorySession(self)), probe_every=0)
        pool.breaker = _Forgetful()
        return Card(pool)

    def fail(self, verb: str, error: OSError, *, times: int = 1, after: int = 0) -> None:
        """Let the next ``times`` of ``verb`` fail, ``after`` so many that do not."""
        self._failures[verb] += [*([None] * after), *([error] * times)]

    def forgive(self) -> None:
        """Let nothing fail any more."""
        self._failures.clear()

    @contextlib.contextmanager
    def gate(self, verb: str) -> Iterator[Gate]:
        """Hold up ``verb`` until the gate is released, at the latest at the end of the block."""
        gate = self._gates[verb] = Gate()
        try:
            yield gate
        finally:
            del self._gates[verb]
            gate.release()

    def count(self, verb: str) -> int:
        """How often ``verb`` was asked for."""
        return sum(said[0] == verb for said in self.verbs)

    def visible(self) -> dict[str, bytes]:
        """The files that are not hidden."""
        return {path: content for path, content in self.files.items() if "/." not in path}

    def hidden(self) -> list[str]:
        """The files that are."""
        return sorted(path for path in self.files if "/." in path)

    def begin(self, verb: str, *arguments: str) -> None:
        """A session asks for ``verb``."""
        with self.lock:
            self.verbs.append((verb, *arguments))
            failure = self._failures[verb].pop(0) if self._failures[verb] else None
            gate = self._gates.get(verb)
        if gate is not None:
            gate.pass_through()
        if failure is not None:
            raise failure

    def names(self, folder: str) -> list[str]:
        """Every name in ``folder``."""
        prefix = folder.rstrip("/") + "/"
        paths = [path for path in (*self.files, *self.folders) if path.startswith(prefix) and path != "/"]
        return sorted({path[len(prefix) :] for path in paths if "/" not in path[len(prefix) :]})


class _Forgetful(Breaker):
    """A verb that was told to fail says nothing about the next one."""

    def failed(self, error: PrinterError) -> None:
        """Take no note."""


def _refused(path: str, reply: str = "550 Failed.") -> CardRefused:
    return CardRefused(f"the printer refuses this ({reply})", path, reply)


class MemoryDownload:
    """The content of a file, as it was when it was asked for."""

    def __init__(self, printer: MemoryPrinter, content: bytes, version: Version | None) -> None:
        self._printer, self._content, self.version = printer, content, version

    def read(self, size: int = 65536) -> bytes:
        """The next bytes."""
        self._printer.begin("read")
        block, self._content = self._content[:size], self._content[size:]
        return block

    def abandon(self) -> None:
        """Nothing to close."""

    def finish(self) -> None:
        """Nothing to wait for."""


class MemorySession:
    """The verbs of `FtpsSession`."""

    def __init__(self, printer: MemoryPrinter) -> None:
        self._printer, self.family = printer, printer.family
        self.sessions_allowed, self.pipelines = self.family.max_sessions, self.family.pipelines
        self.is_closed = False

    def has_hung_up(self) -> bool:
        """Not unless it was closed."""
        return self.is_closed

    def answers(self) -> bool:
        """Always."""
        return True

    def be_patient(self, *, long: bool) -> None:
        """Nothing takes time here."""

    def close(self) -> None:
        """Take note."""
        self.is_closed = True

    quit = close

    def list(self, folder: str, *, hidden: bool = False) -> list[str]:
        """LIST lines, exact to the day."""
        self._printer.begin("LIST", folder)
        if folder not in self._printer.folders:
            raise _refused(folder)
        names = self._printer.names(folder)
        return [self._line(folder, name) for name in names if hidden or not name.startswith(".")]

    def list_then_ask(
        self, folder: str, files: Callable[[Sequence[str]], Sequence[str]]
    ) -> tuple[int | None, ...]:
        """LIST, and the exact times of those of its files that are asked for."""
        wanted = files(self.list(folder))
        return self.modified(wanted) if wanted else ()

    def _line(self, folder: str, name: str) -> str:
        path = f"{folder.rstrip('/')}/{name}"
        mtime = self._printer.times.get(path, UPLOADED)
        date = time.strftime("%b %d  %Y", time.gmtime(mtime))
        kind, size = ("d", 0) if path in self._printer.folders else ("-", len(self._printer.files[path]))
        return f"{kind}rw-rw-rw-   1 root  root    {size} {date} {name}"

    def version(self, path: str) -> Version | None:
        """What a download would send."""
        content = self._printer.files.get(path)
        return None if content is None else Version(len(content), self._printer.times.get(path, UPLOADED))

    def download(self, path: str, offset: int = 0) -> MemoryDownload:
        """Begin to read."""
        self._printer.begin("RETR", path, str(offset))
        if path not in self._printer.files:
            raise _refused(path)
        return MemoryDownload(self._printer, self._printer.files[path][offset:], self.version(path))

    def store(
        self,
        path: str,
        source: BinaryIO,
        on_progress: Callable[[int], None],
        *,
        mtime: Callable[[], int] | None = None,
        begin: Callable[[], None] = lambda: None,
    ) -> Stored:
        """Take a file; its size and its time are asked for and set by verbs of their own."""
        self._printer.begin("STOR", path)
        if path.rpartition("/")[0] not in (*self._printer.folders, ""):
            raise _refused(path, "553 Could not create file.")
        begin()
        content = source.read()
        on_progress(len(content))
        self._printer.files[path] = content
        self._printer.times[path] = UPLOADED
        return Stored(None, None)

    def size(self, path: str) -> int:
        """The size of a file."""
        self._printer.begin("SIZE", path)
        if path not in self._printer.files:
            raise _refused(path)
        return len(self._printer.files[path])

    def set_time(self, path: str, mtime: int) -> None:
        """Set the time of a file."""
        self._printer.begin("MDTM", path, str(mtime))
        if path not in self._printer.files:
            raise _refused(path)
        self._printer.times[path] = mtime

    def modified(self, paths: Sequence[str]) -> tuple[int | None, ...]:
        """The exact times of files."""
        self._printer.begin("MDTM?", *paths)
        return tuple(self._printer.times.get(path, UPLOADED) for path in paths)

    def rename(self, old: str, new: str) -> None:
        """Rename a file or folder with all that is in it."""
        printer = self._printer
        printer.begin("RENAME", old, new)
        with printer.lock:
            if old not in printer.files and old not in printer.folders:
                raise _refused(old)
            taken = new in printer.folders or (new in printer.files and not self.family.renames_over)
            if taken or new.rpartition("/")[0] not in (*printer.folders, ""):
                raise _refused(new)
            printer.files = {_moved(path, old, new): content for path, content in printer.files.items() if path != new}
            printer.times = {_moved(path, old, new): mtime for path, mtime in printer.times.items() if path != new}
            printer.folders = {_moved(path, old, new) for path in printer.folders}

    def delete(self, path: str) -> None:
        """Delete a file."""
        self._printer.begin("DELE", path)
        if self._printer.files.pop(path, None) is None:
            raise _refused(path)
        self._printer.times.pop(path, None)

    def make_folder(self, path: str) -> None:
        """Make a folder."""
        self._printer.begin("MKD", path)
        if path in self._printer.folders or path in self._printer.files:
            raise _refused(path)
        self._printer.folders.add(path)

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        self._printer.begin("CWD", path)
        return path in self._printer.folders

    def remove_folder(self, path: str) -> None:
        """Remove an empty folder."""
        self._printer.begin("RMD", path)
        if path not in self._printer.folders or self._printer.names(path):
            raise _refused(path)
        self._printer.folders.discard(path)


def _moved(path: str, old: str, new: str) -> str:
    return new + path[len(old) :] if path == old or path.startswith(old + "/") else path
