"""File systems over a printer in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bambufs.vfs.filesystem import FileSystem
from bambufs.vfs.settings import Settings
from tests.support.clock import Clock
from tests.support.memory import MemoryPrinter

Mount = Callable[..., FileSystem]


@pytest.fixture
def clock() -> Clock:
    return Clock(1_780_000_000.5)


@pytest.fixture
def printer() -> MemoryPrinter:
    return MemoryPrinter({"/cache/old.3mf": b"old content", "/model/other.3mf": b"other content"})


@pytest.fixture
def mount(tmp_path: Path, clock: Clock) -> Iterator[Mount]:
    """Makes a file system on a printer, with its cache in ``tmp_path / "cache"``; another call is a remount."""
    mounts = ExitStack()

    def make(printer: MemoryPrinter, **settings: object) -> FileSystem:
        mounts.close()
        options = Settings(cache_folder=tmp_path / "cache", leave_patience=0.0, **settings)  # type: ignore[arg-type]
        filesystem = FileSystem(printer.card(), options, clock=clock, monotonic=clock)
        filesystem.connect()
        mounts.callback(filesystem.close)
        return filesystem

    with mounts:
        yield make


@pytest.fixture
def fs(mount: Mount, printer: MemoryPrinter) -> FileSystem:
    return mount(printer)
