"""The temp file behind an open file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from bambufs.vfs.spool import SpoolFile


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[SpoolFile]:
    file = SpoolFile.new(tmp_path)
    yield file
    file.close()


def test_new_file_is_empty(spool: SpoolFile) -> None:
    assert spool.size == 0


def test_new_file_is_clean(spool: SpoolFile) -> None:
    assert not spool.is_dirty


def test_new_file_is_for_its_owner_alone(spool: SpoolFile) -> None:
    assert stat.S_IMODE(spool.file.stat().st_mode) == 0o600


def test_two_new_files_are_two(spool: SpoolFile, tmp_path: Path) -> None:
    other = SpoolFile.new(tmp_path)
    other.close()
    assert other.file != spool.file


def test_what_was_written_is_read(spool: SpoolFile) -> None:
    spool.write(b"benchy", 0)
    assert spool.read(100, 0) == b"benchy"


def test_write_tells_its_length(spool: SpoolFile) -> None:
    assert spool.write(b"benchy", 1000) == 6


def test_gap_before_a_write_reads_as_zeros(spool: SpoolFile) -> None:
    spool.write(b"x", 3)
    assert spool.read(100, 0) == b"\0\0\0x"


def test_read_behind_the_end_is_empty(spool: SpoolFile) -> None:
    spool.write(b"benchy", 0)
    assert spool.read(10, 6) == b""


def test_write_makes_it_dirty(spool: SpoolFile) -> None:
    spool.write(b"x", 0)
    assert spool.is_dirty


def test_truncate_makes_it_dirty(spool: SpoolFile) -> None:
    spool.truncate(0)
    assert spool.is_dirty


def test_fill_does_not_make_it_dirty(spool: SpoolFile) -> None:
    spool.fill(b"from the printer", 0)
    assert not spool.is_dirty


def test_truncate_extends_with_zeros(spool: SpoolFile) -> None:
    spool.truncate(3)
    assert spool.read(10, 0) == b"\0\0\0"


def test_upload_of_the_latest_makes_it_clean(spool: SpoolFile) -> None:
    spool.write(b"x", 0)
    spool.mark_clean(spool.generation)
    assert not spool.is_dirty


def test_upload_of_an_older_state_leaves_it_dirty(spool: SpoolFile) -> None:
    spool.write(b"x", 0)
    sent = spool.generation
    spool.write(b"y", 1)
    spool.mark_clean(sent)
    assert spool.is_dirty


def test_reader_starts_at_the_start(spool: SpoolFile) -> None:
    spool.write(b"benchy", 0)
    with spool.reader() as source:
        assert source.read() == b"benchy"


def test_readers_have_positions_of_their_own(spool: SpoolFile) -> None:
    spool.write(b"benchy", 0)
    with spool.reader() as one, spool.reader() as two:
        one.read(3)
        assert two.read(3) == b"ben"


def test_reader_reads_a_deleted_file(spool: SpoolFile) -> None:
    spool.write(b"benchy", 0)
    spool.file.unlink()
    with spool.reader() as source:
        assert source.read() == b"benchy"


def test_moved_file_stays_open(spool: SpoolFile, tmp_path: Path) -> None:
    spool.move(tmp_path / "kept")
    spool.write(b"benchy", 0)
    assert (tmp_path / "kept").read_bytes() == b"benchy"


def test_discarded_file_is_gone(spool: SpoolFile) -> None:
    spool.discard()
    assert not spool.file.exists()


def test_closed_file_stays(spool: SpoolFile) -> None:
    spool.close()
    assert spool.file.exists()


def test_closing_twice_does_no_harm(spool: SpoolFile) -> None:
    spool.close()
    with open(os.devnull) as innocent:  # gets the same descriptor
        spool.close()
        assert innocent.read() == ""


def test_opening_a_missing_file_fails(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SpoolFile(tmp_path / "missing")


def test_creating_an_existing_file_fails(spool: SpoolFile) -> None:
    with pytest.raises(FileExistsError):
        SpoolFile(spool.file, create=True)


def test_repr_tells_whether_it_is_dirty(spool: SpoolFile) -> None:
    spool.write(b"x", 0)
    assert "dirty" in repr(spool)
