"""A card and a control connection that are only remembered, for tests of what prints."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from typing import BinaryIO

from bambufs.errors import PrinterError
from bambufs.printer.job import PrintJob
from bambufs.printer.outcome import PrintOutcome
from bambufs.printer.state import PrinterState
from bambufs.vfs.attributes import Attributes
from bambufs.vfs.printing import PrintDesk
from bambufs.vfs.spool import Content


class Shelf:
    """A card: folders, and files with their content."""

    def __init__(self, **files: bytes) -> None:
        self.folders = {"/", "/cache"}
        self.files: dict[str, bytes] = dict(files)
        self.stored: list[str] = []
        self.settled: list[str] = []
        self.opened: list[str] = []
        self.trouble: OSError | None = None
        self.when_settled: Callable[[], None] = lambda: None

    def find(self, path: str) -> Attributes | None:
        if path in self.folders:
            return Attributes(True, 0, 0)
        return Attributes(False, len(self.files[path]), 0) if path in self.files else None

    def settle(self, path: str) -> None:
        self.settled.append(path)
        self.when_settled()
        if self.trouble is not None:
            raise self.trouble

    @contextlib.contextmanager
    def reader(self, path: str) -> Iterator[BinaryIO]:
        self.opened.append(path)
        yield io.BytesIO(self.files[path])

    def store(self, content: Content, path: str) -> None:
        if path.casefold() in {name.casefold() for name in self.files}:
            raise FileExistsError(17, "File exists", path)
        with content.reader() as source:
            self.files[path] = source.read()
        self.stored.append(path)

    def make_folder(self, path: str) -> None:
        self.folders.add(path)


class Bytes:
    """Content that is held in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        return len(self._data)

    def reader(self) -> BinaryIO:
        return io.BytesIO(self._data)


class Line:
    """A control connection to an idle P1S without an AMS, which takes every job."""

    serial = "01P00A000000001"

    def __init__(self) -> None:
        self.state = PrinterState()
        self.outcome: PrintOutcome | None = None
        self.jobs: list[PrintJob] = []
        self.commands: list[str] = []
        self.problem: PrinterError | None = None
        self.answer: Callable[[PrintOutcome], PrintOutcome] = PrintOutcome.accepted
        self.refusal: PrinterError | None = None
        self.report(gcode_state="IDLE", ams={"ams": []})

    def report(self, **keys: object) -> None:
        """Let the printer say something of itself."""
        self.state = self.state.with_report({"print": keys}, 0.0)
        if self.outcome is not None:
            self.outcome = self.outcome.observed(self.state)

    def wait_ready(self, timeout: float) -> None:
        if self.problem is not None:
            raise self.problem

    def start_print(self, job: PrintJob, timeout: float) -> PrintOutcome:
        self.jobs.append(job)
        begun = PrintOutcome.begin(
            path=job.path, name=job.subtask_name, task_id=job.task_id, state=self.state, now=0.0
        )
        if self.refusal is not None:
            self.outcome = begun.refused(self.refusal.message)
            raise self.refusal
        self.outcome = self.answer(begun)
        return self.outcome

    def command(self, command: str, timeout: float) -> None:
        self.commands.append(command)


def desk_for(shelf: Shelf, line: Line, **more: object) -> PrintDesk:
    """A desk whose clock stands at noon of 2025-06-15 UTC."""
    return PrintDesk(shelf, line, clock=lambda: 1_749_988_800.0, **more)  # type: ignore[arg-type]
