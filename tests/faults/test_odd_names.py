"""Names that are not UTF-8, made on the printer's own disk or through the mount."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import MakeFile, StartPrinter
from tests.faults.programs import run, succeed
from tests.faults.site import Site, address
from tests.support.mounting import Mounted, mounted
from tests.support.vsftpd import Vsftpd
from tests.support.waiting import wait_until

LATIN_1 = "Zahnrad für Käthe.gcode".encode("latin-1")
SHIFT_JIS = "歯車.3mf".encode("shift-jis")
BROKEN = b"cut in the mi\xc3.txt"
SET = 1_700_000_000
NAMES = [LATIN_1, SHIFT_JIS, BROKEN, b"\xff\xfe", "schön.3mf".encode(), b" two  blanks.txt", b"-dash"]
NOT_TO_BE_MADE = [b"ends in blanks  ", b"a -> b", b"ends in a dot."]
"""Names that a card cannot store, but that a server may show."""


def at(folder: Path, name: bytes) -> bytes:
    """The path of ``name`` in ``folder``, as bytes."""
    return os.path.join(os.fsencode(folder), name)


def names(folder: Path) -> list[bytes]:
    """The names in ``folder``, as bytes, sorted."""
    return sorted(os.listdir(os.fsencode(folder)))


def content(path: bytes) -> bytes:
    """What a file holds."""
    with open(path, "rb") as file:
        return file.read()


def write(path: bytes, data: bytes) -> None:
    """Make a file."""
    with open(path, "wb") as file:
        file.write(data)


@pytest.fixture
def mount(server: Vsftpd, site: Site, binding: str) -> Iterator[Mounted]:
    """A mount of a vsftpd whose card has a folder for each name."""
    for name in NAMES + NOT_TO_BE_MADE:
        (server.root / name.hex()).mkdir()
    with mounted(server, site.point, binding) as mount:
        yield mount


def test_names_on_the_printer_are_shown_read_renamed_and_deleted(server: Vsftpd, mount: Mounted) -> None:
    for name in NAMES + NOT_TO_BE_MADE:
        write(at(server.root / name.hex(), name), b"content")
    for name in NAMES + NOT_TO_BE_MADE:
        theirs, mine, new = server.root / name.hex(), mount.path / name.hex(), b"new " + name + b".txt"
        if name in NOT_TO_BE_MADE:
            new = b"new"

        assert names(mine) == [name]
        assert content(at(mine, name)) == b"content"
        os.rename(at(mine, name), at(mine, new))
        assert names(theirs) == names(mine) == [new]
        os.unlink(at(mine, new))
        assert names(theirs) == names(mine) == []


def test_names_made_through_the_mount_are_on_the_printer(server: Vsftpd, mount: Mounted) -> None:
    for name in NAMES:
        theirs, mine, folder = server.root / name.hex(), mount.path / name.hex(), b"folder " + name
        write(at(mine, name), b"first")
        write(at(mine, name), b"second")
        os.mkdir(at(mine, folder))
        write(at(mine, folder) + b"/" + name, b"below")
        os.utime(at(mine, name), (SET, SET))

        assert names(theirs) == names(mine) == sorted([name, folder])
        assert content(at(theirs, name)) == b"second"
        assert content(at(theirs, folder) + b"/" + name) == b"below"
        assert os.stat(at(mine, name)).st_mtime == SET
        os.truncate(at(mine, name), 3)
        assert content(at(theirs, name)) == b"sec"
        os.unlink(at(mine, folder) + b"/" + name)
        os.rmdir(at(mine, folder))
        assert names(theirs) == [name]


def test_names_survive_the_tools(server: Vsftpd, mount: Mounted, tmp_path: Path) -> None:
    """A tree with such names goes in by rsync, comes out by cp, and is moved inside."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in NAMES:
        write(at(tree, name), name)
        os.utime(at(tree, name), (SET, SET))

    succeed("rsync", "-a", f"{tree}/", f"{mount.path}/tree/")
    stored = len(server.commands("STOR"))
    succeed("rsync", "-a", f"{tree}/", f"{mount.path}/tree/")
    assert len(server.commands("STOR")) == stored == len(NAMES)
    succeed("mv", mount.path / "tree", mount.path / "moved")
    succeed("cp", "-r", mount.path / "moved", tmp_path / "copy")

    assert names(server.root / "moved") == names(tmp_path / "copy") == sorted(NAMES)
    assert all(content(at(server.root / "moved", name)) == name for name in NAMES)


def test_a_failure_of_a_file_with_an_odd_name_is_logged(
    start_printer: StartPrinter, site: Site, binding: str, make_file: MakeFile
) -> None:
    printer = start_printer(card_size=10_000)
    with mounted(address(printer), site.point, binding) as mount:
        ended = run("cp", make_file("big.3mf", 20_000), at(mount.path, LATIN_1))

        assert ended.code == 1
        assert "No space left on device" in ended.err
        wait_until(lambda: "lost+found" in mount.log, "the log to name what was kept")
        assert "Zahnrad" in mount.log
        assert "Traceback" not in mount.log
