"""A folder that prints what is dropped into it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bambufs.errors import InvalidJob, PrinterBusy
from bambufs.vfs.dropfolder import LINGER, DropFolder
from tests.support import threemf
from tests.support.clock import Clock
from tests.unit.vfs.desk import Line, Shelf, desk_for

VASE = threemf.make(title="something else")
WORKING_NAMES = (".vase.gcode.3mf.Xy12", "vase.gcode.3mf.part", "vase.gcode.3mf.partial~")  # rsync, KDE, Xfce
NEW = os.O_WRONLY | os.O_CREAT


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0)


@pytest.fixture
def drop(shelf: Shelf, line: Line, tmp_path: Path, clock: Clock) -> DropFolder:
    return DropFolder("Print", tmp_path / "drop", desk_for(shelf, line), clock=clock)


def copy(drop: DropFolder, name: str, data: bytes = VASE) -> None:
    """Copy a file in, as `cp` does; raises what its close does."""
    number = drop.create(f"/Print/{name}", NEW)
    try:
        drop.write(number, data, 0)
        drop.flush(number)
    finally:
        drop.release(number)


def names(drop: DropFolder) -> list[str]:
    return [name for name, _ in drop.readdir("/Print")]


def read(drop: DropFolder, name: str) -> str:
    number = drop.open(f"/Print/{name}", os.O_RDONLY)
    try:
        return drop.read(number, 4096, 0).decode()
    finally:
        drop.release(number)


def test_owns_itself_and_what_is_in_it_only(drop: DropFolder) -> None:
    owned = [path for path in ("/Print", "/Print/a", "/Printer", "/", "/cache") if drop.owns(path)]

    assert owned == ["/Print", "/Print/a"]


def test_dropped_file_is_stored_under_its_own_name_and_printed(
    drop: DropFolder, shelf: Shelf, line: Line
) -> None:
    copy(drop, "vase.gcode.3mf")

    assert shelf.files["/cache/vase.gcode.3mf"] == VASE
    assert [job.path for job in line.jobs] == ["/cache/vase.gcode.3mf"]


def test_printed_file_is_shown_for_a_while_and_then_gone(drop: DropFolder, clock: Clock) -> None:
    copy(drop, "vase.gcode.3mf")
    assert names(drop) == ["vase.gcode.3mf"]

    clock.now = LINGER

    assert names(drop) == []


def test_refused_file_stays_with_the_reason_beside_it(drop: DropFolder, line: Line, clock: Clock) -> None:
    with pytest.raises(InvalidJob):
        copy(drop, "vase.gcode.3mf", VASE[:-100])
    clock.now = LINGER

    assert names(drop) == ["vase.gcode.3mf", "vase.gcode.3mf.not-printed.txt"]
    assert "The file breaks off" in read(drop, "vase.gcode.3mf.not-printed.txt")
    assert line.jobs == []


def test_busy_printer_is_a_reason_that_passes(drop: DropFolder, line: Line) -> None:
    line.report(gcode_state="RUNNING")

    with pytest.raises(PrinterBusy):
        copy(drop, "vase.gcode.3mf")
    assert "Drop it again" in read(drop, "vase.gcode.3mf.not-printed.txt")


def test_dropping_it_again_removes_the_reason(drop: DropFolder, line: Line) -> None:
    with pytest.raises(InvalidJob):
        copy(drop, "vase.gcode.3mf", VASE[:-100])

    number = drop.open("/Print/vase.gcode.3mf", os.O_WRONLY | os.O_TRUNC)
    drop.write(number, VASE, 0)
    drop.flush(number)
    drop.release(number)

    assert names(drop) == ["vase.gcode.3mf"]
    assert len(line.jobs) == 1


def test_other_files_are_refused(drop: DropFolder) -> None:
    with pytest.raises(InvalidJob):
        copy(drop, "photo.jpg", b"\xff\xd8")
    assert "Only a sliced 3MF" in read(drop, "photo.jpg.not-printed.txt")


@pytest.mark.parametrize("name", [*WORKING_NAMES, ".DS_Store"])
def test_file_under_a_working_name_is_left_alone(drop: DropFolder, line: Line, name: str) -> None:
    copy(drop, name)

    assert (names(drop), line.jobs) == ([name], [])


@pytest.mark.parametrize("name", WORKING_NAMES)
def test_renaming_to_the_final_name_prints(drop: DropFolder, line: Line, name: str) -> None:
    copy(drop, name)
    drop.rename(f"/Print/{name}", "/Print/vase.gcode.3mf")

    assert [job.path for job in line.jobs] == ["/cache/vase.gcode.3mf"]


def test_failure_is_the_renames_error(drop: DropFolder) -> None:
    copy(drop, "vase.gcode.3mf.part", b"PK")

    with pytest.raises(InvalidJob):
        drop.rename("/Print/vase.gcode.3mf.part", "/Print/vase.gcode.3mf")
    assert names(drop) == ["vase.gcode.3mf", "vase.gcode.3mf.not-printed.txt"]


def test_renaming_a_refused_file_does_not_print_it(drop: DropFolder, line: Line) -> None:
    with pytest.raises(InvalidJob):
        copy(drop, "photo.jpg", VASE)
    drop.rename("/Print/photo.jpg", "/Print/vase.gcode.3mf")

    assert line.jobs == []


def test_killed_copy_is_not_printed(drop: DropFolder, line: Line) -> None:
    number = drop.create("/Print/vase.gcode.3mf", NEW)
    drop.write(number, VASE, 0)
    drop.cut_off(number)
    drop.flush(number)
    drop.release(number)

    assert line.jobs == []


def test_flush_without_news_prints_nothing(drop: DropFolder, line: Line) -> None:
    """A shell closes a copy of the descriptor before anything is written."""
    number = drop.create("/Print/vase.gcode.3mf", NEW)
    drop.flush(number)
    drop.write(number, VASE, 0)
    drop.flush(number)
    drop.flush(number)
    drop.release(number)

    assert len(line.jobs) == 1


def test_reading_does_not_print(drop: DropFolder, line: Line) -> None:
    copy(drop, "vase.gcode.3mf")
    number = drop.open("/Print/vase.gcode.3mf", os.O_RDONLY)
    drop.flush(number)
    drop.release(number)

    assert len(line.jobs) == 1


def test_deleted_file_is_gone(drop: DropFolder) -> None:
    copy(drop, "a.part")
    drop.unlink("/Print/a.part")

    assert names(drop) == []
    with pytest.raises(FileNotFoundError):
        drop.getattr("/Print/a.part")


def test_time_that_was_set_stays(drop: DropFolder) -> None:
    copy(drop, "a.part")
    drop.utimens("/Print/a.part", 1_000_000_000)

    assert drop.getattr("/Print/a.part").mtime == 1_000_000_000


@pytest.mark.parametrize("path", ["/Print/folder/a", "/Print/a"])
def test_what_is_not_there_is_missing(drop: DropFolder, path: str) -> None:
    with pytest.raises(FileNotFoundError):
        drop.getattr(path)


def test_existing_file_is_not_made_anew(drop: DropFolder) -> None:
    copy(drop, "a.part")

    with pytest.raises(FileExistsError):
        drop.create("/Print/a.part", NEW | os.O_EXCL)


def test_handle_of_nobody_is_bad(drop: DropFolder) -> None:
    with pytest.raises(OSError) as refused:  # noqa: PT011 (the number is checked here)
        drop.read(99, 1, 0)
    assert refused.value.errno == errno.EBADF


def test_closing_removes_what_was_printed_and_keeps_the_rest(drop: DropFolder, tmp_path: Path) -> None:
    copy(drop, "vase.gcode.3mf")
    copy(drop, "a.part")

    drop.close()

    assert [file.name for file in (tmp_path / "drop").iterdir()] == ["a.part"]
