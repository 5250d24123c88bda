"""No room: on the printer's card, or on this computer where what is written waits for its upload."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path

import pytest

from tests.faults import card
from tests.faults.conftest import MakeFile, StartPrinter, StartVsftpd
from tests.faults.programs import Ended, run, succeed
from tests.faults.site import Site, address
from tests.support.mounting import Mounted, mounted
from tests.support.needs import need
from tests.support.vsftpd import Vsftpd
from tests.support.waiting import wait_until

FULL = "No space left on device"
ROOM = 4_000_000


def assert_no_room(ended: Ended) -> None:
    """The program says that there is no room."""
    assert ended.code == 1, ended
    assert FULL in ended.err, ended


# --- the card -----------------------------------------------------------------------------------


def _try_full_card(mount: Mounted, root: Path, make_file: MakeFile) -> None:
    """Copy too much onto an existing file and a new one; then make room, and copy again."""
    big = make_file("big.3mf", ROOM + 2_000_000)
    succeed("cp", make_file("old.3mf", 1_500_000), mount.path / "big.3mf")
    old = (root / "big.3mf").read_bytes()

    assert_no_room(run("cp", big, mount.path / "big.3mf"))
    assert (root / "big.3mf").read_bytes() == old
    assert_no_room(run("cp", big, mount.path / "new.3mf"))
    card.wait_until_tidy(root)
    assert card.names(root) == ["big.3mf"]
    assert succeed("ls", mount.path) == "big.3mf\n"
    assert "card is full" in mount.log

    succeed("rm", mount.path / "big.3mf")
    small = make_file("small.3mf", 2_500_000)
    succeed("cp", small, mount.path / "big.3mf")
    assert (root / "big.3mf").read_bytes() == small.read_bytes()


def test_a_full_card(start_vsftpd: StartVsftpd, site: Site, binding: str, make_file: MakeFile) -> None:
    server = start_vsftpd(small_disk=ROOM)
    with mounted(server, site.point, binding) as mount:
        _try_full_card(mount, server.root, make_file)


@pytest.mark.parametrize(
    ("model", "code"), [("x1c", "552"), pytest.param("x1c", "452", marks=pytest.mark.slow), ("p1s", "451")]
)
def test_a_full_card_of_a_model(
    start_printer: StartPrinter, site: Site, fuse3: str, make_file: MakeFile, model: str, code: str
) -> None:
    printer = start_printer(model, card_size=ROOM, full_code=code)
    with mounted(address(printer), site.point, fuse3) as mount:
        _try_full_card(mount, printer.card, make_file)


def test_what_did_not_fit_on_the_card_is_kept(
    start_printer: StartPrinter, site: Site, fuse3: str, make_file: MakeFile
) -> None:
    printer = start_printer(card_size=ROOM)
    big = make_file("big.3mf", ROOM + 1)
    with mounted(address(printer), site.point, fuse3) as mount:
        assert_no_room(run("cp", big, mount.path))
        wait_until(lambda: "lost+found" in mount.log, "the log to name what was kept")
        (kept,) = site.home.rglob("lost+found/*")
        assert str(kept) in mount.log
        assert kept.read_bytes() == big.read_bytes()


def test_a_rename_of_a_dot_name_says_that_the_card_is_full(
    start_printer: StartPrinter, site: Site, fuse3: str, make_file: MakeFile
) -> None:
    printer = start_printer(card_size=ROOM)
    big = make_file("big.3mf", ROOM + 1)
    with mounted(address(printer), site.point, fuse3) as mount:
        assert run("rsync", big, mount.path).code != 0
        succeed("cp", big, mount.path / ".hidden")
        ended = run("mv", mount.path / ".hidden", mount.path / "big.3mf")

        assert ended.code == 1
        assert FULL in ended.err
        assert succeed("ls", mount.path) == ""
        card.wait_until_tidy(printer.card)
        assert card.names(printer.card) == []


# --- this computer ------------------------------------------------------------------------------


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of ``size`` bytes on ``folder``."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "bambufs-test", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def cache(site: Site, server: Vsftpd) -> Iterator[Path]:
    """A cache folder with little room. (The server's need for root is this one's, too.)"""
    need("mount")
    with small_disk(site.cache, ROOM) as folder:
        yield folder


def test_a_full_cache_folder_refuses_the_writer(
    server: Vsftpd, site: Site, cache: Path, binding: str, make_file: MakeFile
) -> None:
    (server.root / "seen.3mf").write_bytes(b"content")
    small = make_file("small.3mf", 100_000)
    with mounted(server, site.point, binding, cache_dir=cache) as mount:
        assert_no_room(run("cp", make_file("big.3mf", 2 * ROOM), mount.path))

        assert succeed("cat", mount.path / "seen.3mf") == "content"
        succeed("cp", small, mount.path)
        assert (server.root / "small.3mf").read_bytes() == small.read_bytes()


@pytest.mark.parametrize("is_new", [True, False], ids=["new file", "existing file"])
def test_what_did_not_fit_into_the_cache_folder_is_no_half_file_on_the_printer(
    server: Vsftpd, site: Site, cache: Path, binding: str, make_file: MakeFile, is_new: bool
) -> None:
    if not is_new:
        (server.root / "big.3mf").write_bytes(b"old content")
    with mounted(server, site.point, binding, cache_dir=cache) as mount:
        assert_no_room(run("cp", make_file("big.3mf", 2 * ROOM), mount.path))

        wait_until(lambda: not server.commands("STOR") or not card.parts(server.root), "any upload to end")
        assert card.names(server.root) == ([] if is_new else ["big.3mf"])
        if not is_new:
            assert (server.root / "big.3mf").read_bytes() == b"old content"
            assert succeed("cat", mount.path / "big.3mf") == "old content"


def test_other_files_are_fine_while_a_writer_has_filled_the_cache_folder(
    server: Vsftpd, site: Site, cache: Path, binding: str
) -> None:
    for name in ("a.3mf", "b.3mf", "c.3mf"):
        (server.root / name).write_bytes(b"content")
    with mounted(server, site.point, binding, cache_dir=cache) as mount:
        with (mount.path / "big.3mf").open("wb", buffering=0) as big, (mount.path / "a.3mf").open("rb") as read:
            assert read.read() == b"content"
            with pytest.raises(OSError, match=FULL):
                _write_much(big)

            assert succeed("ls", mount.path).split() == ["a.3mf", "b.3mf", "big.3mf", "c.3mf"]
            assert succeed("cat", mount.path / "a.3mf") == "content"
            succeed("mv", mount.path / "b.3mf", mount.path / "moved.3mf")
            succeed("touch", "-d", "2024-01-02 03:04:06", mount.path / "moved.3mf")
            succeed("rm", mount.path / "c.3mf")
            succeed("mkdir", mount.path / "made")
            big.truncate(0)
        card.wait_until_tidy(server.root)
        assert sorted(set(card.names(server.root)) - {"big.3mf"}) == ["a.3mf", "made", "moved.3mf"]


def _write_much(file: RawIOBase) -> None:
    for _ in range(200):
        file.write(bytes(65536))


def test_the_cache_makes_room_for_what_is_read(
    server: Vsftpd, site: Site, cache: Path, fuse3: str, make_file: MakeFile
) -> None:
    """Its own bound is far above the size of the disk."""
    content = make_file("any.mp4", 1_500_000).read_bytes()
    for number in range(5):
        (server.root / f"{number}.mp4").write_bytes(content)
    with mounted(server, site.point, fuse3, cache_dir=cache) as mount:
        for number in range(5):
            succeed("cmp", mount.path / f"{number}.mp4", site.folder / "mine/any.mp4")


def test_the_log_says_which_disk_is_full(
    server: Vsftpd, site: Site, cache: Path, fuse3: str, make_file: MakeFile
) -> None:
    with mounted(server, site.point, fuse3, cache_dir=cache) as mount:
        assert_no_room(run("cp", make_file("big.3mf", 2 * ROOM), mount.path))

        assert "Errno" not in mount.log
        assert any("full" in line and str(cache) in line for line in mount.log.splitlines())
