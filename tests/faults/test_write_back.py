"""Uploads in the background, with printers that go away, drivers that are killed, and mounts that end early."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from bambufs import simulator
from tests.faults import card
from tests.faults.conftest import MakeFile, StartPrinter, StartVsftpd
from tests.faults.programs import Program, run, succeed
from tests.faults.site import IMPATIENT, Site, address
from tests.support.vsftpd import Vsftpd
from tests.support.waiting import wait_until

LATER = ("--write-back", "600")
SOON = ("--write-back", "0.3")


@pytest.fixture
def printer(start_printer: StartPrinter) -> simulator.Printer:
    """A P1S: one connection, no times, no renaming over a file."""
    printer = start_printer("p1s")
    (printer.card / "model").mkdir()
    return printer


def sources(make_file: MakeFile, count: int, size: int = 20_000) -> Path:
    """A folder of files to copy."""
    files = [make_file(f"file{number:03}.stl", size + number) for number in range(count)]
    return files[0].parent


def owed(site: Site) -> int:
    """How many files the mount still has to send."""
    return int(json.loads((site.point / ".bambufs" / "stats").read_text())["uploads_owed"])


def same(source: Path, on_card: Path) -> bool:
    """Whether both folders hold the same files with the same content."""
    return run("diff", "-r", source, on_card).code == 0


def test_everything_arrives_by_itself_when_the_printer_was_off_meanwhile(
    printer: simulator.Printer, site: Site, fuse3: str, make_file: MakeFile
) -> None:
    source = sources(make_file, 20, 60_000)
    printer.rate = 1_000_000
    assert site.mount(address(printer), *SOON, module=IMPATIENT).code == 0
    folder = site.point / "model" / "parts"
    copy = Program("rsync", "-a", f"{source}/", folder)
    wait_until(lambda: len(card.names(printer.card / "model")) > 3, "some to arrive")
    printer.switch_off()
    assert copy.wait(60).code == 0
    assert len(os.listdir(folder)) == 20
    succeed("cmp", source / "file019.stl", folder / "file019.stl")
    wait_until(lambda: "halted" in (site.point / ".bambufs" / "transfers").read_text(), "the trouble to be told")

    printer.switch_on()

    wait_until(lambda: owed(site) == 0, "everything to be sent", seconds=40)
    assert same(source, printer.card / "model" / "parts")
    card.wait_until_tidy(printer.card / "model")
    assert site.unmount().code == 0
    assert site.owed() == []


def test_killed_driver_owes_what_it_had_not_sent(server: Vsftpd, site: Site, fuse3: str, make_file: MakeFile) -> None:
    source = sources(make_file, 12)
    assert site.mount(server, *LATER).code == 0
    succeed("rsync", "-a", f"{source}/", site.point / "parts")
    assert owed(site) == 12
    os.kill(site.daemon(), signal.SIGKILL)
    wait_until(lambda: not site.daemons(), "the driver to be gone")
    assert card.names(server.root / "parts") == []

    assert site.mount(server, *LATER).code == 0
    assert succeed("rsync", "-ain", f"{source}/", site.point / "parts") == ""
    unmounted = site.unmount()

    assert unmounted.code == 0, unmounted
    assert same(source, server.root / "parts")
    assert (site.owed(), site.lost()) == ([], [])


def test_file_that_changed_meanwhile_is_kept_beside_the_owed_one(
    server: Vsftpd, site: Site, fuse3: str, make_file: MakeFile
) -> None:
    source = make_file("bracket.gcode.3mf", 50_000)
    (server.root / source.name).write_bytes(b"old content")
    assert site.mount(server, *LATER).code == 0
    succeed("cp", source, site.point)
    os.kill(site.daemon(), signal.SIGKILL)
    wait_until(lambda: not site.daemons(), "the driver to be gone")
    (server.root / source.name).write_bytes(b"what somebody else has put there")

    assert site.mount(server).code == 0
    wait_until(lambda: owed(site) == 0, "it to be sent")

    both = {name: (server.root / name).read_bytes() for name in card.names(server.root)}
    assert both.pop(source.name) == b"what somebody else has put there"
    (name,) = both
    assert name.startswith("bracket (unsent copy 20")
    assert name.endswith(").gcode.3mf")
    assert both[name] == source.read_bytes()
    assert name in site.log
    assert name in (site.point / ".bambufs" / "transfers").read_text()
    assert sorted(os.listdir(site.point)) == sorted([name, source.name])
    assert site.unmount().code == 0


def test_unmount_waits_and_says_what_for(
    start_vsftpd: StartVsftpd, site: Site, fuse3: str, make_file: MakeFile
) -> None:
    slow = start_vsftpd(settings="local_max_rate=400000")
    source = make_file("big.3mf", 2_000_000)
    assert site.mount(slow, *LATER).code == 0
    succeed("cp", source, site.point)

    unmounted = site.unmount()

    assert unmounted.code == 0, unmounted
    assert "1 file (2.0 MB) still to be sent to the printer" in unmounted.err
    assert (slow.root / "big.3mf").read_bytes() == source.read_bytes()
    site.wait_until_gone()


def test_unmount_without_the_printer_keeps_everything_for_the_next_mount(
    printer: simulator.Printer, site: Site, fuse3: str, make_file: MakeFile
) -> None:
    source = make_file("new.3mf", 50_000)
    assert site.mount(address(printer), *LATER, module=IMPATIENT).code == 0
    succeed("cp", source, site.point / "model")
    printer.switch_off()

    unmounted = site.unmount()

    assert unmounted.code == 1, unmounted
    assert "unmounted, but 1 file (50.0 kB) could not be sent" in unmounted.err
    assert "the next mount" in unmounted.err
    site.wait_until_gone()

    printer.switch_on()
    assert site.mount(address(printer), module=IMPATIENT).code == 0
    succeed("cmp", source, site.point / "model" / "new.3mf")
    assert site.unmount().code == 0
    assert (printer.card / "model" / "new.3mf").read_bytes() == source.read_bytes()


def test_two_mounts_of_one_printer_are_refused(server: Vsftpd, site: Site, fuse3: str, tmp_path: Path) -> None:
    assert site.mount(server).code == 0
    other = Site(tmp_path / "other", cache=site.cache)

    second = other.mount(server)

    assert second.code == 2, second
    assert "mounted already by another bambufs" in second.err
    assert str(site.cache) in second.err
    assert not other.is_mounted
    assert site.unmount().code == 0


def test_fsync_waits_for_the_printer(server: Vsftpd, site: Site, fuse3: str, make_file: MakeFile) -> None:
    source = make_file("new.3mf", 50_000)
    assert site.mount(server, *LATER).code == 0
    succeed("dd", f"if={source}", f"of={site.point}/new.3mf", "conv=fsync")
    assert (server.root / "new.3mf").read_bytes() == source.read_bytes()
    assert site.unmount().code == 0
