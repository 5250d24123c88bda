"""Looking never waits for a transfer of content. The printer holds still in the middle of one meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bambufs import simulator
from bambufs.simulator.gates import Gate
from tests.faults.conftest import MakeFile, StartPrinter
from tests.faults.programs import SHELL_IS_BACK, Program, run, succeed
from tests.faults.site import Site, address
from tests.support.mounting import Mounted, mounted

MODELS = ("x1c", "p1s")
SIZES = {"small": 200_000, "big": 12_000_000}  # one that fits into the sockets' buffers, and one that does not


@dataclass
class Upload:
    """A copy that the printer holds up in the middle."""

    printer: simulator.Printer
    mount: Mounted
    gate: Gate
    copy: Program
    source: Path

    @property
    def point(self) -> Path:
        """Where the printer is mounted."""
        return self.mount.path

    def assert_waits(self) -> None:
        """It has not gone on meanwhile: whatever was answered did not wait for it."""
        assert not self.gate.is_open
        assert self.copy.is_running

    def finish(self) -> None:
        """Let it go on; it succeeds."""
        self.gate.release()
        ended = self.copy.wait()
        assert ended.code == 0, ended


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    """A printer with several sessions, and one with a single one."""
    return str(request.param)


@contextmanager
def upload(
    printer: simulator.Printer, site: Site, binding: str, source: Path, *arguments: str, folder: str = "cache"
) -> Iterator[Upload]:
    """Hold up a copy of ``source`` into ``folder`` of a mounted printer, whose folders have been listed before."""
    for name in ("cache/old.3mf", "timelapse/video.mp4", "empty/later/x"):
        (printer.card / name).parent.mkdir(parents=True, exist_ok=True)
        (printer.card / name).write_bytes(b"old content")
    with mounted(address(printer), site.point, binding, arguments=arguments) as mount, ExitStack() as stack:
        for place in ("", "cache", "timelapse"):
            succeed("ls", "-l", mount.path / place)
        succeed("cat", mount.path / "cache/old.3mf")
        gate = stack.enter_context(printer.hold("STOR", after_bytes=100_000))
        copy = Program("cp", source, mount.path / folder)
        stack.callback(copy.end)
        stack.callback(gate.release)
        assert gate.reached.wait(15)
        yield Upload(printer, mount, gate, copy, source)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_cached_folders_answer_during_an_upload(
    start_printer: StartPrinter, site: Site, model: str, binding: str, make_file: MakeFile, size: int
) -> None:
    printer = start_printer(model)
    with upload(printer, site, binding, make_file("new.3mf", size), "--ttl", "60") as held:
        asked = len(printer.log)

        assert "old.3mf" in succeed("ls", "-l", held.point / "cache")
        assert "video.mp4" in succeed("ls", "-l", held.point / "timelapse")
        assert "cache" in succeed("ls", "-l", held.point)
        succeed("stat", held.point / "cache/old.3mf", held.point / "timelapse")
        assert run("stat", held.point / "cache/missing").code == 1
        shown = int(succeed("stat", "-c", "%s", held.point / "cache/new.3mf"))
        assert 100_000 <= shown <= size  # the rest is held back until more has been sent
        succeed("df", held.point)

        held.assert_waits()
        assert printer.log[asked:] == []  # nobody had to ask the printer
        held.finish()
    assert (printer.card / "cache/new.3mf").read_bytes() == held.source.read_bytes()


def test_folders_answer_during_an_upload_when_their_listings_are_no_longer_fresh(
    start_printer: StartPrinter, site: Site, model: str, make_file: MakeFile, fuse3: str
) -> None:
    printer = start_printer(model)
    with upload(printer, site, fuse3, make_file("new.3mf", 200_000), "--ttl", "0.3") as held:
        time.sleep(0.3)  # that is the age at which they are no longer fresh
        assert "video.mp4" in succeed("ls", "-l", held.point / "timelapse")
        assert "old.3mf" in succeed("ls", "-l", held.point / "cache")
        succeed("stat", held.point / "timelapse/video.mp4")

        held.assert_waits()
        held.finish()


def test_a_cached_file_can_be_read_during_an_upload(
    start_printer: StartPrinter, site: Site, model: str, make_file: MakeFile, fuse3: str
) -> None:
    printer = start_printer(model)
    with upload(printer, site, fuse3, make_file("new.3mf", 200_000), "--ttl", "60") as held:
        assert succeed("cat", held.point / "cache/old.3mf") == "old content"

        held.assert_waits()
        held.finish()


def test_dot_files_can_be_used_during_an_upload(
    start_printer: StartPrinter, site: Site, model: str, make_file: MakeFile, fuse3: str
) -> None:
    printer = start_printer(model)
    with upload(printer, site, fuse3, make_file("new.3mf", 200_000), "--ttl", "60") as held:
        succeed("sh", "-c", 'echo mine > "$0/.swap"; cat "$0/.swap"; rm "$0/.swap"', held.point / "timelapse")

        held.assert_waits()
        held.finish()


def test_a_printer_with_several_sessions_lists_reads_and_changes_during_an_upload(
    start_printer: StartPrinter, site: Site, binding: str, make_file: MakeFile
) -> None:
    printer = start_printer("x1c")
    with upload(printer, site, binding, make_file("new.3mf", 200_000)) as held:
        assert succeed("ls", held.point / "empty/later") == "x\n"
        assert succeed("cat", held.point / "timelapse/video.mp4") == "old content"
        succeed("mkdir", held.point / "made")
        succeed("mv", held.point / "timelapse/video.mp4", held.point / "made/moved.mp4")
        succeed("rm", held.point / "empty/later/x")

        held.assert_waits()
        held.finish()
    assert (printer.card / "made/moved.mp4").read_bytes() == b"old content"
    assert not (printer.card / "empty/later/x").exists()


def test_a_printer_with_one_session_lists_a_new_folder_after_the_upload(
    start_printer: StartPrinter, site: Site, make_file: MakeFile, fuse3: str
) -> None:
    printer = start_printer("p1s")
    with upload(printer, site, fuse3, make_file("new.3mf", 200_000)) as held:
        listing = Program("ls", held.point / "empty/later")

        assert "old.3mf" in succeed("ls", "-l", held.point / "cache")
        held.assert_waits()
        held.finish()
        assert listing.wait().out == "x\n"


def test_whoever_waits_for_the_only_session_can_be_interrupted(
    start_printer: StartPrinter, site: Site, make_file: MakeFile, binding: str
) -> None:
    printer = start_printer("p1s")
    with upload(printer, site, binding, make_file("new.3mf", 200_000)) as held:
        listing = Program("ls", held.point / "empty/later")
        reader = Program("cat", held.point / "timelapse/video.mp4")
        for waiting in (listing, reader):
            assert waiting.is_running
            waiting.signal(signal.SIGINT)
            assert waiting.wait(SHELL_IS_BACK).code == -signal.SIGINT

        held.assert_waits()
        held.finish()


def test_a_file_can_be_renamed_during_its_upload(
    start_printer: StartPrinter, site: Site, model: str, make_file: MakeFile, binding: str
) -> None:
    """The kernel keeps a folder locked for the length of a rename in it, so one that waits would hold up everybody."""
    printer = start_printer(model)
    with upload(printer, site, binding, make_file("new.3mf", 200_000), "--ttl", "60") as held:
        succeed("mv", held.point / "cache/new.3mf", held.point / "cache/other.3mf", seconds=5)
        assert succeed("ls", held.point / "cache", seconds=5).split() == ["old.3mf", "other.3mf"]

        held.assert_waits()
        held.finish()
    assert sorted(os.listdir(printer.card / "cache")) == ["old.3mf", "other.3mf"]
    assert (printer.card / "cache/other.3mf").read_bytes() == held.source.read_bytes()


def test_a_rename_of_the_folder_is_answered_during_an_upload_into_it(
    start_printer: StartPrinter, site: Site, model: str, make_file: MakeFile, binding: str
) -> None:
    printer = start_printer(model)
    with upload(printer, site, binding, make_file("new.3mf", 200_000), "--ttl", "60") as held:
        ended = run("mv", held.point / "cache", held.point / "renamed", seconds=5)
        assert ended.code == 0 or "Device or resource busy" in ended.err
        assert "timelapse" in succeed("ls", "-l", held.point, seconds=5)

        held.assert_waits()
        held.finish()
    folder = printer.card / ("cache" if ended.code else "renamed")
    assert (folder / "new.3mf").read_bytes() == held.source.read_bytes()
