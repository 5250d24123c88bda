"""What of a remote file is on this computer, and what a later mount makes of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bambufs.printer.entry import Entry
from bambufs.vfs import sparse
from bambufs.vfs.sparse import Kept, SparseFile, load
from bambufs.vfs.spool import SpoolFile

ENTRY = Entry("x", False, 1000, 1_700_000_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "blocks"
    load(folder)
    return folder


def filled(folder: Path, *spans: tuple[int, int], path: str = "/x") -> SparseFile:
    """A file with some ranges, noted for a later mount."""
    file = SparseFile.new(folder)
    for start, end in spans or ((0, 10), (500, 600)):
        file.open().fill(bytes(end - start), start)
        file.ranges.add(start, end)
    file.note(path, ENTRY)
    return file


def note_of(folder: Path) -> Path:
    """The only note in ``folder``."""
    (note,) = folder.glob("*.json")
    return note


def test_what_is_noted_is_found_later(folder: Path) -> None:
    filled(folder, (0, 10), (500, 600), path="/a b/ü\udcff.mp4")
    (kept,) = load(folder)
    assert (kept.path, kept.size, kept.mtime) == ("/a b/ü\udcff.mp4", 1000, 1_700_000_000)
    assert (kept.spans, kept.bytes_here) == (((0, 10), (500, 600)), 110)
    assert kept.is_of(ENTRY)
    assert not kept.is_of(ENTRY._replace(mtime=1_700_000_001))
    assert not kept.is_of(ENTRY._replace(size=1001))


def test_what_is_found_can_be_used_and_added_to(folder: Path) -> None:
    filled(folder).rest()
    later = SparseFile.kept(load(folder)[0])
    later.open().fill(b"more", 10)
    later.ranges.add(10, 14)
    later.note("/x", ENTRY)
    (kept,) = load(folder)
    assert kept.spans == ((0, 14), (500, 600))


def test_content_that_is_not_noted_is_deleted(folder: Path) -> None:
    file = SparseFile.new(folder)
    file.open().fill(b"half a block", 0)
    assert load(folder) == []
    assert list(folder.iterdir()) == []


def test_only_ranges_that_were_there_when_it_was_noted_count(folder: Path) -> None:
    """As after a `kill -9` between the writing of a block and the next note."""
    file = filled(folder, (0, 10))
    file.open().fill(bytes(10), 10)
    file.ranges.add(10, 20)
    assert load(folder)[0].spans == ((0, 10),)


def cut(note: Path) -> None:
    note.write_bytes(note.read_bytes()[:-5])


def flip(note: Path) -> None:
    """One digit of a range is another one."""
    text = note.read_bytes()
    assert b"500" in text
    note.write_bytes(text.replace(b"500", b"400"))


def shorten_content(note: Path) -> None:
    note.with_suffix("").write_bytes(bytes(599))


def remove_content(note: Path) -> None:
    note.with_suffix("").unlink()


def link_content(note: Path) -> None:
    content = note.with_suffix("")
    content.rename(note.parent.parent / "elsewhere")
    content.symlink_to(note.parent.parent / "elsewhere")


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        flip,
        shorten_content,
        remove_content,
        link_content,
        lambda note: note.write_bytes(b""),
        lambda note: note.write_bytes(b"\0" * 4096),
        lambda note: note.write_bytes(b"00000000 {}"),
        lambda note: note.write_bytes(os.urandom(300)),
    ],
)
def test_damaged_note_is_dropped_with_its_content(folder: Path, damage: Callable[[Path], object]) -> None:
    filled(folder)
    damage(note_of(folder))
    assert load(folder) == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("values", ["7", "[]", "{}", '{"path": 1}', "[" * 100_000])
def test_note_of_another_form_is_dropped(folder: Path, values: str) -> None:
    filled(folder)
    text = values.encode()
    note_of(folder).write_bytes(sparse._checksum(text) + b" " + text)
    assert load(folder) == []
    assert list(folder.iterdir()) == []


def test_after_another_boot_only_what_was_forced_to_the_disk_is_trusted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(folder, path="/in the cache of the kernel")
    filled(folder, path="/on the disk").note("/on the disk", ENTRY, durable=True)
    monkeypatch.setattr(sparse, "this_boot", lambda: "another one")
    assert [kept.path for kept in load(folder)] == ["/on the disk"]
    assert len(list(folder.iterdir())) == 2


def test_what_is_added_to_a_file_on_the_disk_binds_it_to_this_boot_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = filled(folder)
    file.note("/x", ENTRY, durable=True)
    file.open().fill(b"more", 10)
    file.ranges.add(10, 14)
    file.note("/x", ENTRY)
    monkeypatch.setattr(sparse, "this_boot", lambda: "another one")
    assert load(folder) == []


def test_content_is_on_the_disk_before_a_note_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    file = filled(folder)
    monkeypatch.setattr(os, "fsync", failing)
    file.note("/x", ENTRY, durable=True)
    monkeypatch.setattr(sparse, "this_boot", lambda: "another one")
    assert load(folder) == []


def test_note_is_written_only_when_there_is_more(folder: Path) -> None:
    file = filled(folder)
    note = note_of(folder)
    os.utime(note, (1, 1))
    file.note("/x", ENTRY)
    assert note.stat().st_mtime == 1


def test_note_that_cannot_be_written_leaves_the_old_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*names: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = filled(folder, (0, 10))
    file.ranges.add(10, 20)
    monkeypatch.setattr(os, "replace", full)
    file.note("/x", ENTRY)
    assert load(folder)[0].spans == ((0, 10),)


def test_struck_file_is_never_noted_again(folder: Path) -> None:
    file = filled(folder)
    file.strike()
    file.ranges.add(10, 20)
    file.note("/x", ENTRY)
    assert load(folder) == []


def test_file_used_last_comes_last(folder: Path) -> None:
    files = {path: filled(folder, path=path) for path in ("/1", "/2", "/3")}
    for when, path in enumerate(("/3", "/1", "/2")):
        files[path].used()
        os.utime(files[path].file.with_name(files[path].file.name + ".json"), (when, when))
    assert [kept.path for kept in load(folder)] == ["/3", "/1", "/2"]
    files["/3"].used()
    assert [kept.path for kept in load(folder)] == ["/1", "/2", "/3"]


def test_of_two_for_one_path_the_later_counts(folder: Path) -> None:
    old, new = filled(folder, (0, 10)), filled(folder, (0, 20))
    os.utime(old.file.with_name(old.file.name + ".json"), (1, 1))
    assert [kept.file for kept in load(folder)] == [new.file]
    assert not old.file.exists()


@pytest.mark.parametrize("harm", [lambda file: file.unlink(), lambda file: os.truncate(file, 5)])
def test_content_that_vanishes_while_it_rests_is_not_there_any_more(
    folder: Path, harm: Callable[[Path], object]
) -> None:
    file = filled(folder)
    file.rest()
    harm(file.file)
    file.open().fill(b"new", 0)
    assert file.ranges.total == 0
    assert load(folder) == []


def test_file_is_open_only_while_it_is_used(folder: Path) -> None:
    file = filled(folder)
    before = len(os.listdir("/proc/self/fd"))
    file.rest()
    assert len(os.listdir("/proc/self/fd")) == before - 1
    assert file.open().read(10, 500) == bytes(10)


def test_file_without_content_leaves_nothing(folder: Path) -> None:
    file = SparseFile.new(folder)
    file.open()
    file.rest()
    assert list(folder.iterdir()) == []
    file.open()


def test_whole_content_is_taken_as_it_is(folder: Path) -> None:
    spool = SpoolFile.new(folder)
    spool.write(bytes(1000), 0)
    SparseFile.whole(spool).note("/x", ENTRY)
    (kept,) = load(folder)
    assert kept.spans == ((0, 1000),)


def test_what_is_kept_can_be_deleted(folder: Path) -> None:
    filled(folder)
    kept: Kept
    (kept,) = load(folder)
    kept.discard()
    assert list(folder.iterdir()) == []
