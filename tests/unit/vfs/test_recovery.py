"""What is kept of files that did not reach the printer, and what can be done with it without a mount."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bambufs.errors import CardFull
from bambufs.vfs.filesystem import FileSystem
from bambufs.vfs.recovery import Kept, Recovery
from tests.support.memory import MemoryPrinter
from tests.support.programs import write
from tests.unit.vfs.conftest import Mount

NEW = "/cache/new.3mf"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def lost(mount: Mount, printer: MemoryPrinter, home: Path) -> Recovery:
    """A file that could not be stored, after the mount has ended."""
    fs = mount(printer)
    fail(fs, printer, NEW, b"new content")
    fs.close()
    return Recovery(home)


def fail(fs: FileSystem, printer: MemoryPrinter, path: str, content: bytes) -> None:
    """A copy for which the card has no room."""
    printer.fail("STOR", CardFull("the card is full"))
    with pytest.raises(CardFull):
        write(fs, path, content)


def only(recovery: Recovery) -> Kept:
    """The one file that is kept."""
    (kept,) = recovery.kept()
    return kept


def test_lost_file_is_kept_with_path_and_reason(lost: Recovery) -> None:
    kept = only(lost)
    assert (kept.record.path, kept.record.reason, kept.is_owed) == (NEW, "the card is full", False)
    assert kept.file.read_bytes() == b"new content"


def test_lost_file_is_sent_by_the_next_mount_when_asked_for(
    lost: Recovery, mount: Mount, printer: MemoryPrinter, home: Path
) -> None:
    lost.send_again(only(lost))
    assert only(Recovery(home)).is_owed
    mount(printer).close()
    assert printer.files[NEW] == b"new content"
    assert Recovery(home).kept() == []


def test_what_has_changed_meanwhile_is_not_replaced(lost: Recovery, mount: Mount, printer: MemoryPrinter) -> None:
    write(mount(printer), NEW, b"a later copy that went well")
    lost.send_again(only(lost))
    mount(printer).close()
    assert printer.files[NEW] == b"a later copy that went well"
    assert sorted(printer.visible().values())[1] == b"new content"
    assert len(printer.visible()) == 4


def test_lost_file_is_exported_under_its_path_with_its_time(lost: Recovery, tmp_path: Path) -> None:
    place = lost.export(only(lost), tmp_path / "out")
    assert place == tmp_path / "out/cache/new.3mf"
    assert place.read_bytes() == b"new content"
    assert int(place.stat().st_mtime) == only(lost).record.mtime


def test_export_replaces_nothing(lost: Recovery, tmp_path: Path) -> None:
    places = [lost.export(only(lost), tmp_path / "out") for _ in range(3)]
    assert [place.name for place in places] == ["new.3mf", "new (2).3mf", "new (3).3mf"]


def test_discarded_file_is_gone(lost: Recovery, home: Path) -> None:
    lost.discard(only(lost))
    assert Recovery(home).kept() == []
    assert os.listdir(home / "lost+found") == os.listdir(home / "journal") == []


def test_file_that_nobody_noted_is_kept_too(home: Path) -> None:
    (home / "lost+found").mkdir(parents=True)
    (home / "lost+found" / "old one").write_bytes(b"content")
    recovery = Recovery(home)
    kept = only(recovery)
    assert (kept.record.path, kept.record.whole) == ("/old one", False)
    recovery.discard(kept)
    assert recovery.kept() == []


def test_owed_files_come_first(mount: Mount, printer: MemoryPrinter, home: Path) -> None:
    fs = mount(printer, write_back=1000.0)
    write(fs, "/cache/owed", b"owed")
    (home / "lost+found").mkdir(parents=True)
    (home / "lost+found" / "a").write_bytes(b"content")
    kept = [(kept.record.path, kept.is_owed) for kept in Recovery(home).kept()]
    assert kept == [("/cache/owed", True), ("/a", False)]
