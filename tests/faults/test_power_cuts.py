"""The printer, or the driver, is gone from one moment to the next, in the middle of a copy."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.faults import card
from tests.faults.conftest import MakeFile, StartPrinter, StartVsftpd
from tests.faults.programs import Ended, Program, run, succeed
from tests.faults.site import Site, address
from tests.support.mounting import Mounted, mounted
from tests.support.needs import need
from tests.support.vsftpd import Vsftpd
from tests.support.waiting import wait_until

SLOW = "local_max_rate=400000"
SIZE = 8_000_000  # 20 seconds at that rate
SHORT = 1_600_000
SELDOM = pytest.param("fuse3", False, marks=pytest.mark.slow)
LOST = ("Input/output error", "No route to host")


@pytest.fixture
def slow(start_vsftpd: StartVsftpd) -> Vsftpd:
    """A vsftpd over a slow link, so that a copy can be cut in the middle."""
    return start_vsftpd(settings=SLOW)


def assert_failed(ended: Ended) -> None:
    """The program says that the printer is gone."""
    assert ended.code == 1, ended
    assert any(word in ended.err for word in LOST), ended


def wait_until_usable(mount: Mounted) -> None:
    """Wait until the mount works again, without a remount."""
    wait_until(lambda: run("ls", mount.path).code == 0, "the mount to work again")


def kept_in(mount: Mounted) -> list[Path]:
    """What a mount made with `mounted` has put aside, and named in its log."""
    home = mount.path.parent / f"{mount.path.name}-home"
    return [file for file in home.rglob("lost+found/*") if file.is_file() and str(file) in mount.log]


@pytest.mark.parametrize(("binding", "is_new"), [("fuse2", False), ("fuse3", True), SELDOM])
def test_the_server_dies_during_an_upload(
    slow: Vsftpd, site: Site, binding: str, make_file: MakeFile, is_new: bool
) -> None:
    need(binding)
    source = make_file("new.3mf", SIZE)
    if not is_new:
        (slow.root / "new.3mf").write_bytes(b"old content")
    with mounted(slow, site.point, binding) as mount:
        copy = Program("cp", source, mount.path)
        wait_until(lambda: card.parts(slow.root), "the upload to begin")
        slow.kill()

        assert_failed(copy.wait())
        assert (slow.root / "new.3mf").exists() == (not is_new)
        if not is_new:
            assert (slow.root / "new.3mf").read_bytes() == b"old content"
        wait_until(lambda: kept_in(mount), "what was written to be kept")
        (kept,) = kept_in(mount)
        assert kept.read_bytes() == source.read_bytes()

        slow.restart()
        wait_until_usable(mount)
        card.wait_until_tidy(slow.root)
        assert card.names(slow.root) == ([] if is_new else ["new.3mf"])
        assert succeed("ls", mount.path).split() == card.names(slow.root)
        succeed("cp", make_file("small.3mf", 10_000), mount.path)


@pytest.mark.parametrize("binding", [pytest.param("fuse2", marks=pytest.mark.slow), "fuse3"], indirect=True)
def test_the_server_dies_during_a_download(
    slow: Vsftpd, site: Site, binding: str, make_file: MakeFile, tmp_path: Path
) -> None:
    content = make_file("big.mp4", SIZE).read_bytes()
    (slow.root / "big.mp4").write_bytes(content)
    copied = tmp_path / "copied.mp4"
    with mounted(slow, site.point, binding, arguments=("--ttl", "1")) as mount:
        copy = Program("cp", mount.path / "big.mp4", copied)
        wait_until(lambda: copied.exists() and copied.stat().st_size, "the download to begin")
        slow.kill()

        assert_failed(copy.wait())
        assert copied.stat().st_size < SIZE
        assert content.startswith(copied.read_bytes())

        slow.restart()
        wait_until_usable(mount)
        (slow.root / "small.mp4").write_bytes(content[:50_000])
        (slow.root / "big.mp4").write_bytes(content[:100_000])
        wait_until(lambda: "small.mp4" in succeed("ls", mount.path), "the new file to show")
        succeed("cp", mount.path / "big.mp4", copied)
        assert copied.read_bytes() == content[:100_000]


def test_sessions_that_break_cost_an_upload_nothing(
    start_printer: StartPrinter, site: Site, binding: str, make_file: MakeFile
) -> None:
    printer = start_printer("p1s")
    source = make_file("new.3mf", 400_000)
    with mounted(address(printer), site.point, binding) as mount:
        succeed("ls", mount.path)
        printer.drop_sessions()
        succeed("cp", source, mount.path)
        printer.quirks.once("drop_after", 200_000)
        succeed("cp", source, mount.path / "other.3mf")

        assert (printer.card / "new.3mf").read_bytes() == source.read_bytes()
        assert (printer.card / "other.3mf").read_bytes() == source.read_bytes()
        card.wait_until_tidy(printer.card)


@pytest.mark.parametrize("model", ["x1c", "p1s"])
def test_a_download_is_cut_short(
    start_printer: StartPrinter, site: Site, fuse3: str, make_file: MakeFile, tmp_path: Path, model: str
) -> None:
    """A reset or an early end in the middle: the copy is whole, or the program is told."""
    printer = start_printer(model)
    content = make_file("video.mp4", 600_000).read_bytes()
    for name in ("a.mp4", "b.mp4"):
        (printer.card / name).write_bytes(content)
    with mounted(address(printer), site.point, fuse3) as mount:
        for name, event in (("a.mp4", "drop_after"), ("b.mp4", "short_retr")):
            printer.quirks.once(event, 300_000)
            ended = run("cp", mount.path / name, tmp_path)
            assert ended.code != 0 or (tmp_path / name).read_bytes() == content
            succeed("cp", mount.path / name, tmp_path)
            assert (tmp_path / name).read_bytes() == content


# --- the driver dies ----------------------------------------------------------------------------


def _size(file: Path) -> int:
    return int(succeed("stat", "-c", "%s", file))


def _killed_during_upload(slow: Vsftpd, site: Site, binding: str, source: Path) -> Ended:
    """Mount, and kill the driver in the middle of a copy onto an existing file; returns how the copy ended."""
    (slow.root / source.name).write_bytes(b"old content")
    assert site.mount(slow, binding=binding).code == 0
    copy = Program("cp", source, site.point)
    wait_until(lambda: _size(site.point / source.name) == source.stat().st_size, "all of it to be written")
    wait_until(lambda: card.parts(slow.root), "the upload to begin")
    os.kill(site.daemon(), signal.SIGKILL)
    ended = copy.wait()
    wait_until(lambda: not site.daemons(), "the driver to be gone")
    return ended


def test_a_mount_that_died_is_cleaned_away_by_the_next_one(
    slow: Vsftpd, site: Site, binding: str, make_file: MakeFile
) -> None:
    source = make_file("new.3mf", SHORT)
    ended = _killed_during_upload(slow, site, binding, source)
    assert ended.code == 1, ended
    assert site.is_mounted  # dead, and in the way
    assert run("ls", site.point).code != 0
    assert (slow.root / "new.3mf").read_bytes() == b"old content"

    again = site.mount(slow, binding=binding)

    assert again.code == 0, again
    assert "mount that died" in again.err
    assert str(site.point) in again.err
    assert "new.3mf" in succeed("ls", site.point)
    succeed("cmp", site.point / "new.3mf", source)  # it is still to be sent
    succeed("cp", make_file("small.3mf", 10_000), site.point)
    assert site.unmount().code == 0
    site.wait_until_gone()


def test_what_was_written_survives_the_death_of_the_driver(
    slow: Vsftpd, site: Site, fuse3: str, make_file: MakeFile
) -> None:
    source = make_file("new.3mf", SHORT)
    _killed_during_upload(slow, site, fuse3, source)

    assert site.mount(slow).code == 0
    assert site.unmount().code == 0

    assert (slow.root / "new.3mf").read_bytes() == source.read_bytes()
    assert site.lost() == []
    assert site.owed() == []
    card.wait_until_tidy(slow.root)
    assert card.names(slow.root) == ["new.3mf"]


def test_the_next_mount_removes_what_the_death_of_the_driver_left_on_the_card(
    slow: Vsftpd, site: Site, fuse3: str, make_file: MakeFile
) -> None:
    _killed_during_upload(slow, site, fuse3, make_file("new.3mf", SHORT))

    assert site.mount(slow).code == 0
    succeed("ls", site.point)

    card.wait_until_tidy(slow.root, seconds=30)  # it sends the file, which was owed, under a part name of its own
    assert site.unmount().code == 0


def test_a_dead_mount_can_be_unmounted(server: Vsftpd, site: Site, binding: str) -> None:
    assert site.mount(server, binding=binding).code == 0
    os.kill(site.daemon(), signal.SIGKILL)
    wait_until(lambda: not site.daemons(), "the driver to be gone")

    ended = site.unmount()

    assert ended.code == 0, ended
    assert not site.is_mounted
