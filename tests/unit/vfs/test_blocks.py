"""The parts of remote files that have been fetched, over a source that counts its transfers."""

from __future__ import annotations

import errno
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from bambufs import interrupts
from bambufs.errors import ConnectionDropped, FileChanged, Interrupted, PrinterTimeout, PrinterUnreachable
from bambufs.printer.download import Version
from bambufs.printer.entry import Entry
from bambufs.vfs import blocks
from bambufs.vfs import fetching as fetching_module
from bambufs.vfs.blocks import BlockCache
from bambufs.vfs.fetching import LEAST_AHEAD, TAIL, RemoteFile, Source
from bambufs.vfs.spool import SpoolFile
from tests.support.threads import Threads
from tests.support.waiting import wait_until

MEGABYTE = 1_000_000
CONTENT = b"".join(number.to_bytes(4, "big") for number in range(2 * MEGABYTE))
ENTRY = Entry("x", False, len(CONTENT), 1_000_000_000)


class Printer:
    """Files, and what of them was sent."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.version: Version | None = None
        self.can_start_anywhere, self.is_wanted, self.has_spare = True, False, False
        self.transfers: list[tuple[str, int]] = []
        self.sent = 0
        self.ended = 0
        self.errors: list[BaseException | None] = []
        self.break_after: list[int] = []
        self.gate, self.may_end = threading.Event(), threading.Event()
        self.gate.set()
        self.may_end.set()

    @contextmanager
    def open_read(self, path: str, offset: int, length: int) -> Iterator[Transfer]:
        self.transfers.append((path, offset))
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        try:
            yield Transfer(self, offset, offset + length, self.break_after.pop(0) if self.break_after else None)
        finally:
            if not self.may_end.wait(20):
                raise AssertionError("the transfer could not end")
            self.ended += 1


class Transfer:
    """Content on its way; it breaks off after some bytes if it is told to."""

    def __init__(self, printer: Printer, offset: int, end: int, break_after: int | None) -> None:
        self._printer, self._offset, self._end, self._left = printer, offset, end, break_after
        self.version = printer.version

    def read(self, size: int) -> bytes:
        if not self._printer.gate.wait(20):
            raise AssertionError("the gate stayed shut")
        if self._left is not None:
            size = min(size, self._left)
            self._left -= size
            if not size:
                raise ConnectionDropped("the printer ended the file early", "/x")
        block = self._printer.content[self._offset : min(self._offset + size, self._end)]
        self._offset += len(block)
        self._printer.sent += len(block)
        return block


@pytest.fixture
def printer() -> Printer:
    return Printer()


@pytest.fixture
def cache(printer: Printer, tmp_path: Path) -> Iterator[BlockCache]:
    cache = BlockCache(cast(Source, printer), tmp_path / "blocks", max_bytes=20 * MEGABYTE)
    yield cache
    printer.gate.set()
    cache.close()
    wait_until(lambda: not fetching(), "the fetching to end")


@pytest.fixture
def file(cache: BlockCache) -> RemoteFile:
    return cache.borrow("/x", ENTRY)


_threads = Threads()


@pytest.fixture(autouse=True)
def _remember_threads() -> None:
    global _threads
    _threads = Threads()


def fetching() -> list[str]:
    return _threads.named("bambufs-fetch")


def at_rest() -> None:
    """Wait until nothing is being fetched."""
    wait_until(lambda: not fetching(), "the fetching to end")


def no_thread(thread: threading.Thread) -> None:
    """Another thread, when there are as many as the system allows."""
    raise RuntimeError("can't start new thread")


def read_all(file: RemoteFile, step: int = 131072) -> bytes:
    """The whole file, as a program reads it."""
    return b"".join(file.read(step, offset) for offset in range(0, file.size, step))


# --- what is read -----------------------------------------------------------------------------------


def test_opening_costs_nothing(file: RemoteFile, printer: Printer) -> None:
    assert printer.transfers == []


@pytest.mark.parametrize("offset", [0, 1, 65535, 65536, 3 * MEGABYTE, len(CONTENT) - 5])
def test_content_is_that_of_the_printer(file: RemoteFile, offset: int) -> None:
    assert file.read(1000, offset) == CONTENT[offset : offset + 1000]


@pytest.mark.parametrize("offset", [len(CONTENT), len(CONTENT) + 1, 10**12])
def test_nothing_is_behind_the_end(file: RemoteFile, printer: Printer, offset: int) -> None:
    assert file.read(1000, offset) == b""
    assert printer.transfers == []


def test_empty_file_costs_nothing(cache: BlockCache, printer: Printer) -> None:
    assert cache.borrow("/empty", ENTRY._replace(size=0)).read(1000, 0) == b""
    assert printer.transfers == []


def test_reading_in_order_is_one_transfer(file: RemoteFile, printer: Printer) -> None:
    assert read_all(file) == CONTENT
    assert printer.transfers == [("/x", 0)]


def test_nothing_is_fetched_twice(file: RemoteFile, printer: Printer) -> None:
    read_all(file)
    read_all(file)
    assert printer.sent == len(CONTENT)


def test_first_read_fetches_little_more_than_it_needs(file: RemoteFile, printer: Printer) -> None:
    file.read(4096, 0)
    at_rest()
    assert printer.sent <= 512 * 1024


@pytest.fixture
def careful(printer: Printer, tmp_path: Path) -> Iterator[RemoteFile]:
    """The file in a cache that reads nothing ahead."""
    cache = BlockCache(cast(Source, printer), tmp_path / "careful", max_bytes=20 * MEGABYTE, reads_ahead=False)
    yield cache.borrow("/x", ENTRY)
    cache.close()
    at_rest()


def test_nothing_is_read_ahead_unless_it_may(careful: RemoteFile, printer: Printer) -> None:
    careful.read(fetching_module.BLOCK, 0)
    careful.read(fetching_module.BLOCK, fetching_module.BLOCK)
    at_rest()
    assert printer.sent == 2 * fetching_module.BLOCK


def test_without_reading_ahead_it_is_one_transfer_too(careful: RemoteFile, printer: Printer) -> None:
    assert read_all(careful) == CONTENT
    assert printer.transfers == [("/x", 0)]


def test_read_at_the_end_fetches_the_end_only(file: RemoteFile, printer: Printer) -> None:
    assert file.read(4096, len(CONTENT) - 4096) == CONTENT[-4096:]
    at_rest()
    assert (printer.transfers, printer.sent) == ([("/x", len(CONTENT) - TAIL)], TAIL)


def test_table_of_contents_of_a_zip_file_costs_one_transfer(file: RemoteFile, printer: Printer) -> None:
    for before_end in (22, 1000, 40_000):
        assert file.read(20, len(CONTENT) - before_end) == CONTENT[len(CONTENT) - before_end :][:20]
    at_rest()
    assert len(printer.transfers) == 1


def test_end_of_a_file_that_is_here_up_to_there_is_fetched_from_there(file: RemoteFile, printer: Printer) -> None:
    file.read(MEGABYTE, len(CONTENT) - MEGABYTE - 1000)
    at_rest()
    file.read(1000, len(CONTENT) - 1000)
    at_rest()
    assert printer.sent <= MEGABYTE + 1000 + LEAST_AHEAD


def test_careful_reading_of_the_end_begins_where_it_is_asked_to(printer: Printer, tmp_path: Path) -> None:
    cache = BlockCache(cast(Source, printer), tmp_path / "blocks", max_bytes=20 * MEGABYTE, reads_ahead=False)
    cache.borrow("/x", ENTRY).read(4096, len(CONTENT) - 4096)
    cache.close()
    at_rest()
    assert printer.transfers == [("/x", len(CONTENT) - 4096)]


def test_pieces_that_the_kernel_asks_for_in_any_order_are_one_transfer(file: RemoteFile, printer: Printer) -> None:
    pieces = [0, 1, 3, 2, 4, 6, 7, 5, 9, 8]
    read = {number: file.read(131072, number * 131072) for number in pieces}
    assert b"".join(read[number] for number in range(10)) == CONTENT[: 10 * 131072]
    assert printer.transfers == [("/x", 0)]


def test_read_ahead_grows_also_when_pieces_come_out_of_order(file: RemoteFile, printer: Printer) -> None:
    for number in (0, 1, 3, 2, 4, 6, 5, 7):
        file.read(131072, number * 131072)
    wait_until(lambda: printer.sent >= 3 * MEGABYTE, "a megabyte and more to be read ahead")


def test_far_jump_is_a_new_transfer(file: RemoteFile, printer: Printer) -> None:
    file.read(4096, 0)
    file.read(4096, 5 * MEGABYTE)
    assert [offset for _, offset in printer.transfers] == [0, 5 * MEGABYTE]


def test_short_gap_is_read_over(file: RemoteFile, printer: Printer) -> None:
    file.read(131072, 0)
    file.read(131072, 131072 + 100_000)
    assert len(printer.transfers) == 1


def test_far_jump_does_not_wait_for_the_end_of_the_transfer_before(file: RemoteFile, printer: Printer) -> None:
    file.read(4096, 0)
    printer.has_spare = True
    printer.may_end.clear()
    assert file.read(4096, 5 * MEGABYTE) == CONTENT[5 * MEGABYTE :][:4096]
    assert printer.ended == 0
    printer.may_end.set()
    wait_until(lambda: printer.ended, "the first transfer to end")


def test_far_jump_waits_for_the_end_when_there_is_no_other_session(file: RemoteFile, printer: Printer) -> None:
    file.read(4096, 0)
    printer.may_end.clear()
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(file.read, 4096, 5 * MEGABYTE)
        with pytest.raises(TimeoutError):
            reading.result(0.2)
        assert len(printer.transfers) == 1
        printer.may_end.set()
        assert reading.result(20) == CONTENT[5 * MEGABYTE :][:4096]


def test_transfer_of_which_nobody_waits_for_more_keeps_its_session_until_it_ended(
    cache: BlockCache, file: RemoteFile, printer: Printer
) -> None:
    printer.has_spare = True
    file.read(4096, 0)
    cache.give_back(file)
    at_rest()
    assert (printer.ended, len(printer.transfers)) == (1, 1)


def test_jump_back_to_what_is_here_costs_nothing(file: RemoteFile, printer: Printer) -> None:
    read_all(file)
    file.read(4096, 0)
    assert len(printer.transfers) == 1


def test_hole_between_two_reads_is_filled(file: RemoteFile, printer: Printer) -> None:
    file.read(4096, 5 * MEGABYTE)
    assert read_all(file) == CONTENT


def test_reading_stops_when_nobody_reads_on(
    file: RemoteFile, printer: Printer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching_module, "LINGER", 0.05)
    file.read(4096, 0)
    at_rest()
    assert printer.ended == 1


def test_transfer_makes_way_when_others_wait(
    file: RemoteFile, printer: Printer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching_module, "TURN", 0.002)
    printer.is_wanted = True
    assert read_all(file) == CONTENT
    assert len(printer.transfers) > 1


# --- printers that cannot start in the middle ---------------------------------------------------------


def test_without_rest_the_whole_file_is_fetched_once(file: RemoteFile, printer: Printer) -> None:
    printer.can_start_anywhere = False
    assert file.read(4096, 5 * MEGABYTE) == CONTENT[5 * MEGABYTE :][:4096]
    assert read_all(file) == CONTENT
    assert (printer.transfers, printer.sent) == ([("/x", 0)], len(CONTENT))


def test_without_rest_a_broken_transfer_begins_anew(file: RemoteFile, printer: Printer) -> None:
    printer.can_start_anywhere = False
    printer.break_after = [MEGABYTE]
    assert read_all(file) == CONTENT
    assert [offset for _, offset in printer.transfers] == [0, 0]


def test_missing_rest_that_is_learnt_in_between_is_heeded(file: RemoteFile, printer: Printer) -> None:
    printer.errors = [ConnectionDropped("this printer cannot start in the middle of a file")]
    file.read(4096, 5 * MEGABYTE)
    assert len(printer.transfers) == 2


# --- failures ---------------------------------------------------------------------------------------


def test_broken_transfer_goes_on_where_it_was(file: RemoteFile, printer: Printer) -> None:
    printer.break_after = [MEGABYTE]
    assert read_all(file) == CONTENT
    assert [offset for _, offset in printer.transfers] == [0, MEGABYTE]


def test_transfer_that_brings_something_each_time_is_never_given_up(file: RemoteFile, printer: Printer) -> None:
    printer.break_after = [MEGABYTE] * 6
    assert read_all(file) == CONTENT


def test_file_that_ends_early_is_an_error(file: RemoteFile, printer: Printer) -> None:
    printer.break_after = [1000, 0, 0]
    with pytest.raises(ConnectionDropped, match="early"):
        file.read(65536, 0)


@pytest.mark.parametrize("error", [PrinterUnreachable("away"), PrinterTimeout("late")], ids=repr)
def test_error_is_the_readers(file: RemoteFile, printer: Printer, error: OSError) -> None:
    printer.errors = [error]
    with pytest.raises(type(error)):
        file.read(4096, 0)


def test_missing_file_is_told(file: RemoteFile, printer: Printer) -> None:
    printer.errors = [FileNotFoundError(errno.ENOENT, "The printer has no such file any more", "/x")]
    with pytest.raises(FileNotFoundError):
        file.read(4096, 0)


def test_fault_of_our_own_is_logged_and_told(
    file: RemoteFile, printer: Printer, caplog: pytest.LogCaptureFixture
) -> None:
    printer.errors = [KeyError("x"), KeyError("x")]
    with pytest.raises(ConnectionDropped):
        file.read(4096, 0)
    assert "KeyError" in caplog.text


def test_next_read_tries_again(file: RemoteFile, printer: Printer) -> None:
    printer.errors = [PrinterUnreachable("away")]
    with pytest.raises(PrinterUnreachable):
        file.read(4096, 0)
    assert file.read(4096, 0) == CONTENT[:4096]


def test_every_reader_gets_an_error_of_his_own(file: RemoteFile, printer: Printer) -> None:
    printer.errors = [PrinterUnreachable("away")] * 2
    errors = []
    for _ in range(2):
        with pytest.raises(PrinterUnreachable) as raised:
            file.read(4096, 0)
        errors.append(raised.value)
    assert errors[0] is not errors[1]


def test_reader_can_be_interrupted(file: RemoteFile, printer: Printer) -> None:
    printer.gate.clear()
    with interrupts.watched(lambda: True), pytest.raises(Interrupted):
        file.read(4096, 0)


def test_closing_does_not_let_readers_wait(
    cache: BlockCache, file: RemoteFile, printer: Printer
) -> None:
    printer.gate.clear()
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(file.read, 4096, 0)
        wait_until(lambda: printer.transfers, "the transfer to begin")
        cache.close()
        assert isinstance(reading.exception(10), ConnectionDropped)


# --- many readers -----------------------------------------------------------------------------------


def test_readers_of_one_file_share_one_transfer(cache: BlockCache, printer: Printer) -> None:
    files = [cache.borrow("/x", ENTRY) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(read_all, files)) == [CONTENT] * 4
    assert printer.sent <= len(CONTENT) * 1.2


def test_readers_at_both_ends_are_both_served(file: RemoteFile) -> None:
    steps = range(0, MEGABYTE, 65536)
    with ThreadPoolExecutor(2) as threads:
        front = threads.submit(lambda: b"".join(file.read(65536, at) for at in steps))
        back = threads.submit(lambda: b"".join(file.read(65536, 7 * MEGABYTE + at) for at in steps))
        length = len(steps) * 65536
        assert front.result(20) == CONTENT[:length]
        assert back.result(20) == CONTENT[7 * MEGABYTE :][:length]


def test_another_version_is_another_file(cache: BlockCache, printer: Printer) -> None:
    old = cache.borrow("/x", ENTRY)
    read_all(old)
    printer.content = bytes(len(CONTENT))
    assert cache.borrow("/x", ENTRY._replace(mtime=ENTRY.mtime + 60)).read(4, 8) == bytes(4)
    assert old.read(4, 8) == CONTENT[8:12]


FIRST, SECOND = Version(len(CONTENT), 1_000_000_000), Version(len(CONTENT), 1_000_000_001)


@pytest.mark.parametrize("now", [SECOND, Version(len(CONTENT) + 1, 1_000_000_000)])
def test_bytes_of_two_versions_are_never_mixed(
    cache: BlockCache, file: RemoteFile, printer: Printer, now: Version
) -> None:
    printer.version = FIRST
    file.read(4096, 0)
    wait_until(lambda: not fetching(), "the first transfer to end")
    printer.version, printer.content = now, bytes(len(CONTENT))
    sent = printer.sent
    for _ in range(2):
        with pytest.raises(FileChanged, match="changed on the printer"):
            file.read(4096, 4 * MEGABYTE)
    assert printer.sent == sent
    assert file.read(4096, 0) == CONTENT[:4096]


def test_transfers_of_one_version_belong_together(file: RemoteFile, printer: Printer) -> None:
    printer.version = FIRST
    assert file.read(4096, 0) + file.read(4096, 4 * MEGABYTE) == CONTENT[:4096] + CONTENT[4 * MEGABYTE :][:4096]


def test_file_of_another_size_than_was_listed_is_not_cut_to_that(file: RemoteFile, printer: Printer) -> None:
    printer.version = Version(len(CONTENT) + 5, 1_000_000_000)
    with pytest.raises(FileChanged):
        file.read(4096, 0)


def test_changed_file_is_fetched_anew_by_who_opens_it_then(printer: Printer, tmp_path: Path) -> None:
    changed: list[str] = []
    cache = BlockCache(
        cast(Source, printer), tmp_path / "blocks", max_bytes=20 * MEGABYTE, on_changed=changed.append
    )
    file = cache.borrow("/x", ENTRY)
    printer.version = FIRST
    file.read(4096, 0)
    wait_until(lambda: not fetching(), "the first transfer to end")
    printer.version, printer.content = SECOND, bytes(len(CONTENT))
    with pytest.raises(FileChanged):
        file.read(4096, 4 * MEGABYTE)
    assert changed == ["/x"]
    assert cache.borrow("/x", ENTRY).read(4096, 0) == bytes(4096)
    cache.close()
    wait_until(lambda: not fetching(), "the fetching to end")


# --- readers whose file is taken from them ----------------------------------------------------------


def test_reader_of_what_was_given_back_does_not_wait(cache: BlockCache, file: RemoteFile, printer: Printer) -> None:
    file.read(4096, 0)
    at_rest()
    printer.gate.clear()
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(file.read, 4096, 4 * MEGABYTE)
        wait_until(lambda: len(printer.transfers) == 2, "the transfer to begin")
        cache.give_back(file)
        assert isinstance(reading.exception(10), FileChanged)
    printer.gate.set()
    at_rest()
    assert len(printer.transfers) == 2


def test_nothing_is_fetched_for_a_reader_who_comes_too_late(
    cache: BlockCache, file: RemoteFile, printer: Printer, tmp_path: Path
) -> None:
    cache.give_back(file)
    cache.forget("/x")
    with pytest.raises(FileChanged):
        file.read(4096, 0)
    assert (printer.transfers, on_disk(tmp_path)) == ([], 0)


def test_file_given_back_during_a_read_is_read_to_the_end(
    cache: BlockCache, file: RemoteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(spool: SpoolFile, size: int, offset: int) -> bytes:
        cache.give_back(file)
        return real(spool, size, offset)

    file.read(4096, 0)
    at_rest()
    real = SpoolFile.read
    monkeypatch.setattr(SpoolFile, "read", slowly)
    assert file.read(4096, 0) == CONTENT[:4096]


def test_thread_that_cannot_be_had_is_tried_for_again(file: RemoteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError):
            file.read(4096, 0)
    assert file.read(4096, 0) == CONTENT[:4096]


# --- what is kept -----------------------------------------------------------------------------------


def test_file_given_back_is_kept(cache: BlockCache, file: RemoteFile, printer: Printer) -> None:
    read_all(file)
    cache.give_back(file)
    assert cache.borrow("/x", ENTRY) is file


def test_transfer_ends_when_nobody_uses_its_file(cache: BlockCache, file: RemoteFile, printer: Printer) -> None:
    file.read(4096, 0)
    cache.give_back(file)
    at_rest()
    assert printer.ended == 1


def test_file_unused_longest_goes_first(cache: BlockCache, tmp_path: Path) -> None:
    for path in ("/1", "/2", "/3"):
        file = cache.borrow(path, ENTRY)
        read_all(file)
        cache.give_back(file)
    assert cache.bytes_here == 2 * len(CONTENT)
    at_rest()
    assert len(list((tmp_path / "blocks").iterdir())) == 2


def test_file_in_use_is_not_dropped(cache: BlockCache) -> None:
    files = [cache.borrow(path, ENTRY) for path in ("/1", "/2", "/3")]
    for file in files:
        read_all(file)
    cache.give_back(files[2])
    assert files[0].read(4, 8) == CONTENT[8:12]


def test_forgotten_file_is_fetched_anew(cache: BlockCache, file: RemoteFile, printer: Printer) -> None:
    read_all(file)
    cache.give_back(file)
    cache.forget("/x")
    assert cache.borrow("/x", ENTRY) is not file
    assert cache.bytes_here == 0


def test_forgetting_a_folder_forgets_what_is_below(cache: BlockCache) -> None:
    file = cache.borrow("/a/b/x", ENTRY)
    read_all(file)
    cache.give_back(file)
    cache.forget("/a")
    assert cache.bytes_here == 0


def test_forgetting_a_folder_spares_one_with_a_longer_name(cache: BlockCache) -> None:
    file = cache.borrow("/ab/x", ENTRY)
    read_all(file)
    cache.give_back(file)
    cache.forget("/a")
    assert cache.bytes_here == len(CONTENT)


def test_file_forgotten_in_use_serves_on(cache: BlockCache, file: RemoteFile) -> None:
    cache.forget("/x")
    assert file.read(4, 8) == CONTENT[8:12]


def test_file_forgotten_in_use_is_deleted_when_given_back(
    cache: BlockCache, file: RemoteFile, tmp_path: Path
) -> None:
    read_all(file)
    at_rest()
    cache.forget("/x")
    cache.give_back(file)
    assert list((tmp_path / "blocks").iterdir()) == []


def test_moved_file_is_fetched_under_its_new_name(file: RemoteFile, printer: Printer) -> None:
    file.read(4096, 0)
    file.moved("/y")
    file.read(4096, 5 * MEGABYTE)
    assert printer.transfers[-1] == ("/y", 5 * MEGABYTE)


def test_full_local_disk_is_made_room_on(cache: BlockCache, monkeypatch: pytest.MonkeyPatch) -> None:
    old = cache.borrow("/old", ENTRY)
    read_all(old)
    cache.give_back(old)
    at_rest()
    file = cache.borrow("/x", ENTRY)
    fill, is_full = SpoolFile.fill, itertools.chain([True], itertools.repeat(False))

    def full_once(spool: SpoolFile, data: bytes, offset: int) -> None:
        if next(is_full):
            raise OSError(errno.ENOSPC, "No space left on device")
        fill(spool, data, offset)

    monkeypatch.setattr(SpoolFile, "fill", full_once)
    assert file.read(4, 8) == CONTENT[8:12]
    assert cache.bytes_here < len(CONTENT)


def test_full_local_disk_is_told(file: RemoteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(spool: SpoolFile, data: bytes, offset: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SpoolFile, "fill", full)
    with pytest.raises(OSError, match="disk is full") as told:
        file.read(4096, 0)
    assert told.value.errno == errno.ENOSPC


# --- content that was just uploaded -------------------------------------------------------------------


def uploaded(tmp_path: Path, content: bytes) -> SpoolFile:
    spool = SpoolFile.new(tmp_path)
    spool.write(content, 0)
    return spool


def test_uploaded_content_need_not_be_fetched(cache: BlockCache, printer: Printer, tmp_path: Path) -> None:
    entry = ENTRY._replace(size=6)
    cache.adopt("/x", entry, uploaded(tmp_path, b"benchy"))
    assert cache.borrow("/x", entry).read(100, 0) == b"benchy"
    assert printer.transfers == []


def test_content_that_was_uploaded_before_it_does_not_take_the_place_of_newer_one(
    cache: BlockCache, tmp_path: Path
) -> None:
    """As when the thread that ends a file is overtaken by whoever writes it again in the same second."""
    older, newer = uploaded(tmp_path, b"one"), uploaded(tmp_path, b"two")
    os.utime(older.file, (1_000, 1_000))
    for spool in (newer, older):
        cache.adopt("/x", ENTRY._replace(size=3), spool)
    assert cache.borrow("/x", ENTRY._replace(size=3)).read(3, 0) == b"two"
    assert on_disk(tmp_path) == 1


def test_uploaded_content_of_another_size_is_not_kept(cache: BlockCache, tmp_path: Path) -> None:
    spool = uploaded(tmp_path, b"benchy")
    cache.adopt("/x", ENTRY, spool)
    assert (cache.bytes_here, spool.file.exists()) == (0, False)


def test_uploaded_content_that_would_fill_the_cache_is_not_kept(cache: BlockCache, tmp_path: Path) -> None:
    entry = ENTRY._replace(size=6 * MEGABYTE)
    cache.adopt("/x", entry, uploaded(tmp_path, bytes(6 * MEGABYTE)))
    assert cache.bytes_here == 0


def test_whole_content_is_copied_for_a_change(file: RemoteFile, tmp_path: Path) -> None:
    target = SpoolFile.new(tmp_path)
    file.copy_to(target, len(CONTENT))
    assert target.read(len(CONTENT), 0) == CONTENT
    assert not target.is_dirty
    target.close()


def test_beginning_is_copied_for_a_truncated_file(file: RemoteFile, printer: Printer, tmp_path: Path) -> None:
    target = SpoolFile.new(tmp_path)
    file.copy_to(target, 1000)
    assert target.size == 1000
    at_rest()
    assert printer.sent < MEGABYTE
    target.close()


def test_closed_cache_leaves_nothing_on_the_disk(cache: BlockCache, file: RemoteFile, tmp_path: Path) -> None:
    read_all(file)
    began = time.monotonic()
    cache.close()
    at_rest()
    assert list((tmp_path / "blocks").iterdir()) == []
    assert time.monotonic() - began < 5


# --- from one mount to the next -----------------------------------------------------------------------


OLD = ENTRY._replace(mtime=900_000_000)
Remount = Callable[..., BlockCache]


@pytest.fixture
def remount(printer: Printer, tmp_path: Path) -> Iterator[Remount]:
    """Ends the mount before, if there is one and unless it is killed, and begins the next."""
    mounts: list[BlockCache] = []

    def begin(*, kill: bool = False, max_bytes: int = 20 * MEGABYTE) -> BlockCache:
        if mounts and not kill:
            mounts[-1].close()
        mounts.append(
            BlockCache(
                cast(Source, printer),
                tmp_path / "blocks",
                max_bytes=max_bytes,
                is_settled=lambda path, entry, since: entry.mtime < since,
                clock=lambda: 950_000_000.0,
            )
        )
        return mounts[-1]

    yield begin
    printer.gate.set()
    for mount in mounts:
        mount.close()
    at_rest()


def read_part(cache: BlockCache, offset: int = 0, *, path: str = "/x", entry: Entry = OLD) -> bytes:
    """Some of a file, as a program that closes it afterwards."""
    file = cache.borrow(path, entry)
    try:
        return file.read(4096, offset)
    finally:
        cache.give_back(file)
        at_rest()


def on_disk(tmp_path: Path) -> int:
    return len(list((tmp_path / "blocks").iterdir()))


@pytest.mark.parametrize("kill", [False, True])
def test_what_was_read_need_not_be_fetched_by_a_later_mount(remount: Remount, printer: Printer, kill: bool) -> None:
    read_part(remount(), 5 * MEGABYTE)
    printer.content = bytes(len(CONTENT))
    before = printer.sent
    assert read_part(remount(kill=kill), 5 * MEGABYTE) == CONTENT[5 * MEGABYTE :][:4096]
    assert read_part(remount(kill=kill), 5 * MEGABYTE) == CONTENT[5 * MEGABYTE :][:4096]
    assert printer.sent == before


def test_what_was_not_read_is_fetched_by_a_later_mount(remount: Remount, printer: Printer) -> None:
    read_part(remount(), 5 * MEGABYTE)
    cache = remount()
    file = cache.borrow("/x", OLD)
    assert read_all(file) == CONTENT
    cache.give_back(file)


def test_bytes_of_two_mounts_are_never_of_two_versions(remount: Remount, printer: Printer) -> None:
    printer.version = FIRST
    read_part(remount(), 5 * MEGABYTE)
    printer.version, printer.content = SECOND, bytes(len(CONTENT))
    cache = remount()
    file = cache.borrow("/x", OLD)
    assert file.read(4096, 5 * MEGABYTE) == CONTENT[5 * MEGABYTE :][:4096]
    with pytest.raises(FileChanged):
        file.read(4096, 0)
    cache.give_back(file)
    assert read_part(cache, 5 * MEGABYTE) == bytes(4096)


@pytest.mark.parametrize("version", [OLD._replace(mtime=OLD.mtime + 60), OLD._replace(size=OLD.size - 1)])
def test_another_version_is_fetched_anew_by_a_later_mount(
    remount: Remount, printer: Printer, tmp_path: Path, version: Entry
) -> None:
    read_part(remount())
    printer.content = bytes(len(CONTENT))
    cache = remount()
    assert read_part(cache, entry=version) == bytes(4096)
    assert on_disk(tmp_path) == 2  # what was kept of the old one is gone


def test_version_that_may_still_change_unseen_is_not_left_to_a_later_mount(
    remount: Remount, printer: Printer, tmp_path: Path
) -> None:
    cache = remount()
    read_part(cache, entry=ENTRY)
    assert read_part(cache, entry=ENTRY) == CONTENT[:4096]
    assert len(printer.transfers) == 1
    remount()
    assert on_disk(tmp_path) == 0


def test_half_a_file_is_of_no_use_later_without_rest(remount: Remount, printer: Printer, tmp_path: Path) -> None:
    printer.can_start_anywhere = False
    printer.break_after = [MEGABYTE, 0, 0]
    with pytest.raises(ConnectionDropped):
        read_part(remount(), 5 * MEGABYTE)
    remount()
    assert on_disk(tmp_path) == 0


def test_whole_file_is_kept_also_without_rest(remount: Remount, printer: Printer) -> None:
    printer.can_start_anywhere = False
    cache = remount()
    file = cache.borrow("/x", OLD)
    read_all(file)
    cache.give_back(file)
    at_rest()
    read_part(remount(), 5 * MEGABYTE)
    assert len(printer.transfers) == 1


def test_long_fetching_is_noted_while_it_goes_on(
    remount: Remount, printer: Printer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching_module, "NOTE_EVERY", 0.0)
    file = remount().borrow("/x", OLD)
    file.read(MEGABYTE, 0)
    before = len(printer.transfers)
    later = remount(kill=True).borrow("/x", OLD)
    assert later.bytes_here > 0
    assert later.read(4096, 0) == CONTENT[:4096]
    assert len(printer.transfers) == before


def test_killed_mount_leaves_nothing_that_it_had_not_noted(remount: Remount, printer: Printer) -> None:
    file = remount().borrow("/x", OLD)
    file.read(4096, 0)
    assert remount(kill=True).bytes_here == 0


@pytest.mark.parametrize("path", ["/a/x", "/a", ""])
def test_forgotten_file_is_not_used_by_a_later_mount(remount: Remount, tmp_path: Path, path: str) -> None:
    cache = remount()
    read_part(cache, path="/a/x")
    cache.forget(path)
    assert remount().bytes_here == 0
    assert on_disk(tmp_path) == 0


def test_what_an_earlier_mount_left_can_be_forgotten_unseen(remount: Remount, tmp_path: Path) -> None:
    read_part(remount(), path="/a/x")
    remount().forget("/a")
    assert on_disk(tmp_path) == 0


def test_file_forgotten_in_use_is_not_used_by_a_killed_mounts_successor(remount: Remount) -> None:
    cache = remount()
    read_part(cache)
    cache.borrow("/x", OLD)
    cache.forget("/x")
    assert remount(kill=True).bytes_here == 0


def test_what_earlier_mounts_left_goes_first(remount: Remount) -> None:
    for path in ("/1", "/2"):
        cache = remount()
        file = cache.borrow(path, OLD)
        read_all(file)
        cache.give_back(file)
        at_rest()
    cache = remount()
    assert cache.bytes_here == 2 * len(CONTENT)
    file = cache.borrow("/3", OLD)
    read_all(file)
    cache.give_back(file)
    assert cache.bytes_here == 2 * len(CONTENT)
    cache = remount()
    assert cache.borrow("/1", OLD).bytes_here == 0
    assert cache.borrow("/2", OLD).bytes_here == len(CONTENT)


def test_smaller_bound_holds_from_the_beginning(remount: Remount, tmp_path: Path) -> None:
    read_part(remount())
    assert remount(max_bytes=0).bytes_here == 0
    assert on_disk(tmp_path) == 0


def test_very_many_small_files_are_bounded_too(remount: Remount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MOST_FILES", 3)
    cache = remount()
    for number in range(10):
        read_part(cache, path=f"/{number}", entry=OLD._replace(size=10))
    assert (cache.bytes_here, remount().bytes_here) == (30, 30)


def test_full_local_disk_is_made_room_on_by_what_earlier_mounts_left(remount: Remount) -> None:
    read_part(remount())
    cache = remount()
    cache.make_room()
    assert cache.bytes_here == 0


def test_uploaded_content_is_left_to_a_later_mount(remount: Remount, printer: Printer, tmp_path: Path) -> None:
    entry = OLD._replace(size=6)
    cache = remount()
    cache.adopt("/x", entry, uploaded(tmp_path, b"benchy"))  # now, which is after 2001 by any clock
    cache = remount()
    assert cache.borrow("/x", entry).read(100, 0) == b"benchy"
    assert printer.transfers == []


@pytest.mark.parametrize("bound", ["SYNC_PATIENCE", "SYNC_MOST"])
def test_end_of_a_mount_does_not_wait_for_a_slow_disk(
    remount: Remount, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(blocks, bound, 0)
    monkeypatch.setattr(os, "fsync", lambda descriptor: pytest.fail("forced to the disk"))
    read_part(remount())
    assert remount().bytes_here > 0


def test_unused_file_holds_no_descriptor(remount: Remount) -> None:
    cache = remount()
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        read_part(cache, path=f"/{number}")
    assert len(os.listdir("/proc/self/fd")) <= before  # fewer, when those of a test before were still being closed


def test_transfer_that_lingers_ends_as_soon_as_nobody_uses_its_file(
    cache: BlockCache, printer: Printer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching_module, "LINGER", 60.0)
    file = cache.borrow("/x", ENTRY)
    file.read(4096, 0)
    wait_until(lambda: printer.sent >= 4096 + fetching_module.LEAST_AHEAD, "it to linger")
    cache.give_back(file)
    wait_until(lambda: printer.ended, "the transfer to end")


def test_transfer_that_lingers_makes_way_when_others_wait(
    file: RemoteFile, printer: Printer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching_module, "LINGER", 60.0)
    file.read(4096, 0)
    wait_until(lambda: printer.sent >= 4096 + fetching_module.LEAST_AHEAD, "it to linger")
    printer.is_wanted = True
    wait_until(lambda: printer.ended, "the transfer to end")
