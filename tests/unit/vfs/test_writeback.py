"""Uploads in the background: when they happen, what they spare, and what becomes of those that fail."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import Mock

import pytest

from bambufs.errors import CardFull, ConnectionDropped, InvalidName, LoginRefused, PrinterUnreachable
from bambufs.printer.family import ESP32, VSFTPD, Family
from bambufs.vfs.filesystem import FileSystem
from bambufs.vfs.handles import Node
from bambufs.vfs.journal import Journal
from bambufs.vfs.lost import LostFound
from bambufs.vfs.settings import Settings
from bambufs.vfs.spool import SpoolFile
from bambufs.vfs.uploads import Uploads
from bambufs.vfs.writeback import Remaining
from tests.support.clock import Clock
from tests.support.memory import MemoryPrinter
from tests.support.programs import content_of, exists, names, read, write
from tests.support.waiting import wait_until
from tests.unit.vfs.conftest import Mount

OLD = "/cache/old.3mf"
NEW = "/cache/new.3mf"
OTHER = "/model/other.3mf"
QUIET = 5.0


@pytest.fixture
def fs(mount: Mount, printer: MemoryPrinter) -> FileSystem:
    """A mount that sends after five seconds of quiet, by hand: `pay` is its thread."""
    return mount(printer, write_back=QUIET)


def pay(fs: FileSystem, clock: Clock, seconds: float = QUIET) -> None:
    """Let time pass, and send what is due then."""
    clock.now += seconds
    while fs._files.write_back.step() == 0:
        pass


def lost(home: Path) -> list[bytes]:
    """What is in lost+found."""
    folder = home / "cache" / "lost+found"
    return sorted(file.read_bytes() for file in folder.iterdir()) if folder.is_dir() else []


def noted(home: Path) -> int:
    """How many notes the journal has."""
    return len(os.listdir(home / "cache" / "journal"))


# --- when -----------------------------------------------------------------------------------------


def test_close_does_not_wait_for_the_upload(fs: FileSystem, printer: MemoryPrinter) -> None:
    write(fs, NEW, b"new content")
    assert printer.count("STOR") == 0


def test_file_is_sent_after_the_quiet_time(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    write(fs, NEW, b"new content")
    pay(fs, clock, QUIET - 0.1)
    assert NEW not in printer.files
    pay(fs, clock, 0.2)
    assert printer.files[NEW] == b"new content"


def test_quiet_time_begins_anew_with_each_close(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    write(fs, NEW, b"one")
    pay(fs, clock, 4.0)
    write(fs, NEW, b"two")
    pay(fs, clock, 4.0)
    assert NEW not in printer.files
    pay(fs, clock, 1.1)
    assert (printer.files[NEW], printer.count("STOR")) == (b"two", 1)


def test_no_quiet_time_sends_as_soon_as_it_is_closed(mount: Mount, printer: MemoryPrinter, clock: Clock) -> None:
    fs = mount(printer, write_back=0.0)
    write(fs, NEW, b"new content")
    pay(fs, clock, 0.0)
    assert printer.files[NEW] == b"new content"


def test_oldest_is_sent_first(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    for name in ("c", "a", "b"):
        write(fs, f"/cache/{name}", b"x")
        clock.now += 0.1
    pay(fs, clock)
    stored = [said[2] for said in printer.verbs if said[0] == "RENAME"]
    assert stored == ["/cache/c", "/cache/a", "/cache/b"]


def test_file_is_not_sent_while_somebody_writes_to_it(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    write(fs, NEW, b"new content")
    number = fs.open(NEW, os.O_WRONLY)
    pay(fs, clock)
    assert NEW not in printer.files
    fs.release(number)
    pay(fs, clock)
    assert printer.files[NEW] == b"new content"


def test_fsync_sends_at_once(fs: FileSystem, printer: MemoryPrinter, tmp_path: Path) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    fs.fsync(number)
    assert printer.files[NEW] == b"new content"
    fs.flush(number)
    fs.release(number)
    assert (printer.count("STOR"), noted(tmp_path)) == (1, 0)


def test_failed_fsync_is_told_and_the_file_stays_owed(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    printer.fail("STOR", PrinterUnreachable("away"))
    with pytest.raises(PrinterUnreachable):
        fs.fsync(number)
    fs.flush(number)
    fs.release(number)
    pay(fs, clock)
    assert printer.files[NEW] == b"new content"


def test_print_of_an_owed_file_sends_it_first(fs: FileSystem, printer: MemoryPrinter) -> None:
    write(fs, NEW, b"new content")
    fs.settle(NEW)
    assert printer.files[NEW] == b"new content"


def test_the_end_of_the_mount_sends_everything(mount: Mount, printer: MemoryPrinter, tmp_path: Path) -> None:
    fs = mount(printer, write_back=QUIET)
    for name in "abc":
        write(fs, f"/cache/{name}", b"x")
    assert fs.close() == Remaining(0, 0)
    assert [f"/cache/{name}" in printer.files for name in "abc"] == [True, True, True]
    assert noted(tmp_path) == 0


# --- what is seen meanwhile -----------------------------------------------------------------------


def test_owed_file_is_seen_and_read(fs: FileSystem, printer: MemoryPrinter) -> None:
    write(fs, NEW, b"new content")
    assert fs.getattr(NEW).size == len(b"new content")
    assert "new.3mf" in names(fs, "/cache")
    assert read(fs, NEW) == b"new content"
    assert printer.count("RETR") == 0


def test_owed_replacement_is_what_is_read(fs: FileSystem) -> None:
    write(fs, OLD, b"new content")
    assert read(fs, OLD) == b"new content"


def test_owed_empty_file_is_seen_and_sent(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.flush(number)
    fs.release(number)
    assert exists(fs, NEW)
    pay(fs, clock)
    assert printer.files[NEW] == b""


def test_transfers_tell_what_is_owed(fs: FileSystem) -> None:
    write(fs, NEW, b"new content")
    assert fs.transfers() == f"waiting  {NEW}  11 bytes, to be sent in 5 s\n"


def test_time_set_while_it_waits_is_the_time_it_gets(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    write(fs, NEW, b"new content")
    fs.utimens(NEW, 1_234_567_890)
    assert fs.getattr(NEW).mtime == 1_234_567_890
    pay(fs, clock)
    assert printer.times[NEW] == 1_234_567_890
    assert fs.getattr(NEW).mtime == 1_234_567_890


def test_file_is_read_from_here_after_it_was_sent(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    write(fs, NEW, b"new content")
    pay(fs, clock)
    assert read(fs, NEW) == b"new content"
    assert printer.count("RETR") == 0
    assert len(fs._files.nodes) == 0


# --- what it spares -------------------------------------------------------------------------------


def test_file_written_and_deleted_is_never_sent(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock, tmp_path: Path
) -> None:
    write(fs, NEW, b"new content")
    fs.unlink(NEW)
    pay(fs, clock)
    assert (printer.count("STOR"), exists(fs, NEW), noted(tmp_path)) == (0, False, 0)
    assert os.listdir(tmp_path / "cache" / "spool") == []


def test_temporary_name_renamed_into_place_is_sent_once(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    write(fs, "/cache/old.3mf.tmp", b"new content")
    fs.rename("/cache/old.3mf.tmp", OLD)
    assert printer.files[OLD] == b"old content"
    assert read(fs, OLD) == b"new content"
    pay(fs, clock)
    assert (printer.files[OLD], printer.count("STOR"), len(printer.visible())) == (b"new content", 1, 2)


def test_owed_file_replaced_by_another_is_never_sent(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    write(fs, OLD, b"first")
    write(fs, "/cache/tmp", b"second")
    fs.rename("/cache/tmp", OLD)
    assert printer.files[OLD] == b"old content"
    pay(fs, clock)
    assert (printer.files[OLD], printer.count("STOR"), len(printer.visible())) == (b"second", 1, 2)


def test_dot_name_that_becomes_visible_is_sent_later(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock, tmp_path: Path
) -> None:
    write(fs, "/cache/.new.3mf.aBcDeF", b"new content")
    fs.utimens("/cache/.new.3mf.aBcDeF", 1_234_567_890)
    fs.rename("/cache/.new.3mf.aBcDeF", NEW)
    assert printer.count("STOR") == 0
    assert (read(fs, NEW), fs.getattr(NEW).mtime) == (b"new content", 1_234_567_890)
    assert names(fs, "/cache") == ["new.3mf", "old.3mf"]
    pay(fs, clock)
    assert (printer.files[NEW], printer.times[NEW]) == (b"new content", 1_234_567_890)
    assert noted(tmp_path) == 0


def test_dot_name_over_an_owed_file_is_sent_in_its_place(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    write(fs, OLD, b"first")
    write(fs, "/cache/.tmp", b"second")
    fs.rename("/cache/.tmp", OLD)
    assert printer.files[OLD] == b"old content"
    pay(fs, clock)
    assert (printer.files[OLD], printer.count("STOR"), len(printer.visible())) == (b"second", 1, 2)


def test_renamed_folder_takes_what_it_owes_along(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    fs.mkdir("/model/parts")
    write(fs, "/model/parts/a.stl", b"a")
    fs.rename("/model/parts", "/model/pieces")
    pay(fs, clock)
    assert printer.files["/model/pieces/a.stl"] == b"a"
    assert "/model/parts/a.stl" not in printer.files


def test_folder_with_an_owed_file_is_not_empty(fs: FileSystem) -> None:
    fs.mkdir("/model/parts")
    write(fs, "/model/parts/a.stl", b"a")
    with pytest.raises(OSError, match="not empty") as raised:
        fs.rmdir("/model/parts")
    assert raised.value.errno == errno.ENOTEMPTY


def test_time_that_was_set_for_a_folder_stays_when_a_file_is_sent_into_it(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock
) -> None:
    def show() -> int:
        fs.forget()
        return fs.getattr("/model").mtime

    write(fs, "/model/new.3mf", b"new content")
    fs.utimens("/model", 1_700_000_000)
    assert show() == 1_700_000_000
    pay(fs, clock)
    printer.times["/model"] = 1_790_000_000  # as a folder's time changes with what is in it
    assert show() == 1_700_000_000


# --- writing again ---------------------------------------------------------------------------------


def test_writer_does_not_wait_for_a_running_upload(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    write(fs, NEW, b"x" * 1000)
    clock.now += QUIET
    with printer.gate("STOR") as gate:
        sending = threading.Thread(target=fs._files.write_back.step)
        sending.start()
        assert gate.reached.wait(5)
        writing = threading.Thread(target=write, args=(fs, NEW, b"second"))
        writing.start()
        wait_until(lambda: fs._files.nodes.at(NEW) is not None, "the writer")
    writing.join(5)
    sending.join(5)
    assert not writing.is_alive()
    pay(fs, clock)
    assert printer.files[NEW] == b"second"


@pytest.mark.about_optimisations
@pytest.mark.parametrize(("family", "at_once"), [(VSFTPD, 2), (ESP32, 1)])
def test_next_file_is_begun_while_one_is_under_way(
    mount: Mount, clock: Clock, family: Family, at_once: int
) -> None:
    printer = MemoryPrinter(family=family)
    fs = mount(printer, write_back=QUIET)
    fs.connect()
    for number in range(3):
        write(fs, f"/cache/{number}", b"x")
    clock.now += QUIET
    with printer.gate("RENAME") as gate:
        steps = [threading.Thread(target=fs._files.write_back.step) for _ in range(at_once)]
        for step in steps:
            step.start()
        assert gate.reached.wait(5)
        wait_until(lambda: printer.count("RENAME") == at_once, "as many as may be")
        assert fs._files.write_back.step() is None
    for step in steps:
        step.join(5)
    pay(fs, clock)
    assert sorted(printer.visible()) == ["/cache/0", "/cache/1", "/cache/2"]


def test_appending_to_an_owed_file_keeps_what_it_has(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    write(fs, NEW, b"one ")
    number = fs.open(NEW, os.O_WRONLY)
    fs.write(number, b"two", 4)
    assert content_of(fs, number) == b"one two"
    fs.flush(number)
    fs.release(number)
    pay(fs, clock)
    assert printer.files[NEW] == b"one two"


def test_killed_writer_leaves_the_version_before(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    write(fs, NEW, b"whole")
    number = fs.open(NEW, os.O_WRONLY | os.O_TRUNC)
    fs.write(number, b"ha", 0)
    fs.cut_off(number)
    fs.flush(number)
    fs.release(number)
    assert read(fs, NEW) == b"whole"
    pay(fs, clock)
    assert printer.files[NEW] == b"whole"


def test_write_that_failed_leaves_the_version_before(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(fs, NEW, b"whole")
    number = fs.open(NEW, os.O_WRONLY)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", _full)
        with pytest.raises(OSError, match="disk is full"):
            fs.write(number, b"more", 5)
    with pytest.raises(OSError, match="disk is full"):
        fs.flush(number)
    fs.release(number)
    assert read(fs, NEW) == b"whole"
    pay(fs, clock)
    assert printer.files[NEW] == b"whole"


def _full(*arguments: object, **more: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_without_room_for_a_note_the_close_waits_after_all(
    fs: FileSystem, printer: MemoryPrinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Journal, "write", _full)
    write(fs, NEW, b"new content")
    assert printer.files[NEW] == b"new content"


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [PrinterUnreachable("away"), LoginRefused("wrong code")], ids=repr)
def test_printer_that_lets_nobody_in_is_waited_for(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock, error: OSError, tmp_path: Path
) -> None:
    write(fs, NEW, b"new content")
    printer.fail("STOR", error, times=200)
    for _ in range(100):
        pay(fs, clock, 10.0)
    assert str(error) in fs.transfers()
    printer.forgive()
    pay(fs, clock, 10.0)
    assert printer.files[NEW] == b"new content"
    assert (lost(tmp_path), noted(tmp_path)) == ([], 0)


def test_printer_that_is_back_is_noticed_soon(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    write(fs, NEW, b"new content")
    printer.fail("STOR", PrinterUnreachable("away"), times=200)
    for _ in range(100):
        pay(fs, clock, 10.0)
    printer.forgive()
    pay(fs, clock, 5.0)
    assert printer.files[NEW] == b"new content"


def test_failure_of_one_file_does_not_hold_up_the_others(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    write(fs, NEW, b"one")
    write(fs, "/cache/second", b"two")
    printer.fail("STOR", CardFull("full"))
    pay(fs, clock)
    assert printer.visible().get("/cache/second") == b"two"
    pay(fs, clock, 5.0)
    assert printer.files[NEW] == b"one"


@pytest.mark.parametrize("error", [InvalidName("not this name"), FileNotFoundError(errno.ENOENT, "gone")], ids=repr)
def test_hopeless_upload_is_put_aside_at_once(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock, tmp_path: Path, error: OSError
) -> None:
    write(fs, NEW, b"new content")
    printer.fail("STOR", error)
    pay(fs, clock)
    assert lost(tmp_path) == [b"new content"]
    assert not exists(fs, NEW)
    assert "kept" in fs.transfers()


def test_failure_that_goes_on_is_given_up(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock, tmp_path: Path
) -> None:
    write(fs, NEW, b"new content")
    printer.fail("STOR", CardFull("the card is full"), times=1000)
    for _ in range(60):
        pay(fs, clock, 300.0)
    assert lost(tmp_path) == [b"new content"]
    assert "the card is full" in fs.transfers()


@pytest.fixture
def failed(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> FileSystem:
    """A mount on which a version of the old file could not be stored."""
    write(fs, OLD, b"new content")
    printer.fail("RENAME", InvalidName("the printer cannot store this"))
    pay(fs, clock)
    return fs


def test_failure_is_told_once_by_the_next_open(failed: FileSystem) -> None:
    with pytest.raises(InvalidName):
        failed.open(OLD, os.O_RDONLY)
    assert read(failed, OLD) == b"old content"


def test_failure_is_told_once_by_the_close_of_who_has_it_open(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock
) -> None:
    write(fs, OLD, b"new content")
    number = fs.open(OLD, os.O_RDONLY)
    printer.fail("RENAME", InvalidName("the printer cannot store this"))
    pay(fs, clock)
    assert content_of(fs, number) == b"new content"
    with pytest.raises(InvalidName):
        fs.flush(number)
    fs.flush(number)
    fs.release(number)
    assert read(fs, OLD) == b"old content"


def test_what_is_in_lost_and_found_is_not_written_to(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock, tmp_path: Path
) -> None:
    write(fs, OLD, b"new content")
    number = fs.open(OLD, os.O_RDONLY)
    printer.fail("RENAME", InvalidName("the printer cannot store this"))
    pay(fs, clock)
    with pytest.raises(InvalidName):
        fs.open(OLD, os.O_WRONLY)
    writing = fs.open(OLD, os.O_WRONLY)
    fs.write(writing, b"NEW", 0)
    fs.flush(writing)
    fs.release(writing)
    fs.release(number)
    assert lost(tmp_path) == [b"new content"]
    pay(fs, clock)
    assert printer.files[OLD] == b"NEW content"


def test_lost_connection_is_tried_again(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    write(fs, NEW, b"new content")
    printer.fail("STOR", ConnectionDropped("lost"), times=2)
    pay(fs, clock)
    pay(fs, clock)
    assert printer.files[NEW] == b"new content"


def test_change_on_the_printer_meanwhile_keeps_both(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    write(fs, OLD, b"mine")
    printer.files[OLD] = b"somebody else's"
    pay(fs, clock, 10.0)
    assert printer.files[OLD] == b"somebody else's"
    assert b"mine" in printer.visible().values()
    assert len(printer.visible()) == 3


def test_own_version_that_arrived_unnoticed_is_no_conflict(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock
) -> None:
    write(fs, OLD, b"one")
    printer.files[OLD] = b"one"  # stored, and the connection lost before that was heard of
    write(fs, OLD, b"and two")
    pay(fs, clock, 10.0)
    assert printer.visible() == {OLD: b"and two", "/model/other.3mf": b"other content"}


def test_notes_of_two_threads_do_not_get_into_each_others_way(
    fs: FileSystem, printer: MemoryPrinter, tmp_path: Path
) -> None:
    """One thread notes why a try failed, while the next version is written."""
    node = _owing(fs)
    stop = threading.Event()

    def complain() -> None:
        for number in range(10_000):
            fs._files.note(node, CardFull(f"full {number}"), counts=True)
            if stop.is_set():
                break

    complaining = threading.Thread(target=complain)
    complaining.start()
    for number in range(200):
        write(fs, NEW, b"x" * number)
    stop.set()
    complaining.join()
    (record,) = Journal(tmp_path / "cache").records("owed")
    assert ((tmp_path / "cache" / record.content).read_bytes(), record.size) == (b"x" * 199, 199)
    assert printer.count("STOR") == 0


def _owing(fs: FileSystem) -> Node:
    write(fs, NEW, b"first")
    node = fs._files.nodes.at(NEW)
    assert node is not None
    return node


def test_lost_connection_after_the_storing_leaves_nothing_open(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(fs, NEW, b"new content")
    clock.now += QUIET
    with printer.gate("STOR") as gate:
        sending = threading.Thread(target=fs._files.write_back.step)
        sending.start()
        assert gate.reached.wait(5)
        fs.utimens(NEW, 1_600_000_000)
        monkeypatch.setattr(fs._card, "set_time", Mock(side_effect=ConnectionDropped("lost")))
    sending.join(5)
    assert (printer.files[NEW], fs.getattr(NEW).mtime) == (b"new content", 1_600_000_000)
    pay(fs, clock, 1000.0)
    assert fs.statistics()["open_files"] == 0


def test_time_set_during_an_upload_is_no_change_by_somebody_else(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock
) -> None:
    write(fs, NEW, b"one")
    reader = fs.open(NEW, os.O_RDONLY)
    clock.now += QUIET
    with printer.gate("STOR") as gate:
        sending = threading.Thread(target=fs._files.write_back.step)
        sending.start()
        assert gate.reached.wait(5)
        fs.utimens(NEW, 1_600_000_000)
    sending.join(5)
    write(fs, NEW, b"two!")
    fs.forget()
    pay(fs, clock)
    fs.release(reader)
    assert [path for path in printer.visible() if "unsent" in path] == []
    assert printer.files[NEW] == b"two!"


def test_what_is_written_just_when_the_version_before_was_sent_is_sent_too(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay_one = Uploads.pay

    def slowly(uploads: Uploads, node: Node) -> bool:
        was_pinned = pay_one(uploads, node)
        monkeypatch.undo()
        writing = threading.Thread(target=write, args=(fs, NEW, b"two"))
        writing.start()
        writing.join(5)
        assert not writing.is_alive()
        return was_pinned

    write(fs, NEW, b"one")
    monkeypatch.setattr(Uploads, "pay", slowly)
    pay(fs, clock)
    pay(fs, clock)
    assert printer.files[NEW] == b"two"


def test_unforeseen_failure_is_one_like_others(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(fs, NEW, b"new content")
    with monkeypatch.context() as patch:
        patch.setattr(Uploads, "pay", Mock(side_effect=RuntimeError("can't start new thread")))
        pay(fs, clock)
    assert "see the log" in fs.transfers()
    pay(fs, clock)
    assert (printer.files[NEW], noted(tmp_path)) == (b"new content", 0)


def test_what_cannot_be_put_aside_stays_owed(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(fs, NEW, b"new content")
    printer.fail("STOR", InvalidName("not this name"))
    with monkeypatch.context() as patch:
        patch.setattr(LostFound, "put", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
        pay(fs, clock)
    assert (read(fs, NEW), lost(tmp_path), noted(tmp_path)) == (b"new content", [], 1)
    pay(fs, clock)
    assert (printer.files[NEW], noted(tmp_path)) == (b"new content", 0)


def test_version_that_is_not_owed_any_more_once_it_is_copied_is_deleted(
    fs: FileSystem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As when it is deleted by another thread."""

    def copied(spool: SpoolFile, other: SpoolFile, length: int) -> None:
        copy_to(spool, other, length)
        fs._files.forgive(node)

    write(fs, NEW, b"new content")
    number = fs.open(NEW, os.O_WRONLY)
    node, copy_to = fs._files.nodes.handle(number).node, SpoolFile.copy_to
    monkeypatch.setattr(SpoolFile, "copy_to", copied)
    fs.write(number, b"N", 0)
    assert [file.read_bytes() for file in (tmp_path / "cache" / "spool").iterdir()] == [b"New content"]
    fs.release(number)


def test_failed_rename_over_an_owed_file_leaves_it_owed(fs: FileSystem, printer: MemoryPrinter, clock: Clock) -> None:
    printer.files[NEW] = b"before"
    write(fs, NEW, b"new content")
    printer.fail("RENAME", ConnectionDropped("lost"), times=9)
    with pytest.raises(ConnectionDropped):
        fs.rename(OLD, NEW)
    assert printer.files[NEW] == b"before"
    printer.forgive()
    pay(fs, clock)
    assert (printer.files[NEW], printer.files[OLD]) == (b"new content", b"old content")


def test_rename_over_an_owed_file_is_final(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock, tmp_path: Path
) -> None:
    write(fs, NEW, b"new content")
    fs.rename(OLD, NEW)
    pay(fs, clock)
    assert (printer.files[NEW], names(fs, "/cache"), noted(tmp_path)) == (b"old content", ["new.3mf"], 0)
    assert fs.statistics()["open_files"] == 0


def test_file_stored_just_when_it_is_renamed_over_an_owed_one_gets_its_name(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock
) -> None:
    write(fs, NEW, b"new content")
    clock.now += QUIET / 2
    write(fs, OTHER, b"replaced")
    clock.now += QUIET / 2
    with printer.gate("RENAME") as gate:
        sending = threading.Thread(target=fs._files.write_back.step)
        sending.start()
        assert gate.reached.wait(5)
        renaming = threading.Thread(target=fs.rename, args=(NEW, OTHER))
        renaming.start()
        node = fs._files.nodes.at(NEW)
        wait_until(lambda: node is None or node.pins > 1, "the rename to wait for the upload")
    for thread in (sending, renaming):
        thread.join(5)
    pay(fs, clock)
    assert (printer.files[OTHER], NEW in printer.files) == (b"new content", False)
    assert not exists(fs, NEW)


def test_file_whose_old_version_has_another_name_still_can_be_renamed(mount: Mount, clock: Clock) -> None:
    """As when it was renamed while it was sent over the only connection, and that broke off."""
    printer = MemoryPrinter({OLD: b"old"}, family=ESP32)
    fs = mount(printer, write_back=QUIET)
    write(fs, OLD, b"new content")
    clock.now += QUIET
    with printer.gate("STOR") as gate:
        sending = threading.Thread(target=fs._files.write_back.step)
        sending.start()
        assert gate.reached.wait(5)
        fs.rename(OLD, "/cache/second.3mf")
        for verb in ("STOR", "RENAME"):
            printer.fail(verb, PrinterUnreachable("away"), times=9)
    sending.join(5)
    printer.forgive()
    fs.rename("/cache/second.3mf", NEW)
    pay(fs, clock)
    assert (names(fs, "/cache"), read(fs, NEW)) == (["new.3mf"], b"new content")
    wait_until(lambda: list(printer.visible()) == [NEW], "nothing else to be left")


# --- the end --------------------------------------------------------------------------------------


@pytest.fixture
def leaving(tmp_path: Path, clock: Clock) -> Iterator[Mount]:
    """Makes a mount that waits a little at its end."""
    with ExitStack() as cards:

        def make(printer: MemoryPrinter, **settings: object) -> FileSystem:
            usual = {"leave_patience": 0.2, "write_back": QUIET} | settings
            options = Settings(cache_folder=tmp_path / "cache", **usual)  # type: ignore[arg-type]
            card = printer.card()
            cards.callback(card.close)
            return FileSystem(card, options, clock=clock, monotonic=clock)

        yield make


def test_end_does_not_wait_for_ever_for_a_printer_that_is_away(
    leaving: Mount, printer: MemoryPrinter, tmp_path: Path
) -> None:
    fs = leaving(printer)
    write(fs, NEW, b"new content")
    write(fs, "/cache/second", b"two")
    printer.fail("STOR", PrinterUnreachable("away"), times=100)
    assert fs.close() == Remaining(2, 14, "away")
    printer.forgive()
    again = leaving(printer)
    assert read(again, NEW) == b"new content"
    assert again.close() == Remaining(0, 0)
    assert (printer.files[NEW], printer.files["/cache/second"]) == (b"new content", b"two")
    assert noted(tmp_path) == 0


def test_end_tells_what_it_waits_for(leaving: Mount, printer: MemoryPrinter) -> None:
    fs = leaving(printer)
    write(fs, NEW, b"new content")
    told: list[Remaining] = []
    with printer.gate("STOR") as gate:
        ending = threading.Thread(target=fs.close, args=(told.append,))
        ending.start()
        assert gate.reached.wait(5)
        wait_until(lambda: told, "the end to say something")
    ending.join(5)
    assert told[0] == Remaining(1, 11)
    assert str(told[0]) == "1 file (0.0 kB)"


def test_file_that_is_being_written_at_the_end_is_sent_as_it_was_owed(
    leaving: Mount, printer: MemoryPrinter, tmp_path: Path
) -> None:
    fs = leaving(printer)
    write(fs, NEW, b"whole content")
    number = fs.open(NEW, os.O_WRONLY | os.O_TRUNC)
    fs.write(number, b"ha", 0)
    fs.close()
    assert printer.files[NEW] == b"whole content"
    assert lost(tmp_path) == [b"ha"]


def test_the_thread_sends_by_itself(tmp_path: Path, printer: MemoryPrinter) -> None:
    card = printer.card()
    fs = FileSystem(card, Settings(cache_folder=tmp_path / "cache", write_back=0.05))
    fs.start()
    write(fs, NEW, b"new content")
    wait_until(lambda: NEW in printer.files and noted(tmp_path) == 0, "the upload")
    fs.close()
