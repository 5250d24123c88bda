"""What is written to the file `print`: lines, or the content of a 3MF, in whichever pieces."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from bambufs.errors import InvalidJob, PrinterBusy
from bambufs.vfs.printing import PrintDesk
from bambufs.vfs.printsink import PrintSink
from tests.support import threemf
from tests.unit.vfs.desk import Line, Shelf, desk_for

LINE = b"cache/benchy.gcode.3mf\n"
VASE = threemf.make(title="Vase")


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(**{"/cache/benchy.gcode.3mf": threemf.make()})


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def desk(shelf: Shelf, line: Line) -> PrintDesk:
    return desk_for(shelf, line)


@pytest.fixture
def sink(desk: PrintDesk, tmp_path: Path) -> PrintSink:
    return PrintSink(desk, tmp_path)


def feed(sink: PrintSink, data: bytes, size: int) -> None:
    for start in range(0, len(data), size):
        sink.write(data[start : start + size], start)


def test_line_acts_inside_the_write(sink: PrintSink, line: Line) -> None:
    sink.write(LINE, 0)

    assert len(line.jobs) == 1


def test_failure_of_a_line_is_the_writes(sink: PrintSink) -> None:
    with pytest.raises(FileNotFoundError):
        sink.write(b"cache/none.gcode.3mf\n", 0)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_line_in_pieces_acts_when_it_is_complete(sink: PrintSink, line: Line, size: int) -> None:
    feed(sink, LINE[:-1], size)
    assert line.jobs == []

    sink.write(b"\n", len(LINE) - 1)

    assert len(line.jobs) == 1


@pytest.mark.parametrize("text", [LINE[:-1], b"P", b"PK"])
def test_last_line_needs_no_line_break(sink: PrintSink, line: Line, text: bytes) -> None:
    sink.write(text, 0)
    try:
        sink.end()
    except InvalidJob:
        assert text.startswith(b"P"), "it was understood, and is no file"
    else:
        assert len(line.jobs) == 1


def test_nothing_is_done_twice_by_a_second_close(sink: PrintSink, line: Line) -> None:
    sink.write(LINE[:-1], 0)
    sink.end()
    sink.end()

    assert len(line.jobs) == 1


def test_lines_after_one_that_started_are_refused(sink: PrintSink, line: Line) -> None:
    with pytest.raises(PrinterBusy, match="One print at a time"):
        sink.write(LINE + b"# a comment is none\n\n" + LINE, 0)

    assert len(line.jobs) == 1


def test_lines_after_one_that_failed_are_not_tried(sink: PrintSink, line: Line) -> None:
    with pytest.raises(FileNotFoundError):
        sink.write(b"cache/none.gcode.3mf\n" + LINE, 0)

    assert line.jobs == []


def test_killed_writer_leaves_nothing_to_do(sink: PrintSink, line: Line) -> None:
    sink.write(LINE[:-1], 0)
    sink.drop()
    sink.end()

    assert line.jobs == []


@pytest.mark.parametrize("size", [1, 3, 4, 4096, 1 << 20])
def test_content_acts_when_it_is_closed(sink: PrintSink, line: Line, shelf: Shelf, size: int) -> None:
    feed(sink, VASE, size)
    assert line.jobs == []

    sink.end()

    assert [job.path for job in line.jobs] == ["/cache/Vase.gcode.3mf"]
    assert shelf.files["/cache/Vase.gcode.3mf"] == VASE


def test_content_is_printed_once(sink: PrintSink, line: Line) -> None:
    sink.write(VASE, 0)
    sink.end()
    sink.end()

    assert len(line.jobs) == 1
    with pytest.raises(PrinterBusy):
        sink.write(b"more", len(VASE))


def test_close_of_a_copy_of_the_descriptor_in_the_middle_does_no_harm(sink: PrintSink, line: Line) -> None:
    """As with `{ cat first; cat second; } > print`."""
    half = len(VASE) // 2
    sink.write(VASE[:half], 0)
    with pytest.raises(InvalidJob):
        sink.end()
    sink.end()  # nothing has come since, so there is nothing new to say
    sink.write(VASE[half:], half)
    sink.end()

    assert len(line.jobs) == 1


def test_hole_in_the_content_reads_as_zeros(sink: PrintSink, line: Line, shelf: Shelf) -> None:
    content = threemf.pack({**threemf.members(), "hole": bytes(100_000)}, method=0)
    start = content.index(bytes(90_000))
    sink.write(content[:start], 0)
    sink.write(content[start + 90_000 :], start + 90_000)
    sink.end()

    assert shelf.files[line.jobs[0].path] == content


def test_impossibly_large_content_is_refused(sink: PrintSink) -> None:
    sink.write(VASE[:100], 0)

    with pytest.raises(OSError) as refused:  # noqa: PT011 (the number is checked here)
        sink.write(b"x", 5 << 30)
    assert refused.value.errno == errno.EFBIG


def test_content_leaves_nothing_on_this_computer(sink: PrintSink, tmp_path: Path) -> None:
    sink.write(VASE, 0)
    assert len(list(tmp_path.iterdir())) == 1

    sink.end()
    sink.drop()

    assert list(tmp_path.iterdir()) == []


def test_killed_copy_is_not_printed(sink: PrintSink, line: Line, tmp_path: Path) -> None:
    sink.write(VASE, 0)
    sink.drop()
    sink.end()

    assert (line.jobs, list(tmp_path.iterdir())) == ([], [])
