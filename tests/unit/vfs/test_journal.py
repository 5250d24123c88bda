"""What is owed survives a crash, and nothing that it leaves behind keeps the next mount from coming up."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bambufs.errors import CardFull, PrinterUnreachable
from bambufs.vfs import journal
from bambufs.vfs.filesystem import FileSystem
from bambufs.vfs.journal import Journal, Record
from bambufs.vfs.lost import LostFound
from bambufs.vfs.settings import Settings
from tests.support.clock import Clock
from tests.support.memory import MemoryPrinter
from tests.support.programs import exists, read, write
from tests.unit.vfs.conftest import Mount

OLD = "/cache/old.3mf"
NEW = "/cache/new.3mf"


def record(number: int = 1, **changes: object) -> Record:
    """A record of something owed."""
    usual = Record(f"{number:016x}", f"/cache/{number}.3mf", f"spool/{number}", 7, 1_700_000_000, 100.0 + number)
    return dataclasses.replace(usual, **changes)  # type: ignore[arg-type]


def fill(home: Path, content: str, text: bytes = b"content") -> None:
    """Put a file where a record says that it is."""
    (home / content).parent.mkdir(exist_ok=True)
    (home / content).write_bytes(text)


def in_journal(home: Path) -> list[str]:
    """The files of the journal."""
    return sorted(os.listdir(home / "journal"))


def kept(home: Path) -> list[bytes]:
    """What is in lost+found."""
    folder = home / "lost+found"
    return sorted(file.read_bytes() for file in folder.iterdir()) if folder.is_dir() else []


# --- records --------------------------------------------------------------------------------------


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("path", ["/a.3mf", "/cache/体积 'x\"\\.3mf", "/\udcff\udc80.3mf"], ids=ascii)
def test_record_is_there_after_a_restart(tmp_path: Path, durable: bool, path: str) -> None:
    written = record(path=path, held=(1, 2, 60), held_path="/b", reason="Grund: ü", tries=3, whole=False, boot="x")
    fill(tmp_path, written.content)
    Journal(tmp_path).write(written, durable=durable)
    assert Journal(tmp_path).records("owed") == [written]


def test_records_come_oldest_first(tmp_path: Path) -> None:
    mine = Journal(tmp_path)
    for number, created in ((1, 30.0), (2, 10.0), (3, 20.0)):
        fill(tmp_path, f"spool/{number}")
        mine.write(record(number, created=created), durable=False)
    assert [r.created for r in mine.records("owed")] == [10.0, 20.0, 30.0]
    assert [r.created for r in Journal(tmp_path).records("owed")] == [10.0, 20.0, 30.0]


def test_newer_record_replaces_the_older(tmp_path: Path) -> None:
    mine = Journal(tmp_path)
    fill(tmp_path, "spool/1")
    mine.write(record(), durable=True)
    mine.write(record(path="/elsewhere"), durable=True)
    assert [r.path for r in Journal(tmp_path).records("owed")] == ["/elsewhere"]
    assert len(in_journal(tmp_path)) == 1


def test_record_that_is_struck_out_is_gone(tmp_path: Path) -> None:
    mine = Journal(tmp_path)
    fill(tmp_path, "spool/1")
    mine.write(record(), durable=False)
    mine.strike(record())
    assert (mine.records("owed"), in_journal(tmp_path)) == ([], [])


def test_striking_out_twice_is_no_error(tmp_path: Path) -> None:
    mine = Journal(tmp_path)
    mine.strike(record())
    mine.strike(record())


def test_record_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Journal(tmp_path)
    fill(tmp_path, "spool/1")
    mine.write(record(), durable=True)

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        mine.write(record(path="/elsewhere"), durable=True)
    assert mine.records("owed") == [record()]
    assert Journal(tmp_path).records("owed") == [record()]
    assert len(in_journal(tmp_path)) == 1


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"null",
        b"[1]",
        b"{}",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"x" * 1_000_000,
        json.dumps(dataclasses.asdict(record()) | {"size": "7"}).encode(),
        json.dumps(dataclasses.asdict(record()) | {"more": 1}).encode(),
        json.dumps(dataclasses.asdict(record()) | {"content": "../../etc/passwd"}).encode(),
        json.dumps(dataclasses.asdict(record()) | {"content": "/etc/passwd"}).encode(),
        json.dumps(dataclasses.asdict(record()) | {"was": "/etc/passwd"}).encode(),
        json.dumps(dataclasses.asdict(record()) | {"path": "cache/x"}).encode(),
        json.dumps(dataclasses.asdict(record()) | {"id": "other"}).encode(),
        json.dumps(dataclasses.asdict(record()) | {"state": "paid"}).encode(),
        json.dumps(dataclasses.asdict(record()) | {"held": [1, 2]}).encode(),
        json.dumps(dataclasses.asdict(record()) | {"held": ["a", "b", "c"]}).encode(),
    ],
    ids=range(18),
)
def test_damaged_record_is_told_and_its_content_kept(
    tmp_path: Path, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path, "spool/1", b"precious")
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / f"{record().id}.json").write_bytes(text)

    mine = Journal(tmp_path)
    LostFound(mine).rescue(tmp_path / "spool")

    assert mine.records("owed") == []
    assert kept(tmp_path) == [b"precious"]
    assert "damaged" in caplog.text
    assert Journal(tmp_path).records("failed")[0].size == len(b"precious")


def test_record_half_written_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "0001.new").write_text("{")
    assert Journal(tmp_path).records("owed") == []
    assert in_journal(tmp_path) == []


def test_record_without_content_is_dropped_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Journal(tmp_path).write(record(), durable=False)
    assert Journal(tmp_path).records("owed") == []
    assert record().path in caplog.text
    assert in_journal(tmp_path) == []


def test_move_that_was_begun_is_finished(tmp_path: Path) -> None:
    fill(tmp_path, "overlay/.x", b"content")
    inode = (tmp_path / "overlay/.x").stat().st_ino
    moving = record(was="overlay/.x", inode=inode)
    Journal(tmp_path).write(moving, durable=True)
    assert Journal(tmp_path).records("owed") == [moving]
    assert (tmp_path / moving.content).read_bytes() == b"content"
    assert not (tmp_path / "overlay/.x").exists()


def test_another_file_in_the_old_place_is_left_alone(tmp_path: Path) -> None:
    fill(tmp_path, "overlay/.x")
    Journal(tmp_path).write(record(was="overlay/.x", inode=1), durable=True)
    assert Journal(tmp_path).records("owed") == []
    assert (tmp_path / "overlay/.x").exists()


# --- what a crash leaves in the spool folder ------------------------------------------------------


def rescued(home: Path) -> Journal:
    """What the next mount does first."""
    mine = Journal(home)
    LostFound(mine).rescue(home / "spool")
    return mine


def test_owed_content_stays_where_it_is(tmp_path: Path) -> None:
    fill(tmp_path, "spool/1")
    Journal(tmp_path).write(record(), durable=True)
    assert rescued(tmp_path).records("owed") == [record()]
    assert (tmp_path / "spool/1").exists()


def test_content_of_this_boot_is_trusted(tmp_path: Path) -> None:
    fill(tmp_path, "spool/1")
    Journal(tmp_path).write(record(boot=journal.this_boot()), durable=False)
    assert len(rescued(tmp_path).records("owed")) == 1


@pytest.mark.parametrize("changes", [{"boot": "another"}, {"size": 8}], ids=repr)
def test_content_that_may_not_be_whole_is_kept_and_not_sent(tmp_path: Path, changes: dict[str, object]) -> None:
    fill(tmp_path, "spool/1")
    Journal(tmp_path).write(dataclasses.replace(record(), **changes), durable=True)  # type: ignore[arg-type]
    mine = rescued(tmp_path)
    (failed,) = mine.records("failed")
    assert mine.records("owed") == []
    assert (failed.path, failed.whole, mine.file(failed).read_bytes()) == ("/cache/1.3mf", False, b"content")
    assert "look whether it is whole" in failed.reason


def test_two_records_of_one_path_keep_the_newer_and_put_the_older_aside(tmp_path: Path) -> None:
    mine = Journal(tmp_path)
    for number in (1, 2):
        fill(tmp_path, f"spool/{number}")
        mine.write(record(number, path=NEW), durable=True)
    mine = rescued(tmp_path)
    assert [r.content for r in mine.records("owed")] == ["spool/2"]
    assert [r.path for r in mine.records("failed")] == [NEW]


def test_content_without_a_record_is_named_by_its_label(tmp_path: Path) -> None:
    fill(tmp_path, "spool/abcdef x.3mf")
    os.setxattr(tmp_path / "spool/abcdef x.3mf", "user.bambufs.path", b"/model/x.3mf")
    (failed,) = rescued(tmp_path).records("failed")
    assert (failed.path, failed.whole) == ("/model/x.3mf", False)


def test_content_without_a_label_is_named_by_its_file(tmp_path: Path) -> None:
    fill(tmp_path, "spool/abcdef x.3mf")
    (failed,) = rescued(tmp_path).records("failed")
    assert failed.path == "/x.3mf"


def test_nothing_is_kept_of_a_file_that_was_never_written_to(tmp_path: Path) -> None:
    fill(tmp_path, "spool/abcdef x.3mf", b"")
    assert rescued(tmp_path).records("failed") == []
    assert kept(tmp_path) == []


def test_lost_files_are_summed_up_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path, "spool/abcdef x.3mf")
    with caplog.at_level(logging.INFO):
        rescued(tmp_path)
    assert "1 file" in caplog.text
    assert "bambufs recover" in caplog.text


# --- a mount that is killed -----------------------------------------------------------------------


class Killed(BaseException):
    """Ends a verb as the death of the process would: nothing after it is done."""


def killed_at(fs: FileSystem, printer: MemoryPrinter, verb: str, path: str, content: bytes) -> None:
    """Write a file, with the mount killed at ``verb``, before it takes effect."""
    printer.fail(verb, Killed())  # type: ignore[arg-type]
    number = fs.create(path, os.O_WRONLY) if not exists(fs, path) else fs.open(path, os.O_WRONLY | os.O_TRUNC)
    fs.write(number, content, 0)
    with pytest.raises(Killed):
        fs.flush(number)


@pytest.fixture
def remount(tmp_path: Path, clock: Clock) -> Iterator[Mount]:
    """Mounts again what was killed: of the first mount nothing is closed, before the end of the test."""
    with ExitStack() as cards:

        def make(printer: MemoryPrinter, **settings: object) -> FileSystem:
            options = Settings(cache_folder=tmp_path / "cache", leave_patience=0.0, **settings)  # type: ignore[arg-type]
            card = printer.card()
            cards.callback(card.close)
            return FileSystem(card, options, clock=clock, monotonic=clock)

        yield make


def pay_all(fs: FileSystem) -> None:
    """Send what is owed."""
    while fs._files.write_back.step() == 0:
        pass


@pytest.mark.parametrize("path", [OLD, NEW])
@pytest.mark.parametrize("verb", ["STOR", "SIZE", "MDTM", "RENAME"])
def test_killed_upload_is_owed_by_the_next_mount(
    remount: Mount, printer: MemoryPrinter, tmp_path: Path, verb: str, path: str
) -> None:
    killed_at(remount(printer), printer, verb, path, b"new content")

    again = remount(printer)

    assert read(again, path) == b"new content"
    assert path in again.transfers()
    pay_all(again)
    assert printer.visible()[path] == b"new content"
    assert len(printer.visible()) == (2 if path == OLD else 3)
    assert in_journal(tmp_path / "cache") == []
    again.close()


def test_owed_file_has_its_time(remount: Mount, printer: MemoryPrinter) -> None:
    fs = remount(printer)
    printer.fail("STOR", Killed())  # type: ignore[arg-type]
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"x", 0)
    fs.utimens(NEW, 1_234_567_890, number)
    with pytest.raises(Killed):
        fs.flush(number)
    again = remount(printer)
    assert again.getattr(NEW).mtime == 1_234_567_890
    pay_all(again)
    assert printer.times[NEW] == 1_234_567_890
    again.close()


def test_upload_killed_after_the_renaming_is_not_doubled(
    remount: Mount, printer: MemoryPrinter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs = remount(printer)

    def die(*arguments: object) -> None:
        raise Killed

    number = fs.open(OLD, os.O_WRONLY | os.O_TRUNC)
    fs.write(number, b"new content", 0)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "strike", die)
        with pytest.raises(Killed):
            fs.flush(number)
    assert printer.files[OLD] == b"new content"

    again = remount(printer)
    pay_all(again)

    assert printer.count("STOR") == 1
    assert sorted(printer.visible()) == [OLD, "/model/other.3mf"]
    assert in_journal(tmp_path / "cache") == []
    again.close()


def test_file_that_changed_on_the_printer_is_kept_beside_the_owed_one(
    remount: Mount, printer: MemoryPrinter, caplog: pytest.LogCaptureFixture
) -> None:
    killed_at(remount(printer), printer, "STOR", OLD, b"new content")
    printer.files[OLD] = b"changed by somebody else"

    again = remount(printer)
    pay_all(again)

    (copy,) = [path for path in printer.visible() if "unsent copy" in path]
    assert copy.startswith("/cache/old (unsent copy 20")
    assert copy.endswith(").3mf")
    assert printer.files[copy] == b"new content"
    assert printer.files[OLD] == b"changed by somebody else"
    assert copy in caplog.text
    assert copy in again.transfers()
    assert read(again, OLD) == b"changed by somebody else"
    assert read(again, copy) == b"new content"
    again.close()


def test_file_that_appeared_on_the_printer_is_kept_beside_the_owed_one(remount: Mount, printer: MemoryPrinter) -> None:
    killed_at(remount(printer), printer, "STOR", NEW, b"new content")
    printer.files[NEW] = b"somebody's"
    again = remount(printer)
    pay_all(again)
    assert sorted(printer.visible().values()) == [b"new content", b"old content", b"other content", b"somebody's"]
    again.close()


def test_file_that_was_deleted_on_the_printer_is_stored_under_its_name(remount: Mount, printer: MemoryPrinter) -> None:
    killed_at(remount(printer), printer, "STOR", OLD, b"new content")
    del printer.files[OLD]
    again = remount(printer)
    pay_all(again)
    assert printer.files[OLD] == b"new content"
    again.close()


def test_owed_file_is_there_while_the_printer_is_away_and_sent_when_it_is_back(
    remount: Mount, printer: MemoryPrinter, clock: Clock
) -> None:
    killed_at(remount(printer), printer, "STOR", NEW, b"new content")
    again = remount(printer)
    printer.fail("LIST", PrinterUnreachable("away"), times=3)
    printer.fail("STOR", PrinterUnreachable("away"), times=3)
    again._files.write_back.step()
    assert read(again, NEW) == b"new content"
    assert "away" in again.transfers()
    for _ in range(10):
        clock.now += 10.0
        pay_all(again)
    assert printer.files[NEW] == b"new content"
    again.close()


def test_read_only_mount_sends_nothing_and_keeps_everything(
    remount: Mount, printer: MemoryPrinter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    killed_at(remount(printer), printer, "STOR", NEW, b"new content")
    again = remount(printer, read_only=True)
    pay_all(again)
    again.close()
    assert NEW not in printer.files
    assert len(in_journal(tmp_path / "cache")) == 1
    assert "read-only" in caplog.text
    remount(printer).close()
    assert printer.files[NEW] == b"new content"


def test_content_that_cannot_be_read_keeps_no_mount_from_coming_up(
    remount: Mount, printer: MemoryPrinter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    killed_at(remount(printer), printer, "STOR", NEW, b"new content")

    def unreadable(*arguments: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("bambufs.vfs.debts.SpoolFile", unreadable)
        remount(printer).close()
    assert NEW in caplog.text
    remount(printer).close()
    assert printer.files[NEW] == b"new content"


def test_owed_file_can_be_deleted(remount: Mount, printer: MemoryPrinter, tmp_path: Path) -> None:
    killed_at(remount(printer), printer, "STOR", NEW, b"new content")
    again = remount(printer)
    again.unlink(NEW)
    pay_all(again)
    assert not exists(again, NEW)
    assert (NEW in printer.files, in_journal(tmp_path / "cache"), kept(tmp_path / "cache")) == (False, [], [])
    again.close()


def test_owed_file_can_be_renamed_before_it_is_sent(remount: Mount, printer: MemoryPrinter) -> None:
    killed_at(remount(printer), printer, "STOR", NEW, b"new content")
    again = remount(printer)
    again.rename(NEW, "/model/moved.3mf")
    third = remount(printer)  # killed once more
    pay_all(third)
    assert printer.files["/model/moved.3mf"] == b"new content"
    assert NEW not in printer.files
    third.close()


def test_owed_file_that_is_written_again_is_stored_as_it_is_now(
    remount: Mount, printer: MemoryPrinter, tmp_path: Path
) -> None:
    killed_at(remount(printer), printer, "STOR", NEW, b"first")
    again = remount(printer)
    write(again, NEW, b"second")
    assert printer.files[NEW] == b"second"
    pay_all(again)
    assert printer.count("STOR") == 2
    assert in_journal(tmp_path / "cache") == []
    again.close()


def test_half_a_rewriting_leaves_the_version_before_it(remount: Mount, printer: MemoryPrinter) -> None:
    killed_at(remount(printer), printer, "STOR", NEW, b"the whole first version")
    again = remount(printer)
    number = again.open(NEW, os.O_WRONLY | os.O_TRUNC)
    again.write(number, b"half", 0)  # and killed
    third = remount(printer)
    assert read(third, NEW) == b"the whole first version"
    pay_all(third)
    assert printer.files[NEW] == b"the whole first version"
    assert kept(third._settings.cache_folder) == [b"half"]
    third.close()


def test_upload_whose_failure_was_told_is_not_owed_but_kept(
    mount: Mount, printer: MemoryPrinter, tmp_path: Path
) -> None:
    fs = mount(printer)
    printer.fail("STOR", CardFull("the card is full"))
    with pytest.raises(CardFull):
        write(fs, NEW, b"new content")
    again = mount(printer)
    pay_all(again)
    assert NEW not in printer.files
    assert kept(tmp_path / "cache") == [b"new content"]
    line = next(line for line in again.transfers().splitlines() if line.startswith("kept"))
    assert NEW in line
    assert "the card is full" in line


def test_what_the_user_deletes_from_lost_and_found_is_forgotten(
    mount: Mount, printer: MemoryPrinter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fs = mount(printer)
    printer.fail("STOR", CardFull("the card is full"))
    with pytest.raises(CardFull):
        write(fs, NEW, b"new content")
    for file in (tmp_path / "cache" / "lost+found").iterdir():
        file.unlink()
    assert "kept" not in fs.transfers()
    caplog.clear()
    mount(printer)
    assert caplog.text == ""
    assert in_journal(tmp_path / "cache") == []


def test_upload_goes_on_when_the_journal_cannot_be_written(
    fs: FileSystem, printer: MemoryPrinter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*arguments: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Journal, "write", full)
    write(fs, NEW, b"new content")
    assert printer.files[NEW] == b"new content"
    assert "cannot be noted" in caplog.text
