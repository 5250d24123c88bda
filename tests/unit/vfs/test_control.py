"""The control folder: small files that are made on the spot, and lines that act in the write."""

from __future__ import annotations

import errno
import os

import pytest

from bambufs.errors import InvalidJob
from bambufs.vfs.control import ControlFile, ControlFolder, LineSink


class Desk:
    """Remembers the lines that it got, and refuses some."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.content = b"nothing yet\n"

    def act(self, line: str) -> None:
        self.lines.append(line)
        if line.startswith("bad"):
            raise InvalidJob("not understood")


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def folder(desk: Desk) -> ControlFolder:
    both = ControlFile(lambda: desk.content, lambda: LineSink(desk.act), lambda: 1000.0)
    return ControlFolder({"both": both, "told": ControlFile(lambda: b"{}\n")}, clock=lambda: 2000.0)


def opened(folder: ControlFolder, flags: int = os.O_WRONLY, name: str = "both") -> int:
    return folder.open(f"/.bambufs/{name}", flags)


def test_size_and_mode_are_true(folder: ControlFolder) -> None:
    both, told = folder.attributes("/.bambufs/both"), folder.attributes("/.bambufs/told")

    assert both is not None
    assert told is not None
    assert (both.size, both.mode, told.size, told.mode) == (12, 0o600, 3, 0o400)


def test_time_is_that_of_the_last_change_where_it_is_known(folder: ControlFolder) -> None:
    both, told = folder.attributes("/.bambufs/both"), folder.attributes("/.bambufs/told")

    assert both is not None
    assert told is not None
    assert (both.mtime, told.mtime) == (1000, 2000)


def test_content_stays_what_it_was_at_the_open(folder: ControlFolder, desk: Desk) -> None:
    number = opened(folder, os.O_RDONLY)
    desk.content = b"something else\n"

    assert folder.read(number, 100, 0) == b"nothing yet\n"
    assert folder.read(number, 100, 8) == b"yet\n"


def test_complete_lines_act_at_once(folder: ControlFolder, desk: Desk) -> None:
    number = opened(folder)
    folder.write(number, b"one\ntwo\nthr", 0)
    assert desk.lines == ["one", "two"]

    folder.write(number, b"ee\n", 11)
    folder.flush(number)

    assert desk.lines == ["one", "two", "three"]


def test_failed_write_may_be_tried_again_at_the_same_place(folder: ControlFolder, desk: Desk) -> None:
    """As bash's printf does; it must then be told the same, and not that the place is wrong."""
    number = opened(folder)
    for _ in range(2):
        with pytest.raises(InvalidJob):
            folder.write(number, b"bad\nrest", 0)
    folder.flush(number)

    assert desk.lines == ["bad", "bad"]


def test_appending_begins_behind_what_is_shown(folder: ControlFolder, desk: Desk) -> None:
    number = opened(folder, os.O_WRONLY | os.O_APPEND)
    folder.write(number, b"one\n", 12)
    folder.write(number, b"two\n", 16)

    assert desk.lines == ["one", "two"]


def test_going_back_is_refused(folder: ControlFolder) -> None:
    number = opened(folder)
    folder.write(number, b"one\n", 0)

    with pytest.raises(OSError) as refused:  # noqa: PT011 (the number is checked here)
        folder.write(number, b"two\n", 0)
    assert refused.value.errno == errno.EINVAL


def test_endless_line_is_refused(folder: ControlFolder) -> None:
    number = opened(folder)

    with pytest.raises(InvalidJob, match="too long"):
        folder.write(number, b"x" * 100_000, 0)


def test_line_of_a_killed_writer_does_not_act(folder: ControlFolder, desk: Desk) -> None:
    number = opened(folder)
    folder.write(number, b"one", 0)
    folder.cut_off(number)
    folder.flush(number)
    folder.release(number)

    assert desk.lines == []


def test_what_only_tells_cannot_be_written(folder: ControlFolder) -> None:
    with pytest.raises(PermissionError):
        opened(folder, name="told")


def test_nothing_can_be_written_on_a_read_only_mount(desk: Desk) -> None:
    files = {"both": ControlFile(lambda: b"", lambda: LineSink(desk.act))}
    folder = ControlFolder(files, read_only=True)

    with pytest.raises(OSError) as refused:  # noqa: PT011 (the number is checked here)
        opened(folder)
    assert refused.value.errno == errno.EROFS


def test_missing_file_is_missing(folder: ControlFolder) -> None:
    assert folder.attributes("/.bambufs/none") is None
    with pytest.raises(FileNotFoundError):
        opened(folder, name="none")
