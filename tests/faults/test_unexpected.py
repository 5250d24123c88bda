"""What nobody plans for: files that are renamed, deleted or written twice while they are uploaded, and sessions
that break at any command. Afterwards the printer's disk holds what the programs were told."""

from __future__ import annotations

import gc
import random
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Self

import pytest

from bambufs import simulator
from tests.faults import card
from tests.faults.conftest import MakeFile, StartPrinter
from tests.faults.programs import Program, succeed
from tests.faults.site import Site, address
from tests.support.mounting import Mounted, mounted
from tests.support.waiting import wait_until

SIZE = 200_000


@contextmanager
def during_upload(
    printer: simulator.Printer, mount: Mounted, source: Path, to: str, act: Callable[[], Program]
) -> Iterator[tuple[Program, Program]]:
    """Copy ``source`` and start another program while the printer holds the upload up; then let both go on."""
    with printer.hold("STOR", after_bytes=SIZE // 2) as gate:
        copy = Program("cp", source, mount.path / to)
        assert gate.reached.wait(15)
        other = act()
        succeed("stat", mount.path)  # the mount still answers
        gate.release()
        yield copy, other


@pytest.fixture
def source(make_file: MakeFile) -> Path:
    """A file to copy."""
    return make_file("new.3mf", SIZE)


@pytest.fixture(params=["x1c", "p1s"])
def model(request: pytest.FixtureRequest) -> str:
    """A printer with several sessions, and one with a single one."""
    return str(request.param)


@pytest.fixture(params=["new file", "existing file"])
def printer(request: pytest.FixtureRequest, start_printer: StartPrinter, model: str) -> simulator.Printer:
    """A printer with a folder, which may hold an earlier new.3mf."""
    printer = start_printer(model)
    (printer.card / "folder").mkdir()
    if request.param == "existing file":
        (printer.card / "folder/new.3mf").write_bytes(b"old content")
    return printer


def names_shown(mount: Mounted) -> list[str]:
    """All names on the mount, as `find` sees them."""
    return sorted(succeed("find", mount.path, "-mindepth", "1", "-printf", "%P\\n").split())


def test_a_file_is_renamed_during_its_upload(
    printer: simulator.Printer, site: Site, binding: str, source: Path
) -> None:
    with mounted(address(printer), site.point, binding) as mount:
        folder = mount.path / "folder"
        rename = lambda: Program("mv", folder / "new.3mf", folder / "other.3mf")  # noqa: E731
        with during_upload(printer, mount, source, "folder", rename) as (copy, moved):
            assert copy.wait().code == 0
            assert moved.wait().code == 0

        assert (printer.card / "folder/other.3mf").read_bytes() == source.read_bytes()
        card.wait_until_tidy(printer.card)
        assert card.names(printer.card) == ["folder", "folder/other.3mf"]
        assert names_shown(mount) == ["folder", "folder/other.3mf"]


def test_a_folder_is_renamed_during_an_upload_into_it(
    printer: simulator.Printer, site: Site, binding: str, source: Path
) -> None:
    with mounted(address(printer), site.point, binding) as mount:
        rename = lambda: Program("mv", mount.path / "folder", mount.path / "renamed")  # noqa: E731
        with during_upload(printer, mount, source, "folder", rename) as (copy, moved):
            assert copy.wait().code == 0
            answer = moved.wait()

        if answer.code != 0:  # it may refuse for the time being, and then says why
            assert "Device or resource busy" in answer.err
            assert "is being uploaded" in mount.log
            succeed("mv", mount.path / "folder", mount.path / "renamed")
        assert (printer.card / "renamed/new.3mf").read_bytes() == source.read_bytes()
        card.wait_until_tidy(printer.card)
        assert names_shown(mount) == card.names(printer.card) == ["renamed", "renamed/new.3mf"]


def test_a_file_is_deleted_during_its_upload(
    printer: simulator.Printer, site: Site, binding: str, source: Path
) -> None:
    with mounted(address(printer), site.point, binding) as mount:
        delete = lambda: Program("rm", mount.path / "folder/new.3mf")  # noqa: E731
        with during_upload(printer, mount, source, "folder", delete) as (copy, deleted):
            copy.wait()
            assert deleted.wait().code == 0

        card.wait_until_tidy(printer.card)
        wait_until(lambda: card.names(printer.card) == ["folder"], "the file to go")
        assert names_shown(mount) == ["folder"]


def test_a_file_is_cut_during_its_upload(printer: simulator.Printer, site: Site, binding: str, source: Path) -> None:
    with mounted(address(printer), site.point, binding) as mount:
        cut = lambda: Program("truncate", "-s", "1000", mount.path / "folder/new.3mf")  # noqa: E731
        with during_upload(printer, mount, source, "folder", cut) as (copy, other):
            assert copy.wait().code == 0
            assert other.wait().code == 0

        wait_until(lambda: _size(printer.card / "folder/new.3mf") == 1000, "the cut to reach the printer")
        assert (printer.card / "folder/new.3mf").read_bytes() == source.read_bytes()[:1000]
        card.wait_until_tidy(printer.card)
        assert succeed("stat", "-c", "%s", mount.path / "folder/new.3mf") == "1000\n"


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else -1


def test_a_file_is_copied_over_during_its_upload(
    printer: simulator.Printer, site: Site, binding: str, source: Path, make_file: MakeFile
) -> None:
    newer = make_file("newer.3mf", SIZE + 1000)
    with mounted(address(printer), site.point, binding) as mount:
        again = lambda: Program("cp", newer, mount.path / "folder/new.3mf")  # noqa: E731
        with during_upload(printer, mount, source, "folder", again) as (copy, other):
            assert copy.wait().code == 0
            assert other.wait().code == 0

        assert (printer.card / "folder/new.3mf").read_bytes() == newer.read_bytes()
        card.wait_until_tidy(printer.card)
        assert card.names(printer.card) == ["folder", "folder/new.3mf"]


_WRITE_PART = """\
import os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
open(sys.argv[4], "w").close()
sys.stdin.readline()
for block in range(int(sys.argv[2]), 64, 2):
    os.pwrite(file, sys.argv[3].encode() * 4096, block * 4096)
os.close(file)
"""


@pytest.mark.parametrize("order", [(0, 1), (1, 0), None], ids=["one then two", "two then one", "together"])
def test_two_programs_write_one_file(
    start_printer: StartPrinter, site: Site, binding: str, order: tuple[int, int] | None
) -> None:
    """Each writes every other block; whoever closes last, both halves are there."""
    printer = start_printer()
    with mounted(address(printer), site.point, binding) as mount:
        opened = [site.folder / "opened 0", site.folder / "opened 1"]
        writers = [
            Program(sys.executable, "-c", _WRITE_PART, mount.path / "a.3mf", str(n), "ab"[n], opened[n], stdin=PIPE)
            for n in (0, 1)
        ]
        for writer, mark in zip(writers, opened):
            wait_until(lambda: mark.exists() or not writer.is_running, "it to open the file")  # noqa: B023
            assert writer.is_running, writer.wait()
        for number in order or (0, 1):
            writers[number].stdin.write(b"\n")
            writers[number].stdin.flush()
            if order:
                wait_until(lambda: not writers[number].is_running, "the writer to end")  # noqa: B023
        for writer in writers:
            assert writer.wait().code == 0

        assert (printer.card / "a.3mf").read_bytes() == (b"a" * 4096 + b"b" * 4096) * 32
        card.wait_until_tidy(printer.card)


def test_many_programs_read_different_files_on_three_sessions(
    start_printer: StartPrinter, site: Site, binding: str
) -> None:
    printer = start_printer()
    chance = random.Random(30)
    contents = {f"{number:02}.mp4": chance.randbytes(150_000 + number) for number in range(30)}
    for name, content in contents.items():
        (printer.card / name).write_bytes(content)
    copies = site.folder / "copies"
    copies.mkdir()
    with mounted(address(printer), site.point, binding) as mount:
        programs = [Program("cp", mount.path / name, copies) for name in contents]
        most = 0
        while any(program.is_running for program in programs):
            most = max(most, printer.session_count)
        for program in programs:
            ended = program.wait()
            assert ended.code == 0, ended

    assert {file.name: file.read_bytes() for file in copies.iterdir()} == contents
    assert most <= 3
    assert len({command.session for command in printer.log}) <= 3


# --- sessions that break at random commands -----------------------------------------------------


class Chaos:
    """Breaks all sessions again and again: after a random number of commands, or of bytes of a transfer."""

    def __init__(self, printer: simulator.Printer, seed: int) -> None:
        self._printer, self._chance = printer, random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chaos", daemon=True)
        self.breaks = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._stop.set()
        self._thread.join()
        self._printer.quirks.reset("drop_after")

    def _run(self) -> None:
        limit = self._next()
        while not self._stop.wait(0.0005):
            if len(self._printer.log) >= limit:
                if self._chance.random() < 0.3:
                    self._printer.quirks.once("drop_after", self._chance.randrange(1, 3000))
                else:
                    self._printer.drop_sessions()
                self.breaks += 1
                limit = self._next()

    def _next(self) -> int:
        return len(self._printer.log) + self._chance.randrange(10, 120)


@pytest.fixture
def garbage_is_collected() -> Iterator[None]:
    """Let what the simulator left open be found in the test that made it."""
    yield
    gc.collect()


FAILED = re.compile(r"'[^']*/(file \d+\.gcode)'")


@pytest.mark.usefixtures("garbage_is_collected")
@pytest.mark.parametrize(("model", "seed"), [("x1c", 1), ("p1s", 2), pytest.param("x1c", 3, marks=pytest.mark.slow)])
def test_a_tree_is_copied_while_sessions_break(
    start_printer: StartPrinter, site: Site, fuse3: str, tmp_path: Path, model: str, seed: int
) -> None:
    """Whatever cp did not complain of is on the printer, whole; what it did complain of is not there by half."""
    printer = start_printer(model)
    tree = _make_tree(tmp_path / "tree", seed)
    with mounted(address(printer), site.point, fuse3) as mount:
        with Chaos(printer, seed) as chaos:
            ended = Program("cp", "-r", tree, mount.path).wait(90)
        assert chaos.breaks >= 5
        card.wait_until_tidy(printer.card, seconds=30)
        failed = set(FAILED.findall(ended.err))
        assert (ended.code == 0) == (not failed), ended
        for file in (path for path in tree.rglob("*") if path.is_file()):
            copy = printer.card / "tree" / file.relative_to(tree)
            if file.name not in failed and not file.stat().st_size:
                # Nobody waits for the upload of an empty file, so its failure is in the log only.
                wait_until(lambda: copy.exists() or f"/{file.name}: " in mount.log, "an empty file")  # noqa: B023
            elif file.name not in failed:
                assert copy.read_bytes() == file.read_bytes()
            elif copy.exists():
                assert copy.read_bytes() in (b"", file.read_bytes())
        wait_until(lambda: names_on(mount) == card.names(printer.card), "the mount to show what is there")


def names_on(mount: Mounted) -> list[str]:
    """All names on the mount, one a line, as names with blanks need."""
    return sorted(succeed("find", mount.path, "-mindepth", "1", "-printf", "%P\\n").splitlines())


def _make_tree(folder: Path, seed: int) -> Path:
    """200 files in 10 folders."""
    chance = random.Random(seed)
    for number in range(200):
        file = folder / f"folder {number % 10}" / f"file {number}.gcode"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(chance.randbytes(chance.choice((0, 10, 1000, 5000))))
    return folder


@pytest.mark.usefixtures("garbage_is_collected")
@pytest.mark.parametrize("model", ["x1c", pytest.param("p1s", marks=pytest.mark.slow)])
def test_a_tree_is_read_while_sessions_break(
    start_printer: StartPrinter, site: Site, fuse3: str, tmp_path: Path, model: str
) -> None:
    """Whatever cp did not complain of is the printer's content."""
    printer = start_printer(model)
    tree = _make_tree(printer.card / "tree", 7)
    with mounted(address(printer), site.point, fuse3) as mount:
        with Chaos(printer, 7) as chaos:
            ended = Program("cp", "-r", mount.path / "tree", tmp_path / "copy").wait(90)
        assert chaos.breaks >= 3
        for copy in (path for path in (tmp_path / "copy").rglob("*") if path.is_file()):
            if f"/{copy.name}'" not in ended.err:
                assert copy.read_bytes() == (tree / copy.relative_to(tmp_path / "copy")).read_bytes()
        copied = len([path for path in (tmp_path / "copy").rglob("*") if path.is_file()])
        assert copied == 200 or ended.code != 0


def test_the_mount_survives_a_program_that_stops_in_the_middle(
    start_printer: StartPrinter, site: Site, binding: str, source: Path
) -> None:
    """A stopped writer (Ctrl-Z) holds up nobody else."""
    printer = start_printer()
    with mounted(address(printer), site.point, binding) as mount:
        writer = Program("cp", "/dev/stdin", mount.path / "stopped.3mf", stdin=PIPE)
        writer.stdin.write(bytes(SIZE))
        writer.stdin.flush()
        wait_until(lambda: _size_shown(mount.path / "stopped.3mf") > 0, "the writer to begin")
        writer.signal(signal.SIGSTOP)

        succeed("cp", source, mount.path / "other.3mf")
        assert sorted(succeed("ls", mount.path).split()) == ["other.3mf", "stopped.3mf"]

        writer.signal(signal.SIGCONT)
        writer.stdin.close()
        assert (printer.card / "other.3mf").read_bytes() == source.read_bytes()
        wait_until(lambda: not writer.is_running, "the writer to end")
        assert (printer.card / "stopped.3mf").read_bytes() == bytes(SIZE)


def _size_shown(file: Path) -> int:
    return int(succeed("sh", "-c", 'stat -c %s "$0" 2>/dev/null || echo 0', file))
