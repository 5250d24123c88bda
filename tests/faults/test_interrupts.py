"""Ctrl-C and SIGKILL of a program in the middle of a copy: the shell is back at once, and nothing half is left."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE

import pytest

from bambufs import simulator
from tests.faults import card
from tests.faults.conftest import MakeFile, StartPrinter
from tests.faults.programs import SHELL_IS_BACK, Program, run, succeed
from tests.faults.site import Address, Site, address
from tests.faults.world import open_world
from tests.support.faultproxy import Fault
from tests.support.mounting import Mounted, mounted
from tests.support.waiting import wait_until

SIGNALS = (signal.SIGINT, signal.SIGKILL)
MODELS = ("x1c", "p1s")
OLD = b"old content"


@pytest.fixture(params=SIGNALS, ids=lambda number: number.name)
def number(request: pytest.FixtureRequest) -> signal.Signals:
    """How the program is ended."""
    return signal.Signals(request.param)


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    """A printer with several sessions, and one with a single one."""
    return str(request.param)


@contextmanager
def mounted_with_old(printer: simulator.Printer, site: Site, binding: str) -> Iterator[Mounted]:
    """Mount a printer that holds old.3mf; afterwards nothing may have changed, and everything must work."""
    (printer.card / "old.3mf").write_bytes(OLD)
    with mounted(address(printer), site.point, binding, arguments=("--ttl", "1")) as mount:
        succeed("ls", mount.path)
        yield mount
        card.wait_until_tidy(printer.card)
        assert card.names(printer.card) == ["old.3mf"]
        assert (printer.card / "old.3mf").read_bytes() == OLD
        wait_until(lambda: succeed("ls", mount.path) == "old.3mf\n", "the mount to show what is there")
        wait_until(lambda: succeed("cat", mount.path / "old.3mf") == OLD.decode(), "the old content to show")
        succeed("cp", site.folder / "mine/small.3mf", mount.path / "after.3mf")
        assert (printer.card / "after.3mf").read_bytes() == (site.folder / "mine/small.3mf").read_bytes()


@pytest.fixture(autouse=True)
def small(make_file: MakeFile) -> Path:
    """A small file to copy."""
    return make_file("small.3mf", 10_000)


@pytest.mark.parametrize("name", ["old.3mf", pytest.param("new.3mf", marks=pytest.mark.slow)])
def test_while_it_still_writes(
    start_printer: StartPrinter, site: Site, binding: str, number: signal.Signals, name: str
) -> None:
    with mounted_with_old(start_printer(), site, binding) as mount:
        copy = Program("cp", "/dev/stdin", mount.path / name, stdin=PIPE)
        copy.stdin.write(bytes(1_000_000))
        copy.stdin.flush()
        _wait_for_size(mount.path / name, 900_000)

        copy.signal(number)
        assert copy.wait(SHELL_IS_BACK).code == -number


def test_what_a_killed_writer_wrote_is_not_shown(start_printer: StartPrinter, site: Site, binding: str) -> None:
    with mounted_with_old(start_printer(), site, binding) as mount:
        copy = Program("cp", "/dev/stdin", mount.path / "old.3mf", stdin=PIPE)
        copy.stdin.write(bytes(1_000_000))
        copy.stdin.flush()
        _wait_for_size(mount.path / "old.3mf", 1_000_000)  # which the kernel then knows, and must forget
        copy.signal(signal.SIGKILL)
        copy.wait(SHELL_IS_BACK)

        assert (mount.path / "old.3mf").stat().st_size == len(OLD)
        assert succeed("cat", mount.path / "old.3mf") == OLD.decode()


def test_while_the_shell_writes_through_a_redirection(
    start_printer: StartPrinter, site: Site, binding: str, number: signal.Signals
) -> None:
    with mounted_with_old(start_printer(), site, binding) as mount:
        shell = Program("sh", "-c", 'cat > "$0/old.3mf"; echo survived', mount.path, stdin=PIPE)
        shell.stdin.write(bytes(1_000_000))
        shell.stdin.flush()
        _wait_for_size(mount.path / "old.3mf", 900_000)

        shell.signal(number)
        assert shell.wait(SHELL_IS_BACK).code == -number


def _wait_for_size(file: Path, size: int) -> None:
    def is_there() -> bool:
        return int(succeed("sh", "-c", 'stat -c %s "$0" 2>/dev/null || echo 0', file)) >= size

    wait_until(is_there, f"{file.name} to grow")


@pytest.mark.parametrize("size", [200_000, 12_000_000], ids=["while it is confirmed", "while it is sent"])
def test_while_close_waits_for_the_upload(
    start_printer: StartPrinter,
    site: Site,
    model: str,
    binding: str,
    number: signal.Signals,
    make_file: MakeFile,
    size: int,
) -> None:
    printer = start_printer(model)
    with mounted_with_old(printer, site, binding) as mount:
        with printer.hold("STOR", after_bytes=100_000) as gate:
            copy = Program("cp", make_file("big.3mf", size), mount.path / "old.3mf")
            assert gate.reached.wait(15)

            copy.signal(number)
            assert copy.wait(SHELL_IS_BACK).code == -number


def test_while_close_waits_for_another_upload(
    start_printer: StartPrinter, site: Site, binding: str, number: signal.Signals, make_file: MakeFile
) -> None:
    printer = start_printer("p1s")
    with mounted_with_old(printer, site, binding) as mount:
        with printer.hold("STOR", after_bytes=100_000) as gate:
            first = Program("cp", make_file("first.3mf", 200_000), mount.path)
            assert gate.reached.wait(15)
            second = Program("cp", make_file("second.3mf", 200_000), mount.path)
            _wait_for_size(mount.path / "second.3mf", 200_000)

            second.signal(number)
            assert second.wait(SHELL_IS_BACK).code == -number
            gate.release()
            assert first.wait().code == 0
        assert (printer.card / "first.3mf").stat().st_size == 200_000
        succeed("rm", mount.path / "first.3mf")


_WRITE_AND_FSYNC = """\
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
os.write(file, bytes(262144))
os.fsync(file)
"""


def test_while_fsync_waits_for_the_upload(
    start_printer: StartPrinter, site: Site, model: str, binding: str, number: signal.Signals
) -> None:
    printer = start_printer(model)
    with mounted_with_old(printer, site, binding) as mount:
        with printer.hold("STOR", after_bytes=100_000) as gate:
            writer = Program(sys.executable, "-c", _WRITE_AND_FSYNC, mount.path / "new.3mf")
            assert gate.reached.wait(15)

            writer.signal(number)
            assert writer.wait(SHELL_IS_BACK).code == -number


def test_a_program_that_closes_after_an_interrupted_fsync(
    start_printer: StartPrinter, site: Site, binding: str
) -> None:
    """dd takes the signal when fsync returns, and closes its file before it ends by it."""
    printer = start_printer()
    with mounted_with_old(printer, site, binding) as mount:
        with printer.hold("STOR", after_bytes=100_000) as gate:
            arguments = ("if=/dev/zero", f"of={mount.path}/new.3mf", "bs=64k", "count=4", "conv=fsync")
            writer = Program("dd", *arguments)
            assert gate.reached.wait(15)

            writer.signal(signal.SIGINT)
            assert writer.wait(SHELL_IS_BACK).code == -signal.SIGINT


@pytest.mark.parametrize("name", [".hidden", "visible.3mf"])
def test_while_a_rename_waits(
    start_printer: StartPrinter,
    site: Site,
    model: str,
    binding: str,
    number: signal.Signals,
    make_file: MakeFile,
    name: str,
) -> None:
    """Of a dot name, which uploads it; and of a file, while the printer does not answer."""
    printer = start_printer(model)
    with mounted_with_old(printer, site, binding) as mount:
        succeed("cp", make_file("source.3mf", 200_000), mount.path / name)
        gate = printer.hold("STOR", after_bytes=100_000) if name == ".hidden" else printer.hold("RNTO")
        with gate:
            rename = Program("mv", mount.path / name, mount.path / "moved.3mf")
            assert gate.reached.wait(15)

            rename.signal(number)
            assert rename.wait(SHELL_IS_BACK).code == -number
        if name == ".hidden":
            assert ".hidden" in succeed("ls", "-A", mount.path)  # it stays what and where it was
        else:
            wait_until(lambda: not (printer.card / name).exists(), "the rename to take effect")
            wait_until(lambda: "moved.3mf" in succeed("ls", mount.path), "the mount to show it")
            succeed("rm", mount.path / "moved.3mf")


def test_while_reading(
    start_printer: StartPrinter, site: Site, model: str, binding: str, number: signal.Signals, tmp_path: Path
) -> None:
    printer = start_printer(model)
    (printer.card / "video.mp4").write_bytes(bytes(12_000_000))
    with mounted_with_old(printer, site, binding) as mount:
        with printer.hold("RETR", after_bytes=300_000) as gate:
            reader = Program("cp", mount.path / "video.mp4", tmp_path)
            assert gate.reached.wait(15)

            reader.signal(number)
            assert reader.wait(SHELL_IS_BACK).code == -number
        succeed("cmp", mount.path / "video.mp4", _zeros(tmp_path / "zeros", 12_000_000))
        succeed("rm", mount.path / "video.mp4")


def _zeros(file: Path, size: int) -> Path:
    file.write_bytes(bytes(size))
    return file


_READ_BY_MMAP = """\
import mmap, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
with open(sys.argv[1], "rb") as file:
    print(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)[:].count(1))
"""


def test_while_reading_by_mmap(
    start_printer: StartPrinter, site: Site, model: str, binding: str, number: signal.Signals
) -> None:
    printer = start_printer(model)
    (printer.card / "video.mp4").write_bytes(b"\1" * 2_000_000)
    with mounted_with_old(printer, site, binding) as mount:
        with printer.hold("RETR", after_bytes=300_000) as gate:
            reader = Program(sys.executable, "-c", _READ_BY_MMAP, mount.path / "video.mp4")
            assert gate.reached.wait(15)

            reader.signal(number)
            assert reader.wait(SHELL_IS_BACK).code == -number
        assert succeed(sys.executable, "-c", _READ_BY_MMAP, mount.path / "video.mp4") == "2000000\n"
        succeed("rm", mount.path / "video.mp4")


@pytest.mark.parametrize("family", ["x1c", "p1s"])
def test_while_waiting_for_a_printer_that_is_away(
    site: Site, fuse3: str, number: signal.Signals, family: str, tmp_path: Path
) -> None:
    """Whatever asks it: a listing, a copy to it, a copy from it."""
    with open_world(family, tmp_path / "world") as world:
        for name in ("a.mp4", "folder/b.3mf"):
            (world.root / name).parent.mkdir(exist_ok=True)
            (world.root / name).write_bytes(OLD)
        there = Address(world.proxy.host, world.proxy.port, world.server.access_code, world.server.serial)
        world.card.pool.close()  # this one has no need of a session
        with mounted(there, site.point, fuse3, arguments=("--ttl", "60")) as mount:
            world.proxy.strike(Fault.BLACK_HOLE)
            waiting = [
                Program("cp", mount.path / "a.mp4", tmp_path / "copy"),
                Program("cp", site.folder / "mine/small.3mf", mount.path / "new.3mf"),
                Program("mv", mount.path / "a.mp4", mount.path / "moved.mp4"),
            ]
            wait_until(lambda: all(_waits_in_the_mount(program) for program in waiting), "them to wait")
            for program in waiting:
                program.signal(number)
            for program in waiting:
                assert program.wait(SHELL_IS_BACK).code == -number
            world.proxy.mend()
            wait_until(lambda: run("cat", mount.path / "a.mp4").out == OLD.decode(), "the mount to work", seconds=20)
        assert (world.root / "a.mp4").read_bytes() == OLD
        assert not (world.root / "new.3mf").exists()


def _waits_in_the_mount(program: Program) -> bool:
    """Whether it sleeps in the kernel, for an answer of the mount."""
    assert program.is_running, program.wait()
    return "fuse" in Path(f"/proc/{program.pid}/wchan").read_text() or _syscall_is_slow(program)


def _syscall_is_slow(program: Program) -> bool:
    """Where the kernel does not tell for what a process sleeps: it has slept for a while."""
    before = Path(f"/proc/{program.pid}/stat").read_text()
    time.sleep(0.1)
    return Path(f"/proc/{program.pid}/stat").read_text() == before


def test_while_listing(
    start_printer: StartPrinter, site: Site, model: str, binding: str, number: signal.Signals
) -> None:
    printer = start_printer(model)
    (printer.card / "folder").mkdir()
    with mounted_with_old(printer, site, binding) as mount, printer.hold("LIST") as gate:
        listing = Program("ls", mount.path / "folder")
        assert gate.reached.wait(15)

        listing.signal(number)
        assert listing.wait(SHELL_IS_BACK).code == -number
        gate.release()
        assert succeed("ls", mount.path / "folder") == ""
        succeed("rmdir", mount.path / "folder")


def test_rsync_is_interrupted(start_printer: StartPrinter, site: Site, binding: str, make_file: MakeFile) -> None:
    """rsync catches the signal, tidies up and ends by itself."""
    printer = start_printer()
    with mounted_with_old(printer, site, binding) as mount:
        with printer.hold("STOR", after_bytes=100_000) as gate:
            sync = Program("rsync", "-a", make_file("new.3mf", 200_000), mount.path)
            assert gate.reached.wait(15)

            sync.signal(signal.SIGINT)
            assert sync.wait(SHELL_IS_BACK).code != 0
        wait_until(lambda: succeed("ls", "-A", mount.path) == "old.3mf\n", "rsync's temporary file to go")
