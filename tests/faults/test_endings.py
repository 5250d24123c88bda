"""Every way in which a mount ends: what was begun is finished, the process is gone, and its exit code is 0."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.faults import card
from tests.faults.conftest import MakeFile, StartPrinter
from tests.faults.programs import Program, run, succeed
from tests.faults.site import Address, Site, address
from tests.support.vsftpd import Vsftpd
from tests.support.waiting import wait_until

ENDINGS: dict[str, Callable[[Site], object]] = {
    "SIGTERM": lambda site: os.kill(site.daemon(), signal.SIGTERM),
    "SIGINT": lambda site: os.kill(site.daemon(), signal.SIGINT),
    "SIGHUP": lambda site: os.kill(site.daemon(), signal.SIGHUP),
    "fusermount3 -u": lambda site: succeed("fusermount3", "-u", site.point),
    "umount": lambda site: succeed("umount", site.point),
    "umount -l": lambda site: succeed("umount", "-l", site.point),
    "bambufs unmount": lambda site: _unmount(site),
}


def often(*names: str) -> list[ParameterSet]:
    """All endings; those that are not named are tried by `make soak` only."""
    return [
        pytest.param(end, id=name, marks=[] if name in names else pytest.mark.slow) for name, end in ENDINGS.items()
    ]


def _unmount(site: Site) -> None:
    ended = site.unmount()
    assert ended.code == 0, ended
    assert site.daemons() == [], "bambufs unmount did not wait for the process"


@contextmanager
def foreground(site: Site, target: Address | Vsftpd, binding: str) -> Iterator[Program]:
    """Mount in the foreground; the test ends it."""
    driver = site.mounting(target, "--foreground", binding=binding)
    wait_until(lambda: site.is_mounted or not driver.is_running, "the mount")
    assert driver.is_running, driver.wait()
    succeed("ls", site.point)
    yield driver
    assert not driver.is_running


@pytest.mark.parametrize("way", often("SIGTERM", "SIGINT", "bambufs unmount"))
def test_an_idle_mount_ends(server: Vsftpd, site: Site, binding: str, way: Callable[[Site], object]) -> None:
    with foreground(site, server, binding) as driver:
        way(site)

        ended = driver.wait(10)
        assert ended.code == 0, ended
        assert "Traceback" not in ended.err
        assert not site.is_mounted
        wait_until(lambda: server.sessions() == 0, "the printer's sessions to be free")


@pytest.mark.parametrize("way", often("SIGTERM", "bambufs unmount"))
def test_a_mount_in_the_background_ends(server: Vsftpd, site: Site, fuse3: str, way: Callable[[Site], object]) -> None:
    assert site.mount(server).code == 0
    succeed("ls", site.point)

    way(site)

    site.wait_until_gone()


@pytest.mark.parametrize(
    ("size", "end"),
    [(200_000, "SIGTERM"), (200_000, "umount -l"), (12_000_000, "umount -l")],
    ids=["while it is confirmed-SIGTERM", "while it is confirmed-umount -l", "while it is sent-umount -l"],
)
def test_an_upload_that_runs_is_finished_first(
    start_printer: StartPrinter, site: Site, binding: str, make_file: MakeFile, end: str, size: int
) -> None:
    printer = start_printer()
    source = make_file("new.3mf", size)
    (printer.card / "new.3mf").write_bytes(b"old content")
    with foreground(site, address(printer), binding) as driver:
        with printer.hold("STOR", after_bytes=100_000) as gate:
            copy = Program("cp", source, site.point)
            assert gate.reached.wait(15)

            ENDINGS[end](site)
            wait_until(lambda: not _has_pending_signal(driver.pid), "the signal to be taken")
            assert driver.is_running  # it waits for the upload
        copied = copy.wait()
        ended = driver.wait()

    assert (printer.card / "new.3mf").read_bytes() == source.read_bytes()
    assert copied.code == 0, copied
    assert ended.code == 0, ended
    assert card.names(printer.card) == ["new.3mf"]


def test_half_of_what_is_being_written_at_the_end_replaces_nothing(
    start_printer: StartPrinter, site: Site, binding: str, make_file: MakeFile
) -> None:
    printer = start_printer()
    source = make_file("new.3mf", 12_000_000)
    (printer.card / "new.3mf").write_bytes(b"old content")
    with foreground(site, address(printer), binding) as driver:
        with printer.hold("STOR", after_bytes=100_000) as gate:
            copy = Program("cp", source, site.point)
            assert gate.reached.wait(15)
            ENDINGS["SIGTERM"](site)
            wait_until(lambda: not _has_pending_signal(driver.pid), "the signal to be taken")
        copied = copy.wait()
        ended = driver.wait()

    assert copied.code != 0, copied
    assert (printer.card / "new.3mf").read_bytes() == b"old content"
    assert ended.code == 0, ended
    (kept,) = site.lost()
    assert source.read_bytes().startswith(kept.read_bytes())
    assert "new.3mf" in kept.name
    assert "may be half a file" in ended.err + site.log

    assert site.mount(address(printer)).code == 0
    card.wait_until_tidy(printer.card)  # at the latest now
    assert site.unmount().code == 0


def _has_pending_signal(pid: int) -> bool:
    lines = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return any(int(lines[name], 16) for name in ("SigPnd", "ShdPnd"))


@pytest.mark.parametrize("end", ["SIGTERM", "fusermount3 -u", "bambufs unmount"])
def test_a_file_that_was_only_made_is_there_after_the_end(
    start_printer: StartPrinter, site: Site, binding: str, end: str
) -> None:
    """Nobody waits for the upload of an untouched new file; the end of the mount does."""
    printer = start_printer()
    with foreground(site, address(printer), binding) as driver:
        printer.latency = 0.05
        succeed("touch", site.point / "empty.txt")
        _unmount_when_free(site) if end == "fusermount3 -u" else ENDINGS[end](site)

        ended = driver.wait()
    assert ended.code == 0, ended
    assert card.names(printer.card) == ["empty.txt"]


def _unmount_when_free(site: Site) -> None:
    """The kernel tells of the last close only after the program has gone on."""
    wait_until(lambda: run("fusermount3", "-u", site.point).code == 0, "the mount to be free")


def test_a_mount_in_use_is_not_unmounted(server: Vsftpd, site: Site, fuse3: str) -> None:
    (server.root / "folder").mkdir()
    assert site.mount(server).code == 0
    user = Program("sleep", "60")
    inside = Program("sh", "-c", 'cd "$0/folder" && exec sleep 60', site.point)
    wait_until(lambda: _folder_of(inside.pid) == str(site.point / "folder"), "a program to be inside")

    ended = site.unmount()

    assert ended.code == 5
    (line,) = ended.err.splitlines()
    assert "program still uses" in line
    assert site.is_mounted
    for program in (user, inside):
        program.end()
    assert site.unmount().code == 0


def _folder_of(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def test_unmounting_what_is_not_mounted_is_refused_in_a_sentence(site: Site) -> None:
    ended = site.unmount()

    assert ended.code == 5
    assert ended.err == f"bambufs: no printer is mounted on {site.point}\n"


def test_two_signals_end_a_mount_no_worse_than_one(server: Vsftpd, site: Site, binding: str) -> None:
    with foreground(site, server, binding) as driver:
        for _ in range(2):
            driver.signal(signal.SIGTERM)
        ended = driver.wait(10)
    assert not site.is_mounted
    assert ended.code in (0, -signal.SIGTERM), ended
