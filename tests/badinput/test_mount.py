"""Bad names on a mount, and bad text in its control files: an errno for the program, and a sentence for its owner."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bambufs.mount.adapter import Adapter, Owner
from bambufs.printer.family import ESP32, VSFTPD, Family
from bambufs.vfs.control import ControlFile, ControlFolder, LineSink
from bambufs.vfs.filesystem import FileSystem
from bambufs.vfs.printsink import PrintSink
from bambufs.vfs.root import Root
from bambufs.vfs.settings import Settings
from tests.support.memory import MemoryPrinter
from tests.support.threemf import make, pack
from tests.unit.vfs.desk import Line, Shelf, desk_for

GOOD = "/cache/good.gcode.3mf"


class Name(NamedTuple):
    """A name that is not to be had, with the errno."""

    name: str
    number: int


_FORBIDDEN = [Name(f"a{letter}b", errno.EINVAL) for letter in '<>:"\\|?*\r\n\t\x01\x1b\x7f']
_ENDS = [Name(name, errno.EINVAL) for name in ("a ", "a.", "a..", "a. ", " .", "  ")]
_LONG = [Name("x" * 256, errno.ENAMETOOLONG), Name("é" * 256, errno.ENAMETOOLONG), Name("😀" * 128, errno.ENAMETOOLONG)]
NAMES = [*_FORBIDDEN, *_ENDS, *_LONG, Name("GOOD.gcode.3mf", errno.EEXIST), Name("x" * 120, errno.ENAMETOOLONG)]
"""On a P1 or A1 the last one is too long; an X1 takes it."""

WAYS: dict[str, Callable[[Adapter, str], object]] = {
    "create": lambda adapter, path: adapter.create(path, 0o644, os.O_WRONLY | os.O_CREAT),
    "mkdir": lambda adapter, path: adapter.mkdir(path, 0o755),
    "rename": lambda adapter, path: adapter.rename("/model/other.3mf", path),
}

JOB_TEXTS = ["paus", "pause now", "pause,resume", "PAUSE!", "start", "\x1b[2J", "é", "\udcff", "x" * 5000, "1"]
JOB_TEXTS += ["pause\x00", '{"command": "stop"}', "stop;resume"]

PRINT_TEXTS = [
    "nowhere.gcode.3mf",
    "/cache",
    "/",
    ".",
    "..",
    "../../etc/passwd",
    "cache/good.txt",
    "cache/good.gcode.3mf plate=0",
    "cache/good.gcode.3mf plate=2",
    "cache/good.gcode.3mf plate=x",
    "cache/good.gcode.3mf plate=",
    "cache/good.gcode.3mf plate=1 plate=1",
    "cache/good.gcode.3mf plate=99999999999999999999",
    "cache/good.gcode.3mf use_ams=maybe",
    "cache/good.gcode.3mf ams_mapping=Z9",
    "cache/good.gcode.3mf ams_mapping=A1,,",
    "cache/good.gcode.3mf use_ams=no ams_mapping=A1",
    "cache/good.gcode.3mf bed_type=lava",
    "cache/good.gcode.3mf timelapse=1.5",
    "cache/good.gcode.3mf speed=9",
    "cache/good.gcode.3mf =",
    "cache/good.gcode.3mf extra words",
    '"cache/good.gcode.3mf',
    "'",
    "\\",
    "$(reboot)",
    "cache/good.gcode.3mf\x00",
    "cache/go\rod.gcode.3mf",
    "cache/\x1b[2J.gcode.3mf",
    "\udcff\udcfe.gcode.3mf",
    "x" * 5000,
    "cache/" + "x/" * 2000 + "a.gcode.3mf",
    "cache/broken.gcode.3mf",
    "cache/cut.gcode.3mf",
    "cache/empty.gcode.3mf",
    "cache/project.3mf",
    "cache/text.gcode.3mf",
    "https://example.org/good.gcode.3mf",
    "file:///sdcard/good.gcode.3mf",
    "printer:/cache/good.gcode.3mf",
]

REFRESH_TEXTS = ["..", "../..", "\udcff", "x" * 5000, "/" * 5000, "a\x00b", "\x1b[2J", "cache/../..", "nowhere"]
"""None of them is wrong: what is not there has nothing to forget."""


@pytest.fixture(params=[VSFTPD, ESP32], ids=["vsftpd", "esp32"])
def family(request: pytest.FixtureRequest) -> Family:
    found: Family = request.param
    return found


@pytest.fixture
def card(tmp_path: Path, family: Family) -> Iterator[FileSystem]:
    printer = MemoryPrinter({GOOD: b"content", "/model/other.3mf": b"other"}, family=family)
    filesystem = FileSystem(printer.card(), Settings(cache_folder=tmp_path / "cache"))
    filesystem.connect()
    yield filesystem
    filesystem.close()


@pytest.fixture
def shelf() -> Shelf:
    whole = make()
    shelf = Shelf(**{GOOD: whole, "/cache/broken.gcode.3mf": whole[:200] + bytes(100) + whole[300:]})
    shelf.files |= {"/cache/cut.gcode.3mf": whole[:-50], "/cache/empty.gcode.3mf": b""}
    shelf.files |= {"/cache/text.gcode.3mf": b"G28\n", "/cache/project.3mf": pack({"3D/3dmodel.model": b"<model/>"})}
    return shelf


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def adapter(card: FileSystem, shelf: Shelf, line: Line, tmp_path: Path) -> Adapter:
    """A mount without a kernel, with its control files."""
    desk = desk_for(shelf, line)
    files = {
        "print": ControlFile(lambda: b"", lambda: PrintSink(desk, tmp_path)),
        "job": ControlFile(lambda: b"", lambda: LineSink(desk.command)),
        "refresh": ControlFile(lambda: b"", lambda: LineSink(lambda text: card.forget("/" + text.strip("/")))),
    }
    return Adapter(Root(card, ControlFolder(files)), Owner(0, 0))


def refused(act: Callable[[], object]) -> int:
    """The errno with which ``act`` fails; 0 when it does not."""
    try:
        act()
    except OSError as error:
        return error.errno or 0
    return 0


@pytest.mark.parametrize("way", WAYS)
def test_bad_name(way: str, adapter: Adapter, family: Family, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    wrong = []
    for name, number in NAMES[:-1] if family is VSFTPD else NAMES:
        for path in (f"/cache/{name}", f"/{name}") if number != errno.EEXIST else (f"/cache/{name}",):
            found = refused(lambda path=path: WAYS[way](adapter, path))  # type: ignore[misc]
            if found != number:
                wrong.append(f"{name[:20]!r}: {errno.errorcode.get(found, found)} instead of {errno.errorcode[number]}")
    assert wrong == []
    assert not [record for record in caplog.records if record.exc_info], "a fault was logged"


@pytest.mark.parametrize("name", ["", "/", "a\0b", "../../etc/passwd", "\udcff" * 50, "." * 300])
def test_odd_path_is_no_fault(name: str, adapter: Adapter, caplog: pytest.LogCaptureFixture) -> None:
    for way in WAYS.values():
        refused(lambda way=way: way(adapter, f"/cache/{name}"))  # type: ignore[misc]
    refused(lambda: adapter.getattr(f"/cache/{name}"))
    refused(lambda: adapter.unlink(f"/cache/{name}"))
    assert not [record for record in caplog.records if record.exc_info], "a fault was logged"


def write_line(adapter: Adapter, name: str, text: str) -> int:
    """As `echo TEXT > .bambufs/NAME`: the errno that echo sees, 0 for none."""
    number = adapter.open(f"/.bambufs/{name}", os.O_WRONLY)
    try:
        data = text.encode("utf-8", "surrogateescape") + b"\n"
        return refused(lambda: adapter.write(None, data, 0, number)) or refused(lambda: adapter.flush(None, number))
    finally:
        adapter.release(None, number)


@pytest.mark.parametrize("family", [VSFTPD], indirect=True, ids=["vsftpd"])
@pytest.mark.parametrize("text", JOB_TEXTS, ids=lambda text: ascii(text)[:30])
def test_bad_job_text(text: str, adapter: Adapter, line: Line, caplog: pytest.LogCaptureFixture) -> None:
    assert write_line(adapter, "job", text) in (errno.EINVAL, errno.EBUSY)
    assert line.commands == []
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.exc_info for record in told] == [None]
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("family", [VSFTPD], indirect=True, ids=["vsftpd"])
@pytest.mark.parametrize("text", PRINT_TEXTS, ids=lambda text: ascii(text)[:40])
def test_bad_print_text(text: str, adapter: Adapter, line: Line, caplog: pytest.LogCaptureFixture) -> None:
    assert write_line(adapter, "print", text) in (errno.EINVAL, errno.ENOENT, errno.ENAMETOOLONG, errno.EISDIR)
    assert line.jobs == []
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("family", [VSFTPD], indirect=True, ids=["vsftpd"])
@pytest.mark.parametrize("text", REFRESH_TEXTS, ids=lambda text: ascii(text)[:30])
def test_odd_refresh_text_is_no_fault(text: str, adapter: Adapter, caplog: pytest.LogCaptureFixture) -> None:
    assert write_line(adapter, "refresh", text) == 0
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("family", [VSFTPD], indirect=True, ids=["vsftpd"])
def test_endless_line_is_refused(adapter: Adapter) -> None:
    number = adapter.open("/.bambufs/job", os.O_WRONLY)
    numbers = {refused(lambda at=at: adapter.write(None, b"x" * 65536, at, number)) for at in range(0, 200_000, 65536)}  # type: ignore[misc]
    adapter.release(None, number)
    assert numbers <= {0, errno.EINVAL}
    assert errno.EINVAL in numbers


@pytest.mark.parametrize("family", [VSFTPD], indirect=True, ids=["vsftpd"])
def test_good_line_is_printed(adapter: Adapter, line: Line) -> None:
    assert write_line(adapter, "print", "cache/good.gcode.3mf plate=1") == 0
    assert len(line.jobs) == 1


