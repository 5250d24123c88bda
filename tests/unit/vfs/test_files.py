"""The content of files, from open to release, and the uploads between."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from bambufs import interrupts
from bambufs.errors import CardFull, ConnectionDropped, Interrupted, PrinterUnreachable
from bambufs.vfs import files
from bambufs.vfs.attributes import Attributes
from bambufs.vfs.filesystem import FileSystem
from bambufs.vfs.handles import Node
from bambufs.vfs.journal import Record
from bambufs.vfs.lost import LostFound
from bambufs.vfs.recovery import Recovery
from bambufs.vfs.spool import SpoolFile
from bambufs.vfs.uploads import Uploads
from tests.support.clock import Clock
from tests.support.memory import MemoryPrinter
from tests.support.programs import content_of, exists, names, read, write
from tests.unit.vfs.conftest import Mount

OLD = "/cache/old.3mf"
NEW = "/cache/new.3mf"
EXACT = 1_234_567_890


def kept(tmp_path: Path) -> list[bytes]:
    """What was put aside for the user."""
    folder = tmp_path / "cache" / "lost+found"
    return [file.read_bytes() for file in sorted(folder.iterdir())] if folder.is_dir() else []


def away(printer: MemoryPrinter, times: int = 2) -> None:
    """Let uploads fail."""
    printer.fail("STOR", PrinterUnreachable("away"), times=times)


# --- reading --------------------------------------------------------------------------------------


def test_file_is_read(fs: FileSystem) -> None:
    assert read(fs, OLD) == b"old content"


def test_opening_and_closing_asks_for_no_content(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.open(OLD, os.O_RDONLY)
    fs.flush(number)
    fs.release(number)
    assert printer.count("RETR") == 0


def test_file_read_twice_is_fetched_once(fs: FileSystem, printer: MemoryPrinter) -> None:
    read(fs, OLD)
    read(fs, OLD)
    assert printer.count("RETR") == 1


def test_reading_uploads_nothing(fs: FileSystem, printer: MemoryPrinter) -> None:
    read(fs, OLD)
    assert printer.count("STOR") == 0


def test_version_of_a_file_is_told_while_nobody_writes_to_it(fs: FileSystem) -> None:
    reader = fs.open(OLD, os.O_RDONLY)
    before = fs.version_of(reader)
    writer = fs.open(OLD, os.O_RDWR)
    during = fs.version_of(reader)
    fs.release(writer)
    assert (before, during, fs.version_of(reader)) == (before, None, before)
    assert before is not None
    fs.release(reader)


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, os.O_RDWR])
def test_missing_file_cannot_be_opened(fs: FileSystem, flags: int) -> None:
    with pytest.raises(FileNotFoundError):
        fs.open(NEW, flags)


@pytest.mark.parametrize("path", ["/", "/cache"])
def test_folder_cannot_be_opened_as_a_file(fs: FileSystem, path: str) -> None:
    with pytest.raises(OSError, match="directory"):
        fs.open(path, os.O_RDONLY)


def test_reader_of_a_file_that_is_emptied_meanwhile_is_at_its_end(mount: Mount) -> None:
    printer = MemoryPrinter({OLD: bytes(10_000_000)})
    fs = mount(printer)
    reader, writer = fs.open(OLD, os.O_RDONLY), fs.open(OLD, os.O_WRONLY)
    fs.read(reader, 4096, 0)
    with ThreadPoolExecutor(1) as threads, printer.gate("RETR") as gate:
        reading = threads.submit(fs.read, reader, 4096, 8_000_000)
        assert gate.reached.wait(5)
        fs.truncate(None, 0, writer)
        gate.release()
        assert reading.result(5) == b""
    fs.write(writer, b"new", 0)
    assert fs.read(reader, 4096, 0) == b"new"
    fs.release(writer)
    fs.release(reader)
    assert printer.count("RETR") == 2


def test_time_that_is_set_does_not_disturb_who_reads(mount: Mount) -> None:
    printer = MemoryPrinter({OLD: bytes(9_000_000)})
    fs = mount(printer)
    number = fs.open(OLD, os.O_RDONLY)
    fs.read(number, 4096, 0)
    fs.utimens(OLD, EXACT)
    assert fs.read(number, 4096, 8_000_000) == bytes(4096)
    fs.release(number)
    assert printer.times[OLD] == EXACT


def test_deleted_empty_file_can_be_read_by_who_has_it_open(mount: Mount) -> None:
    fs = mount(MemoryPrinter({OLD: b""}))
    number = fs.open(OLD, os.O_RDONLY)
    fs.unlink(OLD)
    assert fs.read(number, 10, 0) == b""
    fs.release(number)


def test_released_handle_is_of_no_use(fs: FileSystem) -> None:
    number = fs.open(OLD, os.O_RDONLY)
    fs.release(number)
    with pytest.raises(OSError, match="Bad file descriptor"):
        fs.read(number, 10, 0)


# --- writing ----------------------------------------------------------------------------------------


def test_written_file_is_on_the_printer_after_its_close(fs: FileSystem, printer: MemoryPrinter) -> None:
    write(fs, NEW, b"new content")
    assert printer.files[NEW] == b"new content"


def test_written_file_is_uploaded_once(fs: FileSystem, printer: MemoryPrinter) -> None:
    write(fs, NEW, b"new content")
    assert printer.count("STOR") == 1


def test_nothing_is_uploaded_before_the_close(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    assert printer.count("STOR") == 0
    fs.release(number)


def test_written_file_is_read_without_asking_the_printer(fs: FileSystem, printer: MemoryPrinter) -> None:
    write(fs, NEW, b"new content")
    assert read(fs, NEW) == b"new content"
    assert printer.count("RETR") == 0


def test_writer_reads_what_was_written(fs: FileSystem) -> None:
    number = fs.create(NEW, os.O_RDWR)
    fs.write(number, b"new content", 0)
    assert content_of(fs, number) == b"new content"
    fs.release(number)


def test_other_readers_see_what_is_being_written(fs: FileSystem) -> None:
    writing = fs.create(NEW, os.O_WRONLY)
    fs.write(writing, b"new content", 0)
    assert read(fs, NEW) == b"new content"
    fs.release(writing)


def test_size_grows_while_writing(fs: FileSystem) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"12345", 0)
    assert (fs.getattr(NEW).size, fs.getattr(None, number).size) == (5, 5)
    fs.release(number)


def test_blocks_may_come_in_any_order(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"content", 4)
    fs.write(number, b"new ", 0)
    fs.flush(number)
    fs.release(number)
    assert printer.files[NEW] == b"new content"


def test_change_in_the_middle_keeps_the_rest(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.open(OLD, os.O_RDWR)
    fs.write(number, b"OLD", 0)
    fs.flush(number)
    fs.release(number)
    assert printer.files[OLD] == b"OLD content"


def test_change_of_the_same_size_reaches_the_printer(fs: FileSystem, printer: MemoryPrinter) -> None:
    write(fs, OLD, b"new content")
    assert printer.files[OLD] == b"new content"


def test_what_is_written_when_somebody_empties_the_file_is_stored_by_its_close(
    fs: FileSystem, printer: MemoryPrinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = fs.open(OLD, os.O_WRONLY)
    node = fs._files.nodes.handle(writer).node
    node.io_lock = Eager(lambda: fs.write(writer, b"new content", 0))  # type: ignore[assignment]
    other = fs.open(OLD, os.O_WRONLY | os.O_TRUNC)
    fs.flush(writer)
    stored = printer.files[OLD]
    fs.release(other)
    fs.release(writer)
    assert stored == b"new content"


class Eager:
    """A lock; somebody else waits for it to ``act``, and does so at once when it is let go first."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._lock, self._act, self._has_acted = threading.Lock(), act, False
        self.acquire = self._lock.acquire

    def release(self) -> None:
        """Let go of it."""
        self._lock.release()
        if not self._has_acted:
            self._has_acted = True
            other = threading.Thread(target=self._act)
            other.start()
            other.join(10)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def test_emptied_file_is_not_fetched(fs: FileSystem, printer: MemoryPrinter) -> None:
    write(fs, OLD, b"new")
    assert (printer.files[OLD], printer.count("RETR")) == (b"new", 0)


def test_untouched_new_file_is_stored_when_it_is_released(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.flush(number)
    assert NEW not in printer.files
    fs.release(number)
    assert printer.files[NEW] == b""


def test_file_emptied_by_a_shell_is_stored_when_it_is_released(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.open(OLD, os.O_WRONLY | os.O_TRUNC)
    fs.flush(number)
    assert printer.files[OLD] == b"old content"
    fs.release(number)
    assert printer.files[OLD] == b""


def test_fsync_uploads_at_once(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    fs.fsync(number)
    assert printer.files[NEW] == b"new content"
    fs.release(number)


def test_fsync_of_an_empty_new_file_stores_it(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.fsync(number)
    assert printer.files[NEW] == b""
    fs.release(number)


def test_close_after_fsync_uploads_nothing_again(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    fs.fsync(number)
    fs.flush(number)
    fs.release(number)
    assert printer.count("STOR") == 1


def test_write_during_an_upload_is_uploaded_after_it(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"one", 0)
    with ThreadPoolExecutor(2) as threads:
        with printer.gate("RENAME") as gate:
            first = threads.submit(fs.flush, number)
            assert gate.reached.wait(5)
            second = threads.submit(fs.write, number, b"two", 0)
        first.result(10)
        second.result(10)
    fs.flush(number)
    fs.release(number)
    assert printer.files[NEW] == b"two"


def test_reader_does_not_flush_for_the_writer(fs: FileSystem, printer: MemoryPrinter) -> None:
    writing = fs.create(NEW, os.O_WRONLY)
    fs.write(writing, b"half", 0)
    read(fs, NEW)
    assert printer.count("STOR") == 0
    fs.release(writing)


def test_writer_that_is_released_while_a_reader_stays_keeps_the_node(fs: FileSystem, printer: MemoryPrinter) -> None:
    writing = fs.create(NEW, os.O_WRONLY)
    fs.write(writing, b"content", 0)
    reading = fs.open(NEW, os.O_RDONLY)
    fs.flush(writing)
    fs.release(writing)
    assert content_of(fs, reading) == b"content"
    fs.release(reading)
    assert printer.count("STOR") == 1


# --- truncating -------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 3, 11, 20])
def test_truncated_file_has_that_length(fs: FileSystem, printer: MemoryPrinter, length: int) -> None:
    fs.truncate(OLD, length)
    assert printer.files[OLD] == b"old content"[:length].ljust(length, b"\0")


def test_truncating_an_open_file_waits_for_its_close(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.open(OLD, os.O_RDWR)
    fs.truncate(OLD, 3, number)
    assert printer.files[OLD] == b"old content"
    fs.flush(number)
    fs.release(number)
    assert printer.files[OLD] == b"old"


def test_truncating_a_file_that_is_being_read_is_stored_at_once(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.open(OLD, os.O_RDONLY)
    fs.truncate(OLD, 3)
    assert printer.files[OLD] == b"old"
    fs.release(number)


def test_truncating_a_file_whose_writer_has_stored_it_is_stored_at_once(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    fs.flush(number)  # closed; the kernel releases it later
    fs.truncate(NEW, 3)
    assert printer.files[NEW] == b"new"
    fs.release(number)


def test_truncating_to_nothing_fetches_nothing(fs: FileSystem, printer: MemoryPrinter) -> None:
    fs.truncate(OLD, 0)
    assert printer.count("RETR") == 0


def test_truncating_a_missing_file_is_told(fs: FileSystem) -> None:
    with pytest.raises(FileNotFoundError):
        fs.truncate(NEW, 0)


def test_failed_truncation_is_told_and_leaves_the_old_content(fs: FileSystem, printer: MemoryPrinter) -> None:
    away(printer)
    with pytest.raises(PrinterUnreachable):
        fs.truncate(OLD, 3)
    assert printer.files[OLD] == b"old content"


# --- failing uploads --------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [PrinterUnreachable("away"), CardFull("full")], ids=repr)
def test_failed_upload_is_the_error_of_the_close(fs: FileSystem, printer: MemoryPrinter, error: OSError) -> None:
    printer.fail("STOR", error)
    with pytest.raises(type(error)):
        write(fs, NEW, b"new content")


def test_failed_upload_leaves_the_old_content(fs: FileSystem, printer: MemoryPrinter) -> None:
    away(printer)
    with pytest.raises(PrinterUnreachable):
        write(fs, OLD, b"new content")
    assert (printer.files[OLD], read(fs, OLD)) == (b"old content", b"old content")


def test_failed_upload_leaves_no_new_name(fs: FileSystem, printer: MemoryPrinter) -> None:
    away(printer)
    with pytest.raises(PrinterUnreachable):
        write(fs, NEW, b"new content")
    assert not exists(fs, NEW)


def test_what_could_not_be_uploaded_is_kept(fs: FileSystem, printer: MemoryPrinter, tmp_path: Path) -> None:
    away(printer)
    with pytest.raises(PrinterUnreachable):
        write(fs, NEW, b"new content")
    assert kept(tmp_path) == [b"new content"]


def test_place_of_what_was_kept_is_told(
    fs: FileSystem, printer: MemoryPrinter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away(printer)
    with pytest.raises(PrinterUnreachable):
        write(fs, NEW, b"new content")
    place = str(tmp_path / "cache" / "lost+found")
    assert place in caplog.text
    assert place in fs.transfers()


@pytest.mark.parametrize("name", ["体积" * 45 + ".3mf", "x" * 251 + ".3mf", "\udcff" * 100], ids=ascii)
def test_what_could_not_be_uploaded_is_kept_whatever_its_name(
    fs: FileSystem, printer: MemoryPrinter, tmp_path: Path, name: str
) -> None:
    away(printer)
    with pytest.raises(PrinterUnreachable):
        write(fs, f"/cache/{name}", b"new content")
    assert kept(tmp_path) == [b"new content"]


def test_file_that_another_thread_has_just_ended_is_not_stored_once_more(
    fs: FileSystem, printer: MemoryPrinter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def overtaken(lost: LostFound, record: Record, spool: SpoolFile, reason: str) -> None:
        fs._files.upload(node)
        put(lost, record, spool, reason)

    put = LostFound.put
    monkeypatch.setattr(LostFound, "put", overtaken)
    number = fs.create(NEW, os.O_WRONLY)
    node = fs._files.nodes.handle(number).node
    fs.write(number, b"new content", 0)
    away(printer)
    fs.release(number)
    assert (kept(tmp_path), NEW in printer.files) == ([b"new content"], False)


def test_two_of_one_name_are_both_kept(fs: FileSystem, printer: MemoryPrinter, tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        away(printer)
        with pytest.raises(PrinterUnreachable):
            write(fs, NEW, content)
    assert sorted(kept(tmp_path)) == [b"one", b"two"]


def test_upload_is_tried_again_by_the_next_close(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    away(printer, 1)
    with pytest.raises(PrinterUnreachable):
        fs.flush(number)
    fs.flush(number)
    fs.release(number)
    assert printer.files[NEW] == b"new content"


def test_failed_upload_is_not_tried_again_by_the_release(fs: FileSystem, printer: MemoryPrinter) -> None:
    # The program knows that it failed; storing it after all would contradict what it was told.
    away(printer, 1)
    with pytest.raises(PrinterUnreachable):
        write(fs, NEW, b"new content")
    assert NEW not in printer.files


def test_failure_at_the_release_of_an_empty_file_is_logged_and_nothing_kept(
    fs: FileSystem, printer: MemoryPrinter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away(printer)
    fs.release(fs.create(NEW, os.O_WRONLY))
    assert NEW in caplog.text
    assert kept(tmp_path) == []


def test_interrupted_upload_leaves_the_old_content(fs: FileSystem, printer: MemoryPrinter, tmp_path: Path) -> None:
    printer.fail("STOR", Interrupted("interrupted"))
    with pytest.raises(Interrupted):
        write(fs, OLD, b"new content")
    assert (printer.files[OLD], kept(tmp_path)) == (b"old content", [])


def test_writer_that_was_killed_does_not_replace_the_file(
    fs: FileSystem, printer: MemoryPrinter, tmp_path: Path
) -> None:
    number = fs.open(OLD, os.O_WRONLY | os.O_TRUNC)
    fs.write(number, b"half", 0)
    fs.cut_off(number)
    fs.flush(number)
    fs.release(number)
    assert (printer.files[OLD], kept(tmp_path)) == (b"old content", [])


def test_what_a_killed_writer_wrote_is_not_shown_any_more(fs: FileSystem) -> None:
    number = fs.open(OLD, os.O_WRONLY | os.O_TRUNC)
    fs.write(number, b"more than there was before", 0)
    assert fs.cut_off(number) == OLD
    assert fs.getattr(OLD).size == len(b"old content")
    fs.release(number)
    assert read(fs, OLD) == b"old content"


def test_who_opens_a_file_before_a_killed_writer_is_released_reads_what_was_there_before(fs: FileSystem) -> None:
    number = fs.open(OLD, os.O_RDWR)
    fs.write(number, b"NEW", 0)
    fs.cut_off(number)
    fs.flush(number)
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(read, fs, OLD)
        with pytest.raises(TimeoutError):
            reading.result(0.05)
        fs.release(number)
        assert reading.result(5) == b"old content"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody goes on with the descriptor of a killed program, so that it is not released."""
    monkeypatch.setattr(files, "_RELEASE_PATIENCE", 0.01)


@pytest.mark.usefixtures("impatient")
def test_whoever_looks_at_what_a_killed_writer_wrote_does_not_store_it(
    fs: FileSystem, printer: MemoryPrinter, tmp_path: Path
) -> None:
    number = fs.open(OLD, os.O_WRONLY | os.O_TRUNC)
    fs.write(number, b"half", 0)
    fs.cut_off(number)
    reader = fs.open(OLD, os.O_RDONLY)  # the kernel releases the writer's handle in its own time
    fs.release(number)
    fs.flush(reader)
    fs.release(reader)
    assert (printer.files[OLD], kept(tmp_path)) == (b"old content", [])


@pytest.mark.usefixtures("impatient")
def test_what_is_written_after_a_killed_writer_is_stored(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.open(OLD, os.O_WRONLY | os.O_TRUNC)
    fs.write(number, b"half", 0)
    fs.cut_off(number)
    other = fs.open(OLD, os.O_WRONLY | os.O_TRUNC)
    fs.write(other, b"all", 0)
    fs.release(number)
    fs.flush(other)
    fs.release(other)
    assert printer.files[OLD] == b"all"


@pytest.mark.parametrize("end", ["flush", "fsync"])
def test_who_goes_on_with_the_descriptor_of_a_killed_program_stores_by_its_close(
    fs: FileSystem, printer: MemoryPrinter, end: str
) -> None:
    # { killed; other; } > file
    number = fs.open(OLD, os.O_WRONLY | os.O_TRUNC)
    fs.write(number, b"half, ", 0)
    fs.cut_off(number)
    fs.flush(number)
    fs.write(number, b"and more", 6)
    getattr(fs, end)(number)
    assert printer.files[OLD] == b"half, and more"
    fs.release(number)


def test_killed_writer_of_a_new_file_leaves_none(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"half", 0)
    fs.cut_off(number)
    fs.flush(number)
    fs.release(number)
    assert not exists(fs, NEW)
    assert NEW not in printer.files


def test_killed_reader_is_no_loss(fs: FileSystem) -> None:
    number = fs.open(OLD, os.O_RDONLY)
    fs.cut_off(number)
    fs.flush(number)
    fs.release(number)
    assert read(fs, OLD) == b"old content"


def test_full_local_disk_is_told_by_write_and_by_close(
    fs: FileSystem, printer: MemoryPrinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(spool: SpoolFile, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    number = fs.open(OLD, os.O_WRONLY | os.O_TRUNC)
    with monkeypatch.context() as patch:
        patch.setattr(SpoolFile, "write", full)
        with pytest.raises(OSError, match="disk is full"):
            fs.write(number, b"new content", 0)
    fs.write(number, b"tail", 100)
    with pytest.raises(OSError, match="disk is full"):
        fs.flush(number)
    fs.release(number)
    assert printer.files[OLD] == b"old content"


def test_write_that_broke_off_in_an_unforeseen_way_does_not_replace_the_file(
    fs: FileSystem, printer: MemoryPrinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = fs.open(OLD, os.O_WRONLY | os.O_TRUNC)
    fs.write(number, b"half", 0)
    with monkeypatch.context() as patch:
        patch.setattr(SpoolFile, "fill", Mock(side_effect=MemoryError))
        with pytest.raises(MemoryError):
            fs.write(number, b"the rest", 4)
    with pytest.raises(OSError, match="Input/output error"):
        fs.flush(number)
    fs.release(number)
    assert printer.files[OLD] == b"old content"


def test_waiting_for_another_writer_can_be_interrupted(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"one", 0)
    with ThreadPoolExecutor(1) as threads:
        with printer.gate("STOR") as gate:
            storing = threads.submit(fs.flush, number)
            assert gate.reached.wait(5)
            with interrupts.watched(lambda: True), pytest.raises(Interrupted):
                fs.write(number, b"two", 0)
        storing.result(10)
    fs.release(number)


# --- times ------------------------------------------------------------------------------------------


def test_written_file_has_the_time_of_its_writing(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    write(fs, NEW, b"new content")
    assert fs.getattr(NEW).mtime == int(clock.now)
    assert printer.times[NEW] == int(clock.now)


def test_time_set_while_open_goes_with_the_upload(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    fs.utimens(NEW, EXACT)
    fs.flush(number)
    fs.release(number)
    assert (fs.getattr(NEW).mtime, printer.times[NEW]) == (EXACT, EXACT)


def test_time_set_after_the_close_but_before_the_release_stays(fs: FileSystem, printer: MemoryPrinter) -> None:
    # `cp -p` on some systems, and rsync.
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    fs.flush(number)
    fs.utimens(NEW, EXACT)
    fs.release(number)
    assert (fs.getattr(NEW).mtime, printer.times[NEW], printer.count("STOR")) == (EXACT, EXACT, 1)


def test_time_set_while_a_new_file_is_being_stored_shows_at_once(
    fs: FileSystem, printer: MemoryPrinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch, set_time, is_late = Uploads.touch, Uploads.set_time, threading.Event()

    def touched_just_in_time(uploads: Uploads, node: Node, mtime: int) -> None:
        touch(uploads, node, mtime)
        gate.release()
        assert is_late.wait(5)

    def slowly(uploads: Uploads, path: str, attributes: Attributes, mtime: int) -> None:
        is_late.set()
        threading.Event().wait(0.2)
        set_time(uploads, path, attributes, mtime)

    monkeypatch.setattr(Uploads, "touch", touched_just_in_time)
    monkeypatch.setattr(Uploads, "set_time", slowly)
    number = fs.create(NEW, os.O_WRONLY)
    with ThreadPoolExecutor(1) as threads, printer.gate("STOR") as gate:
        ending = threads.submit(fs.release, number)
        assert gate.reached.wait(5)
        fs.utimens(NEW, EXACT)
        assert fs.getattr(NEW).mtime == EXACT
        ending.result(5)


def touched(fs: FileSystem, path: str, mtime: int) -> None:
    """Set the time from another thread."""
    touching = threading.Thread(target=fs.utimens, args=(path, mtime))
    touching.start()
    touching.join(5)
    assert not touching.is_alive()


class Overtaken:
    """A lock whose owner, once he has let go of it, is overtaken by ``others``."""

    def __init__(self, lock: threading.RLock, others: Callable[[], object]) -> None:
        self._lock, self._others = lock, others

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        others, self._others = self._others, lambda: None
        others()


def test_time_set_just_when_the_upload_is_over_stays(
    fs: FileSystem, printer: MemoryPrinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Uploads.send

    def sent(uploads: Uploads, *args: Any, node: Node, **kwargs: Any) -> str:
        path = send(uploads, *args, node=node, **kwargs)
        node.lock = Overtaken(node.lock, lambda: touched(fs, NEW, EXACT))  # type: ignore[assignment]
        return path

    monkeypatch.setattr(Uploads, "send", sent)
    write(fs, NEW, b"new content")
    assert (printer.times[NEW], fs.getattr(NEW).mtime) == (EXACT, EXACT)


def test_time_that_cannot_be_set_after_the_upload_is_no_error_of_it(
    fs: FileSystem, printer: MemoryPrinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    with ThreadPoolExecutor(1) as threads, printer.gate("STOR") as gate:
        closing = threads.submit(fs.flush, number)
        assert gate.reached.wait(5)
        touched(fs, NEW, EXACT)
        monkeypatch.setattr(fs._card, "set_time", Mock(side_effect=ConnectionDropped("lost")))
        gate.release()
        closing.result(5)
    fs.release(number)
    assert (printer.files[NEW], fs.getattr(NEW).mtime) == (b"new content", EXACT)


def test_time_set_by_a_handle_is_that_of_the_file(fs: FileSystem) -> None:
    number = fs.open(OLD, os.O_RDWR)
    fs.utimens(None, EXACT, number)
    fs.release(number)
    assert fs.getattr(OLD).mtime == EXACT


def test_time_of_a_file_at_rest_is_set_on_the_printer(fs: FileSystem, printer: MemoryPrinter) -> None:
    fs.utimens(OLD, EXACT)
    assert (fs.getattr(OLD).mtime, printer.times[OLD]) == (EXACT, EXACT)


def test_time_that_is_left_stays(fs: FileSystem, printer: MemoryPrinter) -> None:
    before = fs.getattr(OLD)
    fs.utimens(OLD, None)
    assert (fs.getattr(OLD), printer.count("MDTM")) == (before, 0)


def test_same_time_again_asks_nobody(fs: FileSystem, printer: MemoryPrinter) -> None:
    fs.utimens(OLD, EXACT)
    fs.utimens(OLD, EXACT)
    assert printer.count("MDTM") == 1


def test_time_survives_a_remount(mount: Mount, printer: MemoryPrinter) -> None:
    fs = mount(printer)
    write(fs, NEW, b"new content")
    fs.utimens(NEW, EXACT)
    assert mount(printer).getattr(NEW).mtime == EXACT


def test_time_of_the_overlay_is_set(fs: FileSystem) -> None:
    write(fs, "/cache/.x", b"x")
    fs.utimens("/cache/.x", EXACT)
    assert fs.getattr("/cache/.x").mtime == EXACT


# --- creating ---------------------------------------------------------------------------------------


def test_time_set_while_a_dot_file_is_being_released_stays(fs: FileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    number = fs.create("/cache/.a.tmp", os.O_WRONLY)
    fs.write(number, b"content", 0)
    set_time = SpoolFile.set_time
    others: list[threading.Thread] = []

    def overtaken(spool: SpoolFile, mtime: int) -> None:
        if not others:
            others.append(threading.Thread(target=fs.utimens, args=("/cache/.a.tmp", EXACT)))
            others[0].start()
            others[0].join(0.2)
        set_time(spool, mtime)

    monkeypatch.setattr(SpoolFile, "set_time", overtaken)
    fs.release(number)
    others[0].join()

    assert fs.getattr("/cache/.a.tmp").mtime == EXACT


def test_existing_file_is_refused_when_a_new_one_is_wanted(fs: FileSystem) -> None:
    with pytest.raises(FileExistsError):
        fs.create(OLD, os.O_WRONLY | os.O_EXCL)


def test_existing_file_is_opened_otherwise(fs: FileSystem) -> None:
    number = fs.create(OLD, os.O_RDWR)
    assert content_of(fs, number) == b"old content"
    fs.release(number)


def test_of_two_who_create_one_file_exclusively_one_succeeds(fs: FileSystem) -> None:
    fs.readdir("/cache")
    start = threading.Barrier(4)

    def create() -> bool:
        start.wait(5)
        try:
            fs.create(NEW, os.O_WRONLY | os.O_EXCL)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(lambda _: create(), range(4))) == 1


def test_new_file_is_listed_while_it_is_written(fs: FileSystem) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    assert "new.3mf" in names(fs, "/cache")
    fs.release(number)


# --- the end ----------------------------------------------------------------------------------------


def test_closing_the_mount_uploads_a_new_file_that_the_kernel_has_not_released_yet(
    mount: Mount, printer: MemoryPrinter
) -> None:
    fs = mount(printer)
    fs.flush(fs.create(NEW, os.O_WRONLY))
    assert NEW not in printer.files
    mount(printer)
    assert printer.files[NEW] == b""


@pytest.mark.parametrize("path", [NEW, OLD])
def test_half_of_what_is_being_written_when_the_mount_ends_is_put_aside(
    mount: Mount, printer: MemoryPrinter, tmp_path: Path, path: str
) -> None:
    before = dict(printer.files)
    fs = mount(printer)
    number = fs.create(path, os.O_WRONLY) if path == NEW else fs.open(path, os.O_WRONLY | os.O_TRUNC)
    fs.write(number, b"new cont", 0)
    mount(printer)
    assert printer.files == before
    (kept,) = Recovery(tmp_path / "cache").kept()
    assert (kept.record.path, kept.record.whole) == (path, False)
    assert kept.file.read_bytes() == b"new cont"


def test_file_that_is_being_emptied_when_the_mount_ends_stays(mount: Mount, printer: MemoryPrinter) -> None:
    before = dict(printer.files)
    fs = mount(printer)
    fs.open(OLD, os.O_WRONLY | os.O_TRUNC)
    mount(printer)
    assert printer.files == before


def test_what_is_written_after_a_descriptor_was_closed_is_no_more_whole(mount: Mount, printer: MemoryPrinter) -> None:
    fs = mount(printer)
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    fs.flush(number)
    fs.write(number, b", and", 11)
    mount(printer)
    assert printer.files[NEW] == b"new content"


def test_closing_the_mount_keeps_what_cannot_be_uploaded(mount: Mount, printer: MemoryPrinter, tmp_path: Path) -> None:
    fs = mount(printer)
    fs.write(fs.create(NEW, os.O_WRONLY), b"new content", 0)
    away(printer)
    mount(printer)
    assert kept(tmp_path) == [b"new content"]


def test_file_of_a_mount_that_was_killed_is_kept(mount: Mount, printer: MemoryPrinter, tmp_path: Path) -> None:
    (tmp_path / "cache" / "spool").mkdir(parents=True)
    (tmp_path / "cache" / "spool" / "abcd").write_bytes(b"half written")
    mount(printer)
    assert kept(tmp_path) == [b"half written"]


def test_cached_content_of_a_mount_that_was_killed_is_dropped(
    mount: Mount, printer: MemoryPrinter, tmp_path: Path
) -> None:
    (tmp_path / "cache" / "blocks").mkdir(parents=True)
    (tmp_path / "cache" / "blocks" / "abcd").write_bytes(b"a copy")
    mount(printer)
    assert list((tmp_path / "cache" / "blocks").iterdir()) == []


def publish(fs: FileSystem) -> None:
    """A dot file that gets a visible name."""
    write(fs, "/cache/.x", b"x")
    fs.rename("/cache/.x", NEW)


@pytest.mark.parametrize(
    "use",
    [
        lambda fs: read(fs, OLD),
        lambda fs: write(fs, NEW, b"x"),
        lambda fs: write(fs, OLD, b"x"),
        lambda fs: fs.truncate(OLD, 3),
        lambda fs: write(fs, "/cache/.x", b"x"),
        publish,
    ],
)
def test_spool_is_empty_when_nothing_is_open(
    fs: FileSystem, tmp_path: Path, use: Callable[[FileSystem], object]
) -> None:
    use(fs)
    left = [file.read_bytes() for file in (tmp_path / "cache" / "spool").iterdir()]
    adopted = fs.statistics()["bytes_cached"]
    assert sum(map(len, left)) in (0, adopted)
