"""Listings with exact times, and what they mean for content that an earlier mount has left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import cast

import pytest

from bambufs.printer.card import Card
from bambufs.printer.catalog import ExactListing
from bambufs.printer.entry import Entry
from bambufs.vfs.blocks import BlockCache
from bambufs.vfs.dating import Dating
from bambufs.vfs.fetching import Source
from bambufs.vfs.times import TimeStore

MINUTE = 60
LISTED = 1_700_000_040
NOW = LISTED + 30 * 86400.0
CONTENT = b"0123456789"


class Printer:
    """A folder /cache with the file x, and what was asked of it."""

    def __init__(self) -> None:
        self.mtime = LISTED + 7
        self.tells = True
        self.asked: list[list[str]] = []
        self.can_start_anywhere, self.is_wanted, self.has_spare = True, False, False

    def list_exactly(
        self, folder: str, pick: Callable[[Sequence[Entry]], Sequence[Entry]], *, patience: float
    ) -> ExactListing:
        entries = [Entry("x", False, len(CONTENT), self.mtime // MINUTE * MINUTE, MINUTE)]
        vague = pick(entries)
        if vague:
            self.asked.append([entry.name for entry in vague])
        return ExactListing(entries, vague, {entry.name: self.mtime for entry in vague} if self.tells else {})

    def open_read(self, path: str, offset: int, length: int) -> nullcontext[Transfer]:
        return nullcontext(Transfer())


class Transfer:
    version = None

    def read(self, size: int) -> bytes:
        return CONTENT


class Mount:
    """What a mount has of this."""

    def __init__(self, printer: Printer, folder: Path) -> None:
        self.times = TimeStore(folder / "times.sqlite")
        self.blocks = BlockCache(
            cast(Source, printer),
            folder / "blocks",
            max_bytes=1000,
            is_settled=self.times.is_settled,
            clock=lambda: NOW,
        )
        self._dating = Dating(cast(Card, printer), self.times, self.blocks, clock=lambda: NOW)

    def shown(self) -> Entry:
        """The file as it is listed."""
        (entry,) = self._dating.listing("/cache", patience=1.0)
        return entry

    def read(self) -> None:
        file = self.blocks.borrow("/cache/x", self.shown())
        assert file.read(100, 0) == CONTENT
        self.blocks.give_back(file)

    def has_content(self) -> bool:
        """Whether what is shown need not be fetched."""
        file = self.blocks.borrow("/cache/x", self.shown())
        try:
            return file.bytes_here == len(CONTENT)
        finally:
            self.blocks.give_back(file)

    def close(self) -> None:
        self.blocks.close()
        self.times.close()


@pytest.fixture
def printer() -> Printer:
    return Printer()


@pytest.fixture
def mount(printer: Printer, tmp_path: Path) -> Iterator[Mount]:
    mount = Mount(printer, tmp_path)
    yield mount
    mount.close()


def later(mount: Mount, printer: Printer, tmp_path: Path) -> Mount:
    """The next mount."""
    mount.close()
    mount.__init__(printer, tmp_path)  # type: ignore[misc]
    printer.asked.clear()
    return mount


def test_exact_time_is_asked_for_once(mount: Mount, printer: Printer) -> None:
    assert [mount.shown() for _ in range(3)] == [Entry("x", False, len(CONTENT), LISTED + 7)] * 3
    assert printer.asked == [["x"]]


def test_file_with_content_of_an_earlier_mount_is_asked_for_once_more(
    mount: Mount, printer: Printer, tmp_path: Path
) -> None:
    mount.read()
    next_one = later(mount, printer, tmp_path)
    assert next_one.has_content()
    assert next_one.has_content()
    assert printer.asked == [["x"]]


def test_change_by_a_second_within_the_listed_minute_is_seen(mount: Mount, printer: Printer, tmp_path: Path) -> None:
    mount.read()
    printer.mtime += 1
    next_one = later(mount, printer, tmp_path)
    assert not next_one.has_content()
    assert next_one.shown().mtime == printer.mtime


def test_change_of_a_file_whose_time_we_set_is_seen_too(mount: Mount, printer: Printer, tmp_path: Path) -> None:
    """What is shown stays what was set; the content does not."""
    mount.times.remember("/cache/x", len(CONTENT), printer.mtime)
    mount.read()
    assert later(mount, printer, tmp_path).has_content()
    printer.mtime += 1
    next_one = later(mount, printer, tmp_path)
    assert not next_one.has_content()
    assert next_one.shown().mtime == LISTED + 7


def test_printer_that_tells_no_exact_times_is_believed_by_its_listing(
    mount: Mount, printer: Printer, tmp_path: Path
) -> None:
    printer.tells = False
    mount.read()
    assert later(mount, printer, tmp_path).has_content()
    printer.mtime += MINUTE
    assert not later(mount, printer, tmp_path).has_content()
