"""What was read stays on this computer from one mount to the next, for as long as the printer's file is the same."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.faults.conftest import StartPrinter
from tests.faults.programs import Program
from tests.faults.site import Address, Site, address
from tests.support.mounting import Target
from tests.support.slowlink import slow_link
from tests.support.vsftpd import Vsftpd
from tests.support.waiting import wait_until

SIZE = 12_000_000
LAST_YEAR = int(time.time()) - 365 * 86400
EXACT = LAST_YEAR // 60 * 60 + 7
"""Not the first second of what is listed, which tells the day only."""

CONTENT = random.Random("film").randbytes(SIZE)
OTHER = random.Random("another film").randbytes(SIZE)


def put(server: Vsftpd, content: bytes, mtime: int, name: str = "film.mp4") -> None:
    """Put a file on the card, as the printer does."""
    (server.root / name).write_bytes(content)
    os.utime(server.root / name, (mtime, mtime))


def fetched(server: Vsftpd) -> int:
    """How many transfers of content have begun."""
    return len(server.commands("RETR"))


def mount(site: Site, server: Target) -> None:
    mounted = site.mount(server)
    assert mounted.code == 0, mounted


def remount(site: Site, server: Target) -> None:
    unmounted = site.unmount()
    assert unmounted.code == 0, unmounted
    mount(site, server)


def kill(site: Site) -> None:
    """Kill the driver, and take its dead mount away."""
    os.kill(site.daemon(), signal.SIGKILL)
    wait_until(lambda: not site.daemons(), "the driver to be gone")
    site.clear_away()


def part(site: Site, offset: int, size: int = 200_000) -> bytes:
    """Some of the film, as a player that jumps there reads it."""
    with open(site.point / "film.mp4", "rb", buffering=0) as film:
        return os.pread(film.fileno(), size, offset)


def test_what_was_read_is_not_fetched_again_after_a_remount(server: Vsftpd, site: Site, fuse3: str) -> None:
    put(server, CONTENT, LAST_YEAR)
    mount(site, server)
    assert (site.point / "film.mp4").read_bytes() == CONTENT
    before = fetched(server)

    remount(site, server)

    assert (site.point / "film.mp4").read_bytes() == CONTENT
    assert fetched(server) == before


def test_part_that_was_read_is_there_when_the_printer_is_not(server: Vsftpd, site: Site, fuse3: str) -> None:
    put(server, CONTENT, LAST_YEAR)
    mount(site, server)
    assert part(site, 7_000_000) == CONTENT[7_000_000:][:200_000]
    remount(site, server)
    os.stat(site.point / "film.mp4")

    server.kill()

    assert part(site, 7_000_000) == CONTENT[7_000_000:][:200_000]
    with pytest.raises(OSError, match="No route to host"):
        part(site, 2_000_000)


@pytest.mark.parametrize(
    ("content", "mtime"),
    [
        pytest.param(OTHER, EXACT + 1, id="a second later"),
        pytest.param(OTHER, EXACT + 86400, id="a day later", marks=pytest.mark.slow),
        pytest.param(OTHER[:-1], EXACT, id="a byte shorter", marks=pytest.mark.slow),
    ],
)
def test_changed_file_is_fetched_anew(
    server: Vsftpd, site: Site, fuse3: str, content: bytes, mtime: int
) -> None:
    put(server, CONTENT, EXACT)
    mount(site, server)
    part(site, 0)
    part(site, 7_000_000)
    site.unmount()

    put(server, content, mtime)
    mount(site, server)

    assert (site.point / "film.mp4").read_bytes() == content


def test_file_written_just_now_is_not_trusted_by_a_later_mount(server: Vsftpd, site: Site, fuse3: str) -> None:
    now = int(time.time())
    put(server, CONTENT, now)
    mount(site, server)
    assert (site.point / "film.mp4").read_bytes() == CONTENT
    site.unmount()

    put(server, OTHER, now)
    mount(site, server)

    assert (site.point / "film.mp4").read_bytes() == OTHER


def test_file_replaced_by_an_own_one_of_the_same_size_and_time_is_read_as_it_is(
    server: Vsftpd, site: Site, fuse3: str, tmp_path: Path
) -> None:
    put(server, CONTENT, LAST_YEAR)
    mount(site, server)
    assert (site.point / "film.mp4").read_bytes() == CONTENT
    remount(site, server)
    mine = tmp_path / "film.mp4"
    mine.write_bytes(OTHER)
    os.utime(mine, (LAST_YEAR, LAST_YEAR))

    assert Program("cp", "-p", mine, site.point / "film.mp4").wait(30).code == 0

    assert (site.point / "film.mp4").read_bytes() == OTHER
    assert int((site.point / "film.mp4").stat().st_mtime) == LAST_YEAR
    remount(site, server)
    assert (site.point / "film.mp4").read_bytes() == OTHER
    (site.point / "film.mp4").unlink()
    put(server, CONTENT, LAST_YEAR)
    remount(site, server)
    assert (site.point / "film.mp4").read_bytes() == CONTENT


@pytest.mark.slow
def test_printer_that_tells_no_seconds_is_trusted_for_what_is_older_than_a_day(
    start_printer: StartPrinter, site: Site, fuse3: str
) -> None:
    printer = start_printer("p1s")
    ages = {"last year.mp4": 365, "last week.mp4": 7, "today.mp4": 0.04}
    for name, days in ages.items():
        (printer.card / name).write_bytes(OTHER[:2_000_000])
        os.utime(printer.card / name, (time.time() - days * 86400,) * 2)
    there = address(printer)
    mount(site, there)
    for name in ages:
        assert (site.point / name).read_bytes() == OTHER[:2_000_000]
    before = len(printer.wait_for("RETR"))

    remount(site, there)

    for name in ages:
        assert (site.point / name).read_bytes() == OTHER[:2_000_000]
    assert [command.argument for command in printer.wait_for("RETR")[before:]] == ["/today.mp4"]


@pytest.mark.slow
def test_refresh_forgets_what_an_earlier_mount_has_read(server: Vsftpd, site: Site, fuse3: str) -> None:
    put(server, CONTENT, LAST_YEAR)
    mount(site, server)
    part(site, 0)
    site.unmount()
    put(server, OTHER, LAST_YEAR)
    mount(site, server)

    (site.point / ".bambufs" / "refresh").write_text("film.mp4\n")

    assert (site.point / "film.mp4").read_bytes() == OTHER


def blocks_here(site: Site) -> int:
    """How many bytes of content are on this computer."""
    return sum(file.stat().st_blocks * 512 for file in site.cache.rglob("blocks/*"))


@pytest.mark.parametrize(
    "moment",
    [pytest.param(400_000, marks=pytest.mark.slow), 2_000_000, pytest.param(6_000_000, marks=pytest.mark.slow)],
)
def test_after_a_kill_in_the_middle_of_reading_every_byte_is_the_printers(
    server: Vsftpd, site: Site, fuse3: str, tmp_path: Path, moment: int
) -> None:
    """What had been noted before is used; what came in after that is fetched again."""
    put(server, CONTENT, LAST_YEAR)
    with slow_link(range(server.port, server.passive_ports[-1] + 1), rtt=0.008, rate=12e6) as host:
        target = Address(host, server.port, server.access_code, server.serial)
        mount(site, target)
        part(site, 9_000_000)
        wait_until(lambda: list(site.cache.rglob("blocks/*.json")), "it to be noted")
        reading = Program("cp", site.point / "film.mp4", tmp_path / "half")
        wait_until(lambda: blocks_here(site) > moment, "so much to be read")
        kill(site)
        reading.wait(10)
        before = len(server.commands("REST"))
        mount(site, target)

        assert part(site, 9_000_000) == CONTENT[9_000_000:][:200_000]
        ahead = [int(command.argument) for command in server.commands("REST")[before:]]
        assert all(offset >= 9_200_000 for offset in ahead)
        assert (site.point / "film.mp4").read_bytes() == CONTENT


def test_a_file_that_is_replaced_while_it_is_read_is_never_mixed(server: Vsftpd, site: Site, binding: str) -> None:
    put(server, CONTENT, LAST_YEAR)
    mount(site, server)
    with open(site.point / "film.mp4", "rb", buffering=0) as film:
        assert os.pread(film.fileno(), 4096, 0) == CONTENT[:4096]
        put(server, OTHER, LAST_YEAR + 60, "film.new")
        (server.root / "film.new").rename(server.root / "film.mp4")
        with pytest.raises(OSError, match="Input/output error"):
            os.pread(film.fileno(), 4096, SIZE - 4096)
    wait_until(lambda: part(site, SIZE - 4096, 4096) == OTHER[SIZE - 4096 :], "the new film to be seen")
    assert (site.point / "film.mp4").read_bytes() == OTHER
